//! The closed loop: so many lanes, each doing one unit of work after the other until a bell rings or enough is done.

use anyhow::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::Client;
use crate::scenario::{OpenRun, Scenario};

/// A unit that takes longer counts as failed: something is stuck, not slow.
const UNIT_PATIENCE: Duration = Duration::from_secs(30);
/// A lane gives up after so many failures in a row.
const FAILURES_IN_A_ROW: u32 = 3;

/// When the lanes stop taking up new units; those under way are finished.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    Bell(Instant),
    Units(u64),
}

/// What one lane did.
#[derive(Default)]
pub struct Lane {
    /// For each unit, when it was finished and how long it took.
    pub finished: Vec<(Instant, Duration)>,
    pub failed: u64,
    pub first_failure: Option<Error>,
}

/// What the lanes share.
struct Shared {
    scenario: Scenario,
    until: Until,
    tag: String,
    next_id: AtomicU64,
    taken: AtomicU64,
}

/// A client, with the run that it works on where a scenario needs one.
#[derive(Clone)]
pub struct Prepared {
    pub client: Client,
    pub open: Option<OpenRun>,
}

/// Makes what each client needs before its first unit, all at the same time.
///
/// # Errors
/// The first that was met.
pub async fn prepare(
    clients: Vec<Client>,
    scenario: Scenario,
    events: u64,
    tag: &str,
) -> Result<Vec<Prepared>> {
    let mut tasks = JoinSet::new();
    for (number, mut client) in clients.into_iter().enumerate() {
        let id = format!("{tag}-open-{number}");
        tasks.spawn(async move {
            let open = scenario.prepare(&mut client, &id, events).await?;
            Ok(Prepared { client, open })
        });
    }
    tasks.join_all().await.into_iter().collect()
}

/// Takes away what `prepare` made.
pub async fn clean_up(prepared: Vec<Prepared>) -> Result<()> {
    for Prepared { mut client, open } in prepared {
        if let Some(open) = open {
            open.end(&mut client).await?;
        }
    }
    Ok(())
}

/// One lane for each client. Ids of workflows begin with `tag`, which must be new.
pub async fn run(prepared: &[Prepared], scenario: Scenario, until: Until, tag: String) -> Vec<Lane> {
    let shared =
        Arc::new(Shared { scenario, until, tag, next_id: AtomicU64::new(0), taken: AtomicU64::new(0) });
    let mut tasks = JoinSet::new();
    for prepared in prepared {
        tasks.spawn(lane(prepared.clone(), shared.clone()));
    }
    tasks.join_all().await
}

async fn lane(prepared: Prepared, shared: Arc<Shared>) -> Lane {
    let Prepared { mut client, open } = prepared;
    let mut lane = Lane::default();
    let mut in_a_row = 0;
    while in_a_row < FAILURES_IN_A_ROW && shared.goes_on() {
        let id = shared.id();
        let began = Instant::now();
        match timeout(UNIT_PATIENCE, shared.scenario.unit(&mut client, &id, open.as_ref())).await {
            Ok(Ok(())) => {
                lane.finished.push((Instant::now(), began.elapsed()));
                in_a_row = 0;
            }
            Ok(Err(error)) => {
                lane.fail(error);
                in_a_row += 1;
            }
            Err(_) => {
                lane.fail(Error::msg(format!("{id} was not finished within {UNIT_PATIENCE:?}")));
                in_a_row += 1;
            }
        }
    }
    lane
}

impl Shared {
    /// Whether a lane may take up another unit.
    fn goes_on(&self) -> bool {
        match self.until {
            Until::Bell(bell) => Instant::now() < bell,
            Until::Units(units) => self.taken.fetch_add(1, Ordering::Relaxed) < units,
        }
    }

    fn id(&self) -> String {
        format!("{}-{}", self.tag, self.next_id.fetch_add(1, Ordering::Relaxed))
    }
}

impl Lane {
    fn fail(&mut self, error: Error) {
        self.failed += 1;
        self.first_failure.get_or_insert(error);
    }
}
