//! Whether a writer may go on, has to slow down, or has to wait, and why.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::batch::Record;
use crate::health::Work;
use crate::store::Store;
use crate::tree::KeyspaceTree;
use crate::{Error, Parts};

/// The rate at which writers go on at the first sign of trouble; halved with every further run.
const SLOW_BYTES_PER_SECOND: u64 = 64 << 20;
/// Delays are saved up until they are worth a sleep: the timer is no finer.
const LEAST_SLEEP_NS: u64 = 100_000;
const LONGEST_SLEEP_NS: u64 = 2_000_000;

/// Why writers were held up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum StallCause {
    /// All memtables are full, and flushing them takes its time.
    Memtables,
    /// Level 0 has so many runs that writers go slower.
    Level0Slow,
    /// Level 0 has so many runs that writers wait for compaction.
    Level0Stop,
    /// The memtables of all keyspaces take all the memory they may, and flushing them takes its time.
    Memory,
}

impl StallCause {
    /// All causes.
    pub const ALL: [StallCause; 4] =
        [StallCause::Memtables, StallCause::Level0Slow, StallCause::Level0Stop, StallCause::Memory];
}

/// Delays that writers owe but have not slept yet.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    owed_ns: AtomicU64,
}

impl Pace {
    /// Owes the time that `bytes` take at `bytes_per_second`; what there is to sleep now.
    fn owe(&self, bytes: u64, bytes_per_second: u64) -> Option<Duration> {
        let ns = bytes.saturating_mul(1_000_000_000) / bytes_per_second.max(1);
        let owed = self.owed_ns.fetch_add(ns, Ordering::Relaxed) + ns;
        if owed < LEAST_SLEEP_NS {
            return None;
        }
        let paid = owed.min(LONGEST_SLEEP_NS);
        self.owed_ns.fetch_sub(paid, Ordering::Relaxed);
        Some(Duration::from_nanos(paid))
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
                && let Some(cause) = self.stall(keyspace)
            {
                self.hold_up(keyspace, cause, record.size_bytes() as u64)?;
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

    fn stall(&self, keyspace: &KeyspaceTree<P>) -> Option<StallCause> {
        let state = keyspace.state();
        if state.frozen.len() >= self.options.memtables_max {
            return Some(StallCause::Memtables);
        }
        let pressure = &state.version.pressure;
        if pressure.runs < pressure.runs_slow || !keyspace.can_compact() {
            // Waiting for a compaction that does not come would be for ever.
            return None;
        }
        Some(if pressure.runs < pressure.runs_stop { StallCause::Level0Slow } else { StallCause::Level0Stop })
    }

    #[cold]
    fn hold_up(&self, keyspace: &KeyspaceTree<P>, cause: StallCause, bytes: u64) -> Result<(), Error> {
        let begun = Instant::now();
        let outcome = match cause {
            StallCause::Level0Slow => {
                let pressure = keyspace.state().version.pressure;
                let beyond = pressure.runs.saturating_sub(pressure.runs_slow).min(16);
                match self.pace.owe(bytes, SLOW_BYTES_PER_SECOND >> beyond) {
                    None => return Ok(()),
                    // Where the caller does the background work, it is better spent than slept.
                    Some(_) if self.options.background == crate::Background::Steps => {
                        self.step().map(|_| ()).map_err(Error::from)
                    }
                    Some(time) => {
                        std::thread::sleep(time);
                        Ok(())
                    }
                }
            }
            StallCause::Memtables | StallCause::Level0Stop | StallCause::Memory => {
                self.wait_until(&Work::ALL, || {
                    keyspace.is_dropped()
                        || !matches!(self.stall(keyspace), Some(c) if c != StallCause::Level0Slow)
                })
            }
        };
        self.counters.note_stall(cause, begun.elapsed());
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_add_up_until_they_are_worth_a_sleep() {
        let pace = Pace::default();
        // 100 bytes at 1 MB/s take 100 µs.
        assert_eq!(pace.owe(50, 1_000_000), None);
        assert_eq!(pace.owe(50, 1_000_000), Some(Duration::from_micros(100)));
        assert_eq!(pace.owe(10_000, 1_000_000), Some(Duration::from_millis(2)));
        // What exceeds the longest sleep is still owed.
        assert_eq!(pace.owe(0, 1_000_000), Some(Duration::from_millis(2)));
    }
}
