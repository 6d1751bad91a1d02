//! Looks at the process and at the engine once a second.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::process;
use crate::progress::Beat;
use crate::store::Store;

/// Runs on a thread of its own until it is stopped.
#[derive(Default)]
pub(crate) struct Sampler {
    is_over: Mutex<bool>,
    over: Condvar,
}

/// What it saw of a second.
pub(crate) struct Sample {
    pub(crate) stalled_seconds: Option<f64>,
    pub(crate) memory_bytes: Option<u64>,
}

impl Sampler {
    pub(crate) fn run(&self, store: &dyn Store, beat: Option<&Beat>) -> Vec<Sample> {
        const BEATS_PER_SECOND: u32 = 4;
        let begun = Instant::now();
        let mut samples = Vec::new();
        let mut stalled_before = stalled_seconds(store);
        for tick in 1.. {
            let due = begun + Duration::from_secs(1) * tick / BEATS_PER_SECOND;
            if self.is_over_by(due) {
                break;
            }
            beat.inspect(|beat| beat.tell());
            // For its peak.
            process::memory_bytes();
            if tick % BEATS_PER_SECOND == 0 {
                let stalled = stalled_seconds(store);
                samples.push(Sample {
                    stalled_seconds: stalled.zip(stalled_before).map(|(now, before)| now - before),
                    memory_bytes: process::memory_bytes(),
                });
                stalled_before = stalled;
            }
        }
        let stalled = stalled_seconds(store).zip(stalled_before).map(|(now, before)| now - before);
        samples.push(Sample { stalled_seconds: stalled, memory_bytes: process::memory_bytes() });
        samples
    }

    /// Waits until it is over or `due`, and tells whether it is over.
    fn is_over_by(&self, due: Instant) -> bool {
        let is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        let left = due.saturating_duration_since(Instant::now());
        let (is_over, _) = self
            .over
            .wait_timeout_while(is_over, left, |is_over| !*is_over)
            .unwrap_or_else(PoisonError::into_inner);
        *is_over
    }

    pub(crate) fn stop(&self) {
        *self.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.over.notify_all();
    }
}

/// Absent where the engine doesn't tell of stalls.
fn stalled_seconds(store: &dyn Store) -> Option<f64> {
    let inside = store.inside();
    (!inside.stalls.is_empty()).then(|| inside.stalled_seconds())
}
