//! What becomes of the files of a log.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use common::{DIR, disk, names, open, open_from, path, records};
use lsmkit_base::SegmentId;
use lsmkit_vfs::{FaultFs, Fs, MemFs, Operation, Rule, StdFs};
use lsmkit_wal::{
    Log, LogHandle, LogOptions, MAX_RECORD_BYTES, Purpose, SegmentEnd, SegmentHeader, SegmentReader,
    SegmentWriter, SegmentedLog,
};

#[test]
fn segments_are_created_by_the_first_append() {
    let disk = disk();
    let (mut log, _, _) = open(&disk).unwrap();
    assert!(names(&disk).is_empty());
    log.append(&[b"one"]).unwrap();
    assert_eq!(log.rotate().unwrap(), SegmentId(2));
    assert_eq!(names(&disk), ["000001.log"]);
    log.append(&[b"two"]).unwrap();
    assert_eq!(names(&disk), ["000001.log", "000002.log"]);
    drop(log);
    let (log, _, _) = open(&disk).unwrap();
    assert_eq!((log.segment(), names(&disk).len()), (SegmentId(3), 2));
}

/// A new log that makes room from its first record on, which it has.
fn with_room(fs: Arc<dyn Fs>, options: LogOptions) -> SegmentedLog {
    let mut log = SegmentedLog::open_with(fs, Path::new(DIR), options.room_from_bytes(0)).unwrap();
    log.replay(SegmentId(0), &mut |_, _| Ok(())).unwrap();
    log.append(&[b"one"]).unwrap();
    log
}

/// Such a log, with the file of the second segment ready.
fn with_the_next_file_ready(fs: Arc<dyn Fs>) -> SegmentedLog {
    let log = with_room(Arc::clone(&fs), LogOptions::new());
    assert!(log.wants_preparing());
    log.handle().prepare();
    assert_eq!(fs.list(Path::new(DIR)).unwrap().len(), 2);
    log
}

#[test]
fn the_file_of_the_next_segment_is_made_ahead() {
    let disk = disk();
    let mut log = with_the_next_file_ready(disk.shared());
    let room = disk.read(path(2)).unwrap();
    assert!(room.len() >= 64 << 10 && room.iter().all(|byte| *byte == 0));
    assert_eq!((log.segment(), log.size_bytes()), (SegmentId(1), 64 + 16 + 3));
    assert_eq!(log.rotate().unwrap(), SegmentId(2));
    log.append(&[b"two"]).unwrap();
    assert_eq!(names(&disk), ["000001.log", "000002.log"]);
    assert_eq!(records(&disk).unwrap(), [b"one", b"two"]);
    assert!(log.handle().sync().is_ok());
    assert_eq!(records(&disk.crash_synced_only()).unwrap(), [b"one", b"two"]);
}

/// Room is of use to windows alone.
#[test]
fn the_next_file_has_no_room_where_records_are_written_by_calls() {
    let disk = disk();
    let mut log = with_room(disk.shared(), LogOptions::new().windows(false));
    log.handle().prepare();
    assert!(disk.read(path(2)).unwrap().is_empty());
    log.rotate().unwrap();
    log.append(&[b"two"]).unwrap();
    assert_eq!(records(&disk).unwrap(), [b"one", b"two"]);
}

/// Where it can't be removed, it must not stand in the way of the segment that it was made for.
#[test]
fn a_file_made_ahead_that_stays_is_used() {
    let disk = disk();
    let faults = FaultFs::new(disk.shared());
    let mut log = with_the_next_file_ready(faults.shared());
    faults.add_rule(Rule::nth(1).on(Operation::Remove));
    log.handle().give_back();
    assert_eq!(names(&disk), ["000001.log", "000002.log"]);
    log.rotate().unwrap();
    log.append(&[b"two"]).unwrap();
    assert_eq!(records(&disk).unwrap(), [b"one", b"two"]);
}

/// What was written to a file without a name would be lost.
#[test]
fn a_file_made_ahead_that_goes_with_an_error_is_not_used() {
    let disk = disk();
    let faults = FaultFs::new(disk.shared());
    let mut log = with_the_next_file_ready(faults.shared());
    faults.add_rule(Rule::nth(1).on(Operation::Remove).after_effect());
    log.handle().give_back();
    assert_eq!(names(&disk), ["000001.log"]);
    log.rotate().unwrap();
    log.append(&[b"two"]).unwrap();
    log.handle().sync().unwrap();
    assert_eq!(records(&disk.crash_synced_only()).unwrap(), [b"one", b"two"]);
}

/// However long the records: the first append to the next segment would wait for its file.
#[test]
fn the_next_file_is_made_beside_large_records_too() {
    let disk = disk();
    let (mut log, _, _) = open(&disk).unwrap();
    for _ in 0..2 {
        log.append(&[&[7; 600 << 10]]).unwrap();
    }
    assert!(log.wants_preparing());
    log.handle().prepare();
    assert_eq!(names(&disk), ["000001.log", "000002.log"]);
}

#[test]
fn nothing_is_made_for_a_log_that_a_fault_has_ended() {
    let disk = disk();
    let faults = FaultFs::new(disk.shared());
    let log = with_room(faults.shared(), LogOptions::new());
    faults.add_rule(Rule::nth(1).on(Operation::Sync));
    assert!(log.handle().sync().is_err());
    log.handle().prepare();
    assert_eq!(names(&disk), ["000001.log"]);
}

#[test]
fn a_file_made_ahead_and_not_needed_goes() {
    let disk = disk();
    let mut log = with_the_next_file_ready(disk.shared());
    log.close().unwrap();
    assert_eq!(names(&disk), ["000001.log"]);
    log.handle().prepare();
    assert_eq!(names(&disk), ["000001.log"], "nothing is made for a closed log");
    // Nor does one stay whose first record found no room.
    let full = self::disk();
    let mut log = with_the_next_file_ready(full.shared());
    log.rotate().unwrap();
    full.set_capacity_bytes(full.used_bytes());
    assert!(log.append(&[&[1; 1 << 20]]).unwrap_err().is_full_disk());
    full.set_capacity_bytes(u64::MAX);
    log.close().unwrap();
    assert_eq!(names(&full), ["000001.log"]);
    assert_eq!(records(&full).unwrap(), [b"one"]);
    // Where the process was killed, or power failed, with the first record that is written to another.
    let killed = self::disk();
    drop(with_the_next_file_ready(killed.shared()));
    for seed in 0..20 {
        let crashed = killed.crash(seed);
        let (mut log, _, _) = open(&crashed).unwrap();
        log.append(&[b"next"]).unwrap();
        for name in names(&crashed) {
            let bytes = crashed.read(format!("{DIR}/{name}")).unwrap();
            assert!(bytes.iter().any(|byte| *byte != 0), "{name} is left, seed {seed}");
        }
    }
    let (mut log, found, replay) = open(&killed).unwrap();
    assert_eq!((found, replay.torn), (vec![b"one".to_vec()], None));
    log.append(&[b"next"]).unwrap();
    assert_eq!(names(&killed), ["000001.log", "000003.log"]);
}

#[test]
fn a_file_made_ahead_gives_its_room_back_where_there_is_none() {
    let disk = disk();
    let mut log = with_the_next_file_ready(disk.shared());
    let room = disk.read(path(2)).unwrap().len() as u64;
    disk.set_capacity_bytes(disk.used_bytes());
    let long = vec![1; room as usize / 2];
    // More than what is set aside behind the record of the first segment.
    let fault = (0..100).find_map(|_| log.append(&[&long]).err()).expect("there is an end to it");
    assert!(fault.is_full_disk());
    assert_eq!(names(&disk), ["000001.log"]);
    log.append(&[&long]).unwrap();
    // Nor is there one where there is no room for it.
    disk.set_capacity_bytes(u64::MAX);
    log.rotate().unwrap();
    log.append(&[b"two"]).unwrap();
    disk.set_capacity_bytes(disk.used_bytes());
    log.handle().prepare();
    assert_eq!(names(&disk), ["000001.log", "000002.log"]);
    log.rotate().unwrap();
    assert!(log.append(&[b"three"]).unwrap_err().is_full_disk());
    disk.set_capacity_bytes(u64::MAX);
    log.append(&[b"three"]).unwrap();
    assert_eq!(records(&disk).unwrap().last().unwrap(), b"three");
}

/// pebble#1212: a crash just after a recovery created a new log, and the old torn tail looked corrupt.
#[test]
fn a_torn_tail_stays_torn_through_crash_after_crash() {
    let mut disk = disk();
    let (mut log, _, _) = open(&disk).unwrap();
    log.append(&[b"one"]).unwrap();
    log.handle().sync().unwrap();
    log.append(&[b"torn"]).unwrap();
    drop(log);
    let bytes = disk.read(path(1)).unwrap();
    disk.write(path(1), &bytes[..bytes.len() - 2]).unwrap();
    for life in 1..10_usize {
        let (mut log, records, replay) = open(&disk).unwrap();
        assert_eq!(records.len(), life);
        let torn = replay.torn.map(|torn| (torn.path, torn.offset, torn.size_bytes));
        let expected = (Path::new(&path(1)).to_path_buf(), 83, 18);
        assert_eq!(torn, (life == 1).then_some(expected), "life {life}");
        log.append(&[b"again"]).unwrap();
        if life % 2 == 0 {
            log.handle().sync().unwrap();
            disk = disk.crash_synced_only();
        } else {
            disk = disk.kill();
        }
    }
    let (mut log, _, _) = open(&disk).unwrap();
    log.discard_before(SegmentId(5)).unwrap().run().unwrap();
    assert_eq!(names(&disk)[0], "000001.log.torn", "what was doubtful is kept");
    assert_eq!(disk.read(format!("{DIR}/000001.log.torn")).unwrap(), bytes[..bytes.len() - 2]);
    assert_eq!(names(&disk)[1], "000005.log");
}

/// A segment that replay left out is taken out of the way before there is a new one.
#[test]
fn abandoned_segments_are_set_aside() {
    let disk = disk();
    let (mut log, _, _) = open(&disk).unwrap();
    log.append(&[b"one"]).unwrap();
    log.rotate().unwrap();
    log.append(&[b"two"]).unwrap();
    log.rotate().unwrap();
    log.append(&[b"three"]).unwrap();
    drop(log);
    // Lost, as nothing was synced.
    disk.remove(Path::new(&path(2))).unwrap();
    disk.write(path(4), &[]).unwrap();
    disk.write(path(5), &[0; 100]).unwrap();
    let (log, records, replay) = open(&disk).unwrap();
    assert_eq!(records, [b"one"]);
    let torn = replay.torn.unwrap();
    assert_eq!((torn.path.as_path(), torn.offset, torn.size_bytes), (Path::new(&path(2)), 0, 0));
    assert_eq!(names(&disk).len(), 4, "reading changes nothing");
    drop(log);
    let faults = FaultFs::new(disk.shared());
    let mut log = SegmentedLog::open(faults.shared(), Path::new(DIR)).unwrap();
    log.replay(SegmentId(0), &mut |_, _| Ok(())).unwrap();
    faults.start_trace();
    log.append(&[b"four"]).unwrap();
    let operations: Vec<_> = faults.trace().into_iter().map(|(call, _)| call.operation).collect();
    let durable = operations.iter().position(|&operation| operation == Operation::SyncDir).unwrap();
    let renamed = operations.iter().position(|&operation| operation == Operation::Rename).unwrap();
    let created = operations.iter().position(|&operation| operation == Operation::Create).unwrap();
    assert!(renamed < durable && durable < created, "{operations:?}");
    assert_eq!(names(&disk), ["000001.log", "000003.log.torn", "000006.log"]);
    drop(log);
    let (_, records, replay) = open(&disk).unwrap();
    assert_eq!((records, replay.torn), (vec![b"one".to_vec(), b"four".to_vec()], None));
}

/// A number is taken for ever, also by a file that only a user can remove.
#[test]
fn the_numbers_of_set_aside_segments_are_not_used_again() {
    let disk = disk();
    disk.write(format!("{DIR}/000009.log.torn"), b"doubtful").unwrap();
    assert_eq!(open(&disk).unwrap().0.segment(), SegmentId(10));
}

/// Also a segment that was left over, and is discarded without ever having been replayed.
#[test]
fn a_torn_segment_before_the_floor_is_set_aside() {
    let disk = disk();
    let (mut log, _, _) = open(&disk).unwrap();
    for nth in 1..4_u8 {
        log.append(&[&[nth; 50], &[nth; 50]]).unwrap();
        log.rotate().unwrap();
    }
    log.append(&[b"kept"]).unwrap();
    drop(log);
    let bytes = disk.read(path(2)).unwrap();
    disk.write(path(2), &bytes[..bytes.len() - 1]).unwrap();
    disk.write(path(3), &bytes).unwrap();
    let floor = SegmentId(4);
    let (mut log, records, _) = open_from(&disk, floor).unwrap();
    assert_eq!(records.len(), 1);
    log.discard_before(floor).unwrap().run().unwrap();
    assert_eq!(names(&disk), ["000002.log.torn", "000003.log.torn", "000004.log"]);
}

/// A failed append whose remains could not be taken away at once must not outlive the segment's end.
#[test]
fn a_segment_is_not_ended_with_the_remains_of_a_failed_append() {
    let disk = disk();
    let faults = FaultFs::new(disk.shared());
    let mut log = SegmentedLog::open(faults.shared(), Path::new(DIR)).unwrap();
    log.replay(SegmentId(0), &mut |_, _| Ok(())).unwrap();
    log.append(&[b"one"]).unwrap();
    let write = |nth| Rule::nth(nth).on(Operation::Write).error(ErrorKind::StorageFull);
    faults.add_rule(write(1).after_effect());
    faults.add_rule(write(2));
    assert!(log.append(&[b"failed"]).unwrap_err().is_full_disk());
    faults.add_rule(write(1));
    assert!(log.rotate().unwrap_err().is_full_disk());
    assert_eq!(log.rotate().unwrap(), SegmentId(2));
    assert_eq!(records(&disk).unwrap(), [b"one"]);
}

/// The disk may have taken a failed append before it was taken away again, and lose the one after it.
#[test]
fn a_power_failure_does_not_bring_a_failed_append_back() {
    for shift in 0..100_u64 {
        let disk = disk();
        // What a crash leaves of a file depends on how many were created before.
        (0..shift).for_each(|nth| disk.write(format!("/{nth}"), b"").unwrap());
        let faults = FaultFs::new(disk.shared());
        let mut log = SegmentedLog::open(faults.shared(), Path::new(DIR)).unwrap();
        log.replay(SegmentId(0), &mut |_, _| Ok(())).unwrap();
        log.append(&[b"before"]).unwrap();
        log.handle().sync().unwrap();
        faults.add_rule(Rule::nth(1).on(Operation::Write).error(ErrorKind::StorageFull).after_effect());
        assert!(log.append(&[b"fail 1", b"fail 2"]).unwrap_err().is_full_disk());
        log.append(&[b"after!"]).unwrap();
        for seed in 0..20 {
            let records = records(&disk.crash(seed)).unwrap();
            assert!(
                [&b"before"[..], b"after!"]
                    .starts_with(&records.iter().map(Vec::as_slice).collect::<Vec<_>>())
            );
        }
    }
}

#[test]
fn the_trailer_of_a_closed_log_is_durable() {
    let disk = disk();
    let (mut log, _, _) = open(&disk).unwrap();
    log.append(&[b"one"]).unwrap();
    log.close().unwrap();
    let crashed = disk.crash_synced_only();
    let path = path(1);
    let mut reader = SegmentReader::open(&crashed, Path::new(&path), Purpose::Log, SegmentId(1)).unwrap();
    while reader.next().unwrap().is_some() {}
    assert_eq!(reader.end(), SegmentEnd::Trailer);
}

/// Whoever forgot which segments were discarded is told, rather than given a part of the log.
#[test]
fn a_replay_from_before_the_floor_does_not_pass_silently() {
    let disk = disk();
    let (mut log, _, _) = open(&disk).unwrap();
    log.append(&[b"one"]).unwrap();
    let keep = log.rotate().unwrap();
    log.append(&[b"two"]).unwrap();
    log.discard_before(keep).unwrap().run().unwrap();
    assert_eq!(open(&disk).unwrap().2.torn.unwrap().path, Path::new(&path(1)));
    log.handle().sync().unwrap();
    log.append(&[b"three"]).unwrap();
    assert!(records(&disk).is_err());
    assert_eq!(open_from(&disk, keep).unwrap().1.len(), 2);
}

/// A log that begins anew in front of one that is there is not taken for the whole of it.
#[test]
fn a_floor_that_went_back_does_not_hide_older_segments() {
    let disk = disk();
    let (mut log, _, _) = open(&disk).unwrap();
    log.append(&[b"one"]).unwrap();
    drop(log);
    let (mut log, _, _) = open_from(&disk, SegmentId(9)).unwrap();
    log.append(&[b"nine"]).unwrap();
    assert!(records(&disk).is_err());
}

#[test]
fn a_failed_sync_of_the_directory_ends_the_log() {
    let disk = disk();
    let faults = FaultFs::new(disk.shared());
    let mut log = SegmentedLog::open(faults.shared(), Path::new(DIR)).unwrap();
    log.replay(SegmentId(0), &mut |_, _| Ok(())).unwrap();
    log.append(&[b"one"]).unwrap();
    faults.add_rule(Rule::nth(1).on(Operation::SyncDir).error(ErrorKind::StorageFull));
    let fault = log.handle().sync().unwrap_err();
    assert!(!fault.is_full_disk());
    assert_eq!(log.append(&[b"two"]).unwrap_err().to_string(), fault.to_string());
}

/// What a killed process wrote is synced by the first sync of the next, before anything is said of it.
#[test]
fn recovered_segments_are_synced_too() {
    let disk = disk();
    let (mut log, _, _) = open(&disk).unwrap();
    log.append(&[b"one"]).unwrap();
    log.rotate().unwrap();
    log.append(&[b"two"]).unwrap();
    for log_is_appended_to in [false, true] {
        let killed = disk.kill();
        let (mut log, _, _) = open(&killed).unwrap();
        if log_is_appended_to {
            log.append(&[b"three"]).unwrap();
        }
        log.handle().sync().unwrap();
        let expected = 2 + usize::from(log_is_appended_to);
        assert_eq!(records(&killed.crash_synced_only()).unwrap().len(), expected);
    }
    let (mut log, _, _) = open(&disk).unwrap();
    log.close().unwrap();
    assert_eq!(records(&disk.crash_synced_only()).unwrap().len(), 2);
}

/// Removing what is not needed any more may be what makes room again.
#[test]
fn a_full_disk_can_be_opened_and_discarded_from() {
    let disk = disk();
    let (mut log, _, _) = open(&disk).unwrap();
    log.append(&[&[1; 5_000]]).unwrap();
    log.rotate().unwrap();
    log.append(&[b"kept"]).unwrap();
    disk.set_capacity_bytes(0);
    let (mut log, records, _) = open(&disk).unwrap();
    assert_eq!(records.len(), 2);
    assert!(log.append(&[b"more"]).unwrap_err().is_full_disk());
    assert_eq!(names(&disk), ["000001.log", "000002.log", "000003.log"]);
    log.discard_before(SegmentId(2)).unwrap().run().unwrap();
    disk.set_capacity_bytes(disk.used_bytes() + 4096);
    log.append(&[b"more"]).unwrap();
    log.handle().sync().unwrap();
    assert_eq!(names(&disk), ["000002.log", "000003.log"]);
    let crashed = disk.crash_synced_only();
    assert_eq!(open_from(&crashed, SegmentId(2)).unwrap().1, [b"kept".to_vec(), b"more".to_vec()]);
}

#[test]
fn a_failed_discard_can_be_repeated() {
    let disk = disk();
    let faults = FaultFs::new(disk.shared());
    let mut log = SegmentedLog::open(faults.shared(), Path::new(DIR)).unwrap();
    log.replay(SegmentId(0), &mut |_, _| Ok(())).unwrap();
    for _ in 0..3 {
        log.append(&[b"one"]).unwrap();
        log.rotate().unwrap();
    }
    faults.add_rule(Rule::nth(2).on(Operation::Remove));
    assert!(log.discard_before(SegmentId(4)).unwrap().run().is_err());
    log.append(&[b"two"]).unwrap();
    log.discard_before(SegmentId(4)).unwrap().run().unwrap();
    assert_eq!(names(&disk), ["000004.log"]);
}

#[test]
fn a_record_too_long_is_refused_and_the_log_goes_on() {
    let disk = disk();
    let (mut log, _, _) = open(&disk).unwrap();
    // Never touched, so that no memory stands behind it.
    let long = vec![0; MAX_RECORD_BYTES + 1];
    assert!(log.append(&[b"one", &long]).is_err());
    assert!(names(&disk).is_empty());
    log.append(&[b"two"]).unwrap();
    assert_eq!(records(&disk).unwrap(), [b"two"]);
}

#[test]
fn a_log_on_a_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    for life in 0..4_u64 {
        let mut log = SegmentedLog::open(StdFs::shared(), dir.path()).unwrap();
        let replay = log.replay(SegmentId(0), &mut |_, _| Ok(())).unwrap();
        assert_eq!((replay.records, replay.torn), (life * 101, None));
        for nth in 0..100_u8 {
            log.append(&[&vec![nth; usize::from(nth) * 1_000]]).unwrap();
            if nth % 40 == 0 {
                log.handle().sync().unwrap();
                log.rotate().unwrap();
            }
        }
        log.append(&[b"last"]).unwrap();
        if life % 2 == 0 {
            log.close().unwrap();
        }
    }
}

/// The parts of a log serve a single file as well.
#[test]
fn one_file_written_resumed_and_read() {
    let disk = MemFs::new();
    let path = Path::new("/MANIFEST-000001");
    let id = SegmentId(1);
    let header = SegmentHeader { purpose: Purpose::Manifest, id, prev: None, base: 0, synced: 0 };
    let mut writer = SegmentWriter::create(&disk, path, header).unwrap();
    writer.append(&[b"one", b"two"], 0).unwrap();
    writer.file().sync().unwrap();
    writer.trailer().unwrap();
    assert_eq!(writer.position(), 38 + 2 * 16 + 4096);

    let read = || {
        let mut reader = SegmentReader::open(&disk, path, Purpose::Manifest, id).unwrap();
        assert_eq!((reader.header(), reader.end()), (Some(&header), SegmentEnd::Open));
        let mut records = 0;
        while reader.next().unwrap().is_some() {
            records += 1;
        }
        (records, reader)
    };
    let (records, reader) = read();
    assert_eq!((records, reader.end(), reader.synced()), (2, SegmentEnd::Trailer, 38));
    assert_eq!((reader.end_offset(), reader.position()), (writer.end_offset(), writer.position()));

    let mut writer = SegmentWriter::resume(&disk, path, header, reader.end_offset()).unwrap();
    writer.append(&[b"three"], reader.synced()).unwrap();
    let (records, reader) = read();
    assert_eq!((records, reader.end(), reader.position()), (3, SegmentEnd::Whole, writer.position()));

    let bytes = disk.read(path).unwrap();
    disk.write(path, &bytes[..bytes.len() - 1]).unwrap();
    let (records, reader) = read();
    assert_eq!((records, reader.end()), (2, SegmentEnd::Torn { size_bytes: 20 }));
}
