//! The tree of tables: levels of runs of tables, as a value that can be drawn, compared and changed.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::SeqNo;

/// Names a table file within a store; never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct TableId(pub u64);

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

/// The age of a run among the runs of its tree: of two runs that hold versions of one key at the
/// same level, the one with the greater number holds the newer.
///
/// A flush starts a run with a new, greatest number. A merge of neighbouring runs keeps the
/// greatest number of its inputs, so that the order of age outlives it whatever order merges end in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct RunId(pub u64);

/// What the tree knows of a table without opening it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TableMeta {
    /// The file's number.
    pub id: TableId,
    /// A random number written into the file, so that a stale or swapped file is told apart.
    pub uid: u64,
    /// The size of the file.
    pub size_bytes: u64,
    /// The checksum of the whole file ([`crate::coding::checksum`]).
    pub checksum: u32,
    /// How many versions it holds, tombstones included.
    pub entries: u64,
    /// How many of them are tombstones.
    pub tombstones: u64,
    /// The bytes of all keys and values, before encoding and compression.
    pub raw_bytes: u64,
    /// The smallest user key.
    pub smallest: Box<[u8]>,
    /// The largest user key.
    pub largest: Box<[u8]>,
    /// The smallest sequence number.
    pub seq_min: SeqNo,
    /// The largest sequence number.
    pub seq_max: SeqNo,
    /// When its entries were flushed.
    pub written: Written,
}

impl TableMeta {
    /// Whether the table may hold a version of a key in `smallest..=largest`.
    pub fn overlaps(&self, smallest: &[u8], largest: &[u8]) -> bool {
        *self.smallest <= *largest && *smallest <= *self.largest
    }
}

/// When some entries were flushed from memory, as the clock of the machine told: in seconds since the beginning of 1970 in UTC, 0 where it
/// is not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// The first of them.
    pub from: u64,
    /// The last of them.
    pub until: u64,
}

impl Written {
    /// All at one time.
    pub fn at(seconds: u64) -> Written {
        Written { from: seconds, until: seconds }
    }

    /// When these entries and `other` ones were flushed, as far as it is known.
    #[must_use]
    pub fn join(self, other: Written) -> Written {
        let from = match (self.from, other.from) {
            (0, from) | (from, 0) => from,
            (a, b) => a.min(b),
        };
        Written { from, until: self.until.max(other.until) }
    }
}

/// Tables with disjoint ranges of user keys, in the order of their keys.
///
/// All versions of a user key that the run holds are in one of its tables.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Run {
    /// The age.
    pub id: RunId,
    /// By key, ascending.
    pub tables: Vec<Arc<TableMeta>>,
}

impl Run {
    /// The size of all its files.
    pub fn size_bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.size_bytes).sum()
    }

    /// The tables that may hold a key in `smallest..=largest`: neighbours, in order.
    pub fn overlapping(&self, smallest: &[u8], largest: &[u8]) -> &[Arc<TableMeta>] {
        let from = self.tables.partition_point(|table| *table.largest < *smallest);
        let to = self.tables.partition_point(|table| *table.smallest <= *largest);
        &self.tables[from..to.max(from)]
    }
}

/// Runs of about the same age or size.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Level {
    /// Newest first, that is by [`RunId`] descending.
    pub runs: Vec<Run>,
}

impl Level {
    /// The size of all its files.
    pub fn size_bytes(&self) -> u64 {
        self.runs.iter().map(Run::size_bytes).sum()
    }

    /// All its tables.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<TableMeta>> {
        self.runs.iter().flat_map(|run| &run.tables)
    }
}

/// The tables of one keyspace. Data in a lower-numbered level is newer than data for the same key
/// in a higher-numbered one; flushes arrive at level 0.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tree {
    /// From the newest, level 0, to the oldest. The last level is never empty.
    pub levels: Vec<Level>,
}

/// A step from one tree to the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TableChange {
    /// A table joins the run `run` of `level`, which begins with it if it is not there yet.
    Add {
        /// The level.
        level: u32,
        /// The run.
        run: RunId,
        /// The table.
        table: Arc<TableMeta>,
    },
    /// A table leaves the tree.
    Remove {
        /// The table.
        table: TableId,
    },
}

/// Why a change does not apply to a tree.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The table to add is there already.
    #[error("table {0} is in the tree already")]
    Duplicate(TableId),
    /// The table to remove is not there.
    #[error("table {0} is not in the tree")]
    Missing(TableId),
    /// The table to add shares user keys with a table of its run.
    #[error("tables {0} and {1} of one run overlap")]
    Overlap(TableId, TableId),
    /// The table's smallest key is greater than its largest.
    #[error("table {0} begins after it ends")]
    Reversed(TableId),
    /// The level is deeper than any tree can be.
    #[error("level {0} is deeper than the deepest, {max}", max = Tree::MAX_LEVELS - 1)]
    TooDeep(u32),
}

impl Tree {
    /// The most levels a tree can have. At a fan-out of four, thirty-two levels would hold more than
    /// 64-bit sizes can count; a larger number on disk is damage.
    pub const MAX_LEVELS: u32 = 32;

    /// The tree after `changes`, which are one step: removals first, then additions, so that a
    /// table may move between levels and a run may be replaced by its own merge.
    ///
    /// # Errors
    ///
    /// Where a change contradicts the tree; see [`TreeError`].
    pub fn apply(&self, changes: &[TableChange]) -> Result<Tree, TreeError> {
        let mut tree = self.clone();
        let mut gone: BTreeSet<TableId> = BTreeSet::new();
        for change in changes {
            if let TableChange::Remove { table } = change
                && !gone.insert(*table)
            {
                return Err(TreeError::Missing(*table));
            }
        }
        for run in tree.levels.iter_mut().flat_map(|level| &mut level.runs) {
            run.tables.retain(|table| !gone.remove(&table.id));
        }
        if let Some(missing) = gone.first() {
            return Err(TreeError::Missing(*missing));
        }
        let mut present: BTreeSet<TableId> = tree.tables().map(|table| table.id).collect();
        for change in changes {
            if let TableChange::Add { level, run, table } = change {
                if !present.insert(table.id) {
                    return Err(TreeError::Duplicate(table.id));
                }
                tree.add(*level, *run, table)?;
            }
        }
        for level in &mut tree.levels {
            level.runs.retain(|run| !run.tables.is_empty());
        }
        while tree.levels.last().is_some_and(|level| level.runs.is_empty()) {
            tree.levels.pop();
        }
        Ok(tree)
    }

    fn add(&mut self, level: u32, run: RunId, table: &Arc<TableMeta>) -> Result<(), TreeError> {
        if level >= Tree::MAX_LEVELS {
            return Err(TreeError::TooDeep(level));
        }
        if table.smallest > table.largest {
            return Err(TreeError::Reversed(table.id));
        }
        let level = level as usize;
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Level::default);
        }
        let runs = &mut self.levels[level].runs;
        let at = runs.partition_point(|other| other.id > run);
        if runs.get(at).is_none_or(|other| other.id != run) {
            runs.insert(at, Run { id: run, tables: Vec::new() });
        }
        let tables = &mut runs[at].tables;
        let place = tables.partition_point(|other| other.largest < table.smallest);
        if let Some(next) = tables.get(place)
            && next.smallest <= table.largest
        {
            return Err(TreeError::Overlap(table.id, next.id));
        }
        tables.insert(place, Arc::clone(table));
        Ok(())
    }

    /// All tables, level by level.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<TableMeta>> {
        self.levels.iter().flat_map(Level::tables)
    }

    /// The size of all files.
    pub fn size_bytes(&self) -> u64 {
        self.levels.iter().map(Level::size_bytes).sum()
    }

    /// Whether there is no table at all.
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }
}

#[cfg(test)]
mod tests;
