//! Repair: a damaged store opens again with all that can be read, and says what is lost.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::synced::{build, expected, key, options, read, value, without_last_write};
use common::{DIR, faulty, is_deep, shallow_or_deep};
use lsmkit::parts::MemFs;
use lsmkit::{Db, Durability, Error, KeyspaceOptions, Repair, Repaired, Standard};
use lsmkit_vfs::{Operation, Rule};

type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

fn repair(fs: &MemFs) -> Result<Repaired, Error> {
    Repair::new(DIR).on(fs.shared()).options(options()).run()
}

fn survey(fs: &MemFs) -> Result<Repaired, Error> {
    Repair::new(DIR).on(fs.shared()).options(options()).dry_run(true).run()
}

fn open(fs: &MemFs) -> Result<Db, Error> {
    options().open_with(Standard, fs.shared(), DIR)
}

/// Every file with what is in it, but for the lock.
fn files(fs: &MemFs) -> BTreeMap<PathBuf, Vec<u8>> {
    let is_lock = |path: &PathBuf| path.ends_with("LOCK");
    let paths = fs.files().into_iter().filter(|path| !is_lock(path));
    paths.map(|path| (path.clone(), fs.read(&path).unwrap())).collect()
}

/// A closed store.
fn closed() -> MemFs {
    let fs = MemFs::new();
    build(&fs).close().unwrap();
    fs
}

/// A store whose process ended without closing it.
fn killed() -> MemFs {
    let fs = MemFs::new();
    let db = build(&fs);
    let left = fs.kill();
    drop(db);
    left
}

fn of_kind(fs: &MemFs, part: &str) -> Vec<PathBuf> {
    fs.files().into_iter().filter(|path| path.to_string_lossy().contains(part)).collect()
}

/// What may be read of a store that was damaged and repaired, as the repair reported.
fn check_left(found: &Contents, repaired: &Repaired, context: &str) {
    // An older value of a lost key may come to light, or a deleted one.
    let older = |n: usize| [value(n), b"old".to_vec()];
    let ranges: Vec<_> = repaired.tables.iter().flat_map(|table| &table.lost).collect();
    // Of what is missing at the ends of the log nothing tells how much it was; here it is one frame that was damaged.
    let mut writes_lost = repaired.log.as_ref().map_or(0, |log| log.writes_lost_max + 1);
    for n in 0..common::synced::KEYS {
        let key = key(n);
        let is_in_range = ranges.iter().any(|lost| *lost.smallest <= *key && *key <= *lost.largest);
        let (found, right) = (found.get(&key), expected().remove(&key));
        let may_be = found.is_none_or(|found| older(n).contains(found));
        match found == right.as_ref() {
            true => {}
            false if is_in_range && may_be => {}
            false if writes_lost > 0 && may_be => writes_lost -= 1,
            false => panic!("{context}: key {n} is {found:?} rather than {right:?}; {repaired:?}"),
        }
    }
}

/// Repairs a damaged store and checks what there is to check of any.
fn repair_and_check(fs: &MemFs, context: &str) -> (Repaired, Contents) {
    let before = files(fs);
    let surveyed = survey(fs).unwrap_or_else(|e| panic!("{context}: survey: {e}"));
    assert_eq!(files(fs), before, "{context}: a survey writes nothing");
    let repaired = repair(fs).unwrap_or_else(|e| panic!("{context}: {e}"));
    assert_eq!(surveyed.is_sound(), repaired.is_sound(), "{context}");
    let told = |mut repaired: Repaired| {
        repaired.set_aside.clear();
        format!("{repaired:?}")
    };
    assert_eq!(told(surveyed), told(repaired.clone()), "{context}: a survey tells what the repair then does");
    if repaired.is_sound() {
        assert_eq!(files(fs), before, "{context}: a sound store is left alone");
    }
    let found =
        read(fs).unwrap_or_else(|e| panic!("{context}: does not open after the repair: {e}; {repaired:?}"));
    (repaired, found)
}

/// That a repaired store is a store like any other, and that nothing it does from then on destroys what could not be read: some file still has the bytes of
/// `damaged`.
fn check_lives_with(fs: &MemFs, damaged: &[u8], context: &str) {
    check_lives(fs, context);
    assert!(
        files(fs).values().any(|bytes| bytes == damaged),
        "{context}: the damaged file is there, by whatever name"
    );
}

/// That a repaired store is a store like any other.
fn check_lives(fs: &MemFs, context: &str) {
    assert!(repair(fs).unwrap().is_sound(), "{context}: what was repaired is sound");
    let db = open(fs).unwrap();
    db.verify().unwrap_or_else(|e| panic!("{context}: {e}"));
    db.put("key0000", "written after the repair").unwrap();
    db.compact(..).unwrap();
    db.flush().unwrap();
    assert_eq!(db.get("key0000").unwrap().unwrap(), "written after the repair");
    db.close().unwrap();
}

#[test]
fn a_sound_store_is_left_alone() {
    for fs in [closed(), killed()] {
        let (repaired, found) = repair_and_check(&fs, "sound");
        assert!(repaired.is_sound() && repaired.tables_sound > 1, "{repaired:?}");
        assert_eq!(found, expected());
    }
}

#[test]
fn whatever_bit_is_flipped_the_rest_is_kept() {
    for (fs, is_closed) in [(closed(), true), (killed(), false)] {
        let (mut damaged, mut lossless) = (0, 0);
        for (path, bytes) in files(&fs) {
            let zeros_behind =
                bytes.len() - bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            for at in (0..bytes.len()).step_by(shallow_or_deep(17, 1)) {
                // Of the zeros at the end one byte is as good as another.
                if !is_deep() && at > bytes.len() - zeros_behind && at % 64 != 0 {
                    continue;
                }
                let context = format!("{} byte {at}, closed: {is_closed}", path.display());
                let fs = fs.kill();
                fs.flip_bit(&path, (at * 8 + at % 8) as u64).unwrap();
                let fs_damaged = fs.kill();
                let (repaired, found) = repair_and_check(&fs, &context);
                // Of a store that was killed nothing tells that its last record was not torn.
                if repaired.is_sound() && !is_closed && found == without_last_write() {
                    continue;
                }
                check_left(&found, &repaired, &context);
                if !repaired.is_sound() {
                    damaged += 1;
                    lossless += u32::from(found == expected());
                    if damaged % shallow_or_deep(5, 1) == 0 {
                        let damaged = fs_damaged.read(&path).unwrap();
                        check_lives_with(&fs, &damaged, &context);
                    }
                }
            }
        }
        println!("closed: {is_closed}: {damaged} repaired, {lossless} of them without loss");
        assert!(damaged > 100 && lossless > 20);
    }
}

#[test]
fn a_damaged_block_costs_its_own_keys_only() {
    let fs = closed();
    let table = of_kind(&fs, ".sst").pop().unwrap();
    fs.flip_bit(&table, 8 * 10).unwrap();
    let (repaired, found) = repair_and_check(&fs, "one block");
    let [damaged] = &repaired.tables[..] else { panic!("{repaired:?}") };
    let lost = damaged.entries_lost.unwrap();
    assert!(lost > 0 && lost < 20 && damaged.entries_kept > lost, "{damaged:?}");
    assert_eq!(damaged.lost.len(), 1);
    assert!(expected().len() - found.len() <= lost as usize);
    assert_eq!(repaired.set_aside, [Path::new(&format!("{}.damaged", table.display()))]);
    check_lives(&fs, "one block");
}

#[test]
fn a_damaged_filter_costs_nothing() {
    let fs = closed();
    let table = of_kind(&fs, ".sst").pop().unwrap();
    let bytes = fs.read(&table).unwrap();
    // The filter is behind the data, which the footer tells the end of.
    let footer = &bytes[bytes.len() - 88..];
    let filter = u64::from_le_bytes(footer[16..24].try_into().unwrap());
    fs.flip_bit(&table, filter * 8).unwrap();
    assert!(open(&fs).is_err(), "the store does not open");
    let (repaired, found) = repair_and_check(&fs, "filter");
    assert_eq!((repaired.tables.len(), repaired.tables[0].entries_lost), (1, Some(0)), "{repaired:?}");
    assert_eq!(found, expected());
}

#[test]
fn a_missing_table_is_reported() {
    let fs = closed();
    let table = of_kind(&fs, ".sst").pop().unwrap();
    fs.shared().remove(&table).unwrap();
    let (repaired, found) = repair_and_check(&fs, "missing table");
    let [damaged] = &repaired.tables[..] else { panic!("{repaired:?}") };
    assert_eq!((damaged.entries_kept, damaged.entries_lost, damaged.lost.len()), (0, None, 1));
    assert!(repaired.is_rebuilt && damaged.path == table);
    check_left(&found, &repaired, "missing table");
    check_lives(&fs, "missing table");
}

/// The last edit of a store that was not closed passes for torn where it is damaged. Then the manifest names tables that a compaction has removed, or
/// a log that a flush has discarded, and does not name what took their place.
#[test]
fn what_only_the_lost_end_of_a_manifest_named_is_kept() {
    for flushed_last in [false, true] {
        let fs = MemFs::new();
        let db = options().memtable_bytes(1 << 20).open_with(Standard, fs.shared(), DIR).unwrap();
        for round in 0..3 {
            for n in 0..100 {
                db.put(key(n), if round == 2 { value(n) } else { b"old".to_vec() }).unwrap();
            }
            db.flush().unwrap();
        }
        if !flushed_last {
            db.compact(..).unwrap();
        }
        while db.step().unwrap() {}
        let fs = fs.kill();
        let manifest = of_kind(&fs, "MANIFEST-").pop().unwrap();
        let bytes = fs.read(&manifest).unwrap();
        // Edits that only move tables may be behind it.
        let is_missed = |len: &usize| {
            fs.write(&manifest, &bytes[..*len]).unwrap();
            open(&fs.kill()).is_err()
        };
        let len = (64..bytes.len()).rev().find(is_missed).expect("an edit is missed");
        let (repaired, found) = repair_and_check(&fs, "lost end");
        assert!(repaired.is_rebuilt && repaired.manifest.is_some(), "{repaired:?}");
        let right: Contents = (0..100).map(|n| (key(n), value(n))).collect();
        assert_eq!(found, right, "flushed last: {flushed_last}");
        check_lives_with(&fs, &bytes[..len], "lost end");
    }
}

/// The log writes to a keyspace that the manifest does not know: the edit that made it is lost.
#[test]
fn a_keyspace_that_only_the_log_knows_is_kept() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    let cats = db.keyspace("cats", KeyspaceOptions::new()).unwrap();
    cats.put_with("tom", "grey", Durability::Synced).unwrap();
    let fs = fs.kill();
    let manifest = of_kind(&fs, "MANIFEST-").pop().unwrap();
    let bytes = fs.read(&manifest).unwrap();
    let end = bytes.windows(4).rposition(|window| window == b"cats").unwrap();
    fs.flip_bit(&manifest, end as u64 * 8).unwrap();
    assert!(open(&fs.kill()).is_err());
    let (repaired, _) = repair_and_check(&fs, "unknown keyspace");
    assert_eq!(repaired.named_anew, ["keyspace-1"]);
    let db = open(&fs).unwrap();
    let cats = db.keyspace("keyspace-1", KeyspaceOptions::new()).unwrap();
    assert_eq!(cats.get("tom").unwrap().unwrap(), "grey");
}

#[test]
fn a_log_segment_that_is_gone_is_told_of_without_a_manifest_too() {
    let fs = MemFs::new();
    let db = options().memtable_bytes(1 << 20).open_with(Standard, fs.shared(), DIR).unwrap();
    let idle = db.keyspace("idle", KeyspaceOptions::new()).unwrap();
    // It keeps the log from being discarded.
    idle.put("first", "of all").unwrap();
    let busy = db.keyspace("default", KeyspaceOptions::new()).unwrap();
    for round in 0..3 {
        for n in 0..20 {
            busy.put(key(20 * round + n), value(n)).unwrap();
        }
        busy.flush().unwrap();
    }
    db.sync().unwrap();
    let fs = fs.kill();
    let logs = of_kind(&fs, ".log");
    assert!(logs.len() >= 3, "{logs:?}");
    fs.shared().remove(&logs[1]).unwrap();
    for path in of_kind(&fs, "MANIFEST-") {
        fs.shared().remove(&path).unwrap();
    }
    let (repaired, found) = repair_and_check(&fs, "segment gone");
    let log = repaired.log.as_ref().expect("the log is damaged");
    assert!(log.holes.iter().any(|hole| hole.is_missing), "{log:?}");
    assert_eq!(found.len(), 60, "what was in it is in a table");
    check_lives(&fs, "segment gone");
}

/// Files of others may have names like ours.
#[test]
fn a_directory_of_somebody_else_is_left_alone() {
    for name in ["000012.sst", "000013.log", "MANIFEST-000011", "20241001.log"] {
        let fs = MemFs::new();
        fs.shared().create_dir(Path::new(DIR)).unwrap();
        fs.write(Path::new(DIR).join(name), &[7; 5000]).unwrap();
        let before = files(&fs);
        assert!(matches!(repair(&fs), Err(Error::NotAStore { .. })), "{name}");
        assert_eq!(files(&fs), before, "{name}");
    }
}

#[test]
fn what_is_behind_the_damage_in_the_log_is_kept() {
    let fs = MemFs::new();
    let db = options().memtable_bytes(1 << 20).open_with(Standard, fs.shared(), DIR).unwrap();
    for n in 0..100 {
        db.put_with(key(n), value(n), Durability::Synced).unwrap();
    }
    let fs = fs.kill();
    let log = of_kind(&fs, ".log").remove(0);
    // Somewhere in the first record.
    fs.flip_bit(&log, 8 * (64 + 16 + 12)).unwrap();
    assert!(open(&fs).is_err(), "the store does not open");
    let (repaired, found) = repair_and_check(&fs, "log");
    let damaged = repaired.log.as_ref().unwrap();
    assert_eq!((damaged.records_kept, damaged.holes.len(), damaged.records_refused), (99, 1, 0));
    assert_eq!(damaged.writes_lost_max, 0, "the first of all: nothing tells what was before the second");
    assert!(damaged.holes[0].has_more_behind && damaged.holes[0].offset == 64);
    let right: Contents = (1..100).map(|n| (key(n), value(n))).collect();
    assert_eq!(found, right);
    assert_eq!(repaired.set_aside, [Path::new(&format!("{}.torn", log.display()))]);
    check_lives(&fs, "log");
}

#[test]
fn a_manifest_is_made_anew() {
    for lost in ["CURRENT-", "MANIFEST-"] {
        for fs in [closed(), killed()] {
            for path in of_kind(&fs, lost) {
                fs.shared().remove(&path).unwrap();
            }
            let (repaired, found) = repair_and_check(&fs, lost);
            assert!(repaired.manifest.is_some() && repaired.tables.is_empty(), "{repaired:?}");
            // Without a marker the newest is as good.
            assert_eq!(repaired.is_rebuilt, lost == "MANIFEST-");
            assert_eq!(found, expected(), "without {lost}");
            check_lives(&fs, lost);
        }
    }
}

#[test]
fn keyspaces_are_found_again_without_a_manifest() {
    let fs = MemFs::new();
    let db = open(&fs).unwrap();
    let names = ["cats", "dogs", "in the log only"];
    for name in names {
        let keyspace = db.keyspace(name, KeyspaceOptions::new()).unwrap();
        if name != names[2] {
            keyspace.put("old", name).unwrap();
            keyspace.flush().unwrap();
        }
        keyspace.put("new", name).unwrap();
        keyspace.put("gone", name).unwrap();
        keyspace.delete("gone").unwrap();
    }
    db.sync().unwrap();
    let fs = fs.kill();
    for path in of_kind(&fs, "MANIFEST-") {
        fs.shared().remove(&path).unwrap();
    }
    let (repaired, _) = repair_and_check(&fs, "keyspaces");
    assert_eq!(repaired.named_anew, ["keyspace-3"]);
    let db = open(&fs).unwrap();
    assert_eq!(db.keyspaces(), ["default", "cats", "dogs", "keyspace-3"]);
    for (name, written) in [("cats", names[0]), ("dogs", names[1]), ("keyspace-3", names[2])] {
        let keyspace = db.keyspace(name, KeyspaceOptions::new()).unwrap();
        assert_eq!(keyspace.get("new").unwrap().unwrap(), written);
        assert_eq!(keyspace.get("old").unwrap().is_some(), name != "keyspace-3");
        assert!(keyspace.get("gone").unwrap().is_none());
    }
    // Numbers go on behind those that were seen.
    let after = db.keyspace("after", KeyspaceOptions::new()).unwrap();
    assert!(after.get("new").unwrap().is_none());
}

/// What is over one another in many tables, newest versions in any of them, is put in order by its numbers.
#[test]
fn tables_over_one_another_become_one_run() {
    let fs = MemFs::new();
    let db = options().memtable_bytes(1 << 20).open_with(Standard, fs.shared(), DIR).unwrap();
    let mut right = Contents::new();
    for round in 0..6_usize {
        for n in (round..200).step_by(round + 1) {
            let value = format!("{round} {n}").into_bytes();
            if (n + round) % 9 == 0 {
                db.delete(key(n)).unwrap();
                right.remove(&key(n));
            } else {
                db.put(key(n), &value).unwrap();
                right.insert(key(n), value);
            }
        }
        db.flush().unwrap();
    }
    db.close().unwrap();
    for path in of_kind(&fs, "MANIFEST-") {
        fs.shared().remove(&path).unwrap();
    }
    let (_, found) = repair_and_check(&fs, "over one another");
    assert_eq!(found, right);
    let db = open(&fs).unwrap();
    assert_eq!(db.stats().keyspaces[0].levels[0].runs, 1);
    assert_eq!(db.stats().keyspaces[0].levels[0].entries, right.len() as u64, "no tombstone is left");
}

/// Stores damaged in one way each, and what a repair must leave of them at least.
fn damaged_stores() -> Vec<(&'static str, MemFs)> {
    let a_table = closed();
    a_table.flip_bit(of_kind(&a_table, ".sst").pop().unwrap(), 800).unwrap();
    let a_log = killed();
    a_log.flip_bit(of_kind(&a_log, ".log").remove(0), 8 * 100).unwrap();
    let a_manifest = killed();
    a_manifest.flip_bit(of_kind(&a_manifest, "MANIFEST-").remove(0), 8 * 90).unwrap();
    let all = killed();
    all.flip_bit(of_kind(&all, ".sst").pop().unwrap(), 800).unwrap();
    all.flip_bit(of_kind(&all, ".log").remove(0), 8 * 100).unwrap();
    all.flip_bit(of_kind(&all, "MANIFEST-").remove(0), 8 * 90).unwrap();
    let two = closed();
    let keyspace = open(&two).unwrap().keyspace("other", KeyspaceOptions::new()).unwrap();
    keyspace.put("key", "value").unwrap();
    drop(keyspace);
    two.shared().remove(&of_kind(&two, ".sst").pop().unwrap()).unwrap();
    two.shared().sync_dir(Path::new(DIR)).unwrap();
    vec![
        ("a missing table", two),
        ("a table", a_table),
        ("a log", a_log),
        ("a manifest", a_manifest),
        ("all", all),
    ]
}

#[test]
fn power_may_fail_at_every_call_of_a_repair() {
    for (name, damaged) in damaged_stores() {
        let whole = damaged.kill();
        repair(&whole).unwrap();
        let right = read(&whole).unwrap();
        for nth in 1.. {
            let disk = damaged.kill();
            let fs = faulty(&disk);
            fs.power_off_at(nth);
            let is_over = Repair::new(DIR).on(fs.shared()).options(options()).run().is_ok();
            for seed in 0..shallow_or_deep(2, 20) {
                let context = format!("{name}, power off at {nth}, seed {seed}");
                let left = disk.crash(nth * 100 + seed);
                repair(&left).unwrap_or_else(|e| panic!("{context}: {e}"));
                assert_eq!(read(&left).unwrap(), right, "{context}");
                check_lives(&left, &context);
            }
            if is_over {
                assert!(nth > 5, "{name}: a repair of {nth} calls");
                break;
            }
        }
    }
}

#[test]
fn a_full_disk_stops_a_repair_and_harms_nothing() {
    for (name, damaged) in damaged_stores() {
        let whole = damaged.kill();
        repair(&whole).unwrap();
        let right = read(&whole).unwrap();
        let renames = (1..4).map(|nth| (Operation::Rename, nth));
        let creations = (1..6).map(|nth| (Operation::Create, nth));
        for (operation, nth) in (1..30).map(|nth| (Operation::Write, nth)).chain(renames).chain(creations) {
            let disk = damaged.kill();
            let fs = faulty(&disk);
            fs.add_rule(Rule::nth(nth).on(operation).os_error(28));
            match Repair::new(DIR).on(fs.shared()).options(options()).run() {
                Ok(_) => {}
                Err(Error::Full(_)) => {
                    let as_before = |fs: &MemFs| read(fs).ok();
                    assert_eq!(as_before(&disk), as_before(&damaged), "{name}, {operation:?} {nth}");
                    repair(&disk).unwrap();
                }
                Err(e) => panic!("{name}, {operation:?} {nth}: {e}"),
            }
            assert_eq!(read(&disk).unwrap(), right, "{name}, {operation:?} {nth}");
        }
    }
}

/// Whatever call of a repair fails, another repair comes to the same end.
#[test]
fn any_call_of_a_repair_may_fail() {
    for (name, damaged) in damaged_stores() {
        let whole = damaged.kill();
        repair(&whole).unwrap();
        let right = read(&whole).unwrap();
        let kinds =
            [Operation::Rename, Operation::SyncDir, Operation::Sync, Operation::Create, Operation::Write];
        for (operation, after_effect) in kinds.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
            for nth in 1.. {
                let disk = damaged.kill();
                let fs = faulty(&disk);
                let rule = Rule::nth(nth).on(operation).os_error(if nth % 2 == 0 { 28 } else { 5 });
                fs.add_rule(if after_effect { rule.after_effect() } else { rule });
                let _ = Repair::new(DIR).on(fs.shared()).options(options()).run();
                if fs.faults() == 0 {
                    break;
                }
                let context = format!("{name}, {operation:?} {nth}, after its effect: {after_effect}");
                repair(&disk).unwrap_or_else(|e| panic!("{context}: {e}"));
                assert_eq!(read(&disk).unwrap(), right, "{context}");
                check_lives(&disk, &context);
            }
        }
    }
}

#[test]
fn what_is_no_damage_is_not_repaired() {
    let fs = closed();
    let db = open(&fs).unwrap();
    assert!(matches!(repair(&fs), Err(Error::Locked(_))));
    db.close().unwrap();
    let nowhere = Repair::new("/nowhere").on(MemFs::new().shared()).run();
    assert!(matches!(nowhere, Err(Error::NoStore(_))), "{nowhere:?}");
    // A manifest of a later version.
    let manifest = of_kind(&fs, "MANIFEST-").pop().unwrap();
    let mut bytes = fs.read(&manifest).unwrap();
    bytes[8] = 9;
    let checksum = lsmkit_base::coding::checksum(&bytes[..60]);
    bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
    fs.write(&manifest, &bytes).unwrap();
    let before = files(&fs);
    assert!(matches!(repair(&fs), Err(Error::Unsupported(_))));
    assert_eq!(files(&fs), before);
}
