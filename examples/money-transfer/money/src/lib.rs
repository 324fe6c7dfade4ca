//! What the services of the money transfer example agree on: money in whole cents, and what a transfer is.
//!
//! The web page, the worker and the tests speak of the same transfer, so its input, its state and the names under which the
//! server knows it are written down once, here. Nothing in this crate does any work.

mod cents;
mod transfer;

pub use cents::{BadAmount, Cents};
pub use transfer::{
    ACCOUNTS, Balances, CompletedStep, FROM_ACCOUNT, OPENING_BALANCE, Receipt, STATE_QUERY, Step, TASK_QUEUE,
    TO_ACCOUNT, TransferOrder, TransferOutcome, TransferState, WORKFLOW_TYPE,
};
