//! How far a workload is: counted by its threads, told by their process to the one that started it,
//! and shown there in a line.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam::utils::CachePadded;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::figures::Figures;

/// Threads share a counter from here on; they are more than any machine has cores to slow down.
const COUNTERS: u64 = 64;

/// Counts the operations of a session.
#[derive(Debug, Default)]
pub(crate) struct Beat {
    counters: Vec<CachePadded<AtomicU64>>,
    told: std::sync::Mutex<Option<(Instant, u64)>>,
    /// Whether somebody reads what is told.
    is_heard: bool,
}

/// What a session tells, as lines of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "told", rename_all = "snake_case")]
pub(crate) enum Told {
    Begun { workload: String },
    Progress(Progress),
    Ended(Box<Figures>),
}

/// A workload under way.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) ops: u64,
    pub(crate) ops_per_second: f64,
}

impl Told {
    pub(crate) fn print(&self) {
        println!("{}", serde_json::to_string(self).expect("because its numbers and names are JSON"));
    }
}

impl Beat {
    /// `is_heard`: tells its progress on the standard output.
    pub(crate) fn new(is_heard: bool) -> Beat {
        Beat {
            counters: (0..COUNTERS).map(|_| CachePadded::default()).collect(),
            is_heard,
            ..Beat::default()
        }
    }

    pub(crate) fn of_thread(&self, thread: u64) -> BeatOfThread<'_> {
        BeatOfThread(&self.counters[(thread % COUNTERS) as usize])
    }

    /// Tells how many operations there were, and how many a second since this was told last.
    pub(crate) fn tell(&self) {
        if !self.is_heard {
            return;
        }
        let ops = self.counters.iter().map(|counter| counter.load(Ordering::Relaxed)).sum();
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((then, ops_then)) = told.replace((now, ops)) {
            let ops_per_second = (ops - ops_then) as f64 / (now - then).as_secs_f64();
            Told::Progress(Progress { ops, ops_per_second }).print();
        }
    }
}

pub(crate) struct BeatOfThread<'a>(&'a AtomicU64);

impl BeatOfThread<'_> {
    pub(crate) fn add(&self, ops: u64) {
        self.0.fetch_add(ops, Ordering::Relaxed);
    }
}

/// The line that shows a run. On a terminal it is rewritten; elsewhere there is a line for each step.
pub(crate) struct Display {
    bar: ProgressBar,
}

impl Display {
    /// `steps` in all.
    pub(crate) fn new(steps: u64) -> Display {
        let bar = ProgressBar::new(steps);
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {elapsed} (about {eta} left)  {msg}")
            .expect("because the template is right");
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_secs(1));
        Display { bar }
    }

    /// A step has begun.
    pub(crate) fn begin(&self, what: &str) {
        self.bar.set_message(what.to_owned());
        if self.bar.is_hidden() {
            eprintln!("{what}");
        }
    }

    pub(crate) fn show(&self, what: &str, progress: Progress) {
        self.bar.set_message(format!("{what}  {}/s", crate::units::count(progress.ops_per_second)));
    }

    pub(crate) fn end(&self) {
        self.bar.inc(1);
    }

    /// Says something that stays.
    pub(crate) fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
