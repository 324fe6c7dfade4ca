//! OperatorService: which function answers which RPC. The order is the API's.

use super::table::service;
use super::{cluster, namespaces, search_attributes};
use crate::frontend::Frontend;
use std::sync::Arc;
use steadfast_api::v1::operatorservice::operator_service_server::OperatorService;
use steadfast_api::v1::operatorservice::*;

#[derive(Clone)]
pub struct OperatorRpcs(pub Arc<Frontend>);

service! {
    OperatorService for OperatorRpcs;
    add_search_attributes(AddSearchAttributesRequest) -> AddSearchAttributesResponse = search_attributes::add_search_attributes;
    remove_search_attributes(RemoveSearchAttributesRequest) -> RemoveSearchAttributesResponse = search_attributes::remove_search_attributes;
    list_search_attributes(ListSearchAttributesRequest) -> ListSearchAttributesResponse = search_attributes::list_search_attributes;
    delete_namespace(DeleteNamespaceRequest) -> DeleteNamespaceResponse = namespaces::delete_namespace;
    add_or_update_remote_cluster(AddOrUpdateRemoteClusterRequest) -> AddOrUpdateRemoteClusterResponse;
    remove_remote_cluster(RemoveRemoteClusterRequest) -> RemoveRemoteClusterResponse;
    list_clusters(ListClustersRequest) -> ListClustersResponse = cluster::list_clusters;
    get_nexus_endpoint(GetNexusEndpointRequest) -> GetNexusEndpointResponse;
    create_nexus_endpoint(CreateNexusEndpointRequest) -> CreateNexusEndpointResponse;
    update_nexus_endpoint(UpdateNexusEndpointRequest) -> UpdateNexusEndpointResponse;
    delete_nexus_endpoint(DeleteNexusEndpointRequest) -> DeleteNexusEndpointResponse;
    list_nexus_endpoints(ListNexusEndpointsRequest) -> ListNexusEndpointsResponse;
}
