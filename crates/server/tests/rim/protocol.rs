//! gRPC itself: health, reflection, sizes, compression, what is not built, and how it stops.

use crate::world::*;
use std::time::Duration;
use steadfast_api::v1::workflowservice::*;
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

#[tokio::test]
async fn the_services_that_clients_ask_for_are_healthy() {
    let world = World::new().await;
    let mut health = HealthClient::new(world.channel.clone());
    for service in ["", "temporal.api.workflowservice.v1.WorkflowService"] {
        let request = HealthCheckRequest { service: service.into() };
        let status = health.check(request).await.unwrap().into_inner().status;
        assert_eq!(status, ServingStatus::Serving as i32, "{service}");
    }
}

#[tokio::test]
async fn reflection_lists_the_services() {
    let world = World::new().await;
    let mut reflection = ServerReflectionClient::new(world.channel.clone());
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers =
        reflection.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("a list of services");
    };
    let names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains(&"temporal.api.workflowservice.v1.WorkflowService".to_owned()), "{names:?}");
}

#[tokio::test]
async fn a_request_that_is_too_large_is_resource_exhausted() {
    let mut world = World::new().await;
    let large = StartWorkflowExecutionRequest { input: payloads(&"x".repeat(5 << 20)), ..start("a") };
    let refused = world.client.start_workflow_execution(large).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn compressed_requests_are_read() {
    let mut world = World::new().await;
    world.client = world.client.clone().send_compressed(CompressionEncoding::Gzip);
    world.start("a").await;
    let mut health = HealthClient::new(world.channel.clone()).send_compressed(CompressionEncoding::Gzip);
    let status = health.check(HealthCheckRequest::default()).await.unwrap().into_inner().status;
    assert_eq!(status, ServingStatus::Serving as i32);
}

#[tokio::test]
async fn what_is_not_built_says_its_name() {
    let mut world = World::new().await;
    let refused = world.client.create_schedule(CreateScheduleRequest::default()).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::Unimplemented, "CreateSchedule is not implemented by this server")
    );
}

#[tokio::test]
async fn a_stop_ends_long_polls_empty() {
    let world = World::new().await;
    let mut client = world.client.clone();
    let frontend = world.running.frontend.clone();
    let request = PollWorkflowTaskQueueRequest {
        namespace: NAMESPACE.into(),
        task_queue: Some(queue(QUEUE)),
        identity: "worker".into(),
        ..Default::default()
    };
    let polled = tokio::spawn(async move { client.poll_workflow_task_queue(patient(request)).await });
    let namespace = frontend.engine.namespaces().get(NAMESPACE).unwrap().id;
    let key = steadfast_machine::QueueKey {
        namespace,
        name: QUEUE.into(),
        kind: steadfast_machine::QueueType::Workflow,
    };
    while frontend.engine.describe_queue(&key).await.unwrap().pollers.is_empty() {
        tokio::task::yield_now().await;
    }
    let begun = std::time::Instant::now();
    world.running.stop().await;
    assert_eq!(polled.await.unwrap().unwrap().into_inner(), PollWorkflowTaskQueueResponse::default());
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let world = World::new().await;
    let taken = world.running.grpc;
    let refused = steadfast_server::serve::Running::start(steadfast_server::serve::Options {
        grpc: taken,
        ui: None,
        ui_public_path: "/".into(),
        metrics: None,
        store: steadfast_server::serve::StoreChoice::Memory,
        namespaces: Vec::new(),
        retention: steadfast_machine::duration::DAY,
        search_attributes: Vec::new(),
        limits: Default::default(),
    })
    .await;
    let Err(error) = refused else { panic!("the port is taken") };
    assert!(error.to_string().starts_with(&format!("can't set frontend port {}:", taken.port())), "{error}");
}
