//! One short test for each bug that was found in this engine, and for each that others have had and told of.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use lsmkit::parts::{FaultFs, Fs, Leveled, MemFs};
use lsmkit::{
    Background, Compression, Db, Durability, Error, KeyspaceOptions, MAX_KEY_BYTES, Options, Scan, Snapshot,
    Standard,
};
use lsmkit_vfs::{Operation, Rule};

const STORE: &str = "/store";

/// So small that a few dozen writes flush and compact, and without threads.
fn tiny() -> Options {
    Options::new()
        .memtable_bytes(16 << 10)
        .cache_bytes(64 << 10)
        .block_bytes(512)
        .leveled(Leveled::default().base_bytes(16 << 10).table_bytes(4 << 10))
        .background(Background::Steps)
        .uid_seed(1)
}

fn open_on(fs: Arc<dyn Fs>, options: Options) -> Result<Db, Error> {
    options.open_with(Standard, fs, STORE)
}

fn open(fs: &MemFs) -> Result<Db, Error> {
    open_on(fs.shared(), tiny())
}

fn get(db: &Db, key: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    db.get(key).unwrap().map(Vec::from)
}

/// The keys of a scan, as text.
fn keys(scan: Scan) -> Vec<String> {
    scan.map(|entry| entry.unwrap().0.escape_ascii().to_string()).collect()
}

fn tables(fs: &MemFs) -> usize {
    fs.files().iter().filter(|path| path.extension().is_some_and(|ending| ending == "sst")).count()
}

fn file(fs: &MemFs, part: &str) -> PathBuf {
    fs.files().into_iter().find(|path| path.to_string_lossy().contains(part)).unwrap()
}

fn tables_in_tree(db: &Db) -> u64 {
    db.stats().keyspaces.iter().flat_map(|keyspace| &keyspace.levels).map(|level| level.tables).sum()
}

/// Fails the test where `act` takes longer than ten seconds.
fn in_time<T: Send + 'static>(what: &str, act: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || done.send(act()));
    is_done.recv_timeout(Duration::from_secs(10)).unwrap_or_else(|_| panic!("{what} takes for ever"))
}

// Found in this engine.

/// After a kill, opening flushed records that no sync had covered. A power failure then took them from
/// the log's end while the table stayed, and what replay still found hid the newer versions in the table.
#[test]
fn older_versions_from_the_log_hid_newer_ones_in_a_table() {
    for seed in 0..40 {
        let fs = MemFs::new();
        let db = open(&fs).unwrap();
        db.sync().unwrap();
        for n in 0..200_u32 {
            db.put("key", n.to_be_bytes()).unwrap();
            db.put(format!("other{n:04}"), [0; 20]).unwrap();
            if db.stats().memtables_frozen > 0 {
                break;
            }
        }
        let killed = fs.kill();
        let db = open(&killed).unwrap();
        assert!(tables_in_tree(&db) > 0, "opening has flushed");
        let db = open(&killed.crash(seed)).unwrap();
        let scanned = db.scan("key"..="key").next().map(|entry| entry.unwrap().1.to_vec());
        assert_eq!(get(&db, "key"), scanned, "seed {seed}");
    }
}

/// Holds a job up when its tables are written and not yet in the manifest, closes the store meanwhile, and
/// tries to open it anew.
fn outlives_close(job: impl FnOnce(Db) -> Result<(), Error> + Send + 'static) {
    let disk = MemFs::new();
    let fs = FaultFs::new(disk.shared());
    let db = open_on(fs.shared(), tiny()).unwrap();
    for value in ["1", "2", "3"] {
        for n in 0..20 {
            db.put(format!("key{n}"), value).unwrap();
        }
        if value != "3" {
            db.flush().unwrap();
        }
    }
    let (paused, is_paused) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let pause = Mutex::new(Some((paused, may_go_on)));
    fs.before_each_call(move |call| {
        if thread::current().name() == Some("job")
            && call.operation == Operation::SyncDir
            && let Some((paused, may_go_on)) = pause.lock().unwrap().take()
        {
            paused.send(()).unwrap();
            may_go_on.recv().unwrap();
        }
    });
    let other = db.clone();
    let job = thread::Builder::new().name("job".to_owned()).spawn(move || job(other)).unwrap();
    is_paused.recv_timeout(Duration::from_secs(10)).unwrap();
    let closer = thread::spawn(move || db.close());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(100) {
        assert!(matches!(open(&disk), Err(Error::Locked(_))), "the job may still write");
        thread::sleep(Duration::from_millis(5));
    }
    go_on.send(()).unwrap();
    let _ = job.join().unwrap();
    closer.join().unwrap().unwrap();
    let db = open(&disk).unwrap();
    assert_eq!(db.scan(..).filter(|entry| entry.as_ref().unwrap().1 == "3").count(), 20);
    db.verify().unwrap();
}

/// A compaction asked for by hand went on after the store was closed, and wrote to a manifest that was
/// another opening's by then.
#[test]
fn a_compaction_outlived_close() {
    outlives_close(|db| db.compact(..));
}

/// The same of a flush, where the caller does the background work.
#[test]
fn a_flush_outlived_close() {
    outlives_close(|db| db.flush());
}

/// Without its marker a store was taken for an empty directory, and its files were swept.
#[test]
fn a_store_that_lost_its_marker_was_made_anew() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    db.put("key", "value").unwrap();
    db.flush().unwrap();
    db.close().unwrap();
    let marker = file(&fs, "CURRENT-");
    let bytes = fs.read(&marker).unwrap();
    fs.remove(&marker).unwrap();
    let left = fs.files();
    assert!(matches!(open(&fs), Err(Error::NotAStore { .. })));
    assert!(left.iter().all(|path| fs.files().contains(path)), "{left:?} {:?}", fs.files());
    fs.write(&marker, &bytes).unwrap();
    assert_eq!(get(&open(&fs).unwrap(), "key").unwrap(), b"value");
}

/// A file gone missing was passed over in silence.
#[test]
fn a_missing_file_went_unnoticed() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    for n in 0..80 {
        db.put(format!("key{n:02}"), "value").unwrap();
        if n == 40 {
            db.flush().unwrap();
        }
    }
    db.close().unwrap();
    for path in fs.files() {
        let damaged = fs.crash_synced_only();
        damaged.remove(&path).unwrap();
        if let Ok(db) = open(&damaged) {
            assert_eq!(db.scan(..).filter(Result::is_ok).count(), 80, "without {}", path.display());
        }
    }
}

/// The log of a store that was closed was cut, and opened as if a power failure had torn it.
#[test]
fn a_cut_log_of_a_closed_store_passed_for_a_torn_one() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    db.put("flushed", "value").unwrap();
    db.flush().unwrap();
    for n in 0..20 {
        db.put(format!("key{n:02}"), "value").unwrap();
    }
    db.close().unwrap();
    let log = file(&fs, ".log");
    let bytes = fs.read(&log).unwrap();
    assert_eq!(open(&fs.kill()).unwrap().scan(..).count(), 21);
    for cut in (0..bytes.len()).step_by(bytes.len() / 300 + 1) {
        let damaged = fs.kill();
        damaged.write(&log, &bytes[..cut]).unwrap();
        if let Ok(db) = open(&damaged) {
            assert_eq!(db.scan(..).filter(Result::is_ok).count(), 21, "cut at {cut} of {}", bytes.len());
        }
    }
}

/// Fills a store with tables that nothing but the scan needs.
fn obsolete_tables(db: &Db) -> Scan {
    for n in 0..100_u8 {
        db.put([n], vec![n; 200]).unwrap();
    }
    db.flush().unwrap();
    db.settle().unwrap();
    let scan = db.scan(..);
    for n in 0..100_u8 {
        db.put([n], vec![!n; 100]).unwrap();
    }
    db.compact(..).unwrap();
    db.settle().unwrap();
    scan
}

/// On a full disk the flush came first and failed, so that what would have made room was never removed.
#[test]
fn a_full_disk_stayed_full_though_something_could_be_removed() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    let scan = obsolete_tables(&db);
    fs.set_capacity_bytes(fs.used_bytes() + (12 << 10));
    let mut kept = 0_u32;
    while db.put(format!("more{kept:06}"), kept.to_be_bytes().repeat(25)).is_ok() {
        kept += 1;
    }
    assert!(matches!(db.flush(), Err(Error::Full(_))));
    drop(scan);
    db.flush().unwrap();
    db.put("room", "again").unwrap();
    assert_eq!(db.scan_prefix("more").count(), kept as usize);
}

/// What a scan had kept alive stayed on disk until the next flush or compaction.
#[test]
fn a_dropped_scan_did_not_give_its_room_back() {
    let fs = MemFs::new();
    let db = open_on(fs.shared(), tiny().background(Background::Threads)).unwrap();
    let scan = obsolete_tables(&db);
    let needed = tables_in_tree(&db) as usize;
    assert!(tables(&fs) > needed);
    // So that no thread is on its way to look anyway.
    thread::sleep(Duration::from_millis(100));
    drop(scan);
    let begun = Instant::now();
    while tables(&fs) > needed {
        assert!(begun.elapsed() < Duration::from_secs(10), "{} tables, {needed} needed", tables(&fs));
        thread::sleep(Duration::from_millis(5));
    }
}

/// A write that raced with close was acknowledged and lost.
#[test]
fn a_write_racing_close_was_lost() {
    for round in 0..30 {
        let durability = if round % 2 == 0 { Durability::None } else { Durability::Buffered };
        let options = || tiny().background(Background::Threads).memtable_bytes(1 << 20);
        let fs = MemFs::new();
        let db = open_on(fs.shared(), options()).unwrap();
        let write = |thread: u32| {
            let db = db.clone();
            move || {
                for n in 0_u32.. {
                    match db.put_with(format!("{thread}-{n}"), "value", durability) {
                        Ok(()) => {}
                        Err(Error::Closed) => return (thread, n),
                        Err(other) => panic!("{other}"),
                    }
                }
                unreachable!("the store is closed before")
            }
        };
        let writers = [0, 1].map(|n| thread::spawn(write(n)));
        thread::sleep(Duration::from_millis(1));
        db.close().unwrap();
        let acknowledged = writers.map(|writer| writer.join().unwrap());
        let db = open_on(fs.shared(), options()).unwrap();
        for (thread, count) in acknowledged {
            let lost = (0..count).find(|n| get(&db, format!("{thread}-{n}")).is_none());
            assert_eq!(lost, None, "of {count} writes of thread {thread}, {durability:?}");
        }
    }
}

// Told of by others.

/// fjall#241: replay brought a dropped keyspace back.
#[test]
fn a_dropped_keyspace_came_back_by_replay() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    let side = db.keyspace("side", KeyspaceOptions::new()).unwrap();
    side.put("old", "1").unwrap();
    db.put("key", "1").unwrap();
    db.sync().unwrap();
    db.drop_keyspace("side").unwrap();
    for fs in [fs.kill(), fs.crash_synced_only()] {
        for _ in 0..2 {
            let db = open(&fs).unwrap();
            assert_eq!(db.keyspaces(), ["default"]);
            assert_eq!(keys(db.scan(..)), ["key"]);
        }
        let db = open(&fs).unwrap();
        let side = db.keyspace("side", KeyspaceOptions::new()).unwrap();
        side.put("new", "2").unwrap();
        let db = open(&fs.kill()).unwrap();
        assert_eq!(keys(db.keyspace("side", KeyspaceOptions::new()).unwrap().scan(..)), ["new"]);
    }
}

/// fjall and lsm-tree: after recovery, numbers began too low, and a new write did not hide an old one.
#[test]
fn sequence_numbers_began_again_after_recovery() {
    // How each round ends: flushed or not, closed, killed or without power.
    for ending in 0..6_u32 {
        let mut fs = MemFs::new();
        for round in 0..4_u32 {
            let db = open(&fs).unwrap();
            let side = db.keyspace("side", KeyspaceOptions::new()).unwrap();
            if round > 0 {
                assert_eq!(get(&db, "key").unwrap(), (round - 1).to_be_bytes(), "ending {ending}");
            }
            db.put_with("key", round.to_be_bytes(), Durability::Synced).unwrap();
            assert_eq!(get(&db, "key").unwrap(), round.to_be_bytes(), "ending {ending}");
            if ending % 2 == 0 {
                db.flush().unwrap();
                assert_eq!(get(&db, "key").unwrap(), round.to_be_bytes(), "ending {ending}");
            }
            // The greatest number is another keyspace's.
            side.put("key", "").unwrap();
            drop(side);
            match ending / 2 {
                0 => db.close().unwrap(),
                1 => fs = fs.kill(),
                _ => fs = fs.crash_synced_only(),
            }
        }
    }
}

/// fjall: memtables that were full when the process ended were never flushed after recovery.
#[test]
fn full_memtables_were_not_queued_after_recovery() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    let mut written = 0_u32;
    while db.stats().memtables_frozen < 2 {
        db.put(written.to_be_bytes(), [7; 100]).unwrap();
        written += 1;
    }
    for background in [Background::Steps, Background::Threads] {
        let db = open_on(fs.kill().shared(), tiny().background(background)).unwrap();
        in_time("settling", {
            let db = db.clone();
            move || db.settle().unwrap()
        });
        let stats = db.stats();
        assert_eq!(stats.memtables_frozen, 0);
        assert!(stats.memtable_bytes < 3 * (16 << 10), "{}", stats.memtable_bytes);
        assert_eq!(db.scan(..).count(), written as usize);
    }
}

/// fjall#288: one write to a keyspace that then lay idle kept the log from ever shrinking.
#[test]
fn an_idle_keyspace_pinned_the_log() {
    let fs = MemFs::new();
    let mut db = open_on(fs.shared(), tiny().log_bytes_max(64 << 10)).unwrap();
    let idle = db.keyspace("idle", KeyspaceOptions::new()).unwrap();
    idle.put("key", "value").unwrap();
    drop(idle);
    for round in 0..10_u32 {
        for n in 0..500_u32 {
            db.put(n.to_be_bytes(), [round as u8; 100]).unwrap();
        }
        db.settle().unwrap();
        assert!(db.stats().log_bytes <= 128 << 10, "round {round}: {}", db.stats().log_bytes);
        if round == 5 {
            db.close().unwrap();
            db = open_on(fs.shared(), tiny().log_bytes_max(64 << 10)).unwrap();
        }
    }
    let idle = db.keyspace("idle", KeyspaceOptions::new()).unwrap();
    assert_eq!(idle.get("key").unwrap().unwrap(), b"value");
    let segments = fs.files().iter().filter(|path| path.to_string_lossy().ends_with(".log")).count();
    assert!(segments < 20, "{segments} segments");
}

/// leveldb#320, #339, #887: versions of one key came to stand in two tables of a level, and a compaction of
/// one of them let the older resurface. lsm-tree: reordered runs gave old versions.
#[test]
fn an_older_version_of_a_key_split_across_tables_resurfaced() {
    let db = tiny().open_in_memory().unwrap();
    let mut snapshots: Vec<(u8, Snapshot)> = Vec::new();
    for n in 0..60_u8 {
        // Kept by the snapshots, they are larger than a table in all.
        db.put("key", vec![n; 300]).unwrap();
        db.put(format!("j{n}"), vec![n; 50]).unwrap();
        db.put(format!("l{n}"), vec![n; 50]).unwrap();
        snapshots.push((n, db.snapshot()));
        if n % 7 == 6 {
            db.flush().unwrap();
            db.step().unwrap();
        }
    }
    let check = |snapshots: &[(u8, Snapshot)]| {
        assert_eq!(get(&db, "key").unwrap(), [59; 300]);
        for (n, snapshot) in snapshots {
            assert_eq!(snapshot.get("key").unwrap().unwrap(), [*n; 300]);
            assert_eq!(snapshot.scan("key"..="key").next_back().unwrap().unwrap().1, [*n; 300]);
        }
    };
    db.compact(..).unwrap();
    check(&snapshots);
    // The older ones may go now, piece by piece.
    let mut all = snapshots.into_iter();
    let left: Vec<_> = all.by_ref().step_by(3).collect();
    for range in [("j", "k"), ("key", "key"), ("l", "m")] {
        db.put(range.0.to_owned() + "0", "").unwrap();
        db.compact(range.0..=range.1).unwrap();
        check(&left);
    }
    drop(left);
    db.compact("key"..="key").unwrap();
    check(&[]);
    db.settle().unwrap();
    check(&[]);
}

/// RocksDB 5.8: a tombstone was dropped while an older version lived deeper. leveldb 178: a compaction by
/// hand revived what was deleted.
#[test]
fn a_tombstone_was_dropped_above_what_it_hides() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    for n in 0..200_u8 {
        db.put([n], [1; 100]).unwrap();
    }
    db.compact(..).unwrap();
    for n in (0..200_u8).step_by(2) {
        db.delete([n]).unwrap();
        if n % 20 == 0 {
            db.flush().unwrap();
            db.step().unwrap();
        }
    }
    let check = |db: &Db| {
        for n in 0..200_u8 {
            assert_eq!(get(db, [n]).is_some(), n % 2 == 1, "{n}");
        }
        assert_eq!((db.scan(..).count(), db.scan(..).rev().count()), (100, 100));
    };
    check(&db);
    for from in (0..200_u8).step_by(40) {
        db.compact([from]..=[from + 10]).unwrap();
        check(&db);
    }
    db.settle().unwrap();
    check(&db);
    db.compact(..).unwrap();
    check(&db);
    assert_eq!(db.verify().unwrap().entries, 100, "nothing is kept that nobody sees");
    db.close().unwrap();
    check(&open(&fs).unwrap());
}

/// RocksDB 7.1: a snapshot taken while a flush was under way saw what had been deleted.
#[test]
fn a_snapshot_racing_a_flush_revived_deletes() {
    let disk = MemFs::new();
    let fs = FaultFs::new(disk.shared());
    let db = open_on(fs.shared(), tiny()).unwrap();
    db.put("deleted", "1").unwrap();
    db.put("kept", "1").unwrap();
    let before = db.snapshot();
    db.flush().unwrap();
    db.delete("deleted").unwrap();
    db.put("kept", "2").unwrap();
    // One at each file call of the flush and of the compaction.
    let taken: Arc<Mutex<Vec<Snapshot>>> = Arc::default();
    let hooked = Mutex::new(Some(db.clone()));
    let is_within = AtomicBool::new(false);
    let is_over = Arc::new(AtomicBool::new(false));
    fs.before_each_call({
        let (taken, is_over) = (Arc::clone(&taken), Arc::clone(&is_over));
        move |_| {
            if is_within.swap(true, Ordering::Relaxed) {
                return;
            }
            let mut hooked = hooked.lock().unwrap();
            if is_over.load(Ordering::Relaxed) {
                // The handle keeps the store open.
                *hooked = None;
            }
            if let Some(db) = &*hooked {
                let snapshot = db.snapshot();
                check_deleted(&snapshot);
                taken.lock().unwrap().push(snapshot);
            }
            is_within.store(false, Ordering::Relaxed);
        }
    });
    db.flush().unwrap();
    db.compact(..).unwrap();
    is_over.store(true, Ordering::Relaxed);
    let snapshots = std::mem::take(&mut *taken.lock().unwrap());
    assert!(snapshots.len() > 10);
    snapshots.iter().for_each(check_deleted);
    assert_eq!(before.get("deleted").unwrap().unwrap(), b"1");
    drop((before, snapshots));
    db.compact(..).unwrap();
    check_deleted(&db.snapshot());
}

fn check_deleted(snapshot: &Snapshot) {
    assert!(snapshot.get("deleted").unwrap().is_none());
    assert_eq!(snapshot.get("kept").unwrap().unwrap(), b"2");
    assert_eq!(keys(snapshot.scan(..)), ["kept"]);
}

/// RocksDB 9.10: a snapshot of an empty store was taken for none.
#[test]
fn a_snapshot_of_an_empty_store_was_none() {
    let db = tiny().open_in_memory().unwrap();
    let snapshot = db.snapshot();
    db.put("key", "1").unwrap();
    db.delete("gone").unwrap();
    db.compact(..).unwrap();
    assert!(snapshot.get("key").unwrap().is_none());
    assert_eq!(snapshot.scan(..).count(), 0);
}

/// leveldb 200, RocksDB 6.20: turning round at the edge of a block or a partition skipped or repeated entries.
#[test]
fn turning_round_at_an_edge_skipped_entries() {
    let db = tiny().compression(Compression::None).open_in_memory().unwrap();
    for n in 0..150_u8 {
        db.put([n], [n; 90]).unwrap();
    }
    db.compact(..).unwrap();
    for n in (0..150_u8).step_by(9) {
        db.put([n], [n; 90]).unwrap();
    }
    assert!(tables_in_tree(&db) > 2);
    for turn in 0..=150 {
        let mut scan = db.scan(..);
        let mut seen: Vec<u8> = scan.by_ref().take(turn).map(|entry| entry.unwrap().0[0]).collect();
        let mut back: Vec<u8> = scan.by_ref().rev().map(|entry| entry.unwrap().0[0]).collect();
        assert!(scan.next().is_none());
        back.reverse();
        seen.extend(back);
        assert!(seen.iter().copied().eq(0..150), "turned at {turn}: {seen:?}");
        let (middle, turn) = (db.scan([turn as u8]..), turn as u8);
        assert!(middle.map(|entry| entry.unwrap().0[0]).eq(turn..150));
        assert!(db.scan(..[turn]).rev().map(|entry| entry.unwrap().0[0]).eq((0..turn).rev()));
    }
}

/// lsm-tree#211: a prefix was compared wrongly with keys shorter than it. All short keys, in memory and in tables.
#[test]
fn prefixes_were_compared_wrongly_with_short_keys() {
    let alphabet = [0x00, 0x61, 0xff];
    let mut all: Vec<Vec<u8>> = vec![vec![]];
    for len in 0..3 {
        let longer: Vec<_> = all.iter().filter(|key| key.len() == len).cloned().collect();
        all.extend(longer.iter().flat_map(|key| alphabet.map(|byte| [&key[..], &[byte]].concat())));
    }
    let db = tiny().open_in_memory().unwrap();
    // Every second one is there.
    let there: BTreeMap<_, _> = all.iter().step_by(2).map(|key| (key.clone(), ())).collect();
    there.keys().for_each(|key| db.put(key, key).unwrap());
    for _ in 0..2 {
        for key in &all {
            assert_eq!(get(&db, key), there.get(key).map(|()| key.clone()));
            let expected = there.keys().filter(|k| k.starts_with(key)).cloned();
            assert!(db.scan_prefix(key).map(|entry| entry.unwrap().0.to_vec()).eq(expected), "{key:?}");
        }
        db.compact(..).unwrap();
    }
}

/// lsm-tree: filters of no key and of one key. A lone tombstone, and a lone key.
#[test]
fn filters_of_few_keys_failed() {
    for bits in [0.0, 1.0, 10.0, 32.0] {
        let db = tiny().filter_bits_per_key(bits).open_in_memory().unwrap();
        db.delete("gone").unwrap();
        db.flush().unwrap();
        assert_eq!((get(&db, "gone"), get(&db, "other")), (None, None));
        db.compact(..).unwrap();
        assert_eq!(tables_in_tree(&db), 0, "nothing is left to hide");
        db.put("", "value").unwrap();
        db.flush().unwrap();
        assert_eq!((get(&db, "").unwrap(), get(&db, "other")), (b"value".to_vec(), None));
        db.verify().unwrap();
    }
}

/// lsm-tree: keys and values at the edges of what sixteen bits hold were cut.
#[test]
fn lengths_beside_64_kib_were_cut() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    let sizes = [0, 1, (64 << 10) - 1, 64 << 10, (64 << 10) + 1];
    for size in sizes {
        db.put(format!("value of {size}"), vec![7; size]).unwrap();
        match db.put(vec![b'k'; size], "key") {
            Ok(()) => assert!(size <= MAX_KEY_BYTES),
            Err(Error::KeyTooLong { size_bytes }) => assert!(size_bytes == size && size > MAX_KEY_BYTES),
            Err(other) => panic!("{other}"),
        }
    }
    let from_log = open(&fs.kill()).unwrap();
    db.compact(..).unwrap();
    for db in [db, from_log] {
        for size in sizes {
            assert_eq!(get(&db, format!("value of {size}")).unwrap(), vec![7; size]);
            assert_eq!(get(&db, vec![b'k'; size]).is_some(), size <= MAX_KEY_BYTES, "{size}");
        }
        assert_eq!(db.scan(..).map(Result::unwrap).count(), 2 * sizes.len() - 1);
    }
}

/// rocksdb#782: a live table was deleted under an iterator.
#[test]
fn a_table_was_deleted_under_a_scan() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    let mut scan = obsolete_tables(&db);
    assert_eq!(scan.next().unwrap().unwrap().1, [0; 200]);
    while db.step().unwrap() {}
    drop(db);
    for n in 1..100_u8 {
        assert_eq!(scan.next().unwrap().unwrap().1, [n; 200]);
    }
    assert!(scan.next().is_none());
}

/// rocksdb#782: a second opener, there to read only, swept the tables of the first.
#[test]
fn a_reader_removed_what_a_writer_needed() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    db.put("key", "value").unwrap();
    db.flush().unwrap();
    let files = fs.files();
    let read_only = || tiny().open_read_only_with(Standard, fs.shared(), STORE);
    assert!(matches!(read_only(), Err(Error::Locked(_))));
    assert_eq!(fs.files(), files);
    db.close().unwrap();
    // What nothing names stays as well.
    fs.write(Path::new(STORE).join("000900.sst"), b"left").unwrap();
    let files = fs.files();
    let reader = read_only().unwrap();
    assert_eq!(get(&reader, "key").unwrap(), b"value");
    drop(reader);
    assert_eq!(fs.files(), files);
}

/// rocksdb#10257: writers were stopped though there was no compaction that could have let them go on.
#[test]
fn writes_waited_for_a_compaction_that_never_came() {
    for background in [Background::Threads, Background::Steps] {
        // Stopped at two runs, while compaction begins at a hundred.
        let leveled = Leveled::default().level0_trigger(100).runs_limits(1, 2);
        let options = tiny().leveled(leveled).memtables_max(1).background(background);
        let db = options.open_in_memory().unwrap();
        in_time("writing", move || {
            for n in 0..1000_u32 {
                db.put(n.to_be_bytes(), [0; 200]).unwrap();
            }
            assert_eq!(db.scan(..).count(), 1000);
        });
    }
}

/// RocksDB: whoever waited for a flush that failed waited for ever.
#[test]
fn a_failed_flush_left_a_waiter_stuck() {
    const EIO: i32 = 5;
    for operation in [Operation::Create, Operation::Write, Operation::Sync, Operation::SyncDir] {
        for background in [Background::Threads, Background::Steps] {
            let disk = MemFs::new();
            let fs = FaultFs::new(disk.shared());
            let db = open_on(fs.shared(), tiny().memtables_max(1).background(background)).unwrap();
            db.put("key", "value").unwrap();
            db.sync().unwrap();
            let path = if operation == Operation::SyncDir { STORE } else { ".sst" };
            fs.add_rule(Rule::nth(1).on(operation).path_contains(path).from_then_on().os_error(EIO));
            let (failed, closed) = in_time("a flush that fails", move || {
                let failed = db.flush();
                while db.put("more", [0; 1000]).is_ok() {}
                (failed, db.close())
            });
            assert!(failed.is_err() && closed.is_err(), "{operation:?} {failed:?} {closed:?}");
            assert_eq!(get(&open(&disk.kill()).unwrap(), "key").unwrap(), b"value");
        }
    }
}

/// sled#1527: temporary files left over from a crash were in the way of opening.
#[test]
fn leftover_files_blocked_opening() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    db.put("key", "value").unwrap();
    db.flush().unwrap();
    db.put("log", "value").unwrap();
    let fs = fs.kill();
    let leftovers =
        ["000900.sst", "000901.sst.tmp", "CURRENT-000900.tmp", "MANIFEST-000900", "000000.log.torn", "notes"];
    for name in leftovers {
        fs.write(Path::new(STORE).join(name), b"left over").unwrap();
    }
    for _ in 0..2 {
        let db = open(&fs).unwrap();
        assert_eq!(keys(db.scan(..)), ["key", "log"]);
        assert!(!fs.files().contains(&Path::new(STORE).join("000900.sst")), "it is swept");
        assert!(fs.files().contains(&Path::new(STORE).join("notes")), "what is not the store's stays");
        db.put("more", "value").unwrap();
        db.flush().unwrap();
        assert!(!fs.files().contains(&Path::new(STORE).join("000900.sst")), "no number is used again");
        db.delete("more").unwrap();
        db.close().unwrap();
    }
}
