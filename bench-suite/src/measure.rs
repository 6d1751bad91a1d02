//! Timing operations.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::records::{Random, Records, share};
use crate::store::Store;

/// What a workload works with.
#[derive(Clone, Copy)]
pub(crate) struct Bench<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) records: &'a Records,
    /// How many operations a workload does that need not touch every record.
    pub(crate) ops: u64,
    pub(crate) threads: u64,
    /// Sets the random numbers of one workload apart from those of the next.
    pub(crate) stream: u64,
}

/// What came of a workload.
pub(crate) struct Measurement {
    pub(crate) ops: u64,
    pub(crate) elapsed: Duration,
    /// In nanoseconds. Absent where looking at the clock for each operation would cost as much as
    /// the operation.
    pub(crate) latencies: Option<Histogram<u64>>,
}

/// One thread's part of a workload.
pub(crate) struct Worker {
    pub(crate) random: Random,
    /// Room for the key of each operation.
    pub(crate) key: Vec<u8>,
}

impl Bench<'_> {
    /// Does operation 0 to `ops`, each once, spread over the threads, and times each.
    pub(crate) fn each(
        &self,
        ops: u64,
        act: impl Fn(&mut Worker, u64) -> Result<()> + Sync,
    ) -> Result<Measurement> {
        let start = Barrier::new(self.threads as usize);
        let parts: Vec<Result<Part>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads)
                .map(|thread| {
                    let (start, act) = (&start, &act);
                    scope.spawn(move || {
                        let random = self.records.random(self.stream * self.threads + thread);
                        let mut worker = Worker { random, key: Vec::new() };
                        let mut latencies = histogram();
                        start.wait();
                        let begun = Instant::now();
                        let mut then = begun;
                        for op in share(ops, thread, self.threads) {
                            act(&mut worker, op)?;
                            let now = Instant::now();
                            latencies.saturating_record((now - then).as_nanos() as u64);
                            then = now;
                        }
                        Ok(Part { begun, ended: then, latencies })
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("because workers return errors")).collect()
        });
        Part::merge(ops, parts)
    }

    /// Times something as a whole, which tells how many operations it was.
    pub(crate) fn whole(&self, act: impl FnOnce() -> Result<u64>) -> Result<Measurement> {
        let begun = Instant::now();
        let ops = act()?;
        Ok(Measurement { ops, elapsed: begun.elapsed(), latencies: None })
    }
}

struct Part {
    begun: Instant,
    ended: Instant,
    latencies: Histogram<u64>,
}

impl Part {
    fn merge(ops: u64, parts: Vec<Result<Part>>) -> Result<Measurement> {
        let parts: Vec<Part> = parts.into_iter().collect::<Result<_>>()?;
        let begun = parts.iter().map(|part| part.begun).min();
        let ended = parts.iter().map(|part| part.ended).max();
        let mut latencies = histogram();
        for part in &parts {
            latencies += &part.latencies;
        }
        let elapsed = begun.zip(ended).map_or(Duration::ZERO, |(begun, ended)| ended - begun);
        Ok(Measurement { ops, elapsed, latencies: Some(latencies) })
    }
}

/// Up to a minute, with three digits that hold.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("because the bounds are in order")
}
