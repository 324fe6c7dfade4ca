//! Namespaces: register, describe, list, update, deprecate, delete.

use super::cluster::CLUSTER;
use crate::call::Call;
use crate::facade::NamespaceState;
use crate::frontend::{Frontend, fresh_id};
use crate::limits::{NAMESPACE_BYTES, NAMESPACE_PAGE, SHORTEST_RETENTION};
use crate::status::Refusal;
use bytes::Bytes;
use std::sync::Arc;
use steadfast_api::v1::enums::{ArchivalState, NamespaceState as State};
use steadfast_api::v1::namespace::namespace_info::{Capabilities, Limits};
use steadfast_api::v1::namespace::{BadBinaries, NamespaceConfig, NamespaceInfo};
use steadfast_api::v1::operatorservice::{DeleteNamespaceRequest, DeleteNamespaceResponse};
use steadfast_api::v1::replication::{ClusterReplicationConfig, NamespaceReplicationConfig};
use steadfast_api::v1::workflowservice::*;
use steadfast_machine::{Reject, duration};

/// The namespace of the server's own work, in the reference: nobody may delete it.
const SYSTEM: &str = "temporal-system";

fn info(frontend: &Frontend, namespace: &NamespaceState) -> NamespaceInfo {
    let limit = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
    NamespaceInfo {
        name: namespace.name.clone(),
        state: namespace.state,
        description: namespace.description.clone(),
        owner_email: namespace.owner.clone(),
        data: namespace.data.clone().into_iter().collect(),
        id: namespace.id.to_string(),
        // Only what works is said to work: workers switch on these.
        capabilities: Some(Capabilities {
            eager_workflow_start: true,
            sync_update: true,
            async_update: true,
            reported_problems_search_attribute: true,
            ..Capabilities::default()
        }),
        limits: Some(Limits {
            blob_size_limit_error: limit(frontend.limits.blob_bytes),
            memo_size_limit_error: limit(frontend.limits.memo_bytes),
            ..Limits::default()
        }),
        supports_schedules: false,
    }
}

fn config(namespace: &NamespaceState) -> NamespaceConfig {
    NamespaceConfig {
        workflow_execution_retention_ttl: duration::proto(namespace.retention),
        bad_binaries: Some(BadBinaries::default()),
        history_archival_state: ArchivalState::Disabled as i32,
        visibility_archival_state: ArchivalState::Disabled as i32,
        custom_search_attribute_aliases: namespace
            .attributes
            .keys()
            .map(|name| (name.clone(), name.clone()))
            .collect(),
        ..NamespaceConfig::default()
    }
}

fn replication() -> NamespaceReplicationConfig {
    NamespaceReplicationConfig {
        active_cluster_name: CLUSTER.into(),
        clusters: vec![ClusterReplicationConfig { cluster_name: CLUSTER.into(), ..Default::default() }],
        ..NamespaceReplicationConfig::default()
    }
}

fn described(frontend: &Frontend, namespace: &NamespaceState) -> DescribeNamespaceResponse {
    DescribeNamespaceResponse {
        namespace_info: Some(info(frontend, namespace)),
        config: Some(config(namespace)),
        replication_config: Some(replication()),
        ..DescribeNamespaceResponse::default()
    }
}

pub async fn register_namespace(
    frontend: &Frontend,
    _: Call,
    request: RegisterNamespaceRequest,
) -> Result<RegisterNamespaceResponse, Refusal> {
    if request.namespace.is_empty() {
        return Err(Reject::invalid("Namespace not set on request.").into());
    }
    if request.namespace.len() > NAMESPACE_BYTES {
        return Err(Reject::invalid("Namespace length exceeds limit.").into());
    }
    if request.is_global_namespace {
        return Err(Reject::invalid("Cannot register global namespace when not enabled").into());
    }
    let retention = retention(request.workflow_execution_retention_period.as_ref())?;
    let namespaces = frontend.engine.namespaces();
    if namespaces.get(&request.namespace).is_some() {
        return Err(Refusal::NamespaceExists(request.namespace));
    }
    namespaces
        .register(NamespaceState {
            id: uuid::Uuid::try_parse(&fresh_id()).unwrap_or_default(),
            name: request.namespace,
            state: State::Registered as i32,
            description: request.description,
            owner: request.owner_email,
            data: request.data.into_iter().collect(),
            retention,
            ..NamespaceState::default()
        })
        .await?;
    Ok(RegisterNamespaceResponse {})
}

/// Nanoseconds; at least an hour.
fn retention(given: Option<&prost_types::Duration>) -> Result<i64, Reject> {
    let shortest = i64::try_from(SHORTEST_RETENTION.as_nanos()).unwrap_or(i64::MAX);
    duration::nanos(given)
        .ok()
        .filter(|retention| *retention >= shortest)
        .ok_or_else(|| Reject::invalid("A valid retention period is not set on request."))
}

fn find(frontend: &Frontend, name: &str, id: &str) -> Result<Arc<NamespaceState>, Refusal> {
    let wanted = match (name, id) {
        ("", "") => return Err(Reject::invalid("Namespace not set on request.").into()),
        (name, "") => name,
        ("", id) => id,
        _ => {
            return Err(Reject::invalid("Only one of namespace name or Id should be set on request.").into());
        }
    };
    frontend.engine.namespaces().get(wanted).ok_or_else(|| Refusal::NoNamespace(wanted.into()))
}

pub async fn describe_namespace(
    frontend: &Frontend,
    _: Call,
    request: DescribeNamespaceRequest,
) -> Result<DescribeNamespaceResponse, Refusal> {
    // Some clients send both; the id is the more exact.
    let name = if request.id.is_empty() { request.namespace.as_str() } else { "" };
    let namespace = find(frontend, name, &request.id)?;
    Ok(described(frontend, &namespace))
}

/// Pages by name: the token is the name that the last page ended with.
pub async fn list_namespaces(
    frontend: &Frontend,
    _: Call,
    request: ListNamespacesRequest,
) -> Result<ListNamespacesResponse, Refusal> {
    let after = std::str::from_utf8(&request.next_page_token)
        .map_err(|_| Reject::invalid("Invalid NextPageToken."))?;
    let with_deleted = request.namespace_filter.is_some_and(|filter| filter.include_deleted);
    let mut all = frontend.engine.namespaces().list();
    all.retain(|namespace| with_deleted || namespace.state != State::Deleted as i32);
    all.retain(|namespace| after.is_empty() || namespace.name.as_str() > after);
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let size = usize::try_from(request.page_size).ok().filter(|size| *size > 0).unwrap_or(NAMESPACE_PAGE);
    let more = all.len() > size;
    all.truncate(size);
    let last = all.last().filter(|_| more).map(|namespace| namespace.name.clone()).unwrap_or_default();
    Ok(ListNamespacesResponse {
        namespaces: all.iter().map(|namespace| described(frontend, namespace)).collect(),
        next_page_token: Bytes::from(last),
    })
}

pub async fn update_namespace(
    frontend: &Frontend,
    _: Call,
    request: UpdateNamespaceRequest,
) -> Result<UpdateNamespaceResponse, Refusal> {
    let namespace = find(frontend, &request.namespace, "")?;
    if request.promote_namespace
        || request.replication_config.as_ref().is_some_and(|config| config.clusters.len() > 1)
    {
        return Err(Reject::invalid("global namespace is not enabled on this cluster").into());
    }
    let new_retention =
        match request.config.as_ref().and_then(|config| config.workflow_execution_retention_ttl.as_ref()) {
            None => None,
            given => Some(retention(given)?),
        };
    let info_update = request.update_info;
    if let Some(update) = &info_update
        && update.state == State::Deleted as i32
    {
        return Err(Reject::invalid("Invalid namespace state update.").into());
    }
    let changed = frontend
        .engine
        .namespaces()
        .change(namespace.id, move |namespace| {
            if let Some(update) = &info_update {
                if !update.description.is_empty() {
                    namespace.description = update.description.clone();
                }
                if !update.owner_email.is_empty() {
                    namespace.owner = update.owner_email.clone();
                }
                if update.state != State::Unspecified as i32 {
                    namespace.state = update.state;
                }
                // Keys are added and changed, never dropped.
                namespace.data.extend(update.data.clone());
            }
            if let Some(retention) = new_retention {
                namespace.retention = retention;
            }
            Ok(())
        })
        .await?;
    Ok(UpdateNamespaceResponse {
        namespace_info: Some(info(frontend, &changed)),
        config: Some(config(&changed)),
        replication_config: Some(replication()),
        ..UpdateNamespaceResponse::default()
    })
}

pub async fn deprecate_namespace(
    frontend: &Frontend,
    _: Call,
    request: DeprecateNamespaceRequest,
) -> Result<DeprecateNamespaceResponse, Refusal> {
    let namespace = find(frontend, &request.namespace, "")?;
    frontend
        .engine
        .namespaces()
        .change(namespace.id, |namespace| {
            namespace.state = State::Deprecated as i32;
            Ok(())
        })
        .await?;
    Ok(DeprecateNamespaceResponse {})
}

pub async fn delete_namespace(
    frontend: &Frontend,
    _: Call,
    request: DeleteNamespaceRequest,
) -> Result<DeleteNamespaceResponse, Refusal> {
    let namespace = find(frontend, &request.namespace, &request.namespace_id)?;
    if namespace.name == SYSTEM {
        return Err(Reject::FailedPrecondition("unable to delete system namespace".into()).into());
    }
    let deleted_namespace = frontend.engine.namespaces().delete(namespace.id).await?;
    Ok(DeleteNamespaceResponse { deleted_namespace })
}
