//! What a record costs in a merge of k sequences in memory: 16-byte keys, no values.
//!
//! ```text
//! cargo bench -p lsmkit-compaction --bench merge
//! ```
//!
//! Times are for one record: that of a pass over 65,536 of them, the seek that begins it included, in proportion.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::collections::HashSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use lsmkit_base::{Cursor, SeqNo, ValueKind};
use lsmkit_compaction::testkit::{Rng, VecCursor, Version};
use lsmkit_compaction::{Merge, Retain};

const RECORDS: u64 = 1 << 16;

/// How the keys are made and dealt out to the children.
#[derive(Clone, Copy)]
enum Keys {
    /// Random bytes, each child as likely as the others.
    Random,
    /// Random bytes, nine in ten of them in the last child, as the largest level has them.
    Skewed,
    /// `user000000001234`, each child as likely as the others.
    Prefixed,
}

fn children(keys: Keys, count: u64) -> Vec<Vec<Version>> {
    let mut rng = Rng::new(7);
    let mut children: Vec<Vec<Version>> = vec![Vec::new(); count as usize];
    for number in 1..=RECORDS {
        let user_key: Box<[u8]> = match keys {
            Keys::Prefixed => format!("user{:012}", rng.below(RECORDS * 16)).into_bytes().into(),
            _ => [rng.any().to_be_bytes(), rng.any().to_be_bytes()].concat().into(),
        };
        let child = match keys {
            Keys::Skewed if !rng.once_in(10) => count - 1,
            _ => rng.below(count),
        };
        let seq = SeqNo::new(number).expect("because there are few records");
        children[child as usize].push(Version { user_key, seq, kind: ValueKind::Put });
    }
    for child in &mut children {
        child.sort_by(|a, b| a.key().cmp(&b.key()));
    }
    // Copied once sorted, so that neighbours lie together, as they do in a block.
    children.clone()
}

fn merge(criterion: &mut Criterion) {
    for (name, keys) in [("random", Keys::Random), ("skewed", Keys::Skewed), ("prefixed", Keys::Prefixed)] {
        let mut group = criterion.benchmark_group(format!("merge/{name}"));
        group.throughput(Throughput::Elements(1));
        group.sampling_mode(SamplingMode::Flat).sample_size(20);
        group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
        for count in [1, 2, 4, 8, 16] {
            timed(&mut group, &format!("{count} forward"), &children(keys, count), forward, RECORDS);
        }
        let children = children(keys, 8);
        timed(&mut group, "8 backward", &children, backward, RECORDS);
        let user_keys: HashSet<_> = children.iter().flatten().map(|version| &version.user_key).collect();
        timed(&mut group, "8 forward with retain", &children, forward_with_retain, user_keys.len() as u64);
        group.finish();
    }
}

/// The time for one record: that of whole passes, in proportion. Each pass has to count `expected`.
fn timed(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    children: &[Vec<Version>],
    pass: fn(&mut Merge<VecCursor<'_>>) -> u64,
    expected: u64,
) {
    let mut merge = Merge::new(children.iter().map(|child| VecCursor::new(child)).collect());
    check(&mut merge, children);
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|records| {
            let passes = records.div_ceil(RECORDS);
            let started = Instant::now();
            for _ in 0..passes {
                assert_eq!(pass(&mut merge), expected);
            }
            started.elapsed().mul_f64(records as f64 / (passes * RECORDS) as f64)
        });
    });
}

/// The merge shows what sorting shows.
fn check(merge: &mut Merge<VecCursor<'_>>, children: &[Vec<Version>]) {
    let mut sorted: Vec<&Version> = children.iter().flatten().collect();
    sorted.sort_by(|a, b| a.key().cmp(&b.key()));
    merge.seek_first().expect("because memory does not fail");
    for version in sorted {
        assert_eq!(merge.entry(), Some(version.entry()));
        merge.next().expect("because memory does not fail");
    }
    assert_eq!(merge.entry(), None);
}

fn forward(merge: &mut Merge<VecCursor<'_>>) -> u64 {
    let mut records = 0;
    merge.seek_first().expect("because memory does not fail");
    while let Some(entry) = merge.entry() {
        black_box(entry);
        records += 1;
        merge.next().expect("because memory does not fail");
    }
    records
}

fn backward(merge: &mut Merge<VecCursor<'_>>) -> u64 {
    let mut records = 0;
    merge.seek_last().expect("because memory does not fail");
    while let Some(entry) = merge.entry() {
        black_box(entry);
        records += 1;
        merge.prev().expect("because memory does not fail");
    }
    records
}

/// Counts what must be kept: without snapshots the newest version of each key.
fn forward_with_retain(merge: &mut Merge<VecCursor<'_>>) -> u64 {
    let mut retain = Retain::new(&[]);
    let mut kept = 0;
    merge.seek_first().expect("because memory does not fail");
    while let Some(entry) = merge.entry() {
        kept += u64::from(retain.keep(entry, |_| true));
        merge.next().expect("because memory does not fail");
    }
    kept
}

criterion_group!(benches, merge);
criterion_main!(benches);
