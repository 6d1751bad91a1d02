//! Counts what came of asking filters, at a cost that a look-up does not feel.

use std::cell::Cell;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// How often look-ups asked the filters of tables for a key, and what came of it.
///
/// Tables without a filter, and look-ups that end in a fault, are not counted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FilterUsage {
    /// How often a filter was asked.
    pub asked: u64,
    /// How often it said no, which saved the look-up a block.
    pub denied: u64,
    /// How often it said maybe of a key that its table does not hold.
    ///
    /// Whoever looks up a key at a moment before the table's newest write and finds no version that
    /// old does not learn whether there is a newer one: such a maybe is only in `asked`.
    pub false_positives: u64,
}

impl FilterUsage {
    /// The share of absent keys that the filters did not tell, from 0 to 1; 0 before the first.
    pub fn false_positive_rate(&self) -> f64 {
        match self.denied + self.false_positives {
            0 => 0.0,
            absent => self.false_positives as f64 / absent as f64,
        }
    }
}

impl AddAssign for FilterUsage {
    fn add_assign(&mut self, other: FilterUsage) {
        self.asked += other.asked;
        self.denied += other.denied;
        self.false_positives += other.false_positives;
    }
}

/// What came of asking a filter once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Denied,
    FalsePositive,
    /// The key was there, or it is not known whether it was.
    Passed,
}

/// Counts outcomes.
///
/// An atomic addition costs as much as the probe it would count, so each thread has a lane to itself,
/// in which it loads, adds and stores. That loses no count because
///
/// 1. of the threads that live at one time no two have the same lane; those that found none free share
///    one more, and add to it atomically;
/// 2. a lane changes hands under the lock of `TAKEN`, so its new owner sees all that the old one stored.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    lanes: [Lane; LANES],
    shared: Lane,
}

/// A counter for each [`Outcome`], in its order. Two lines of the cache: processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane([AtomicU64; 3]);

impl Probes {
    #[inline]
    pub(crate) fn note(&self, outcome: Outcome) {
        match self.lanes.get(LANE.get()) {
            Some(Lane(counters)) => {
                let counter = &counters[outcome as usize];
                counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            }
            None => self.note_without_lane(outcome),
        }
    }

    /// On a thread that has none yet, or found none free, or is ending and has given its own back.
    #[cold]
    fn note_without_lane(&self, outcome: Outcome) {
        if LANE.get() == NOT_YET {
            LANE.set(OWNED.try_with(|owned| owned.0).unwrap_or(NONE));
            return self.note(outcome);
        }
        self.shared.0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub(crate) fn usage(&self) -> FilterUsage {
        let mut usage = FilterUsage::default();
        for Lane(counters) in self.lanes.iter().chain([&self.shared]) {
            let count = |outcome| counters[outcome as usize].load(Ordering::Relaxed);
            let (denied, false_positives) = (count(Outcome::Denied), count(Outcome::FalsePositive));
            let asked = denied + false_positives + count(Outcome::Passed);
            usage += FilterUsage { asked, denied, false_positives };
        }
        usage
    }
}

/// How many threads have a lane to themselves.
const LANES: usize = 31;

/// Instead of a lane: the thread counts in the one that is shared.
const NONE: usize = LANES;

/// Instead of a lane: the thread has not counted before.
const NOT_YET: usize = usize::MAX;

/// The lanes that have an owner, a bit each.
static TAKEN: Mutex<u32> = Mutex::new(0);

thread_local! {
    /// The lane of [`OWNED`], apart from it because reading what is dropped at the end of its thread
    /// takes longer.
    static LANE: Cell<usize> = const { Cell::new(NOT_YET) };
    static OWNED: Owned = Owned::take();
}

/// A thread's lane, or `NONE`, for as long as it lives.
struct Owned(usize);

impl Owned {
    fn take() -> Owned {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        // `NONE` where all are taken.
        let lane = taken.trailing_ones() as usize;
        if lane < LANES {
            *taken |= 1 << lane;
        }
        Owned(lane)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        LANE.set(NONE);
        if self.0 < LANES {
            *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) &= !(1 << self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn rates() {
        let usage = FilterUsage { asked: 150, denied: 99, false_positives: 1 };
        assert_eq!(usage.false_positive_rate(), 0.01);
        assert_eq!(FilterUsage::default().false_positive_rate(), 0.0);
    }

    /// More threads at once than there are lanes, and lanes that change hands.
    #[test]
    fn no_count_is_lost() {
        const THREADS: usize = LANES + 16;
        let probes = Probes::default();
        for round in 1..=3 {
            let all_there = Barrier::new(THREADS);
            std::thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        probes.note(Outcome::Passed);
                        // Nobody gives a lane back before all have asked for one.
                        all_there.wait();
                        for _ in 0..1000 {
                            probes.note(Outcome::Denied);
                        }
                        probes.note(Outcome::FalsePositive);
                    });
                }
            });
            let ended = round * THREADS as u64;
            let usage = FilterUsage { asked: ended * 1002, denied: ended * 1000, false_positives: ended };
            assert_eq!(probes.usage(), usage);
        }
        // The sharing has happened: otherwise this tested less than it should.
        let shared = probes.shared.0[Outcome::Denied as usize].load(Ordering::Relaxed);
        assert!(shared >= 3 * 16_000, "{shared}");
    }
}
