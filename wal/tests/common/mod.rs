//! What several tests of logs have in common.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::path::Path;

use lsmkit_base::{Fault, SegmentId, coding};
use lsmkit_vfs::{Fs, MemFs};
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

/// A segment header written by the page that specifies it, docs/formats/log.md.
pub fn segment_header(id: u64, prev: Option<(u64, u64)>, base: u64, synced: u64) -> Vec<u8> {
    let (prev, prev_base) = prev.unwrap_or((u64::MAX, 0));
    let mut bytes = b"lsmkitLG".to_vec();
    coding::put_u32(&mut bytes, 1);
    coding::put_u32(&mut bytes, 0);
    for n in [id, prev, prev_base, base, synced] {
        coding::put_u64(&mut bytes, n);
    }
    coding::put_u32(&mut bytes, 0);
    let checksum = coding::checksum(&bytes);
    coding::put_u32(&mut bytes, checksum);
    bytes
}

/// What a frame is.
pub const RECORD: u32 = 0;
pub const TRAILER: u32 = 1 << 31;

/// A frame header, likewise.
pub fn frame_header(offset: u64, segment: u64, payload_checksum: u32, length: u32, lag: u32) -> Vec<u8> {
    let mut covered = Vec::new();
    coding::put_u32(&mut covered, payload_checksum);
    coding::put_u32(&mut covered, length);
    coding::put_u32(&mut covered, (segment as u32 & 0x7ff) | 0x800 | (lag << 12));
    let checksum = coding::Checksum::new().with(&covered);
    let checksum = checksum.with(&segment.to_le_bytes()).with(&offset.to_le_bytes()).finish();
    let mut bytes = Vec::new();
    coding::put_u32(&mut bytes, checksum);
    bytes.extend_from_slice(&covered);
    bytes
}

/// The code of a lag, likewise.
pub fn lag(bytes: u64) -> u32 {
    if bytes < 1 << 15 {
        return bytes as u32;
    }
    // The exponents, each with the most that it has a code for.
    let exponent = (1..=31_u64).find(|e| bytes <= 65_535 << (e - 1)).unwrap_or(32);
    let digits = bytes.div_ceil(1 << (exponent - 1)) - 32_768;
    ((exponent << 15) + digits).min(0xf_ffff) as u32
}

/// A whole frame that holds a record.
pub fn frame(offset: u64, segment: u64, payload: &[u8], lag_bytes: u64) -> Vec<u8> {
    let length = RECORD | payload.len() as u32;
    let mut bytes = frame_header(offset, segment, coding::checksum(payload), length, lag(lag_bytes));
    bytes.extend_from_slice(payload);
    bytes
}
