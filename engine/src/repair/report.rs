//! What a repair found.

use std::collections::BTreeSet;
use std::path::PathBuf;

use lsmkit_base::{Fault, SegmentId};
use lsmkit_sstable::LostKeys;
use lsmkit_wal::LogHole;

/// What a [`Repair`](crate::Repair) found and kept, or, of a dry run, would keep.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Repaired {
    /// What is wrong with the manifest, if anything.
    pub manifest: Option<Fault>,
    /// Whether one is made anew of all tables and the log, so that what had been deleted may be back.
    pub is_rebuilt: bool,
    /// How many tables are sound.
    pub tables_sound: u64,
    /// Those that are not.
    pub tables: Vec<DamagedTable>,
    /// The log, if it is damaged.
    pub log: Option<DamagedLog>,
    /// What damaged files are called now.
    pub set_aside: Vec<PathBuf>,
    /// Keyspaces whose names nothing told, or that had the name of another; they are called by their numbers.
    pub named_anew: Vec<String>,
}

impl Repaired {
    /// Whether nothing was wrong, and so nothing was done.
    pub fn is_sound(&self) -> bool {
        self.manifest.is_none() && self.tables.is_empty() && self.log.is_none()
    }
}

/// A table that can't be read as a whole.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DamagedTable {
    /// Its file.
    pub path: PathBuf,
    /// Its keyspace; `None` where nothing tells.
    pub keyspace: Option<String>,
    /// What is wrong with it first.
    pub fault: Fault,
    /// How many versions of keys were read and kept, tombstones included.
    pub entries_kept: u64,
    /// How many were lost; `None` where nothing tells how many there were.
    pub entries_lost: Option<u64>,
    /// Between which keys they were.
    pub lost: Vec<LostKeys>,
}

/// A log that can't be read as a whole.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DamagedLog {
    /// What is wrong with it first.
    pub fault: Fault,
    /// How many records were read.
    pub records_kept: u64,
    /// What could not be read.
    pub holes: Vec<LogHole>,
    /// How many writes are missing between records that were read, at most: numbers are also used for writes that went to no log. How many
    /// are missing before the first and after the last nothing tells.
    pub writes_lost_max: u64,
    /// How many whole records are not what a store writes, or come in an order in which none writes them. They are left out.
    pub records_refused: u64,
    /// The segments that these are in.
    pub(super) refused: BTreeSet<SegmentId>,
}
