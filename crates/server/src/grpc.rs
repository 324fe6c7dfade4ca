//! The gRPC services: one file per group of RPCs. The tables in `workflow_service.rs` and `operator_service.rs` say
//! which RPC is answered by which function; an RPC without one answers UNIMPLEMENTED with its name.

pub mod activity_execution_operations;
pub mod activity_executions;
pub mod activity_operations;
mod activity_tasks;
pub mod batch_operations;
pub mod cluster;
pub mod describe;
pub mod history;
pub mod namespaces;
mod nexus_tasks;
pub mod operator_service;
pub mod query_update;
pub mod search_attributes;
pub mod signal;
pub mod start;
mod table;
pub mod task_queues;
pub mod visibility;
pub mod workers;
pub mod workflow_rules;
pub mod workflow_service;
pub mod workflow_tasks;

/// The operations that this server answers.
pub fn operations() -> impl Iterator<Item = &'static str> {
    let rpcs = workflow_service::WorkflowRpcs::RPCS.iter().chain(operator_service::OperatorRpcs::RPCS);
    rpcs.filter(|rpc| rpc.built).map(|rpc| rpc.name)
}

/// An RPC of a service, for `docs/parity.md` and its test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rpc {
    pub name: &'static str,
    pub built: bool,
}
