//! How fast background work may write.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use lsmkit_compaction::Pressure;

use crate::health::lock;

/// What compactions may write, in bytes a second, so that reads and the log have the disk to themselves for the rest of the time. Flushes
/// don't wait, but what they write counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum BackgroundRate {
    /// As much as the disk takes.
    #[default]
    Unlimited,
    /// This much, whatever waits for it: writers are slowed down where it is too little.
    Fixed(u64),
    /// This much where level 0 is so full that writers are about to be slowed down, and less the emptier it is, down to a sixteenth.
    Adaptive(u64),
}

impl BackgroundRate {
    /// The rate for a keyspace under this pressure; `None` for no limit.
    fn bytes_per_second(self, pressure: Pressure) -> Option<u64> {
        match self {
            BackgroundRate::Unlimited => None,
            BackgroundRate::Fixed(rate) => Some(rate.max(1)),
            BackgroundRate::Adaptive(rate) => {
                let fill = (pressure.runs as f64 / pressure.runs_slow.max(1) as f64).min(1.0);
                Some(((rate as f64 * (4.0 * (fill - 1.0)).exp2()) as u64).max(1))
            }
        }
    }
}

/// How long nothing may be written and be made up for later.
const BURST: Duration = Duration::from_millis(20);
/// The most that is owed: what is written beyond it, by flushes, is forgiven.
const DEBT: Duration = Duration::from_secs(2);

/// Counts what was written beyond the rate.
#[derive(Debug)]
pub(crate) struct Throttle {
    rate: BackgroundRate,
    owed: Mutex<Owed>,
}

#[derive(Debug)]
struct Owed {
    /// Less than zero for what may be written at once.
    bytes: f64,
    at: Instant,
}

impl Throttle {
    pub(crate) fn new(rate: BackgroundRate) -> Throttle {
        Throttle { rate, owed: Mutex::new(Owed { bytes: 0.0, at: Instant::now() }) }
    }

    /// How long to wait after so many bytes more were written for a keyspace under this pressure, as far as one can tell now.
    pub(crate) fn take(&self, bytes: u64, pressure: Pressure) -> Duration {
        match self.rate.bytes_per_second(pressure) {
            Some(rate) => lock(&self.owed).take(Instant::now(), bytes, rate as f64),
            None => Duration::ZERO,
        }
    }
}

impl Owed {
    fn take(&mut self, now: Instant, bytes: u64, rate: f64) -> Duration {
        let paid = now.saturating_duration_since(self.at).as_secs_f64() * rate;
        let left = (self.bytes - paid).max(-BURST.as_secs_f64() * rate);
        self.bytes = (left + bytes as f64).min(DEBT.as_secs_f64() * rate);
        self.at = now;
        Duration::from_secs_f64((self.bytes / rate).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_waited_for() {
        let begun = Instant::now();
        let mut owed = Owed { bytes: 0.0, at: begun };
        let mut take = |at_ms: u64, bytes, rate| {
            owed.take(begun + Duration::from_millis(at_ms), bytes, rate).as_secs_f64() * 1000.0
        };
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} ms, not {b}");
        // 100 kB at 1 MB/s are 100 ms, of which 20 were free before.
        near(take(1_000, 100_000, 1e6), 80.0);
        // What another writes meanwhile comes on top.
        near(take(1_010, 50_000, 1e6), 120.0);
        // At a higher rate what is left takes less.
        near(take(1_010, 0, 4e6), 30.0);
        near(take(1_130, 0, 1e6), 0.0);
        // However long nothing was written, no more than a burst of it is free; however much was, no more than a while is owed.
        near(take(9_000, 30_000, 1e6), 10.0);
        near(take(9_000, 1 << 40, 1e6), 2_000.0);
    }

    #[test]
    fn an_adaptive_rate_rises_with_level_0() {
        let rate = |runs| {
            let pressure = Pressure { runs, runs_slow: 8, ..Pressure::default() };
            BackgroundRate::Adaptive(1600).bytes_per_second(pressure)
        };
        assert_eq!((rate(0), rate(4), rate(8), rate(20)), (Some(100), Some(400), Some(1600), Some(1600)));
        assert_eq!(BackgroundRate::Unlimited.bytes_per_second(Pressure::default()), None);
        assert_eq!(BackgroundRate::Fixed(0).bytes_per_second(Pressure::default()), Some(1));
    }
}
