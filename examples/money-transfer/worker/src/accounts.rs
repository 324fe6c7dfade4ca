//! Calls to the account API.

use money::{Cents, Receipt};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// An account as the account API shows it.
#[derive(Debug, Deserialize)]
pub struct Account {
    pub id: String,
    pub balance: Cents,
}

/// The account API, at one address.
#[derive(Clone)]
pub struct Accounts {
    address: String,
    http: reqwest::Client,
}

/// Why a call gave no answer to use.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The account API answered with an error.
    #[error("{url} answered {status}: {message}")]
    Answer { url: String, status: u16, code: String, message: String, is_final: bool },
    /// There was no answer, or none in time.
    #[error("no answer from {url}")]
    NoAnswer { url: String, source: reqwest::Error },
}

/// The same call will fail for ever: the bank understood it and said no. Everything else is worth another try, an unknown
/// address too, because the next version of one of the two services can mend that.
const FINAL_CODES: [&str; 6] =
    ["unknown_account", "bad_amount", "insufficient_funds", "key_reused", "too_much_money", "account_closed"];

impl AccountError {
    /// The bank's own word for the error, or `no_answer`.
    pub fn kind(&self) -> &str {
        match self {
            AccountError::Answer { code, .. } => code,
            AccountError::NoAnswer { .. } => "no_answer",
        }
    }

    /// Another try is no use.
    pub fn is_final(&self) -> bool {
        matches!(self, AccountError::Answer { is_final: true, .. })
    }

    /// The same error, but worth another try whatever the bank says: for calls that somebody must mend by hand, because
    /// giving up would lose money.
    pub fn keep_trying(mut self) -> AccountError {
        if let AccountError::Answer { is_final, .. } = &mut self {
            *is_final = false;
        }
        self
    }
}

impl Accounts {
    /// `timeout` is how long one call may take.
    pub fn at(address: &str, timeout: Duration) -> Accounts {
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .build()
            .expect("a client without TLS and proxies needs nothing that could be missing");
        Accounts { address: address.trim_end_matches('/').to_owned(), http }
    }

    /// Reads an account: `path` is the part of the address after the host.
    pub async fn read(&self, path: &str) -> Result<Account, AccountError> {
        let url = format!("{}{path}", self.address);
        self.answer(self.http.get(&url), url).await
    }

    /// Books an amount. Calls with the same `key` take effect once.
    pub async fn book(&self, path: &str, amount: Cents, key: &str) -> Result<Receipt, AccountError> {
        let url = format!("{}{path}", self.address);
        let call = self.http.post(&url).header("Idempotency-Key", key);
        self.answer(call.json(&serde_json::json!({"amount": amount})), url).await
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        call: reqwest::RequestBuilder,
        url: String,
    ) -> Result<T, AccountError> {
        #[derive(Default, Deserialize)]
        struct Refusal {
            error: RefusalBody,
        }
        #[derive(Default, Deserialize)]
        struct RefusalBody {
            code: String,
            message: String,
        }

        let no_answer = |source| AccountError::NoAnswer { url: url.clone(), source };
        let response = call.send().await.map_err(no_answer)?;
        let status = response.status();
        if status.is_success() {
            return response.json().await.map_err(no_answer);
        }
        let RefusalBody { code, message } = response.json::<Refusal>().await.unwrap_or_default().error;
        let is_final = FINAL_CODES.contains(&code.as_str());
        Err(AccountError::Answer { url, status: status.as_u16(), code, message, is_final })
    }
}
