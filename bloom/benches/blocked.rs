//! What building a filter costs a key, and what a probe costs: hot in a cache near the core, and cold in
//! memory; beside a textbook Bloom filter of the same size, for the ratio. Before the times, how often each
//! lets an absent key through, measured and by calculation.
//!
//! ```text
//! cargo bench -p lsmkit-bloom --bench blocked
//! ```
//!
//! Everything goes through `&dyn FilterPolicy`, as in a table.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use lsmkit_bloom::{Blocked, FilterPolicy, expected_false_positive_rate, hash};

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

/// The rate of each policy by calculation. That of the textbook filter is (1 − e^(−kn/m))^k (Mitzenmacher and
/// Upfal, "Probability and Computing", section 5.5.3).
fn expected_rates() -> [f64; 3] {
    let classic = (1.0 - (-7.0f64 / 10.0).exp()).powi(7);
    [classic, expected_false_positive_rate(10.0), expected_false_positive_rate(16.0)]
}

fn hashes(seed: u64, count: usize) -> Vec<u64> {
    (0..count as u64).map(|i| hash(&(seed << 40 | i).to_le_bytes())).collect()
}

fn built(policy: &dyn FilterPolicy, hashes: &[u64]) -> Vec<u8> {
    let mut filter = Vec::new();
    policy.build(hashes, &mut filter);
    filter
}

/// Prints a table rather than times: how many of four million absent keys pass a filter of a million.
fn false_positives(_: &mut Criterion) {
    const KEYS: usize = 1_000_000;
    let (present, absent) = (hashes(1, KEYS), hashes(2, 4 * KEYS));
    println!("{:<24}{:>12}{:>12}", "false positives", "measured", "expected");
    for ((name, policy), expected) in policies().into_iter().zip(expected_rates()) {
        let filter = built(&*policy, &present);
        assert!(present.iter().all(|&hash| policy.may_contain(&filter, hash)), "{name}: a key is not found");
        let passed = absent.iter().filter(|&&hash| policy.may_contain(&filter, hash)).count();
        let measured = passed as f64 / absent.len() as f64;
        println!("{name:<24}{:>10.4} %{:>10.4} %", measured * 100.0, expected * 100.0);
        assert!((measured / expected - 1.0).abs() < 0.1, "{name}: {measured}, not {expected}");
    }
}

fn hash_a_key(c: &mut Criterion) {
    let mut group = c.benchmark_group("hash");
    for length in [16, 32, 100] {
        let key = vec![b'k'; length];
        group.throughput(Throughput::Bytes(length as u64));
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
            group.sampling_mode(SamplingMode::Flat);
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
    group.throughput(Throughput::Elements(1));
    for (name, policy) in policies() {
        let present = hashes(1, 10_000);
        let filter = built(&*policy, &present);
        let hits: Vec<u64> = present.iter().copied().cycle().take(ASKED).collect();
        for (kind, asked) in [("hit", hits), ("miss", hashes(2, ASKED))] {
            check(&*policy, &filter, kind, &asked);
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
    group.throughput(Throughput::Elements(1));
    for (name, policy) in policies() {
        // All of the same keys: a probe cannot know, and to build each would take minutes.
        let filters = vec![built(&*policy, &present); FILTERS];
        for (kind, asked) in [("hit", &present), ("miss", &absent)] {
            check(&*policy, &filters[FILTERS - 1], kind, asked);
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

/// Hits are found, and misses are not but for some two in a hundred at the most.
fn check(policy: &dyn FilterPolicy, filter: &[u8], kind: &str, asked: &[u64]) {
    let found = asked.iter().filter(|&&hash| policy.may_contain(filter, hash)).count();
    let is_right = if kind == "hit" { found == asked.len() } else { found < asked.len() / 50 };
    assert!(is_right, "{kind}: {found} of {}", asked.len());
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30);
    targets = false_positives, hash_a_key, build, probe_hot, probe_cold
}
criterion_main!(benches);
