//! What the plan found, as text.

use std::fmt::{self, Write as _};

use comfy_table::{CellAlignment, Table, presets};

use super::{CachedReads, Compaction, Disk, Found, Reads, Recovery};
use crate::figures::{Figures, Run};
use crate::inside::CacheCounts;
use crate::units::{bytes, count, nanoseconds, seconds};

/// All five parts.
pub(super) fn of(run: &Run, found: &Found) -> String {
    let mut text = String::new();
    let written = write!(text, "{}, lsmkit {}, {}\n\n", run.machine, run.version, run.date)
        .and_then(|()| writes(&mut text, &found.writes))
        .and_then(|()| reads(&mut text, &found.reads))
        .and_then(|()| compaction(&mut text, &found.compaction))
        .and_then(|()| disk(&mut text, &found.disk))
        .and_then(|()| recovery(&mut text, &found.recovery));
    written.expect("because writing to a string cannot fail");
    text
}

fn writes(text: &mut String, figures: &Figures) -> fmt::Result {
    writeln!(
        text,
        "1. Writes: {} records in random order\n   {}/s, {}/s; {}",
        count(figures.ops as f64),
        count(figures.ops_per_second),
        bytes(figures.bytes_per_second),
        latencies(figures),
    )?;
    for (cause, stalls) in &figures.inside.stalls {
        match stalls.count {
            0 => writeln!(text, "   held up, {cause}: never")?,
            times => writeln!(
                text,
                "   held up, {cause}: {times} times, {} in all, {} at most",
                seconds(stalls.seconds),
                stalls.longest_seconds.map_or("unknown".to_owned(), seconds)
            )?,
        }
    }
    writeln!(text)
}

fn reads(text: &mut String, reads: &Reads) -> fmt::Result {
    writeln!(text, "2. Reads")?;
    let mut table = table(&["", "a second", "mean", "p50", "p99", "p99.9", "blocks from the cache"]);
    let named: [(&str, &CachedReads); 3] = [
        ("random records", &reads.random),
        ("one record", &reads.hot_key),
        ("1 % of the records", &reads.hot_hundredth),
    ];
    for (name, CachedReads { figures, cache }) in named {
        table.add_row(read_row(name, figures, cache));
    }
    table.add_row(read_row("keys that are missing", &reads.missing.figures, &reads.missing.cache));
    writeln!(text, "{}", table.trim_fmt())?;
    let (range, missing) = (&reads.range, &reads.missing);
    writeln!(
        text,
        "   ranges of {}: {} records/s, {}/s; each merged {:.1} memtables and {:.1} runs, and read {:.1} tables",
        count(range.records as f64),
        count(range.figures.ops_per_second),
        bytes(range.figures.bytes_per_second),
        range.memtables,
        range.runs,
        range.tables,
    )?;
    let absent = missing.filters_said_no + missing.filters_false_positive;
    writeln!(
        text,
        "   filters were asked {} times of missing keys, and saved {} of these looks into a table; {:.2} % false positives\n",
        count(missing.filters_asked as f64),
        count(missing.filters_said_no as f64),
        100.0 * missing.filters_false_positive as f64 / absent.max(1) as f64,
    )
}

fn read_row(name: &str, figures: &Figures, cache: &CacheCounts) -> [String; 7] {
    let looks = cache.hits + cache.misses;
    let latency = figures.latency.clone().unwrap_or_default();
    [
        format!("  {name}"),
        count(figures.ops_per_second),
        nanoseconds(latency.mean),
        nanoseconds(latency.p50 as f64),
        nanoseconds(latency.p99 as f64),
        nanoseconds(latency.p99_9 as f64),
        match looks {
            0 => "none was looked for".to_owned(),
            looks => format!("{:.1} % of {}", 100.0 * cache.hits as f64 / looks as f64, count(looks as f64)),
        },
    ]
}

fn compaction(text: &mut String, compaction: &Compaction) -> fmt::Result {
    writeln!(
        text,
        "3. Compaction: {} of keys and values, two thirds of them overwritten",
        bytes(compaction.user_bytes as f64)
    )?;
    let mut table =
        table(&["into", "times", "time", "read above", "read own", "written", "runs now", "tables", "bytes"]);
    // Leveled compaction begins at the bottom: levels between may have had nothing yet.
    let used = compaction.levels.iter().enumerate().filter(|(_, work)| work.count + work.level.tables > 0);
    for (level, work) in used {
        table.add_row([
            format!("  level {level}"),
            work.count.to_string(),
            seconds(work.seconds),
            bytes(work.read_above_bytes as f64),
            bytes(work.read_own_bytes as f64),
            bytes(work.written_bytes as f64),
            work.level.runs.to_string(),
            work.level.tables.to_string(),
            bytes(work.level.size_bytes as f64),
        ]);
    }
    writeln!(
        text,
        "{}\n   {} flushes, {} compactions, {} moves\n   write amplification: {:.2}; with {} of log, {:.2}\n",
        table.trim_fmt(),
        compaction.flushes.count,
        compaction.compactions.count,
        compaction.moves,
        compaction.write_amplification,
        bytes(compaction.log_bytes as f64),
        compaction.write_amplification_with_log,
    )
}

fn disk(text: &mut String, disk: &Disk) -> fmt::Result {
    let parts = [
        ("data blocks", disk.data_bytes),
        ("filters", disk.filter_bytes),
        ("indexes", disk.index_bytes),
        ("properties and footers", disk.table_rest_bytes),
        ("log", disk.log_bytes),
        ("manifest and the rest", disk.other_bytes),
    ];
    let parts: Vec<_> = parts.iter().map(|(name, size)| format!("{name} {}", bytes(*size as f64))).collect();
    writeln!(
        text,
        "4. Disk: {} for {} of keys and values; space amplification {:.2}\n   {}\n",
        bytes(disk.total_bytes as f64),
        bytes(disk.user_bytes as f64),
        disk.space_amplification,
        parts.join(", "),
    )
}

fn recovery(text: &mut String, recovery: &Recovery) -> fmt::Result {
    writeln!(text, "5. Crash recovery: a process that writes is killed")?;
    let mut table = table(&["acknowledged", "found", "lost", "invented", "log", "opened in"]);
    for crash in &recovery.crashes {
        table.add_row([
            crash.acknowledged.to_string(),
            crash.found.to_string(),
            crash.lost.to_string(),
            crash.invented.to_string(),
            bytes(crash.log_bytes as f64),
            seconds(crash.open_seconds),
        ]);
    }
    writeln!(text, "{}\n", table.trim_fmt())
}

/// A table whose columns but the first stand to the right.
fn table<const COLUMNS: usize>(head: &[&str; COLUMNS]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(*head);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn latencies(figures: &Figures) -> String {
    let latency = figures.latency.clone().unwrap_or_default();
    format!(
        "p50 {}, p99 {}, p99.9 {}, longest {}",
        nanoseconds(latency.p50 as f64),
        nanoseconds(latency.p99 as f64),
        nanoseconds(latency.p99_9 as f64),
        nanoseconds(latency.max as f64),
    )
}
