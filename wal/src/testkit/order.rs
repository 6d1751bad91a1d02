//! Laws of a log on a disk where nothing goes wrong.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;
use std::time::Duration;

use lsmkit_base::{Fault, SegmentId};
use lsmkit_vfs::{FaultFs, Fs, Operation};

use super::model::{DIR, Draw, disk, open_all, open_at};
use crate::{Log, LogHandle};

/// A log in an empty directory shows nothing, and can be synced and closed.
pub fn a_new_log_is_empty<L: Log>(open: impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>) {
    let disk = disk();
    let (mut log, records, replay) = open_at(&open, disk.shared(), SegmentId(0)).unwrap();
    assert!(records.is_empty() && replay.torn.is_none() && replay.size_bytes == 0);
    assert_eq!(log.size_bytes(), 0);
    log.append(&[]).unwrap();
    log.handle().sync().unwrap();
    log.discard_before(log.segment()).unwrap().run().unwrap();
    log.close().unwrap();
    log.close().unwrap();
    assert!(open_all(&open, disk.shared()).1.is_empty());
}

/// Every record comes back in order, from the segment it went to, over many segments and openings.
pub fn replay_gives_what_was_appended<L: Log>(open: impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>) {
    let disk = disk();
    let mut draw = Draw::new(1);
    let mut appended = Vec::new();
    for session in 0..8 {
        let (mut log, records, replay) = open_at(&open, disk.shared(), SegmentId(0)).unwrap();
        assert!(records == appended, "session {session}");
        assert_eq!(replay.torn, None, "session {session}");
        let payload_bytes: usize = appended.iter().map(|(_, record): &(_, Vec<u8>)| record.len()).sum();
        assert!(replay.size_bytes >= payload_bytes as u64 && log.size_bytes() >= replay.size_bytes);
        for group in 0..30_u64 {
            let group: Vec<_> = (0..=draw.below(4)).map(|i| format!("{session}.{group}.{i}")).collect();
            let records: Vec<_> = group.iter().map(String::as_bytes).collect();
            log.append(&records).unwrap();
            let segment = log.segment();
            appended.extend(group.into_iter().map(|record| (segment, record.into_bytes())));
            if draw.below(6) == 0 {
                let next = log.rotate().unwrap();
                assert!(next > segment && log.segment() == next);
            }
        }
        if session % 2 == 0 {
            log.close().unwrap();
        }
    }
}

/// Records of no byte and of five million come back, alone and in one group.
pub fn records_of_every_size_return<L: Log>(open: impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>) {
    let disk = disk();
    let mut draw = Draw::new(2);
    let sizes = [0, 1, 7, 100, 4_095, 4_096, 32_768, 65_535, 65_536, 70 << 10, 1 << 20, 5 << 20, 0, 3];
    let records: Vec<Vec<u8>> =
        sizes.iter().map(|&size| (0..size).map(|_| draw.below(256) as u8).collect()).collect();
    let group: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    let (mut log, _) = open_all(&open, disk.shared());
    for record in &group {
        log.append(&[record]).unwrap();
    }
    log.append(&group).unwrap();
    log.handle().sync().unwrap();
    let (_, replayed) = open_all(&open, disk.crash(2).shared());
    assert!(replayed == [records.clone(), records].concat());
}

/// A log can be opened and read where nothing can be written, and leaves no trace.
pub fn opening_and_replaying_write_nothing<L: Log>(open: impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>) {
    let disk = disk();
    for killed in 0..3 {
        let (mut log, records) = open_all(&open, disk.shared());
        assert_eq!(records.len(), 2 * killed);
        log.append(&[b"one"]).unwrap();
        log.rotate().unwrap();
        log.append(&[b"two"]).unwrap();
    }
    let watched = FaultFs::new(disk.shared());
    let (log, records) = open_all(&open, watched.shared());
    assert_eq!((records.len(), watched.mutating_calls()), (6, 0));
    drop(log);
    assert_eq!(watched.mutating_calls(), 0);
}

/// Rotating an empty segment gives its own number, and leads to no file.
pub fn a_segment_without_records_is_not_ended<L: Log>(open: impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>) {
    let disk = disk();
    let (mut log, _) = open_all(&open, disk.shared());
    let first = log.segment();
    assert_eq!((log.rotate().unwrap(), log.segment()), (first, first));
    log.append(&[b"one"]).unwrap();
    assert_eq!(log.segment(), first);
    let second = log.rotate().unwrap();
    assert!(second > first);
    assert_eq!((log.rotate().unwrap(), log.segment()), (second, second));
}

/// Replay begins at the segment it is told to, also one that was never written.
pub fn older_segments_are_not_read<L: Log>(open: impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>) {
    let disk = disk();
    let (mut log, _) = open_all(&open, disk.shared());
    let mut segments = Vec::new();
    for nth in 0..4_u8 {
        log.append(&[&[nth]]).unwrap();
        segments.push(log.segment());
        log.rotate().unwrap();
    }
    segments.push(log.segment());
    drop(log);
    for (nth, &from) in segments.iter().enumerate() {
        let (log, records, _) = open_at(&open, disk.shared(), from).unwrap();
        let shown: Vec<u8> = records.iter().map(|(_, record)| record[0]).collect();
        assert!(shown.iter().copied().eq(nth as u8..4), "from {from}: {shown:?}");
        assert!(log.segment() >= from);
    }
    let far = SegmentId(1_000);
    let (mut log, records, _) = open_at(&open, disk.shared(), far).unwrap();
    assert!(records.is_empty());
    log.append(&[b"far"]).unwrap();
    assert!(log.segment() >= far);
    drop(log);
    assert_eq!(open_at(&open, disk.shared(), far).unwrap().1.len(), 1);
}

/// Discarding gives room back, never touches the current segment, and can be repeated; segments that
/// a crash left over go with the next one.
pub fn discarded_segments_take_no_room<L: Log>(open: impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>) {
    let disk = disk();
    let (mut log, _) = open_all(&open, disk.shared());
    for _ in 0..5 {
        log.append(&[&[1; 10_000]]).unwrap();
        log.rotate().unwrap();
    }
    let keep = log.segment();
    log.append(&[b"kept"]).unwrap();
    let left_over = disk.kill();
    let before = (log.size_bytes(), disk.used_bytes());
    log.discard_before(keep).unwrap().run().unwrap();
    log.discard_before(keep).unwrap().run().unwrap();
    assert!(log.size_bytes() + 50_000 <= before.0 && disk.used_bytes() + 50_000 <= before.1);
    log.discard_before(SegmentId(u64::MAX)).unwrap().run().unwrap();
    log.append(&[b"kept too"]).unwrap();
    assert_eq!(open_at(&open, disk.shared(), keep).unwrap().1.len(), 2);

    let (mut log, records, _) = open_at(&open, left_over.shared(), keep).unwrap();
    assert_eq!(records.len(), 1);
    log.discard_before(keep).unwrap().run().unwrap();
    assert!(left_over.used_bytes() + 50_000 <= before.1, "{} bytes are left", left_over.used_bytes());
    assert_eq!(open_at(&open, left_over.shared(), keep).unwrap().1.len(), 1);
}

/// A number that was seen is never given again, whatever became of its segment.
pub fn numbers_are_not_used_twice<L: Log>(open: impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>) {
    let disk = disk();
    let mut from = SegmentId(0);
    let mut newest = SegmentId(0);
    for session in 0..20 {
        let (mut log, _, _) = open_at(&open, disk.shared(), from).unwrap();
        assert!(log.segment() > newest || session == 0, "session {session}: {}", log.segment());
        log.append(&[b"one"]).unwrap();
        newest = log.segment();
        if session % 3 == 0 {
            from = log.rotate().unwrap();
            log.discard_before(from).unwrap().run().unwrap();
            newest = SegmentId(from.0 - 1);
        }
    }
}

/// What the visitor returns as a fault is what replay returns.
pub fn a_fault_of_the_visitor_ends_the_replay<L: Log>(open: impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>) {
    let disk = disk();
    open_all(&open, disk.shared()).0.append(&[b"one", b"two", b"three"]).unwrap();
    let mut log = open(disk.shared(), Path::new(DIR)).unwrap();
    let mut shown = 0;
    let replayed = log.replay(SegmentId(0), &mut |_, _| {
        shown += 1;
        if shown == 2 { Err(Fault::io(Path::new("elsewhere"), io::Error::other("enough"))) } else { Ok(()) }
    });
    assert_eq!((replayed.unwrap_err().to_string().as_str(), shown), ("elsewhere: enough", 2));
}

/// A closed log refuses records, and its own are all durable.
pub fn a_closed_log_takes_nothing_more<L: Log>(open: impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>) {
    for rotated in [false, true] {
        let disk = disk();
        let (mut log, _) = open_all(&open, disk.shared());
        log.append(&[b"one"]).unwrap();
        if rotated {
            log.rotate().unwrap();
        }
        log.close().unwrap();
        assert!(log.append(&[b"two"]).is_err());
        log.close().unwrap();
        let crashed = disk.crash_synced_only();
        let (mut log, records, replay) = open_at(&open, crashed.shared(), SegmentId(0)).unwrap();
        assert_eq!((records.len(), replay.torn), (1, None));
        log.append(&[b"two"]).unwrap();
        assert_eq!(open_all(&open, crashed.shared()).1.len(), 2);
    }
}

/// While one thread waits for the disk, another appends; what it appends is synced by the next call.
pub fn appends_do_not_wait_for_a_sync<L: Log>(open: impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>) {
    let disk = disk();
    let faults = FaultFs::new(disk.shared());
    let (mut log, _) = open_all(&open, faults.shared());
    log.append(&[b"one"]).unwrap();
    let (entered, entry) = channel();
    let (release, held) = sync_channel::<()>(0);
    let held = std::sync::Mutex::new(Some(held));
    faults.before_each_call(move |call| {
        if call.operation == Operation::Sync
            && let Some(held) = held.lock().unwrap().take()
        {
            entered.send(()).unwrap();
            held.recv_timeout(Duration::from_secs(30)).expect("appends go on while a sync is under way");
        }
    });
    let handle = log.handle();
    thread::scope(|scope| {
        let waiting = scope.spawn(move || handle.sync());
        entry.recv_timeout(Duration::from_secs(30)).unwrap();
        log.append(&[b"two"]).unwrap();
        log.rotate().unwrap();
        log.append(&[b"three"]).unwrap();
        release.send(()).unwrap();
        waiting.join().unwrap().unwrap();
    });
    log.handle().sync().unwrap();
    assert_eq!(open_all(&open, disk.crash_synced_only().shared()).1.len(), 3);
}
