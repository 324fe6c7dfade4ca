//! The web UI of Steadfast: pages, the JSON behind them, and live updates.
//!
//! It speaks to the server as any other client does, through `WorkflowServiceClient`, so it knows nothing of the engine
//! or of storage. In the product that client wraps the service in the same process and no byte crosses a network; the
//! example `serve` puts the same pages in front of any other server.
//!
//! The pages' source is in `web/`; `build.rs` embeds what was built of it. The first page's data is written into the
//! HTML, so that a visit needs no round trip before rows are visible; what changes afterwards is pushed as
//! server-sent events.

mod actions;
mod assets;
mod backend;
mod error;
mod guard;
mod history;
mod list;
mod live;
mod namespaces;
mod page;
mod proto_json;
mod queue;
mod respond;
mod routes;
mod status_filter;
mod workflow;

pub use backend::Changes;
pub use routes::router;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

/// What the pages need to know of where they are served.
#[derive(Clone)]
pub struct UiOptions {
    /// The path under which everything is served: empty for the root, or like `/steadfast` (no slash at the end).
    pub public_path: String,
    /// Host names (without port) that a request may name, besides `localhost`, its sub-domains and IP addresses, which
    /// always may. Any other is refused: a page from elsewhere that rebinds its name to this machine must not read
    /// what is here.
    pub allowed_hosts: BTreeSet<String>,
    /// The namespace that `/` leads to.
    pub default_namespace: String,
    /// Shown at the foot of each page.
    pub version: String,
    /// The server's wall clock, against which the pages count ages and the time to the next retry.
    pub clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl Default for UiOptions {
    #[allow(clippy::disallowed_methods)] // The default of the parameter that the lint asks for.
    fn default() -> Self {
        UiOptions {
            public_path: String::new(),
            allowed_hosts: BTreeSet::new(),
            default_namespace: "default".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            clock: Arc::new(SystemTime::now),
        }
    }
}
