//! `lsmkit repair`

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use lsmkit::{DamagedLog, DamagedTable, Repaired};
use serde_json::json;

use crate::args::Repair;
use crate::bytes::Notation;
use crate::exit::{Exit, Failure};
use crate::output::{count, counted, stdout, time};

pub(super) fn run(args: &Repair) -> Result<(), Failure> {
    let begun = Instant::now();
    let repaired = lsmkit::Repair::new(&args.store).dry_run(args.dry_run).run()?;
    let taken = begun.elapsed();
    let mut out = stdout();
    if args.json {
        writeln!(out, "{}", as_json(&repaired))?;
    } else {
        show(&mut out, &repaired, args.dry_run)?;
        let done = match (repaired.is_sound(), args.dry_run) {
            (true, _) => "nothing is damaged, and nothing was changed",
            (false, true) => "nothing was changed; without --dry-run the store would be repaired",
            (false, false) => "the store is repaired",
        };
        writeln!(out, "{done} ({})", time(taken))?;
    }
    out.flush()?;
    if args.dry_run && !repaired.is_sound() {
        let what = format!("{} is damaged", args.store.display());
        return Err(
            Failure::new(Exit::Damage, what).next("copy the whole directory, then run it without --dry-run")
        );
    }
    Ok(())
}

fn show(out: &mut impl Write, repaired: &Repaired, dry_run: bool) -> std::io::Result<()> {
    match &repaired.manifest {
        None => writeln!(out, "manifest  sound")?,
        Some(fault) => writeln!(out, "manifest  {fault}")?,
    }
    let verb = if dry_run { "would be" } else { "is" };
    if repaired.is_rebuilt {
        writeln!(
            out,
            "          one {verb} made anew of the tables and the log; what had been deleted may be back"
        )?;
    }
    for name in &repaired.named_anew {
        writeln!(out, "          nothing tells the name of a keyspace; it {verb} called {name:?}")?;
    }
    let damaged = repaired.tables.len() as u64;
    writeln!(out, "tables    {} sound, {} damaged", count(repaired.tables_sound), count(damaged))?;
    repaired.tables.iter().try_for_each(|table| show_table(out, table))?;
    match &repaired.log {
        None => writeln!(out, "log       sound")?,
        Some(log) => show_log(out, log)?,
    }
    for path in &repaired.set_aside {
        writeln!(out, "set aside {}", path.display())?;
    }
    Ok(())
}

fn show_table(out: &mut impl Write, table: &DamagedTable) -> std::io::Result<()> {
    let lost = match table.entries_lost {
        Some(lost) => format!("{} lost", count(lost)),
        None => "nobody knows how many lost".to_owned(),
    };
    let of = table.keyspace.as_ref().map_or_else(String::new, |name| format!(" of keyspace {name:?}"));
    let kept = super::entries(table.entries_kept);
    writeln!(out, "  {}{of}: {kept} kept, {lost}", name(&table.path))?;
    writeln!(out, "    {}", table.fault)?;
    for lost in &table.lost {
        let key = |key: &[u8]| Notation::Escaped.show(key);
        writeln!(out, "    lost: keys from {} to {}", key(&lost.smallest), key(&lost.largest))?;
    }
    Ok(())
}

fn show_log(out: &mut impl Write, log: &DamagedLog) -> std::io::Result<()> {
    writeln!(out, "log       {}", log.fault)?;
    writeln!(out, "  {} kept, in tables", counted(log.records_kept, "record"))?;
    for hole in &log.holes {
        let behind = if hole.has_more_behind { "" } else { ", nothing behind it" };
        let size = hole.size_bytes.map_or_else(String::new, |size| format!("{} of ", counted(size, "byte")));
        writeln!(out, "    {} at byte {}: {size}{}{behind}", name(&hole.path), hole.offset, hole.what)?;
    }
    if log.records_refused > 0 {
        writeln!(out, "    {} refused: not what a store writes", counted(log.records_refused, "record"))?;
    }
    writeln!(out, "    lost between what was kept: {} at most", counted(log.writes_lost_max, "write"))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn as_json(repaired: &Repaired) -> serde_json::Value {
    let hex = |key: &[u8]| Notation::Hex.show(key);
    let lost = |table: &DamagedTable| -> Vec<_> {
        table
            .lost
            .iter()
            .map(|lost| json!({ "from_hex": hex(&lost.smallest), "to_hex": hex(&lost.largest) }))
            .collect()
    };
    let tables = repaired.tables.iter().map(|table| {
        json!({
            "file": table.path.to_string_lossy(),
            "keyspace": table.keyspace,
            "fault": table.fault.to_string(),
            "entries_kept": table.entries_kept,
            "entries_lost": table.entries_lost,
            "lost": lost(table),
        })
    });
    let log = repaired.log.as_ref().map(|log| {
        let holes = log.holes.iter().map(|hole| {
            json!({
                "file": hole.path.to_string_lossy(),
                "offset": hole.offset,
                "size_bytes": hole.size_bytes,
                "has_more_behind": hole.has_more_behind,
                "what": hole.what,
            })
        });
        json!({
            "fault": log.fault.to_string(),
            "records_kept": log.records_kept,
            "records_refused": log.records_refused,
            "writes_lost_max": log.writes_lost_max,
            "holes": holes.collect::<Vec<_>>(),
        })
    });
    json!({
        "sound": repaired.is_sound(),
        "manifest": repaired.manifest.as_ref().map(ToString::to_string),
        "rebuilt": repaired.is_rebuilt,
        "tables_sound": repaired.tables_sound,
        "tables": tables.collect::<Vec<_>>(),
        "log": log,
        "set_aside": repaired.set_aside.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
        "named_anew": repaired.named_anew,
    })
}
