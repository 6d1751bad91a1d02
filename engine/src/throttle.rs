//! How fast background work may write.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lsmkit_compaction::Pressure;

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

/// The longest time that is made up for where nothing was written.
const BURST_NS: u64 = 20_000_000;

/// A clock that is set on by what is written.
#[derive(Debug)]
pub(crate) struct Throttle {
    rate: BackgroundRate,
    begun: Instant,
    /// Up to when what was written has been paid for, in nanoseconds since `begun`.
    paid_ns: AtomicU64,
}

impl Throttle {
    pub(crate) fn new(rate: BackgroundRate) -> Throttle {
        Throttle { rate, begun: Instant::now(), paid_ns: AtomicU64::new(0) }
    }

    /// How long to wait after so many bytes were written for a keyspace under this pressure.
    pub(crate) fn take(&self, bytes: u64, pressure: Pressure) -> Duration {
        let Some(rate) = self.rate.bytes_per_second(pressure) else { return Duration::ZERO };
        let now_ns = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX / 2);
        Duration::from_nanos(self.take_at(now_ns, bytes, rate))
    }

    fn take_at(&self, now_ns: u64, bytes: u64, bytes_per_second: u64) -> u64 {
        let cost_ns = u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_second);
        let cost_ns = u64::try_from(cost_ns).unwrap_or(u64::MAX);
        let after = |paid: u64| paid.max(now_ns.saturating_sub(BURST_NS)).saturating_add(cost_ns);
        let (Ok(paid) | Err(paid)) =
            self.paid_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid| Some(after(paid)));
        after(paid).saturating_sub(now_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_waited_for() {
        const MB: u64 = 1_000_000;
        let throttle = Throttle::new(BackgroundRate::Fixed(MB));
        let ms = |ms: u64| ms * 1_000_000;
        // 100 kB at 1 MB/s are 100 ms, of which 20 were free before.
        assert_eq!(throttle.take_at(ms(1_000), 100_000, MB), ms(80));
        // What another writes meanwhile comes on top.
        assert_eq!(throttle.take_at(ms(1_010), 50_000, MB), ms(120));
        assert_eq!(throttle.take_at(ms(1_130), 0, MB), 0);
        // However long nothing was written, no more than a burst of it is free.
        assert_eq!(throttle.take_at(ms(9_000), 10_000, MB), 0);
        assert_eq!(throttle.take_at(ms(9_000), 10_000, MB), 0);
        assert_eq!(throttle.take_at(ms(9_000), 10_000, MB), ms(10));
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
