//! Why the engine has no reply.

use steadfast_machine::{Reject, Reply};
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
            StoreError::GivenUp(why) => Failure::Reject(Reject::DeadlineExceeded(why)),
            error => Failure::Unavailable(error.to_string()),
        }
    }
}

impl Failure {
    pub fn lost() -> Failure {
        Failure::Unavailable("the outcome of the write is not known, please retry".into())
    }

    /// A reply that the machine does not give to this input: our own mistake, told as such instead of a panic.
    pub fn unexpected(reply: &Reply) -> Failure {
        tracing::error!(?reply, "a reply that does not belong to the request");
        Failure::Unavailable("something went wrong, please retry".into())
    }

    pub fn stopping() -> Failure {
        Failure::Unavailable("the server is shutting down".into())
    }
}
