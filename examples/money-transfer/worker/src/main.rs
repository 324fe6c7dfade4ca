//! The worker of the money transfer example.

mod activities;
mod workflow;

use activities::TransferActivities;
use std::process::ExitCode;
use temporalio_sdk::WorkerOptions;
use workflow::MoneyTransfer;

#[tokio::main]
async fn main() -> ExitCode {
    transfer_worker::run(|accounts| {
        let options = WorkerOptions::new(money::TASK_QUEUE)
            .register_workflow::<MoneyTransfer>()?
            .register_activities(TransferActivities { accounts });
        Ok(options.build())
    })
    .await
}
