#![doc = include_str!("../README.md")]
#![cfg_attr(not(loom), forbid(unsafe_code))]

mod admission;
mod background;
mod batch;
mod batch_index;
mod cleanup;
mod commit;
mod compact;
mod cursor;
mod db;
mod error;
mod fences;
mod flush;
mod health;
mod indexed;
mod jobs;
mod keyspace;
mod keyspaces;
mod memory;
mod options;
mod overlay;
pub mod parts;
mod place;
mod range;
mod recover;
mod repair;
mod scan;
mod scrub;
mod snapshot;
mod source;
mod state;
mod stats;
mod store;
mod sync;
#[cfg(feature = "testkit")]
pub mod testkit;
mod throttle;
mod tree;
mod value;
mod version;
mod walk;

pub use admission::StallCause;
pub use batch::WriteBatch;
pub use cursor::Cursor;
pub use db::{Db, Engine, Verified};
pub use error::{Error, Remedy};
pub use indexed::{IndexedBatch, LastWrite};
pub use keyspace::Keyspace;
pub use lsmkit_base::{Fault, FaultKind, MAX_KEY_BYTES, MAX_VALUE_BYTES};
pub use lsmkit_blockcache::CacheUsage;
pub use lsmkit_sstable::{FilterUsage, LostKeys, TableParts};
pub use lsmkit_wal::LogHole;
pub use options::{Background, Compression, Durability, KeyspaceOptions, Options};
pub use overlay::{Overlay, OverlayScan};
pub use parts::{Parts, Site, Standard};
pub use range::KeyRange;
pub use repair::{DamagedLog, DamagedTable, Repair, Repaired};
pub use scan::{Scan, ScanSources};
pub use scrub::Scrub;
pub use snapshot::Snapshot;
pub use stats::{
    CompactionCause, CompactionKind, KeyspaceStats, LevelStats, LevelWork, PastCompaction, RunningCompaction,
    Stalls, Stats, Work,
};
pub use throttle::BackgroundRate;
pub use value::Value;

/// Compiles the examples of the repository's README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct RepositoryReadme;
