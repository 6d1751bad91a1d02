//! What every format pays for: checksums and varints.
//!
//! ```text
//! cargo bench -p lsmkit-base --bench coding
//! ```

#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails is a failed benchmark")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lsmkit_base::coding::{Checksum, Decoder, checksum, put_varint, varint_len};

/// More numbers than a branch predictor learns by heart.
const NUMBERS: usize = 1 << 14;

/// A short frame, a block of a table, and a large write: all of it at once, and after a header of 24 bytes
/// as frames and blocks have one.
fn checksums(c: &mut Criterion) {
    let mut group = c.benchmark_group("checksum");
    for (name, len) in [("64 B", 64), ("4 KiB", 4 << 10), ("1 MiB", 1 << 20)] {
        let bytes: Vec<u8> = (0..len as u64).map(|n| scatter(n) as u8).collect();
        let (header, rest) = bytes.split_at(24);
        let in_parts = || Checksum::new().with(black_box(header)).with(black_box(rest)).finish();
        assert_eq!(in_parts(), checksum(&bytes));
        let mut flipped = bytes.clone();
        flipped[len / 2] ^= 1;
        assert_ne!(checksum(&flipped), checksum(&bytes));

        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::new("whole", name), |b| b.iter(|| checksum(black_box(&bytes))));
        group.bench_function(BenchmarkId::new("in two parts", name), |b| b.iter(in_parts));
    }
    group.finish();
}

/// Times are for all the numbers; the throughput line gives numbers a second.
fn varints(c: &mut Criterion) {
    for (name, numbers) in [
        // Lengths and tags.
        ("one byte", numbers(|n| n % 0x80)),
        ("one or two bytes", numbers(|n| if n % 2 == 0 { n % 0x80 } else { 0x80 + n % 0x3f80 })),
        // Each of the ten lengths as often as the others.
        ("any length", numbers(|n| (1 << 63 | n) >> (n % 10 * 7).min(63))),
        ("ten bytes", numbers(|n| 1 << 63 | n)),
    ] {
        let mut group = c.benchmark_group(format!("varint/{name}"));
        group.throughput(Throughput::Elements(NUMBERS as u64));

        let mut bytes = Vec::new();
        numbers.iter().for_each(|&n| put_varint(&mut bytes, n));
        let mut decoder = Decoder::new(&bytes);
        assert!(numbers.iter().all(|&n| decoder.varint() == Some(n)) && decoder.is_done());
        assert_eq!(numbers.iter().map(|&n| varint_len(n)).sum::<usize>(), bytes.len());

        group.bench_function("decode", |b| {
            b.iter(|| {
                let mut decoder = Decoder::new(black_box(&bytes));
                let mut sum = 0u64;
                while let Some(n) = decoder.varint() {
                    sum = sum.wrapping_add(n);
                }
                sum
            });
        });
        group.bench_function("encode", |b| {
            b.iter(|| {
                bytes.clear();
                black_box(&numbers).iter().for_each(|&n| put_varint(&mut bytes, n));
                bytes.len()
            });
        });
        group.finish();
    }
}

fn numbers(shape: impl Fn(u64) -> u64) -> Vec<u64> {
    (0..NUMBERS as u64).map(|n| shape(scatter(n))).collect()
}

/// The finaliser of SplitMix64: numbers in no order.
fn scatter(n: u64) -> u64 {
    let z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50);
    targets = checksums, varints
}
criterion_main!(benches);
