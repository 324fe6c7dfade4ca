//! What a transfer is: the order that starts it, the steps it takes, and the state that a query answers with.

use crate::Cents;
use serde::{Deserialize, Serialize};

/// The task queue that the workers poll.
pub const TASK_QUEUE: &str = "money-transfer";
/// The workflow's type.
pub const WORKFLOW_TYPE: &str = "MoneyTransfer";
/// The query that answers with a [`TransferState`].
pub const STATE_QUERY: &str = "state";
/// The search attribute (Keyword) that holds the account the money comes from.
pub const FROM_ACCOUNT: &str = "from_account";
/// The search attribute (Keyword) that holds the account the money goes to.
pub const TO_ACCOUNT: &str = "to_account";

/// The accounts that the account API opens when its store is new.
pub const ACCOUNTS: [&str; 10] = [
    "account_A",
    "account_B",
    "account_C",
    "account_D",
    "account_E",
    "account_F",
    "account_G",
    "account_H",
    "account_I",
    "account_J",
];
/// What each of them holds at first.
pub const OPENING_BALANCE: Cents = Cents::new(100_000);

/// The input of the workflow: who gives how much to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferOrder {
    pub from: String,
    pub to: String,
    pub amount: Cents,
}

/// The balances before a transfer, of the account that gives and of the one that gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balances {
    pub from: Cents,
    pub to: Cents,
}

/// The account API's answer to a booking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub account: String,
    /// What was booked.
    pub amount: Cents,
    /// The account's balance after the booking.
    pub balance: Cents,
    /// The booking was made by an earlier call with the same idempotency key; this call changed nothing.
    #[serde(default)]
    pub repeated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    CheckBalances,
    Withdraw,
    Deposit,
    /// Only when the deposit can never succeed: the money goes back to where it came from.
    Refund,
}

impl Step {
    /// The step in words, for logs and pages.
    pub fn words(self) -> &'static str {
        match self {
            Step::CheckBalances => "check balances",
            Step::Withdraw => "withdraw",
            Step::Deposit => "deposit",
            Step::Refund => "refund",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletedStep {
    pub step: Step,
    /// What came of it, in words.
    pub note: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferOutcome {
    /// The money is where it should be.
    Done,
    /// The transfer was refused before any money moved.
    Refused,
    /// The deposit could never succeed, and the money was given back.
    Refunded,
}

/// The answer to the state query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferState {
    pub order: TransferOrder,
    /// The step that is under way; none before the first and after the last.
    pub current: Option<Step>,
    pub completed: Vec<CompletedStep>,
    pub outcome: Option<TransferOutcome>,
}
