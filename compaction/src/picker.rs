//! The trait of a compaction strategy, and the job it picks.

use std::collections::BTreeSet;

use lsmkit_base::{RunId, SeqNo, TableId, Tree};

/// Decides what to compact next: a pure function of the shape of the tree.
///
/// The same tree and the same busy tables give the same job; applying jobs until there is none
/// comes to rest.
pub trait CompactionPicker: Send + Sync + 'static {
    /// A name for statistics and logs: `leveled`, `tiered`.
    fn name(&self) -> &str;

    /// The job most worth doing whose tables are all idle, or `None` where nothing is.
    fn pick(&self, tree: &Tree, busy: &Busy) -> Option<Job>;

    /// How far the tree is from the shape the strategy wants; slows writers down.
    fn pressure(&self, tree: &Tree) -> Pressure;
}

/// A strategy chosen at run time.
impl<K: CompactionPicker + ?Sized> CompactionPicker for Box<K> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn pick(&self, tree: &Tree, busy: &Busy) -> Option<Job> {
        (**self).pick(tree, busy)
    }

    fn pressure(&self, tree: &Tree) -> Pressure {
        (**self).pressure(tree)
    }
}

/// What running jobs and snapshots hold: no new job may touch the former, or would free the latter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Busy {
    /// The inputs of running jobs.
    pub tables: BTreeSet<TableId>,
    /// Where running jobs write: the level, its runs, and the range of user keys, both ends included.
    pub outputs: Vec<BusyRange>,
    /// The oldest moment that a snapshot shows, if there is one: what was hidden after it can't be forgotten.
    pub oldest_read: Option<SeqNo>,
    /// Whether nothing has been written for a while, or somebody waits until nothing is left to do: a job may be picked also if
    /// it would come cheaper later, as long as it makes reads or space better. What is picked without leisure is picked
    /// with it too, or something else.
    pub at_leisure: bool,
    /// What time it is, in seconds since the beginning of 1970 in UTC; 0 where that is not known, so that nothing is old.
    pub now: u64,
}

/// A range of user keys into which a running job writes, and the runs of the level among which it changes something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BusyRange {
    /// The level.
    pub level: u32,
    /// The oldest run of that level that the job reads or writes.
    pub oldest: RunId,
    /// The newest one.
    pub newest: RunId,
    /// The smallest user key of the job's inputs; of a move there is one range for each input.
    pub smallest: Box<[u8]>,
    /// The largest user key of the job's inputs.
    pub largest: Box<[u8]>,
}

/// One compaction: these tables are replaced by their merge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// All tables to be replaced, by any order; each is in the tree.
    pub inputs: Vec<TableId>,
    /// The level that receives the merge.
    pub level: u32,
    /// The run of that level that receives it: an existing run that keeps its other tables, or one
    /// that begins with it. By the rule of [`RunId`]: for a new run the greatest of the inputs'.
    pub run: RunId,
    /// Rewrite, or move without rewriting.
    pub kind: JobKind,
    /// Output tables end at about this size.
    pub table_bytes: u64,
    /// Why the job was picked.
    pub cause: Cause,
}

/// How a job's output comes to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobKind {
    /// The inputs are merged into new tables.
    Merge,
    /// The inputs overlap nothing where they go: the same files take their new place (a trivial move).
    Move,
    /// The inputs leave the tree, and nothing takes their place: what is in them is to be forgotten. Nothing older than they are
    /// may be there for any of their keys, or it would show again.
    Drop,
}

/// Why a job was picked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Cause {
    /// Too many runs at level 0.
    Level0,
    /// A level is larger than its target.
    Size,
    /// Too many runs at a level of a tiered tree.
    Runs,
    /// The space taken by superseded data.
    Space,
    /// Tombstones that hide so much that to take them down pays.
    Tombstones,
    /// Data that has become old.
    Age,
    /// Asked for by hand.
    Manual,
}

/// How urgent compaction is, as the writer's admission sees it.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Pressure {
    /// The runs a read may have to look into at level 0 (of a tiered tree: at its fullest level).
    pub runs: usize,
    /// From this number of runs on, those counted that frozen memtables are about to become, writers are slowed down.
    pub runs_slow: usize,
    /// At this number of runs writers stop until compaction catches up.
    pub runs_stop: usize,
    /// The bytes that must be rewritten before the tree has the shape the strategy wants.
    pub debt_bytes: u64,
}
