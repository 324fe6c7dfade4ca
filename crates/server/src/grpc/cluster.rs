//! What this server is and can.

use crate::call::{Call, SUPPORTED_CLIENTS};
use crate::frontend::Frontend;
use crate::status::Refusal;
use steadfast_api::v1::operatorservice::{ClusterMetadata, ListClustersRequest, ListClustersResponse};
use steadfast_api::v1::workflowservice::*;

/// The release of the reference whose behaviour this server has: SDKs and tools compare it with what they need.
pub const API_LEVEL: &str = "1.31.2";

/// The name of the one cluster.
pub const CLUSTER: &str = "active";

/// Only what works is said to work: SDKs switch on these.
pub async fn get_system_info(
    _: &Frontend,
    _: Call,
    _: GetSystemInfoRequest,
) -> Result<GetSystemInfoResponse, Refusal> {
    Ok(GetSystemInfoResponse {
        server_version: API_LEVEL.into(),
        capabilities: Some(get_system_info_response::Capabilities {
            signal_and_query_header: true,
            internal_error_differentiation: true,
            activity_failure_include_heartbeat: true,
            encoded_failure_attributes: true,
            upsert_memo: true,
            eager_workflow_start: true,
            sdk_metadata: true,
            count_group_by_execution_status: true,
            // Build ids are stored and shown, though nothing is routed by them yet; without it workers would fall back to
            // binary checksums.
            build_id_based_versioning: true,
            supports_schedules: false,
            nexus: false,
            server_scaled_deployments: false,
            server_scaled_provider_cloud_run: false,
        }),
    })
}

pub async fn get_cluster_info(
    frontend: &Frontend,
    _: Call,
    _: GetClusterInfoRequest,
) -> Result<GetClusterInfoResponse, Refusal> {
    let about = &frontend.about;
    Ok(GetClusterInfoResponse {
        supported_clients: SUPPORTED_CLIENTS
            .iter()
            .map(|(name, supported, _)| ((*name).into(), (*supported).into()))
            .collect(),
        server_version: API_LEVEL.into(),
        cluster_id: about.cluster_id.clone(),
        version_info: None,
        cluster_name: CLUSTER.into(),
        history_shard_count: i32::try_from(about.shards).unwrap_or(i32::MAX),
        persistence_store: about.store.clone(),
        visibility_store: about.store.clone(),
        initial_failover_version: 1,
        failover_version_increment: 10,
    })
}

/// There is one cluster: this.
pub async fn list_clusters(
    frontend: &Frontend,
    _: Call,
    _: ListClustersRequest,
) -> Result<ListClustersResponse, Refusal> {
    let about = &frontend.about;
    let cluster = ClusterMetadata {
        cluster_name: CLUSTER.into(),
        cluster_id: about.cluster_id.clone(),
        initial_failover_version: 1,
        history_shard_count: i32::try_from(about.shards).unwrap_or(i32::MAX),
        is_connection_enabled: true,
        ..ClusterMetadata::default()
    };
    Ok(ListClustersResponse { clusters: vec![cluster], next_page_token: bytes::Bytes::new() })
}
