//! A server with a connection to it, what every family finds there, and what must hold after each case.

use crate::answer::Answer;
use crate::grpc::ask;
use crate::requests::{
    OPEN, activity, complete, finish, fresh, poll, poll_activity, queue, schedule, seconds, start,
};
use crate::server::{Server, ServerOptions, database};
use rusqlite::{Connection, OpenFlags};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use steadfast_api::v1::command::Command;
use steadfast_api::v1::workflowservice::*;
use tempfile::TempDir;
use test_process::built_server;
use tonic::transport::{Channel, Endpoint};

pub struct World {
    // Dropped first: the folder goes when nobody writes to it any more.
    server: Mutex<Server>,
    addresses: (SocketAddr, SocketAddr),
    channel: Channel,
    database: Mutex<Connection>,
    /// Bytes of the log that were looked at.
    log_seen: Mutex<usize>,
    folder: TempDir,
    options: ServerOptions,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub async fn new(options: &ServerOptions) -> Arc<World> {
        let folder = tempfile::tempdir().expect("there is room for a database");
        let server = Server::start(folder.path(), options);
        let readable = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = Connection::open_with_flags(database(folder.path()), readable);
        let world = World {
            addresses: (server.grpc, server.ui),
            channel: connect(server.grpc),
            server: Mutex::new(server),
            database: Mutex::new(connection.expect("the database is there")),
            log_seen: Mutex::new(0),
            folder,
            options: options.clone(),
        };
        world.start(start(|request| request.workflow_id = OPEN.into())).await;
        Arc::new(world)
    }

    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// A connection of its own.
    pub fn another_channel(&self) -> Channel {
        connect(self.addresses.0)
    }

    /// Where the gRPC API and the pages are.
    pub fn server_addresses(&self) -> (SocketAddr, SocketAddr) {
        self.addresses
    }

    pub fn server(&self) -> MutexGuard<'_, Server> {
        locked(&self.server)
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// A number that changes when the server commits anything.
    pub fn version(&self) -> i64 {
        let version = locked(&self.database).query_row("PRAGMA data_version", [], |row| row.get(0));
        version.expect("the database can be asked")
    }

    /// Waits until nothing was committed for half a second; for ten at most.
    pub async fn settled(&self) {
        const QUIET: std::time::Duration = std::time::Duration::from_millis(500);
        for _ in 0..20 {
            let before = self.version();
            tokio::time::sleep(QUIET).await;
            if self.version() == before {
                return;
            }
        }
    }

    pub async fn start(&self, request: StartWorkflowExecutionRequest) -> String {
        let reply: StartWorkflowExecutionResponse = ask(self, &request).await.expect("it is in order");
        reply.run_id
    }

    /// A workflow of this id whose first task a worker has taken, and has ten minutes for.
    pub async fn workflow_task(&self, id: &str) -> PollWorkflowTaskQueueResponse {
        self.workflow_task_in(crate::requests::NAMESPACE, id).await
    }

    pub async fn workflow_task_in(&self, namespace: &str, id: &str) -> PollWorkflowTaskQueueResponse {
        self.start(start(|request| {
            request.namespace = namespace.into();
            request.workflow_id = id.into();
            request.task_queue = Some(queue(id));
            request.workflow_task_timeout = seconds(120);
        }))
        .await;
        self.next_task(namespace, id).await
    }

    /// The next workflow task of a queue.
    pub async fn next_task(&self, namespace: &str, on: &str) -> PollWorkflowTaskQueueResponse {
        let polled = poll(|request| {
            request.namespace = namespace.into();
            request.task_queue = Some(queue(on));
        });
        let task: PollWorkflowTaskQueueResponse = ask(self, &polled).await.expect("it is in order");
        assert!(!task.task_token.is_empty(), "{on} has a task");
        task
    }

    /// Answers a workflow task.
    pub async fn complete(
        &self,
        task: &PollWorkflowTaskQueueResponse,
        commands: Vec<Command>,
    ) -> Result<(), Answer> {
        let request = complete(|request| {
            request.namespace = String::new();
            request.task_token = task.task_token.clone();
            request.commands = commands;
        });
        ask::<_, RespondWorkflowTaskCompletedResponse>(self, &request).await.map(|_| ())
    }

    /// An activity of a new workflow of this id, which a worker has taken.
    pub async fn activity_task(&self, id: &str) -> PollActivityTaskQueueResponse {
        let task = self.workflow_task(id).await;
        self.complete(&task, vec![schedule(activity("1", id))]).await.expect("it is in order");
        let request = poll_activity(|request| request.task_queue = Some(queue(id)));
        let task: PollActivityTaskQueueResponse = ask(self, &request).await.expect("it is in order");
        assert!(!task.task_token.is_empty(), "{id} has an activity");
        task
    }

    /// The server lives, has logged no panic and no error since it was asked last, and a workflow starts and completes.
    pub async fn healthy(&self) -> Result<(), String> {
        {
            let mut server = self.server();
            let log = server.log();
            let mut seen = locked(&self.log_seen);
            let news = log.get(*seen..).unwrap_or_default().to_owned();
            *seen = log.len();
            let bad = |line: &&str| line.contains("panicked at") || line.contains("ERROR");
            if let Some(line) = news.lines().find(bad) {
                return Err(format!("the server logged: {line}"));
            }
            if let Some(status) = server.ended() {
                return Err(format!("the server ended with {status}; its log ends with: {news}"));
            }
        }
        self.canary().await
    }

    async fn canary(&self) -> Result<(), String> {
        const CANARY: &str = "canary";
        let told = |answer: Answer| format!("the canary was told {}: {}", answer.code, answer.text);
        let request = start(|request| {
            request.workflow_id = fresh(CANARY);
            request.task_queue = Some(queue(CANARY));
        });
        ask::<_, StartWorkflowExecutionResponse>(self, &request).await.map_err(told)?;
        let request = poll(|request| request.task_queue = Some(queue(CANARY)));
        let task: PollWorkflowTaskQueueResponse = ask(self, &request).await.map_err(told)?;
        if task.task_token.is_empty() {
            return Err("the canary's task does not come".into());
        }
        self.complete(&task, vec![finish()]).await.map_err(told)
    }

    /// Stops the server, has every page, row and checksum of the file checked, and sees that a server starts on it again.
    pub async fn check_database(self: Arc<Self>) -> Result<(), String> {
        let Ok(world) = Arc::try_unwrap(self) else { return Err("a case has kept the world".into()) };
        let World { server, database: connection, folder, options, .. } = world;
        drop(connection);
        server.into_inner().unwrap_or_else(PoisonError::into_inner).stop();
        let check = std::process::Command::new(built_server())
            .args(["database", "check"])
            .arg(database(folder.path()))
            .output();
        let check = check.map_err(|error| error.to_string())?;
        if !check.status.success() {
            let said = [check.stdout, check.stderr].concat();
            return Err(format!("the check of the database: {}", String::from_utf8_lossy(&said)));
        }
        let server = Server::start(folder.path(), &options);
        let log = server.log();
        server.stop();
        match log.lines().find(|line| line.contains("panicked at") || line.contains("ERROR")) {
            Some(line) => Err(format!("the server logged: {line}")),
            None => Ok(()),
        }
    }
}

fn connect(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).expect("it is an address").connect_lazy()
}
