//! From options to a server that runs: store, engine, namespaces, gRPC, pages; and back down in the same order.

use crate::callbacks::HttpCourier;
use crate::frontend::{About, Frontend, fresh_uuid};
use crate::grpc::namespaces::purge;
use crate::limits::{DRAIN, WAITING_CONNECTIONS};
use crate::listen;
use crate::token::Tokens;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use steadfast_api::v1::enums::NamespaceState as State;
use steadfast_engine::{Config, Engine, Failure, NamespaceState, SystemClock};
use steadfast_machine::{Limits, Reject};
use steadfast_query::AttributeType;
use steadfast_storage::{MemoryStore, Store, StoreError};
use steadfast_storage_sql::{SqliteOptions, SqliteStore};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the gRPC API listens; port 0 for any that is free.
    pub grpc: SocketAddr,
    /// Where the pages are served, if they are.
    pub ui: Option<SocketAddr>,
    pub ui_public_path: String,
    /// Where the metrics are served, if they are; port 0 for any that is free.
    pub metrics: Option<SocketAddr>,
    pub store: StoreChoice,
    /// Made if they are not there.
    pub namespaces: Vec<String>,
    /// Nanoseconds for which a namespace that is made keeps closed runs.
    pub retention: i64,
    /// Registered in each of `namespaces`.
    pub search_attributes: Vec<(String, AttributeType)>,
    pub limits: Limits,
}

#[derive(Clone, Debug)]
pub enum StoreChoice {
    Memory,
    File {
        path: PathBuf,
        /// `NAME=VALUE`.
        pragmas: Vec<String>,
    },
}

impl fmt::Display for StoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreChoice::Memory => f.write_str("in memory: all is lost when the server stops"),
            StoreChoice::File { path, .. } => write!(f, "{}", path.display()),
        }
    }
}

/// Why a server did not start. Its `Display` is one line for the person who started it.
#[derive(Debug)]
pub enum StartError {
    Port { what: &'static str, address: SocketAddr, why: std::io::Error },
    Store(String),
    Config(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Port { what, address, why } => {
                write!(f, "can't set {what} port {}: listen on {address}: {why}", address.port())
            }
            StartError::Store(why) | StartError::Config(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for StartError {}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> StartError {
        StartError::Store(error.to_string())
    }
}

/// A server that runs.
pub struct Running {
    /// Where the gRPC API listens.
    pub grpc: SocketAddr,
    /// Where the pages are.
    pub ui: Option<SocketAddr>,
    /// Where the metrics are.
    pub metrics: Option<SocketAddr>,
    pub frontend: Arc<Frontend>,
    tasks: JoinSet<Result<(), String>>,
}

impl Running {
    /// # Errors
    /// A port is taken, or the store does not open.
    pub async fn start(options: Options) -> Result<Running, StartError> {
        // The ports first: a second server is told at once, and touches nothing.
        let grpc_listener = bind("frontend", options.grpc)?;
        let ui_listener = match options.ui {
            Some(address) => Some(bind("UI", address)?),
            None => None,
        };
        let metrics_listener = match options.metrics {
            Some(address) => Some(bind("metrics", address)?),
            None => None,
        };
        let store = open(&options.store).await?;
        let config = Config {
            limits: options.limits.clone(),
            seed: seed()?,
            courier: Arc::new(HttpCourier::new(options.limits.callback_addresses.clone())),
            ..Config::default()
        };
        let tokens = Tokens::new(token_key(&*store).await?);
        let about = About {
            cluster_id: store.cluster_id().to_string(),
            store: store.name().to_owned(),
            shards: store.shards(),
        };
        let engine = Engine::start(store, Arc::new(SystemClock), config).await?;
        set_up_namespaces(&engine, &options).await?;
        let frontend =
            Arc::new(Frontend::new(engine, options.limits, tokens, about, CancellationToken::new()));
        let address = |listener: &TcpListener, asked| listener.local_addr().unwrap_or(asked);
        let grpc = address(&grpc_listener, options.grpc);
        let mut tasks = JoinSet::new();
        let served = listen::serve(frontend.clone(), grpc_listener);
        tasks.spawn(async move {
            served.await;
            Ok(())
        });
        let mut ui = None;
        if let Some(listener) = ui_listener {
            ui = Some(address(&listener, grpc));
            tasks.spawn(crate::ui::serve(frontend.clone(), listener, options.ui_public_path));
        }
        let mut metrics = None;
        if let Some(listener) = metrics_listener {
            metrics = Some(address(&listener, grpc));
            tasks.spawn(crate::metrics::serve(frontend.clone(), listener));
        }
        Ok(Running { grpc, ui, metrics, frontend, tasks })
    }

    /// Waits until a part of the server gives up, which none should; says why.
    pub async fn failed(&mut self) -> String {
        while let Some(ended) = self.tasks.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(why)) => return why,
                Err(error) => return format!("a part of the server ended: {error}"),
            }
        }
        std::future::pending().await
    }

    /// Long polls end with empty answers; calls that run have a moment to finish; then the store is closed.
    pub async fn stop(mut self) {
        self.frontend.stopping.cancel();
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::debug!("calls were cut off by the stop");
        }
        self.tasks.abort_all();
        self.frontend.engine.shut_down().await;
    }
}

fn bind(what: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A port that a server had a moment ago can be taken again at once.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(WAITING_CONNECTIONS)
    };
    listen().map_err(|why| StartError::Port { what, address, why })
}

async fn open(choice: &StoreChoice) -> Result<Arc<dyn Store>, StartError> {
    /// Shards of a database in memory: nobody shares it, so the number only spreads locks.
    const MEMORY_SHARDS: u32 = 4;
    match choice {
        StoreChoice::Memory => Ok(Arc::new(MemoryStore::new(MEMORY_SHARDS, fresh_uuid()))),
        StoreChoice::File { path, pragmas } => {
            if !pragmas.is_empty() {
                tracing::warn!("--sqlite-pragma has no effect: the store sets what its promises need");
            }
            let options = SqliteOptions::new(path, fresh_uuid());
            // It reads and recovers the file: some milliseconds in which nothing else should wait.
            let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&options)).await;
            match opened {
                Ok(Ok(store)) => Ok(Arc::new(store)),
                Ok(Err(error)) => Err(StartError::Store(error.to_string())),
                Err(error) => Err(StartError::Store(format!("the database was not opened: {error}"))),
            }
        }
    }
}

fn seed() -> Result<u64, StartError> {
    let mut seed = [0; 8];
    random(&mut seed)?;
    Ok(u64::from_be_bytes(seed))
}

fn random(bytes: &mut [u8]) -> Result<(), StartError> {
    getrandom::fill(bytes).map_err(|error| StartError::Config(format!("no randomness: {error}")))
}

/// The key of this database's tokens, made when it is first opened, so that tokens outlive a restart.
async fn token_key(store: &dyn Store) -> Result<[u8; 32], StartError> {
    const KIND: &str = "server";
    const KEY: &str = "token_key";
    loop {
        let known = store.configs(KIND).await?.into_iter().find(|(key, ..)| key == KEY);
        if let Some((_, _, key)) = known {
            return <[u8; 32]>::try_from(key.as_ref())
                .map_err(|_| StartError::Store("the stored key of the tokens is damaged".into()));
        }
        let mut key = [0; 32];
        random(&mut key)?;
        match store.put_config(KIND, KEY, 0, Some(bytes::Bytes::copy_from_slice(&key))).await {
            Ok(()) => return Ok(key),
            // Another process was faster: its key is the key.
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

async fn set_up_namespaces(engine: &Engine, options: &Options) -> Result<(), StartError> {
    let namespaces = engine.namespaces();
    for name in &options.namespaces {
        if namespaces.get(name).is_none() {
            let state =
                NamespaceState { retention: options.retention, ..NamespaceState::new(fresh_uuid(), name) };
            match namespaces.register(state).await {
                Ok(()) | Err(Failure::Reject(Reject::AlreadyExists(_))) => {}
                Err(failure) => return Err(no_namespace(name, &failure)),
            }
        }
        let Some(known) = namespaces.get(name) else { continue };
        let mut changed = NamespaceState::clone(&known);
        for (attribute, kind) in &options.search_attributes {
            changed.attributes.entry(attribute.clone()).or_insert(*kind);
        }
        if changed != *known {
            namespaces.update(changed).await.map_err(|failure| no_namespace(name, &failure))?;
        }
    }
    // What the last process did not finish.
    for namespace in namespaces.list() {
        if namespace.state == State::Deleted as i32 {
            tokio::spawn(purge(engine.clone(), namespace.id));
        }
    }
    Ok(())
}

fn no_namespace(name: &str, failure: &Failure) -> StartError {
    StartError::Store(format!("the namespace \"{name}\" could not be set up: {failure:?}"))
}
