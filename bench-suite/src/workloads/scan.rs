//! Workloads that read records in order.

use anyhow::{Result, ensure};

use super::first_left;
use crate::measure::{Bench, Measurement, Worker};

/// What `scan100k` reads at a time.
pub(crate) const SCAN_RECORDS: u64 = 100_000;

pub(super) fn seekrandom(bench: &Bench<'_>, nexts: u64) -> Result<Measurement> {
    bench.repeat(|worker, _| {
        let number = worker.random.below(bench.records.count);
        scan_from(bench, worker, number, nexts)?;
        Ok(1)
    })
}

pub(super) fn scan100k(bench: &Bench<'_>) -> Result<Measurement> {
    let (records, count) = (bench.records, SCAN_RECORDS.min(bench.records.count));
    bench.repeat(|worker, _| {
        let number = worker.random.below(records.count - count + 1);
        scan_from(bench, worker, number, count)
    })
}

/// Reads `count` records from record `number` on, all of which are there, and gives how many they were.
fn scan_from(bench: &Bench<'_>, worker: &mut Worker, number: u64, count: u64) -> Result<u64> {
    let records = bench.records;
    records.key(number, &mut worker.key);
    let (mut seen, mut size_bytes, mut first_is_right) = (0, 0, false);
    bench.store.scan(Some(&worker.key), count, &mut |key, value| {
        if seen == 0 {
            first_is_right = key == &*worker.key && value == records.value(number);
        }
        seen += 1;
        size_bytes += (key.len() + value.len()) as u64;
    })?;
    ensure!(
        first_is_right
            && seen == count.min(records.count - number)
            && size_bytes == seen * records.record_bytes(),
        "a scan from {} gave {seen} records of {size_bytes} bytes, the first of them {}",
        worker.key.escape_ascii(),
        if first_is_right { "right" } else { "wrong" },
    );
    worker.got_bytes += size_bytes;
    Ok(seen)
}

pub(super) fn seekdeleted(bench: &Bench<'_>) -> Result<Measurement> {
    let records = bench.records;
    let first_left = first_left(records);
    let mut first_key = Vec::new();
    records.key(first_left, &mut first_key);
    bench.repeat(|worker, _| {
        records.key(worker.random.below(first_left.max(1)), &mut worker.key);
        let mut is_right = false;
        bench.store.scan(Some(&worker.key), 1, &mut |key, value| {
            is_right = key == first_key && value == records.value(first_left);
        })?;
        ensure!(is_right, "a seek to {} did not find the first that is left", worker.key.escape_ascii());
        worker.got_bytes += records.record_bytes();
        Ok(1)
    })
}

pub(super) fn readseq(bench: &Bench<'_>) -> Result<Measurement> {
    bench.repeat(|worker, _| whole_scan(bench, worker, |visit| bench.store.scan(None, u64::MAX, visit)))
}

pub(super) fn readreverse(bench: &Bench<'_>) -> Result<Measurement> {
    bench.repeat(|worker, _| whole_scan(bench, worker, |visit| bench.store.scan_back(visit)))
}

/// Checks that as many bytes came as were put; comparing each would cost as much as reading it.
pub(super) fn whole_scan(
    bench: &Bench<'_>,
    worker: &mut Worker,
    scan: impl FnOnce(&mut dyn FnMut(&[u8], &[u8])) -> Result<()>,
) -> Result<u64> {
    let (mut count, mut size_bytes) = (0, 0);
    scan(&mut |key, value| {
        count += 1;
        size_bytes += (key.len() + value.len()) as u64;
    })?;
    ensure!(
        count == bench.records.count && size_bytes == bench.records.size_bytes(),
        "a scan of everything gave {count} records of {size_bytes} bytes"
    );
    worker.got_bytes += size_bytes;
    Ok(count)
}
