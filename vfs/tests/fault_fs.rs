//! Calls fail as they are told to, and nothing else does.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex};

use lsmkit_vfs::{FaultFs, Fs, LockKind, MemFs, Operation, Outcome, Rule};

fn path(path: &str) -> &Path {
    Path::new(path)
}

/// A disk and the same one with faults.
fn faulty() -> (MemFs, FaultFs) {
    let disk = MemFs::new();
    let fs = FaultFs::new(disk.shared());
    (disk, fs)
}

#[test]
fn the_nth_call_fails_once() {
    let (disk, fs) = faulty();
    fs.add_rule(Rule::nth(2));
    fs.create(path("/1")).unwrap();
    let error = fs.create(path("/2")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other);
    assert!(error.to_string().contains("Create of /2"), "{error}");
    fs.create(path("/3")).unwrap();
    assert_eq!(disk.files(), ["/1", "/3"].map(Path::new));
    assert_eq!((fs.calls(), fs.mutating_calls(), fs.faults()), (3, 3, 1));
}

#[test]
fn calls_are_counted_from_when_the_rule_was_added() {
    let (_, fs) = faulty();
    let file = fs.create(path("/file")).unwrap();
    file.sync().unwrap();
    fs.add_rule(Rule::nth(2).on(Operation::Sync));
    file.sync().unwrap();
    file.write_at(b"between", 0).unwrap();
    file.sync().unwrap_err();
    file.sync().unwrap();
}

#[test]
fn from_then_on_means_until_the_rules_are_cleared() {
    let (_, fs) = faulty();
    let file = fs.create(path("/file")).unwrap();
    fs.add_rule(Rule::nth(2).on(Operation::Write).from_then_on().error(ErrorKind::StorageFull));
    file.write_at(b"1", 0).unwrap();
    for _ in 0..3 {
        assert_eq!(file.write_at(b"2", 0).unwrap_err().kind(), ErrorKind::StorageFull);
    }
    file.sync().unwrap();
    fs.clear_rules();
    file.write_at(b"3", 0).unwrap();
}

#[test]
fn a_rule_may_be_for_some_paths_only() {
    let (_, fs) = faulty();
    fs.add_rule(Rule::nth(1).path_contains(".log").from_then_on());
    fs.create(path("/1.sst")).unwrap();
    fs.create(path("/1.log")).unwrap_err();
    // Of a rename, either path.
    fs.rename(path("/1.sst"), path("/2.log")).unwrap_err();
    fs.rename(path("/1.sst"), path("/2.sst")).unwrap();
}

#[test]
fn a_rule_may_be_for_mutating_calls_only() {
    let (_, fs) = faulty();
    fs.add_rule(Rule::nth(1).on_mutating());
    fs.list(path("/")).unwrap();
    fs.open(path("/none")).unwrap_err();
    assert_eq!(fs.faults(), 0);
    fs.sync_dir(path("/")).unwrap_err();
    assert_eq!(fs.faults(), 1);
}

#[test]
fn a_call_may_fail_after_its_effect() {
    let (disk, fs) = faulty();
    let file = fs.create(path("/file")).unwrap();
    fs.sync_dir(path("/")).unwrap();
    fs.add_rule(Rule::nth(1).on(Operation::Write).after_effect());
    fs.add_rule(Rule::nth(1).on(Operation::Sync).after_effect());
    fs.add_rule(Rule::nth(1).on(Operation::Rename).after_effect());
    fs.add_rule(Rule::nth(1).on(Operation::Create).after_effect());
    fs.add_rule(Rule::nth(1).on(Operation::Lock).after_effect());
    file.write_at(b"written", 0).unwrap_err();
    file.sync().unwrap_err();
    assert_eq!(disk.crash_synced_only().read("/file").unwrap(), b"written");
    fs.rename(path("/file"), path("/new")).unwrap_err();
    fs.create(path("/file")).unwrap_err();
    assert_eq!(disk.files(), ["/file", "/new"].map(Path::new));
    fs.lock(path("/LOCK"), LockKind::Exclusive).unwrap_err();
    fs.lock(path("/LOCK"), LockKind::Exclusive).unwrap();
}

#[test]
fn a_write_may_stop_in_the_middle() {
    let (disk, fs) = faulty();
    let file = fs.create(path("/file")).unwrap();
    fs.add_rule(Rule::nth(1).on(Operation::Write).after_bytes(3));
    file.write_at(b"written", 0).unwrap_err();
    assert_eq!(disk.read("/file").unwrap(), b"wri");
    // More than the write has is all of it; other calls have no middle.
    fs.add_rule(Rule::nth(1).on(Operation::Write).after_bytes(100));
    file.write_at(b"other", 0).unwrap_err();
    assert_eq!(disk.read("/file").unwrap(), b"other");
    fs.add_rule(Rule::nth(1).on(Operation::Remove).after_bytes(1));
    fs.remove(path("/file")).unwrap_err();
    assert_eq!(disk.files(), [path("/file")]);
}

#[test]
fn the_first_rule_that_strikes_says_how_and_all_count() {
    let (_, fs) = faulty();
    fs.add_rule(Rule::nth(2).error(ErrorKind::TimedOut));
    fs.add_rule(Rule::nth(2).error(ErrorKind::StorageFull));
    fs.add_rule(Rule::nth(3).error(ErrorKind::Interrupted));
    fs.list(path("/")).unwrap();
    assert_eq!(fs.list(path("/")).unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(fs.list(path("/")).unwrap_err().kind(), ErrorKind::Interrupted);
    fs.list(path("/")).unwrap();
}

#[test]
fn an_error_may_be_one_of_the_operating_system() {
    let (_, fs) = faulty();
    fs.add_rule(Rule::nth(1).os_error(5));
    assert_eq!(fs.list(path("/")).unwrap_err().raw_os_error(), Some(5));
}

#[test]
fn every_operation_can_fail() {
    let operations = [
        Operation::CreateDir,
        Operation::Create,
        Operation::Open,
        Operation::OpenWrite,
        Operation::Rename,
        Operation::Remove,
        Operation::List,
        Operation::SyncDir,
        Operation::Lock,
        Operation::Read,
        Operation::Write,
        Operation::Sync,
        Operation::Size,
        Operation::Allocate,
        Operation::Window,
    ];
    for operation in operations {
        let (disk, fs) = faulty();
        disk.write("/old", b"old").unwrap();
        let file = fs.open_write(path("/old")).unwrap();
        fs.add_rule(Rule::nth(1).on(operation));
        let results = [
            fs.create_dir(path("/dir")),
            fs.create(path("/new")).map(drop),
            fs.open(path("/old")).map(drop),
            fs.open_write(path("/old")).map(drop),
            file.read_at(&mut [0], 0).map(drop),
            file.write_at(b"x", 0),
            file.sync(),
            file.size_bytes().map(drop),
            file.allocate(10),
            file.window(0, 10).map(drop),
            fs.list(path("/")).map(drop),
            fs.sync_dir(path("/")),
            fs.lock(path("/LOCK"), LockKind::Exclusive).map(drop),
            fs.rename(path("/old"), path("/other")),
            fs.remove(path("/other")),
        ];
        let failed = results.iter().filter(|result| result.is_err()).count();
        // What is not renamed is not there to be removed.
        let expected = if operation == Operation::Rename { 2 } else { 1 };
        assert_eq!((failed, fs.faults()), (expected, 1), "{operation:?}");
    }
}

#[test]
fn when_the_power_is_off_nothing_works() {
    let (disk, fs) = faulty();
    let file = fs.create(path("/file")).unwrap();
    fs.power_off_at(2);
    file.write_at(b"1", 0).unwrap();
    file.size_bytes().unwrap();
    file.write_at(b"2", 0).unwrap_err();
    file.size_bytes().unwrap_err();
    fs.list(path("/")).unwrap_err();
    fs.create(path("/other")).unwrap_err();
    assert_eq!(disk.read("/file").unwrap(), b"1");
    fs.clear_rules();
    file.write_at(b"3", 0).unwrap();
}

/// The pattern of every crash test: a program, a power failure at each of its operations, every outcome.
#[test]
fn a_power_failure_at_each_operation_in_turn() {
    fn save(fs: &dyn Fs, bytes: &[u8]) -> std::io::Result<()> {
        // Left over from a save that was cut short.
        match fs.remove(path("/new")) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = fs.create(path("/new"))?;
        file.write_at(bytes, 0)?;
        file.sync()?;
        fs.rename(path("/new"), path("/state"))?;
        fs.sync_dir(path("/"))
    }

    let mut operations = 0;
    for nth in 1.. {
        let (disk, fs) = faulty();
        save(&fs, b"before").unwrap();
        fs.power_off_at(nth);
        let saved = save(&fs, b"after!");
        for seed in 0..50 {
            let crashed = disk.crash(seed);
            let state = crashed.read("/state").unwrap();
            if saved.is_ok() {
                assert_eq!(state, b"after!");
            } else {
                assert!(state == b"before" || state == b"after!", "{nth} {seed}");
            }
            save(&crashed, b"again").unwrap();
        }
        if saved.is_ok() {
            break;
        }
        operations = nth;
    }
    assert_eq!(operations, 6);
}

#[test]
fn the_trace_tells_what_was_called_in_order() {
    let (_, fs) = faulty();
    fs.list(path("/")).unwrap();
    assert_eq!(fs.trace(), []);
    fs.start_trace();
    let file = fs.create(path("/new")).unwrap();
    file.write_at(b"bytes", 7).unwrap();
    fs.rename(path("/new"), path("/state")).unwrap();
    fs.open(path("/none")).unwrap_err();
    fs.sync_dir(path("/")).unwrap();
    let trace = fs.trace();
    let short: Vec<_> = trace.iter().map(|(call, outcome)| (call.operation, *outcome)).collect();
    assert_eq!(
        short,
        [
            (Operation::Create, Outcome::Done),
            (Operation::Write, Outcome::Done),
            (Operation::Rename, Outcome::Done),
            (Operation::Open, Outcome::Failed),
            (Operation::SyncDir, Outcome::Done),
        ]
    );
    let (write, rename) = (&trace[1].0, &trace[2].0);
    assert_eq!((&*write.path, write.offset, write.size_bytes), (path("/new"), 7, 5));
    assert_eq!((&*rename.path, rename.to.as_deref()), (path("/new"), Some(path("/state"))));
    fs.start_trace();
    assert_eq!(fs.trace(), []);
}

#[test]
fn the_end_of_a_file_is_told_and_can_not_fail() {
    let (_, fs) = faulty();
    let file = fs.create(path("/file")).unwrap();
    let again = Arc::clone(&file);
    fs.add_rule(Rule::nth(1).from_then_on());
    fs.start_trace();
    let calls = fs.calls();
    drop(file);
    assert_eq!(fs.trace(), []);
    drop(again);
    let trace = fs.trace();
    assert_eq!(
        (trace[0].0.operation, &*trace[0].0.path, trace[0].1),
        (Operation::Close, path("/file"), Outcome::Done)
    );
    assert_eq!((fs.calls(), fs.faults()), (calls, 0));
    // It is no call that a rule counts.
    assert!(fs.list(path("/")).is_err());
    // A function may be the last to hold a file, and be replaced.
    fs.clear_rules();
    let held = fs.create(path("/held")).unwrap();
    fs.before_each_call(move |_| drop(held.size_bytes()));
    fs.before_each_call(|_| {});
}

#[test]
fn a_function_sees_each_call_before_it_happens() {
    let (disk, fs) = faulty();
    let crashes = Arc::new(Mutex::new(Vec::new()));
    fs.before_each_call({
        let (disk, crashes, fs) = (disk.clone(), Arc::clone(&crashes), fs.clone());
        move |call| {
            if call.operation.is_mutating() {
                // It may also ask the file system that calls it.
                let nth = fs.mutating_calls();
                crashes.lock().unwrap().push((nth, disk.crash_synced_only().files().len()));
            }
        }
    });
    fs.create(path("/file")).unwrap();
    fs.sync_dir(path("/")).unwrap();
    fs.list(path("/")).unwrap();
    fs.remove(path("/file")).unwrap();
    assert_eq!(*crashes.lock().unwrap(), [(1, 0), (2, 0), (3, 1)]);
}

#[test]
fn a_failed_sync_may_leave_pages_that_no_later_sync_writes() {
    let (disk, fs) = faulty();
    disk.write("/log", b"").unwrap();
    let log = fs.open_write(path("/log")).unwrap();
    fs.add_rule(Rule::nth(1).on(Operation::Sync));
    fs.before_each_call({
        let disk = disk.clone();
        let first = Mutex::new(true);
        move |call| {
            if call.operation == Operation::Sync && std::mem::take(&mut *first.lock().unwrap()) {
                disk.strand_unsynced(&*call.path).unwrap();
            }
        }
    });
    log.write_at(b"record", 0).unwrap();
    log.sync().unwrap_err();
    // A program that asks again is told that all is well, and it is not.
    log.sync().unwrap();
    assert_ne!(disk.crash_synced_only().read("/log").unwrap(), b"record");
}
