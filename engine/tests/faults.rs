//! Every file call of a script fails once, and power fails at every call that changes the disk.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use lsmkit::parts::MemFs;
use lsmkit::{Background, Options, Standard};
use lsmkit_vfs::{Operation, Rule};

use common::{DIR, Fate, History, Holds, check, faulty, run_script, shallow_or_deep, tiny};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// How many calls of all kinds and how many mutating ones the script makes without a fault.
fn calls(options: &Options) -> (u64, u64) {
    let fs = faulty(&MemFs::new());
    let mut history = History::default();
    let db = run_script(&fs.shared(), options, &mut history).expect("nothing fails");
    assert_eq!(history.errors, [""; 0]);
    check(&db, &history, Holds::All, "without faults");
    // Otherwise there would be little to fail.
    let stats = db.stats();
    assert!(stats.flushes.count > 5 && stats.compactions.count >= 2, "{stats:?}");
    drop(db);
    (fs.calls(), fs.mutating_calls())
}

/// Runs the script with one fault, then judges the store as it is, killed, and after power failures.
fn with_fault(rule: Rule, options: &Options, seeds: std::ops::Range<u64>, context: &str) {
    let disk = MemFs::new();
    let fs = faulty(&disk);
    fs.add_rule(rule);
    let mut history = History::default();
    let run = catch_unwind(AssertUnwindSafe(|| run_script(&fs.shared(), options, &mut history)));
    let Ok(db) = run else { panic!("{context}: panics") };
    fs.clear_rules();
    if let Some(db) = &db {
        check(db, &history, Holds::All, &format!("{context}, going on"));
    }
    let (killed, crashed): (MemFs, Vec<(u64, MemFs)>) =
        (disk.kill(), seeds.map(|seed| (seed, disk.crash(seed))).collect());
    drop(db);
    reopen_and_check(&killed, &history, Holds::All, &format!("{context}, killed"));
    for (seed, disk) in crashed {
        reopen_and_check(&disk, &history, Holds::Prefix, &format!("{context}, power failure {seed}"));
    }
}

fn reopen_and_check(disk: &MemFs, history: &History, holds: Holds, context: &str) {
    let db = match tiny().open_with(Standard, disk.shared(), DIR) {
        Ok(db) => db,
        Err(e) => panic!("{context}: does not open: {e}; {history:?}"),
    };
    check(&db, history, holds, context);
    db.put("written after all", "yes").unwrap_or_else(|e| panic!("{context}: can't be written: {e}"));
    db.verify().unwrap_or_else(|e| panic!("{context}: verify: {e}"));
}

#[test]
fn every_call_fails_once() {
    let options = tiny();
    let (calls, _) = calls(&options);
    let stride = shallow_or_deep(3, 1);
    for (error, name) in [(EIO, "EIO"), (ENOSPC, "ENOSPC")] {
        for nth in (1..=calls).skip((error % stride) as usize).step_by(stride as usize) {
            let rule = Rule::nth(nth).os_error(error);
            with_fault(rule.clone(), &options, 0..1, &format!("{name} before call {nth}"));
            with_fault(rule.after_effect(), &options, 1..2, &format!("{name} after call {nth}"));
        }
    }
}

#[test]
fn every_sync_fails_once() {
    let options = tiny();
    for operation in [Operation::Sync, Operation::SyncDir] {
        for (error, name) in [(EIO, "EIO"), (ENOSPC, "ENOSPC")] {
            for nth in 1..shallow_or_deep(60, 400) {
                let rule = Rule::nth(nth).on(operation).os_error(error);
                with_fault(rule.clone(), &options, 0..3, &format!("{name} before {operation:?} {nth}"));
                with_fault(rule.after_effect(), &options, 3..5, &format!("{name} after {operation:?} {nth}"));
            }
        }
    }
}

#[test]
fn calls_fail_beside_background_threads() {
    let options = tiny().background(Background::Threads);
    for nth in (1..shallow_or_deep(700, 1500)).step_by(shallow_or_deep(13, 1)) {
        for (error, name) in [(EIO, "EIO"), (ENOSPC, "ENOSPC")] {
            let rule = Rule::nth(nth).os_error(error);
            with_fault(rule, &options, 0..1, &format!("threads, {name} before call {nth}"));
        }
    }
}

#[test]
fn power_fails_at_every_mutating_call() {
    let options = tiny();
    let (_, calls) = calls(&options);
    for nth in 1..=calls {
        let disk = MemFs::new();
        let fs = faulty(&disk);
        fs.power_off_at(nth);
        let mut history = History::default();
        let db = run_script(&fs.shared(), &options, &mut history);
        // Whatever fails after the power is off has not been tried.
        let crashed: Vec<_> =
            (nth..nth + shallow_or_deep(1, 8)).map(|seed| (seed, disk.crash(seed))).collect();
        drop(db);
        for (seed, disk) in crashed {
            let context = format!("power off at {nth}, seed {seed}");
            reopen_and_check(&disk.kill(), &history, Holds::Prefix, &context);
            if nth % shallow_or_deep(7, 1) == 0 {
                power_fails_in_recovery(&disk, &history, &context);
            }
        }
    }
}

/// Opening is cut short at every mutating call in turn, with a smaller memtable, so that it has work to do.
fn power_fails_in_recovery(disk: &MemFs, history: &History, context: &str) {
    for nth in 1.. {
        let disk = disk.kill();
        let fs = faulty(&disk);
        fs.power_off_at(nth);
        let opened = tiny().memtable_bytes(1 << 10).open_with(Standard, fs.shared(), DIR);
        let is_over = opened.is_ok();
        let crashed = disk.crash(nth);
        drop(opened);
        let context = format!("{context}, and at {nth} of the recovery");
        // The first failure has left less than `history` holds, but never less than what was durable.
        reopen_and_check(&crashed, history, Holds::Prefix, &context);
        if is_over {
            break;
        }
    }
}

#[test]
fn a_killed_store_survives_power_failures_in_its_recovery() {
    let options = tiny();
    let (_, calls) = calls(&options);
    for nth in (1..=calls).step_by(shallow_or_deep(13, 1)) {
        let disk = MemFs::new();
        let fs = faulty(&disk);
        fs.power_off_at(nth);
        let mut history = History::default();
        drop(run_script(&fs.shared(), &options, &mut history));
        power_fails_in_recovery(&disk, &history, &format!("killed at {nth}"));
    }
}

#[test]
fn a_fault_turns_the_store_read_only_and_says_why() {
    let disk = MemFs::new();
    let fs = faulty(&disk);
    let mut history = History::default();
    let db = run_script(&fs.shared(), &tiny(), &mut history).expect("nothing fails");
    fs.add_rule(Rule::nth(1).on(Operation::Sync).os_error(EIO));
    let failed = db.sync().or_else(|_| db.put_with("k", "v", lsmkit::Durability::Synced));
    assert!(matches!(failed, Err(lsmkit::Error::ReadOnly(_))), "{failed:?}");
    for _ in 0..3 {
        assert!(matches!(db.put("k", "v"), Err(lsmkit::Error::ReadOnly(_))));
        assert!(matches!(db.flush(), Err(lsmkit::Error::ReadOnly(_))));
    }
    assert!(db.stats().fault.is_some());
    assert!(history.batches.iter().all(|fate| *fate == Fate::Acknowledged));
    assert!(db.get("batch0001").unwrap().is_some());
    assert!(db.close().is_err());
}

#[test]
fn what_is_synced_now_and_then_survives_a_power_failure() {
    let disk = MemFs::new();
    let options = Options::new().sync_every(Duration::from_millis(5));
    let db = options.clone().open_with(Standard, disk.shared(), DIR).unwrap();
    for key in ["a", "b"] {
        db.put(key, "v").unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let after = options.clone().open_with(Standard, disk.crash_synced_only().shared(), DIR).unwrap();
            if after.get(key).unwrap().is_some() {
                break;
            }
            assert!(Instant::now() < deadline, "{key} has not been synced for 20 s");
            thread::sleep(Duration::from_millis(1));
        }
    }
    db.close().unwrap();
}

#[test]
fn a_sync_that_fails_in_between_is_told_to_the_next_write() {
    let fs = faulty(&MemFs::new());
    let options = Options::new().sync_every(Duration::from_millis(5));
    let db = options.open_with(Standard, fs.shared(), DIR).unwrap();
    db.put("a", "v").unwrap();
    fs.add_rule(Rule::nth(1).on(Operation::Sync).os_error(EIO));
    let deadline = Instant::now() + Duration::from_secs(20);
    while db.put("b", "v").is_ok() {
        assert!(Instant::now() < deadline, "the failed sync has not been noticed for 20 s");
    }
    // The first may meet the fault itself, in the log, before the store has heard of it.
    let error = db.put("b", "v").unwrap_err();
    assert!(matches!(error, lsmkit::Error::ReadOnly(_)), "{error}");
    assert_eq!(db.get("a").unwrap().as_deref(), Some(&b"v"[..]));
    assert!(db.close().is_err());
}

/// What was overlooked must not pass for the end.
#[test]
fn a_cursor_repeats_a_fault_until_it_is_sought_anew() {
    let fs = faulty(&MemFs::new());
    let options = Options::new().block_bytes(512).cache_bytes(0).background(Background::Steps);
    let db = options.open_with(Standard, fs.shared(), std::path::Path::new(DIR)).unwrap();
    for n in 0..200 {
        db.put(format!("{n:03}"), "value").unwrap();
    }
    db.flush().unwrap();
    let mut cursor = db.cursor();
    for forward in [true, false] {
        let came_to = if forward { cursor.seek("100") } else { cursor.seek_before("100") };
        assert!(came_to.unwrap().is_some());
        fs.add_rule(Rule::nth(1).on(Operation::Read));
        let step = |cursor: &mut lsmkit::Cursor| {
            let moved = if forward { cursor.next() } else { cursor.prev() };
            moved.map(|entry| entry.is_some())
        };
        let passed = (0..200).take_while(|_| step(&mut cursor).is_ok_and(|is_there| is_there)).count();
        assert!(passed < 100, "the read of a block has failed");
        for _ in 0..3 {
            assert!(step(&mut cursor).is_err() && cursor.entry().is_none() && cursor.value().is_none());
        }
        assert_eq!(cursor.seek("100").unwrap(), Some((&b"100"[..], &b"value"[..])));
    }
}
