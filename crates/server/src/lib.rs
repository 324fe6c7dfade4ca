//! The rim: what clients, workers and operators speak to.
//!
//! Requests are checked and turned into the machines' inputs, replies into responses, refusals into statuses. Nothing
//! here decides what happens to a workflow, and nothing below knows a request.

pub mod check;
pub mod cron;
pub mod facade;
pub mod from_proto;
pub mod limits;
pub mod status;
pub mod to_proto;
pub mod token;
