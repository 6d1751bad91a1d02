//! How fast one thread compacts: reads tables from the kernel's cache, merges, encodes, and writes tables to files.
//!
//! ```text
//! cargo bench -p lsmkit --bench compact
//! ```
//!
//! Runs of random keys that are all over one another, of records of 16 + 100 and 16 + 1,000 bytes, become one run. Bytes are those
//! of keys and values that go in.

#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails is a failed benchmark")]

use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use lsmkit::{Background, Compression, Db, Durability, Options};

const KEY_BYTES: u64 = 16;
/// Of keys and values, in all runs together.
const INPUT_BYTES: u64 = 64 << 20;

/// A key that is one of its own for each number, in no order.
fn key(n: u64) -> [u8; KEY_BYTES as usize] {
    let mut key = [0; KEY_BYTES as usize];
    key[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key
}

/// A store with so many runs at level 0.
fn store(dir: &std::path::Path, runs: u64, records: u64, value: &[u8], compression: Compression) -> Db {
    let options = Options::new()
        .memtable_bytes(256 << 20)
        .compression(compression)
        .background(Background::Steps)
        .durability(Durability::None);
    let db = options.open(dir).unwrap();
    for run in 0..runs {
        for n in 0..records / runs {
            db.put(key(n * runs + run), value).unwrap();
        }
        db.flush().unwrap();
    }
    db
}

fn compact(c: &mut Criterion) {
    for value_bytes in [100_u64, 1_000] {
        let records = INPUT_BYTES / (KEY_BYTES + value_bytes);
        // Half of it repeats.
        let value: Vec<u8> =
            (0..value_bytes).map(|at| if at % 2 == 0 { 0 } else { ((at * at * 31) >> 3) as u8 }).collect();
        let mut group = c.benchmark_group(format!("compact values of {value_bytes}"));
        group.throughput(Throughput::Bytes(records * (KEY_BYTES + value_bytes)));
        group.sampling_mode(SamplingMode::Flat).sample_size(10);
        group.warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(1));
        for compression in [Compression::None, Compression::Lz4] {
            for runs in [2, 8] {
                group.bench_function(format!("{runs} runs, {compression:?}"), |b| {
                    b.iter_custom(|times| {
                        let mut time = Duration::ZERO;
                        for _ in 0..times {
                            let dir = tempfile::tempdir().unwrap();
                            let db = store(&dir.path().join("store"), runs, records, &value, compression);
                            let begun = Instant::now();
                            db.compact(..).unwrap();
                            time += begun.elapsed();
                            assert_eq!(db.stats().keyspaces[0].levels[0].runs, 0);
                        }
                        time
                    });
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, compact);
criterion_main!(benches);
