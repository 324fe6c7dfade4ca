//! The activities: everything a transfer does outside of its own memory. Each may run more than once, because a worker can die
//! and an answer can get lost, so each booking carries a key that makes the account API do it once.

use money::{Balances, Receipt, TransferOrder};
use std::sync::Arc;
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tracing::info;
use transfer_worker::{AccountError, Accounts, AtThisLine};

pub struct TransferActivities {
    pub accounts: Accounts,
}

#[activities]
impl TransferActivities {
    #[activity(name = "check_balances")]
    pub async fn check_balances(
        self: Arc<Self>,
        context: ActivityContext,
        order: TransferOrder,
    ) -> Result<Balances, ActivityError> {
        log(&context, format!("reads {} and {}", order.from, order.to));
        let from = self.accounts.read(&format!("/accounts/{}", order.from)).await.at_this_line()?;
        let to = self.accounts.read(&format!("/accounts/{}", order.to)).await.at_this_line()?;
        Ok(Balances { from: from.balance, to: to.balance })
    }

    #[activity(name = "withdraw")]
    pub async fn withdraw(
        self: Arc<Self>,
        context: ActivityContext,
        order: TransferOrder,
    ) -> Result<Receipt, ActivityError> {
        log(&context, format!("takes {} from {}", order.amount, order.from));
        let path = format!("/accounts/{}/withdraw", order.from);
        self.accounts.book(&path, order.amount, &key(&context, "withdraw")).await.at_this_line()
    }

    #[activity(name = "deposit")]
    pub async fn deposit(
        self: Arc<Self>,
        context: ActivityContext,
        order: TransferOrder,
    ) -> Result<Receipt, ActivityError> {
        log(&context, format!("gives {} to {}", order.amount, order.to));
        let path = format!("/accounts/{}/deposit", order.to);
        self.accounts.book(&path, order.amount, &key(&context, "deposit")).await.at_this_line()
    }

    /// Gives the money back to where it came from. Never gives up: the money is in no account until this has succeeded.
    #[activity(name = "refund")]
    pub async fn refund(
        self: Arc<Self>,
        context: ActivityContext,
        order: TransferOrder,
    ) -> Result<Receipt, ActivityError> {
        log(&context, format!("gives {} back to {}", order.amount, order.from));
        let path = format!("/accounts/{}/deposit", order.from);
        let booking = self.accounts.book(&path, order.amount, &key(&context, "refund")).await;
        booking.map_err(AccountError::keep_trying).at_this_line()
    }
}

/// One key for each booking of a transfer, the same in every attempt and, as the run's id is no part of it, also when the
/// workflow is reset. Transfers are started under ids that are never used twice.
fn key(context: &ActivityContext, booking: &str) -> String {
    format!("{}/{booking}", context.info().workflow_id.as_deref().unwrap_or_default())
}

fn log(context: &ActivityContext, what: String) {
    let transfer = context.info().workflow_id.as_deref().unwrap_or_default();
    match context.info().attempt {
        1 => info!(target: "activity", "{transfer} {what}"),
        attempt => info!(target: "activity", "{transfer} {what} (attempt {attempt})"),
    }
}
