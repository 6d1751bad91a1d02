//! One file by itself, as somebody without the engine uses it.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;
use std::sync::Arc;

use lsmkit_base::{Buffer, Cursor, Entry, KeyRef, KeyspaceId, SeqNo};
use lsmkit_blockcache::{BlockCache, Clock};
use lsmkit_bloom::{Blocked, FilterPolicy, NoFilter};
use lsmkit_sstable::{
    Compression, FileReader, FileWriter, Reading, TableOptions, TablePlace, TableReader, TableWriter,
};
use lsmkit_vfs::{FaultFs, Fs, MemFs, Operation, Rule, StdFs};

fn key(n: u32) -> Vec<u8> {
    format!("key{n:06}").into_bytes()
}

fn write(fs: &Arc<dyn Fs>, path: &Path, options: &TableOptions, count: u32) -> lsmkit_base::TableMeta {
    let mut writer = FileWriter::create(fs, path, options).unwrap();
    for n in 0..count {
        writer.put(&key(n), &n.to_le_bytes().repeat(5)).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn a_file_on_a_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("numbers.sst");
    let fs = StdFs::shared();
    let meta = write(&fs, &path, &TableOptions::new(), 20_000);
    let table = Arc::new(FileReader::open(&fs, &path).unwrap());
    assert_eq!(*table.meta(), meta);
    assert_eq!(table.properties().filter, "lsmkit.blocked.1");
    assert!(table.size_bytes() > 20_000);
    table.verify().unwrap();
    for n in (0..20_000).step_by(77) {
        assert_eq!(table.value(&key(n)).unwrap().as_deref(), Some(&n.to_le_bytes().repeat(5)[..]));
    }
    assert_eq!(table.value(b"key").unwrap(), None);
    let mut cursor = table.cursor(Reading::Rewrite);
    cursor.seek_last().unwrap();
    assert_eq!(cursor.entry().unwrap().user_key, key(19_999));
    assert!(FileWriter::create(&fs, &path, &TableOptions::new()).is_err());
    assert!(
        FileReader::open(&fs, dir.path().join("none.sst").as_path()).is_err_and(|fault| fault.is_not_found())
    );
}

#[test]
fn tombstones_are_no_values() {
    let fs = MemFs::new().shared();
    let path = Path::new("/t.sst");
    let mut writer =
        FileWriter::create(&fs, path, &TableOptions::new().keyspace(KeyspaceId(4), "people")).unwrap();
    writer.add(Entry::delete(b"k", SeqNo::new(2).unwrap())).unwrap();
    writer.add(Entry::put(b"k", SeqNo::new(1).unwrap(), b"v")).unwrap();
    writer.finish().unwrap();
    let table = FileReader::open(&fs, path).unwrap();
    assert_eq!(table.value(b"k").unwrap(), None);
    assert_eq!(table.properties().keyspace, Some(KeyspaceId(4)));
    assert_eq!((table.meta().entries, table.meta().tombstones), (2, 1));
}

/// Counts reads, to see whether the filter spared them.
fn reads_of_missing_keys(fs: &FaultFs, table: &FileReader) -> usize {
    fs.start_trace();
    for n in 0..1_000 {
        assert_eq!(table.value(&[&key(n)[..], b"x"].concat()).unwrap(), None);
    }
    fs.trace().iter().filter(|(call, _)| call.operation == Operation::Read).count()
}

#[derive(Debug)]
struct Renamed(Blocked);

impl FilterPolicy for Renamed {
    fn name(&self) -> &str {
        "somebody.elses"
    }
    fn build(&self, hashes: &[u64], filter: &mut Vec<u8>) {
        self.0.build(hashes, filter);
    }
    fn may_contain(&self, filter: &[u8], hash: u64) -> bool {
        self.0.may_contain(filter, hash)
    }
}

#[test]
fn a_filter_is_probed_by_its_name() {
    let fs = FaultFs::new(MemFs::new().shared());
    let ours = Path::new("/ours.sst");
    let theirs = Path::new("/theirs.sst");
    let none = Path::new("/none.sst");
    let policy = Arc::new(Renamed(Blocked::bits_per_key(10.0)));
    write(&fs.shared(), ours, &TableOptions::new(), 1_000);
    write(&fs.shared(), theirs, &TableOptions::new().filter(policy.clone()), 1_000);
    write(&fs.shared(), none, &TableOptions::new().filter(Arc::new(NoFilter)), 1_000);
    let open = |path: &Path| FileReader::open(&fs.shared(), path).unwrap();
    assert!(reads_of_missing_keys(&fs, &open(ours)) < 50);
    // The last key's neighbour is beyond the table.
    assert_eq!(reads_of_missing_keys(&fs, &open(theirs)), 999);
    assert!(reads_of_missing_keys(&fs, &open(theirs).with_filter(policy)) < 50);
    assert_eq!(reads_of_missing_keys(&fs, &open(ours).with_filter(Arc::new(NoFilter))), 999);
    assert_eq!(reads_of_missing_keys(&fs, &open(none)), 999);
    for path in [ours, theirs, none] {
        open(path).verify().unwrap();
    }
}

#[test]
fn what_was_read_stays_in_the_cache() {
    let fs = FaultFs::new(MemFs::new().shared());
    let path = Path::new("/t.sst");
    write(&fs.shared(), path, &TableOptions::new(), 5_000);
    let cache: Arc<dyn BlockCache<Buffer>> = Arc::new(Clock::new(8 << 20));
    let table = Arc::new(FileReader::open(&fs.shared(), path).unwrap().with_cache(Arc::clone(&cache)));
    let scan = |reading| {
        fs.start_trace();
        let mut cursor = table.cursor(reading);
        let mut entries = 0;
        cursor.seek_first().unwrap();
        while cursor.entry().is_some() {
            entries += 1;
            cursor.next().unwrap();
        }
        assert_eq!(entries, 5_000);
        fs.trace().len() as u64
    };
    let blocks = table.properties().data_blocks;
    assert_eq!(scan(Reading::Rewrite), 1, "a rewrite reads in large pieces");
    assert_eq!(cache.usage().entries, 0, "and leaves the cache alone");
    // Two blocks, then stretches of 8, 16, 32, 64 and 128 KiB.
    assert_eq!(scan(Reading::Scan), 7, "of {blocks} blocks");
    assert_eq!(scan(Reading::Scan), 0);
    assert_eq!(cache.usage().entries as u64, blocks);
    assert!(cache.usage().used_bytes as u64 > table.meta().size_bytes / 2);
}

#[test]
fn scans_read_ahead_either_way_and_as_far_as_they_have_gone() {
    let fs = FaultFs::new(MemFs::new().shared());
    let path = Path::new("/t.sst");
    write(&fs.shared(), path, &TableOptions::new(), 5_000);
    let table = Arc::new(FileReader::open(&fs.shared(), path).unwrap());
    fs.start_trace();
    let mut cursor = table.cursor(Reading::Scan);
    cursor.seek_last().unwrap();
    let mut entries = 0;
    while cursor.entry().is_some() {
        entries += 1;
        cursor.prev().unwrap();
    }
    assert_eq!((entries, fs.trace().len()), (5_000, 7));
    // Here and there a look at a few entries: one block, or two where they lie in two.
    fs.start_trace();
    let mut cursor = table.cursor(Reading::Scan);
    for n in (0..5_000).step_by(500) {
        cursor.seek(KeyRef::first_of(&key(n))).unwrap();
        (0..3).for_each(|_| cursor.next().unwrap());
    }
    let read_bytes: u64 = fs.trace().iter().map(|(call, _)| call.size_bytes).sum();
    assert!(read_bytes <= 20 * 5_000, "{read_bytes} bytes");
    // To and fro over the edge of two blocks.
    fs.start_trace();
    let mut cursor = table.cursor(Reading::Scan);
    cursor.seek(KeyRef::first_of(&key(0))).unwrap();
    let mut steps = 0;
    while fs.trace().len() < 2 {
        cursor.next().unwrap();
        steps += 1;
    }
    assert!(steps > 10);
    for _ in 0..10 {
        cursor.prev().unwrap();
        cursor.next().unwrap();
    }
    let read_bytes: u64 = fs.trace().iter().map(|(call, _)| call.size_bytes).sum();
    assert!(read_bytes <= 22 * 5_000, "{read_bytes} bytes");
}

/// A file system may read tables while a table is read.
#[test]
fn a_table_is_read_while_a_table_is_read() {
    let fs = FaultFs::new(MemFs::new().shared());
    let beneath = MemFs::new();
    write(&beneath.shared(), Path::new("/other.sst"), &TableOptions::new(), 1_000);
    let other = FileReader::open(&beneath.shared(), Path::new("/other.sst")).unwrap();
    write(&fs.shared(), Path::new("/t.sst"), &TableOptions::new(), 1_000);
    let table = FileReader::open(&fs.shared(), Path::new("/t.sst")).unwrap();
    fs.before_each_call(move |_| assert!(other.value(&key(7)).unwrap().is_some()));
    for n in (0..1_000).step_by(50) {
        assert!(table.value(&key(n)).unwrap().is_some());
    }
}

/// Eight threads that look for keys of the same block at the same moment, block after block.
#[test]
fn a_block_that_many_miss_is_read_once() {
    let fs = FaultFs::new(MemFs::new().shared());
    let path = Path::new("/t.sst");
    write(&fs.shared(), path, &TableOptions::new(), 5_000);
    let table = FileReader::open(&fs.shared(), path).unwrap().with_cache(Arc::new(Clock::new(8 << 20)));
    let all_there = std::sync::Barrier::new(8);
    fs.start_trace();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for n in 0..5_000 {
                    if n % 10 == 0 {
                        all_there.wait();
                    }
                    assert!(table.value(&key(n)).unwrap().is_some());
                }
            });
        }
    });
    assert_eq!(fs.trace().len() as u64, table.properties().data_blocks);
}

#[test]
fn a_codec_left_out_is_refused_by_name() {
    let fs = MemFs::new().shared();
    for compression in [Compression::Snappy, Compression::Lz4, Compression::Zstd { level: 3 }] {
        let path = Path::new("/t.sst");
        let created = FileWriter::create(&fs, path, &TableOptions::new().compression(compression));
        match created {
            Ok(_) => assert!(compression.is_available()),
            Err(fault) => {
                assert!(fault.is_unsupported() && !compression.is_available(), "{fault}");
                assert!(fault.to_string().contains(compression.name()), "{fault}");
            }
        }
    }
}

#[test]
fn levels_have_their_compression() {
    use lsmkit_sstable::{BlockTables, Tables};
    let options = TableOptions::new().compression_by_level(vec![Compression::None, Compression::Lz4]);
    let disk = MemFs::new();
    let tables = BlockTables::new(disk.shared(), "/".into(), options, Arc::new(Clock::new(1 << 20)));
    let names: Vec<String> = (0..4u32)
        .map(|level| {
            let id = lsmkit_base::TableId(u64::from(level));
            let mut writer = tables.create(id, TablePlace::of_level(level)).unwrap();
            writer.put(b"k", b"v").unwrap();
            tables.open(&writer.finish().unwrap()).unwrap().properties().compression.clone()
        })
        .collect();
    assert_eq!(names, ["none", "lz4", "lz4", "lz4"]);
}

#[test]
fn the_first_fault_of_a_writer_is_repeated() {
    let fs = FaultFs::new(MemFs::new().shared());
    let path = Path::new("/t.sst");
    let mut writer = FileWriter::create(&fs.shared(), path, &TableOptions::new()).unwrap();
    fs.add_rule(Rule::nth(1).on(Operation::Write).error(std::io::ErrorKind::StorageFull));
    let value = vec![0; 300_000];
    let faults = (0..4).filter(|n| writer.put(&[*n], &value).is_err()).count();
    assert!(faults >= 2, "{faults}");
    assert!(writer.finish().is_err_and(|fault| fault.is_full_disk()));
    assert!(fs.open(path).is_err());
}

/// The same operations under the same seed give the same bytes.
#[test]
fn writing_is_deterministic() {
    let bytes = |seed| {
        let disk = MemFs::new();
        write(&disk.shared(), Path::new("/t.sst"), &TableOptions::new().uid_seed(seed), 500);
        disk.read("/t.sst").unwrap()
    };
    assert!(bytes(1) == bytes(1));
    assert!(bytes(1) != bytes(2));
}
