//! First in, first out: nothing is ever merged, and the oldest data is dropped.

use lsmkit_base::{Run, Tree};

use crate::span::{by_age, is_old};
use crate::{Busy, Cause, CompactionPicker, Job, JobKind, Pressure};

/// Keeps what was written last, up to so many bytes or so long, and drops the rest, oldest first: for what loses its worth with time, such
/// as events or a cache. Nothing is rewritten. A read looks into every run that may have its key, so many small memtables make
/// it slow; [`crate::TimeWindow`] merges them.
///
/// Runs are dropped whole, but for the newest one where all is merely too much: what one large run holds, such as what a compaction by hand has made, goes together.
/// What is dropped is gone for snapshots as well, though not for cursors and scans that have begun.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Fifo {
    /// The oldest runs are dropped as long as all together have more bytes than this; 0 for no limit.
    pub bytes_max: u64,
    /// A run is dropped once all of it was flushed this many seconds ago or longer; 0 for never.
    pub age_max_seconds: u64,
}

impl Fifo {
    /// Without a limit.
    pub fn new() -> Fifo {
        Fifo::default()
    }

    /// With the oldest data dropped that goes beyond `bytes`.
    #[must_use]
    pub fn bytes_max(self, bytes: u64) -> Fifo {
        Fifo { bytes_max: bytes, ..self }
    }

    /// With data dropped once it is `seconds` old.
    #[must_use]
    pub fn age_max_seconds(self, seconds: u64) -> Fifo {
        Fifo { age_max_seconds: seconds, ..self }
    }

    /// The job that drops what is too much or too old, if anything is. It drops whole runs from the oldest on, so that
    /// nothing older shows again.
    pub(crate) fn expire(&self, tree: &Tree, busy: &Busy) -> Option<Job> {
        let oldest_first: Vec<_> = by_age(tree).rev().collect();
        // What is older than a run that is too old is so too, whatever its tables say.
        let old = oldest_first.iter().rposition(|(_, run)| self.is_old(run, busy.now)).map_or(0, |at| at + 1);
        let mut too_much = match self.bytes_max {
            0 => 0,
            bytes_max => tree.size_bytes().saturating_sub(bytes_max),
        };
        let is_beyond = |(_, run): &&(u32, &Run)| {
            let is_beyond = too_much > 0;
            too_much = too_much.saturating_sub(run.size_bytes());
            is_beyond
        };
        // Of what is merely too much the newest stays, however large.
        let beyond =
            oldest_first.iter().take_while(is_beyond).count().min(oldest_first.len().saturating_sub(1));
        let due = oldest_first[..old.max(beyond)].iter();
        let inputs: Vec<_> = due.take_while(|(_, run)| busy.is_run_idle(run)).collect();
        let (level, newest) = inputs.last()?;
        let cause = if self.is_old(newest, busy.now) { Cause::Age } else { Cause::Space };
        Some(Job {
            inputs: inputs.iter().flat_map(|(_, run)| &run.tables).map(|table| table.id).collect(),
            level: *level,
            run: newest.id,
            kind: JobKind::Drop,
            table_bytes: u64::MAX,
            cause,
        })
    }

    /// Whether all of a run has become too old.
    fn is_old(&self, run: &Run, now: u64) -> bool {
        run.tables.iter().all(|table| is_old(table.written.until, now, self.age_max_seconds))
    }
}

impl CompactionPicker for Fifo {
    fn name(&self) -> &str {
        "fifo"
    }

    fn pick(&self, tree: &Tree, busy: &Busy) -> Option<Job> {
        self.expire(tree, busy)
    }

    /// None: runs never become fewer but by being dropped, and writers can't wait for that.
    fn pressure(&self, _: &Tree) -> Pressure {
        Pressure { runs: 0, runs_slow: usize::MAX, runs_stop: usize::MAX, debt_bytes: 0 }
    }
}
