//! The result of a phase, and the numbers that are drawn from it.

use std::time::Duration;

use crate::scenario::Scenario;

/// What a phase gave. Phases of several rounds are added up by [`Phase::absorb`].
#[derive(Clone, Debug)]
pub struct Phase {
    pub scenario: Scenario,
    pub in_flight: usize,
    /// Units that were finished, the few after the bell included.
    pub units: u64,
    /// The work that was done before the bell, which the throughput counts: a unit that the bell cuts counts by the
    /// share of its time that lay before. Without that, a slow server at many in flight would seem to do nothing.
    pub units_in_time: f64,
    pub time: Duration,
    /// Sorted.
    pub latencies: Vec<Duration>,
    pub failures: u64,
    pub first_failure: Option<String>,
    /// The server answered UNIMPLEMENTED: the scenario does not apply.
    pub unimplemented: bool,
    pub server: Option<ServerUse>,
    pub driver_cpu: Duration,
}

/// What the server used between the first unit and the last.
#[derive(Clone, Copy, Debug)]
pub struct ServerUse {
    pub cpu: Duration,
    pub memory_before: u64,
    pub memory_after: u64,
    /// Growth of the database's files; none without a file.
    pub database: Option<u64>,
    pub written: Option<u64>,
    pub syncs: Option<u64>,
}

impl Phase {
    /// A phase in which nothing was done yet.
    pub fn empty(scenario: Scenario, in_flight: usize, time: Duration) -> Self {
        Phase {
            scenario,
            in_flight,
            units: 0,
            units_in_time: 0.0,
            time,
            latencies: Vec::new(),
            failures: 0,
            first_failure: None,
            unimplemented: false,
            server: None,
            driver_cpu: Duration::ZERO,
        }
    }

    /// Units a second, counting those that were finished in time.
    pub fn throughput(&self) -> f64 {
        self.units_in_time / self.time.as_secs_f64()
    }

    /// The latency that the given share of units did not exceed; none without units.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        let rank = (self.latencies.len() as f64 * share).ceil() as usize;
        self.latencies.get(rank.saturating_sub(1)).copied()
    }

    /// Milliseconds of the server's CPU for one unit.
    pub fn server_cpu_ms(&self) -> Option<f64> {
        self.per_unit(self.server?.cpu.as_secs_f64() * 1000.0)
    }

    pub fn driver_cpu_ms(&self) -> Option<f64> {
        self.per_unit(self.driver_cpu.as_secs_f64() * 1000.0)
    }

    pub fn database_bytes(&self) -> Option<f64> {
        self.per_unit(self.server?.database? as f64)
    }

    pub fn written_bytes(&self) -> Option<f64> {
        self.per_unit(self.server?.written? as f64)
    }

    pub fn syncs(&self) -> Option<f64> {
        self.per_unit(self.server?.syncs? as f64)
    }

    fn per_unit(&self, amount: f64) -> Option<f64> {
        (self.units > 0).then(|| amount / self.units as f64)
    }

    /// Adds another round of the same phase.
    pub fn absorb(&mut self, other: Phase) {
        self.units += other.units;
        self.units_in_time += other.units_in_time;
        self.time += other.time;
        self.latencies.extend(other.latencies);
        self.latencies.sort();
        self.failures += other.failures;
        self.first_failure = self.first_failure.take().or(other.first_failure);
        self.unimplemented |= other.unimplemented;
        self.driver_cpu += other.driver_cpu;
        let add = |a: Option<u64>, b: Option<u64>| Some(a? + b?);
        self.server = match (self.server, other.server) {
            (Some(a), Some(b)) => Some(ServerUse {
                cpu: a.cpu + b.cpu,
                memory_before: a.memory_before.max(b.memory_before),
                memory_after: a.memory_after.max(b.memory_after),
                database: add(a.database, b.database),
                written: add(a.written, b.written),
                syncs: add(a.syncs, b.syncs),
            }),
            _ => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(latencies: &[u64]) -> Phase {
        let mut latencies: Vec<Duration> = latencies.iter().map(|ms| Duration::from_millis(*ms)).collect();
        latencies.sort();
        let mut phase = Phase::empty(Scenario::Noop, 1, Duration::from_secs(2));
        phase.units = latencies.len() as u64;
        phase.units_in_time = latencies.len() as f64;
        phase.latencies = latencies;
        phase
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let hundred: Vec<u64> = (1..=100).rev().collect();
        let phase = phase(&hundred);
        assert_eq!(phase.percentile(0.5), Some(Duration::from_millis(50)));
        assert_eq!(phase.percentile(0.99), Some(Duration::from_millis(99)));
        assert_eq!(phase.throughput(), 50.0);
    }

    #[test]
    fn no_units_give_no_numbers() {
        let phase = phase(&[]);
        assert_eq!(phase.percentile(0.5), None);
        assert_eq!(phase.driver_cpu_ms(), None);
    }

    #[test]
    fn rounds_add_up() {
        let mut both = phase(&[1, 3]);
        both.absorb(phase(&[2]));
        assert_eq!((both.units, both.time), (3, Duration::from_secs(4)));
        assert_eq!(both.percentile(0.5), Some(Duration::from_millis(2)));
    }
}
