//! Workloads that write.

use anyhow::Result;

use super::first_left;
use crate::measure::{Bench, Measurement, Worker};

const BATCH_RECORDS: u64 = 100;

pub(super) fn fillseq(bench: &Bench<'_>) -> Result<Measurement> {
    bench.each(bench.records.count, |worker, op| put(bench, worker, op))
}

pub(super) fn fillrandom(bench: &Bench<'_>) -> Result<Measurement> {
    bench.each(bench.records.count, |worker, op| put(bench, worker, bench.records.shuffled(op)))
}

/// Ends when its time is over, not when all is written: a disk syncs some thousand times a second.
pub(super) fn fillsync(bench: &Bench<'_>) -> Result<Measurement> {
    let timed = Bench { ops_max: bench.ops_max.min(bench.records.count), ..*bench };
    timed.repeat(|worker, op| put(bench, worker, bench.records.shuffled(op)))
}

pub(super) fn fillbatch(bench: &Bench<'_>) -> Result<Measurement> {
    let records = bench.records;
    bench.each(records.count.div_ceil(BATCH_RECORDS), |worker, op| {
        let ats = op * BATCH_RECORDS..records.count.min((op + 1) * BATCH_RECORDS);
        worker.keys.clear();
        for at in ats.clone() {
            records.key(records.shuffled(at), &mut worker.key);
            worker.keys.extend_from_slice(&worker.key);
        }
        let values = ats.clone().map(|at| records.value(records.shuffled(at)));
        let batch: Vec<(&[u8], &[u8])> = worker.keys.chunks(records.key_bytes()).zip(values).collect();
        bench.store.write(&batch)?;
        let count = ats.end - ats.start;
        worker.put_bytes += count * records.record_bytes();
        Ok(count)
    })
}

pub(super) fn overwrite(bench: &Bench<'_>) -> Result<Measurement> {
    bench.each(bench.records.count, |worker, _| {
        let number = worker.random.below(bench.records.count);
        put(bench, worker, number)
    })
}

pub(super) fn deleterandom(bench: &Bench<'_>) -> Result<Measurement> {
    bench.each(bench.records.count, |worker, op| delete(bench, worker, bench.records.shuffled(op)))
}

pub(super) fn deleteseq(bench: &Bench<'_>) -> Result<Measurement> {
    bench.each(first_left(bench.records), |worker, op| delete(bench, worker, op))
}

pub(super) fn put(bench: &Bench<'_>, worker: &mut Worker, number: u64) -> Result<u64> {
    bench.records.key(number, &mut worker.key);
    bench.store.put(&worker.key, bench.records.value(number))?;
    worker.put_bytes += bench.records.record_bytes();
    Ok(1)
}

fn delete(bench: &Bench<'_>, worker: &mut Worker, number: u64) -> Result<u64> {
    bench.records.key(number, &mut worker.key);
    bench.store.delete(&worker.key)?;
    worker.put_bytes += worker.key.len() as u64;
    Ok(1)
}
