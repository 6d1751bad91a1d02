//! Part 3: what flushes and compactions did, level by level.

use anyhow::Result;

use super::{Compaction, LevelWork, Part};
use crate::engines::lsmkit::work;
use crate::inside::Level;
use crate::store::Store;
use crate::workloads::Workload;

/// How often as many records as there are get overwritten: a tree shows what its upkeep costs once
/// most of its records have been replaced.
const OVERWRITES: u64 = 2;

/// Overwrites records at random, and counts everything since the store was made.
pub(super) fn measure(part: &Part) -> Result<Compaction> {
    for stream in 0..OVERWRITES {
        Workload::Overwrite.run(&part.bench(7 + stream))?;
    }
    Store::settle(&part.db)?;

    let stats = part.db.stats();
    let user_bytes = stats.writes * part.records.record_bytes();
    let table_bytes = stats.flushes.written_bytes + stats.compactions.written_bytes;
    let levels = stats.keyspaces.iter().flat_map(|keyspace| &keyspace.levels).map(|level| LevelWork {
        count: level.work.flushes.count + level.work.compactions.count,
        seconds: (level.work.flushes.time + level.work.compactions.time).as_secs_f64(),
        read_above_bytes: level.work.compactions.read_bytes - level.work.read_own_bytes,
        read_own_bytes: level.work.read_own_bytes,
        written_bytes: level.work.flushes.written_bytes + level.work.compactions.written_bytes,
        level: Level { runs: level.runs, tables: level.tables, size_bytes: level.size_bytes },
    });
    Ok(Compaction {
        user_bytes,
        log_bytes: stats.log_written_bytes,
        flushes: work(&stats.flushes),
        compactions: work(&stats.compactions),
        moves: stats.moves,
        levels: levels.collect(),
        write_amplification: table_bytes as f64 / user_bytes as f64,
        write_amplification_with_log: (table_bytes + stats.log_written_bytes) as f64 / user_bytes as f64,
    })
}
