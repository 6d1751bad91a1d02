//! Compaction of a range of keys on request.

use std::ops::Bound;
use std::sync::Arc;

use lsmkit_base::{Run, RunId, SeqNo, TableId, TableMeta, Tree};

use crate::span::{Span, by_age, disjoint, runs};
use crate::{Busy, Cause, Job, JobKind};

/// A job takes in neighbours up to this many tables' worth of bytes: fewer jobs rewrite their
/// common boundaries less often, and each still needs little space of its own.
const JOB_TABLES: u64 = 16;

/// A request to compact a range of keys: afterwards each key of it that was in the tree is in the
/// deepest run only, with no version and no tombstone that no snapshot sees.
///
/// Ask for [`ManualCompaction::next`] until it is [`ManualStep::Done`], running each job it gives
/// before or while asking for more. It works level by level on trees of any strategy, beside
/// other running jobs, and ends however much is written meanwhile: data newer than the request
/// is not waited for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ManualCompaction {
    from: Bound<Box<[u8]>>,
    to: Bound<Box<[u8]>>,
    /// The newest write in the tree at the time of the request.
    as_of: SeqNo,
    /// The newest table at the time of the request: later ones were rewritten since.
    last_table: TableId,
    table_bytes: u64,
}

/// What to do next for a [`ManualCompaction`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ManualStep {
    /// Run this job.
    Run(Job),
    /// What is left to do is held by running jobs: ask again when one has ended.
    Wait,
    /// The range is compacted.
    Done,
}

impl ManualCompaction {
    /// A request to compact the keys between `from` and `to` as `tree` has them now, into tables of
    /// about `table_bytes`. Whatever is in memtables has to be flushed before to be part of it.
    pub fn new(tree: &Tree, from: Bound<&[u8]>, to: Bound<&[u8]>, table_bytes: u64) -> ManualCompaction {
        ManualCompaction {
            from: from.map(Box::from),
            to: to.map(Box::from),
            as_of: tree.tables().map(|table| table.seq_max).max().unwrap_or_default(),
            last_table: tree.tables().map(|table| table.id).max().unwrap_or_default(),
            table_bytes,
        }
    }

    /// The next job of the request, given the tree as it is now and what running jobs hold, its own
    /// included.
    pub fn next(&self, tree: &Tree, busy: &Busy) -> ManualStep {
        // Data in level 0 has to leave it even where nothing is deeper: a level of many runs is no
        // place to stay.
        let bottom = (tree.levels.len() as u32).saturating_sub(1).max(1);
        let deepest = runs(tree, bottom).last().map(|run| (bottom, run.id));
        let mut blocked = false;
        for (level, run) in by_age(tree) {
            let at_bottom = deepest == Some((level, run.id));
            if at_bottom && blocked {
                // What is to be merged into these tables would have them rewritten twice.
                break;
            }
            for (index, table) in run.tables.iter().enumerate() {
                if !self.concerns(table, at_bottom) {
                    continue;
                }
                match self.job(tree, busy, Place { level, run, index, at_bottom }, bottom) {
                    Some(job) => return ManualStep::Run(job),
                    None => blocked = true,
                }
            }
        }
        if blocked { ManualStep::Wait } else { ManualStep::Done }
    }

    /// Whether `table` still has to be rewritten or moved for the request.
    fn concerns(&self, table: &TableMeta, at_bottom: bool) -> bool {
        let after_from = match &self.from {
            Bound::Included(from) => table.largest >= *from,
            Bound::Excluded(from) => table.largest > *from,
            Bound::Unbounded => true,
        };
        let before_to = match &self.to {
            Bound::Included(to) => table.smallest <= *to,
            Bound::Excluded(to) => table.smallest < *to,
            Bound::Unbounded => true,
        };
        let old = table.seq_min <= self.as_of && (!at_bottom || table.id <= self.last_table);
        after_from && before_to && old
    }

    /// The job that begins with the table at `place`, or `None` where a running job is in the way.
    fn job(&self, tree: &Tree, busy: &Busy, place: Place<'_>, bottom: u32) -> Option<Job> {
        let limit = self.table_bytes.saturating_mul(JOB_TABLES);
        let tables = &place.run.tables;
        let mut until = place.index + 1;
        let output = self.output(tree, place, bottom, limit);
        let mut batch = Batch::gather(tree, place, until, output);
        if !batch.may_run(busy, output) {
            return None;
        }
        while let Some(next) = tables.get(until)
            && self.concerns(next, place.at_bottom)
        {
            let larger = Batch::gather(tree, place, until + 1, output);
            if larger.bytes > limit || !larger.may_run(busy, output) {
                break;
            }
            batch = larger;
            until += 1;
        }
        // The output joins the oldest run of its level, below which nothing of the range is left.
        let run = runs(tree, output).last().map_or(batch.newest, |run| run.id);
        let on_its_way = output < bottom && disjoint(&batch.tables);
        Some(Job {
            inputs: batch.tables.iter().map(|table| table.id).collect(),
            level: output,
            run,
            kind: if on_its_way { JobKind::Move } else { JobKind::Merge },
            table_bytes: self.table_bytes,
            cause: Cause::Manual,
        })
    }

    /// The level to merge into: the deepest where that makes no larger a job than others, else the
    /// next that holds data, so that each job stays small.
    fn output(&self, tree: &Tree, place: Place<'_>, bottom: u32, limit: u64) -> u32 {
        // Jobs of a tiered tree are as large as its runs anyway: one step rewrites least.
        let tiered = (1..=bottom).any(|level| runs(tree, level).len() > 1);
        if tiered || Batch::gather(tree, place, place.index + 1, bottom).bytes <= limit {
            return bottom;
        }
        (place.level + 1..bottom).find(|level| !runs(tree, *level).is_empty()).unwrap_or(bottom)
    }
}

/// A table where a job begins.
#[derive(Clone, Copy)]
struct Place<'a> {
    level: u32,
    run: &'a Run,
    index: usize,
    at_bottom: bool,
}

/// Tables that have to go down together.
struct Batch<'a> {
    tables: Vec<&'a Arc<TableMeta>>,
    span: Span<'a>,
    bytes: u64,
    newest: RunId,
}

impl<'a> Batch<'a> {
    /// The tables of `place`'s run from its index up to `until`, and all older ones down to `output`
    /// that overlap what was gathered before them. Newer ones that overlap only those may stay:
    /// they stay above.
    fn gather(tree: &'a Tree, place: Place<'a>, until: usize, output: u32) -> Batch<'a> {
        let first = &place.run.tables[place.index];
        let mut batch = Batch { tables: Vec::new(), span: Span::of(first), bytes: 0, newest: place.run.id };
        batch.take(place.run, &place.run.tables[place.index..until]);
        let older = by_age(tree)
            .skip_while(|(level, run)| (*level, run.id) != (place.level, place.run.id))
            .skip(1)
            .take_while(|(level, _)| *level <= output);
        for (_, run) in older {
            batch.take(run, run.overlapping(batch.span.smallest, batch.span.largest));
        }
        batch
    }

    fn take(&mut self, run: &Run, tables: &'a [Arc<TableMeta>]) {
        for table in tables {
            self.tables.push(table);
            self.span = self.span.join(Span::of(table));
            self.bytes = self.bytes.saturating_add(table.size_bytes);
            self.newest = self.newest.max(run.id);
        }
    }

    fn may_run(&self, busy: &Busy, output: u32) -> bool {
        self.tables.iter().all(|table| busy.is_idle(table)) && busy.span_is_free(output, self.span)
    }
}
