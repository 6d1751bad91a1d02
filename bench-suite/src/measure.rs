//! Timing operations.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::figures::Second;
use crate::progress::Beat;
use crate::records::{Random, Records, share};
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
    pub(crate) beat: &'a Beat,
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
    /// Whether it was cut short.
    pub(crate) is_cut: bool,
    pub(crate) beside: Option<(&'static str, Box<Measurement>)>,
}

/// One thread's part of a workload.
pub(crate) struct Worker {
    pub(crate) thread: u64,
    pub(crate) random: Random,
    /// Room for the key of each operation.
    pub(crate) key: Vec<u8>,
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
    /// One thread, in closed loop, without bounds but for what a workload has of its own.
    pub(crate) fn on(store: &'a dyn Store, records: &'a Records, beat: &'a Beat) -> Bench<'a> {
        Bench {
            store,
            records,
            threads: 1,
            stream: 0,
            time: Duration::from_secs(1),
            time_max: Duration::MAX,
            ops_max: 1 << 50,
            rate: None,
            rate_beside: 50_000.0,
            beat,
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
        self.run(ops.min(self.ops_max), self.time_max, &act, None)
    }

    /// Does operations for as long as the bench says.
    pub(crate) fn repeat(&self, act: impl Fn(&mut Worker, u64) -> Result<u64> + Sync) -> Result<Measurement> {
        self.run(self.ops_max, self.time, &act, None)
    }

    /// Does operations for as long as the bench says, and something else meanwhile.
    pub(crate) fn repeat_beside(
        &self,
        aside: Aside<'_>,
        act: impl Fn(&mut Worker, u64) -> Result<u64> + Sync,
    ) -> Result<Measurement> {
        self.run(self.ops_max, self.time, &act, Some(aside))
    }

    fn run(
        &self,
        ops: u64,
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
                    let ops = share(ops, thread, self.threads);
                    let interval = self.rate.map(|rate| self.threads as f64 / rate);
                    spawn(thread, Course { ops, time_max, interval, slack: Duration::ZERO }, act)
                })
                .collect();
            let aside = aside.as_ref().map(|aside| {
                let interval = aside.rate.map(|rate| 1.0 / rate);
                let course =
                    Course { ops: 0..u64::MAX, time_max: Duration::MAX, interval, slack: ASIDE_SLACK };
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
        let mut measurement = Part::merge(parts, ops, samples);
        if let (Some(aside), Some(part)) = (aside, aside_part) {
            let beside = Part::merge(vec![part?], 0, Vec::new());
            measurement.put_bytes += beside.put_bytes;
            measurement.beside = Some((aside.what, Box::new(beside)));
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
        let mut worker = Worker { thread, random, key: Vec::new(), put_bytes: 0, got_bytes: 0 };
        let mut part = Part::new();
        let beat = self.beat.of_thread(thread);
        start.wait();
        part.begun = Instant::now();
        part.ended = part.begun;
        for (nth, op) in course.ops.clone().enumerate() {
            let asked = match course.interval {
                Some(interval) => {
                    wait(part.begun + Duration::from_secs_f64(interval * nth as f64), course.slack)
                }
                None => part.ended,
            };
            let ops = act(&mut worker, op)?;
            part.ended = Instant::now();
            part.add(ops, part.ended - asked);
            beat.add(ops);
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
    /// Seconds from the begin of one operation to that of the next.
    interval: Option<f64>,
    /// How far ahead of its time an operation may begin.
    slack: Duration,
}

/// Writers beside readers come in bursts of a millisecond: waiting for each by itself would take a
/// processor from those who are measured.
const ASIDE_SLACK: Duration = Duration::from_millis(1);
/// What a sleep may overshoot by; the rest of the way is waited awake.
const SLEEP_OVERSHOOT: Duration = Duration::from_micros(100);

/// Waits until it is time, give or take `slack`, and gives the moment from which the operation's
/// latency counts: when it should have begun, so that an operation that a stalled one delayed is
/// charged the wait (what Tene calls coordinated omission), but not before it could.
fn wait(due: Instant, slack: Duration) -> Instant {
    loop {
        let now = Instant::now();
        let ahead = due.saturating_duration_since(now);
        if ahead <= slack {
            return due.min(now);
        }
        if ahead > SLEEP_OVERSHOOT {
            thread::sleep(if slack.is_zero() { ahead - SLEEP_OVERSHOOT } else { ahead });
        } else {
            std::hint::spin_loop();
        }
    }
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

    /// `ops` is how many calls they were to make together.
    fn merge(parts: Vec<Part>, ops: u64, samples: Vec<Sample>) -> Measurement {
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
            second.rss_bytes = sample.rss_bytes;
        }
        Measurement {
            ops: parts.iter().map(|part| part.ops).sum(),
            elapsed,
            is_cut: latencies.len() < ops,
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

/// Looks at the process and at the engine once a second.
#[derive(Default)]
struct Sampler {
    is_over: Mutex<bool>,
    over: std::sync::Condvar,
}

struct Sample {
    stalled_seconds: Option<f64>,
    rss_bytes: Option<u64>,
}

impl Sampler {
    fn run(&self, store: &dyn Store, beat: &Beat) -> Vec<Sample> {
        const BEATS_PER_SECOND: u32 = 4;
        let begun = Instant::now();
        let mut samples = Vec::new();
        let mut stalled_before = stalled_seconds(store);
        for tick in 1.. {
            let due = begun + Duration::from_secs(1) * tick / BEATS_PER_SECOND;
            if self.is_over_by(due) {
                break;
            }
            beat.tell();
            if tick % BEATS_PER_SECOND == 0 {
                let stalled = stalled_seconds(store);
                samples.push(Sample {
                    stalled_seconds: stalled.zip(stalled_before).map(|(now, before)| now - before),
                    rss_bytes: crate::process::rss_bytes(),
                });
                stalled_before = stalled;
            }
        }
        let stalled = stalled_seconds(store).zip(stalled_before).map(|(now, before)| now - before);
        samples.push(Sample { stalled_seconds: stalled, rss_bytes: crate::process::rss_bytes() });
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

    fn stop(&self) {
        *self.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.over.notify_all();
    }
}

/// Absent where the engine doesn't tell of stalls.
fn stalled_seconds(store: &dyn Store) -> Option<f64> {
    let inside = store.inside();
    (!inside.stalls.is_empty()).then(|| inside.stalled_seconds())
}
