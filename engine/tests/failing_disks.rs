//! Bugs that others have had where a disk failed or was full, or power went, and told of: one short test for each.
//!
//! Those of other kinds are in `regressions.rs`; `faults.rs` fails every call there is.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::path::PathBuf;
use std::sync::{Arc, Barrier};
use std::thread;

use common::{DIR, all, faulty, tiny};
use lsmkit::parts::MemFs;
use lsmkit::{Background, Db, Durability, Error, KeyspaceOptions, Options, Standard};
use lsmkit_base::coding;
use lsmkit_sstable::testkit::Forge;
use lsmkit_vfs::{Fs, Operation, Rule};
use lsmkit_wal::testkit::forge::{frame, frame_header, segment_header};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// A memtable that is full only when it is told to be.
fn roomy() -> Options {
    tiny().memtable_bytes(1 << 20).log_bytes_max(8 << 20)
}

fn open_on(fs: Arc<dyn Fs>, options: Options) -> Result<Db, Error> {
    options.open_with(Standard, fs, DIR)
}

fn key(n: u64) -> String {
    format!("key{n:04}")
}

fn put(db: &Db, keys: std::ops::Range<u64>, value: &str) {
    for n in keys {
        db.put(key(n), value).unwrap();
    }
}

fn keys_and_values(db: &Db) -> Vec<(String, String)> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    all(db.scan(..)).unwrap().into_iter().map(|(key, value)| (text(key), text(value))).collect()
}

fn filled(keys: std::ops::Range<u64>, value: &str) -> Vec<(String, String)> {
    keys.map(|n| (key(n), value.to_owned())).collect()
}

fn of_kind(fs: &MemFs, part: &str) -> Vec<PathBuf> {
    fs.files().into_iter().filter(|path| path.to_string_lossy().contains(part)).collect()
}

/// rocksdb#4990: the sync of a manifest failed, though its bytes got to the disk; the tables that they name were
/// removed, and the store did not open any more.
#[test]
fn a_table_of_an_edit_that_failed_was_removed() {
    for after_effect in [false, true] {
        let disk = MemFs::new();
        let fs = faulty(&disk);
        let db = open_on(fs.shared(), roomy()).unwrap();
        put(&db, 0..50, "value");
        db.sync().unwrap();
        let rule = Rule::nth(1).on(Operation::Sync).path_contains("MANIFEST").os_error(EIO);
        fs.add_rule(if after_effect { rule.after_effect() } else { rule });
        assert!(db.flush().is_err());
        assert!(matches!(db.put("after", "it"), Err(Error::ReadOnly(_))));
        assert_eq!(keys_and_values(&db), filled(0..50, "value"), "reads go on");
        fs.clear_rules();
        for left in [disk.kill(), disk.crash_synced_only(), disk.crash(1), disk.crash(2)] {
            let db = open_on(left.shared(), roomy()).unwrap();
            assert_eq!(keys_and_values(&db), filled(0..50, "value"));
            db.verify().unwrap();
        }
    }
}

/// rocksdb#6316: the disk was full in the middle of an edit of the manifest, and the next was written behind what was there of it.
#[test]
fn an_edit_behind_a_torn_one_was_lost() {
    let disk = MemFs::new();
    let fs = faulty(&disk);
    let db = open_on(fs.shared(), roomy()).unwrap();
    db.keyspace("first", KeyspaceOptions::new()).unwrap();
    for round in 0..3_u64 {
        fs.add_rule(
            Rule::nth(1).on(Operation::Write).path_contains("MANIFEST").os_error(ENOSPC).after_bytes(7),
        );
        let made = db.keyspace(&format!("torn{round}"), KeyspaceOptions::new());
        assert!(matches!(made, Err(Error::Full(_))), "{:?}", made.err());
        fs.clear_rules();
        db.keyspace(&format!("whole{round}"), KeyspaceOptions::new()).unwrap();
        for left in [disk.kill(), disk.crash_synced_only(), disk.crash(round)] {
            let db = open_on(left.shared(), roomy()).unwrap();
            let made = db.keyspaces();
            assert_eq!(made.len() as u64, 3 + round, "{made:?}");
            assert!(
                made.contains(&format!("whole{round}")) && !made.iter().any(|name| name.starts_with("torn"))
            );
        }
    }
}

/// pebble#1212: power failed just after opening had made a new log. The old one's torn tail then looked like corruption.
#[test]
fn a_torn_tail_became_corruption_after_another_crash_in_opening() {
    let disk = MemFs::new();
    let db = open_on(disk.shared(), roomy()).unwrap();
    db.put_with(key(0), "synced", Durability::Synced).unwrap();
    put(&db, 1..20, "buffered");
    let torn = disk.crash(3);
    drop(db);
    for nth in 1.. {
        let disk = torn.kill();
        let fs = faulty(&disk);
        fs.power_off_at(nth);
        let opened =
            open_on(fs.shared(), roomy()).and_then(|db| db.put_with("next", "life", Durability::Synced));
        for seed in 0..4 {
            let left = disk.crash(nth * 10 + seed);
            // And once more, before anything is written.
            let left = open_on(left.shared(), roomy()).map(|db| (left.crash(seed), drop(db)).0).unwrap();
            let db = open_on(left.shared(), roomy()).unwrap();
            assert_eq!(db.get(key(0)).unwrap().unwrap(), "synced");
            assert!(opened.is_err() || db.get("next").unwrap().is_some());
        }
        if opened.is_ok() {
            break;
        }
    }
}

/// pebble: recovery needed several flushes, and after the first of them all of the log was removed.
#[test]
fn the_log_was_removed_after_the_first_flush_of_a_recovery() {
    let disk = MemFs::new();
    let db = open_on(disk.shared(), roomy()).unwrap();
    put(&db, 0..600, "a value of some length");
    db.sync().unwrap();
    let disk = disk.kill();
    drop(db);
    let small = || tiny().memtable_bytes(4 << 10);
    let mut flushed = std::collections::BTreeSet::new();
    for nth in 1.. {
        let disk = disk.kill();
        let fs = faulty(&disk);
        fs.power_off_at(nth);
        let opened = open_on(fs.shared(), small());
        let is_over = opened.is_ok();
        drop(opened);
        let left = disk.crash(nth);
        flushed.insert(of_kind(&left, ".sst").len());
        let db = open_on(left.shared(), roomy()).unwrap();
        assert_eq!(keys_and_values(&db), filled(0..600, "a value of some length"), "power off at {nth}");
        if is_over {
            break;
        }
    }
    assert!(flushed.len() > 3, "recovery flushed several times: {flushed:?}");
}

/// RocksDB 7.3, rocksdb#14780: a log was removed before the name of the table that holds its records was durable.
#[test]
fn a_log_was_removed_before_its_tables_name_was_durable() {
    let disk = MemFs::new();
    let fs = faulty(&disk);
    let copies = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (seen, watched) = (Arc::clone(&copies), disk.clone());
    fs.before_each_call(move |call| {
        if call.operation == Operation::Remove {
            seen.lock().unwrap().push((call.path.clone(), watched.crash_synced_only()));
        }
    });
    let db = open_on(fs.shared(), roomy()).unwrap();
    for round in 0..4 {
        put(&db, 0..30, &format!("round {round}"));
        db.sync().unwrap();
        db.flush().unwrap();
    }
    let copies = std::mem::take(&mut *copies.lock().unwrap());
    let logs: Vec<_> =
        copies.iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "log")).collect();
    assert!(logs.len() >= 2, "logs are removed");
    for (nth, (path, left)) in logs.into_iter().enumerate() {
        let db = open_on(left.shared(), roomy()).unwrap();
        let found = keys_and_values(&db);
        let newest = (0..4).rfind(|round| found == filled(0..30, &format!("round {round}")));
        assert!(newest >= Some(nth), "before {} is removed: {found:?}", path.display());
    }
}

/// RocksDB 9.2: records of an earlier life of a log file were replayed. RocksDB 6.16: a log that lost its end left a gap before the next.
#[test]
fn stale_records_were_replayed() {
    const FRAME_BYTES: usize = 16 + 9 + 1 + 1 + 7 + 1 + 5;
    let disk = MemFs::new();
    let db = open_on(disk.shared(), roomy()).unwrap();
    put(&db, 0..40, "stale");
    db.sync().unwrap();
    let before = of_kind(&disk, ".log").pop().unwrap();
    let stale = disk.read(&before).unwrap();
    put(&db, 0..40, "in a table");
    db.flush().unwrap();
    put(&db, 0..40, "fresh");
    let disk = disk.kill();
    drop(db);
    // The file's blocks are those of the old one behind the first ten records of the new, frame by frame.
    let after = of_kind(&disk, ".log").pop().unwrap();
    assert_ne!(before, after);
    let mut bytes = disk.read(&after).unwrap();
    bytes.truncate(64 + 10 * FRAME_BYTES);
    bytes.extend_from_slice(&stale[64 + 10 * FRAME_BYTES..]);
    disk.write(&after, &bytes).unwrap();
    let db = open_on(disk.shared(), roomy()).unwrap();
    let mut right = filled(0..10, "fresh");
    right.extend(filled(10..40, "in a table"));
    assert_eq!(keys_and_values(&db), right);
}

/// RocksDB 9.6: a write that came right after an error had been recovered from was there twice, under two numbers.
#[test]
fn a_write_after_a_full_disk_was_there_twice() {
    let disk = MemFs::new();
    let fs = faulty(&disk);
    let db = open_on(fs.shared(), roomy()).unwrap();
    put(&db, 0..10, "before");
    fs.add_rule(Rule::nth(1).from_then_on().on(Operation::Write).path_contains(".log").os_error(ENOSPC));
    fs.add_rule(Rule::nth(1).from_then_on().on(Operation::Allocate).os_error(ENOSPC));
    fs.add_rule(Rule::nth(1).from_then_on().on(Operation::Window).os_error(ENOSPC));
    let mut failed = 0;
    // A log with room ahead takes some more.
    for n in 0..20_000 {
        match db.put_with(format!("while full {n}"), "lost?", Durability::Synced) {
            Ok(()) => {}
            Err(Error::Full(_)) => failed += 1,
            Err(e) => panic!("{e}"),
        }
        if failed == 3 {
            break;
        }
    }
    assert_eq!(failed, 3, "the disk is full");
    fs.clear_rules();
    let snapshot = db.snapshot();
    db.put("counter", "1").unwrap();
    db.delete("counter").unwrap();
    let alive = keys_and_values(&db);
    assert!(snapshot.get("counter").unwrap().is_none());
    for left in [disk.kill(), {
        db.sync().unwrap();
        disk.crash_synced_only()
    }] {
        let again = open_on(left.shared(), roomy()).unwrap();
        assert!(again.get("counter").unwrap().is_none(), "a deleted key is back: its put came twice");
        assert_eq!(keys_and_values(&again), alive);
    }
}

/// RocksDB 5.10: an error of the log reached the leader of a group and not those who followed. fjall#304: a batch did not hear of it.
#[test]
fn a_follower_did_not_hear_of_the_error() {
    const WRITERS: usize = 8;
    let disk = MemFs::new();
    let fs = faulty(&disk);
    let db = open_on(fs.shared(), roomy().background(Background::Threads)).unwrap();
    db.put("before", "it").unwrap();
    fs.add_rule(Rule::nth(1).from_then_on().on(Operation::Sync).path_contains(".log").os_error(EIO));
    let begin = Barrier::new(WRITERS);
    let outcomes: Vec<Result<(), Error>> = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|n| {
                let (db, begin) = (&db, &begin);
                scope.spawn(move || {
                    begin.wait();
                    let mut batch = lsmkit::WriteBatch::new();
                    batch.put(format!("{n} a"), "1").put(format!("{n} b"), "2");
                    db.write_with(batch, Durability::Synced)
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");
    assert!(matches!(db.put("after", "it"), Err(Error::ReadOnly(_))));
    fs.clear_rules();
    assert!(matches!(db.put("after", "it"), Err(Error::ReadOnly(_))), "a failed sync is not tried again");
}

/// RocksDB 7.9: flushes that had failed were tried again and put into the tree out of order, so that an older value won.
#[test]
fn flushes_tried_again_were_installed_out_of_order() {
    let disk = MemFs::new();
    let fs = faulty(&disk);
    let db = open_on(fs.shared(), tiny().memtables_max(6).leveled(common_leveled())).unwrap();
    fs.add_rule(Rule::nth(1).from_then_on().on(Operation::Create).path_contains(".sst").os_error(ENOSPC));
    let mut last = 0;
    for n in 0..400_u64 {
        match db.put("the key", format!("{n:04} {}", "x".repeat(40))) {
            Ok(()) => last = n,
            Err(Error::Full(_)) => break,
            Err(e) => panic!("{e}"),
        }
        let _ = db.step();
    }
    fs.clear_rules();
    while db.step().unwrap() {
        assert!(db.get("the key").unwrap().unwrap().starts_with(format!("{last:04}").as_bytes()));
    }
    assert!(db.stats().flushes.count > 1, "several memtables had waited");
    let disk = disk.kill();
    drop(db);
    let db = open_on(disk.shared(), tiny()).unwrap();
    assert!(db.get("the key").unwrap().unwrap().starts_with(format!("{last:04}").as_bytes()));
}

fn common_leveled() -> lsmkit::parts::Leveled {
    // No compaction tidies up meanwhile.
    lsmkit::parts::Leveled::default().level0_trigger(1000)
}

/// RocksDB 8.7: a read error at the beginning of a table was taken for its end, and a compaction lost what was in it.
#[test]
fn a_read_error_in_a_compaction_lost_data() {
    let disk = MemFs::new();
    let fs = faulty(&disk);
    let db = open_on(fs.shared(), roomy()).unwrap();
    for round in 0..2 {
        put(&db, 0..300, &format!("round {round}"));
        db.flush().unwrap();
    }
    let mut failed = 0;
    for nth in 1..40 {
        let rule = Rule::nth(nth).on(Operation::Read).path_contains(".sst").os_error(EIO);
        fs.add_rule(rule);
        let compacted = db.compact(..);
        fs.clear_rules();
        failed += u32::from(compacted.is_err());
        assert_eq!(keys_and_values(&db), filled(0..300, "round 1"), "read {nth}");
        if compacted.is_ok() {
            break;
        }
    }
    assert!(failed > 0);
    let left = disk.kill();
    drop(db);
    let db = open_on(left.shared(), roomy()).unwrap();
    assert_eq!(keys_and_values(&db), filled(0..300, "round 1"));
    db.compact(..).unwrap();
    db.verify().unwrap();
}

/// redb 4.3: an iterator went on after an error, without the entries that it could not read.
#[test]
fn an_iterator_skipped_what_it_could_not_read() {
    let disk = MemFs::new();
    let fs = faulty(&disk);
    let db = open_on(fs.shared(), roomy().cache_bytes(0)).unwrap();
    put(&db, 0..400, "a value");
    db.flush().unwrap();
    for nth in 1.. {
        fs.add_rule(Rule::nth(nth).on(Operation::Read).path_contains(".sst").os_error(EIO));
        let shown: Vec<_> = db.scan(..).collect();
        fs.clear_rules();
        let whole = shown.iter().take_while(|entry| entry.is_ok()).count();
        if whole == shown.len() {
            assert_eq!(whole, 400);
            assert!(nth > 3, "there were reads to fail");
            break;
        }
        assert_eq!(shown.len(), whole + 1, "after the error nothing comes");
        let keys = shown.iter().flatten().map(|(key, _)| String::from_utf8(key.to_vec()).unwrap());
        assert!(keys.eq((0..whole as u64).map(key)), "before it nothing is left out");
    }
}

/// pebble#5354: on a full disk the logs that had been replayed could not be removed, and the store did not start.
#[test]
fn a_full_disk_kept_a_store_from_starting() {
    let disk = MemFs::new();
    let db = open_on(disk.shared(), roomy()).unwrap();
    put(&db, 0..300, "a value of some length");
    db.sync().unwrap();
    let disk = disk.kill();
    drop(db);
    disk.set_capacity_bytes(disk.used_bytes());
    let fs = faulty(&disk);
    fs.add_rule(Rule::nth(1).from_then_on().on(Operation::Remove).os_error(ENOSPC));
    let db = open_on(fs.shared(), tiny()).unwrap();
    assert_eq!(keys_and_values(&db), filled(0..300, "a value of some length"));
    assert!(matches!(db.put_with("more", vec![7; 1 << 20], Durability::Synced), Err(Error::Full(_))));
    fs.clear_rules();
    disk.set_capacity_bytes(u64::MAX);
    db.put("more", "room").unwrap();
    db.flush().unwrap();
    db.close().unwrap();
    assert_eq!(keys_and_values(&open_on(disk.shared(), tiny()).unwrap()).len(), 301);
}

/// pebble: a count from disk that nothing had checked sized an allocation. Here with the checksums put right, so that the counts are
/// looked at at all.
#[test]
fn a_count_from_disk_sized_an_allocation() {
    let disk = MemFs::new();
    let db = open_on(disk.shared(), roomy()).unwrap();
    put(&db, 0..200, "value");
    db.flush().unwrap();
    db.close().unwrap();
    let table = of_kind(&disk, ".sst").pop().unwrap();
    let sound = disk.read(&table).unwrap();
    let forge = Forge::of(&sound);
    for block in forge.blocks() {
        for at in block.clone().step_by(3).take_while(|at| at + 4 <= block.end) {
            let mut forge = forge.clone();
            forge.bytes_mut()[at..at + 4].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
            let left = disk.kill();
            left.write(&table, &forge.sealed()).unwrap();
            // Were it allocated, hundreds of these would take long, and more memory than there is.
            if let Ok(db) = open_on(left.shared(), roomy()) {
                let _ = db.verify();
                let _ = all(db.scan(..));
            }
        }
    }
    // And of the log: a frame that says it is 2 GiB long, a key in it that says so of itself.
    let empty = MemFs::new();
    drop(open_on(empty.shared(), roomy()).unwrap());
    for length in [u32::MAX >> 1, 1 << 30, 30] {
        let left = empty.kill();
        let payload = [&[1, 1, 0, 0, 0, 0, 0, 0, 0, 1][..], &[0xff, 0xff, 0xff, 0xff, 7], &[0; 15]].concat();
        let mut bytes = segment_header(1, None, 0, 0);
        bytes.extend(frame_header(64, 1, coding::checksum(&payload), length, 0));
        bytes.extend(payload);
        left.write(format!("{DIR}/000001.log"), &bytes).unwrap();
        let _ = open_on(left.shared(), roomy()).map(|db| all(db.scan(..)));
    }
}

/// A record of the log with the right checksum whose key is longer than any: what took it into a table panicked.
#[test]
fn a_key_from_the_log_was_too_long_for_a_table() {
    let disk = MemFs::new();
    drop(open_on(disk.shared(), roomy()).unwrap());
    let mut record = vec![1, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    coding::put_bytes(&mut record, &vec![7; lsmkit::MAX_KEY_BYTES + 1]);
    coding::put_bytes(&mut record, b"value");
    let mut bytes = segment_header(1, None, 0, 0);
    bytes.extend(frame(64, 1, &record, 0));
    disk.write(format!("{DIR}/000001.log"), &bytes).unwrap();
    let opened = open_on(disk.shared(), roomy());
    assert!(
        matches!(&opened, Err(Error::Corrupt(fault)) if fault.to_string().contains("longest")),
        "{:?}",
        opened.err()
    );
}
