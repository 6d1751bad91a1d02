//! Room ahead of the records, mostly on a real disk.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lsmkit_base::SegmentId;
use lsmkit_vfs::{FaultFs, Fs, MemFs, Operation, StdFs};
use lsmkit_wal::{Log, LogHandle, Next, SegmentedLog};

fn open(dir: &Path) -> (SegmentedLog, Vec<Vec<u8>>) {
    let mut log = SegmentedLog::open(StdFs::shared(), dir).unwrap();
    let mut records = Vec::new();
    log.replay(SegmentId(1), &mut |_, record| {
        records.push(record.to_vec());
        Ok(())
    })
    .unwrap();
    (log, records)
}

/// The `n`-th record, of another length than its neighbours.
fn record(n: usize) -> Vec<u8> {
    let mut record = (n as u64).to_le_bytes().to_vec();
    record.resize(8 + n * 37 % 400, n as u8);
    record
}

fn file_bytes(dir: &Path, id: u64) -> u64 {
    std::fs::metadata(dir.join(format!("{id:06}.log"))).unwrap().len()
}

#[test]
fn what_was_copied_through_windows_and_what_was_written_return_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    let count = 20_000;
    for n in 0..count {
        // Now one way, now the other, for a while each; and some too long for a window.
        let next = if n / 700 % 3 == 1 { Next::Sync } else { Next::Append };
        let record = if n % 5_000 == 77 { vec![n as u8; 300 << 10] } else { record(n) };
        log.append_then(&[&record], next).unwrap();
        if n % 6_000 == 5_999 {
            log.rotate().unwrap();
        }
    }
    // As a killed process leaves it.
    drop(log);
    let (log, records) = open(dir.path());
    assert_eq!(records.len(), count);
    for (n, found) in records.iter().enumerate() {
        let expected = if n % 5_000 == 77 { vec![n as u8; 300 << 10] } else { record(n) };
        assert!(*found == expected, "record {n}");
    }
    drop(log);
}

#[test]
fn room_made_by_another_thread_is_as_good() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    let (handle, done) = (log.handle(), AtomicBool::new(false));
    let count = 60_000;
    let prepared = thread::scope(|scope| {
        let preparing = scope.spawn(|| {
            let mut times = 0;
            while !done.load(Ordering::Relaxed) {
                handle.prepare();
                times += 1;
                thread::yield_now();
            }
            times
        });
        let mut wanted = 0;
        for n in 0..count {
            let next = if n / 700 % 7 == 6 { Next::Sync } else { Next::Append };
            log.append_then(&[&record(n)], next).unwrap();
            wanted += usize::from(log.wants_preparing());
            if n % 25_000 == 24_999 {
                log.rotate().unwrap();
            }
        }
        done.store(true, Ordering::Relaxed);
        assert!(cfg!(not(target_os = "linux")) || wanted > 0, "nothing was ever wanted");
        preparing.join().unwrap()
    });
    assert!(prepared > 0);
    drop(log);
    let (_, records) = open(dir.path());
    assert_eq!(records.len(), count);
    assert!(records.iter().enumerate().all(|(n, found)| *found == record(n)));
}

#[test]
fn a_small_log_has_no_room_and_a_grown_one_little() {
    small_logs_have_no_room(|_| ());
}

#[test]
fn nor_has_one_that_is_prepared() {
    small_logs_have_no_room(|log| {
        if log.wants_preparing() {
            log.handle().prepare();
        }
    });
}

fn small_logs_have_no_room(after_append: impl Fn(&SegmentedLog)) {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    let mut longest = 0;
    let mut n = 0;
    while log.size_bytes() < 30 << 20 {
        log.append(&[&record(n)]).unwrap();
        after_append(&log);
        n += 1;
        let (size, room) = (log.size_bytes(), file_bytes(dir.path(), 1) - log.size_bytes());
        assert!(room == 0 || size >= 64 << 10, "{room} bytes of room in a segment of {size}");
        assert!(room <= (2 * size + (2 << 20)).min(40 << 20), "{room} bytes of room behind {size}");
        if n % 1000 == 0 && dir.path().join("000002.log").exists() {
            let next = file_bytes(dir.path(), 2);
            assert!(size >= 64 << 10 && next <= size + (1 << 20), "{next} bytes of the next, beside {size}");
        }
        longest = longest.max(room);
    }
    assert!(cfg!(not(target_os = "linux")) || longest > 0, "no room was ever made");
    log.handle().sync().unwrap();
    assert_eq!(open(dir.path()).1.len(), n);
}

/// In mapped memory this is a signal of which a process dies. Where there are no windows, it goes unnoticed.
#[cfg(target_os = "linux")]
#[test]
fn a_segment_made_shorter_by_others_fails_the_append_and_not_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    let mut n = 0;
    while log.size_bytes() < 1 << 20 {
        log.append(&[&record(n)]).unwrap();
        n += 1;
    }
    let file = std::fs::OpenOptions::new().write(true).open(dir.path().join("000001.log")).unwrap();
    file.set_len(512 << 10).unwrap();
    let fault = (0..20_000).find_map(|_| log.append(&[&record(n)]).err()).expect("a lost window is noticed");
    assert!(fault.to_string().contains("000001.log"), "{fault}");
    // For good: what of the log is on disk is not known any more.
    assert_eq!(log.append(&[b"more"]).unwrap_err().to_string(), fault.to_string());
    assert!(log.handle().sync().is_err());
    drop(log);
    let (_, records) = open(dir.path());
    assert!(!records.is_empty() && records.iter().enumerate().all(|(n, found)| *found == record(n)));
}

/// What windows show is written to the disk: little of it should be behind the end of a segment.
#[test]
fn few_windows_are_opened_behind_where_a_segment_is_likely_to_end() {
    let disk = MemFs::new();
    disk.create_dir(Path::new("/log")).unwrap();
    let fs = FaultFs::new(disk.shared());
    let mut log = SegmentedLog::open(fs.shared(), Path::new("/log")).unwrap();
    log.replay(SegmentId(1), &mut |_, _| Ok(())).unwrap();
    let handle = log.handle();
    let record = [7; 1000];
    for segment in 1..=3_u64 {
        fs.start_trace();
        while log.size_bytes() < segment * (24 << 20) {
            log.append(&[&record]).unwrap();
            if log.wants_preparing() {
                handle.prepare();
            }
        }
        let name = format!("{segment:06}.log");
        let windows = fs.trace().into_iter().map(|(call, _)| call).filter(|call| {
            call.operation == Operation::Window && call.path.file_name().is_some_and(|file| *file == *name)
        });
        let shown = windows.map(|call| call.offset + call.size_bytes).max().unwrap();
        let behind = shown - (24 << 20);
        // Of the first segment nobody knows where it will end.
        assert!(
            segment == 1 || behind < 1 << 20,
            "{behind} bytes are shown behind the end of segment {segment}"
        );
        log.rotate().unwrap();
    }
}
