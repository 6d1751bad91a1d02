//! Workloads that look up single keys.

use anyhow::{Result, ensure};

use crate::measure::{Bench, Measurement, Worker};

pub(super) fn readrandom(bench: &Bench<'_>) -> Result<Measurement> {
    bench.repeat(|worker, _| get_random(bench, worker, bench.records.count))
}

pub(super) fn readhot(bench: &Bench<'_>) -> Result<Measurement> {
    bench.repeat(|worker, _| get_random(bench, worker, bench.records.count.div_ceil(100)))
}

pub(super) fn readmissing(bench: &Bench<'_>) -> Result<Measurement> {
    bench.repeat(|worker, _| {
        let number = worker.random.below(bench.records.count);
        bench.records.missing_key(number, &mut worker.key);
        let found = bench.store.get(&worker.key, &mut |_| ())?;
        ensure!(!found, "{} was found but never put", worker.key.escape_ascii());
        Ok(1)
    })
}

const MANY: u64 = 100;

pub(super) fn multiget100(bench: &Bench<'_>) -> Result<Measurement> {
    let records = bench.records;
    bench.repeat(|worker, _| {
        worker.keys.clear();
        let mut numbers = Vec::with_capacity(MANY as usize);
        for _ in 0..MANY {
            let number = worker.random.below(records.count);
            numbers.push(number);
            records.key(number, &mut worker.key);
            worker.keys.extend_from_slice(&worker.key);
        }
        let keys: Vec<&[u8]> = worker.keys.chunks(records.key_bytes()).collect();
        let mut right = 0;
        let found = bench.store.get_many(&keys, &mut |place, value| {
            right += u64::from(value == records.value(numbers[place]));
        })?;
        ensure!(
            found as u64 == MANY && right == MANY,
            "of {MANY} records {found} were found, {right} of them right"
        );
        worker.got_bytes += MANY * records.record_bytes();
        Ok(MANY)
    })
}

/// Gets one of the first `limit` records.
pub(super) fn get_random(bench: &Bench<'_>, worker: &mut Worker, limit: u64) -> Result<u64> {
    let number = worker.random.below(limit);
    get(bench, worker, number)
}

pub(crate) fn get(bench: &Bench<'_>, worker: &mut Worker, number: u64) -> Result<u64> {
    bench.records.key(number, &mut worker.key);
    let expected = bench.records.value(number);
    let mut right = false;
    bench.store.get(&worker.key, &mut |value| right = value == expected)?;
    ensure!(right, "{} was not found, or with a wrong value", worker.key.escape_ascii());
    worker.got_bytes += bench.records.record_bytes();
    Ok(1)
}
