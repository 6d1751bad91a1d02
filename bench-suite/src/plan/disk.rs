//! Part 4: what the files hold, with nothing left to flush or compact.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::{Disk, Part};
use crate::process;

pub(super) fn measure(part: &Part) -> Result<Disk> {
    let stats = part.db.stats();
    let levels = stats.keyspaces.iter().flat_map(|keyspace| &keyspace.levels);
    let mut disk = Disk {
        user_bytes: part.records.size_bytes(),
        data_bytes: 0,
        filter_bytes: 0,
        index_bytes: 0,
        table_rest_bytes: 0,
        log_bytes: log_bytes(&part.dir)?,
        other_bytes: 0,
        total_bytes: process::disk_bytes(&part.dir)?,
        space_amplification: 0.0,
    };
    for level in levels {
        disk.data_bytes += level.parts.data_bytes;
        disk.filter_bytes += level.parts.filter_bytes;
        disk.index_bytes += level.parts.index_bytes;
        disk.table_rest_bytes += level.parts.other_bytes;
    }
    let told =
        disk.data_bytes + disk.filter_bytes + disk.index_bytes + disk.table_rest_bytes + disk.log_bytes;
    // The manifest, and what the file system rounds up to whole blocks.
    disk.other_bytes = disk.total_bytes.saturating_sub(told);
    disk.space_amplification = disk.total_bytes as f64 / disk.user_bytes as f64;
    Ok(disk)
}

/// The lengths of the log files in `dir`.
pub(super) fn log_bytes(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "log") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}
