//! Workloads that write.

use anyhow::Result;

use crate::measure::{Bench, Measurement};

const BATCH_RECORDS: u64 = 100;

pub(crate) fn fillseq(bench: &Bench<'_>) -> Result<Measurement> {
    bench.each(bench.records.count, |worker, op| {
        bench.records.key(op, &mut worker.key);
        bench.store.put(&worker.key, bench.records.value(op))
    })
}

pub(crate) fn fillrandom(bench: &Bench<'_>) -> Result<Measurement> {
    let shuffled = bench.records.shuffled();
    bench.each(bench.records.count, |worker, op| {
        let number = shuffled.number(op);
        bench.records.key(number, &mut worker.key);
        bench.store.put(&worker.key, bench.records.value(number))
    })
}

pub(crate) fn fillbatch(bench: &Bench<'_>) -> Result<Measurement> {
    let (records, shuffled) = (bench.records, bench.records.shuffled());
    let batches = records.count.div_ceil(BATCH_RECORDS);
    let measurement = bench.each(batches, |worker, op| {
        let ats = op * BATCH_RECORDS..records.count.min((op + 1) * BATCH_RECORDS);
        let batch: Vec<(Vec<u8>, &[u8])> = ats
            .map(|at| {
                let number = shuffled.number(at);
                records.key(number, &mut worker.key);
                (worker.key.clone(), records.value(number))
            })
            .collect();
        bench.store.write(&batch)
    })?;
    Ok(Measurement { ops: records.count, ..measurement })
}

pub(crate) fn overwrite(bench: &Bench<'_>) -> Result<Measurement> {
    bench.each(bench.records.count, |worker, _| {
        let number = worker.random.below(bench.records.count);
        bench.records.key(number, &mut worker.key);
        bench.store.put(&worker.key, bench.records.value(number))
    })
}

pub(crate) fn deleterandom(bench: &Bench<'_>) -> Result<Measurement> {
    let shuffled = bench.records.shuffled();
    bench.each(bench.records.count, |worker, op| {
        bench.records.key(shuffled.number(op), &mut worker.key);
        bench.store.delete(&worker.key)
    })
}
