//! What a batch costs that can be read before it is written, beside the plain one: 16-byte keys, 100-byte values.
//!
//! ```text
//! cargo bench -p lsmkit --bench batch
//! ```
//!
//! *Random* keys differ in their first eight bytes, which the index holds itself; *prefixed* ones have twelve bytes in
//! common, so that it has to look into the batch for every comparison; *ascending* ones come in order.

#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails is a failed benchmark")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lsmkit::{IndexedBatch, Options, WriteBatch};

const SIZES: [(&str, u32); 3] = [("10", 10), ("100", 100), ("100k", 100_000)];
const VALUE: [u8; 100] = [7; 100];

type Key = [u8; 16];

/// Mixes the bits of `n`, and never two numbers to the same.
fn mixed(n: u32) -> u32 {
    (n ^ (n >> 15)).wrapping_mul(0x2c1b_3c6d).rotate_left(13).wrapping_mul(0x297a_2d39)
}

fn random(n: u32) -> Key {
    key([mixed(n), n, n, n])
}

fn prefixed(n: u32) -> Key {
    key([1, 2, 3, mixed(n)])
}

fn ascending(n: u32) -> Key {
    key([1, 2, n, 3])
}

fn key(parts: [u32; 4]) -> Key {
    let mut key = [0; 16];
    for (bytes, part) in key.chunks_mut(4).zip(parts) {
        bytes.copy_from_slice(&part.to_be_bytes());
    }
    key
}

/// Fills batches that have their memory already, as those do that are used again.
fn fill(c: &mut Criterion) {
    for (size, len) in SIZES {
        let mut group = c.benchmark_group(format!("fill a batch of {size}"));
        group.throughput(Throughput::Elements(u64::from(len)));
        for (order, key) in
            [("random", random as fn(u32) -> Key), ("prefixed", prefixed), ("ascending", ascending)]
        {
            let keys: Vec<Key> = (0..len).map(key).collect();
            let mut plain = WriteBatch::new();
            group.bench_function(format!("plain, {order}"), |b| {
                b.iter(|| {
                    plain.clear();
                    for key in &keys {
                        plain.put(key, VALUE);
                    }
                    black_box(&plain);
                });
            });
            let mut indexed = IndexedBatch::new();
            group.bench_function(format!("indexed, {order}"), |b| {
                b.iter(|| {
                    indexed.clear();
                    for key in &keys {
                        indexed.put(key, VALUE);
                    }
                    black_box(&indexed);
                });
            });
        }
    }
}

/// Finds every key of a batch once.
fn find(c: &mut Criterion) {
    for (size, len) in SIZES {
        let mut group = c.benchmark_group(format!("find in a batch of {size}"));
        group.throughput(Throughput::Elements(u64::from(len)));
        for (order, key) in [("random", random as fn(u32) -> Key), ("prefixed", prefixed)] {
            let keys: Vec<Key> = (0..len).map(key).collect();
            let mut batch = IndexedBatch::new();
            for key in keys.iter().rev() {
                batch.put(key, VALUE);
            }
            group.bench_function(order, |b| {
                b.iter(|| {
                    for key in &keys {
                        black_box(batch.last_write(key)).unwrap();
                    }
                });
            });
        }
    }
}

/// Scans a store of 100,000 entries, by itself and beneath a batch.
fn scan(c: &mut Criterion) {
    let db = Options::new().open_in_memory().unwrap();
    for n in 0..100_000 {
        db.put(random(n), VALUE).unwrap();
    }
    let mut group = c.benchmark_group("scan 100k entries");
    group.throughput(Throughput::Elements(100_000));
    group.bench_function("store", |b| b.iter(|| assert_eq!(db.scan(..).count(), 100_000)));
    for (name, len) in [("no writes", 0), ("100 writes", 100), ("100k writes", 100_000)] {
        let mut batch = IndexedBatch::new();
        for n in 0..len {
            batch.put(random(n), VALUE);
        }
        group.bench_function(format!("beneath a batch of {name}"), |b| {
            b.iter(|| assert_eq!(batch.over(&db).scan(..).count(), 100_000));
        });
    }
}

criterion_group!(benches, fill, find, scan);
criterion_main!(benches);
