//! The transfer: check both balances, withdraw, deposit; and give the money back when the deposit can never succeed.
//!
//! This code runs again from the start, against the recorded history, whenever a worker takes a transfer over. So it decides by
//! nothing but its input and the results of its activities.

use crate::activities::TransferActivities;
use money::{
    Cents, CompletedStep, FROM_ACCOUNT, Step, TO_ACCOUNT, TransferOrder, TransferOutcome, TransferState,
    WORKFLOW_TYPE,
};
use std::time::Duration;
use temporalio_common::RetryPolicy;
use temporalio_common::search_attributes::SearchAttributeKey;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ActivityOptions, ApplicationFailure, WorkflowCancellationToken, WorkflowContext, WorkflowContextView,
    WorkflowResult, WorkflowTermination,
};
use tracing::info;

const FROM: SearchAttributeKey<String> = SearchAttributeKey::keyword(FROM_ACCOUNT);
const TO: SearchAttributeKey<String> = SearchAttributeKey::keyword(TO_ACCOUNT);

#[workflow]
pub struct MoneyTransfer {
    state: TransferState,
}

#[workflow_methods]
impl MoneyTransfer {
    #[init]
    pub fn new(_context: &WorkflowContextView, order: TransferOrder) -> Self {
        MoneyTransfer { state: TransferState { order, current: None, completed: Vec::new(), outcome: None } }
    }

    #[query]
    pub fn state(&self, _context: &WorkflowContextView) -> TransferState {
        self.state.clone()
    }

    #[run(name = WORKFLOW_TYPE)]
    pub async fn run(context: &mut WorkflowContext<Self>) -> WorkflowResult<TransferState> {
        let order = context.state(|transfer| transfer.state.order.clone());
        let TransferOrder { from, to, amount } = &order;
        log(context, format!("starts: {amount} from {from} to {to}"));
        if context.search_attributes().get(&FROM).is_none() {
            context.upsert_search_attributes([FROM.value_set(from.clone()), TO.value_set(to.clone())]);
        }

        begin(context, Step::CheckBalances);
        let check = context.execute_activity(TransferActivities::check_balances, order.clone(), options());
        let balances = match check.await {
            Ok(balances) => balances,
            Err(error) => return Err(refused(context, error.into())),
        };
        if balances.from < *amount {
            let message = format!("{from} holds {}, which is less than {amount}", balances.from);
            let failure = ApplicationFailure::builder(message).type_name("insufficient_funds".to_owned());
            return Err(refused(context, failure.build().into()));
        }
        let share = share_of_balance(*amount, balances.from);
        complete(
            context,
            Step::CheckBalances,
            format!("{from} holds {}, {share}% of it moves", balances.from),
        );

        // The last moment to turn back. From here on the money is on its way, and nothing interrupts it.
        if context.cancellation_token().is_cancelled() {
            return Err(refused(context, WorkflowTermination::cancelled()));
        }
        begin(context, Step::Withdraw);
        let withdrawal = context.execute_activity(TransferActivities::withdraw, order.clone(), options());
        match withdrawal.await {
            Ok(receipt) => complete(context, Step::Withdraw, format!("{from} now holds {}", receipt.balance)),
            Err(error) => return Err(refused(context, error.into())),
        }

        begin(context, Step::Deposit);
        let deposit = context.execute_activity(TransferActivities::deposit, order.clone(), options());
        match deposit.await {
            Ok(receipt) => complete(context, Step::Deposit, format!("{to} now holds {}", receipt.balance)),
            Err(error) => {
                begin(context, Step::Refund);
                let refund = context.execute_activity(TransferActivities::refund, order.clone(), options());
                let receipt = refund.await?;
                complete(context, Step::Refund, format!("{from} now holds {}", receipt.balance));
                context.state_mut(|transfer| transfer.state.outcome = Some(TransferOutcome::Refunded));
                log(context, format!("ends: {amount} went back to {from}"));
                return Err(error.into());
            }
        }

        context.state_mut(|transfer| transfer.state.outcome = Some(TransferOutcome::Done));
        log(context, "ends: done".to_owned());
        Ok(context.state(|transfer| transfer.state.clone()))
    }
}

/// How an activity is tried: for as long as it takes, every five seconds in the end. A transfer that has begun is not
/// cancelled half-way, so the activities do not listen to the workflow's cancellation but to a token that nobody cancels.
fn options() -> ActivityOptions {
    let retry = RetryPolicy::builder()
        .initial_interval(Duration::from_millis(500))
        .backoff_coefficient(2.0)
        .maximum_interval(Duration::from_secs(5));
    ActivityOptions::with_start_to_close_timeout(Duration::from_secs(10))
        .retry_policy(retry.build())
        .cancellation_token(WorkflowCancellationToken::new())
        .build()
}

/// How much of the sender's money moves, in whole percent: for the log, where a large share stands out.
fn share_of_balance(amount: Cents, balance: Cents) -> i64 {
    amount.cents() * 100 / balance.cents()
}

fn begin(context: &WorkflowContext<MoneyTransfer>, step: Step) {
    context.state_mut(|transfer| transfer.state.current = Some(step));
    log(context, format!("begins: {}", step.words()));
}

fn complete(context: &WorkflowContext<MoneyTransfer>, step: Step, note: String) {
    log(context, format!("completed: {}, {note}", step.words()));
    context.state_mut(|transfer| {
        transfer.state.current = None;
        transfer.state.completed.push(CompletedStep { step, note });
    });
}

/// The transfer ends before any money has moved.
fn refused(context: &WorkflowContext<MoneyTransfer>, why: WorkflowTermination) -> WorkflowTermination {
    log(context, format!("ends: refused. {why}"));
    context.state_mut(|transfer| {
        transfer.state.current = None;
        transfer.state.outcome = Some(TransferOutcome::Refused);
    });
    why
}

/// Logs once: not again when the history is replayed.
fn log(context: &WorkflowContext<MoneyTransfer>, what: String) {
    if !context.is_replaying() {
        info!(target: "workflow", "{} {what}", context.workflow_id());
    }
}
