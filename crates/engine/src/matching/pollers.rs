//! Who polls a queue, and who did.

use super::{DeploymentOptions, Handing};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use steadfast_api::v1::common::WorkerVersionCapabilities;
use steadfast_machine::Time;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Identities that are remembered of one queue, and for how long.
const REMEMBERED: usize = 1_000;
pub const MEMORY: Duration = Duration::from_secs(300);

/// Who polls.
#[derive(Clone, Debug, Default)]
pub struct PollerInfo {
    pub identity: String,
    /// Names the worker, if it says which it is: an identity may be that of many.
    pub instance_key: String,
    pub build_id: String,
    pub deployment_name: String,
    /// What the worker says of its version, for those who ask.
    pub deployment: Option<DeploymentOptions>,
    /// The same in the older way.
    pub version: Option<WorkerVersionCapabilities>,
    /// Tasks a second that this worker allows the queue.
    pub rate: Option<f64>,
    /// Wall time of the poll.
    pub at: Time,
}

/// A poller's place in the line.
pub struct Ticket {
    pub number: u64,
    pub receiver: oneshot::Receiver<Handing>,
}

pub struct Waiter {
    pub number: u64,
    pub info: Arc<PollerInfo>,
    pub since: Instant,
    pub sender: oneshot::Sender<Handing>,
}

/// Those who wait now, and those who polled within the last minutes.
#[derive(Default)]
pub struct Pollers {
    line: VecDeque<Waiter>,
    next_number: u64,
    known: BTreeMap<String, (Instant, Arc<PollerInfo>)>,
    last_poll: Option<(Instant, Time)>,
}

impl Pollers {
    pub fn remember(&mut self, info: &Arc<PollerInfo>, now: Instant) {
        self.last_poll = Some((now, info.at));
        if let Some(known) = self.known.get_mut(&info.identity) {
            *known = (now, info.clone());
            return;
        }
        if info.identity.is_empty() {
            return;
        }
        if self.known.len() >= REMEMBERED {
            self.known.retain(|_, (at, _)| now.duration_since(*at) < MEMORY);
            if self.known.len() >= REMEMBERED {
                self.known.pop_first();
            }
        }
        self.known.insert(info.identity.clone(), (now, info.clone()));
    }

    pub fn wait(&mut self, info: &Arc<PollerInfo>, now: Instant) -> Ticket {
        let (sender, receiver) = oneshot::channel();
        let number = self.next_number;
        self.next_number += 1;
        self.line.push_back(Waiter { number, info: info.clone(), since: now, sender });
        Ticket { number, receiver }
    }

    /// Puts a poller that was taken from the line back to its front.
    pub fn put_back(&mut self, waiter: Waiter) {
        self.line.push_front(waiter);
    }

    pub fn leave(&mut self, number: u64, at: Time) {
        let Some(place) = self.line.iter().position(|waiter| waiter.number == number) else { return };
        let Some(waiter) = self.line.remove(place) else { return };
        // A poll that ends counts as a sign of life, like one that begins.
        let now = Instant::now();
        self.last_poll = Some((now, at));
        if let Some(known) = self.known.get_mut(&waiter.info.identity) {
            *known = (now, Arc::new(PollerInfo { at, ..(*waiter.info).clone() }));
        }
    }

    pub fn next(&mut self) -> Option<Waiter> {
        while let Some(waiter) = self.line.pop_front() {
            if !waiter.sender.is_closed() {
                return Some(waiter);
            }
        }
        None
    }

    pub fn somebody_waits(&self) -> bool {
        self.line.iter().any(|waiter| !waiter.sender.is_closed())
    }

    pub fn polled_within(&self, span: Duration) -> bool {
        self.somebody_waits() || self.last_poll.is_some_and(|(at, _)| at.elapsed() < span)
    }

    /// The wall time, as the latest poll told it.
    pub fn wall(&self, now: Instant) -> Option<Time> {
        let (at, wall) = self.last_poll?;
        Some(wall.plus(i64::try_from(now.saturating_duration_since(at).as_nanos()).unwrap_or(i64::MAX)))
    }

    /// How many identities are known: the sample that scaling hints are taken of.
    pub fn count(&self) -> usize {
        self.known.len()
    }

    /// Those who polled within the last minutes, the latest first.
    pub fn recent(&mut self, now: Instant) -> Vec<Arc<PollerInfo>> {
        self.known.retain(|_, (at, _)| now.duration_since(*at) < MEMORY);
        let mut recent: Vec<_> = self.known.values().map(|(at, info)| (*at, info.clone())).collect();
        recent.sort_by(|(one, _), (other, _)| other.cmp(one));
        recent.into_iter().map(|(_, info)| info).collect()
    }

    /// Sends everybody away and forgets them.
    pub fn shut(&mut self) {
        self.line.clear();
        self.known.clear();
        self.last_poll = None;
    }

    /// Sends the polls of one worker away.
    pub fn dismiss(&mut self, instance_key: &str) {
        self.line.retain(|waiter| waiter.info.instance_key != instance_key);
        self.known.retain(|_, (_, info)| info.instance_key != instance_key);
    }
}
