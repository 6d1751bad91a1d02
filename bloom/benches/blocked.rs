//! What building a filter costs a key, and what a probe costs: hot in a cache near the core, and cold in
//! memory; beside a textbook Bloom filter of the same size, for the ratio.
//!
//! Everything goes through `&dyn FilterPolicy`, as in a table.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lsmkit_bloom::{Blocked, FilterPolicy, hash};

/// A Bloom filter over the whole of its bits, with 10 bits and 7 probes a key and double hashing (Kirsch and
/// Mitzenmacher, "Less Hashing, Same Performance", ESA 2006).
#[derive(Debug)]
struct Classic;

impl Classic {
    fn bits_of(hash: u64, bits: u64) -> impl Iterator<Item = usize> {
        let step = hash.rotate_left(32) | 1;
        (0..7).map(move |i| {
            ((u128::from(hash.wrapping_add(step.wrapping_mul(i))) * u128::from(bits)) >> 64) as usize
        })
    }
}

impl FilterPolicy for Classic {
    fn name(&self) -> &str {
        "classic"
    }

    fn build(&self, hashes: &[u64], filter: &mut Vec<u8>) {
        let start = filter.len();
        filter.resize(start + (hashes.len() * 10).div_ceil(8), 0);
        let filter = &mut filter[start..];
        for &hash in hashes {
            for bit in Self::bits_of(hash, filter.len() as u64 * 8) {
                filter[bit / 8] |= 1 << (bit % 8);
            }
        }
    }

    fn may_contain(&self, filter: &[u8], hash: u64) -> bool {
        Self::bits_of(hash, filter.len() as u64 * 8).all(|bit| filter[bit / 8] >> (bit % 8) & 1 == 1)
    }
}

fn policies() -> [(&'static str, Box<dyn FilterPolicy>); 3] {
    [
        ("classic 10 bits", Box::new(Classic)),
        ("blocked 10 bits", Box::new(Blocked::bits_per_key(10.0))),
        ("blocked 16 bits", Box::new(Blocked::bits_per_key(16.0))),
    ]
}

fn hashes(seed: u64, count: usize) -> Vec<u64> {
    (0..count as u64).map(|i| hash(&(seed << 40 | i).to_le_bytes())).collect()
}

fn built(policy: &dyn FilterPolicy, hashes: &[u64]) -> Vec<u8> {
    let mut filter = Vec::new();
    policy.build(hashes, &mut filter);
    filter
}

fn hash_a_key(c: &mut Criterion) {
    let mut group = c.benchmark_group("hash");
    for length in [16, 32, 100] {
        let key = vec![b'k'; length];
        group.bench_function(BenchmarkId::from_parameter(length), |b| b.iter(|| hash(black_box(&key))));
    }
    group.finish();
}

/// From an empty buffer with room, as a table writer keeps it. The time is for the whole filter; the
/// throughput line gives keys a second.
fn build(c: &mut Criterion) {
    let mut group = c.benchmark_group("build");
    for (name, policy) in policies() {
        for keys in [1_000, 100_000, 1_000_000] {
            let hashes = hashes(1, keys);
            let mut filter = built(&*policy, &hashes);
            group.throughput(Throughput::Elements(keys as u64));
            group.bench_function(BenchmarkId::new(name, keys), |b| {
                b.iter(|| {
                    filter.clear();
                    policy.build(black_box(&hashes), &mut filter);
                });
            });
        }
    }
    group.finish();
}

/// One filter of 10,000 keys (12 KiB at 10 bits), probed with 65,536 hashes in turn: more than a branch
/// predictor learns by heart.
fn probe_hot(c: &mut Criterion) {
    const ASKED: usize = 1 << 16;
    let mut group = c.benchmark_group("probe hot");
    for (name, policy) in policies() {
        let present = hashes(1, 10_000);
        let filter = built(&*policy, &present);
        let hits: Vec<u64> = present.iter().copied().cycle().take(ASKED).collect();
        for (kind, asked) in [("hit", hits), ("miss", hashes(2, ASKED))] {
            let mut turn = 0;
            group.bench_function(BenchmarkId::new(name, kind), |b| {
                b.iter(|| {
                    turn = (turn + 1) & (ASKED - 1);
                    policy.may_contain(black_box(&filter), asked[turn])
                });
            });
        }
    }
    group.finish();
}

/// 128 filters of a million keys, 160 MB together at 10 bits, one after the other with new hashes. The answer
/// decides a branch, as in a lookup that goes on to the next table or into this one, so that the processor
/// runs ahead on its guess as it does there.
fn probe_cold(c: &mut Criterion) {
    const FILTERS: usize = 128;
    let present = hashes(1, 1_000_000);
    let absent = hashes(2, 1_000_000);
    let mut group = c.benchmark_group("probe cold");
    for (name, policy) in policies() {
        // All of the same keys: a probe cannot know, and to build each would take minutes.
        let filters = vec![built(&*policy, &present); FILTERS];
        for (kind, asked) in [("hit", &present), ("miss", &absent)] {
            let mut turn = 0;
            group.bench_function(BenchmarkId::new(name, kind), |b| {
                b.iter(|| {
                    turn = if turn + 1 == asked.len() { 0 } else { turn + 1 };
                    if policy.may_contain(&filters[turn & (FILTERS - 1)], asked[turn]) {
                        black_box(turn);
                    }
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, hash_a_key, build, probe_hot, probe_cold);
criterion_main!(benches);
