//! How fast a queue hands its tasks out, when somebody limits that: its configuration, or the workers that poll it.

use std::collections::BTreeMap;
use std::time::Duration;
use steadfast_api::v1::common::Priority;
use steadfast_api::v1::taskqueue::TaskQueueConfig;
use tokio::time::Instant;

/// Tasks a second of a queue that nobody limits, as it is shown. It is not enforced: only lower limits are.
pub const SYSTEM_RATE: f64 = 4000.0;

/// Fairness keys of which a queue remembers how fast their tasks go.
const KEYS: usize = 10_000;

/// A queue that was held back within this time says so.
const REMEMBERED: Duration = Duration::from_secs(30);

/// A fairness weight is held within these.
const WEIGHTS: (f32, f32) = (0.001, 1000.0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitSource {
    /// UpdateTaskQueueConfig.
    Api,
    /// The worker that polled last.
    Worker,
    System,
}

/// The fairness key of a task; empty for those that have none.
pub fn fairness_key(priority: Option<&Priority>) -> &str {
    priority.map_or("", |priority| &priority.fairness_key)
}

/// What a task weighs against those of other keys: what the queue says, then what the task says, then 1.
pub fn weight(config: Option<&TaskQueueConfig>, priority: Option<&Priority>) -> f64 {
    let key = fairness_key(priority);
    let set = config.and_then(|config| config.fairness_weight_overrides.get(key).copied());
    let own =
        priority.map(|priority| priority.fairness_weight).filter(|weight| *weight != 0.0 && !weight.is_nan());
    f64::from(set.or(own).unwrap_or(1.0).clamp(WEIGHTS.0, WEIGHTS.1))
}

/// Exists only while something limits the queue.
#[derive(Default)]
pub struct Limit {
    api: Option<f64>,
    worker: Option<f64>,
    queue: Option<Bucket>,
    per_key: Option<f64>,
    keys: BTreeMap<String, Bucket>,
    held_back: Option<Instant>,
    /// Somebody wakes the queue then.
    pub woken_at: Option<Instant>,
}

impl Limit {
    pub fn configure(&mut self, config: Option<&TaskQueueConfig>, now: Instant) {
        let rate = |limit: Option<&steadfast_api::v1::taskqueue::RateLimitConfig>| {
            limit.and_then(|limit| limit.rate_limit.as_ref()).map(|rate| f64::from(rate.requests_per_second))
        };
        self.api = rate(config.and_then(|config| config.queue_rate_limit.as_ref()));
        self.per_key = rate(config.and_then(|config| config.fairness_keys_rate_limit_default.as_ref()));
        self.keys.clear();
        self.choose(now);
    }

    /// What the last poll said.
    pub fn set_worker(&mut self, rate: Option<f64>, now: Instant) {
        if self.worker != rate {
            self.worker = rate;
            self.choose(now);
        }
    }

    fn choose(&mut self, now: Instant) {
        let (rate, source) = self.effective();
        let rate = (source != LimitSource::System).then_some(rate);
        if self.queue.as_ref().map(|bucket| bucket.rate) != rate {
            self.queue = rate.map(|rate| Bucket::new(rate, now));
            self.woken_at = None;
        }
    }

    pub fn is_void(&self) -> bool {
        self.api.is_none() && self.worker.is_none() && self.per_key.is_none()
    }

    /// Tasks a second that the queue may hand out, and who said so.
    pub fn effective(&self) -> (f64, LimitSource) {
        let chosen = match (self.api, self.worker) {
            (Some(rate), _) => Some((rate, LimitSource::Api)),
            (None, Some(rate)) => Some((rate, LimitSource::Worker)),
            (None, None) => None,
        };
        chosen.filter(|(rate, _)| *rate < SYSTEM_RATE).unwrap_or((SYSTEM_RATE, LimitSource::System))
    }

    /// Whether a task of this key may go now; then it is counted.
    pub fn take(&mut self, key: &str, weight: f64, now: Instant) -> bool {
        let queue = self.queue.as_mut().is_none_or(|bucket| bucket.is_ready(now));
        let free =
            queue && self.per_key.is_none_or(|rate| key_bucket(&mut self.keys, key, rate * weight, now));
        if !free {
            self.held_back = Some(now);
            return false;
        }
        if let Some(bucket) = &mut self.queue {
            bucket.spend(now);
        }
        if self.per_key.is_some()
            && let Some(bucket) = self.keys.get_mut(key)
        {
            bucket.spend(now);
        }
        true
    }

    /// Whether the queue as a whole may hand a task out now.
    pub fn is_open(&mut self, now: Instant) -> bool {
        let open = self.queue.as_mut().is_none_or(|bucket| bucket.is_ready(now));
        if !open {
            self.held_back = Some(now);
        }
        open
    }

    /// The task was not handed out after all.
    pub fn give_back(&mut self, key: &str) {
        for bucket in self.queue.iter_mut().chain(self.keys.get_mut(key)) {
            bucket.tokens = (bucket.tokens + 1.0).min(bucket.burst);
        }
    }

    /// When to look again after a refusal; never if the rate is zero.
    pub fn ready_at(&mut self, now: Instant) -> Option<Instant> {
        let keys =
            self.keys.values_mut().filter_map(|bucket| bucket.ready_at(now)).filter(|at| *at > now).min();
        match self.queue.as_mut() {
            None => keys,
            Some(bucket) => match bucket.ready_at(now) {
                Some(at) if at <= now => keys,
                at => at,
            },
        }
    }

    pub fn was_active(&self, now: Instant) -> bool {
        self.held_back.is_some_and(|at| now.duration_since(at) < REMEMBERED)
    }
}

/// Whether this key's bucket has a token. Buckets that are full say nothing, and go when there are many.
fn key_bucket(keys: &mut BTreeMap<String, Bucket>, key: &str, rate: f64, now: Instant) -> bool {
    if !keys.contains_key(key) {
        if keys.len() >= KEYS {
            keys.retain(|_, bucket| !bucket.is_full(now));
        }
        if keys.len() >= KEYS {
            return true;
        }
        keys.insert(key.to_owned(), Bucket::new(rate, now));
    }
    keys.get_mut(key).is_none_or(|bucket| bucket.is_ready(now))
}

/// A token bucket, full at first. It holds one second of its rate unless it is told otherwise.
pub struct Bucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub fn new(rate: f64, now: Instant) -> Bucket {
        Bucket::with_burst(rate, rate.ceil(), now)
    }

    pub fn with_burst(rate: f64, burst: f64, now: Instant) -> Bucket {
        Bucket { rate, burst, tokens: burst, at: now }
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate).min(self.burst);
        self.at = now;
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= self.burst
    }

    fn is_ready(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= 1.0
    }

    /// When the next token is there, `None` for never.
    fn ready_at(&mut self, now: Instant) -> Option<Instant> {
        self.fill(now);
        if self.tokens >= 1.0 {
            return Some(now);
        }
        // A nanosecond more than it takes, so that rounding does not make the caller look twice.
        let wait = Duration::try_from_secs_f64((1.0 - self.tokens) / self.rate).ok()?;
        now.checked_add(wait + Duration::from_nanos(1))
    }

    fn spend(&mut self, now: Instant) {
        self.fill(now);
        self.tokens -= 1.0;
    }

    /// Takes this part of a token, if it is there.
    pub fn take_part(&mut self, part: f64, now: Instant) -> bool {
        self.fill(now);
        if self.tokens < part {
            return false;
        }
        self.tokens -= part;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steadfast_api::v1::taskqueue::{RateLimit, RateLimitConfig};

    fn rate(rate: f32) -> Option<RateLimitConfig> {
        let rate_limit = Some(RateLimit { requests_per_second: rate });
        Some(RateLimitConfig { rate_limit, metadata: None })
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let mut limit = Limit::default();
        let config = TaskQueueConfig { queue_rate_limit: rate(2.5), ..TaskQueueConfig::default() };
        limit.configure(Some(&config), start);
        let taken = |limit: &mut Limit, at| (0..10).filter(|_| limit.take("", 1.0, at)).count();
        assert_eq!(taken(&mut limit, start), 3);
        assert!(limit.was_active(start));
        let again = limit.ready_at(start).unwrap();
        assert_eq!(again, start + Duration::from_millis(400) + Duration::from_nanos(1));
        assert_eq!(taken(&mut limit, again), 1);
        limit.give_back("");
        assert_eq!(taken(&mut limit, again), 1);
        assert_eq!(taken(&mut limit, start + Duration::from_secs(60)), 3);
    }

    #[test]
    fn the_configuration_is_before_the_worker_and_nothing_is_above_the_system() {
        let now = Instant::now();
        let mut limit = Limit::default();
        assert_eq!(limit.effective(), (4000.0, LimitSource::System));
        limit.set_worker(Some(7.0), now);
        assert_eq!(limit.effective(), (7.0, LimitSource::Worker));
        let zero = TaskQueueConfig { queue_rate_limit: rate(0.0), ..TaskQueueConfig::default() };
        limit.configure(Some(&zero), now);
        assert_eq!(limit.effective(), (0.0, LimitSource::Api));
        assert!(!limit.take("", 1.0, now));
        assert_eq!(limit.ready_at(now), None, "never");
        limit.configure(None, now);
        limit.set_worker(Some(100_000.0), now);
        assert_eq!(limit.effective(), (4000.0, LimitSource::System));
        assert!((0..10_000).all(|_| limit.take("", 1.0, now)), "what is shown is not enforced");
        limit.set_worker(None, now);
        assert!(limit.is_void());
    }

    #[test]
    fn each_key_has_a_rate_by_its_weight() {
        let now = Instant::now();
        let mut limit = Limit::default();
        let fairness_keys_rate_limit_default = rate(1.0);
        let config = TaskQueueConfig { fairness_keys_rate_limit_default, ..TaskQueueConfig::default() };
        limit.configure(Some(&config), now);
        assert!(limit.take("a", 1.0, now));
        assert!(!limit.take("a", 1.0, now));
        assert!(limit.take("b", 2.0, now));
        assert!(limit.take("b", 2.0, now));
        assert!(!limit.take("b", 2.0, now));
        assert!(limit.is_open(now));
        assert!(limit.ready_at(now).is_some_and(|at| at > now && at < now + Duration::from_secs(1)));
    }

    #[test]
    fn weights_are_the_queues_then_the_tasks_and_within_bounds() {
        let priority = |key: &str, weight| {
            Some(Priority { fairness_key: key.into(), fairness_weight: weight, ..Priority::default() })
        };
        let config = TaskQueueConfig {
            fairness_weight_overrides: [("a".to_owned(), 5.0)].into(),
            ..TaskQueueConfig::default()
        };
        assert_eq!(weight(None, None), 1.0);
        assert_eq!(weight(Some(&config), priority("a", 2.0).as_ref()), 5.0);
        assert_eq!(weight(Some(&config), priority("b", 2.0).as_ref()), 2.0);
        assert_eq!(weight(None, priority("b", 0.0).as_ref()), 1.0);
        assert_eq!(weight(None, priority("b", 1e9).as_ref()), 1000.0);
    }
}
