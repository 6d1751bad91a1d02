//! Timing operations.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::figures::Second;
use crate::progress::Beat;
use crate::records::{Random, Records, share};
use crate::sampler::{Sample, Sampler};
use crate::store::Store;

/// What a workload works with.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// The engine.
    pub store: &'a dyn Store,
    /// The records that are put and got.
    pub records: &'a Records,
    /// How many threads call the engine.
    pub threads: u64,
    /// Sets the random numbers of one workload apart from those of the next.
    pub stream: u64,
    /// How long a workload goes on that has no end of its own.
    pub time: Duration,
    /// After how long one that has an end is cut short.
    pub time_max: Duration,
    /// So many operations at most.
    pub ops_max: u64,
    /// Operations a second that are begun, whether or not earlier ones have ended; as fast as they end
    /// where there is none.
    pub rate: Option<f64>,
    /// Writes a second beside reads.
    pub rate_beside: f64,
    pub(crate) beat: Option<&'a Beat>,
}

/// What came of a workload.
pub struct Measurement {
    /// Operations, or records of those that are of many.
    pub ops: u64,
    /// From the first one's begin to the last one's end.
    pub elapsed: Duration,
    /// In nanoseconds, of each call.
    pub(crate) latencies: Histogram<u64>,
    pub(crate) series: Vec<Second>,
    /// Bytes of keys and values put.
    pub put_bytes: u64,
    /// Bytes of keys and values got.
    pub got_bytes: u64,
    /// Whether it was cut short of the end that it has of its own.
    pub(crate) is_cut: bool,
    /// What went on beside: what it was, how many a second were asked for, what came of it.
    pub(crate) beside: Option<(&'static str, Option<f64>, Box<Measurement>)>,
}

/// One thread's part of a workload.
pub(crate) struct Worker {
    pub(crate) thread: u64,
    pub(crate) random: Random,
    /// Room for the key of each operation.
    pub(crate) key: Vec<u8>,
    /// Room for the keys of a batch, one after the other.
    pub(crate) keys: Vec<u8>,
    pub(crate) put_bytes: u64,
    pub(crate) got_bytes: u64,
}

/// What goes on beside the measured operations, on a thread of its own, until they have ended.
pub(crate) struct Aside<'a> {
    pub(crate) what: &'static str,
    /// Operations a second; as fast as they end where there is none.
    pub(crate) rate: Option<f64>,
    pub(crate) act: &'a (dyn Fn(&mut Worker, u64) -> Result<u64> + Sync),
}

impl<'a> Bench<'a> {
    /// One thread, in closed loop; a second for workloads that have no end of their own.
    pub fn on(store: &'a dyn Store, records: &'a Records) -> Bench<'a> {
        Bench {
            store,
            records,
            threads: 1,
            stream: 0,
            time: Duration::from_secs(1),
            time_max: Duration::MAX,
            ops_max: u64::MAX,
            rate: None,
            rate_beside: 50_000.0,
            beat: None,
        }
    }
}

impl Bench<'_> {
    /// Does operation 0 to `ops`, each once, spread over the threads; not the last of them where that
    /// would take too long. `act` tells how many operations a call counts for.
    pub(crate) fn each(
        &self,
        ops: u64,
        act: impl Fn(&mut Worker, u64) -> Result<u64> + Sync,
    ) -> Result<Measurement> {
        self.run(Some(ops), self.time_max, &act, None)
    }

    /// Does operations for as long as the bench says.
    pub(crate) fn repeat(&self, act: impl Fn(&mut Worker, u64) -> Result<u64> + Sync) -> Result<Measurement> {
        self.run(None, self.time, &act, None)
    }

    /// Does operations for as long as the bench says, and something else meanwhile.
    pub(crate) fn repeat_beside(
        &self,
        aside: Aside<'_>,
        act: impl Fn(&mut Worker, u64) -> Result<u64> + Sync,
    ) -> Result<Measurement> {
        self.run(None, self.time, &act, Some(aside))
    }

    /// `calls` is how many there are to be in all, of a workload that has an end of its own.
    fn run(
        &self,
        calls: Option<u64>,
        time_max: Duration,
        act: &(dyn Fn(&mut Worker, u64) -> Result<u64> + Sync),
        aside: Option<Aside<'_>>,
    ) -> Result<Measurement> {
        let start = Barrier::new(self.threads as usize + usize::from(aside.is_some()));
        let is_over = AtomicBool::new(false);
        let sampler = Sampler::default();
        let (parts, aside_part, samples) = thread::scope(|scope| {
            let spawn = |thread: u64, course: Course, act| {
                let (start, is_over) = (&start, &is_over);
                scope.spawn(move || {
                    let part = self.work(thread, &course, act, start, is_over);
                    if part.is_err() {
                        is_over.store(true, Ordering::Relaxed);
                    }
                    part
                })
            };
            let threads: Vec<_> = (0..self.threads)
                .map(|thread| {
                    let ops = share(calls.unwrap_or(ENDLESS).min(self.ops_max), thread, self.threads);
                    // Threads take turns, so that operations don't come in bursts.
                    let beats = self.rate.map(|rate| Beats {
                        first: thread as f64 / rate,
                        interval: self.threads as f64 / rate,
                        slack: Duration::ZERO,
                    });
                    spawn(thread, Course { ops, time_max, beats }, act)
                })
                .collect();
            let aside = aside.as_ref().map(|aside| {
                let beats =
                    aside.rate.map(|rate| Beats { first: 0.0, interval: 1.0 / rate, slack: ASIDE_SLACK });
                let course = Course { ops: 0..ENDLESS, time_max: Duration::MAX, beats };
                spawn(self.threads, course, aside.act)
            });
            let samples = scope.spawn(|| sampler.run(self.store, self.beat));
            let parts: Vec<_> = threads.into_iter().map(join).collect();
            is_over.store(true, Ordering::Relaxed);
            let aside = aside.map(join);
            sampler.stop();
            (parts, aside, samples.join().expect("because the sampler doesn't panic"))
        });
        let parts = parts.into_iter().collect::<Result<_>>()?;
        let mut measurement = Part::merge(parts, calls, samples);
        if let (Some(aside), Some(part)) = (aside, aside_part) {
            let measurement_aside = Part::merge(vec![part?], None, Vec::new());
            measurement.beside = Some((aside.what, aside.rate, Box::new(measurement_aside)));
        }
        Ok(measurement)
    }

    fn work(
        &self,
        thread: u64,
        course: &Course,
        act: &(dyn Fn(&mut Worker, u64) -> Result<u64> + Sync),
        start: &Barrier,
        is_over: &AtomicBool,
    ) -> Result<Part> {
        let random = self.records.random(self.stream * 1024 + thread);
        let mut worker =
            Worker { thread, random, key: Vec::new(), keys: Vec::new(), put_bytes: 0, got_bytes: 0 };
        let mut part = Part::new();
        // What goes on aside is not what is measured.
        let counter = self.beat.filter(|_| thread < self.threads).map(|beat| beat.of_thread(thread));
        start.wait();
        part.begun = Instant::now();
        part.ended = part.begun;
        for (nth, op) in course.ops.clone().enumerate() {
            let asked = match &course.beats {
                None => part.ended,
                Some(beats) => {
                    let due = beats.first + beats.interval * nth as f64;
                    if due > course.time_max.as_secs_f64() {
                        break;
                    }
                    match wait(part.begun + Duration::from_secs_f64(due), beats.slack, is_over) {
                        Some(asked) => asked,
                        None => break,
                    }
                }
            };
            let ops = act(&mut worker, op)?;
            part.ended = Instant::now();
            part.add(ops, part.ended - asked);
            if let Some(counter) = counter {
                counter.fetch_add(ops, Ordering::Relaxed);
            }
            if part.ended - part.begun >= course.time_max || is_over.load(Ordering::Relaxed) {
                break;
            }
        }
        part.put_bytes = worker.put_bytes;
        part.got_bytes = worker.got_bytes;
        Ok(part)
    }
}

fn join(thread: thread::ScopedJoinHandle<'_, Result<Part>>) -> Result<Part> {
    thread.join().expect("because workers return errors")
}

/// What one thread is to do.
struct Course {
    ops: std::ops::Range<u64>,
    time_max: Duration,
    /// When operations are due; each when the last has ended where there are none.
    beats: Option<Beats>,
}

/// When operations are due, in seconds from the begin.
struct Beats {
    first: f64,
    interval: f64,
    /// How far ahead of its time an operation may begin.
    slack: Duration,
}

/// More operations than any run does, of a workload without an end of its own.
const ENDLESS: u64 = u64::MAX;

/// Writers beside readers come in bursts of a millisecond: waiting for each by itself would take a
/// processor from those who are measured.
const ASIDE_SLACK: Duration = Duration::from_millis(1);
/// What a sleep may overshoot by; the rest of the way is waited awake.
const SLEEP_OVERSHOOT: Duration = Duration::from_micros(100);

/// Waits until it is time, give or take `slack`, and gives the moment from which the operation's
/// latency counts: when it should have begun, so that an operation that a stalled one delayed is
/// charged the wait (what Tene calls coordinated omission), but not before it could. `None` once it is over.
fn wait(due: Instant, slack: Duration, is_over: &AtomicBool) -> Option<Instant> {
    /// So that it is seen soon that it is over.
    const SLEEP_MAX: Duration = Duration::from_millis(100);
    while !is_over.load(Ordering::Relaxed) {
        let now = Instant::now();
        let ahead = due.saturating_duration_since(now);
        if ahead <= slack {
            return Some(due.min(now));
        }
        if ahead > SLEEP_OVERSHOOT {
            let short = if slack.is_zero() { SLEEP_OVERSHOOT } else { Duration::ZERO };
            thread::sleep((ahead - short).min(SLEEP_MAX));
        } else {
            std::hint::spin_loop();
        }
    }
    None
}

/// What one thread did.
struct Part {
    begun: Instant,
    ended: Instant,
    ops: u64,
    latencies: Histogram<u64>,
    series: Vec<Second>,
    put_bytes: u64,
    got_bytes: u64,
}

impl Part {
    fn new() -> Part {
        let now = Instant::now();
        let series = Vec::with_capacity(1024);
        Part { begun: now, ended: now, ops: 0, latencies: histogram(), series, put_bytes: 0, got_bytes: 0 }
    }

    fn add(&mut self, ops: u64, latency: Duration) {
        self.ops += ops;
        let latency_ns = latency.as_nanos() as u64;
        self.latencies.saturating_record(latency_ns);
        let second = (self.ended - self.begun).as_secs() as usize;
        if second >= self.series.len() {
            self.series.resize(second + 1, Second::default());
        }
        self.series[second].ops += ops;
        self.series[second].longest_ns = self.series[second].longest_ns.max(latency_ns);
    }

    /// `calls` is how many they were to make together, if that was said.
    fn merge(parts: Vec<Part>, calls: Option<u64>, samples: Vec<Sample>) -> Measurement {
        let begun = parts.iter().map(|part| part.begun).min();
        let ended = parts.iter().map(|part| part.ended).max();
        let elapsed = begun.zip(ended).map_or(Duration::ZERO, |(begun, ended)| ended - begun);
        let mut latencies = histogram();
        let mut series = vec![Second::default(); elapsed.as_secs() as usize + 1];
        for part in &parts {
            latencies += &part.latencies;
            for (second, of_part) in series.iter_mut().zip(&part.series) {
                second.ops += of_part.ops;
                second.longest_ns = second.longest_ns.max(of_part.longest_ns);
            }
        }
        for (second, sample) in series.iter_mut().zip(samples) {
            second.stalled_seconds = sample.stalled_seconds;
            second.memory_bytes = sample.memory_bytes;
        }
        Measurement {
            ops: parts.iter().map(|part| part.ops).sum(),
            elapsed,
            is_cut: calls.is_some_and(|calls| latencies.len() < calls),
            latencies,
            series,
            put_bytes: parts.iter().map(|part| part.put_bytes).sum(),
            got_bytes: parts.iter().map(|part| part.got_bytes).sum(),
            beside: None,
        }
    }
}

/// Up to ten minutes, with three digits that hold.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000_000, 3).expect("because the bounds are in order")
}
