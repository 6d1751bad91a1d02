//! Time windows: what was written at about the same time is merged, and dropped, together.

use lsmkit_base::{Run, Tree};

use crate::span::{kind_of, runs};
use crate::{Busy, Cause, CompactionPicker, Fifo, Job, Pressure};

/// Merges what was flushed within a window of time into one run once the window has passed, and never touches it again until it is
/// dropped: for series of measurements, and whatever is written in the order of time, read by time, and kept for a while.
///
/// A record is rewritten whenever the newest runs of its window have become as large as one of several that came before, which is some
/// logarithm of the flushes in a window, and once more when the window has passed: whatever the store's size. A read that does not know the time looks into one
/// run for each window, by filter. A compaction by hand makes one run of several windows, which then goes by the newest of them. All runs are at level 0; those at other levels, which another strategy wrote, count as
/// older and stay until they are dropped.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TimeWindow {
    /// The length of a window in seconds; at least 1.
    pub window_seconds: u64,
    /// While a window lasts, so many runs of about one size are merged; at least 2.
    pub runs_per_merge: usize,
    /// What is dropped.
    pub keep: Fifo,
    /// The size at which an output table ends.
    pub table_bytes: u64,
    /// Past this many runs in one window writers are slowed down.
    pub runs_slow: usize,
    /// At this many runs in one window writers stop.
    pub runs_stop: usize,
}

impl Default for TimeWindow {
    fn default() -> TimeWindow {
        TimeWindow {
            window_seconds: 24 * 60 * 60,
            runs_per_merge: 4,
            keep: Fifo::new(),
            table_bytes: 64 << 20,
            runs_slow: 20,
            runs_stop: 36,
        }
    }
}

impl TimeWindow {
    /// With windows of so many seconds.
    #[must_use]
    pub fn window_seconds(self, seconds: u64) -> TimeWindow {
        TimeWindow { window_seconds: seconds, ..self }
    }

    /// With `runs` runs merged at a time while a window lasts.
    #[must_use]
    pub fn runs_per_merge(self, runs: usize) -> TimeWindow {
        TimeWindow { runs_per_merge: runs, ..self }
    }

    /// With data dropped as `keep` says.
    #[must_use]
    pub fn keep(self, keep: Fifo) -> TimeWindow {
        TimeWindow { keep, ..self }
    }

    /// With output tables that end at `bytes`.
    #[must_use]
    pub fn table_bytes(self, bytes: u64) -> TimeWindow {
        TimeWindow { table_bytes: bytes, ..self }
    }

    /// With writers slowed down past `slow` runs in a window and stopped at `stop`.
    #[must_use]
    pub fn runs_limits(self, slow: usize, stop: usize) -> TimeWindow {
        TimeWindow { runs_slow: slow, runs_stop: stop, ..self }
    }

    /// The window that a run belongs to: that of its newest entry.
    fn window(&self, run: &Run) -> u64 {
        let until = run.tables.iter().map(|table| table.written.until).max().unwrap_or(0);
        until / self.window_seconds.max(1)
    }

    /// The runs of level 0, newest first, window by window.
    fn windows<'a>(&self, tree: &'a Tree) -> Vec<&'a [Run]> {
        runs(tree, 0).chunk_by(|a, b| self.window(a) == self.window(b)).collect()
    }

    /// The runs of a window that should be one, newest first. In one that has passed, all of them; in the one that
    /// lasts, as many of the newest as make the least work.
    fn due<'a>(&self, window: &'a [Run], now: u64) -> Option<&'a [Run]> {
        let has_passed =
            window.first().is_some_and(|run| self.window(run) < now / self.window_seconds.max(1));
        if has_passed {
            return (window.len() > 1).then_some(window);
        }
        // Each of them no larger than those newer than it together: a record is rewritten as often as its
        // run doubles and more.
        let mut newer: u64 = 0;
        let alike = |run: &&Run| {
            let fits = newer == 0 || run.size_bytes() <= newer.saturating_mul(2);
            newer += run.size_bytes();
            fits
        };
        let count = window.iter().take_while(alike).count();
        (count >= self.runs_per_merge.max(2)).then(|| &window[..count])
    }
}

impl CompactionPicker for TimeWindow {
    fn name(&self) -> &str {
        "time window"
    }

    fn pick(&self, tree: &Tree, busy: &Busy) -> Option<Job> {
        if let Some(job) = self.keep.expire(tree, busy) {
            return Some(job);
        }
        let mut windows = self.windows(tree).into_iter();
        windows.find_map(|window| {
            let due = self.due(window, busy.now)?;
            // Whoever works on other windows is on one side of these runs.
            if !due.iter().all(|run| busy.is_run_idle(run)) {
                return None;
            }
            let inputs: Vec<_> = due.iter().flat_map(|run| &run.tables).collect();
            Some(Job {
                inputs: inputs.iter().map(|table| table.id).collect(),
                level: 0,
                run: due.first()?.id,
                kind: kind_of(&inputs),
                table_bytes: self.table_bytes,
                cause: Cause::Runs,
            })
        })
    }

    fn pressure(&self, tree: &Tree) -> Pressure {
        let windows = self.windows(tree);
        // Windows that have passed are merged sooner or later; writers make runs only in the one that lasts.
        let due = windows.first().and_then(|window| self.due(window, 0));
        Pressure {
            runs: windows.first().map_or(0, |window| window.len()),
            runs_slow: self.runs_slow,
            runs_stop: self.runs_stop,
            debt_bytes: due.map_or(0, |runs| runs.iter().map(Run::size_bytes).sum()),
        }
    }
}
