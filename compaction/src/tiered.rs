//! Size-tiered compaction: runs of about one size gather at a level until there are enough to merge.
//!
//! Every flush is a run at level 0. A level that has `runs_per_level` runs merges all it has into
//! one new run of the next, so a version is rewritten once a level. This is the tiering of
//! Dayan and Idreos, "Dostoevsky" (SIGMOD 2018), with the space limit of RocksDB's universal strategy.

use std::sync::Arc;

use lsmkit_base::{Run, RunId, TableMeta, Tree};

use crate::span::{Span, by_age, disjoint, is_old, newest_idle, runs, sheds_tombstones};
use crate::{Busy, Cause, CompactionPicker, Job, JobKind, Pressure};

/// Size-tiered compaction: fewest bytes rewritten, for slower reads and more space than [`crate::Leveled`].
///
/// While a full merge runs, the store takes up to twice its size on disk.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Tiered {
    /// A level with this many runs is merged into one run of the next; at least 2.
    pub runs_per_level: usize,
    /// How many levels there are, level 0 included; from 2 to [`Tree::MAX_LEVELS`].
    pub levels: u32,
    /// All is merged into one run when the runs above the oldest hold more than this many times
    /// its bytes: a bound on the space that superseded versions take.
    pub space_limit: f64,
    /// All is merged into one run when some of it was flushed this many seconds ago or longer and is not in the oldest run,
    /// so that what it replaces or deletes is gone from the disk within about that time; 0 for never.
    pub age_max_seconds: u64,
    /// The size at which an output table ends.
    pub table_bytes: u64,
    /// Past this many runs at the fullest level writers are slowed down.
    pub runs_slow: usize,
    /// At this many runs at the fullest level writers stop.
    pub runs_stop: usize,
}

impl Default for Tiered {
    fn default() -> Tiered {
        Tiered {
            runs_per_level: 4,
            levels: 7,
            space_limit: 1.0,
            age_max_seconds: 0,
            table_bytes: 64 << 20,
            runs_slow: 12,
            runs_stop: 24,
        }
    }
}

impl Tiered {
    /// With a level merged at `runs` runs.
    #[must_use]
    pub fn runs_per_level(self, runs: usize) -> Tiered {
        Tiered { runs_per_level: runs, ..self }
    }

    /// With `levels` levels, level 0 included.
    #[must_use]
    pub fn levels(self, levels: u32) -> Tiered {
        Tiered { levels, ..self }
    }

    /// With a full merge once the runs above the oldest hold more than `times` its bytes.
    #[must_use]
    pub fn space_limit(self, times: f64) -> Tiered {
        Tiered { space_limit: times, ..self }
    }

    /// With all merged into one run once what is not in the oldest is `seconds` old.
    #[must_use]
    pub fn age_max_seconds(self, seconds: u64) -> Tiered {
        Tiered { age_max_seconds: seconds, ..self }
    }

    /// With output tables that end at `bytes`.
    #[must_use]
    pub fn table_bytes(self, bytes: u64) -> Tiered {
        Tiered { table_bytes: bytes, ..self }
    }

    /// With writers slowed down past `slow` runs at the fullest level and stopped at `stop`.
    #[must_use]
    pub fn runs_limits(self, slow: usize, stop: usize) -> Tiered {
        Tiered { runs_slow: slow, runs_stop: stop, ..self }
    }
}

impl CompactionPicker for Tiered {
    fn name(&self) -> &str {
        "tiered"
    }

    fn pick(&self, tree: &Tree, busy: &Busy) -> Option<Job> {
        self.merge_all(tree, busy).or_else(|| self.merge_level(tree, busy))
    }

    fn pressure(&self, tree: &Tree) -> Pressure {
        let order: Vec<_> = by_age(tree).collect();
        let debt_bytes = match self.full_merge_cause(tree, &order) {
            Some(_) => tree.size_bytes(),
            None => tree
                .levels
                .iter()
                .filter(|level| level.runs.len() >= self.trigger())
                .map(lsmkit_base::Level::size_bytes)
                .sum(),
        };
        Pressure {
            runs: tree.levels.iter().map(|level| level.runs.len()).max().unwrap_or(0),
            runs_slow: self.runs_slow,
            runs_stop: self.runs_stop,
            debt_bytes,
        }
    }
}

impl Tiered {
    fn trigger(&self) -> usize {
        self.runs_per_level.max(2)
    }

    fn last(&self, tree: &Tree) -> u32 {
        (self.levels.clamp(2, Tree::MAX_LEVELS) - 1).max((tree.levels.len() as u32).saturating_sub(1))
    }

    /// Merges everything from the newest idle run to the oldest into one run of the last level,
    /// where that is due. Newer runs than a busy one stay: they can't pass it.
    fn merge_all(&self, tree: &Tree, busy: &Busy) -> Option<Job> {
        let mut order: Vec<_> = by_age(tree).rev().take_while(|(_, run)| busy.is_run_idle(run)).collect();
        order.reverse();
        let cause = self.full_merge_cause(tree, &order).or_else(|| self.renewal_cause(busy, &order))?;
        let inputs: Vec<_> = order.iter().flat_map(|(_, run)| &run.tables).collect();
        let newest = order.iter().map(|(_, run)| run.id).max()?;
        self.job(tree, busy, &inputs, self.last(tree), newest, cause)
    }

    /// Why the oldest runs of the tree, `order`, should become one, if they should.
    fn full_merge_cause(&self, tree: &Tree, order: &[(u32, &Run)]) -> Option<Cause> {
        let ((_, oldest), above) = order.split_last()?;
        if above.is_empty() || by_age(tree).count() < self.trigger() {
            return None;
        }
        let last = self.last(tree);
        let at_last = order.iter().filter(|(level, _)| *level == last).count();
        if at_last >= self.trigger() && at_last == runs(tree, last).len() {
            return Some(Cause::Runs);
        }
        let above: u64 = above.iter().map(|(_, run)| run.size_bytes()).sum();
        (above as f64 > self.space_limit * oldest.size_bytes() as f64).then_some(Cause::Space)
    }

    /// Why the oldest runs of the tree, `order`, should become one though they are neither too many nor too large, if they should.
    fn renewal_cause(&self, busy: &Busy, order: &[(u32, &Run)]) -> Option<Cause> {
        let ((_, oldest), above) = order.split_last()?;
        let above = || above.iter().flat_map(|(_, run)| &run.tables);
        let tombstones: u64 = above().map(|table| table.tombstones).sum();
        let entries: u64 = above().chain(&oldest.tables).map(|table| table.entries).sum();
        // A quarter: each may hide an entry, and goes with it, so that at least a third of what is rewritten is freed.
        if tombstones > 0
            && tombstones.saturating_mul(4) >= entries
            && above().all(|table| busy.may_forget(table))
        {
            return Some(Cause::Tombstones);
        }
        let is_due = above().any(|table| is_old(table.written.from, busy.now, self.age_max_seconds))
            && above().all(|table| busy.may_forget(table));
        is_due.then_some(Cause::Age)
    }

    /// Merges the runs of the level that has most of them, the shallowest among equals.
    fn merge_level(&self, tree: &Tree, busy: &Busy) -> Option<Job> {
        let mut full: Vec<(usize, u32)> = (0..self.last(tree))
            .map(|level| (runs(tree, level).len(), level))
            .filter(|(count, _)| *count >= self.trigger())
            .collect();
        full.sort_by_key(|(count, level)| (std::cmp::Reverse(*count), *level));
        full.into_iter().find_map(|(_, level)| {
            self.next_tier(tree, busy, level).or_else(|| self.in_place(tree, busy, level))
        })
    }

    /// Merges the idle runs of `level`, from the oldest on, into one run of the next level.
    fn next_tier(&self, tree: &Tree, busy: &Busy, level: u32) -> Option<Job> {
        let idle: Vec<&Run> =
            runs(tree, level).iter().rev().take_while(|run| busy.is_run_idle(run)).collect();
        if idle.len() < self.trigger() {
            return None;
        }
        let newest = idle.last()?.id;
        // A new run is named after its newest input. Where the next level has runs with that
        // number or a greater one (a leveled strategy wrote the tree: there a level's run keeps its
        // number while newer data joins it), they would wrongly count as newer: they are merged too.
        let clashing: Vec<&Run> = runs(tree, level + 1).iter().take_while(|run| run.id >= newest).collect();
        if !clashing.iter().all(|run| busy.is_run_idle(run)) {
            return None;
        }
        let run = clashing.first().map_or(newest, |run| run.id);
        let inputs: Vec<_> = idle.iter().rev().chain(&clashing).flat_map(|run| &run.tables).collect();
        self.job(tree, busy, &inputs, level + 1, run, Cause::Runs)
    }

    /// Merges the newest idle runs of `level` into one run of the same level, while a long job
    /// holds the older ones: without that, runs would gather until it ends.
    fn in_place(&self, tree: &Tree, busy: &Busy, level: u32) -> Option<Job> {
        let idle = newest_idle(tree, busy, level);
        if idle.len() < self.trigger() {
            return None;
        }
        let inputs: Vec<_> = idle.iter().flat_map(|run| &run.tables).collect();
        self.job(tree, busy, &inputs, level, idle.first()?.id, Cause::Runs)
    }

    /// The job that makes `inputs` one run of `level`, unless a running job writes there.
    fn job(
        &self,
        tree: &Tree,
        busy: &Busy,
        inputs: &[&Arc<TableMeta>],
        level: u32,
        run: RunId,
        cause: Cause,
    ) -> Option<Job> {
        let span = Span::hull(inputs.iter().copied())?;
        if !busy.span_is_free(level, span) {
            return None;
        }
        let as_they_are =
            disjoint(inputs) && !inputs.iter().any(|table| sheds_tombstones(tree, table, level));
        let kind = if as_they_are { JobKind::Move } else { JobKind::Merge };
        let inputs = inputs.iter().map(|table| table.id).collect();
        Some(Job { inputs, level, run, kind, table_bytes: self.table_bytes, cause })
    }
}
