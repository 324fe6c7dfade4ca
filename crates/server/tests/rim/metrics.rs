//! What Prometheus reads.

use crate::world::*;
use steadfast_api::v1::workflowservice::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn page(world: &World) -> String {
    let mut stream = TcpStream::connect(world.running.metrics.expect("they are served")).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    page
}

#[tokio::test]
async fn calls_refusals_and_backlogs_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("metrics.db");
    let store = steadfast_server::serve::StoreChoice::File { path, pragmas: Vec::new() };
    let mut world = World::with(|options| options.store = store).await;
    world.start("one").await;
    world.start("two").await;
    let nobody = DescribeWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        execution: Some(execution("nobody")),
    };
    world.client.describe_workflow_execution(nobody).await.unwrap_err();
    let page = page(&world).await;
    for line in [
        "service_requests{operation=\"StartWorkflowExecution\",service_name=\"frontend\"} 2",
        "service_latency_count{operation=\"StartWorkflowExecution\",service_name=\"frontend\"} 2",
        "service_pending_requests{operation=\"StartWorkflowExecution\",service_name=\"frontend\"} 0",
        "service_error_with_type{error_type=\"NotFound\",operation=\"DescribeWorkflowExecution\",service_name=\"frontend\"} 1",
        "approximate_backlog_count{namespace=\"default\",task_type=\"Workflow\",taskqueue=\"transfers\"} 2",
        "steadfast_loaded_entities 2",
        "steadfast_store_commits_total 2",
    ] {
        assert!(page.lines().any(|held| held == line), "{line}\nis not in\n{page}");
    }
    let syncs =
        page.lines().find_map(|line| line.strip_prefix("steadfast_store_syncs_total{kind=\"commit\"} "));
    let syncs: u64 = syncs.expect("syncs are told").parse().unwrap();
    assert!((1..=70).contains(&syncs), "{syncs} syncs");
}
