//! Counts that many threads add to, at a cost that none of them feels.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// `N` counters.
///
/// An atomic addition costs as much as many a thing that one would count, so each thread has a lane to
/// itself, in which it loads, adds and stores. That loses no count because
///
/// 1. of the threads that live at one time no two have the same lane; those that found none free share
///    one more, and add to it atomically;
/// 2. a lane changes hands under the lock of `TAKEN`, so its new owner sees all that the old one stored.
///
/// Takes 4 KiB, for up to sixteen counters.
#[derive(Debug)]
pub struct Counters<const N: usize> {
    lanes: [Lane<N>; LANES],
    shared: Lane<N>,
}

/// Two lines of the cache: processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Lane<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for Lane<N> {
    fn default() -> Lane<N> {
        Lane([const { AtomicU64::new(0) }; N])
    }
}

impl<const N: usize> Default for Counters<N> {
    fn default() -> Counters<N> {
        Counters { lanes: std::array::from_fn(|_| Lane::default()), shared: Lane::default() }
    }
}

impl<const N: usize> Counters<N> {
    /// Adds one to a counter.
    #[inline]
    pub fn count(&self, counter: usize) {
        match self.lanes.get(LANE.get()) {
            Some(Lane(counters)) => {
                let counter = &counters[counter];
                counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            }
            None => self.count_without_lane(counter),
        }
    }

    /// On a thread that has none yet, or found none free, or is ending and has given its own back.
    #[cold]
    fn count_without_lane(&self, counter: usize) {
        if LANE.get() == NOT_YET {
            LANE.set(OWNED.try_with(|owned| owned.0).unwrap_or(NONE));
            return self.count(counter);
        }
        self.shared.0[counter].fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn total(&self, counter: usize) -> u64 {
        self.lanes
            .iter()
            .chain([&self.shared])
            .map(|Lane(counters)| counters[counter].load(Ordering::Relaxed))
            .sum()
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

    /// More threads at once than there are lanes, and lanes that change hands.
    #[test]
    fn no_count_is_lost() {
        const THREADS: usize = LANES + 16;
        let counters = Counters::<2>::default();
        for round in 1..=3 {
            let all_there = Barrier::new(THREADS);
            std::thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        counters.count(0);
                        // Nobody gives a lane back before all have asked for one.
                        all_there.wait();
                        for _ in 0..1000 {
                            counters.count(1);
                        }
                    });
                }
            });
            let ended = round * THREADS as u64;
            assert_eq!((counters.total(0), counters.total(1)), (ended, ended * 1000));
        }
        // The sharing has happened: otherwise this tested less than it should.
        let shared = counters.shared.0[1].load(Ordering::Relaxed);
        assert!(shared >= 3 * 16_000, "{shared}");
    }
}
