//! What every handler works with: the engine, the limits, the tokens, and what this server says of itself.

use crate::admission::Admission;
use crate::call::Call;
use crate::from_proto::{Addressed, Context};
use crate::grpc::operations;
use crate::limits::NAMESPACE_BYTES;
use crate::metrics::Metrics;
use crate::rate::Rate;
use crate::status::Refusal;
use crate::token::{Tokens, uuid_of};
use ahash::HashMap;
use bytes::Bytes;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use steadfast_api::v1::enums::{
    NamespaceState as State, ResourceExhaustedCause as Cause, ResourceExhaustedScope as Scope,
};
use steadfast_engine::{CompletedWorkflowTask, Engine, Failure, NamespaceState};
use steadfast_machine::{EntityKey, Limits, Reject, Reply};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What GetClusterInfo and GetSystemInfo tell.
#[derive(Clone, Debug, Default)]
pub struct About {
    pub cluster_id: String,
    pub store: String,
    pub shards: u32,
}

pub struct Frontend {
    pub engine: Engine,
    pub limits: Limits,
    pub tokens: Tokens,
    pub about: About,
    pub metrics: Metrics,
    pub admission: Admission,
    rate: Rate,
    /// Done when the server stops: long polls end with empty responses.
    pub stopping: CancellationToken,
    /// Held by who starts a batch operation: how many of them run in a namespace is limited.
    pub batch_starts: tokio::sync::Mutex<()>,
    /// Held by who adds or removes search attributes: one that is removed is not added anew before its values are gone.
    pub attribute_changes: tokio::sync::Mutex<()>,
    long_calls: Mutex<HashMap<(Uuid, &'static str), usize>>,
}

impl Frontend {
    pub fn new(
        engine: Engine,
        limits: Limits,
        tokens: Tokens,
        about: About,
        stopping: CancellationToken,
    ) -> Frontend {
        let metrics = Metrics::new(operations());
        Frontend {
            engine,
            tokens,
            about,
            metrics,
            admission: Admission::default(),
            rate: Rate::new(limits.namespace_calls),
            limits,
            stopping,
            batch_starts: tokio::sync::Mutex::default(),
            attribute_changes: tokio::sync::Mutex::default(),
            long_calls: Mutex::default(),
        }
    }

    /// The namespace of a request, which every state but deleted allows.
    pub fn namespace(&self, name: &str) -> Result<Arc<NamespaceState>, Refusal> {
        if name.is_empty() {
            return Err(Reject::invalid("Namespace is empty.").into());
        }
        self.counted(self.allowed(name, &[State::Registered, State::Deprecated])?)
    }

    /// The same for calls that start something: not in a deprecated namespace.
    pub fn registered_namespace(&self, name: &str) -> Result<Arc<NamespaceState>, Refusal> {
        let namespace = self.namespace(name)?;
        self.check_state(&namespace, &[State::Registered])?;
        Ok(namespace)
    }

    /// The namespace that a token was made in; a request that names another is refused.
    pub fn token_namespace(&self, of_token: &Bytes, named: &str) -> Result<Arc<NamespaceState>, Refusal> {
        let id = uuid_of(of_token);
        let allowed = &[State::Registered, State::Deprecated];
        let namespace =
            self.engine.namespaces().by_id(id).ok_or_else(|| Refusal::NoNamespace(id.to_string()))?;
        self.check_state(&namespace, allowed)?;
        if !named.is_empty() && self.allowed(named, allowed)?.id != id {
            return Err(
                Reject::invalid("Operation requested with a token from a different namespace.").into()
            );
        }
        self.counted(namespace)
    }

    /// The namespace of a call that is within its rate.
    fn counted(&self, namespace: Arc<NamespaceState>) -> Result<Arc<NamespaceState>, Refusal> {
        self.rate.count(namespace.id, std::time::Instant::now)?;
        Ok(namespace)
    }

    fn allowed(&self, name: &str, states: &[State]) -> Result<Arc<NamespaceState>, Refusal> {
        if name.len() > NAMESPACE_BYTES {
            return Err(Reject::invalid("Namespace length exceeds limit.").into());
        }
        let namespace =
            self.engine.namespaces().get(name).ok_or_else(|| Refusal::NoNamespace(name.into()))?;
        self.check_state(&namespace, states)?;
        Ok(namespace)
    }

    fn check_state(&self, namespace: &NamespaceState, allowed: &[State]) -> Result<(), Refusal> {
        let state = State::try_from(namespace.state).unwrap_or_default();
        if allowed.contains(&state) {
            return Ok(());
        }
        Err(Refusal::NamespaceState { namespace: namespace.name.clone(), state, allowed: allowed.to_vec() })
    }

    pub fn context<'a>(&'a self, namespace: &'a NamespaceState) -> Context<'a> {
        Context { limits: &self.limits, namespace, fresh_id }
    }

    /// Hands a checked request over and waits until what it did is durable.
    pub async fn apply(&self, namespace: Uuid, (id, input): Addressed) -> Result<Reply, Refusal> {
        Ok(self.engine.apply(EntityKey::workflow(namespace, &id), input).await?)
    }

    pub async fn complete_workflow_task(
        &self,
        namespace: Uuid,
        (id, input): Addressed,
    ) -> Result<CompletedWorkflowTask, Refusal> {
        Ok(self.engine.complete_workflow_task(EntityKey::workflow(namespace, &id), input).await?)
    }

    /// Counts a call that waits, until the guard is dropped.
    pub fn long_call(&self, namespace: Uuid, call: &Call) -> Result<LongCall<'_>, Refusal> {
        let key = (namespace, call.method);
        let mut running = self.long_calls.lock().unwrap_or_else(PoisonError::into_inner);
        let count = running.entry(key).or_default();
        if *count >= self.limits.long_calls {
            return Err(Reject::ResourceExhausted {
                message: "namespace concurrent poller limit exceeded".into(),
                cause: Cause::ConcurrentLimit,
                scope: Scope::Namespace,
            }
            .into());
        }
        *count += 1;
        Ok(LongCall { frontend: self, key })
    }

    /// Waits; `None` when the server stops meanwhile.
    pub async fn unless_stopping<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            answer = wait => Some(answer),
            () = self.stopping.cancelled() => None,
        }
    }
}

/// A call that waits.
pub struct LongCall<'a> {
    frontend: &'a Frontend,
    key: (Uuid, &'static str),
}

impl Drop for LongCall<'_> {
    fn drop(&mut self) {
        let mut running = self.frontend.long_calls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = running.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.key);
            }
        }
    }
}

/// An id for a request that came without one. The rim may use the real random source: what the machines decide depends
/// on the id that they are given, not on where it came from.
#[allow(clippy::disallowed_methods)]
pub fn fresh_uuid() -> Uuid {
    Uuid::new_v4()
}

/// The same as text.
pub fn fresh_id() -> String {
    fresh_uuid().to_string()
}

/// A reply that the machine does not give to this input.
pub fn unexpected(reply: &Reply) -> Refusal {
    Failure::unexpected(reply).into()
}
