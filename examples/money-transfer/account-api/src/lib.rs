//! The bank of the money transfer example: accounts that can be read, paid into and drawn from over HTTP.
//!
//! It stands for the service of somebody else that a workflow has to live with. So it does what such services should do (exact
//! amounts, durable before it answers, an idempotency key so that a repeated call takes effect once), and on demand also what
//! they do on bad days: fail before the booking, fail after it, or hang until the caller has given up. See [`chaos`].

pub mod chaos;
mod routes;
mod store;

pub use routes::router;
pub use store::{Account, Booking, Direction, Refusal, Store, StoreError};
