//! Statistics against what they count: trees, files and look-ups that are known beforehand.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use lsmkit::parts::{BTree, BlockTables, Leveled, MemFs, SegmentedLog, Tables};
use lsmkit::{
    Compression, Db, Engine, Fault, FilterUsage, KeyspaceOptions, LevelStats, LevelWork, Options, Parts,
    ScanSources, Site, Standard, Stats, TableParts, Work,
};
use lsmkit_base::{SeqNo, TableId, TableMeta};
use lsmkit_sstable::{FileCursor, FileReader, FileWriter, Found, Reading, TablePlace, TableReader};

use common::{DIR, tiny};

/// So small that a few hundred keys make a deep tree.
fn deep() -> Options {
    let leveled = Leveled::default().level0_trigger(2).base_bytes(4 << 10).fan_out(4).table_bytes(4 << 10);
    tiny().leveled(leveled).compression(Compression::None)
}

// ---- work by level

fn levels(stats: &Stats) -> impl Iterator<Item = &LevelStats> {
    stats.keyspaces.iter().flat_map(|keyspace| &keyspace.levels)
}

/// What is told of levels is what is told of the store, and what came into the tree is what left it and
/// what is there.
#[track_caller]
fn check_sums(stats: &Stats) {
    let of = |work: Work| (work.count, work.time, work.read_bytes, work.written_bytes);
    let sum = |work: fn(&LevelWork) -> Work| {
        levels(stats).map(|level| of(work(&level.work))).fold((0, Duration::ZERO, 0, 0), |sum, work| {
            (sum.0 + work.0, sum.1 + work.1, sum.2 + work.2, sum.3 + work.3)
        })
    };
    assert_eq!(sum(|level| level.flushes), of(stats.flushes));
    assert_eq!(sum(|level| level.compactions), of(stats.compactions));
    assert_eq!(levels(stats).map(|level| level.work.moves).sum::<u64>(), stats.moves);
    for level in levels(stats) {
        assert_eq!(level.parts.size_bytes(), level.size_bytes, "{level:?}");
        assert!(level.work.read_own_bytes <= level.work.compactions.read_bytes, "{level:?}");
    }
    for keyspace in &stats.keyspaces {
        assert!(keyspace.levels.iter().skip(1).all(|level| level.work.flushes == Work::default()));
        let (mut came, mut left, mut there) = (0, 0, 0);
        for LevelStats { work, size_bytes, .. } in &keyspace.levels {
            came += work.flushes.written_bytes + work.compactions.written_bytes;
            left += work.compactions.read_bytes;
            there += size_bytes;
        }
        assert_eq!(came, left + there, "{keyspace:?}");
    }
}

#[test]
fn the_work_of_the_levels_is_that_of_the_store() {
    let db = deep().open_in_memory().unwrap();
    let side = db.keyspace("side", KeyspaceOptions::new()).unwrap();
    for n in 0..4000_u32 {
        // In order in one, so that tables are moved; at random in the other, so that they are merged.
        side.put(n.to_be_bytes(), [1; 60]).unwrap();
        db.put((n.wrapping_mul(2_654_435_761) % 700).to_be_bytes(), [n as u8; 60]).unwrap();
        if n % 7 == 0 {
            db.step().unwrap();
            check_sums(&db.stats());
        }
    }
    db.settle().unwrap();
    check_sums(&db.stats());
    db.compact(..).unwrap();
    let stats = db.stats();
    check_sums(&stats);
    assert!(stats.moves > 0 && stats.compactions.count > 0 && stats.flushes.count > 0, "{stats:?}");
    let written = |keyspace: usize| {
        let levels = stats.keyspaces[keyspace].levels.iter();
        levels.filter(|level| level.work.compactions.count + level.work.moves > 0).count()
    };
    assert!(written(0) > 1 && written(1) > 0, "levels to tell apart: {stats:?}");
}

#[test]
fn what_a_compaction_reads_is_told_by_where_it_was() {
    // Two levels: whatever leaves level 0 is merged into level 1.
    let leveled = Leveled::default().levels(2).level0_trigger(2);
    // Flushed by hand alone.
    let db = tiny().memtable_bytes(1 << 20).leveled(leveled).open_in_memory().unwrap();
    let level = |n: usize| db.stats().keyspaces[0].levels[n];
    let fill = |value: u8| {
        for n in 0..10_u8 {
            db.put([n], [value; 20]).unwrap();
        }
        db.flush().unwrap();
    };
    fill(1);
    let first = level(0).size_bytes;
    assert_eq!(level(0).work.flushes.written_bytes, first);
    fill(2);
    let flushed = level(0).size_bytes;
    assert_eq!(level(0).work.flushes.written_bytes, flushed);
    while db.step().unwrap() {}
    let merged = level(1);
    assert_eq!((merged.work.compactions.count, merged.work.compactions.read_bytes), (1, flushed));
    assert_eq!((merged.work.read_own_bytes, merged.work.compactions.written_bytes), (0, merged.size_bytes));
    assert_eq!((level(0).tables, level(0).size_bytes, level(0).parts), (0, 0, TableParts::default()));
    assert_eq!(level(0).work.flushes.count, 2, "an empty level still tells what was done to it");

    fill(3);
    fill(4);
    let above = level(0).size_bytes;
    while db.step().unwrap() {}
    let again = level(1).work;
    assert_eq!((again.compactions.count, again.read_own_bytes), (2, merged.size_bytes));
    assert_eq!(again.compactions.read_bytes, flushed + above + merged.size_bytes);
    assert!(again.compactions.time > Duration::ZERO);
    check_sums(&db.stats());
}

#[test]
fn a_move_is_told_by_the_bytes_it_moved() {
    let leveled = Leveled::default().levels(2).level0_trigger(1);
    let db = tiny().leveled(leveled).open_in_memory().unwrap();
    db.put("k", "v").unwrap();
    db.flush().unwrap();
    let size_bytes = db.stats().keyspaces[0].levels[0].size_bytes;
    while db.step().unwrap() {}
    let level = db.stats().keyspaces[0].levels[1];
    assert_eq!((level.work.moves, level.work.moved_bytes, level.size_bytes), (1, size_bytes, size_bytes));
    assert_eq!((level.work.compactions, db.stats().moves), (Work::default(), 1));
}

#[test]
fn work_outlives_the_whole_tree() {
    let db = tiny().open_in_memory().unwrap();
    db.put("k", "v").unwrap();
    db.flush().unwrap();
    db.compact(..).unwrap();
    db.delete("k").unwrap();
    db.compact(..).unwrap();
    let stats = db.stats();
    assert_eq!(levels(&stats).map(|level| level.tables + level.size_bytes).sum::<u64>(), 0, "{stats:?}");
    assert!(stats.flushes.count == 2 && stats.compactions.count > 0, "{stats:?}");
    check_sums(&stats);

    let fresh = tiny().open_in_memory().unwrap().stats();
    assert!(fresh.keyspaces[0].levels.is_empty(), "{fresh:?}");
}

// ---- disk by part

/// The parts of all table files, read from their footers by the page `docs/formats/table.md`.
fn parts_on_disk(fs: &MemFs) -> TableParts {
    let mut sum = TableParts::default();
    for path in fs.files().into_iter().filter(|path| path.extension().is_some_and(|e| e == "sst")) {
        let file = fs.read(path).unwrap();
        let footer = &file[file.len() - 88..];
        let offset = |at: usize| u64::from_le_bytes(footer[at..at + 8].try_into().unwrap());
        let (index, filter, properties) = (offset(0), offset(16), offset(32));
        sum.data_bytes += filter;
        sum.filter_bytes += index - filter;
        sum.index_bytes += properties - index;
        sum.other_bytes += file.len() as u64 - properties;
    }
    sum
}

fn parts_told(stats: &Stats) -> TableParts {
    let mut sum = TableParts::default();
    levels(stats).for_each(|level| sum += level.parts);
    sum
}

#[test]
fn the_parts_of_the_levels_are_those_of_the_files() {
    let fs = MemFs::new();
    let db = deep().open_with(Standard, fs.shared(), DIR).unwrap();
    for n in 0..1500_u32 {
        db.put((n.wrapping_mul(2_654_435_761) % 700).to_be_bytes(), [n as u8; 60]).unwrap();
    }
    db.flush().unwrap();
    db.settle().unwrap();
    let stats = db.stats();
    let used = levels(&stats).filter(|level| level.tables > 0).count();
    assert!(used > 1 && levels(&stats).any(|level| level.tables > 1), "{stats:?}");
    let told = parts_told(&stats);
    assert_eq!(told, parts_on_disk(&fs));
    let TableParts { data_bytes, index_bytes, filter_bytes, other_bytes } = told;
    // 700 keys of 4 bytes with values of 60; 64 bytes are the smallest filter.
    assert!(data_bytes > 700 * 64 && index_bytes > 0 && filter_bytes >= 64 && other_bytes > 88, "{told:?}");
}

#[test]
fn without_filters_nothing_is_asked_and_nothing_stored() {
    let db = tiny().filter_bits_per_key(0.0).open_in_memory().unwrap();
    db.put("a", "1").unwrap();
    db.put("c", "1").unwrap();
    db.flush().unwrap();
    assert!(db.get("b").unwrap().is_none());
    let stats = db.stats();
    let parts = parts_told(&stats);
    assert!(parts.filter_bytes == 0 && parts.data_bytes > 0, "{parts:?}");
    assert_eq!(stats.filters, FilterUsage::default());
}

// ---- filters

/// A store that flushes when it is asked to.
fn roomy() -> Db {
    tiny().memtable_bytes(1 << 20).log_bytes_max(1 << 20).open_in_memory().unwrap()
}

/// A store with one table of the even numbers below `2 * keys`.
fn even_keys(keys: u32) -> Db {
    let db = roomy();
    for n in 0..keys {
        db.put((n * 2).to_be_bytes(), [0; 8]).unwrap();
    }
    db.flush().unwrap();
    assert_eq!(levels(&db.stats()).map(|level| level.tables).sum::<u64>(), 1);
    db
}

#[test]
fn filters_are_counted_exactly() {
    const KEYS: u64 = 2000;
    let db = even_keys(KEYS as u32);
    assert_eq!(db.stats().filters, FilterUsage::default());
    for n in 0..KEYS as u32 - 1 {
        assert!(db.get((n * 2 + 1).to_be_bytes()).unwrap().is_none());
    }
    let missed = db.stats().filters;
    assert_eq!((missed.asked, missed.denied + missed.false_positives), (KEYS - 1, KEYS - 1));
    // Ten bits a key let through about one in a hundred.
    assert!((0.001..0.03).contains(&missed.false_positive_rate()), "{missed:?}");

    for n in 0..KEYS as u32 {
        assert!(db.get((n * 2).to_be_bytes()).unwrap().is_some());
    }
    let found = db.stats().filters;
    assert_eq!(found, FilterUsage { asked: missed.asked + KEYS, ..missed });

    // Before the first key and after the last there is no need to ask.
    assert!(db.get(u32::MAX.to_be_bytes()).unwrap().is_none() && db.get([]).unwrap().is_none());
    assert_eq!(db.stats().filters, found);
    // What scans, checks and rewrites is not a look-up; and what was counted outlives the table.
    assert_eq!(db.scan(..).count() as u64, KEYS);
    db.verify().unwrap();
    db.compact(..).unwrap();
    let stats = db.stats();
    assert_eq!((stats.filters, stats.keyspaces[0].filters), (found, found));
}

#[test]
fn small_runs_have_more_bits_of_filter_and_large_ones_fewer() {
    let db = roomy();
    for key in 0..50_000_u32 {
        db.put(format!("{key:08}"), "value").unwrap();
    }
    db.compact(..).unwrap();
    for key in 0..2_000_u32 {
        db.put(format!("{:08}", key * 25), "value").unwrap();
    }
    db.flush().unwrap();
    let stats = db.stats();
    let used = levels(&stats).filter(|level| level.entries > 0);
    let bits = |level: &LevelStats| level.parts.filter_bytes as f64 * 8.0 / level.entries as f64;
    let bits: Vec<f64> = used.map(bits).collect();
    let [small, large] = bits[..] else { panic!("two levels, not {bits:?}") };
    assert!(small > 14.0 && (9.0..12.0).contains(&large), "{bits:?}");
}

#[test]
fn a_snapshot_older_than_a_table_makes_no_false_positives() {
    let db = roomy();
    let snapshot = db.snapshot();
    for n in 0..100_u32 {
        db.put(n.to_be_bytes(), "later").unwrap();
    }
    db.flush().unwrap();
    for n in 0..100_u32 {
        assert!(snapshot.get(n.to_be_bytes()).unwrap().is_none());
    }
    let usage = FilterUsage { asked: 100, ..FilterUsage::default() };
    assert_eq!(db.stats().filters, usage);
}

#[test]
fn filters_are_counted_from_many_threads() {
    let db = even_keys(500);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for n in 0..499_u32 {
                    assert!(db.get((n * 2 + 1).to_be_bytes()).unwrap().is_none());
                }
            });
        }
    });
    let usage = db.stats().filters;
    assert_eq!((usage.asked, usage.denied + usage.false_positives), (8 * 499, 8 * 499));
}

// ---- scans

/// Memtables, runs and tables.
fn of(sources: ScanSources) -> (u64, u64, u64) {
    (sources.memtables, sources.runs, sources.tables)
}

/// Two runs of a table each at level 0, `a` to `m` and `h` to `z`, and `p` in memory.
fn two_runs() -> Db {
    let db = tiny().open_in_memory().unwrap();
    for keys in [["a", "m"], ["h", "z"]] {
        keys.iter().for_each(|key| db.put(key, "v").unwrap());
        db.flush().unwrap();
    }
    db.put("p", "v").unwrap();
    db
}

#[test]
fn a_scan_tells_what_it_merges() {
    let db = two_runs();
    let mut scan = db.scan(..);
    assert_eq!(of(scan.sources()), (0, 0, 0), "nothing is read before the first entry is asked for");
    scan.next().unwrap().unwrap();
    assert_eq!(of(scan.sources()), (1, 2, 2));
    assert_eq!(scan.by_ref().count(), 4);
    assert_eq!(of(scan.sources()), (1, 2, 2), "the end does not change what was merged");

    let merged = |mut scan: lsmkit::Scan| {
        scan.by_ref().for_each(|entry| drop(entry.unwrap()));
        of(scan.sources())
    };
    assert_eq!(merged(db.scan("b".."d")), (1, 1, 1), "only the first run reaches there");
    assert_eq!(merged(db.scan("b".."i")), (1, 2, 2));
    assert_eq!(merged(db.scan("zz"..)), (1, 0, 0));
    assert_eq!(merged(db.scan("z".."a")), (0, 0, 0), "a range of nothing is not read");
    db.flush().unwrap();
    assert_eq!(merged(db.scan(..)), (0, 3, 3));
    db.compact(..).unwrap();
    assert_eq!(merged(db.scan(..)), (0, 1, 1));
}

#[test]
fn a_scan_counts_the_tables_of_a_run_as_it_comes_to_them() {
    let db = tiny().open_in_memory().unwrap();
    for n in 0..2000_u32 {
        db.put(n.to_be_bytes(), [1; 60]).unwrap();
    }
    db.compact(..).unwrap();
    let tables = levels(&db.stats()).map(|level| level.tables).sum::<u64>();
    assert!(tables > 8, "{tables}");
    let mut scan = db.scan(..);
    let mut before = 0;
    while let Some(entry) = scan.next() {
        entry.unwrap();
        let opened = scan.sources().tables;
        assert!((before..=before + 1).contains(&opened));
        before = opened;
    }
    assert_eq!(of(scan.sources()), (0, 1, tables));

    let mut from_behind = db.scan(..);
    assert_eq!(from_behind.by_ref().rev().count(), 2000);
    assert_eq!(of(from_behind.sources()), (0, 1, tables));

    let mut from_both = db.scan(..);
    from_both.next().unwrap().unwrap();
    from_both.next_back().unwrap().unwrap();
    assert_eq!(of(from_both.sources()), (0, 1, 2));
}

// ---- parts that tell nothing

/// Tables that have only what a format must have.
struct Terse(BlockTables);
struct TerseReader(Arc<FileReader>);

impl Tables for Terse {
    type Writer = FileWriter;
    type Reader = TerseReader;

    fn hash(&self, user_key: &[u8]) -> u64 {
        self.0.hash(user_key)
    }
    fn create(&self, id: TableId, place: TablePlace) -> Result<FileWriter, Fault> {
        self.0.create(id, place)
    }
    fn sync_names(&self) -> Result<(), Fault> {
        self.0.sync_names()
    }
    fn open(&self, meta: &TableMeta) -> Result<TerseReader, Fault> {
        self.0.open(meta).map(|reader| TerseReader(Arc::new(reader)))
    }
    fn list(&self) -> Result<Vec<TableId>, Fault> {
        self.0.list()
    }
    fn remove(&self, id: TableId) -> Result<(), Fault> {
        self.0.remove(id)
    }
    fn verify(&self, meta: &TableMeta) -> Result<(), Fault> {
        self.0.verify(meta)
    }
}

impl TableReader for TerseReader {
    type Cursor = FileCursor;

    fn get<T>(
        &self,
        user_key: &[u8],
        hash: u64,
        at: SeqNo,
        show: impl FnOnce(Found<'_>) -> T,
    ) -> Result<Option<T>, Fault> {
        self.0.get(user_key, hash, at, show)
    }
    fn cursor(self: &Arc<Self>, reading: Reading) -> FileCursor {
        self.0.cursor(reading)
    }
}

struct OfTerseTables;

impl Parts for OfTerseTables {
    type Log = SegmentedLog;
    type Memtable = BTree;
    type Tables = Terse;
    type Picker = Leveled;

    fn log(&self, site: &Site) -> Result<SegmentedLog, Fault> {
        site.log()
    }
    fn tables(&self, site: &Site, keyspace: &KeyspaceOptions) -> Terse {
        Terse(site.tables(keyspace))
    }
    fn picker(&self, _: &Site, _: &KeyspaceOptions) -> Leveled {
        Leveled::default().level0_trigger(2).base_bytes(8 << 10).table_bytes(4 << 10)
    }
}

#[test]
fn tables_that_tell_nothing_of_themselves_are_told_of_as_a_whole() {
    let db: Engine<OfTerseTables> = tiny().open_with(OfTerseTables, MemFs::new().shared(), DIR).unwrap();
    for n in 0..300_u32 {
        db.put(n.to_be_bytes(), [1; 60]).unwrap();
    }
    db.flush().unwrap();
    db.settle().unwrap();
    assert!(db.get(7_u32.to_be_bytes()).unwrap().is_some());
    let stats = db.stats();
    let size_bytes = levels(&stats).map(|level| level.size_bytes).sum();
    assert_eq!(parts_told(&stats), TableParts { other_bytes: size_bytes, ..TableParts::default() });
    assert_eq!(stats.filters, FilterUsage::default());
    check_sums(&stats);
}
