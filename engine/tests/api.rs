//! What the documentation of the public interface promises, one test a promise.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;
use std::fs;
use std::ops::Bound;
use std::path::Path;
use std::time::SystemTime;

use lsmkit::parts::{Leveled, MemFs};
use lsmkit::{
    Background, Db, Durability, Error, KeyspaceOptions, MAX_KEY_BYTES, MAX_VALUE_BYTES, Options, Remedy,
    Scan, Standard, WriteBatch,
};

const STORE: &str = "/store";

fn memory() -> Db {
    steps().open_in_memory().unwrap()
}

fn steps() -> Options {
    Options::new().block_bytes(512).background(Background::Steps)
}

fn open(fs: &MemFs) -> Result<Db, Error> {
    steps().open_with(Standard, fs.shared(), STORE)
}

fn get(db: &Db, key: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    db.get(key).unwrap().map(Vec::from)
}

fn bytes(value: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    Some(value.as_ref().to_vec())
}

/// The keys of a scan, as text.
fn keys(scan: impl Iterator<Item = Result<(lsmkit::Value, lsmkit::Value), Error>>) -> Vec<String> {
    scan.map(|entry| entry.unwrap().0.escape_ascii().to_string()).collect()
}

/// A scan that gives one error and ends.
fn refusal(mut scan: Scan) -> Error {
    let error = scan.next().unwrap().unwrap_err();
    assert!(scan.next().is_none() && scan.next_back().is_none(), "an error ends a scan");
    error
}

// Opening.

#[test]
fn a_store_is_created_where_there_is_none_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/down/store");
    let db = Db::open(&path).unwrap();
    db.put("key", "value").unwrap();
    db.close().unwrap();
    let db = Options::new().create_if_missing(false).open(&path).unwrap();
    assert_eq!(get(&db, "key"), bytes("value"));
}

#[test]
fn what_is_not_to_be_created_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    for path in [&missing, dir.path()] {
        let error = Options::new().create_if_missing(false).open(path).unwrap_err();
        assert!(matches!(&error, Error::NoStore(at) if at == path), "{error}");
        let error = Options::new().open_read_only(path).unwrap_err();
        assert!(matches!(&error, Error::NoStore(at) if at == path), "{error}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_directory_of_other_files_is_no_place_for_a_store() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("letter.txt"), "dear").unwrap();
    let error = Db::open(dir.path()).unwrap_err();
    assert!(matches!(&error, Error::NotAStore { file, .. } if file == "letter.txt"), "{error}");
    assert_eq!(error.remedy(), Remedy::FixCall);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(fs::read(dir.path().join("letter.txt")).unwrap(), b"dear");
}

#[test]
fn a_store_is_opened_once() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let error = Db::open(dir.path()).unwrap_err();
    assert!(matches!(&error, Error::Locked(at) if at == dir.path()), "{error}");
    assert_eq!(error.remedy(), Remedy::Retry);
    db.put("key", "still works").unwrap();
    drop(db);
    assert_eq!(get(&Db::open(dir.path()).unwrap(), "key"), bytes("still works"));
}

#[test]
fn stores_in_memory_are_apart() {
    let (one, other) = (memory(), memory());
    one.put("key", "value").unwrap();
    assert_eq!(get(&one, "key"), bytes("value"));
    assert_eq!(get(&other, "key"), None);
}

#[cfg(unix)]
#[test]
fn files_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let db = Db::open(&path).unwrap();
    db.put("key", "value").unwrap();
    db.flush().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    let mut files = 0;
    for entry in fs::read_dir(&path).unwrap() {
        let file = entry.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
        files += 1;
    }
    assert!(files >= 4, "lock, marker, manifest and table at least");
}

#[cfg(unix)]
#[test]
fn a_table_that_is_a_symbolic_link_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let db = Db::open(&path).unwrap();
    db.put("key", "value").unwrap();
    db.flush().unwrap();
    db.close().unwrap();
    let table = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "sst"));
    let (table, elsewhere) = (table.unwrap(), dir.path().join("elsewhere"));
    fs::rename(&table, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &table).unwrap();
    let error = Db::open(&path).unwrap_err();
    assert!(matches!(error, Error::Io(_)), "{error}");
    fs::rename(&elsewhere, &table).unwrap();
    assert_eq!(get(&Db::open(&path).unwrap(), "key"), bytes("value"));
}

// Reading only.

/// Every file of a directory: name, bytes, time of the last change.
fn fingerprint(dir: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let files = fs::read_dir(dir).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, (fs::read(entry.path()).unwrap(), entry.metadata().unwrap().modified().unwrap()))
    });
    files.collect()
}

/// A store as a killed process leaves it, with a table, a log and a second keyspace.
fn killed_store(dir: &Path) {
    let original = tempfile::tempdir().unwrap();
    let db = steps().open(original.path()).unwrap();
    let side = db.keyspace("side", KeyspaceOptions::new()).unwrap();
    side.put("key", "side").unwrap();
    db.put("table", "1").unwrap();
    db.flush().unwrap();
    db.put("log", "2").unwrap();
    for entry in fs::read_dir(original.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.join(entry.file_name())).unwrap();
    }
}

#[test]
fn reading_only_changes_nothing_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    killed_store(dir.path());
    let before = fingerprint(dir.path());
    let modified = fs::metadata(dir.path()).unwrap().modified().unwrap();
    let db = Options::new().open_read_only(dir.path()).unwrap();
    assert_eq!(keys(db.scan(..)), ["log", "table"]);
    assert_eq!(db.keyspaces(), ["default", "side"]);
    let side = db.keyspace("side", KeyspaceOptions::new()).unwrap();
    assert_eq!(side.get("key").unwrap().unwrap(), b"side");
    assert_eq!(db.snapshot().get("log").unwrap().unwrap(), b"2");
    assert_eq!(db.verify().unwrap().tables, 2);
    db.settle().unwrap();
    assert!(!db.step().unwrap());
    drop(side);
    db.close().unwrap();
    assert!(fingerprint(dir.path()) == before, "the files have changed");
    assert_eq!(fs::metadata(dir.path()).unwrap().modified().unwrap(), modified);
}

#[test]
fn reading_only_refuses_every_change() {
    let dir = tempfile::tempdir().unwrap();
    killed_store(dir.path());
    let db = Options::new().open_read_only(dir.path()).unwrap();
    let side = db.keyspace("side", KeyspaceOptions::new()).unwrap();
    let mut batch = WriteBatch::new();
    batch.put("key", "value").delete_in(&side, "key");
    for refused in [
        db.put("key", "value"),
        db.delete("table"),
        db.put_with("key", "value", Durability::None),
        side.put("key", "value"),
        db.write(batch),
        db.flush(),
        db.compact(..),
        db.keyspace("new", KeyspaceOptions::new()).map(drop),
        db.drop_keyspace("side").map(drop),
    ] {
        assert!(matches!(refused, Err(Error::OpenedReadOnly)), "{refused:?}");
    }
    assert_eq!(keys(db.scan(..)), ["log", "table"]);
}

#[test]
fn readers_share_a_store_and_a_writer_shares_with_nobody() {
    let dir = tempfile::tempdir().unwrap();
    killed_store(dir.path());
    let readers = [0, 1].map(|_| Options::new().open_read_only(dir.path()).unwrap());
    assert!(matches!(Db::open(dir.path()), Err(Error::Locked(_))));
    drop(readers);
    let writer = Db::open(dir.path()).unwrap();
    assert!(matches!(Options::new().open_read_only(dir.path()), Err(Error::Locked(_))));
    drop(writer);
    // A store that was copied without its lock has no writer.
    fs::remove_file(dir.path().join("LOCK")).unwrap();
    let reader = Options::new().open_read_only(dir.path()).unwrap();
    assert_eq!(keys(reader.scan(..)), ["log", "table"]);
    assert!(!dir.path().join("LOCK").exists());
}

// Closing.

#[test]
fn every_handle_of_a_closed_store_says_so() {
    let db = memory();
    db.put("key", "value").unwrap();
    db.flush().unwrap();
    let (other, side) = (db.clone(), db.keyspace("side", KeyspaceOptions::new()).unwrap());
    let snapshot = db.snapshot();
    db.close().unwrap();
    let refused = [
        other.get("key").map(drop),
        other.put("key", "value"),
        other.delete("key"),
        other.write(WriteBatch::new()),
        other.sync(),
        other.flush(),
        other.compact(..),
        other.settle(),
        other.step().map(drop),
        other.verify().map(drop),
        other.keyspace("side", KeyspaceOptions::new()).map(drop),
        other.drop_keyspace("side").map(drop),
        side.get("key").map(drop),
        side.put("key", "value"),
        side.flush(),
        snapshot.get("key").map(drop),
        snapshot.get_in(&side, "key").map(drop),
    ];
    for (nth, refused) in refused.iter().enumerate() {
        assert!(matches!(refused, Err(Error::Closed)), "{nth}: {refused:?}");
    }
    for scan in [other.scan(..), other.scan_prefix("k"), side.scan(..), snapshot.scan(..)] {
        assert!(matches!(refusal(scan), Error::Closed));
    }
    for mut cursor in [other.cursor(), side.cursor(), snapshot.cursor(), snapshot.cursor_in(&side)] {
        assert!(matches!(cursor.seek_first(), Err(Error::Closed)));
        assert!(matches!(cursor.next(), Err(Error::Closed)));
    }
    other.close().unwrap();
}

#[test]
fn the_last_handle_closes_the_store_whatever_it_is() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    db.put_with("key", "value", Durability::None).unwrap();
    let side = db.keyspace("side", KeyspaceOptions::new()).unwrap();
    let snapshot = side.clone();
    drop(db);
    assert!(matches!(open(&fs), Err(Error::Locked(_))));
    drop(side);
    assert!(matches!(open(&fs), Err(Error::Locked(_))));
    drop(snapshot);
    let db = open(&fs).unwrap();
    assert_eq!(get(&db, "key"), bytes("value"));
    let snapshot = db.snapshot();
    drop(db);
    assert!(matches!(open(&fs), Err(Error::Locked(_))));
    assert_eq!(snapshot.get("key").unwrap().unwrap(), b"value");
    drop(snapshot);
    open(&fs).unwrap();
}

#[test]
fn what_was_read_outlives_the_store() {
    let db = memory();
    let long = vec![7; 5000];
    db.put("long", &long).unwrap();
    db.put("short", "s").unwrap();
    let from_memory = db.get("long").unwrap().unwrap();
    db.flush().unwrap();
    let (from_table, short) = (db.get("long").unwrap().unwrap(), db.get("short").unwrap().unwrap());
    let mut scan = db.scan(..);
    db.close().unwrap();
    assert_eq!((&from_memory, &from_table), (&from_table, &from_memory));
    assert_eq!(from_memory, long);
    assert_eq!(short, b"s");
    assert!(from_table.pinned_bytes() >= 5000 && short.pinned_bytes() == 0);
    assert_eq!(scan.next().unwrap().unwrap().1, long);
}

// Durability.

#[test]
fn each_write_survives_what_it_was_asked_to() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    db.put_with("synced", "", Durability::Synced).unwrap();
    db.put_with("buffered", "", Durability::Buffered).unwrap();
    db.put_with("none", "", Durability::None).unwrap();
    assert_eq!(keys(open(&fs.crash_synced_only()).unwrap().scan(..)), ["synced"]);
    assert_eq!(keys(open(&fs.kill()).unwrap().scan(..)), ["buffered", "synced"]);
    db.sync().unwrap();
    assert_eq!(keys(open(&fs.crash_synced_only()).unwrap().scan(..)), ["buffered", "synced"]);
    db.close().unwrap();
    let all = ["buffered", "none", "synced"];
    assert_eq!(keys(open(&fs.crash_synced_only()).unwrap().scan(..)), all);
    assert_eq!(keys(open(&fs).unwrap().scan(..)), all);
}

#[test]
fn a_flush_makes_everything_durable() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    db.put_with("none", "", Durability::None).unwrap();
    db.put("buffered", "").unwrap();
    db.flush().unwrap();
    assert_eq!(keys(open(&fs.crash_synced_only()).unwrap().scan(..)), ["buffered", "none"]);
}

// Keys and values.

#[test]
fn keys_and_values_may_be_empty() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    db.put("", "").unwrap();
    db.put("a", "").unwrap();
    for _ in 0..2 {
        assert_eq!(get(&db, ""), bytes(""));
        assert_eq!(keys(db.scan(..)), ["", "a"]);
        assert_eq!(keys(db.scan_prefix("").rev()), ["a", ""]);
        assert_eq!(keys(db.scan(..="")), [""]);
        db.flush().unwrap();
    }
    db.put("", "full").unwrap();
    db.close().unwrap();
    let db = open(&fs).unwrap();
    assert_eq!(get(&db, ""), bytes("full"));
    db.delete("").unwrap();
    db.compact(..).unwrap();
    assert_eq!(keys(db.scan(..)), ["a"]);
}

#[test]
fn the_longest_key_is_kept_and_a_longer_one_refused() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    let (longest, too_long) = (vec![b'k'; MAX_KEY_BYTES], vec![b'k'; MAX_KEY_BYTES + 1]);
    assert_eq!(MAX_KEY_BYTES, 64 << 10);
    db.put(&longest, "value").unwrap();
    for refused in [db.put(&too_long, ""), db.delete(&too_long)] {
        assert!(matches!(refused, Err(Error::KeyTooLong { size_bytes }) if size_bytes == too_long.len()));
    }
    assert_eq!(get(&db, &too_long), None);
    for db in [open(&fs.kill()).unwrap(), db] {
        db.flush().unwrap();
        db.verify().unwrap();
        assert_eq!(get(&db, &longest), bytes("value"));
        assert_eq!(get(&db, &too_long), None);
        assert_eq!(db.scan(longest.clone()..).count(), 1);
        assert_eq!(db.scan(too_long.clone()..).count(), 0);
    }
}

#[test]
fn a_large_value_is_kept() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    let large: Vec<u8> = (0..32_u32 << 18).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    assert_eq!(large.len(), 32 << 20);
    db.put("large", &large).unwrap();
    assert!(db.get("large").unwrap().unwrap() == large);
    let db = {
        drop(db);
        open(&fs).unwrap()
    };
    assert!(db.get("large").unwrap().unwrap() == large, "from the log");
    db.flush().unwrap();
    assert!(db.get("large").unwrap().unwrap() == large, "from a table");
}

#[test]
fn a_value_that_is_too_long_is_refused() {
    let db = memory();
    // Zeros that nobody touches take no memory.
    let too_long = vec![0; MAX_VALUE_BYTES + 1];
    let refused = db.put("key", &too_long);
    assert!(matches!(refused, Err(Error::ValueTooLong { size_bytes }) if size_bytes == too_long.len()));
    assert_eq!(get(&db, "key"), None);
}

// Batches.

#[test]
fn later_writes_of_a_batch_win() {
    let db = memory();
    let mut batch = WriteBatch::with_capacity(100);
    batch.put("a", "1").put("a", "2").put("b", "1").delete("b").delete("c").put("c", "1");
    assert_eq!((batch.len(), batch.is_empty()), (6, false));
    db.write(batch).unwrap();
    for _ in 0..2 {
        assert_eq!((get(&db, "a"), get(&db, "b"), get(&db, "c")), (bytes("2"), None, bytes("1")));
        db.flush().unwrap();
    }
}

#[test]
fn a_batch_is_cleared_and_used_again() {
    let (db, other) = (memory(), memory());
    let elsewhere = other.keyspace("elsewhere", KeyspaceOptions::new()).unwrap();
    let mut batch = WriteBatch::new();
    let empty_bytes = batch.size_bytes();
    batch.put("gone", "1").put_in(&elsewhere, "gone", "1").put(vec![0; MAX_KEY_BYTES + 1], "");
    batch.clear();
    assert_eq!((batch.len(), batch.is_empty(), batch.size_bytes()), (0, true, empty_bytes));
    db.write(batch.clone()).unwrap();
    batch.put("kept", "2");
    assert!(batch.size_bytes() > empty_bytes);
    db.write(batch).unwrap();
    assert_eq!(keys(db.scan(..)), ["kept"]);
}

#[test]
fn a_batch_over_keyspaces_is_all_there_or_not_at_all() {
    let disk = MemFs::new();
    let db = open(&disk).unwrap();
    let side = db.keyspace("side", KeyspaceOptions::new()).unwrap();
    for n in 0..20_u8 {
        let mut batch = WriteBatch::new();
        batch.put([n], [n]).put_in(&side, [n], vec![n; 300]);
        if n > 0 {
            batch.delete([n - 1]).delete_in(&side, [n - 1]);
        }
        db.write(batch).unwrap();
    }
    for seed in 0..20 {
        let db = open(&disk.crash(seed)).unwrap();
        let side = db.keyspace("side", KeyspaceOptions::new()).unwrap();
        let here = keys(db.scan(..));
        assert!(here.len() <= 1);
        assert_eq!(here, keys(side.scan(..)), "seed {seed}");
    }
}

#[test]
fn a_keyspace_of_another_store_is_refused() {
    let (db, other) = (memory(), memory());
    let own = db.keyspace("own", KeyspaceOptions::new()).unwrap();
    let foreign = other.keyspace("foreign", KeyspaceOptions::new()).unwrap();
    let mut batches = [WriteBatch::new(), WriteBatch::new(), WriteBatch::new()];
    batches[0].put("key", "1").put_in(&foreign, "key", "1");
    batches[1].put_in(&own, "key", "1").put_in(&foreign, "key", "1");
    batches[2].delete_in(&foreign, "key").put_in(&own, "key", "1");
    for batch in batches {
        let refused = db.write(batch);
        assert!(matches!(refused, Err(Error::NoKeyspace(_))), "{refused:?}");
    }
    let snapshot = db.snapshot();
    assert!(matches!(snapshot.get_in(&foreign, "key"), Err(Error::NoKeyspace(_))));
    assert!(matches!(refusal(snapshot.scan_in(&foreign, ..)), Error::NoKeyspace(_)));
    assert!(matches!(snapshot.cursor_in(&foreign).seek("key"), Err(Error::NoKeyspace(_))));
    assert_eq!((db.scan(..).count(), own.scan(..).count(), foreign.scan(..).count()), (0, 0, 0));
}

#[test]
fn a_write_that_does_not_fit_is_reported_when_the_batch_is_written() {
    let db = memory();
    let mut batch = WriteBatch::new();
    batch.put("before", "1").delete(vec![0; MAX_KEY_BYTES + 1]).put("after", "1");
    let refused = db.write(batch);
    assert!(matches!(refused, Err(Error::KeyTooLong { size_bytes }) if size_bytes == MAX_KEY_BYTES + 1));
    assert_eq!(db.scan(..).count(), 0, "none of its writes has happened");
}

// Scans.

/// `a` to `e`, some of them in a table, some in memory; `b` and `d` have versions in both, and `cc` is deleted.
fn a_to_e() -> Db {
    let db = memory();
    for key in ["a", "b", "cc", "d"] {
        db.put(key, "old").unwrap();
    }
    db.flush().unwrap();
    for key in ["b", "c", "d", "e"] {
        db.put(key, "new").unwrap();
    }
    db.delete("cc").unwrap();
    db
}

#[test]
fn every_kind_of_range_holds_what_it_says() {
    use Bound::{Excluded, Included, Unbounded};
    let db = a_to_e();
    for _ in 0..2 {
        let scans: [(&str, &dyn Fn() -> Scan); 15] = [
            ("abcde", &|| db.scan(..)),
            ("bc", &|| db.scan("b".."d")),
            ("bcd", &|| db.scan("b"..="d")),
            ("cde", &|| db.scan("c"..)),
            ("ab", &|| db.scan(.."c")),
            ("abc", &|| db.scan(..="c")),
            ("cd", &|| db.scan((Excluded("b"), Included("d")))),
            ("c", &|| db.scan((Excluded("b"), Excluded("d")))),
            ("de", &|| db.scan((Excluded("cc"), Unbounded))),
            ("abcde", &|| db.scan((Unbounded::<&[u8]>, Unbounded))),
            ("d", &|| db.scan(b"ca".to_vec()..vec![b'd', 0])),
            ("", &|| db.scan("d".."b")),
            ("", &|| db.scan("d".."d")),
            ("", &|| db.scan((Excluded("c"), Excluded("c")))),
            ("c", &|| db.scan(b"c"..=b"c")),
        ];
        for (expected, scan) in scans {
            let mut expected: Vec<_> = expected.chars().map(String::from).collect();
            assert_eq!(keys(scan()), expected);
            expected.reverse();
            assert_eq!(keys(scan().rev()), expected);
        }
        db.compact(..).unwrap();
    }
}

#[test]
fn both_ends_meet_and_give_each_entry_once() {
    let db = a_to_e();
    for _ in 0..2 {
        for taken in 0_u32..1 << 6 {
            let mut scan = db.scan(..);
            let (mut front, mut back) = (Vec::new(), Vec::new());
            for turn in 0..6 {
                if taken >> turn & 1 == 0 {
                    front.extend(keys(scan.next().into_iter()));
                } else {
                    back.extend(keys(scan.next_back().into_iter()));
                }
            }
            assert!(scan.next().is_none() && scan.next_back().is_none());
            back.reverse();
            front.extend(back);
            assert_eq!(front, ["a", "b", "c", "d", "e"], "{taken:06b}");
        }
        db.compact(..).unwrap();
    }
}

/// Many more tables than files that may be open: all are read, and no more files of tables are open than were allowed.
#[cfg(target_os = "linux")]
#[test]
fn few_files_are_open_however_many_tables_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let leveled = Leveled::default().base_bytes(16 << 10).table_bytes(4 << 10);
    let options = || {
        let options = Options::new().memtable_bytes(64 << 10).block_bytes(512).cache_bytes(0);
        options.leveled(leveled.clone()).background(Background::Steps).open_files_max(5)
    };
    let open_tables = || {
        let files = std::fs::read_dir("/proc/self/fd").unwrap();
        let paths = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        paths.filter(|path| path.starts_with(dir.path()) && path.extension() == Some("sst".as_ref())).count()
    };
    let key = |n: u32| format!("{:06}", n * 7 % 5_000);
    let key_at = |n: usize| format!("{n:06}").into_bytes();
    let db = options().open(dir.path()).unwrap();
    (0..5_000).for_each(|n| db.put(key(n), [n as u8; 100]).unwrap());
    db.flush().unwrap();
    db.settle().unwrap();
    let tables: u64 = db.stats().keyspaces[0].levels.iter().map(|level| level.tables).sum();
    assert!(tables > 30, "{tables} tables");
    db.close().unwrap();
    let db = options().open(dir.path()).unwrap();
    for n in 0..5_000 {
        assert_eq!(db.get(key(n)).unwrap().unwrap(), [n as u8; 100]);
    }
    assert_eq!(db.scan(..).count(), 5_000);
    assert!((1..=5).contains(&open_tables()), "{} files of {tables} tables are open", open_tables());
    // Tables that a scan holds are read to its end, though they are replaced meanwhile.
    let scan = db.scan(..);
    (0..5_000).for_each(|n| db.put(key(n), "new").unwrap());
    db.flush().unwrap();
    db.compact(..).unwrap();
    let scanned: Vec<_> = scan.map(|entry| entry.unwrap()).collect();
    assert_eq!(scanned.len(), 5_000);
    assert!(scanned.iter().enumerate().all(|(n, (key, value))| **key == *key_at(n) && value.len() == 100));
}

/// Of six tables, each with the keys of some users, a scan of one user's keys looks into that with his, and one of nobody's
/// into none; whether index and filter are in memory or in parts.
#[test]
fn scans_of_a_prefix_look_only_into_tables_that_have_it() {
    for pinned_bytes_max in [usize::MAX, 0] {
        let options = Options::new().block_bytes(512).background(Background::Steps);
        let db = options.filter_prefix_bytes(5).pinned_bytes_max(pinned_bytes_max).open_in_memory().unwrap();
        for table in 0..6 {
            for user in (0..1200).step_by(2).skip(table).step_by(6) {
                db.put(format!("u{user:04}/name"), "value").unwrap();
                db.put(format!("u{user:04}/place"), "value").unwrap();
            }
            db.flush().unwrap();
        }
        let read = |scan: &dyn Fn()| {
            let before = db.stats().cache;
            scan();
            let after = db.stats().cache;
            after.hits + after.misses - before.hits - before.misses
        };
        // What is in parts is read once.
        (0..1200).step_by(2).for_each(|user| assert_eq!(db.scan_prefix(format!("u{user:04}")).count(), 2));
        let of_filters = if pinned_bytes_max == 0 { 6 * 10 * 2 } else { 0 };
        let of = |users: std::ops::Range<u32>, count: usize| -> u64 {
            let scan = |user| assert_eq!(db.scan_prefix(format!("u{user:04}/")).count(), count);
            users.step_by(2).map(|user| read(&|| scan(user))).sum()
        };
        let of_some = of(0..20, 2);
        assert!((10..40 + of_filters).contains(&of_some), "{of_some} blocks for ten users");
        let of_nobody = of(101..121, 0);
        assert!(of_nobody <= of_filters / 2 + 3, "{of_nobody} blocks for nobody");
        // A range of many users looks into all.
        assert_eq!(db.scan("u0100".."u0200").count(), 100);
        // And so does a prefix that is shorter than those in the filters.
        assert_eq!(db.scan_prefix("u01").count(), 100);
    }
}

#[test]
fn prefixes_of_the_greatest_byte_have_no_end() {
    prefixes_of_the_greatest_byte(memory());
    let with_filters = Options::new().block_bytes(512).background(Background::Steps).filter_prefix_bytes(2);
    prefixes_of_the_greatest_byte(with_filters.open_in_memory().unwrap());
}

fn prefixes_of_the_greatest_byte(db: Db) {
    let all: [&[u8]; 7] = [b"a", b"a\xff", b"a\xff\xff", b"b", b"\xfe\xff", b"\xff", b"\xff\xff\x00"];
    for key in all {
        db.put(key, "").unwrap();
    }
    for _ in 0..2 {
        for prefix in [&b""[..], b"a", b"a\xff", b"a\xff\xff", b"\xfe", b"\xff", b"\xff\xff", b"\xff\xff\xff"]
        {
            let expected: Vec<_> = all.iter().filter(|key| key.starts_with(prefix)).collect();
            let scanned: Vec<_> = db.scan_prefix(prefix).map(|entry| entry.unwrap().0).collect();
            assert_eq!(
                scanned.iter().map(|key| &key[..]).collect::<Vec<_>>(),
                expected.iter().map(|k| **k).collect::<Vec<_>>()
            );
            assert_eq!(db.scan_prefix(prefix).rev().count(), expected.len());
            assert_eq!(db.snapshot().scan_prefix(prefix).count(), expected.len());
        }
        db.flush().unwrap();
    }
}

#[test]
fn a_scan_shows_the_moment_it_began() {
    let db = a_to_e();
    let scan = db.scan(..);
    db.put("aa", "late").unwrap();
    db.delete("d").unwrap();
    db.compact(..).unwrap();
    db.settle().unwrap();
    assert_eq!(keys(scan), ["a", "b", "c", "d", "e"]);
    assert_eq!(keys(db.scan(..)), ["a", "aa", "b", "c", "e"]);
}

// Snapshots.

#[test]
fn a_snapshot_shows_all_keyspaces_as_they_were() {
    let db = memory();
    let side = db.keyspace("side", KeyspaceOptions::new()).unwrap();
    db.put("key", "1").unwrap();
    side.put("key", "one").unwrap();
    let snapshot = db.snapshot();
    assert_eq!(db.stats().snapshots, 1);
    db.put("key", "2").unwrap();
    db.put("new", "2").unwrap();
    side.delete("key").unwrap();
    db.flush().unwrap();
    db.compact(..).unwrap();
    side.compact(..).unwrap();
    let clone = snapshot.clone();
    drop(snapshot);
    assert_eq!(clone.get("key").unwrap().unwrap(), b"1");
    assert_eq!(clone.get("new").unwrap(), None::<lsmkit::Value>);
    assert_eq!(clone.get_in(&side, "key").unwrap().unwrap(), b"one");
    assert_eq!(keys(clone.scan(..)), ["key"]);
    assert_eq!(keys(clone.scan_prefix("n")), Vec::<String>::new());
    assert_eq!(keys(clone.scan_in(&side, ..)), ["key"]);
    drop(clone);
    assert_eq!(db.stats().snapshots, 0);
    assert_eq!((get(&db, "key"), side.scan(..).count()), (bytes("2"), 0));
}

#[test]
fn a_snapshot_of_an_empty_store_stays_empty() {
    let db = memory();
    let snapshot = db.snapshot();
    let later = db.keyspace("later", KeyspaceOptions::new()).unwrap();
    for value in ["1", "2"] {
        db.put("key", value).unwrap();
        later.put("key", value).unwrap();
        db.flush().unwrap();
    }
    db.compact(..).unwrap();
    assert!(snapshot.get("key").unwrap().is_none());
    assert!(snapshot.get_in(&later, "key").unwrap().is_none());
    assert_eq!(snapshot.scan(..).count() + snapshot.scan_in(&later, ..).count(), 0);
    assert_eq!(get(&db, "key"), bytes("2"));
}

// Keyspaces.

#[test]
fn keyspaces_are_apart_and_there_when_the_store_is_opened_again() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    assert_eq!(db.keyspaces(), ["default"]);
    let side = db.keyspace("side", KeyspaceOptions::new().block_bytes(1024)).unwrap();
    assert_eq!(side.name(), "side");
    db.put("key", "default").unwrap();
    side.put("key", "side").unwrap();
    let same = db.keyspace("side", KeyspaceOptions::new()).unwrap();
    assert_eq!(same.get("key").unwrap().unwrap(), b"side");
    let default = db.keyspace("default", KeyspaceOptions::new()).unwrap();
    assert_eq!(default.get("key").unwrap().unwrap(), b"default");
    // Made durably, though nothing was synced.
    for fs in [fs.kill(), fs.crash_synced_only()] {
        assert_eq!(open(&fs).unwrap().keyspaces(), ["default", "side"]);
    }
    drop((side, same, default));
    db.close().unwrap();
    let db = open(&fs).unwrap();
    let side = db.keyspace("side", KeyspaceOptions::new()).unwrap();
    assert_eq!(side.get("key").unwrap().unwrap(), b"side");
    side.delete("key").unwrap();
    assert_eq!(get(&db, "key"), bytes("default"));
}

#[test]
fn a_dropped_keyspace_is_gone_and_its_handles_say_so() {
    let db = memory();
    let side = db.keyspace("side", KeyspaceOptions::new()).unwrap();
    side.put("key", "1").unwrap();
    side.flush().unwrap();
    let (snapshot, scan) = (db.snapshot(), side.scan(..));
    let mut batch = WriteBatch::new();
    batch.put("key", "default").put_in(&side, "key", "2");
    assert!(db.drop_keyspace("side").unwrap());
    assert!(!db.drop_keyspace("side").unwrap());
    assert_eq!(db.keyspaces(), ["default"]);
    for refused in [
        side.get("key").map(drop),
        side.put("key", "2"),
        side.delete("key"),
        side.flush(),
        side.compact(..),
        db.write(batch),
        snapshot.get_in(&side, "key").map(drop),
    ] {
        assert!(matches!(&refused, Err(Error::NoKeyspace(name)) if name == "side"), "{refused:?}");
    }
    for scan in [side.scan(..), side.scan_prefix("k"), snapshot.scan_in(&side, ..)] {
        assert!(matches!(refusal(scan), Error::NoKeyspace(_)));
    }
    assert_eq!(get(&db, "key"), None, "no write of the batch has happened");
    assert_eq!(keys(scan), ["key"], "a scan goes on");
}

#[test]
fn a_keyspace_made_again_under_the_same_name_is_empty() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    let first = db.keyspace("side", KeyspaceOptions::new()).unwrap();
    first.put("table", "1").unwrap();
    first.flush().unwrap();
    first.put("log", "1").unwrap();
    db.drop_keyspace("side").unwrap();
    let second = db.keyspace("side", KeyspaceOptions::new()).unwrap();
    assert_eq!(second.scan(..).count(), 0);
    second.put("new", "2").unwrap();
    assert!(matches!(first.get("new"), Err(Error::NoKeyspace(_))));
    assert_eq!(keys(second.scan(..)), ["new"]);
    for fs in [fs.kill(), fs.crash_synced_only()] {
        let db = open(&fs).unwrap();
        let side = db.keyspace("side", KeyspaceOptions::new()).unwrap();
        assert!(side.get("table").unwrap().is_none() && side.get("log").unwrap().is_none());
    }
}

#[test]
fn a_keyspace_that_is_dropped_gives_its_room_back() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    let used = fs.used_bytes();
    let side = db.keyspace("side", KeyspaceOptions::new()).unwrap();
    for n in 0..100_u8 {
        side.put([n], vec![n; 5000]).unwrap();
    }
    side.flush().unwrap();
    let tables = || fs.files().iter().filter(|path| path.extension().is_some_and(|e| e == "sst")).count();
    assert!(tables() > 0);
    let scan = side.scan(..);
    db.drop_keyspace("side").unwrap();
    db.settle().unwrap();
    assert!(tables() > 0, "a scan reads it");
    drop(scan);
    db.settle().unwrap();
    assert_eq!(tables(), 0);
    assert!(fs.used_bytes() <= used + (64 << 10), "{} after {used}", fs.used_bytes());
}

#[test]
fn the_default_keyspace_stays() {
    let db = memory();
    db.put("key", "value").unwrap();
    let refused = db.drop_keyspace("default");
    assert!(matches!(&refused, Err(Error::KeyspaceName { name, .. }) if name == "default"), "{refused:?}");
    assert_eq!(get(&db, "key"), bytes("value"));
}

#[test]
fn a_name_has_between_1_and_255_bytes() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    let (longest, odd) = ("é".repeat(127) + "n", "../odd name\n");
    for name in ["", &(longest.clone() + "n")] {
        let refused = db.keyspace(name, KeyspaceOptions::new());
        assert!(matches!(&refused, Err(Error::KeyspaceName { name: n, .. }) if n == name), "{refused:?}");
    }
    for name in [&longest, odd] {
        db.keyspace(name, KeyspaceOptions::new()).unwrap().put("key", name).unwrap();
    }
    db.close().unwrap();
    let db = open(&fs).unwrap();
    assert_eq!(db.keyspaces(), ["default", &longest, odd]);
    for name in [&longest, odd] {
        assert_eq!(db.keyspace(name, KeyspaceOptions::new()).unwrap().get("key").unwrap().unwrap(), name);
    }
}

// Work and what is told of it.

#[test]
fn settled_means_that_no_step_is_left() {
    for background in [Background::Steps, Background::Threads] {
        let db = steps().memtable_bytes(16 << 10).background(background).open_in_memory().unwrap();
        for n in 0..2000_u32 {
            db.put((n % 500).to_be_bytes(), [n as u8; 100]).unwrap();
        }
        db.settle().unwrap();
        let stats = db.stats();
        assert_eq!(stats.memtables_frozen, 0);
        assert!(stats.flushes.count > 0 && stats.compactions.count > 0, "{stats:?}");
        assert!(!db.step().unwrap(), "nothing is left to do");
        assert_eq!(db.scan(..).count(), 500);
    }
}

#[test]
fn step_by_step_nothing_is_done_unasked() {
    let db = steps().memtable_bytes(4 << 10).memtables_max(50).open_in_memory().unwrap();
    for n in 0..100_u32 {
        db.put(n.to_be_bytes(), [0; 100]).unwrap();
    }
    let stats = db.stats();
    assert!(stats.memtables_frozen > 1 && stats.flushes.count == 0);
    assert!(db.step().unwrap());
    let after = db.stats();
    assert_eq!((after.flushes.count, after.memtables_frozen), (1, stats.memtables_frozen - 1));
    while db.step().unwrap() {}
    assert_eq!(db.stats().memtables_frozen, 0);
}

#[test]
fn stats_and_verify_tell_what_is_there() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    db.keyspace("side", KeyspaceOptions::new()).unwrap();
    assert_eq!((db.stats().writes, db.verify().unwrap()), (0, lsmkit::Verified::default()));
    let mut batch = WriteBatch::new();
    batch.put("a", "1").put("b", "1").delete("c");
    let batch_bytes = batch.size_bytes() as u64;
    db.write(batch).unwrap();
    let stats = db.stats();
    assert_eq!((stats.writes, stats.commit_groups, stats.log_written_bytes), (3, 1, batch_bytes));
    assert!(stats.log_bytes >= batch_bytes && stats.memtable_bytes > 0 && stats.fault.is_none());
    db.flush().unwrap();
    let (stats, verified) = (db.stats(), db.verify().unwrap());
    let names: Vec<_> = stats.keyspaces.iter().map(|keyspace| &keyspace.name[..]).collect();
    assert_eq!(names, ["default", "side"]);
    let level = stats.keyspaces[0].levels[0];
    assert_eq!((level.runs, level.tables, level.entries, level.tombstones), (1, 1, 3, 1));
    assert_eq!((verified.tables, verified.entries, verified.size_bytes), (1, 3, level.size_bytes));
    assert_eq!((stats.flushes.count, stats.flushes.written_bytes), (1, level.size_bytes));
    let on_disk = fs.files().into_iter().find(|path| path.extension().is_some_and(|e| e == "sst")).unwrap();
    assert_eq!(fs.read(on_disk).unwrap().len() as u64, level.size_bytes);
    db.compact(..).unwrap();
    assert_eq!(db.verify().unwrap().entries, 2, "nothing lives below the tombstone");
}

#[test]
fn verify_finds_a_flipped_bit() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    for n in 0..100_u8 {
        db.put([n], [n; 50]).unwrap();
    }
    db.flush().unwrap();
    let table = fs.files().into_iter().find(|path| path.extension().is_some_and(|e| e == "sst")).unwrap();
    fs.flip_bit(&table, 1000).unwrap();
    let error = db.verify().unwrap_err();
    assert!(matches!(&error, Error::Corrupt(fault) if fault.path() == table), "{error}");
    assert_eq!(error.remedy(), Remedy::Repair);
}

// ---- settings out of range, and calls on closed stores

#[test]
fn settings_out_of_range_are_held_to_their_range() {
    let db = Options::new().block_bytes(0).filter_bits_per_key(1e9).open_in_memory().unwrap();
    let side = db.keyspace("side", KeyspaceOptions::new().block_bytes(usize::MAX)).unwrap();
    side.put("k", "v").unwrap();
    db.put("k", "v").unwrap();
    db.flush().unwrap();
    assert_eq!(side.get("k").unwrap().unwrap(), b"v");
    assert_eq!(db.get("k").unwrap().unwrap(), b"v");
}

#[test]
fn a_closed_store_without_tables_is_closed_to_verify_too() {
    let db = Options::new().open_in_memory().unwrap();
    let other = db.clone();
    db.close().unwrap();
    assert!(matches!(other.verify(), Err(Error::Closed)));
    assert!(matches!(other.settle(), Err(Error::Closed)));
}

#[test]
fn a_batch_over_two_stores_names_the_keyspace_that_is_not_there() {
    let (db, other) = (Options::new().open_in_memory().unwrap(), Options::new().open_in_memory().unwrap());
    let own = db.keyspace("own", KeyspaceOptions::new()).unwrap();
    let foreign = other.keyspace("foreign", KeyspaceOptions::new()).unwrap();
    let mut batch = WriteBatch::new();
    batch.put_in(&foreign, "k", "").put_in(&own, "k", "");
    assert!(matches!(db.write(batch.clone()), Err(Error::NoKeyspace(name)) if name == "foreign"));
    assert!(matches!(other.write(batch), Err(Error::NoKeyspace(name)) if name == "own"));
}

/// What was deleted is compacted away though no more is written; not before the last snapshot that shows it is gone.
#[test]
fn what_was_deleted_gives_its_space_back() {
    let db = memory();
    let key = |n: u32| format!("{n:06}");
    for n in 0..4_000 {
        db.put(key(n), [7; 100]).unwrap();
    }
    db.compact(..).unwrap();
    db.settle().unwrap();
    let bytes = |db: &Db| db.stats().keyspaces[0].levels.iter().map(|level| level.size_bytes).sum::<u64>();
    let full = bytes(&db);
    let snapshot = db.snapshot();
    for n in 0..3_000 {
        db.delete(key(n)).unwrap();
    }
    db.flush().unwrap();
    db.settle().unwrap();
    assert!(bytes(&db) >= full, "a snapshot shows it");
    assert_eq!(snapshot.scan(..).count(), 4_000);
    drop(snapshot);
    db.settle().unwrap();
    let stats = db.stats();
    let left = |of: fn(&lsmkit::LevelStats) -> u64| stats.keyspaces[0].levels.iter().map(of).sum::<u64>();
    assert_eq!((left(|level| level.tombstones), left(|level| level.entries)), (0, 1_000));
    assert!(bytes(&db) < full / 3, "{} of {full} bytes are left", bytes(&db));
    assert_eq!(db.scan(..).count(), 1_000);
}
