//! The page and the JSON API under /api.
//!
//! Errors are `{"error": {"code": "...", "message": "..."}}`: 400 for what the caller can mend, 503 while the server or the
//! account API does not answer.

use crate::bank::{Account, Bank, BankError};
use crate::live::{Live, Picture};
use crate::progress::{Known, Progress, look};
use crate::transfers::{Listed, Standing, Started, TransferError, Transfers, start_all};
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use money::{ACCOUNTS, Cents, TransferOrder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;

/// The longest name of an account, in bytes.
const LONGEST_ACCOUNT: usize = 64;
/// The largest batch.
const LARGEST_BATCH: usize = 500;
/// The size of a batch when none is said.
const USUAL_BATCH: usize = 20;
/// The largest amount of a transfer in a batch, in cents.
const LARGEST_IN_BATCH: i64 = 2_000;
/// How many transfers an account's history shows.
const LONGEST_HISTORY: usize = 200;

struct Api {
    transfers: Arc<Transfers>,
    bank: Arc<Bank>,
    live: Arc<Live>,
}

type Shared = State<Arc<Api>>;

pub fn router(transfers: Arc<Transfers>, bank: Arc<Bank>, live: Arc<Live>) -> Router {
    Router::new()
        .route("/", get(async || Html(include_str!("page/index.html"))))
        .route("/style.css", get(async || asset("text/css", include_str!("page/style.css"))))
        .route("/page.js", get(async || asset("text/javascript", include_str!("page/page.js"))))
        .route("/api/health", get(health))
        .route("/api/transfers", post(start))
        .route("/api/transfers/{id}", get(transfer))
        .route("/api/batch", post(batch))
        .route("/api/picture", get(picture))
        .route("/api/live", get(live_pictures))
        .route("/api/accounts", get(accounts))
        .route("/api/accounts/{id}", put(change_account))
        .route("/api/accounts/{id}/transfers", get(history))
        .route("/api/chaos", get(chaos).put(set_chaos))
        .route("/api/reset", post(reset))
        .fallback(async || Failure::new(StatusCode::NOT_FOUND, "no_such_address", "there is nothing here"))
        .with_state(Arc::new(Api { transfers, bank, live }))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}

struct Failure {
    status: StatusCode,
    body: Value,
}

impl Failure {
    fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Failure {
        Failure { status, body: json!({"error": {"code": code, "message": message.into()}}) }
    }

    fn bad(code: &str, message: impl Into<String>) -> Failure {
        Failure::new(StatusCode::BAD_REQUEST, code, message)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Failure {
        Failure::bad("bad_request", rejection.body_text())
    }
}

impl From<TransferError> for Failure {
    fn from(error: TransferError) -> Failure {
        let (status, code) = match error {
            TransferError::NoAnswer(_) => (StatusCode::SERVICE_UNAVAILABLE, "server_unavailable"),
            TransferError::Refused(_) => (StatusCode::BAD_GATEWAY, "server_refused"),
        };
        Failure::new(status, code, error.to_string())
    }
}

impl From<BankError> for Failure {
    fn from(error: BankError) -> Failure {
        let message = error.to_string();
        match error {
            BankError::Refused { status, body } if body.is_object() => {
                Failure { status: StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY), body }
            }
            BankError::Refused { .. } => Failure::new(StatusCode::BAD_GATEWAY, "bank_refused", message),
            BankError::NoAnswer { .. } => {
                Failure::new(StatusCode::SERVICE_UNAVAILABLE, "bank_unavailable", message)
            }
        }
    }
}

/// Says of each of the two services behind this one whether it answers.
async fn health(State(api): Shared) -> Json<Value> {
    let (server, bank) = tokio::join!(api.transfers.count(""), api.bank.accounts());
    Json(json!({"status": "ok", "server": server.is_ok(), "account_api": bank.is_ok()}))
}

async fn start(
    State(api): Shared,
    order: Result<Json<TransferOrder>, JsonRejection>,
) -> Result<(StatusCode, Json<Started>), Failure> {
    let Json(order) = order?;
    check(&order)?;
    let started = api.transfers.start(format!("transfer-{}", random_word()), order).await?;
    api.live.something_happened();
    Ok((StatusCode::CREATED, Json(started)))
}

fn check(order: &TransferOrder) -> Result<(), Failure> {
    for account in [&order.from, &order.to] {
        let usable = (1..=LONGEST_ACCOUNT).contains(&account.len())
            && account.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if !usable {
            return Err(Failure::bad("bad_account", format!("{account:?} cannot be the name of an account")));
        }
    }
    if order.from == order.to {
        return Err(Failure::bad("bad_account", "an account cannot send money to itself"));
    }
    order.amount.bookable().map_err(|refusal| Failure::bad("bad_amount", refusal.to_string()))?;
    Ok(())
}

/// Eight letters that no earlier transfer has, as far as chance goes.
fn random_word() -> String {
    std::iter::repeat_with(fastrand::lowercase).take(8).collect()
}

#[derive(Default, Deserialize)]
struct Batch {
    count: Option<usize>,
    /// The same seed gives the same transfers.
    seed: Option<u64>,
}

async fn batch(
    State(api): Shared,
    batch: Result<Json<Batch>, JsonRejection>,
) -> Result<(StatusCode, Json<Vec<Started>>), Failure> {
    let Json(Batch { count, seed }) = batch?;
    let count = count.unwrap_or(USUAL_BATCH);
    if !(1..=LARGEST_BATCH).contains(&count) {
        return Err(Failure::bad("bad_count", format!("a batch has 1 to {LARGEST_BATCH} transfers")));
    }
    let mut dice = seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
    let name = random_word();
    let orders = (1..=count).map(|number| (format!("batch-{name}-{number:03}"), random_order(&mut dice)));
    let started = start_all(&api.transfers, orders.collect()).await;
    api.live.something_happened();
    Ok((StatusCode::CREATED, Json(started?)))
}

fn random_order(dice: &mut fastrand::Rng) -> TransferOrder {
    let from = dice.usize(0..ACCOUNTS.len());
    let to = (from + dice.usize(1..ACCOUNTS.len())) % ACCOUNTS.len();
    let amount = Cents::new(dice.i64(1..=LARGEST_IN_BATCH));
    TransferOrder { from: ACCOUNTS[from].to_owned(), to: ACCOUNTS[to].to_owned(), amount }
}

async fn transfer(State(api): Shared, Path(id): Path<String>) -> Result<Json<Progress>, Failure> {
    // In the query language a quote is escaped by a backslash; no transfer has one in its id.
    let unknown = || Failure::new(StatusCode::NOT_FOUND, "unknown_transfer", format!("there is no {id}"));
    if id.contains(['\'', '\\']) {
        return Err(unknown());
    }
    let found = api.transfers.list(&format!(" AND WorkflowId = '{id}'"), 1).await?;
    let found = found.into_iter().next().ok_or_else(unknown)?;
    Ok(Json(look(&api.transfers, found, &mut Known::default()).await))
}

/// A picture that is no older than the call.
async fn picture(State(api): Shared) -> Json<Picture> {
    let mut pictures = api.live.watch();
    pictures.mark_unchanged();
    // No change within this time means that the last one is still true.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(2), pictures.changed()).await;
    let picture = Arc::clone(&pictures.borrow());
    Json(Picture::clone(&picture))
}

async fn live_pictures(State(api): Shared) -> impl IntoResponse {
    let pictures = futures::stream::unfold((api.live.watch(), true), async |(mut pictures, first)| {
        if !first {
            pictures.changed().await.ok()?;
        }
        let picture = Arc::clone(&pictures.borrow_and_update());
        let event = Event::default().json_data(&*picture).ok()?;
        Some((Ok::<_, Infallible>(event), (pictures, false)))
    });
    Sse::new(pictures).keep_alive(KeepAlive::default())
}

async fn accounts(State(api): Shared) -> Result<Json<Vec<Account>>, Failure> {
    Ok(Json(api.bank.accounts().await?))
}

async fn change_account(
    State(api): Shared,
    Path(id): Path<String>,
    change: Result<Json<Value>, JsonRejection>,
) -> Result<Json<Account>, Failure> {
    let Json(change) = change?;
    let account = api.bank.change_account(&id, &change).await?;
    api.live.something_happened();
    Ok(Json(account))
}

#[derive(Serialize)]
struct History {
    account: String,
    /// Sums of the transfers below that are done.
    received: Cents,
    sent: Cents,
    /// What the transfers below that are under way may still move.
    under_way: Cents,
    transfers: Vec<Listed>,
    /// There are older transfers, which are not in the sums.
    truncated: bool,
}

/// An account's transfers, found by their search attributes.
async fn history(State(api): Shared, Path(account): Path<String>) -> Result<Json<History>, Failure> {
    if account.contains(['\'', '\\']) || account.len() > LONGEST_ACCOUNT {
        return Err(Failure::bad("bad_account", "that cannot be the name of an account"));
    }
    let (from, to) = (money::FROM_ACCOUNT, money::TO_ACCOUNT);
    let condition = format!(" AND ({from} = '{account}' OR {to} = '{account}')");
    let transfers = api.transfers.list(&condition, LONGEST_HISTORY).await?;
    let sum = |matches: &dyn Fn(&Listed) -> bool| {
        transfers.iter().filter(|transfer| matches(transfer)).filter_map(|transfer| transfer.amount).sum()
    };
    let done = |transfer: &Listed| transfer.status == Standing::Done;
    Ok(Json(History {
        received: sum(&|transfer| done(transfer) && transfer.to.as_deref() == Some(&account)),
        sent: sum(&|transfer| done(transfer) && transfer.from.as_deref() == Some(&account)),
        under_way: sum(&|transfer| transfer.status == Standing::Running),
        truncated: transfers.len() == LONGEST_HISTORY,
        account,
        transfers,
    }))
}

async fn chaos(State(api): Shared) -> Result<Json<Value>, Failure> {
    Ok(Json(api.bank.chaos().await?))
}

async fn set_chaos(
    State(api): Shared,
    level: Result<Json<Value>, JsonRejection>,
) -> Result<Json<Value>, Failure> {
    let Json(level) = level?;
    let level = api.bank.set_chaos(&level).await?;
    api.live.something_happened();
    Ok(Json(level))
}

async fn reset(State(api): Shared) -> Result<Json<Vec<Account>>, Failure> {
    let accounts = api.bank.reset().await?;
    api.live.something_happened();
    Ok(Json(accounts))
}
