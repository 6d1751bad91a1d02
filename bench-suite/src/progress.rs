//! How far a workload is: counted by its threads, told by their process to the one that started it,
//! and shown there in a line.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::utils::CachePadded;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::figures::Figures;
use crate::units;

/// Threads share a counter from here on; they are more than any machine has cores to slow down.
const COUNTERS: u64 = 64;

/// Counts operations, and tells how many there were.
pub(crate) struct Beat {
    counters: Vec<CachePadded<AtomicU64>>,
    told: Mutex<Option<(Instant, u64)>>,
    hear: Box<dyn Fn(Progress) + Send + Sync>,
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
    /// `hear` is told now and then.
    pub(crate) fn new(hear: impl Fn(Progress) + Send + Sync + 'static) -> Beat {
        let counters = (0..COUNTERS).map(|_| CachePadded::default()).collect();
        Beat { counters, told: Mutex::new(None), hear: Box::new(hear) }
    }

    pub(crate) fn of_thread(&self, thread: u64) -> &AtomicU64 {
        &self.counters[(thread % COUNTERS) as usize]
    }

    /// Tells how many operations there were, and how many a second since this was told last.
    pub(crate) fn tell(&self) {
        let ops = self.counters.iter().map(|counter| counter.load(Ordering::Relaxed)).sum();
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((then, ops_then)) = told.replace((now, ops)) {
            let ops_per_second = (ops - ops_then) as f64 / (now - then).as_secs_f64();
            (self.hear)(Progress { ops, ops_per_second });
        }
    }
}

/// The line that shows a run. On a terminal it is rewritten; elsewhere there is a line for each step.
#[derive(Clone)]
pub(crate) struct Display {
    bar: ProgressBar,
    step: Arc<Mutex<String>>,
}

impl Display {
    /// `steps` in all.
    pub(crate) fn new(steps: u64) -> Display {
        let bar = ProgressBar::new(steps);
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {elapsed} (about {eta} left)  {msg}")
            .expect("because the template is right");
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_secs(1));
        Display { bar, step: Arc::default() }
    }

    /// A step has begun.
    pub(crate) fn begin(&self, step: &str) {
        step.clone_into(&mut self.step.lock().unwrap_or_else(PoisonError::into_inner));
        self.bar.set_message(step.to_owned());
        if self.bar.is_hidden() {
            eprintln!("{step}");
        }
    }

    /// How far the step is.
    pub(crate) fn show(&self, progress: Progress) {
        let step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        self.bar.set_message(format!("{step}  {}/s", units::count(progress.ops_per_second)));
    }

    /// A step has ended.
    pub(crate) fn end(&self) {
        self.bar.inc(1);
    }

    /// Says something that stays.
    pub(crate) fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    /// There is nothing more to show.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }
}
