//! The rim: what clients, workers and operators speak to.
//!
//! Requests are checked and turned into the machines' inputs, replies into responses, refusals into statuses. Nothing
//! here decides what happens to a workflow, and nothing below knows a request.

// The deprecated fields of the API are part of the contract: old SDKs send and read them.
#![allow(deprecated)]

mod accept;
pub mod admission;
pub mod call;
pub mod callbacks;
pub mod check;
mod dispatch;
pub mod dynamic_config;
pub mod from_proto;
pub mod frontend;
pub mod grpc;
mod json;
pub mod limits;
pub mod listen;
pub mod metrics;
pub mod rate;
pub mod reflection;
pub mod serve;
pub mod status;
pub mod to_proto;
pub mod token;
mod ui;

pub use grpc::cluster::API_LEVEL;
