//! Whether a writer may go on, has to slow down, or has to wait, and why.
//!
//! Background work that falls behind shows as memtables that are not flushed and as runs of level 0 that are not merged. The more there
//! are of them, the lower the rate that writers keep to, so that they come to write as much as is worked off, long before they would
//! have to wait. What a write owes is slept in naps of some tens of microseconds: no write pays for many others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::batch::Record;
use crate::health::Work;
use crate::options::Background;
use crate::store::Store;
use crate::tree::KeyspaceTree;
use crate::{Error, Parts};
use lsmkit_memtable::Memtable;

/// The rate that writers keep to at the first sign of trouble, about as much as one thread writes; halved with every further run, and
/// with what goes to make one.
const LEVEL0_BYTES_PER_SECOND: f64 = (128 << 20) as f64;
/// The slowest is 64 KiB a second.
const HALVINGS_MAX: f64 = 11.0;
/// A writer that is early by less than this goes on: to fall asleep and to wake up takes some microseconds of the processor.
const NAP_NS_MIN: u64 = 50_000;
/// The longest nap. What a long batch takes beyond it is forgiven.
const NAP_NS_MAX: u64 = 8_000_000;

/// Why writers were held up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum StallCause {
    /// All memtables are full, and flushing them takes its time.
    Memtables,
    /// The last memtable is filling while the others wait to be flushed, so that writers go slower.
    MemtablesSlow,
    /// Level 0 has so many runs that writers go slower.
    Level0Slow,
    /// Level 0 has so many runs that writers wait for compaction.
    Level0Stop,
    /// The memtables of all keyspaces take all the memory they may, and flushing them takes its time.
    Memory,
}

impl StallCause {
    /// All causes.
    pub const ALL: [StallCause; 5] = [
        StallCause::MemtablesSlow,
        StallCause::Memtables,
        StallCause::Level0Slow,
        StallCause::Level0Stop,
        StallCause::Memory,
    ];
}

/// What a writer has to do before it goes on.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Stall {
    /// To keep to a rate.
    Slow { cause: StallCause, bytes_per_second: u64 },
    /// To wait until there is no cause for it.
    Wait(StallCause),
}

/// How fast writers may go: one clock for all of them, which every write sets on by the time that its bytes take.
#[derive(Debug)]
pub(crate) struct Pace {
    begun: Instant,
    /// When the next write may go on, in nanoseconds since `begun`.
    free_at_ns: AtomicU64,
    /// How fast memtables are flushed, lately; zero before the first.
    flushed_bytes_per_second: AtomicU64,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            begun: Instant::now(),
            free_at_ns: AtomicU64::new(0),
            flushed_bytes_per_second: AtomicU64::new(0),
        }
    }
}

impl Pace {
    /// How long a write of `bytes` has to wait, now, to keep to a rate.
    fn nap(&self, now: Instant, bytes: u64, bytes_per_second: u64) -> Option<Duration> {
        let now_ns = u64::try_from(now.duration_since(self.begun).as_nanos()).unwrap_or(u64::MAX / 2);
        self.nap_at(now_ns, bytes, bytes_per_second)
    }

    fn nap_at(&self, now_ns: u64, bytes: u64, bytes_per_second: u64) -> Option<Duration> {
        let ns = bytes.saturating_mul(1_000_000_000) / bytes_per_second.max(1);
        let after = |free_at: u64| free_at.max(now_ns).saturating_add(ns).min(now_ns + NAP_NS_MAX);
        let set_on = |free_at| Some(after(free_at));
        let (Ok(free_at) | Err(free_at)) =
            self.free_at_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, set_on);
        let early_ns = after(free_at) - now_ns;
        (early_ns >= NAP_NS_MIN).then(|| Duration::from_nanos(early_ns))
    }

    /// Takes note of a flush of `bytes` of memtable.
    pub(crate) fn note_flush(&self, bytes: usize, time: Duration) {
        let latest = bytes as f64 / time.as_secs_f64().max(1e-6);
        let before = self.flushed_bytes_per_second.load(Ordering::Relaxed);
        let mean = if before == 0 { latest } else { (before as f64 * 3.0 + latest) / 4.0 };
        self.flushed_bytes_per_second.store(mean as u64, Ordering::Relaxed);
    }

    /// The rate while `runs` more than are welcome wait to be merged, a part of one counted as such.
    fn of_level0(runs: f64) -> u64 {
        (LEVEL0_BYTES_PER_SECOND * (-runs.min(HALVINGS_MAX)).exp2()) as u64
    }

    /// The rate while all memtables but the one that fills wait for a flush, and that one is `fill` full: of what is flushed, twice as much
    /// at first, and half as much in the end.
    fn of_memtables(&self, fill: f64) -> Option<u64> {
        let flushed = self.flushed_bytes_per_second.load(Ordering::Relaxed);
        (flushed > 0).then(|| (flushed as f64 * (1.0 - 2.0 * fill).exp2()) as u64)
    }
}

impl<P: Parts> Store<P> {
    /// Holds a writer up for as long as its keyspaces ask for.
    #[inline]
    pub(crate) fn admit(&self, record: &Record) -> Result<(), Error> {
        if self.memory.is_exhausted() {
            self.wait_for_memory()?;
        }
        let keyspaces = self.keyspaces.load();
        for id in record.keyspace_ids() {
            if let Some(keyspace) = keyspaces.get(&id)
                && let Some(stall) = self.stall(keyspace)
            {
                self.hold_up(keyspace, stall, record.size_bytes() as u64)?;
            }
        }
        Ok(())
    }

    #[cold]
    fn wait_for_memory(&self) -> Result<(), Error> {
        let begun = Instant::now();
        let outcome = self.wait_until(&[Work::Flush], || !self.memory.is_exhausted());
        self.counters.note_stall(StallCause::Memory, begun.elapsed());
        outcome
    }

    fn stall(&self, keyspace: &KeyspaceTree<P>) -> Option<Stall> {
        let state = keyspace.state();
        let (frozen, pressure) = (state.frozen.len(), &state.version.pressure);
        // Waiting for a compaction that does not come would be for ever.
        let runs = if keyspace.can_compact() { pressure.runs } else { 0 };
        if frozen >= self.options.memtables_max {
            return Some(Stall::Wait(StallCause::Memtables));
        }
        if runs >= pressure.runs_stop && runs > 0 {
            return Some(Stall::Wait(StallCause::Level0Stop));
        }
        // In units of a full memtable, which is what makes a run. One that fills is as it should be.
        let fill = || (state.active.table.size_bytes() as f64 / self.options.memtable_bytes as f64).min(1.0);
        let level0 = (runs > 0 && runs + frozen >= pressure.runs_slow).then(|| {
            let beyond = (runs + frozen - pressure.runs_slow) as f64 + fill();
            (Pace::of_level0(beyond), StallCause::Level0Slow)
        });
        let memtables = if frozen > 0 && frozen + 1 == self.options.memtables_max {
            self.pace.of_memtables(fill()).map(|rate| (rate, StallCause::MemtablesSlow))
        } else {
            None
        };
        let slowest = level0.into_iter().chain(memtables).min();
        slowest.map(|(bytes_per_second, cause)| Stall::Slow { cause, bytes_per_second })
    }

    #[cold]
    fn hold_up(&self, keyspace: &KeyspaceTree<P>, stall: Stall, bytes: u64) -> Result<(), Error> {
        let begun = Instant::now();
        let (cause, outcome) = match stall {
            // Where the caller does the background work, time is better spent on that than slept.
            Stall::Slow { cause, .. } if self.options.background == Background::Steps => {
                (cause, self.step().map(|_| ()).map_err(Error::from))
            }
            Stall::Slow { cause, bytes_per_second } => {
                let Some(time) = self.pace.nap(begun, bytes, bytes_per_second) else { return Ok(()) };
                nap(time);
                (cause, Ok(()))
            }
            Stall::Wait(cause) => {
                let may_go_on =
                    || keyspace.is_dropped() || !matches!(self.stall(keyspace), Some(Stall::Wait(_)));
                (cause, self.wait_until(&Work::ALL, may_go_on))
            }
        };
        self.counters.note_stall(cause, begun.elapsed());
        outcome
    }
}

/// Sleeps.
///
/// A thread's timers may go off 50 µs late unless it says otherwise, which would be as much as the nap itself.
fn nap(time: Duration) {
    #[cfg(target_os = "linux")]
    {
        use rustix::thread::{current_timer_slack, set_current_timer_slack};
        use std::num::NonZeroU64;
        let before = current_timer_slack().ok().and_then(NonZeroU64::new);
        if before.is_some() && set_current_timer_slack(Some(NonZeroU64::MIN)).is_ok() {
            std::thread::sleep(time);
            let _ = set_current_timer_slack(before);
            return;
        }
    }
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_set_on_by_every_write_and_runs_on_by_itself() {
        const MB: u64 = 1_000_000;
        let (pace, micros) = (Pace::default(), |us| Some(Duration::from_micros(us)));
        // 50 bytes at 1 MB/s take 50 µs.
        assert_eq!(pace.nap_at(1_000_000, 45, MB), None);
        assert_eq!(pace.nap_at(1_000_000, 5, MB), micros(50));
        // Whoever comes meanwhile comes after that one.
        assert_eq!(pace.nap_at(1_010_000, 20, MB), micros(60));
        // Time that has passed is paid.
        assert_eq!(pace.nap_at(1_070_000, 49, MB), None);
        assert_eq!(pace.nap_at(9_000_000, 100, MB), micros(100));
        // However long a batch: no more than one nap, also for those behind it.
        assert_eq!(pace.nap_at(10_000_000, 1 << 40, 1), micros(8_000));
        assert_eq!(pace.nap_at(10_000_000, 100, MB), micros(8_000));
        assert_eq!(pace.nap_at(18_000_000, 100, MB), micros(100));
    }

    #[test]
    fn rates_fall_smoothly_with_what_is_left_to_do() {
        assert_eq!(Pace::of_level0(0.0), 128 << 20);
        assert_eq!(Pace::of_level0(3.0), 16 << 20);
        assert!(Pace::of_level0(2.5) > Pace::of_level0(2.6));
        assert_eq!(Pace::of_level0(1e9), 64 << 10);
        let pace = Pace::default();
        // Nothing is known before the first flush.
        assert_eq!(pace.of_memtables(0.5), None);
        pace.note_flush(1_000_000, Duration::from_millis(10));
        assert_eq!(pace.of_memtables(0.0), Some(200_000_000));
        assert_eq!(pace.of_memtables(0.5), Some(100_000_000));
        assert_eq!(pace.of_memtables(1.0), Some(50_000_000));
        pace.note_flush(1_000_000, Duration::from_millis(20));
        assert_eq!(pace.of_memtables(0.5), Some(87_500_000));
    }
}
