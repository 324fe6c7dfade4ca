//! Wakes runs when something is due.
//!
//! A run has one alarm, a column of its row. In memory are those of the next minute; what is later stays in storage
//! until its minute comes.

use crate::Engine;
use crate::failure::Failure;
use ahash::HashMap;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;
use steadfast_machine::duration::{MINUTE, SECOND};
use steadfast_machine::planted::{Planted, is_planted};
use steadfast_machine::{AnyInput, Reject, RunKey, Time};
use tokio::sync::Notify;

/// How far ahead alarms are held in memory, in nanoseconds.
const WINDOW: i64 = MINUTE;

/// Alarms that are read at once.
const PAGE: usize = 10_000;

/// After so long a run that could not be woken is tried again, in nanoseconds.
const AGAIN: i64 = SECOND;

/// The clock is looked at this often, because it may be set.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Alarms {
    set: Mutex<Set>,
    changed: Notify,
}

#[derive(Default)]
struct Set {
    by_time: BTreeSet<(Time, RunKey)>,
    of_run: HashMap<RunKey, Time>,
    /// Up to here everything that is stored is also here.
    horizon: Time,
}

impl Set {
    fn put(&mut self, key: &RunKey, alarm: Option<Time>, stored: bool) -> bool {
        if let Some(old) = self.of_run.remove(key) {
            self.by_time.remove(&(old, key.clone()));
        }
        let Some(time) = alarm.filter(|time| !stored || *time <= self.horizon) else { return false };
        let first = self.by_time.first().is_none_or(|(earliest, _)| time < *earliest);
        self.by_time.insert((time, key.clone()));
        self.of_run.insert(key.clone(), time);
        first
    }
}

impl Alarms {
    /// What a commit says of a run's alarm. One that is not stored is held whenever it is due: nothing else knows of it.
    pub fn put(&self, key: &RunKey, alarm: Option<Time>, stored: bool) {
        if self.set.lock().expect("nothing panics while it holds this").put(key, alarm, stored) {
            self.changed.notify_one();
        }
    }

    /// An alarm that was due and of which nothing came. A commit in between knows better.
    fn again(&self, key: &RunKey, at: Time) {
        let mut set = self.set.lock().expect("nothing panics while it holds this");
        if !set.of_run.contains_key(key) && set.put(key, Some(at), false) {
            self.changed.notify_one();
        }
    }

    fn due(&self, now: Time) -> Vec<RunKey> {
        let mut set = self.set.lock().expect("nothing panics while it holds this");
        let mut due = Vec::new();
        while let Some((time, _)) = set.by_time.first()
            && *time <= now
            && let Some((_, key)) = set.by_time.pop_first()
        {
            set.of_run.remove(&key);
            due.push(key);
        }
        due
    }

    fn next(&self) -> Option<Time> {
        let set = self.set.lock().expect("nothing panics while it holds this");
        set.by_time.first().map(|(time, _)| *time)
    }

    fn horizon(&self) -> Time {
        self.set.lock().expect("nothing panics while it holds this").horizon
    }
}

/// Runs for as long as the engine does.
pub async fn run(engine: Engine) {
    loop {
        let now = engine.now();
        advance(&engine, now).await;
        for key in engine.inner.alarms.due(now) {
            engine.spawn(wake(engine.clone(), key));
        }
        let now = engine.now();
        let next =
            engine.inner.alarms.next().map_or(LOOK, |next| {
                Duration::from_nanos(u64::try_from(next.since(now)).unwrap_or(0)).min(LOOK)
            });
        tokio::select! {
            biased;
            () = tokio::time::sleep(next) => {}
            () = engine.inner.alarms.changed.notified() => {}
        }
    }
}

/// Wakes a run, and later once more if that cannot be done now: the alarm is no longer in memory, and would be late.
async fn wake(engine: Engine, key: RunKey) {
    let alarm = AnyInput::alarm(key.entity.kind, key.run);
    match engine.apply(key.entity.clone(), alarm).await {
        Err(_) if is_planted(Planted::AlarmNotRetried) => {}
        Err(Failure::Unavailable(_) | Failure::Reject(Reject::ResourceExhausted { .. })) => {
            engine.inner.alarms.again(&key, engine.now().plus(AGAIN));
        }
        Ok(_) | Err(Failure::Reject(_)) => {}
    }
}

/// Reads the alarms of the next stretch when half of the window is used up.
async fn advance(engine: &Engine, now: Time) {
    let alarms = &engine.inner.alarms;
    if alarms.horizon() >= now.plus(WINDOW / 2) {
        return;
    }
    let horizon = now.plus(WINDOW);
    // First the horizon: what is committed from here on puts its alarm itself.
    alarms.set.lock().expect("nothing panics while it holds this").horizon = horizon;
    match engine.inner.store.alarms(horizon, PAGE).await {
        Ok(read) => {
            let mut set = alarms.set.lock().expect("nothing panics while it holds this");
            // With a full page there may be more before the horizon: it is read when these are done.
            if read.len() == PAGE
                && let Some((last, _)) = read.last()
            {
                set.horizon = *last;
            }
            for (time, key) in read {
                let lost = is_planted(Planted::OverdueAlarmLost) && time < now;
                if !lost && !set.of_run.contains_key(&key) {
                    set.put(&key, Some(time), true);
                }
            }
        }
        Err(error) => {
            tracing::warn!(%error, "the alarms cannot be read");
            alarms.set.lock().expect("nothing panics while it holds this").horizon = now.plus(-SECOND);
        }
    }
}
