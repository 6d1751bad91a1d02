//! What a record costs in a merge of k sequences in memory: 16-byte keys, no values.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
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
        group.throughput(Throughput::Elements(RECORDS));
        for count in [1, 2, 4, 8, 16] {
            let children = children(keys, count);
            group.bench_function(format!("{count} forward"), |bencher| {
                let mut merge = Merge::new(children.iter().map(|child| VecCursor::new(child)).collect());
                bencher.iter(|| {
                    merge.seek_first().expect("because memory does not fail");
                    while let Some(entry) = merge.entry() {
                        black_box(entry);
                        merge.next().expect("because memory does not fail");
                    }
                });
            });
        }
        let children = children(keys, 8);
        group.bench_function("8 backward", |bencher| {
            let mut merge = Merge::new(children.iter().map(|child| VecCursor::new(child)).collect());
            bencher.iter(|| {
                merge.seek_last().expect("because memory does not fail");
                while let Some(entry) = merge.entry() {
                    black_box(entry);
                    merge.prev().expect("because memory does not fail");
                }
            });
        });
        group.bench_function("8 forward with retain", |bencher| {
            let mut merge = Merge::new(children.iter().map(|child| VecCursor::new(child)).collect());
            bencher.iter(|| {
                let mut retain = Retain::new(&[]);
                let mut kept = 0;
                merge.seek_first().expect("because memory does not fail");
                while let Some(entry) = merge.entry() {
                    kept += u64::from(retain.keep(entry, |_| true));
                    merge.next().expect("because memory does not fail");
                }
                black_box(kept)
            });
        });
    }
}

criterion_group!(benches, merge);
criterion_main!(benches);
