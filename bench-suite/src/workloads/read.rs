//! Workloads that look up single keys.

use anyhow::{Result, ensure};

use crate::measure::{Bench, Measurement, Worker};

pub(crate) fn readrandom(bench: &Bench<'_>) -> Result<Measurement> {
    bench.each(bench.ops, |worker, _| {
        let number = worker.random.below(bench.records.count);
        get(bench, worker, number)
    })
}

pub(crate) fn readmissing(bench: &Bench<'_>) -> Result<Measurement> {
    bench.each(bench.ops, |worker, _| {
        let number = worker.random.below(bench.records.count);
        bench.records.missing_key(number, &mut worker.key);
        let found = bench.store.get(&worker.key, &mut |_| ())?;
        ensure!(!found, "{} was found but never put", worker.key.escape_ascii());
        Ok(())
    })
}

pub(crate) fn readhot(bench: &Bench<'_>) -> Result<Measurement> {
    let hot = bench.records.count.div_ceil(100);
    bench.each(bench.ops, |worker, _| {
        let number = worker.random.below(hot);
        get(bench, worker, number)
    })
}

fn get(bench: &Bench<'_>, worker: &mut Worker, number: u64) -> Result<()> {
    bench.records.key(number, &mut worker.key);
    let expected = bench.records.value(number);
    let mut right = false;
    bench.store.get(&worker.key, &mut |value| right = value == expected)?;
    ensure!(right, "{} was not found, or with a wrong value", worker.key.escape_ascii());
    Ok(())
}
