//! Tables of a million records (keys of 16 bytes, values of 100) in memory: what the format itself costs.
//!
//! ```text
//! cargo bench -p lsmkit-sstable --bench table
//! ```

#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails is a failed benchmark")]

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use lsmkit_base::{Cursor, Entry, KeyRef, SeqNo, TableId, TableMeta};
use lsmkit_blockcache::Clock;
use lsmkit_sstable::{
    BlockTables, Compression, FileReader, Reading, TableOptions, TablePlace, TableReader, TableWriter, Tables,
};
use lsmkit_vfs::{Fs, MemFs};

const RECORDS: u64 = 1_000_000;
const RECORD_BYTES: u64 = 116;

fn key(n: u64) -> [u8; 16] {
    let mut key = [b'0'; 16];
    let mut n = n;
    for digit in key.iter_mut().rev() {
        *digit += (n % 10) as u8;
        n /= 10;
    }
    key
}

/// Keys of the first `records`, at random, made beforehand.
fn keys(records: u64, odd: u64) -> impl FnMut() -> [u8; 16] {
    let keys: Vec<_> = (0..1 << 16).map(|n| key(2 * (scatter(n) % records) + odd)).collect();
    let mut n = 0;
    move || {
        n = (n + 1) % keys.len();
        keys[n]
    }
}

/// Half noise and half zeros, so that it compresses to about half.
fn value(n: u64) -> [u8; 100] {
    let mut value = [0; 100];
    let mut noise = n;
    for bytes in value[..48].chunks_mut(8) {
        noise = scatter(noise);
        bytes.copy_from_slice(&noise.to_le_bytes());
    }
    value
}

/// The finaliser of SplitMix64: numbers in no order.
fn scatter(n: u64) -> u64 {
    let z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn tables(disk: &MemFs, options: TableOptions) -> BlockTables {
    let dir = PathBuf::from("/bench");
    disk.create_dir(&dir).unwrap();
    BlockTables::new(disk.shared(), dir, options, Arc::new(Clock::new(512 << 20)))
}

/// Even numbers only, so that odd ones are missing.
fn write(tables: &BlockTables, id: TableId, records: u64) -> TableMeta {
    let mut writer = tables.create(id, TablePlace::of_level(0)).unwrap();
    for n in 0..records {
        let seq = SeqNo::new(scatter(n) % records).unwrap();
        writer.add(Entry::put(&key(2 * n), seq, &value(n))).unwrap();
    }
    writer.finish().unwrap()
}

fn full(disk: &MemFs, options: TableOptions) -> (BlockTables, Arc<FileReader>) {
    let tables = tables(disk, options);
    let meta = write(&tables, TableId(1), RECORDS);
    let table = Arc::new(tables.open(&meta).unwrap());
    assert_eq!(scan(&table, Reading::Scan), RECORDS);
    (tables, table)
}

fn scan(table: &Arc<FileReader>, reading: Reading) -> u64 {
    let mut cursor = table.cursor(reading);
    let mut records = 0;
    cursor.seek_first().unwrap();
    while let Some(entry) = cursor.entry() {
        black_box(entry);
        records += 1;
        cursor.next().unwrap();
    }
    records
}

fn scan_backward(table: &Arc<FileReader>) -> u64 {
    let mut cursor = table.cursor(Reading::Scan);
    let mut records = 0;
    cursor.seek_last().unwrap();
    while let Some(entry) = cursor.entry() {
        black_box(entry);
        records += 1;
        cursor.prev().unwrap();
    }
    records
}

fn reads(c: &mut Criterion) {
    let lz4 = TableOptions::new().compression(Compression::Lz4);
    for (name, options) in [("none", TableOptions::new()), ("lz4", lz4)] {
        let disk = MemFs::new();
        let (tables, table) = full(&disk, options);
        let mut group = c.benchmark_group(format!("read/{name}"));
        group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
        group.throughput(Throughput::Elements(1));
        let get = |table: &FileReader, key: [u8; 16]| {
            table.get(&key, tables.hash(&key), SeqNo::MAX, |found| found.value.len()).unwrap()
        };
        let mut hits = keys(RECORDS, 0);
        group.bench_function("get/hit, of all", |b| b.iter(|| assert!(get(&table, hits()).is_some())));
        let mut hot = keys(1_000, 0);
        group.bench_function("get/hit, of a thousand", |b| b.iter(|| assert!(get(&table, hot()).is_some())));
        let mut misses = keys(RECORDS, 1);
        assert!((0..1 << 16).all(|_| get(&table, misses()).is_none()));
        group.bench_function("get/miss, by the filter", |b| b.iter(|| get(&table, misses())));
        let uncached = FileReader::open(&disk.shared(), &tables.path(TableId(1))).unwrap();
        group.bench_function("get/hit, from the file", |b| {
            b.iter(|| assert!(get(&uncached, hits()).is_some()))
        });

        let mut cursor = table.cursor(Reading::Scan);
        let mut seek = |key: [u8; 16]| {
            cursor.seek(KeyRef::first_of(&key)).unwrap();
            assert!(cursor.entry().is_some_and(|entry| entry.user_key == key));
        };
        group.bench_function("seek/of all", |b| b.iter(|| seek(hits())));
        let mut near = keys(20, 0);
        group.bench_function("seek/within one block", |b| b.iter(|| seek(near())));

        group.sampling_mode(SamplingMode::Flat).sample_size(10);
        group.throughput(Throughput::Elements(RECORDS));
        for (name, scan) in [
            ("scan/forward, cached", &(|| scan(&table, Reading::Scan)) as &dyn Fn() -> u64),
            ("scan/backward, cached", &|| scan_backward(&table)),
            ("scan/rewrite, from the file", &|| scan(&table, Reading::Rewrite)),
        ] {
            group.bench_function(name, |b| b.iter(|| assert_eq!(scan(), RECORDS)));
        }
        group.finish();
    }
}

fn writes(c: &mut Criterion) {
    const RECORDS: u64 = 200_000;
    let mut group = c.benchmark_group("write");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::ElementsAndBytes { elements: RECORDS, bytes: RECORDS * RECORD_BYTES });
    for compression in [Compression::None, Compression::Lz4, Compression::Snappy] {
        group.bench_function(compression.name(), |b| {
            let tables = tables(&MemFs::new(), TableOptions::new().compression(compression));
            let mut id = 0;
            b.iter(|| {
                id += 1;
                assert_eq!(write(&tables, TableId(id), RECORDS).entries, RECORDS);
                tables.remove(TableId(id)).unwrap();
            });
        });
    }
    group.finish();
}

criterion_group!(benches, reads, writes);
criterion_main!(benches);
