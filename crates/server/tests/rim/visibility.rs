//! Lists and counts see what was acknowledged before.

use crate::world::*;
use steadfast_api::v1::workflowservice::*;
use tonic::Code;

async fn list(world: &mut World, query: &str) -> Vec<String> {
    let request = ListWorkflowExecutionsRequest {
        namespace: NAMESPACE.into(),
        query: query.into(),
        ..Default::default()
    };
    let listed = world.client.list_workflow_executions(request).await.unwrap().into_inner();
    listed.executions.into_iter().filter_map(|one| one.execution).map(|one| one.workflow_id).collect()
}

#[tokio::test]
async fn lists_filter_and_put_open_runs_first() {
    let mut world = World::new().await;
    world.start("closed").await;
    world.work(vec![complete_workflow("done")]).await;
    world.start("open").await;
    assert_eq!(list(&mut world, "").await, ["open", "closed"]);
    assert_eq!(list(&mut world, "ExecutionStatus = 'Running'").await, ["open"]);
    assert_eq!(list(&mut world, "WorkflowType = 'Transfer' AND WorkflowId = 'closed'").await, ["closed"]);
    let open = ListOpenWorkflowExecutionsRequest { namespace: NAMESPACE.into(), ..Default::default() };
    let open = world.client.list_open_workflow_executions(open).await.unwrap().into_inner();
    assert_eq!(open.executions.len(), 1);
    let closed = ListClosedWorkflowExecutionsRequest { namespace: NAMESPACE.into(), ..Default::default() };
    let closed = world.client.list_closed_workflow_executions(closed).await.unwrap().into_inner();
    assert!(closed.executions[0].close_time.is_some());
}

#[tokio::test]
async fn pages_go_on_where_the_last_one_ended() {
    let mut world = World::new().await;
    for number in 0..5 {
        world.start(&format!("w{number}")).await;
    }
    let mut seen = Vec::new();
    let mut token = bytes::Bytes::new();
    loop {
        let request = ListWorkflowExecutionsRequest {
            namespace: NAMESPACE.into(),
            page_size: 2,
            next_page_token: token,
            ..Default::default()
        };
        let page = world.client.list_workflow_executions(request).await.unwrap().into_inner();
        seen.extend(page.executions.into_iter().filter_map(|one| one.execution).map(|one| one.workflow_id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["w4", "w3", "w2", "w1", "w0"]);
}

#[tokio::test]
async fn counts_group_by_status() {
    let mut world = World::new().await;
    world.start("closed").await;
    world.work(vec![complete_workflow("done")]).await;
    world.start("open").await;
    let request =
        |query: &str| CountWorkflowExecutionsRequest { namespace: NAMESPACE.into(), query: query.into() };
    let all = world.client.count_workflow_executions(request("")).await.unwrap().into_inner();
    assert_eq!(all.count, 2);
    let grouped = world
        .client
        .count_workflow_executions(request("GROUP BY ExecutionStatus"))
        .await
        .unwrap()
        .into_inner();
    let mut groups: Vec<(String, i64)> = grouped
        .groups
        .iter()
        .map(|group| (String::from_utf8_lossy(&group.group_values[0].data).into_owned(), group.count))
        .collect();
    groups.sort();
    assert_eq!(groups, [("\"Completed\"".into(), 1), ("\"Running\"".into(), 1)]);
}

#[tokio::test]
async fn a_query_that_means_nothing_is_refused() {
    let mut world = World::new().await;
    for query in ["WorkflowId =", "Nobody = 'x'", "GROUP BY ExecutionStatus"] {
        let request = ListWorkflowExecutionsRequest {
            namespace: NAMESPACE.into(),
            query: query.into(),
            ..Default::default()
        };
        let refused = world.client.list_workflow_executions(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{query}");
    }
}

#[tokio::test]
async fn search_attributes_are_checked_found_and_shown_with_their_type() {
    let mut world = World::new().await;
    let attributes = |name: &str| {
        let payload = payloads("account_A").unwrap().payloads.remove(0);
        Some(steadfast_api::v1::common::SearchAttributes {
            indexed_fields: [(name.to_owned(), payload)].into(),
        })
    };
    let unknown = StartWorkflowExecutionRequest { search_attributes: attributes("Nope"), ..start("a") };
    let refused = world.client.start_workflow_execution(unknown).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::InvalidArgument, "Namespace default has no mapping defined for search attribute Nope")
    );
    let known =
        StartWorkflowExecutionRequest { search_attributes: attributes("CustomKeyword"), ..start("a") };
    world.client.start_workflow_execution(known).await.unwrap();
    assert_eq!(list(&mut world, "CustomKeyword = 'account_A'").await, ["a"]);
    let described = world.describe("a").await.unwrap().workflow_execution_info.unwrap();
    let shown = &described.search_attributes.unwrap().indexed_fields["CustomKeyword"];
    assert_eq!(shown.metadata["type"], "Keyword");
}
