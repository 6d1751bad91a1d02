//! What the plan finds, as it stands in the line of JSON.

use serde::{Deserialize, Serialize};

use crate::figures::Figures;
use crate::inside::{CacheCounts, Level, Work};

/// What the five parts found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Found {
    /// Part 1.
    pub writes: Figures,
    /// Part 2.
    pub reads: Reads,
    /// Part 3.
    pub compaction: Compaction,
    /// Part 4.
    pub disk: Disk,
    /// Part 5.
    pub recovery: Recovery,
}

/// Part 2: reads of what part 1 wrote.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reads {
    /// Gets of random records, the cache cold at first.
    pub random: CachedReads,
    /// Gets of one record, over and over.
    pub hot_key: CachedReads,
    /// Gets of random records out of a hundredth of all.
    pub hot_hundredth: CachedReads,
    /// Scans of consecutive records.
    pub range: Range,
    /// Gets of keys that are not there.
    pub missing: Missing,
}

/// Gets, and what the block cache did for them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CachedReads {
    /// The gets.
    pub figures: Figures,
    /// Lookups of blocks meanwhile.
    pub cache: CacheCounts,
}

/// Scans of consecutive records from random places.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Range {
    /// The scans; an operation is a record.
    pub figures: Figures,
    /// Records in each.
    pub records: u64,
    /// Scans.
    pub scans: u64,
    /// Memtables that a scan merged, on average.
    pub memtables: f64,
    /// Sorted runs of tables that a scan merged, on average.
    pub runs: f64,
    /// Tables that a scan read from, on average.
    pub tables: f64,
}

/// Gets of keys that are not there, and what the filters saved.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Missing {
    /// The gets.
    pub figures: Figures,
    /// Lookups of blocks meanwhile.
    pub cache: CacheCounts,
    /// How often a table's filter was asked.
    pub filters_asked: u64,
    /// How often it said no: a table that needed no look.
    pub filters_said_no: u64,
    /// How often it said maybe, and the key was not in the table.
    pub filters_false_positive: u64,
}

/// Part 3: what flushing and compacting the writes of part 1, and twice as many overwrites, took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Compaction {
    /// Bytes of keys and values put.
    pub user_bytes: u64,
    /// Bytes appended to the log.
    pub log_bytes: u64,
    /// Flushes in all.
    pub flushes: Work,
    /// Compactions in all.
    pub compactions: Work,
    /// Compactions that moved tables without rewriting them.
    pub moves: u64,
    /// What was written into each level, the newest first; flushes write into level 0.
    pub levels: Vec<LevelWork>,
    /// (bytes written by flushes and compactions) / (user bytes).
    pub write_amplification: f64,
    /// The same with the log's.
    pub write_amplification_with_log: f64,
}

/// Work that wrote into one level.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct LevelWork {
    /// Flushes or compactions.
    pub count: u64,
    /// How long they took.
    pub seconds: f64,
    /// Bytes read from the levels above.
    pub read_above_bytes: u64,
    /// Bytes read from the level itself.
    pub read_own_bytes: u64,
    /// Bytes written into it.
    pub written_bytes: u64,
    /// The level at the end.
    pub level: Level,
}

/// Part 4: what is on disk at rest.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Disk {
    /// Keys and values of live records.
    pub user_bytes: u64,
    /// Data blocks of the tables.
    pub data_bytes: u64,
    /// Filters of the tables.
    pub filter_bytes: u64,
    /// Indexes of the tables.
    pub index_bytes: u64,
    /// What else is in table files: properties, footers.
    pub table_rest_bytes: u64,
    /// Log files.
    pub log_bytes: u64,
    /// Manifest and other files.
    pub other_bytes: u64,
    /// Blocks that all files take.
    pub total_bytes: u64,
    /// `total_bytes / user_bytes`.
    pub space_amplification: f64,
}

/// Part 5: a process that writes is killed and the store opened again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recovery {
    /// The kills.
    pub crashes: Vec<Crash>,
}

/// One kill and what was found after it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Crash {
    /// Records that the child had been told are written.
    pub acknowledged: u64,
    /// Records found.
    pub found: u64,
    /// Acknowledged records that were missing or wrong.
    pub lost: u64,
    /// Records found that were never put, or not put in full.
    pub invented: u64,
    /// Bytes of log that were replayed.
    pub log_bytes: u64,
    /// How long opening the store took, the replay included.
    pub open_seconds: f64,
}
