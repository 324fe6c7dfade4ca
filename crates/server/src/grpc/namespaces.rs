//! Namespaces: register, describe, list, update, deprecate, delete.

use super::cluster::CLUSTER;
use super::search_attributes::{make_room, wipe};
use crate::call::Call;
use crate::check;
use crate::frontend::{Frontend, fresh_uuid};
use crate::limits::{BAD_BUILDS, NAMESPACE_PAGE, SHORTEST_RETENTION};
use crate::status::Refusal;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use steadfast_api::v1::enums::{ArchivalState, NamespaceState as State, ReplicationState};
use steadfast_api::v1::namespace::namespace_info::{Capabilities, Limits};
use steadfast_api::v1::namespace::{BadBinaries, BadBinaryInfo, NamespaceConfig, NamespaceInfo};
use steadfast_api::v1::operatorservice::{DeleteNamespaceRequest, DeleteNamespaceResponse};
use steadfast_api::v1::replication::{ClusterReplicationConfig, NamespaceReplicationConfig};
use steadfast_api::v1::workflowservice::*;
use steadfast_engine::{Engine, Failure, NamespaceState};
use steadfast_machine::{Kind, Reject, RunKey, Time, duration};
use steadfast_query::attribute::is_reserved;
use steadfast_query::{AttributeType, Filter};
use uuid::Uuid;

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
            standalone_activities: true,
            worker_heartbeats: true,
            worker_poll_complete_on_shutdown: true,
            poller_autoscaling: true,
            workflow_pause: frontend.limits.workflow_pause,
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
        bad_binaries: Some(BadBinaries { binaries: namespace.bad_binaries.clone().into_iter().collect() }),
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
        state: ReplicationState::Normal as i32,
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
    check::new_namespace(&request.namespace)?;
    if request.is_global_namespace {
        return Err(Reject::invalid("Cannot register global namespace when not enabled").into());
    }
    known_cluster(&request.active_cluster_name)?;
    if request.namespace == SYSTEM {
        return Err(Refusal::NamespaceExists(request.namespace));
    }
    let retention = retention(request.workflow_execution_retention_period.as_ref())?;
    let state = NamespaceState {
        description: request.description,
        owner: request.owner_email,
        data: request.data.into_iter().collect(),
        retention,
        ..NamespaceState::new(fresh_uuid(), &request.namespace)
    };
    match frontend.engine.namespaces().register(state).await {
        Ok(()) => Ok(RegisterNamespaceResponse {}),
        Err(Failure::Reject(Reject::AlreadyExists(_))) => Err(Refusal::NamespaceExists(request.namespace)),
        Err(failure) => Err(failure.into()),
    }
}

/// Reads a namespace, changes it and writes it back; again, when somebody else changed it meanwhile. A change that is
/// refused writes nothing.
pub async fn change(
    engine: &Engine,
    id: Uuid,
    change: impl Fn(&mut NamespaceState) -> Result<(), Refusal>,
) -> Result<NamespaceState, Refusal> {
    const TRIES: usize = 5;
    let namespaces = engine.namespaces();
    let mut tries = 0;
    loop {
        tries += 1;
        let known = namespaces.by_id(id).ok_or_else(|| Refusal::NoNamespace(id.to_string()))?;
        let mut changed = NamespaceState::clone(&known);
        change(&mut changed)?;
        match namespaces.update(changed.clone()).await {
            Ok(()) => return Ok(changed),
            Err(Failure::Unavailable(why)) if tries < TRIES => {
                tracing::debug!(why, "a namespace was not written, trying again");
            }
            Err(failure) => return Err(failure.into()),
        }
    }
}

/// There is one cluster.
fn known_cluster(name: &str) -> Result<(), Reject> {
    if name.is_empty() || name == CLUSTER {
        return Ok(());
    }
    Err(Reject::invalid(format!("Invalid cluster name: {name}")))
}

/// What is to change of a namespace's bad builds: all that are given take the place of those that were, or one goes.
struct BadBuilds {
    given: Option<BadBinaries>,
    removed: String,
}

impl BadBuilds {
    fn apply(&self, namespace: &mut NamespaceState, now: Time) -> Result<(), Reject> {
        if let Some(given) = &self.given {
            if given.binaries.len() > BAD_BUILDS {
                let text = format!("Total resetBinaries cannot exceed the max limit: {BAD_BUILDS}");
                return Err(Reject::invalid(text));
            }
            let time = now.timestamp();
            let dated = |info: &BadBinaryInfo| BadBinaryInfo { create_time: Some(time), ..info.clone() };
            namespace.bad_binaries =
                given.binaries.iter().map(|(checksum, info)| (checksum.clone(), dated(info))).collect();
        }
        if !self.removed.is_empty() && namespace.bad_binaries.remove(&self.removed).is_none() {
            return Err(Reject::invalid(format!("Bad binary checksum {} doesn't exists.", self.removed)));
        }
        Ok(())
    }
}

/// Adds the search attributes that are given as names of the reference's columns (`Keyword01`), of which the beginning
/// says the type. Here an attribute has no column: it stands for itself, and an empty name removes it.
fn add_aliases(namespace: &mut NamespaceState, aliases: &HashMap<String, String>) -> Result<(), Reject> {
    for (column, name) in aliases {
        if name.is_empty() {
            namespace.attributes.remove(column);
            continue;
        }
        if namespace.attributes.contains_key(column) {
            if name == column {
                continue;
            }
            return Err(Reject::invalid("Custom search attribute field name already allocated."));
        }
        let kind = column.trim_end_matches(|c: char| c.is_ascii_digit());
        let Some(kind) = AttributeType::ALL.into_iter().find(|known| known.name() == kind) else {
            return Err(Reject::invalid(format!("{column} is no field of a search attribute.")));
        };
        if is_reserved(name) {
            return Err(Reject::invalid(format!("Search attribute {name} is reserved by system.")));
        }
        namespace.attributes.entry(name.clone()).or_insert(kind);
    }
    Ok(())
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
    let namespaces = frontend.engine.namespaces();
    let (wanted, found) = match (name, id) {
        ("", "") => return Err(Reject::invalid("Namespace not set on request.").into()),
        (name, "") => (name, namespaces.get(name)),
        ("", id) => (id, Uuid::parse_str(id).ok().and_then(|id| namespaces.by_id(id))),
        _ => {
            return Err(Reject::invalid("Only one of namespace name or Id should be set on request.").into());
        }
    };
    found.ok_or_else(|| Refusal::NoNamespace(wanted.into()))
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
        let text = "global namespace is not enabled on this cluster, cannot update global namespace or promote local namespace";
        return Err(Reject::invalid(format!("{text}: {}", namespace.name)).into());
    }
    known_cluster(request.replication_config.as_ref().map_or("", |config| &config.active_cluster_name))?;
    let new_retention =
        match request.config.as_ref().and_then(|config| config.workflow_execution_retention_ttl.as_ref()) {
            None => None,
            given => Some(retention(given)?),
        };
    let new_config = request.config.unwrap_or_default();
    let aliases = new_config.custom_search_attribute_aliases;
    let bad_builds = BadBuilds { given: new_config.bad_binaries, removed: request.delete_bad_binary };
    let now = frontend.engine.now();
    let info_update = request.update_info;
    let _one = frontend.attribute_changes.lock().await;
    make_room(frontend, &namespace, aliases.values().map(String::as_str)).await?;
    let changed = change(&frontend.engine, namespace.id, move |namespace| {
        if let Some(update) = &info_update {
            if !update.description.is_empty() {
                namespace.description = update.description.clone();
            }
            if !update.owner_email.is_empty() {
                namespace.owner = update.owner_email.clone();
            }
            let (old, new) = (namespace.state, update.state);
            if new != State::Unspecified as i32 && new != old {
                // To delete one there is a call of its own.
                if (old, new) != (State::Registered as i32, State::Deprecated as i32) {
                    return Err(Reject::invalid("Invalid namespace state update.").into());
                }
                namespace.state = new;
            }
            // Keys are added and changed, never dropped.
            namespace.data.extend(update.data.clone());
        }
        if let Some(retention) = new_retention {
            namespace.retention = retention;
        }
        bad_builds.apply(namespace, now)?;
        add_aliases(namespace, &aliases)?;
        Ok(())
    })
    .await?;
    for name in namespace.attributes.keys().filter(|name| !changed.attributes.contains_key(*name)) {
        wipe(frontend, namespace.id, name).await?;
    }
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
    change(&frontend.engine, namespace.id, |namespace| {
        if namespace.state == State::Deleted as i32 {
            return Err(Reject::invalid("Invalid namespace state update.").into());
        }
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
    if request.namespace == SYSTEM && request.namespace_id.is_empty() {
        return Err(Reject::FailedPrecondition("unable to delete system namespace".into()).into());
    }
    let namespace = find(frontend, &request.namespace, &request.namespace_id)?;
    let namespaces = frontend.engine.namespaces();
    let id = namespace.id.simple().to_string();
    let name = |length: usize| format!("{}-deleted-{}", namespace.name, &id[..length]);
    // Five characters of the id, and more only if that name is taken.
    let deleted_namespace = (5..=id.len())
        .map(name)
        .find(|name| namespaces.get(name).is_none())
        .unwrap_or_else(|| name(id.len()));
    let (engine, id, named) = (frontend.engine.clone(), namespace.id, deleted_namespace.clone());
    // To its end also when whoever asked goes away: else it would be deleted, and nothing of it removed.
    let deleted = tokio::spawn(async move {
        change(&engine, id, |namespace| {
            namespace.state = State::Deleted as i32;
            namespace.name.clone_from(&named);
            Ok(())
        })
        .await?;
        tokio::spawn(purge(engine, id));
        Ok::<(), Refusal>(())
    });
    deleted.await.map_err(|_| Failure::lost())??;
    Ok(DeleteNamespaceResponse { deleted_namespace })
}

/// Removes all that is in a deleted namespace, then its record; tries again until it is done. Stops quietly when the
/// server does: the next start goes on with it.
pub async fn purge(engine: Engine, id: Uuid) {
    const FIRST_BACKOFF: Duration = Duration::from_secs(1);
    const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
    let until_done = async {
        let mut backoff = FIRST_BACKOFF;
        while let Err(failure) = purged(&engine, id).await {
            tracing::warn!(?failure, namespace = %id, "a deleted namespace is not removed yet");
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    };
    let mut shutdown = engine.shutdown();
    tokio::select! {
        () = until_done => {}
        _ = shutdown.wait_for(|down| *down) => {}
    }
}

async fn purged(engine: &Engine, id: Uuid) -> Result<(), Failure> {
    /// Also what is hidden from lists that do not name a division.
    const ALL: &str = "TemporalNamespaceDivision IS NULL OR TemporalNamespaceDivision IS NOT NULL";
    let Some(namespace) = engine.namespaces().by_id(id) else { return Ok(()) };
    let all = steadfast_query::parse(ALL).and_then(|query| steadfast_query::resolve(query, &*namespace));
    let all = all.map_err(|error| Failure::Unavailable(error.to_string()))?;
    // What was on its way when the namespace was deleted may have come since: until there is nothing.
    let mut found = true;
    while std::mem::take(&mut found) {
        // Batch operations first: they would go on with what is removed.
        for kind in [Kind::Batch, Kind::Workflow, Kind::Activity] {
            found |= purge_all(engine, id, kind, &all).await?;
        }
    }
    engine.forget_queue_configs(id).await?;
    engine.namespaces().delete(id).await
}

/// Whether there was anything.
async fn purge_all(engine: &Engine, namespace: Uuid, kind: Kind, all: &Filter) -> Result<bool, Failure> {
    const PAGE: usize = 100;
    let mut found = false;
    loop {
        let page = engine.list(namespace, kind, all.clone(), None, PAGE).await?;
        if page.rows.is_empty() {
            return Ok(found);
        }
        let runs: Vec<RunKey> = page.rows.into_iter().map(|(key, _)| key).collect();
        if engine.delete_runs(&runs).await? == 0 {
            return Err(Failure::Unavailable("runs are listed that are not there".into()));
        }
        found = true;
    }
}
