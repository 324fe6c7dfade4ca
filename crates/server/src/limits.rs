//! The limits that only the rim knows, with their units and reasons. Those that the machines need too are in
//! `steadfast_machine::Limits`. The numbers are the reference's.

use std::time::Duration;

/// How long a poll for a task waits when the caller would wait longer.
pub const LONGEST_POLL: Duration = Duration::from_secs(60);
/// How long a wait for history, or for an update, lasts when the caller would wait longer.
pub const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// A poll with less time than this cannot be answered in time.
pub const SHORTEST_POLL: Duration = Duration::from_secs(2);
/// What is left of the caller's time when a long poll is answered empty, so that the answer still arrives.
pub const TAIL: Duration = Duration::from_secs(1);
/// The same for a query: its caller gets our text rather than its own.
pub const QUERY_TAIL: Duration = Duration::from_millis(100);
/// For calls that wait for a worker and came without a deadline.
pub const NO_DEADLINE: Duration = Duration::from_secs(30);
/// Batches of history in one page.
pub const HISTORY_PAGE: usize = 256;
/// Rows of one page of a list.
pub const LIST_PAGE: usize = 1000;
/// Rows of one page of a list of archived runs that may be asked for. There are none.
pub const ARCHIVED_PAGE: i32 = 10_000;
/// Namespaces of one page.
pub const NAMESPACE_PAGE: usize = 100;
/// Bytes of a namespace's name.
pub const NAMESPACE_BYTES: usize = 1000;
/// Builds of one namespace that are said to be bad.
pub const BAD_BUILDS: usize = 10;
/// Bytes of the build id that a worker tells without a deployment.
pub const BUILD_ID_BYTES: usize = 255;
/// Workflow rules of one namespace.
pub const WORKFLOW_RULES: usize = 10;
/// The shortest retention that a namespace may have.
pub const SHORTEST_RETENTION: Duration = Duration::from_secs(3600);
/// Bytes of a status's message as headers carry it, and of its details, which are left out beyond: clients take 16 KiB of
/// headers, and one that is sent more closes the connection, with everything else that runs on it.
pub const STATUS_MESSAGE_BYTES: usize = 2 << 10;
pub const STATUS_DETAIL_BYTES: usize = 8 << 10;
/// An idle connection is pinged this often, and closed when the answer takes longer than the timeout.
pub const KEEPALIVE: Duration = Duration::from_secs(60);
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Calls of one connection at a time; more wait in their client. A worker's polls are among them.
pub const STREAMS: u32 = 10_000;
/// Bytes of the headers of one request.
pub const HEADER_BYTES: u32 = 16 << 10;
/// A connection says within this what it speaks, and one of the pages has sent the head of its request.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// A connection is told to end after this, gently: its client opens another for what it calls next.
pub const CONNECTION_AGE: Duration = Duration::from_secs(300);
/// What still runs on it then is cut off after this, which is longer than any poll: a call that never sends all of its
/// request, for one.
pub const CONNECTION_GRACE: Duration = Duration::from_secs(70);
/// Connections that wait to be taken; one more is asked for again by its system, a second later. After a restart all
/// workers come back at once.
pub const WAITING_CONNECTIONS: u32 = 1024;
/// When the system has no room for one more connection, the next is looked for after this.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A stop waits this long for calls that run.
pub const DRAIN: Duration = Duration::from_secs(1);
