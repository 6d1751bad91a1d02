//! What several tests of logs have in common.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::path::Path;

use lsmkit_base::{Fault, SegmentId};
use lsmkit_vfs::{Fs, MemFs};
#[allow(unused_imports, reason = "each test file uses its part")]
pub use lsmkit_wal::testkit::forge::{RECORD, TRAILER, frame, frame_header, lag, segment_header};
use lsmkit_wal::{Log, Replay, SegmentedLog};

pub const DIR: &str = "/log";

/// A disk with an empty, durable directory for a log.
pub fn disk() -> MemFs {
    let disk = MemFs::new();
    disk.create_dir(Path::new(DIR)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

pub type Opened = (SegmentedLog, Vec<Vec<u8>>, Replay);

pub fn open(disk: &MemFs) -> Result<Opened, Fault> {
    open_from(disk, SegmentId(0))
}

pub fn open_from(disk: &MemFs, from: SegmentId) -> Result<Opened, Fault> {
    let mut log = SegmentedLog::open(disk.shared(), Path::new(DIR))?;
    let mut records = Vec::new();
    let replay = log.replay(from, &mut |_, record| {
        records.push(record.to_vec());
        Ok(())
    })?;
    Ok((log, records, replay))
}

/// The records of the log, if it can be read.
pub fn records(disk: &MemFs) -> Result<Vec<Vec<u8>>, Fault> {
    open(disk).map(|(_, records, _)| records)
}

pub fn path(id: u64) -> String {
    format!("{DIR}/{id:06}.log")
}

pub fn names(disk: &MemFs) -> Vec<String> {
    disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect()
}
