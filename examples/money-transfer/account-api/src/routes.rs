//! The HTTP API of the bank, and where the bad days happen to it.
//!
//! Errors are JSON: `{"error": {"code": "...", "message": "..."}}`, and `insufficient_funds` adds the balance. A caller decides by
//! the code: `unknown_account`, `account_closed`, `bad_amount`, `insufficient_funds` and `key_reused` stay true however often one
//! asks; `unavailable` and `no_such_address` may be gone next time.

use crate::chaos::{Chaos, Fate, Level};
use crate::store::{Account, Booking, Direction, Refusal, Store, StoreError};
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use money::{Cents, Receipt};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

/// The longest idempotency key, in bytes.
const LONGEST_KEY: usize = 200;
/// The longest body, in bytes: an amount needs no more.
const LONGEST_BODY: usize = 1024;

struct Bank {
    store: Store,
    chaos: Chaos,
}

type Shared = State<Arc<Bank>>;

/// All addresses of the bank.
pub fn router(store: Store, chaos: Chaos) -> Router {
    Router::new()
        .route("/health", get(async || Json(json!({"status": "ok"}))))
        .route("/accounts", get(accounts))
        .route("/accounts/{id}", get(account).put(set_closed))
        .route("/accounts/{id}/withdraw", post(withdraw))
        .route("/accounts/{id}/deposit", post(deposit))
        .route("/bookings", get(bookings))
        .route("/reset", post(reset))
        .route("/chaos", get(chaos_level).put(set_chaos_level))
        .fallback(no_such_address)
        .layer(axum::extract::DefaultBodyLimit::max(LONGEST_BODY))
        .with_state(Arc::new(Bank { store, chaos }))
}

#[derive(Debug)]
struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
    balance: Option<Cents>,
}

impl Failure {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Failure {
        Failure { status, code, message: message.into(), balance: None }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        let message = error.to_string();
        let refusal = match error {
            StoreError::Refused(refusal) => refusal,
            StoreError::Sqlite(_) => {
                tracing::error!("{message}");
                return Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "unavailable", message);
            }
        };
        match refusal {
            Refusal::UnknownAccount(_) => Failure::new(StatusCode::NOT_FOUND, "unknown_account", message),
            Refusal::KeyReused(_) => Failure::new(StatusCode::CONFLICT, "key_reused", message),
            Refusal::AccountClosed(_) => {
                Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "account_closed", message)
            }
            Refusal::TooMuchMoney(_) => {
                Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "too_much_money", message)
            }
            Refusal::InsufficientFunds { balance, .. } => Failure {
                balance: Some(balance),
                ..Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "insufficient_funds", message)
            },
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut error = json!({"code": self.code, "message": self.message});
        if let Some(balance) = self.balance {
            error["balance"] = json!(balance);
        }
        (self.status, Json(json!({"error": error}))).into_response()
    }
}

/// Runs a call on the store on a thread that may block.
async fn blocking<T: Send + 'static>(
    bank: &Arc<Bank>,
    call: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Failure> {
    let bank = Arc::clone(bank);
    let answer = tokio::task::spawn_blocking(move || call(&bank.store)).await;
    let stopped = |_| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "unavailable", "the bank is closing");
    Ok(answer.map_err(stopped)??)
}

/// Lets the day's chaos happen around `call`.
async fn in_the_real_world<T>(
    bank: &Arc<Bank>,
    what: &str,
    call: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let fate = bank.chaos.fate();
    if fate != Fate::Answered {
        tracing::warn!("{what}: {fate:?}");
    }
    let unavailable =
        || Failure::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the bank has a bad day; try again");
    match fate {
        Fate::Answered => call.await,
        Fate::FailsBefore => Err(unavailable()),
        Fate::FailsAfter => call.await.and(Err(unavailable())),
        Fate::HangsBefore => {
            tokio::time::sleep(bank.chaos.hang).await;
            Err(unavailable())
        }
        Fate::HangsAfter => {
            let answer = call.await;
            tokio::time::sleep(bank.chaos.hang).await;
            answer.and(Err(unavailable()))
        }
    }
}

async fn accounts(State(bank): Shared) -> Result<Json<Vec<Account>>, Failure> {
    blocking(&bank, Store::accounts).await.map(Json)
}

async fn account(State(bank): Shared, Path(id): Path<String>) -> Result<Json<Account>, Failure> {
    let what = format!("read {id}");
    in_the_real_world(&bank, &what, blocking(&bank, move |store| store.account(&id))).await.map(Json)
}

#[derive(Deserialize)]
struct Closed {
    closed: bool,
}

async fn set_closed(
    State(bank): Shared,
    Path(id): Path<String>,
    change: Result<Json<Closed>, JsonRejection>,
) -> Result<Json<Account>, Failure> {
    let Json(Closed { closed }) = change
        .map_err(|rejection| Failure::new(StatusCode::BAD_REQUEST, "bad_change", rejection.body_text()))?;
    blocking(&bank, move |store| store.set_closed(&id, closed)).await.map(Json)
}

async fn bookings(State(bank): Shared) -> Result<Json<Vec<Booking>>, Failure> {
    blocking(&bank, Store::bookings).await.map(Json)
}

#[derive(Deserialize)]
struct Order {
    amount: Cents,
}

async fn withdraw(
    bank: Shared,
    id: Path<String>,
    headers: HeaderMap,
    order: Result<Json<Order>, JsonRejection>,
) -> Result<Json<Receipt>, Failure> {
    book(bank, Direction::Withdraw, id, headers, order).await
}

async fn deposit(
    bank: Shared,
    id: Path<String>,
    headers: HeaderMap,
    order: Result<Json<Order>, JsonRejection>,
) -> Result<Json<Receipt>, Failure> {
    book(bank, Direction::Deposit, id, headers, order).await
}

async fn book(
    State(bank): Shared,
    direction: Direction,
    Path(id): Path<String>,
    headers: HeaderMap,
    order: Result<Json<Order>, JsonRejection>,
) -> Result<Json<Receipt>, Failure> {
    let bad_amount = |message: String| Failure::new(StatusCode::BAD_REQUEST, "bad_amount", message);
    let Json(Order { amount }) = order.map_err(|rejection| bad_amount(rejection.body_text()))?;
    let amount = amount.bookable().map_err(|refusal| bad_amount(refusal.to_string()))?;
    let key = idempotency_key(&headers)?;

    let what = format!("{direction:?} {amount} {id}");
    let booking = blocking(&bank, move |store| store.book(direction, &id, amount, key.as_deref()));
    let receipt = in_the_real_world(&bank, &what, booking).await?;
    tracing::info!(
        "{what}: now {}{}",
        receipt.balance,
        if receipt.repeated { " (a repeated call, booked before)" } else { "" }
    );
    Ok(Json(receipt))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=LONGEST_KEY).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Failure::new(
            StatusCode::BAD_REQUEST,
            "bad_key",
            format!("an Idempotency-Key is 1 to {LONGEST_KEY} visible characters"),
        )),
    }
}

async fn reset(State(bank): Shared) -> Result<Json<Vec<Account>>, Failure> {
    blocking(&bank, |store| store.reset().and_then(|()| store.accounts())).await.map(Json)
}

#[derive(Serialize, Deserialize)]
struct ChaosLevel {
    level: Level,
}

async fn chaos_level(State(bank): Shared) -> Json<ChaosLevel> {
    Json(ChaosLevel { level: bank.chaos.level() })
}

async fn set_chaos_level(
    State(bank): Shared,
    level: Result<Json<ChaosLevel>, JsonRejection>,
) -> Result<Json<ChaosLevel>, Failure> {
    let Json(ChaosLevel { level }) = level
        .map_err(|rejection| Failure::new(StatusCode::BAD_REQUEST, "bad_level", rejection.body_text()))?;
    bank.chaos.set_level(level);
    tracing::info!("chaos: {level:?}");
    Ok(Json(ChaosLevel { level }))
}

async fn no_such_address(method: Method, uri: Uri) -> Failure {
    let message = format!("the bank has nothing at {method} {}", uri.path());
    Failure::new(StatusCode::NOT_FOUND, "no_such_address", message)
}
