//! The Temporal API as Rust types: messages with `Bytes` payloads, clients and servers of every service, and the
//! descriptors that they were generated from.
//!
//! Everything is generated at build time from the official `temporalio-protos` crate; see `build.rs`.

pub mod codec;

#[allow(clippy::all, rustdoc::all, missing_docs)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/api.rs"));
}

pub use generated::google;
pub use generated::temporal;

/// The packages that most code needs, by the last word of their name.
pub mod v1 {
    pub use crate::temporal::api::{
        activity::v1 as activity, command::v1 as command, common::v1 as common, deployment::v1 as deployment,
        enums::v1 as enums, errordetails::v1 as errordetails, failure::v1 as failure, filter::v1 as filter,
        history::v1 as history, namespace::v1 as namespace, operatorservice::v1 as operatorservice,
        protocol::v1 as protocol, query::v1 as query, replication::v1 as replication, sdk::v1 as sdk,
        taskqueue::v1 as taskqueue, update::v1 as update, version::v1 as version, worker::v1 as worker,
        workflow::v1 as workflow, workflowservice::v1 as workflowservice,
    };
}

/// The descriptors of every message and service, for reflection and for the JSON form.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
