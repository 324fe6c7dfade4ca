//! What commands about other workflows have in common: which namespace and which run they mean.

use super::{Done, Trouble};
use crate::env::Env;
use crate::key::EntityKey;
use crate::reject::Reject;
use steadfast_api::v1::enums::WorkflowTaskFailedCause as Cause;
use uuid::Uuid;

/// The namespace that a command names; its own where it names none.
pub struct Target {
    pub namespace: String,
    pub namespace_id: Uuid,
}

impl Target {
    pub fn find(cause: Cause, namespace: &str, env: &Env<'_>) -> Result<Target, Trouble> {
        let own = env.namespace.name();
        if namespace.is_empty() || namespace == own {
            return Ok(Target { namespace: own.to_owned(), namespace_id: env.namespace.id() });
        }
        let Some(namespace_id) = env.namespace.find(namespace) else {
            return Err(Trouble::Refuse(Reject::NamespaceNotFound(namespace.to_owned())));
        };
        if !env.limits.cross_namespace_commands {
            return Err(Trouble::fail(cause, "cross namespace commands are not allowed"));
        }
        Ok(Target { namespace: namespace.to_owned(), namespace_id })
    }

    pub fn entity(&self, workflow_id: &str) -> EntityKey {
        EntityKey::workflow(self.namespace_id, workflow_id)
    }
}

/// A run id is a UUID, or empty for the current run.
pub fn check_run_id(cause: Cause, command: &str, run_id: &str, context: &str) -> Done {
    if run_id.is_empty() || Uuid::parse_str(run_id).is_ok() {
        return Ok(());
    }
    Err(Trouble::fail(cause, format!("Invalid RunId set on {command}. {context}")))
}

/// A run may only wait for so many other workflows at once.
pub fn check_pending(cause: Cause, what: &str, pending: usize, limit: usize) -> Done {
    if pending < limit {
        return Ok(());
    }
    let message = format!("the number of {what}, {pending}, has reached the per-workflow limit of {limit}");
    Err(Trouble::fail(cause, message))
}
