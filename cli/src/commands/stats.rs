//! `lsmkit stats`

use std::io::{self, Write};

use lsmkit::{KeyspaceStats, LevelStats, Stats};
use serde_json::{Value, json};

use crate::args;
use crate::exit::Failure;
use crate::output::{count, size, stdout, table};
use crate::store;

pub(super) fn run(args: &args::Stats) -> Result<(), Failure> {
    let db = store::read(&args.store)?;
    let stats = db.stats();
    let disk_bytes = store::size_on_disk(&args.store);
    let mut out = stdout();
    if args.json {
        writeln!(out, "{}", to_json(&stats, disk_bytes))?;
    } else {
        write_table(&mut out, &stats, disk_bytes)?;
    }
    Ok(out.flush()?)
}

/// What the store takes, and the tables of every keyspace, level by level.
pub(crate) fn write_table(out: &mut impl Write, stats: &Stats, disk_bytes: u64) -> io::Result<()> {
    writeln!(out, "on disk     {}", size(disk_bytes))?;
    writeln!(out, "in the log  {}, in {} of memory", size(stats.log_bytes), size(stats.memtable_bytes))?;
    writeln!(out)?;
    let heads = ["keyspace", "level", "tables", "size", "uncompressed", "entries", "tombstones"];
    let mut rows = Vec::new();
    for keyspace in &stats.keyspaces {
        let used = keyspace.levels.iter().enumerate().filter(|(_, level)| level.tables > 0);
        let before = rows.len();
        rows.extend(used.map(|(number, level)| row(&keyspace.name, number, level)));
        if rows.len() == before {
            let nothing = ["-", "0", "0 B", "0 B", "0", "0"].map(str::to_owned);
            rows.push(std::iter::once(keyspace.name.clone()).chain(nothing).collect());
        }
    }
    table(out, &heads, &rows)
}

fn row(keyspace: &str, number: usize, level: &LevelStats) -> Vec<String> {
    vec![
        keyspace.to_owned(),
        number.to_string(),
        count(level.tables),
        size(level.size_bytes),
        size(level.raw_bytes),
        count(level.entries),
        count(level.tombstones),
    ]
}

/// The bytes, tables and entries of a keyspace's tables.
pub(super) fn sums(keyspace: &KeyspaceStats) -> (u64, u64, u64) {
    keyspace.levels.iter().fold((0, 0, 0), |(bytes, tables, entries), level| {
        (bytes + level.size_bytes, tables + level.tables, entries + level.entries)
    })
}

fn to_json(stats: &Stats, disk_bytes: u64) -> Value {
    let level = |(number, level): (usize, &LevelStats)| {
        json!({
            "level": number,
            "runs": level.runs,
            "tables": level.tables,
            "size_bytes": level.size_bytes,
            "raw_bytes": level.raw_bytes,
            "entries": level.entries,
            "tombstones": level.tombstones,
            "parts": {
                "data_bytes": level.parts.data_bytes,
                "index_bytes": level.parts.index_bytes,
                "filter_bytes": level.parts.filter_bytes,
                "other_bytes": level.parts.other_bytes,
            },
        })
    };
    let keyspaces = stats.keyspaces.iter().map(|keyspace| {
        let levels = keyspace.levels.iter().enumerate().map(level).collect::<Vec<_>>();
        json!({ "name": keyspace.name, "levels": levels })
    });
    json!({
        "disk_bytes": disk_bytes,
        "log_bytes": stats.log_bytes,
        "memtable_bytes": stats.memtable_bytes,
        "keyspaces": keyspaces.collect::<Vec<_>>(),
    })
}
