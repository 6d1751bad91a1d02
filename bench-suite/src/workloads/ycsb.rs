//! The core workloads of the Yahoo! Cloud Serving Benchmark (Cooper and others, SoCC 2010, section 4).

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};

use super::fill::put;
use super::read::get;
use crate::choice::Zipfian;
use crate::measure::{Bench, Measurement, Worker};
use crate::records::Records;

/// The longest scan of workload E, in records.
const SCAN_RECORDS_MAX: u64 = 100;

/// What is done how often, in percent; the rest are gets.
#[derive(Clone, Copy)]
pub(super) struct Mix {
    puts: u64,
    inserts: u64,
    scans: u64,
    updates: u64,
    choice: Choice,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// The same records are asked for most, wherever their keys lie.
    Zipf,
    /// Those put last are asked for most.
    Latest,
}

impl Mix {
    pub(super) const A: Mix = Mix { puts: 50, ..Mix::C };
    pub(super) const B: Mix = Mix { puts: 5, ..Mix::C };
    pub(super) const C: Mix = Mix { puts: 0, inserts: 0, scans: 0, updates: 0, choice: Choice::Zipf };
    pub(super) const D: Mix = Mix { inserts: 5, choice: Choice::Latest, ..Mix::C };
    pub(super) const E: Mix = Mix { inserts: 5, scans: 95, ..Mix::C };
    pub(super) const F: Mix = Mix { updates: 50, ..Mix::C };
}

pub(super) fn run(bench: &Bench<'_>, mix: Mix) -> Result<Measurement> {
    let zipfian = Zipfian::over(bench.records);
    let inserts = Inserts::after(bench.records, bench.threads);
    bench.repeat(|worker, _| {
        let rank = zipfian.rank(&mut worker.random);
        let number = match mix.choice {
            Choice::Zipf => bench.records.shuffled(rank),
            Choice::Latest => inserts.latest(bench.records, rank),
        };
        let mut dice = worker.random.below(100);
        let mut falls = |percent: u64| {
            let falls = dice < percent;
            dice = dice.wrapping_sub(percent);
            falls
        };
        if falls(mix.puts) {
            put(bench, worker, number)
        } else if falls(mix.inserts) {
            inserts.insert(worker.thread, |number| put(bench, worker, number))
        } else if falls(mix.scans) {
            scan(bench, worker, number)
        } else if falls(mix.updates) {
            get(bench, worker, number)?;
            put(bench, worker, number)
        } else {
            get(bench, worker, number)
        }
    })
}

/// From a record that is there to up to a hundred further; new ones may lie between.
fn scan(bench: &Bench<'_>, worker: &mut Worker, number: u64) -> Result<u64> {
    let records = bench.records;
    let count = 1 + worker.random.below(SCAN_RECORDS_MAX);
    records.key(number, &mut worker.key);
    let (mut seen, mut first_is_right) = (0, false);
    bench.store.scan(Some(&worker.key), count, &mut |key, value| {
        if seen == 0 {
            first_is_right = key == &*worker.key && value == records.value(number);
        }
        seen += 1;
    })?;
    let is_short = seen < count.min(records.count - number) || seen > count;
    ensure!(first_is_right && !is_short, "a scan of {count} from {} is wrong", worker.key.escape_ascii());
    worker.got_bytes += seen * records.record_bytes();
    Ok(1)
}

/// The records that are put beyond those that were there at first.
struct Inserts {
    /// The next to be put.
    next: AtomicU64,
    /// For each thread, no more than the one that it is putting; `u64::MAX` if it isn't.
    under_way: Vec<AtomicU64>,
}

impl Inserts {
    fn after(records: &Records, threads: u64) -> Inserts {
        let under_way = (0..threads).map(|_| AtomicU64::new(u64::MAX)).collect();
        Inserts { next: AtomicU64::new(records.count), under_way }
    }

    fn insert(&self, thread: u64, put: impl FnOnce(u64) -> Result<u64>) -> Result<u64> {
        // Said before it is known which, so that nobody takes it for done in between.
        let under_way = &self.under_way[thread as usize];
        under_way.store(self.next.load(Ordering::SeqCst), Ordering::SeqCst);
        let ops = put(self.next.fetch_add(1, Ordering::SeqCst))?;
        under_way.store(u64::MAX, Ordering::SeqCst);
        Ok(ops)
    }

    /// The `rank`th of the records by the time they were put, the last one first. All up to it have been put.
    fn latest(&self, records: &Records, rank: u64) -> u64 {
        let next = self.next.load(Ordering::SeqCst);
        let end = self.under_way.iter().map(|number| number.load(Ordering::SeqCst)).fold(next, u64::min);
        match end - 1 - rank {
            // In the order in which `fillrandom` put them.
            at if at < records.count => records.shuffled(at),
            number => number,
        }
    }
}
