//! Workloads that read and write, or do two things at a time.

use anyhow::Result;

use super::fill::put;
use super::read::{get, get_random};
use super::scan::whole_scan;
use crate::choice::Zipfian;
use crate::measure::{Aside, Bench, Measurement, Worker};

pub(super) fn updaterandom(bench: &Bench<'_>) -> Result<Measurement> {
    bench.repeat(|worker, _| {
        let number = worker.random.below(bench.records.count);
        get(bench, worker, number)?;
        put(bench, worker, number)
    })
}

pub(super) fn readfresh(bench: &Bench<'_>) -> Result<Measurement> {
    let count = bench.records.count;
    bench.each(count.div_ceil(2), |worker, _| {
        let number = worker.random.below(count);
        put(bench, worker, number)
    })?;
    bench.repeat(|worker, _| get_random(bench, worker, count))
}

pub(super) fn readwhilewriting(bench: &Bench<'_>) -> Result<Measurement> {
    let count = bench.records.count;
    let aside = Aside {
        what: "writes",
        rate: Some(bench.rate_beside),
        act: &|worker, _| {
            let number = worker.random.below(count);
            put(bench, worker, number)
        },
    };
    bench.repeat_beside(aside, |worker, _| get_random(bench, worker, count))
}

pub(super) fn readwhilescanning(bench: &Bench<'_>) -> Result<Measurement> {
    let aside = Aside {
        what: "scanned records",
        rate: None,
        act: &|worker, _| whole_scan(bench, worker, |visit| bench.store.scan(None, u64::MAX, visit)),
    };
    bench.repeat_beside(aside, |worker, _| get_random(bench, worker, bench.records.count))
}

pub(super) fn sustained(bench: &Bench<'_>) -> Result<Measurement> {
    let count = bench.records.count;
    let aside = Aside { what: "reads", rate: None, act: &|worker, _| get_random(bench, worker, count) };
    bench.repeat_beside(aside, |worker, _| {
        let number = worker.random.below(count);
        put(bench, worker, number)
    })
}

pub(super) fn sustainedzipf(bench: &Bench<'_>) -> Result<Measurement> {
    let zipfian = Zipfian::over(bench.records);
    let number = |worker: &mut Worker| bench.records.shuffled(zipfian.rank(&mut worker.random));
    let aside = Aside {
        what: "reads",
        rate: None,
        act: &|worker, _| {
            let number = number(worker);
            get(bench, worker, number)
        },
    };
    bench.repeat_beside(aside, |worker, _| {
        let number = number(worker);
        put(bench, worker, number)
    })
}
