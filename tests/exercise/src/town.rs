//! A town with a server, a bank and a money transfer API; the worker is the test's own business.

use crate::build::example_binary;
use crate::wait::wait_until;
use money::Cents;
use prost::Message;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use steadfast_api::temporal::api::workflowservice::v1::workflow_service_client::WorkflowServiceClient;
use steadfast_api::v1::common::WorkflowExecution;
use steadfast_api::v1::workflowservice::{
    DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse, GetWorkflowExecutionHistoryRequest,
    ListWorkflowExecutionsRequest,
};
use steadfast_api::v1::{history, workflow};
use tempfile::TempDir;
use test_process::{Process, built_server, free_port};

/// How long a service may take to come up: long, as the machine may be busy with the rest of the tests.
const START_LIMIT: Duration = Duration::from_secs(60);
const NAMESPACE: &str = "default";

/// What differs between tests.
pub struct TownOptions {
    /// `none`, `some` or `real_world`.
    pub chaos: &'static str,
    pub chaos_seed: u64,
    /// How long a call to the bank hangs when it hangs.
    pub hang: Duration,
    /// How long the worker waits for the bank.
    pub call_timeout: Duration,
}

impl Default for TownOptions {
    fn default() -> TownOptions {
        let (hang, call_timeout) = (Duration::from_secs(5), Duration::from_secs(2));
        TownOptions { chaos: "none", chaos_seed: 1, hang, call_timeout }
    }
}

pub struct Town {
    /// Everything that the town writes; gone when the test ends.
    folder: TempDir,
    options: TownOptions,
    server_port: u16,
    ui_port: u16,
    bank_port: u16,
    api_port: u16,
    server: Option<Process>,
    bank: Process,
    api: Process,
    http: reqwest::Client,
}

impl Town {
    pub async fn start(options: TownOptions) -> Town {
        let folder = tempfile::tempdir().expect("there is room for the town's files");
        let [server_port, ui_port, bank_port, api_port] =
            [(); 4].map(|()| free_port().expect("the machine has free ports"));
        let server = start_server(folder.path(), server_port, ui_port);

        let bank = Process::start(
            Command::new(example_binary("account-api"))
                .args(["--port", &bank_port.to_string(), "--chaos", options.chaos])
                .args(["--seed", &options.chaos_seed.to_string()])
                .args(["--hang-ms", &options.hang.as_millis().to_string()])
                .arg("--db")
                .arg(folder.path().join("accounts.db")),
            &folder.path().join("account-api.log"),
        )
        .expect("the bank can be started");
        let api = Process::start(
            Command::new(example_binary("money-transfer-api"))
                .args(["--port", &api_port.to_string()])
                .args(["--server", &format!("127.0.0.1:{server_port}")])
                .args(["--account-api", &format!("http://127.0.0.1:{bank_port}")]),
            &folder.path().join("money-transfer-api.log"),
        )
        .expect("the API can be started");
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(60))
            .build()
            .expect("a client without TLS and proxies needs nothing that could be missing");
        let server = Some(server);
        let mut town =
            Town { folder, options, server_port, ui_port, bank_port, api_port, server, bank, api, http };
        town.wait_for_all().await;
        town
    }

    /// Until the server, the bank and the API answer.
    async fn wait_for_all(&mut self) {
        wait_until("the town answers", START_LIMIT, async || {
            for process in self.server.iter_mut().chain([&mut self.bank, &mut self.api]) {
                process.must_run().expect("it runs until it is stopped");
            }
            let health = self.http.get(self.api_url("/api/health")).send().await;
            let health: Value =
                health.map_err(|error| error.to_string())?.json().await.map_err(|error| error.to_string())?;
            let well = health["server"] == true && health["account_api"] == true;
            if well { Ok(()) } else { Err(health.to_string()) }
        })
        .await;
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn api_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.api_port)
    }

    /// Starts a worker in this town.
    pub fn worker(&self, binary: &Path) -> Process {
        Process::start(
            Command::new(binary)
                .args(["--server", &format!("127.0.0.1:{}", self.server_port)])
                .args(["--account-api", &format!("http://127.0.0.1:{}", self.bank_port)])
                .args(["--call-timeout-ms", &self.options.call_timeout.as_millis().to_string()]),
            &self.folder.path().join("worker.log"),
        )
        .expect("the worker can be started")
    }

    /// Kills the server with `kill -9` and starts it again on the same file; returns when it takes connections.
    pub async fn kill_server(&mut self) {
        let server = self.server.take().expect("a town always has a server");
        server.kill().expect("a server can be killed");
        let mut server = start_server(self.folder.path(), self.server_port, self.ui_port);
        wait_until("the server takes connections again", START_LIMIT, async || {
            server.must_run().expect("it runs until it is stopped");
            let connected = tokio::net::TcpStream::connect(("127.0.0.1", self.server_port)).await;
            connected.map(drop).map_err(|error| error.to_string())
        })
        .await;
        self.server = Some(server);
    }

    /// Starts a batch of random transfers; answers with the orders and their ids.
    pub async fn start_batch(&self, count: usize, seed: u64) -> Vec<Value> {
        let call = self.http.post(self.api_url("/api/batch")).json(&json!({"count": count, "seed": seed}));
        let answer = call.send().await.expect("the API answers");
        let status = answer.status();
        let started: Value = answer.json().await.expect("the API answers in JSON");
        assert!(status.is_success(), "{started}");
        let started = started.as_array().expect("a batch is a list").clone();
        assert_eq!(started.len(), count);
        started
    }

    /// What the page shows of a transfer.
    pub async fn shown(&self, id: &str) -> Value {
        let answer = self.http.get(self.api_url(&format!("/api/transfers/{id}"))).send().await;
        answer.expect("the API answers").json().await.expect("the API answers in JSON")
    }

    /// Asserts that the server's own pages show this of a transfer, one click from the list. Each pattern is a regular
    /// expression; `name` is the folder of the pictures, where they are asked for.
    pub fn assert_page_shows(&self, id: &str, patterns: &[&str], name: &str) {
        let pages = format!("http://127.0.0.1:{}", self.ui_port);
        tokio::task::block_in_place(|| crate::page::assert_seen(&pages, id, patterns, name));
    }

    async fn bank_answer(&self, path: &str) -> Vec<Value> {
        let url = format!("http://127.0.0.1:{}{path}", self.bank_port);
        let answer = self.http.get(url).send().await.expect("the bank answers");
        answer.json().await.expect("the bank answers in JSON")
    }

    /// The balances by account.
    pub async fn balances(&self) -> Vec<(String, Cents)> {
        let accounts = self.bank_answer("/accounts").await;
        accounts.iter().map(|account| (text(account, "id"), amount(account, "balance"))).collect()
    }

    /// The bank's books: idempotency key, direction, account and amount of each booking.
    pub async fn bookings(&self) -> Vec<(String, String, String, Cents)> {
        let booking = |booking: &Value| {
            let (key, direction) = (text(booking, "key"), text(booking, "direction"));
            (key, direction, text(booking, "account"), amount(booking, "amount"))
        };
        self.bank_answer("/bookings").await.iter().map(booking).collect()
    }

    /// Asserts that the books say what `orders` say, each transfer once and whole, and that no cent was lost or made.
    pub async fn assert_all_booked_once(&self, orders: &[Value]) {
        let mut expected = Vec::new();
        let mut balances: Vec<(String, Cents)> =
            money::ACCOUNTS.map(|id| (id.to_owned(), money::OPENING_BALANCE)).to_vec();
        let mut moved = |account: &str, by: Cents| {
            let (_, balance) =
                balances.iter_mut().find(|(id, _)| id == account).expect("batches use the bank's accounts");
            *balance = balance.checked_add(by).expect("the sums are small");
        };
        for order in orders {
            let (id, from, to) = (text(order, "id"), text(order, "from"), text(order, "to"));
            let amount = amount(order, "amount");
            moved(&from, Cents::new(-amount.cents()));
            moved(&to, amount);
            expected.push((format!("{id}/withdraw"), "withdraw".to_owned(), from, amount));
            expected.push((format!("{id}/deposit"), "deposit".to_owned(), to, amount));
        }
        let mut booked = self.bookings().await;
        booked.sort();
        expected.sort();
        assert_eq!(booked, expected, "each effect once");
        let held = self.balances().await;
        assert_eq!(held, balances, "what each account holds");
        assert_eq!(
            held.into_iter().map(|(_, balance)| balance).sum::<Cents>(),
            total(),
            "the sum of all accounts"
        );
    }

    // ---------------------------------------------------------------- the server's own API

    async fn temporal(&self) -> Result<WorkflowServiceClient<tonic::transport::Channel>, String> {
        let address = format!("http://127.0.0.1:{}", self.server_port);
        WorkflowServiceClient::connect(address).await.map_err(|error| error.to_string())
    }

    /// DescribeWorkflowExecution.
    pub async fn describe(&self, id: &str) -> Result<DescribeWorkflowExecutionResponse, String> {
        let request = DescribeWorkflowExecutionRequest {
            namespace: NAMESPACE.to_owned(),
            execution: Some(execution(id)),
        };
        let described = self.temporal().await?.describe_workflow_execution(request).await;
        described.map(|answer| answer.into_inner()).map_err(|status| status.to_string())
    }

    /// The history of a transfer; those of this example fit one page.
    pub async fn history(&self, id: &str) -> Result<Vec<history::HistoryEvent>, String> {
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: NAMESPACE.to_owned(),
            execution: Some(execution(id)),
            ..Default::default()
        };
        let answer = self.temporal().await?.get_workflow_execution_history(request).await;
        let encoded = answer.map_err(|status| status.to_string())?.into_inner().history;
        Ok(history::History::decode(encoded.unwrap_or_default()).map_err(|error| error.to_string())?.events)
    }

    /// Workflows that match a visibility query.
    pub async fn list(&self, query: &str) -> Result<Vec<workflow::WorkflowExecutionInfo>, String> {
        let mut found = Vec::new();
        let mut next_page_token = Default::default();
        let mut temporal = self.temporal().await?;
        loop {
            let request = ListWorkflowExecutionsRequest {
                namespace: NAMESPACE.to_owned(),
                query: query.to_owned(),
                page_size: 200,
                next_page_token,
            };
            let page =
                temporal.list_workflow_executions(request).await.map_err(|status| status.to_string())?;
            let page = page.into_inner();
            found.extend(page.executions);
            next_page_token = page.next_page_token;
            if next_page_token.is_empty() {
                return Ok(found);
            }
        }
    }
}

fn start_server(folder: &Path, port: u16, ui_port: u16) -> Process {
    let database: PathBuf = folder.join("steadfast.db");
    Process::start(
        Command::new(built_server())
            .args(["server", "start-dev", "--port", &port.to_string(), "--ui-port", &ui_port.to_string()])
            .arg("--db-filename")
            .arg(database)
            .args(["--search-attribute", "from_account=Keyword"])
            .args(["--search-attribute", "to_account=Keyword"]),
        &folder.join("server.log"),
    )
    .expect("the server can be started")
}

fn execution(id: &str) -> WorkflowExecution {
    WorkflowExecution { workflow_id: id.to_owned(), run_id: String::new() }
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("{value} has no text {field}")).to_owned()
}

fn amount(value: &Value, field: &str) -> Cents {
    text(value, field).parse().unwrap_or_else(|error| panic!("{value}: {error}"))
}

/// What all accounts hold together, always.
pub fn total() -> Cents {
    money::ACCOUNTS.iter().map(|_| money::OPENING_BALANCE).sum()
}
