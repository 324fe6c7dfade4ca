//! What a queue counts, by priority.

use super::TASKS_OF_NO_PRIORITY;
use std::time::Duration;
use steadfast_machine::Time;
use tokio::time::Instant;

/// Rates are counted over so many buckets of so many seconds.
const BUCKETS: usize = 6;
const BUCKET: Duration = Duration::from_secs(5);

/// The counts of a queue's priorities. Most queues have one.
#[derive(Default)]
pub struct Counts {
    levels: Vec<Level>,
    /// Tasks that were there at the start; their priorities are not known until they are finished.
    restored: u64,
}

#[derive(Default)]
pub struct Level {
    pub priority: u8,
    /// Tasks that are rows, wherever they are.
    pub count: u64,
    /// The places of the first task since it was empty, and of the last.
    pub first: i64,
    pub last: i64,
    pub added: Rate,
    pub dispatched: Rate,
}

/// A priority's numbers, as callers see them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LevelView {
    pub priority: u8,
    pub backlog: i64,
    /// When the oldest waiting task was put in the queue.
    pub oldest: Option<Time>,
    /// Tasks a second.
    pub add_rate: f32,
    pub dispatch_rate: f32,
}

impl Counts {
    pub fn restore(&mut self, count: u64) {
        self.restored += count;
    }

    pub fn level(&mut self, priority: u8) -> &mut Level {
        let place = match self.levels.binary_search_by_key(&priority, |level| level.priority) {
            Ok(place) => place,
            Err(place) => {
                let level = Level { priority, ..Level::default() };
                self.levels.insert(place, level);
                place
            }
        };
        &mut self.levels[place]
    }

    /// A row is gone.
    pub fn finished(&mut self, priority: u8) {
        let level = self.level(priority);
        if level.count > 0 {
            level.count -= 1;
        } else {
            self.restored = self.restored.saturating_sub(1);
        }
    }

    /// The rows of all priorities.
    pub fn total(&self) -> u64 {
        self.restored + self.levels.iter().map(|level| level.count).sum::<u64>()
    }

    /// Nothing is there, whatever was counted.
    pub fn clear(&mut self) {
        self.restored = 0;
        self.levels.iter_mut().for_each(|level| level.count = 0);
    }

    /// Tasks a second that come, and that go.
    pub fn rates(&self, now: Instant) -> (f32, f32) {
        let sum =
            |rate: fn(&Level) -> &Rate| self.levels.iter().map(|level| rate(level).per_second(now)).sum();
        (sum(|level| &level.added), sum(|level| &level.dispatched))
    }

    /// Every priority that was used, and the one of tasks that have none.
    pub fn views(&self, now: Instant) -> Vec<LevelView> {
        let mut views: Vec<LevelView> = self.levels.iter().map(|level| level.view(now)).collect();
        let unset = match views.binary_search_by_key(&TASKS_OF_NO_PRIORITY, |view| view.priority) {
            Ok(place) => place,
            Err(place) => {
                views.insert(place, LevelView { priority: TASKS_OF_NO_PRIORITY, ..LevelView::default() });
                place
            }
        };
        views[unset].backlog += i64::try_from(self.restored).unwrap_or(i64::MAX);
        views
    }
}

impl Level {
    fn view(&self, now: Instant) -> LevelView {
        LevelView {
            priority: self.priority,
            backlog: i64::try_from(self.count).unwrap_or(i64::MAX),
            oldest: None,
            add_rate: self.added.per_second(now),
            dispatch_rate: self.dispatched.per_second(now),
        }
    }
}

/// Counts over a sliding window.
#[derive(Default)]
pub struct Rate {
    /// When the first thing was counted.
    since: Option<Instant>,
    /// The bucket, counted from `since`, in which the last thing was counted.
    last: u64,
    /// By the bucket's number modulo their count. One more than the window has, for the one that is being filled.
    buckets: [u32; BUCKETS + 1],
}

impl Rate {
    pub fn count(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let bucket = now.duration_since(since).as_secs() / BUCKET.as_secs();
        let passed = bucket.saturating_sub(self.last).min(self.buckets.len() as u64);
        for step in 1..=passed {
            self.buckets[((self.last + step) % self.buckets.len() as u64) as usize] = 0;
        }
        if bucket > self.last && passed == self.buckets.len() as u64 {
            self.buckets = [0; BUCKETS + 1];
        }
        self.last = bucket.max(self.last);
        self.buckets[(self.last % self.buckets.len() as u64) as usize] += 1;
    }

    /// Takes the last count back.
    pub fn uncount(&mut self) {
        let bucket = &mut self.buckets[(self.last % (BUCKETS as u64 + 1)) as usize];
        *bucket = bucket.saturating_sub(1);
    }

    pub fn per_second(&self, now: Instant) -> f32 {
        let Some(since) = self.since else { return 0.0 };
        let elapsed = now.duration_since(since);
        let bucket = elapsed.as_secs() / BUCKET.as_secs();
        let first = bucket.saturating_sub(BUCKETS as u64 - 1);
        let size = self.buckets.len() as u64;
        let recent = (first..=bucket).filter(|number| *number <= self.last && self.last - number < size);
        let count: u32 = recent.map(|number| self.buckets[(number % size) as usize]).sum();
        let span = elapsed - BUCKET * u32::try_from(first).unwrap_or(u32::MAX);
        count as f32 / span.as_secs_f32().max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_looks_back_half_a_minute() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(start), 0.0);
        for second in 0..60 {
            rate.count(after(second));
            rate.count(after(second));
        }
        let steady = rate.per_second(after(60));
        assert!((1.5..=2.5).contains(&steady), "{steady}");
        assert_eq!(rate.per_second(after(100)), 0.0);
        rate.count(after(100));
        let one = rate.per_second(after(100));
        assert!(one > 0.0 && one < 0.1, "{one}");
        rate.uncount();
        assert_eq!(rate.per_second(after(100)), 0.0);
    }

    #[test]
    fn restored_tasks_go_to_whatever_priority_finishes_them() {
        let mut counts = Counts::default();
        counts.restore(2);
        counts.level(1).count += 1;
        assert_eq!((counts.total(), counts.level(1).count), (3, 1));
        let unset = counts.views(Instant::now()).into_iter().find(|view| view.priority == 3);
        assert_eq!(unset.map(|view| view.backlog), Some(2));
        counts.finished(1);
        counts.finished(1);
        counts.finished(5);
        assert_eq!(counts.total(), 0);
        counts.finished(5);
        assert_eq!(counts.total(), 0);
    }
}
