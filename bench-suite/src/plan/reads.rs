//! Part 2: how fast records are read, and what cache and filters do for it.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};

use super::{CachedReads, Missing, Part, Range, Reads};
use crate::figures::Figures;
use crate::store::Store;
use crate::workloads::{self, SCAN_RECORDS, Workload};

pub(super) fn measure(part: &Part) -> Result<Reads> {
    Store::settle(&part.db)?;
    let hot = part.records.shuffled(0);
    Ok(Reads {
        random: cached(part.figures("readrandom", || Workload::ReadRandom.run(&part.bench(2)))?),
        hot_key: cached(part.figures("one key", || {
            let bench = part.bench(3);
            bench.repeat(|worker, _| workloads::get(&bench, worker, hot))
        })?),
        hot_hundredth: cached(part.figures("readhot", || Workload::ReadHot.run(&part.bench(4)))?),
        range: range(part)?,
        missing: missing(part)?,
    })
}

fn cached(figures: Figures) -> CachedReads {
    CachedReads { cache: figures.inside.cache.unwrap_or_default(), figures }
}

fn range(part: &Part) -> Result<Range> {
    let records = &part.records;
    let count = SCAN_RECORDS.min(records.count);
    let (scans, memtables, runs, tables) =
        (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let bench = part.bench(5);
    let figures = part.figures("scan100k", || {
        bench.repeat(|worker, _| {
            let first = worker.random.below(records.count - count + 1);
            records.key(first, &mut worker.key);
            let mut scan = part.db.scan(&*worker.key..);
            let mut seen = 0;
            for entry in scan.by_ref().take(count as usize) {
                let (key, value) = entry?;
                seen += 1;
                worker.got_bytes += (key.len() + value.len()) as u64;
            }
            ensure!(seen == count, "a scan of {count} records gave {seen}");
            let sources = scan.sources();
            scans.fetch_add(1, Ordering::Relaxed);
            memtables.fetch_add(sources.memtables, Ordering::Relaxed);
            runs.fetch_add(sources.runs, Ordering::Relaxed);
            tables.fetch_add(sources.tables, Ordering::Relaxed);
            Ok(count)
        })
    })?;
    let scans = scans.into_inner();
    let mean = |sum: AtomicU64| sum.into_inner() as f64 / scans.max(1) as f64;
    Ok(Range {
        figures,
        records: count,
        scans,
        memtables: mean(memtables),
        runs: mean(runs),
        tables: mean(tables),
    })
}

fn missing(part: &Part) -> Result<Missing> {
    let before = part.db.stats().filters;
    let figures = part.figures("readmissing", || Workload::ReadMissing.run(&part.bench(6)))?;
    let after = part.db.stats().filters;
    Ok(Missing {
        cache: figures.inside.cache.unwrap_or_default(),
        figures,
        filters_asked: after.asked - before.asked,
        filters_said_no: after.denied - before.denied,
        filters_false_positive: after.false_positives - before.false_positives,
    })
}
