//! What is read of a log that replay refuses.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::path::Path;

use common::{DIR, disk, open, path};
use lsmkit_base::{Fault, SegmentId};
use lsmkit_vfs::{FaultFs, Fs, MemFs, Operation, Rule};
use lsmkit_wal::{Log, LogHandle, Salvaged, salvage, set_segment_aside};

fn salvaged_from(disk: &MemFs, from: Option<SegmentId>) -> Result<(Vec<(u64, String)>, Salvaged), Fault> {
    let mut records = Vec::new();
    let salvaged = salvage(disk, Path::new(DIR), from, &mut |segment, record| {
        records.push((segment.0, String::from_utf8(record.to_vec()).unwrap()));
        Ok(())
    })?;
    Ok((records, salvaged))
}

fn salvaged(disk: &MemFs) -> (Vec<(u64, String)>, Salvaged) {
    salvaged_from(disk, None).unwrap()
}

/// Three segments of three records each, all synced: `1.1`, `1.2` and so on.
fn log() -> MemFs {
    let disk = disk();
    let (mut log, _, _) = open(&disk).unwrap();
    for segment in 1..=3 {
        for record in 1..=3 {
            log.append(&[format!("{segment}.{record}").as_bytes()]).unwrap();
            log.handle().sync().unwrap();
        }
        log.rotate().unwrap();
    }
    log.close().unwrap();
    disk
}

fn all() -> Vec<(u64, String)> {
    (1..=3).flat_map(|segment| (1..=3).map(move |record| (segment, format!("{segment}.{record}")))).collect()
}

fn without(gone: &[&str]) -> Vec<(u64, String)> {
    all().into_iter().filter(|(_, record)| !gone.contains(&record.as_str())).collect()
}

/// Where the frame of a record begins: 16 bytes before it.
fn frame_of(disk: &MemFs, segment: u64, record: &str) -> usize {
    let bytes = disk.read(path(segment)).unwrap();
    bytes.windows(3).position(|window| window == record.as_bytes()).unwrap() - 16
}

fn change(disk: &MemFs, segment: u64, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = disk.read(path(segment)).unwrap();
    change(&mut bytes);
    disk.write(path(segment), &bytes).unwrap();
}

#[test]
fn a_sound_log_is_all_there() {
    let disk = log();
    let (records, found) = salvaged(&disk);
    assert_eq!(records, all());
    assert_eq!((found.records, found.holes, found.next), (9, vec![], SegmentId(4)));
    let (records, found) = salvaged_from(&disk, Some(SegmentId(3))).unwrap();
    assert_eq!((records, found.holes), (all()[6..].to_vec(), vec![]));
    // Nothing, nowhere.
    let (records, found) = salvaged(&common::disk());
    assert!(records.is_empty() && found.holes.is_empty());
}

#[test]
fn a_damaged_frame_is_passed_over() {
    for (at, what) in [(0, "header"), (17, "payload")] {
        let disk = log();
        let frame = frame_of(&disk, 2, "2.2");
        change(&disk, 2, |bytes| bytes[frame + at] ^= 1);
        assert!(open(&disk).is_err(), "{what}");
        let (records, found) = salvaged(&disk);
        assert_eq!(records, without(&["2.2"]), "{what}");
        let [hole] = &found.holes[..] else { panic!("{found:?}") };
        assert_eq!((hole.path.as_path(), hole.offset), (Path::new(&path(2)), frame as u64));
        assert_eq!((hole.size_bytes, hole.has_more_behind), (Some(19), true), "{what}");
    }
}

#[test]
fn a_damaged_segment_header_costs_no_record() {
    let disk = log();
    change(&disk, 2, |bytes| bytes[20] ^= 1);
    let (records, found) = salvaged(&disk);
    assert_eq!(records, all());
    assert_eq!(found.holes.len(), 1);
    assert_eq!((found.holes[0].offset, found.holes[0].size_bytes), (0, Some(64)));
}

#[test]
fn a_segment_that_is_gone_is_a_hole() {
    let disk = log();
    disk.remove(Path::new(&path(2))).unwrap();
    let (records, found) = salvaged(&disk);
    assert_eq!(records, without(&["2.1", "2.2", "2.3"]));
    let [hole] = &found.holes[..] else { panic!("{found:?}") };
    assert!(hole.path.ends_with("000002.log") && hole.what.contains("not there"), "{hole:?}");
    assert!(hole.is_missing && hole.has_more_behind && hole.size_bytes == Some(57), "{hole:?}");
    // Before the first that is wanted none is missed.
    assert_eq!(salvaged_from(&disk, Some(SegmentId(3))).unwrap().1.holes, []);
    let disk = log();
    disk.remove(Path::new(&path(1))).unwrap();
    assert_eq!(salvaged(&disk).1.holes, [], "none is told which was the first");
    assert_eq!(salvaged_from(&disk, Some(SegmentId(1))).unwrap().1.holes.len(), 1);
}

#[test]
fn a_cut_segment_is_a_hole_where_the_next_tells_its_end() {
    let disk = log();
    let frame = frame_of(&disk, 1, "1.3");
    change(&disk, 1, |bytes| bytes.truncate(frame + 5));
    let (records, found) = salvaged(&disk);
    assert_eq!(records, without(&["1.3"]));
    let [hole] = &found.holes[..] else { panic!("{found:?}") };
    assert_eq!((hole.offset, hole.size_bytes, hole.has_more_behind), (frame as u64, Some(19), true));
    // Of the last, whose trailer is cut as well, nothing tells.
    let disk = log();
    let frame = frame_of(&disk, 3, "3.3");
    change(&disk, 3, |bytes| bytes.truncate(frame));
    let (records, found) = salvaged(&disk);
    assert_eq!((records, found.holes), (without(&["3.3"]), vec![]));
}

#[test]
fn a_zeroed_block_costs_what_was_in_it() {
    let disk = log();
    let (from, to) = (frame_of(&disk, 1, "1.1"), frame_of(&disk, 1, "1.3"));
    change(&disk, 1, |bytes| bytes[from..to].fill(0));
    let (records, found) = salvaged(&disk);
    assert_eq!(records, without(&["1.1", "1.2"]));
    assert_eq!((found.holes[0].offset, found.holes[0].size_bytes), (64, Some((to - from) as u64)));
}

/// What a recovery found torn and went on from is of no log, and neither are segments that it abandoned.
#[test]
fn what_a_recovery_left_out_stays_out() {
    let disk = disk();
    let (mut log, _, _) = open(&disk).unwrap();
    log.append(&[b"1.1"]).unwrap();
    log.handle().sync().unwrap();
    log.append(&[b"1.2"]).unwrap();
    let disk = disk.kill();
    let torn = frame_of(&disk, 1, "1.2");
    change(&disk, 1, |bytes| bytes[torn + 17] ^= 1);
    let (mut log, records, _) = open(&disk).unwrap();
    assert_eq!(records, [b"1.1"]);
    log.append(&[b"2.1"]).unwrap();
    log.handle().sync().unwrap();
    let disk = disk.kill();
    // The bit flips back: the record is whole again, and of no log all the same.
    change(&disk, 1, |bytes| bytes[torn + 17] ^= 1);
    let (records, found) = salvaged(&disk);
    assert_eq!(records, [(1, "1.1".to_owned()), (2, "2.1".to_owned())]);
    assert_eq!(found.holes, []);
}

/// As in a replay, what lies between a segment and the one before it was abandoned, though that one be before the first that is wanted.
#[test]
fn what_a_segment_leaves_out_is_left_out() {
    let disk = disk();
    for (id, prev) in [(5, None), (6, Some((5, 0))), (8, Some((3, 0)))] {
        let base = if id == 6 { 19 } else { 0 };
        let mut bytes = common::segment_header(id, prev, base, 0);
        bytes.extend(common::frame(64, id, format!("{id}.1").as_bytes(), 1 << 30));
        disk.write(path(id), &bytes).unwrap();
    }
    let (_, replayed, _) = common::open_from(&disk, SegmentId(4)).unwrap();
    assert_eq!(replayed, [b"8.1"]);
    let (records, found) = salvaged_from(&disk, Some(SegmentId(4))).unwrap();
    assert_eq!((records, found.holes), (vec![(8, "8.1".to_owned())], vec![]));
}

/// Sectors that the device can't read are a hole, though what is left of the segment be zeros.
#[test]
fn what_cannot_be_read_is_a_hole() {
    for (operation, error, is_damage) in [(Operation::Read, 5, true), (Operation::Read, 12, false)] {
        let disk = disk();
        let (mut log, _, _) = open(&disk).unwrap();
        log.append(&[b"1.1"]).unwrap();
        log.handle().sync().unwrap();
        let disk = disk.kill();
        change(&disk, 1, |bytes| bytes.resize(20_000, 0));
        let fs = FaultFs::new(disk.shared());
        // The header comes first, then all at once, then sector by sector.
        for nth in 1..=3 {
            fs.add_rule(Rule::nth(nth).on(operation).os_error(error));
        }
        let salvaged = salvage(&fs, Path::new(DIR), None, &mut |_, _| Ok(()));
        if is_damage {
            let found = salvaged.unwrap();
            assert!(!found.holes.is_empty() && found.records == 0, "{found:?}");
        } else {
            assert!(!salvaged.unwrap_err().is_damage(), "memory may be there another time");
        }
    }
}

#[test]
fn a_segment_is_set_aside() {
    let disk = log();
    let aside = "/log/000002.log.torn";
    for _ in 0..2 {
        let set_aside = set_segment_aside(&disk, Path::new(DIR), SegmentId(2)).unwrap();
        assert_eq!(set_aside.unwrap(), Path::new(aside));
    }
    assert_eq!(set_segment_aside(&disk, Path::new(DIR), SegmentId(7)).unwrap(), None);
    assert_eq!(common::names(&disk).len(), 4, "{:?}", common::names(&disk));
    let left = disk.crash_synced_only();
    assert_eq!(left.read(aside).unwrap(), disk.read(path(2)).unwrap());
    assert_eq!(salvaged(&disk).0, all());
}

#[test]
fn a_later_format_is_refused() {
    let disk = log();
    let mut header = common::segment_header(4, Some((3, 0)), 1000, 0);
    header[8] = 2;
    let checksum = lsmkit_base::coding::checksum(&header[..60]);
    header[60..].copy_from_slice(&checksum.to_le_bytes());
    disk.write(path(4), &header).unwrap();
    assert!(salvaged_from(&disk, None).unwrap_err().is_unsupported());
}
