//! Blocks of 4 KiB by themselves: searching one, laying them out, taking them in, and the codecs.
//!
//! ```text
//! cargo bench -p lsmkit-sstable --bench block
//! cargo bench -p lsmkit-sstable --bench block --features zstd
//! ```
//!
//! A block is seen through a table alone, so each figure holds a little of the table around it: a search
//! the look into an index of one block; writing the checksums of block and file and the copies on the way to a
//! file, which keeps nothing; reading the block's checksum and a copy out of a file in memory. Of a codec,
//! compare with the line of `none`, which has all of that and no codec.

#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails is a failed benchmark")]

use std::hint::black_box;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use lsmkit_base::{Cursor, KeyRef, TableMeta};
use lsmkit_bloom::NoFilter;
use lsmkit_sstable::{Compression, FileReader, FileWriter, Reading, TableOptions, TableReader, TableWriter};
use lsmkit_vfs::{DirEntry, File, FileLock, Fs, LockKind, MemFs};

const BLOCK_BYTES: usize = 4 << 10;
const CODECS: [Compression; 4] =
    [Compression::None, Compression::Snappy, Compression::Lz4, Compression::Zstd { level: 3 }];

/// Records of a table, each greater than the one before, and how many of them fill a block.
struct Records {
    records: Vec<([u8; 16], Vec<u8>)>,
    in_block: usize,
}

impl Records {
    /// Keys of 16 bytes of which the first eight are those of all keys in the block and the rest are spread out
    /// evenly, so that no block is like another and all are laid out alike; values of 100 bytes.
    fn short(blocks: usize) -> Records {
        const IN_BLOCK: usize = 35;
        let step = u64::MAX / IN_BLOCK as u64;
        let record = |n: usize| {
            let block = (n / IN_BLOCK) as u64;
            let place = (n % IN_BLOCK) as u64 * step + scatter(n as u64) % step;
            (key(block, place), half_noise(100, n as u64))
        };
        Records { records: (0..blocks * IN_BLOCK).map(record).collect(), in_block: IN_BLOCK }
    }

    /// One value to a block, so that there is next to nothing to lay out.
    fn long(blocks: usize) -> Records {
        let record = |n| (key(n as u64, 0), half_noise(BLOCK_BYTES - 64, n as u64));
        Records { records: (0..blocks).map(record).collect(), in_block: 1 }
    }

    fn blocks(&self) -> usize {
        self.records.len() / self.in_block
    }

    /// The bytes of keys and values.
    fn size_bytes(&self) -> u64 {
        self.records.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }
}

fn key(high: u64, low: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&high.to_be_bytes());
    key[8..].copy_from_slice(&low.to_be_bytes());
    key
}

/// Of a hundred bytes 48 of noise and the rest zeros, and so on: compresses to about half.
fn half_noise(len: usize, seed: u64) -> Vec<u8> {
    let byte = |n| if n % 100 < 48 { scatter(seed << 16 | n) as u8 } else { 0 };
    (0..len as u64).map(byte).collect()
}

/// The finaliser of SplitMix64: numbers in no order.
fn scatter(n: u64) -> u64 {
    let z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A table, without a filter.
struct Table {
    fs: Arc<dyn Fs>,
    options: TableOptions,
}

impl Table {
    fn new(fs: Arc<dyn Fs>, compression: Compression) -> Table {
        let options = TableOptions::new().block_bytes(BLOCK_BYTES).compression(compression);
        Table { fs, options: options.filter(Arc::new(NoFilter)) }
    }

    /// In memory and written, with as many blocks as it should have and the right records in them.
    fn written(records: &Records, compression: Compression) -> Table {
        let table = Table::new(MemFs::new().shared(), compression);
        table.write(records);
        let reader = table.open();
        assert_eq!(reader.properties().data_blocks, records.blocks() as u64);
        let mut cursor = reader.cursor(Reading::Rewrite);
        cursor.seek_first().unwrap();
        for (key, value) in &records.records {
            let entry = cursor.entry().unwrap();
            assert_eq!((entry.user_key, entry.value), (&key[..], &value[..]));
            cursor.next().unwrap();
        }
        assert_eq!(cursor.entry(), None);
        table
    }

    fn write(&self, records: &Records) -> TableMeta {
        let mut writer = FileWriter::create(&self.fs, Path::new("/table"), &self.options).unwrap();
        for (key, value) in &records.records {
            writer.put(key, value).unwrap();
        }
        writer.finish().unwrap()
    }

    /// Without a cache.
    fn open(&self) -> Arc<FileReader> {
        Arc::new(FileReader::open(&self.fs, Path::new("/table")).unwrap())
    }
}

/// A binary search within the one block of a table, which the cursor stands in already.
fn seek(c: &mut Criterion) {
    let mut group = c.benchmark_group("block/seek");
    group.throughput(Throughput::Elements(1));
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    let records = Records::short(1);
    let mut cursor = Table::written(&records, Compression::None).open().cursor(Reading::Scan);

    let present: Vec<_> = records.records.iter().map(|(key, _)| *key).collect();
    // After each but the last, so that what is found is the next.
    let absent: Vec<_> = present[..present.len() - 1].iter().map(|key| after(*key)).collect();
    for (name, keys, found) in [("present", &present, &present[..]), ("absent", &absent, &present[1..])] {
        for (sought, found) in keys.iter().zip(found) {
            cursor.seek(KeyRef::first_of(sought)).unwrap();
            assert_eq!(cursor.entry().unwrap().user_key, found);
        }
        // More than a branch predictor learns by heart.
        let sought: Vec<_> = (0..1 << 14).map(|n| keys[scatter(n) as usize % keys.len()]).collect();
        let mut turn = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                turn = (turn + 1) % sought.len();
                cursor.seek(KeyRef::first_of(&sought[turn])).unwrap();
                black_box(cursor.entry());
            });
        });
    }
    group.finish();
}

fn after(key: [u8; 16]) -> [u8; 16] {
    (u128::from_be_bytes(key) + 1).to_be_bytes()
}

/// Encoding collects records and lays them out in blocks; decoding reads the blocks back in large pieces, as a
/// compaction does, checks them, and looks at one record of each. Bytes are those of keys and values.
fn layout(c: &mut Criterion) {
    let records = Records::short(1024);
    encode(c, "block/encode", &records, Compression::None);
    decode(c, "block/decode", &records, Compression::None);
}

/// The same with one value a block, which leaves little but the codec. Bytes are those before compression.
fn codecs(c: &mut Criterion) {
    let records = Records::long(1024);
    for compression in CODECS.into_iter().filter(|codec| codec.is_available()) {
        encode(c, "codec/compress", &records, compression);
    }
    for compression in CODECS.into_iter().filter(|codec| codec.is_available()) {
        decode(c, "codec/decompress", &records, compression);
    }
}

fn encode(c: &mut Criterion, group: &str, records: &Records, compression: Compression) {
    let meta = Table::written(records, compression).open().meta().clone();
    let share = meta.size_bytes as f64 / records.size_bytes() as f64;
    let expected = if compression == Compression::None { 0.9..1.1 } else { 0.4..0.7 };
    assert!(expected.contains(&share), "{}: stored in {share} of the bytes", compression.name());
    let table = Table::new(Arc::new(Nowhere), compression);
    timed(c, group, records, compression, || {
        assert_eq!(table.write(records).size_bytes, meta.size_bytes);
    });
}

fn decode(c: &mut Criterion, group: &str, records: &Records, compression: Compression) {
    let mut cursor = Table::written(records, compression).open().cursor(Reading::Rewrite);
    timed(c, group, records, compression, || {
        for (first, _) in records.records.iter().step_by(records.in_block) {
            cursor.seek(KeyRef::first_of(first)).unwrap();
            assert!(cursor.entry().is_some_and(|entry| entry.user_key == first));
        }
    });
}

fn timed(c: &mut Criterion, group: &str, records: &Records, compression: Compression, mut run: impl FnMut()) {
    let mut group = c.benchmark_group(group);
    group.throughput(Throughput::Bytes(records.size_bytes()));
    group.sampling_mode(SamplingMode::Flat).sample_size(20);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    group.bench_function(compression.name(), |b| b.iter(&mut run));
    group.finish();
}

/// Takes what is written and keeps none of it.
#[derive(Debug)]
struct Nowhere;

impl Fs for Nowhere {
    fn create(&self, _: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(Nowhere))
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn open(&self, _: &Path) -> io::Result<Arc<dyn File>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn open_write(&self, _: &Path) -> io::Result<Arc<dyn File>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<DirEntry>> {
        Ok(Vec::new())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _: &Path, _: LockKind) -> io::Result<Box<dyn FileLock>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl File for Nowhere {
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Ok(0)
    }

    fn write_at(&self, bytes: &[u8], _: u64) -> io::Result<()> {
        black_box(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn size_bytes(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

criterion_group!(benches, seek, layout, codecs);
criterion_main!(benches);
