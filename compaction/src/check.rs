//! Whether a job keeps every version in the order of age: the law every strategy must obey.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use lsmkit_base::{RunId, TableId, Tree};

use crate::span::{Span, by_age, disjoint, runs};
use crate::{Busy, Job, JobKind, Source};

/// Why a job must not run.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unsound {
    /// The job has no inputs.
    #[error("the job has no inputs")]
    NoInputs,
    /// An input is not in the tree.
    #[error("input {0} is not in the tree")]
    Missing(TableId),
    /// An input is named twice.
    #[error("input {0} is named twice")]
    Twice(TableId),
    /// An input belongs to a running job.
    #[error("input {0} belongs to a running job")]
    Busy(TableId),
    /// A running job writes to the range the job would write to, among the same runs.
    #[error("a running job writes to the same range among the same runs of level {0}")]
    BusyRange(u32),
    /// Data would move up, above newer data that is in between.
    #[error("input {0} would move up to level {1}")]
    Upward(TableId, u32),
    /// The output level is deeper than any tree can be.
    #[error("level {0} is deeper than the deepest, {max}", max = Tree::MAX_LEVELS - 1)]
    TooDeep(u32),
    /// The output run is neither there nor named after the newest input.
    #[error("run {} is not at the output level and is not the newest input's", .0.0)]
    Age(RunId),
    /// An input would pass a table that may hold other versions of its keys.
    #[error("input {input} would pass table {passed}, which may share keys with it")]
    Order {
        /// The input.
        input: TableId,
        /// The table that stays.
        passed: TableId,
    },
    /// An older table that stays may hold versions that a dropped one hides.
    #[error("older table {older} may hold what input {input} hides")]
    Resurrection {
        /// The input that would be dropped.
        input: TableId,
        /// The table that stays.
        older: TableId,
    },
    /// A table of the output run that stays shares keys with the range that is written.
    #[error("table {0} of the output run stays within the range that is written")]
    Overlap(TableId),
    /// The tables to move share keys, so they can't be in one run.
    #[error("tables that share keys can not move into one run")]
    MoveOverlap,
}

impl Job {
    /// Whether the job may run on `tree` while `busy` is held: its inputs are there and idle, its
    /// output has room, and for each user key the order from newest to oldest outlives it.
    ///
    /// Two jobs of which the second passed this test while the first was held may end in either
    /// order. The reason: an input of one and an input of the other that share a key are each
    /// kept on their side of the other's old place by the law of order, outputs are at no higher level than
    /// inputs, and where two outputs at one level share keys, all that one job touches there is older than what the other does.
    ///
    /// # Errors
    ///
    /// The first law the job breaks; see [`Unsound`].
    pub fn check(&self, tree: &Tree, busy: &Busy) -> Result<(), Unsound> {
        let inputs = self.distinct_inputs()?;
        let sources = self.sources(tree);
        let tables: Vec<_> = sources.iter().flat_map(|source| &source.tables).collect();
        if let Some(missing) = inputs.iter().find(|id| tables.iter().all(|table| table.id != **id)) {
            return Err(Unsound::Missing(*missing));
        }
        if let Some(table) = tables.iter().find(|table| !busy.is_idle(table)) {
            return Err(Unsound::Busy(table.id));
        }
        if self.kind == JobKind::Drop {
            return self.check_drop(tree, &inputs, &sources);
        }
        if self.level >= Tree::MAX_LEVELS {
            return Err(Unsound::TooDeep(self.level));
        }
        if let Some(source) = sources.iter().find(|source| source.level > self.level) {
            return Err(Unsound::Upward(source.tables[0].id, self.level));
        }
        let newest = sources.iter().map(|source| source.run).max();
        if Some(self.run) != newest && runs(tree, self.level).iter().all(|run| run.id != self.run) {
            return Err(Unsound::Age(self.run));
        }
        if self.kind == JobKind::Move && !disjoint(&tables) {
            return Err(Unsound::MoveOverlap);
        }
        let written = self.outputs(tree);
        if !written.iter().all(|range| busy.may_write_into(range)) {
            return Err(Unsound::BusyRange(self.level));
        }

        let place = (self.level, Reverse(self.run));
        for (level, run) in by_age(tree) {
            let at = (level, Reverse(run.id));
            let stays = |span: Span<'_>| {
                let overlapping = run.overlapping(span.smallest, span.largest);
                overlapping.iter().find(|table| !inputs.contains(&table.id)).map(|table| table.id)
            };
            if at == place {
                for range in &written {
                    let span = Span { smallest: &range.smallest, largest: &range.largest };
                    if let Some(table) = stays(span) {
                        return Err(Unsound::Overlap(table));
                    }
                }
            }
            for source in &sources {
                let from = (source.level, Reverse(source.run));
                if at.cmp(&from) == at.cmp(&place) {
                    continue;
                }
                for input in &source.tables {
                    if let Some(passed) = stays(Span::of(input)) {
                        return Err(Unsound::Order { input: input.id, passed });
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether nothing older stays for any key of the inputs.
    fn check_drop(&self, tree: &Tree, inputs: &BTreeSet<TableId>, sources: &[Source]) -> Result<(), Unsound> {
        for source in sources {
            let from = (source.level, Reverse(source.run));
            let older = by_age(tree).filter(|(level, run)| (*level, Reverse(run.id)) > from);
            for (input, (_, run)) in
                source.tables.iter().flat_map(|input| older.clone().map(move |run| (input, run)))
            {
                let mut overlapping = run.overlapping(&input.smallest, &input.largest).iter();
                if let Some(stays) = overlapping.find(|table| !inputs.contains(&table.id)) {
                    return Err(Unsound::Resurrection { input: input.id, older: stays.id });
                }
            }
        }
        Ok(())
    }

    fn distinct_inputs(&self) -> Result<BTreeSet<TableId>, Unsound> {
        let mut inputs = BTreeSet::new();
        match self.inputs.iter().find(|id| !inputs.insert(**id)) {
            Some(twice) => Err(Unsound::Twice(*twice)),
            None if inputs.is_empty() => Err(Unsound::NoInputs),
            None => Ok(inputs),
        }
    }
}
