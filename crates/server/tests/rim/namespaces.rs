//! Namespaces, search attributes, and what the server says of itself.

use crate::world::*;
use steadfast_api::temporal::api::batch::v1::BatchOperationSignal;
use steadfast_api::v1::command::{SignalExternalWorkflowExecutionCommandAttributes, command::Attributes};
use steadfast_api::v1::common::{ActivityType, SearchAttributes};
use steadfast_api::v1::enums::{CommandType, EventType, IndexedValueType, NamespaceState};
use steadfast_api::v1::errordetails::{NamespaceAlreadyExistsFailure, NamespaceNotFoundFailure};
use steadfast_api::v1::history::history_event::Attributes as Event;
use steadfast_api::v1::namespace::{BadBinaries, BadBinaryInfo, NamespaceConfig, UpdateNamespaceInfo};
use steadfast_api::v1::operatorservice::{
    AddSearchAttributesRequest, DeleteNamespaceRequest, ListClustersRequest, ListSearchAttributesRequest,
    RemoveSearchAttributesRequest,
};
use steadfast_api::v1::workflowservice::*;
use steadfast_machine::Kind;
use tonic::Code;

fn register(name: &str) -> RegisterNamespaceRequest {
    RegisterNamespaceRequest {
        namespace: name.into(),
        workflow_execution_retention_period: Some(prost_types::Duration { seconds: 86_400, nanos: 0 }),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_new_namespace_is_usable_at_once_and_exists_once() {
    let mut world = World::new().await;
    world.client.register_namespace(register("bank")).await.unwrap();
    let there = StartWorkflowExecutionRequest { namespace: "bank".into(), ..start("a") };
    world.client.start_workflow_execution(there).await.unwrap();
    let refused = world.client.register_namespace(register("bank")).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    let _: NamespaceAlreadyExistsFailure = detail(&refused, "NamespaceAlreadyExistsFailure");
    let short = RegisterNamespaceRequest { workflow_execution_retention_period: None, ..register("short") };
    let refused = world.client.register_namespace(short).await.unwrap_err();
    assert_eq!(refused.message(), "A valid retention period is not set on request.");
    let all = world.client.list_namespaces(ListNamespacesRequest::default()).await.unwrap().into_inner();
    let names: Vec<String> =
        all.namespaces.into_iter().filter_map(|one| one.namespace_info).map(|info| info.name).collect();
    assert_eq!(names, ["bank", "default"]);
}

#[tokio::test]
async fn one_that_is_called_as_the_id_of_another_does_not_take_its_place() {
    let mut world = World::new().await;
    world.start("a").await;
    let task = world.poll().await;
    let request = DescribeNamespaceRequest { namespace: "default".into(), ..Default::default() };
    let described = world.client.describe_namespace(request).await.unwrap().into_inner();
    let id = described.namespace_info.unwrap_or_default().id;
    world.client.register_namespace(register(&id)).await.unwrap();
    world.complete(&task, vec![complete_workflow("done")]).await.unwrap();
    let request = DescribeNamespaceRequest { id: id.clone(), ..Default::default() };
    let described = world.client.describe_namespace(request).await.unwrap().into_inner();
    assert_eq!(described.namespace_info.unwrap_or_default().name, "default");
}

#[tokio::test]
async fn a_missing_namespace_is_named() {
    let mut world = World::new().await;
    let request = DescribeNamespaceRequest { namespace: "nope".into(), ..Default::default() };
    let refused = world.client.describe_namespace(request).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::NotFound, "Namespace nope is not found."));
    let detail: NamespaceNotFoundFailure = detail(&refused, "NamespaceNotFoundFailure");
    assert_eq!(detail.namespace, "nope");
    let nowhere = StartWorkflowExecutionRequest { namespace: String::new(), ..start("a") };
    let refused = world.client.start_workflow_execution(nowhere).await.unwrap_err();
    assert_eq!(refused.message(), "Namespace is empty.");
}

#[tokio::test]
async fn a_namespace_is_changed_deprecated_and_deleted() {
    let mut world = World::new().await;
    world.client.register_namespace(register("bank")).await.unwrap();
    let update = UpdateNamespaceRequest {
        namespace: "bank".into(),
        update_info: Some(UpdateNamespaceInfo { description: "money".into(), ..Default::default() }),
        ..Default::default()
    };
    let updated = world.client.update_namespace(update).await.unwrap().into_inner();
    assert_eq!(updated.namespace_info.unwrap().description, "money");
    world
        .client
        .deprecate_namespace(DeprecateNamespaceRequest { namespace: "bank".into(), ..Default::default() })
        .await
        .unwrap();
    let there = StartWorkflowExecutionRequest { namespace: "bank".into(), ..start("a") };
    let refused = world.client.start_workflow_execution(there).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::FailedPrecondition, "Namespace has invalid state: Deprecated. Must be Registered.")
    );
    let delete = DeleteNamespaceRequest { namespace: "bank".into(), ..Default::default() };
    let deleted = world.operator.delete_namespace(delete).await.unwrap().into_inner();
    assert!(deleted.deleted_namespace.starts_with("bank-deleted-"));
    world.client.register_namespace(register("bank")).await.unwrap();
}

#[tokio::test]
async fn a_deleted_namespace_takes_everything_with_it() {
    let mut world = World::new().await;
    world.client.register_namespace(register("bank")).await.unwrap();
    let engine = world.running.frontend.engine.clone();
    let namespace = engine.namespaces().get("bank").unwrap();
    let there = StartWorkflowExecutionRequest { namespace: "bank".into(), ..start("a") };
    let division = payloads("Hidden").unwrap().payloads.remove(0);
    let hidden = StartWorkflowExecutionRequest {
        workflow_id: "b".into(),
        request_id: "b".into(),
        search_attributes: Some(SearchAttributes {
            indexed_fields: [("TemporalNamespaceDivision".to_owned(), division)].into(),
        }),
        ..there.clone()
    };
    world.client.start_workflow_execution(there).await.unwrap();
    world.client.start_workflow_execution(hidden).await.unwrap();
    let activity = StartActivityExecutionRequest {
        namespace: "bank".into(),
        activity_id: "c".into(),
        activity_type: Some(ActivityType { name: "A".into() }),
        task_queue: Some(queue(QUEUE)),
        start_to_close_timeout: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        ..Default::default()
    };
    world.client.start_activity_execution(activity).await.unwrap();
    let signal = BatchOperationSignal { signal: "s".into(), ..Default::default() };
    let batch = StartBatchOperationRequest {
        namespace: "bank".into(),
        job_id: "d".into(),
        reason: "because".into(),
        visibility_query: "WorkflowId = 'a'".into(),
        operation: Some(start_batch_operation_request::Operation::SignalOperation(signal)),
        ..Default::default()
    };
    world.client.start_batch_operation(batch).await.unwrap();
    let delete = DeleteNamespaceRequest { namespace: "bank".into(), ..Default::default() };
    world.operator.delete_namespace(delete).await.unwrap();
    while engine.namespaces().by_id(namespace.id).is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let all = "TemporalNamespaceDivision IS NULL OR TemporalNamespaceDivision IS NOT NULL";
    let all = steadfast_query::resolve(steadfast_query::parse(all).unwrap(), &*namespace).unwrap();
    for kind in [Kind::Workflow, Kind::Activity, Kind::Batch] {
        assert_eq!(engine.count(namespace.id, kind, all.clone()).await.unwrap(), 0, "{kind:?}");
    }
}

#[tokio::test]
async fn search_attributes_come_and_go() {
    let mut world = World::new().await;
    let add = |name: &str| AddSearchAttributesRequest {
        namespace: NAMESPACE.into(),
        search_attributes: [(name.to_owned(), IndexedValueType::Keyword as i32)].into(),
    };
    world.operator.add_search_attributes(add("from_account")).await.unwrap();
    let refused = world.operator.add_search_attributes(add("WorkflowId")).await.unwrap_err();
    assert_eq!(refused.message(), "Search attribute WorkflowId is reserved by system.");
    let list = ListSearchAttributesRequest { namespace: NAMESPACE.into() };
    let listed = world.operator.list_search_attributes(list.clone()).await.unwrap().into_inner();
    assert!(listed.custom_attributes.contains_key("from_account"));
    assert_eq!(listed.system_attributes["WorkflowId"], IndexedValueType::Keyword as i32);
    let remove = RemoveSearchAttributesRequest {
        namespace: NAMESPACE.into(),
        search_attributes: vec!["from_account".into(), "never_there".into()],
    };
    world.operator.remove_search_attributes(remove).await.unwrap();
    let listed = world.operator.list_search_attributes(list).await.unwrap().into_inner();
    assert!(!listed.custom_attributes.contains_key("from_account"));
}

#[tokio::test]
async fn the_server_says_only_what_it_can() {
    let mut world = World::new().await;
    let system = world.client.get_system_info(GetSystemInfoRequest::default()).await.unwrap().into_inner();
    let capabilities = system.capabilities.unwrap();
    assert!(capabilities.signal_and_query_header && capabilities.upsert_memo);
    assert!(!capabilities.supports_schedules && !capabilities.nexus);
    let cluster = world.client.get_cluster_info(GetClusterInfoRequest::default()).await.unwrap().into_inner();
    assert_eq!((cluster.cluster_name.as_str(), cluster.persistence_store.as_str()), ("active", "memory"));
    assert_eq!(cluster.supported_clients["temporal-ui"], "<3.0.0");
}

#[tokio::test]
async fn a_workflow_signals_into_another_namespace_where_the_server_allows_it() {
    const OTHER: &str = "other";
    // The API marks the field as deprecated, and has no other way to say it.
    #[allow(deprecated)]
    let signal = |id: &str| {
        let attributes = SignalExternalWorkflowExecutionCommandAttributes {
            namespace: OTHER.into(),
            execution: Some(execution(id)),
            signal_name: "hello".into(),
            ..Default::default()
        };
        command(
            CommandType::SignalExternalWorkflowExecution,
            Attributes::SignalExternalWorkflowExecutionCommandAttributes(attributes),
        )
    };
    let mut closed = World::with(|options| options.namespaces.push(OTHER.into())).await;
    closed.start("from").await;
    let task = closed.poll().await;
    let refused = closed.complete(&task, vec![signal("to")]).await.unwrap_err();
    assert!(refused.message().contains("cross namespace commands are not allowed"), "{refused}");

    let mut world = World::with(|options| {
        options.namespaces.push(OTHER.into());
        options.limits.cross_namespace_commands = true;
    })
    .await;
    let there = StartWorkflowExecutionRequest { namespace: OTHER.into(), ..start("to") };
    world.client.start_workflow_execution(there).await.unwrap();
    world.start("from").await;
    world.work(vec![signal("to"), signal("nobody")]).await;
    let mut outcomes = Vec::new();
    while outcomes.len() < 2 {
        let task = world.work(Vec::new()).await;
        let seen = types(&events(task.history));
        outcomes = seen
            .into_iter()
            .filter(|kind| {
                let failed = EventType::SignalExternalWorkflowExecutionFailed;
                [EventType::ExternalWorkflowExecutionSignaled, failed].contains(kind)
            })
            .collect();
    }
    outcomes.sort();
    assert_eq!(
        outcomes,
        [EventType::SignalExternalWorkflowExecutionFailed, EventType::ExternalWorkflowExecutionSignaled]
    );
    let request = GetWorkflowExecutionHistoryRequest {
        namespace: OTHER.into(),
        execution: Some(execution("to")),
        ..Default::default()
    };
    let page = world.client.get_workflow_execution_history(request).await.unwrap().into_inner();
    let signaled = events(page.history).into_iter().find_map(|event| match event.attributes {
        Some(Event::WorkflowExecutionSignaledEventAttributes(signaled)) => Some(signaled.signal_name),
        _ => None,
    });
    assert_eq!(signaled.as_deref(), Some("hello"));
}

#[tokio::test]
async fn bad_builds_and_aliases_are_configured_with_the_namespace() {
    let mut world = World::new().await;
    world.client.register_namespace(register("bank")).await.unwrap();
    let update = |config: NamespaceConfig, delete_bad_binary: &str| UpdateNamespaceRequest {
        namespace: "bank".into(),
        config: Some(config),
        delete_bad_binary: delete_bad_binary.into(),
        ..Default::default()
    };
    let bad = |names: &[String]| NamespaceConfig {
        bad_binaries: Some(BadBinaries {
            binaries: names.iter().map(|name| (name.clone(), BadBinaryInfo::default())).collect(),
        }),
        ..Default::default()
    };
    let names = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
    let updated = world.client.update_namespace(update(bad(&names(2)), "")).await.unwrap().into_inner();
    let kept = updated.config.unwrap().bad_binaries.unwrap().binaries;
    assert!(kept.len() == 2 && kept["0"].create_time.is_some());
    // Those that are given take the place of those that were.
    world.client.update_namespace(update(bad(&["x".into(), "y".into()]), "")).await.unwrap();
    world.client.update_namespace(update(NamespaceConfig::default(), "x")).await.unwrap();
    let describe = DescribeNamespaceRequest { namespace: "bank".into(), ..Default::default() };
    let described = world.client.describe_namespace(describe.clone()).await.unwrap().into_inner();
    let kept = described.config.unwrap().bad_binaries.unwrap().binaries;
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["y"]);
    for (request, message) in [
        (update(NamespaceConfig::default(), "x"), "Bad binary checksum x doesn't exists."),
        (update(bad(&names(11)), ""), "Total resetBinaries cannot exceed the max limit: 10"),
    ] {
        let refused = world.client.update_namespace(request).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, message));
    }

    let aliases = |column: &str, name: &str| NamespaceConfig {
        custom_search_attribute_aliases: [(column.to_owned(), name.to_owned())].into(),
        ..Default::default()
    };
    world.client.update_namespace(update(aliases("Int01", "Amount"), "")).await.unwrap();
    let list = ListSearchAttributesRequest { namespace: "bank".into() };
    let listed = world.operator.list_search_attributes(list.clone()).await.unwrap().into_inner();
    assert_eq!(listed.custom_attributes["Amount"], IndexedValueType::Int as i32);
    let refused = world.client.update_namespace(update(aliases("Amount", "Sum"), "")).await.unwrap_err();
    assert_eq!(refused.message(), "Custom search attribute field name already allocated.");
    world.client.update_namespace(update(aliases("Amount", ""), "")).await.unwrap();
    let listed = world.operator.list_search_attributes(list).await.unwrap().into_inner();
    assert!(listed.custom_attributes.is_empty());
}

#[tokio::test]
async fn a_namespace_is_not_registered_again_and_there_is_one_cluster() {
    let mut world = World::new().await;
    world.client.register_namespace(register("bank")).await.unwrap();
    let state = |state| UpdateNamespaceRequest {
        namespace: "bank".into(),
        update_info: Some(UpdateNamespaceInfo { state, ..Default::default() }),
        ..Default::default()
    };
    world.client.update_namespace(state(NamespaceState::Deprecated as i32)).await.unwrap();
    let refused = world.client.update_namespace(state(NamespaceState::Registered as i32)).await.unwrap_err();
    assert_eq!(refused.message(), "Invalid namespace state update.");
    let elsewhere = RegisterNamespaceRequest { active_cluster_name: "other".into(), ..register("far") };
    let refused = world.client.register_namespace(elsewhere).await.unwrap_err();
    assert_eq!(refused.message(), "Invalid cluster name: other");
    let refused = world.client.register_namespace(register("temporal-system")).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    let clusters =
        world.operator.list_clusters(ListClustersRequest::default()).await.unwrap().into_inner().clusters;
    assert_eq!(clusters.iter().map(|one| one.cluster_name.as_str()).collect::<Vec<_>>(), ["active"]);
    let keys =
        world.client.get_search_attributes(GetSearchAttributesRequest {}).await.unwrap().into_inner().keys;
    assert_eq!(keys["StartTime"], IndexedValueType::Datetime as i32);
}
