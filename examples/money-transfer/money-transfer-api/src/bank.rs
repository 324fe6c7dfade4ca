//! The account API, as far as the page needs it.

use money::Cents;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub id: String,
    pub balance: Cents,
    pub closed: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum BankError {
    /// The bank's refusal, with its status and body as they came.
    #[error("the account API answered {status}")]
    Refused { status: u16, body: Value },
    #[error("the account API at {address} does not answer")]
    NoAnswer { address: String, source: reqwest::Error },
}

pub struct Bank {
    address: String,
    http: reqwest::Client,
}

impl Bank {
    pub fn at(address: &str) -> Bank {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(2))
            .build()
            .expect("a client without TLS and proxies needs nothing that could be missing");
        Bank { address: address.trim_end_matches('/').to_owned(), http }
    }

    pub async fn accounts(&self) -> Result<Vec<Account>, BankError> {
        self.answer(self.http.get(format!("{}/accounts", self.address))).await
    }

    /// Gives all accounts their opening balance again.
    pub async fn reset(&self) -> Result<Vec<Account>, BankError> {
        self.answer(self.http.post(format!("{}/reset", self.address))).await
    }

    /// Closes an account, or opens it again.
    pub async fn change_account(&self, id: &str, change: &Value) -> Result<Account, BankError> {
        self.answer(self.http.put(format!("{}/accounts/{id}", self.address)).json(change)).await
    }

    /// How bad the bank's day is: `{"level": "none" | "some" | "real_world"}`.
    pub async fn chaos(&self) -> Result<Value, BankError> {
        self.answer(self.http.get(format!("{}/chaos", self.address))).await
    }

    pub async fn set_chaos(&self, level: &Value) -> Result<Value, BankError> {
        self.answer(self.http.put(format!("{}/chaos", self.address)).json(level)).await
    }

    async fn answer<T: serde::de::DeserializeOwned>(
        &self,
        call: reqwest::RequestBuilder,
    ) -> Result<T, BankError> {
        let no_answer = |source| BankError::NoAnswer { address: self.address.clone(), source };
        let response = call.send().await.map_err(no_answer)?;
        let status = response.status();
        if status.is_success() {
            return response.json().await.map_err(no_answer);
        }
        let body = response.json().await.unwrap_or(Value::Null);
        Err(BankError::Refused { status: status.as_u16(), body })
    }
}
