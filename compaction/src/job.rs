//! What a job means to the tree: its sources in the order of age, the range it holds, the change it ends in.

use std::sync::Arc;

use lsmkit_base::{Run, RunId, TableChange, TableId, TableMeta, Tree};

use crate::span::{Span, by_age};
use crate::{Busy, BusyRange, Cause, Job, JobKind};

/// The inputs of a job that come from one run: disjoint tables, by key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The level the tables are in.
    pub level: u32,
    /// The run the tables are in.
    pub run: RunId,
    /// The inputs of that run, by key.
    pub tables: Vec<Arc<TableMeta>>,
}

impl Job {
    /// The inputs by run, newest run first: the order in which [`crate::Merge`] wants its children.
    ///
    /// Inputs that are not in `tree` are left out; [`Job::check`] tells of them.
    pub fn sources(&self, tree: &Tree) -> Vec<Source> {
        let mut inputs = self.inputs.clone();
        inputs.sort_unstable();
        by_age(tree)
            .filter_map(|(level, run)| {
                let chosen = run.tables.iter().filter(|table| inputs.binary_search(&table.id).is_ok());
                let tables: Vec<_> = chosen.cloned().collect();
                (!tables.is_empty()).then_some(Source { level, run: run.id, tables })
            })
            .collect()
    }

    /// Whether the job makes room at level 0, which writers wait for: it goes before others.
    pub fn empties_level0(&self) -> bool {
        self.cause == Cause::Level0
    }

    /// How long the parts should be at least that the job is cut into for several threads: two tables' worth, as each part may end
    /// in a table that is not full.
    pub fn part_bytes(&self) -> u64 {
        self.table_bytes.saturating_mul(2)
    }

    /// The bytes of all inputs: what a merge reads, and the most it writes but for what another
    /// table size or compression makes of it.
    pub fn input_bytes(&self, tree: &Tree) -> u64 {
        self.sources(tree).iter().flat_map(|source| &source.tables).map(|table| table.size_bytes).sum()
    }

    /// Where the job writes: for a merge the whole range of its inputs, because an output table may
    /// span a gap between them; for a move the range of each table.
    pub fn outputs(&self, tree: &Tree) -> Vec<BusyRange> {
        self.ranges(&self.sources(tree))
    }

    /// As [`Job::outputs`], with `sources` the job's own.
    pub(crate) fn ranges(&self, sources: &[Source]) -> Vec<BusyRange> {
        let tables = || sources.iter().flat_map(|source| &source.tables);
        let of_level = sources.iter().filter(|source| source.level == self.level).map(|source| source.run);
        let (oldest, newest) =
            of_level.fold((self.run, self.run), |(oldest, newest), run| (oldest.min(run), newest.max(run)));
        let range = |span: Span<'_>| BusyRange {
            level: self.level,
            oldest,
            newest,
            smallest: span.smallest.into(),
            largest: span.largest.into(),
        };
        match self.kind {
            JobKind::Merge => Span::hull(tables()).map(range).into_iter().collect(),
            JobKind::Move => tables().map(|table| range(Span::of(table))).collect(),
            JobKind::Drop => Vec::new(),
        }
    }

    /// The change the job ends in: the inputs leave the tree, and `merged` (for a move: the inputs
    /// themselves, whatever `merged` holds; where they are dropped: nothing) joins the job's run.
    ///
    /// `tree` may be the one the job was picked from or any later one that still has the inputs.
    pub fn changes(&self, tree: &Tree, merged: &[Arc<TableMeta>]) -> Vec<TableChange> {
        let mut changes: Vec<_> = self.inputs.iter().map(|&table| TableChange::Remove { table }).collect();
        let add = |table: &Arc<TableMeta>| TableChange::Add {
            level: self.level,
            run: self.run,
            table: Arc::clone(table),
        };
        match self.kind {
            JobKind::Merge => changes.extend(merged.iter().map(add)),
            JobKind::Move => {
                changes.extend(self.sources(tree).iter().flat_map(|source| &source.tables).map(add));
            }
            JobKind::Drop => {}
        }
        changes
    }
}

impl Busy {
    /// Whether no running job replaces `table`.
    pub fn is_idle(&self, table: &TableMeta) -> bool {
        !self.tables.contains(&table.id)
    }

    /// Whether no running job replaces a table of `run`.
    pub(crate) fn is_run_idle(&self, run: &Run) -> bool {
        run.tables.iter().all(|table| self.is_idle(table))
    }

    /// Whether no running job writes into `smallest..=largest` of any run of `level`.
    pub fn may_write(&self, level: u32, smallest: &[u8], largest: &[u8]) -> bool {
        self.outputs
            .iter()
            .all(|held| held.level != level || *held.largest < *smallest || *largest < *held.smallest)
    }

    /// Whether no running job writes into the same keys among the same runs.
    ///
    /// Enough for a job that keeps the order of age ([`Job::check`]): one that works on other runs of the level is wholly on one
    /// side of it.
    pub fn may_write_into(&self, range: &BusyRange) -> bool {
        self.outputs.iter().all(|held| {
            held.level != range.level
                || held.newest < range.oldest
                || range.newest < held.oldest
                || held.largest < range.smallest
                || range.largest < held.smallest
        })
    }

    /// Notes that `job`, picked from `tree`, has begun.
    pub fn hold(&mut self, tree: &Tree, job: &Job) {
        self.tables.extend(&job.inputs);
        self.outputs.extend(job.outputs(tree));
    }

    /// Notes that a job has ended which held these tables and wrote to these ranges.
    pub fn release(&mut self, inputs: &[TableId], outputs: &[BusyRange]) {
        for table in inputs {
            self.tables.remove(table);
        }
        for output in outputs {
            if let Some(at) = self.outputs.iter().position(|held| held == output) {
                self.outputs.swap_remove(at);
            }
        }
    }

    /// What jobs that were picked from `tree` and still run hold together.
    pub fn of<'a>(tree: &Tree, running: impl IntoIterator<Item = &'a Job>) -> Busy {
        let mut busy = Busy::default();
        for job in running {
            busy.hold(tree, job);
        }
        busy
    }

    /// Whether what `table` hides can be forgotten as far as snapshots go.
    pub(crate) fn may_forget(&self, table: &TableMeta) -> bool {
        self.oldest_read.is_none_or(|at| table.seq_max <= at)
    }

    pub(crate) fn span_is_free(&self, level: u32, span: Span<'_>) -> bool {
        self.may_write(level, span.smallest, span.largest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::table;

    fn tree() -> Tree {
        let add = |level, id, picture| TableChange::Add { level, run: RunId(id), table: table(id, picture) };
        Tree::default().apply(&[add(0, 3, "c-d:10"), add(0, 4, "p-q:10"), add(1, 1, "a-c:10")]).unwrap()
    }

    fn job(kind: JobKind) -> Job {
        let inputs = vec![TableId(3), TableId(4)];
        Job { inputs, level: 2, run: RunId(4), kind, table_bytes: 100, cause: Cause::Manual }
    }

    #[test]
    fn sources_are_newest_first() {
        let sources = job(JobKind::Move).sources(&tree());
        let order: Vec<_> =
            sources.iter().map(|source| (source.level, source.run, source.tables[0].id)).collect();
        assert_eq!(order, [(0, RunId(4), TableId(4)), (0, RunId(3), TableId(3))]);
        assert_eq!(job(JobKind::Move).input_bytes(&tree()), 20);
    }

    #[test]
    fn a_merge_holds_the_gap_between_its_inputs_and_a_move_does_not() {
        let merging = Busy::of(&tree(), [&job(JobKind::Merge)]);
        assert!(!merging.may_write(2, b"g", b"h") && merging.may_write(2, b"r", b"s"));
        assert!(merging.may_write(1, b"c", b"d"));

        let moving = Busy::of(&tree(), [&job(JobKind::Move)]);
        assert!(moving.may_write(2, b"g", b"h") && !moving.may_write(2, b"d", b"e"));
    }

    #[test]
    fn a_move_puts_the_same_tables_in_their_new_place() {
        let tree = tree();
        let moved = tree.apply(&job(JobKind::Move).changes(&tree, &[])).unwrap();
        let ids: Vec<_> = moved.levels[2].runs[0].tables.iter().map(|table| table.id.0).collect();
        assert_eq!((ids, moved.levels[0].runs.len()), (vec![3, 4], 0));
    }
}
