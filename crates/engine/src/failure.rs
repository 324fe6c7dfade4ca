//! Why the engine has no reply.

use steadfast_machine::Reject;
use steadfast_storage::StoreError;

#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The caller is refused, and nothing was done.
    Reject(Reject),
    /// Nothing is known to have been done; trying again may succeed.
    Unavailable(String),
}

impl From<Reject> for Failure {
    fn from(reject: Reject) -> Failure {
        Failure::Reject(reject)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        match error {
            StoreError::Corrupt(_) => {
                tracing::error!(%error, "what is stored cannot be read");
                Failure::Unavailable(error.to_string())
            }
            error => Failure::Unavailable(error.to_string()),
        }
    }
}

impl Failure {
    pub fn lost() -> Failure {
        Failure::Unavailable("the outcome of the write is not known, please retry".into())
    }

    pub fn stopping() -> Failure {
        Failure::Unavailable("the server is shutting down".into())
    }
}
