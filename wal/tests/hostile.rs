//! Bytes made to harm, with their checksums right.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::path::Path;

use common::{disk, frame, frame_header, open, path, records, segment_header};
use lsmkit_base::{SegmentId, coding};
use lsmkit_wal::{Log, Purpose, SegmentReader};
use proptest::prelude::*;

/// A part of a segment file.
#[derive(Clone, Debug)]
enum Part {
    Bytes(Vec<u8>),
    Frame { payload: Vec<u8>, lag_bytes: u64 },
    Header { segment: u64, checksum: u32, length: u32, lag: u32, shift: u64 },
}

fn part() -> impl Strategy<Value = Part> {
    let number = || prop_oneof![0..200_u32, any::<u32>(), Just(u32::MAX), Just(1 << 31)];
    let bytes = || prop::collection::vec(any::<u8>(), 0..60);
    let header = |(segment, length, lag, shift)| Part::Header {
        segment,
        checksum: coding::checksum(&[]),
        length,
        lag,
        shift,
    };
    prop_oneof![
        bytes().prop_map(Part::Bytes),
        (0..100_usize).prop_map(|len| Part::Bytes(vec![0; len])),
        (bytes(), number()).prop_map(|(payload, lag)| Part::Frame { payload, lag_bytes: u64::from(lag) }),
        (prop_oneof![4 => Just(1), 1 => any::<u64>()], number(), 0..1_u32 << 20, 0..2_u64).prop_map(header),
    ]
}

fn file(header: Vec<u8>, parts: &[Part]) -> Vec<u8> {
    let mut bytes = header;
    for part in parts {
        let offset = bytes.len() as u64;
        match part {
            Part::Bytes(part) => bytes.extend_from_slice(part),
            Part::Frame { payload, lag_bytes } => bytes.extend(frame(offset, 1, payload, *lag_bytes)),
            &Part::Header { segment, checksum, length, lag, shift } => {
                bytes.extend(frame_header(offset + shift, segment, checksum, length, lag));
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Replay, and all that follows it, copes with any segment; the leading frames are read.
    #[test]
    fn any_segment(
        parts in prop::collection::vec(part(), 0..8),
        base in prop_oneof![Just(0), Just(1 << 62), any::<u64>()],
        synced: u64,
        prev in prop_oneof![Just(None), any::<(u64, u64)>().prop_map(Some)],
        headless: bool,
    ) {
        let disk = disk();
        let header = if headless { vec![0xff; 64] } else { segment_header(1, prev, base, synced.min(base)) };
        disk.write(path(1), &file(header, &parts)).unwrap();
        match open(&disk) {
            Ok((mut log, records, _)) => {
                let whole = parts.iter().map_while(|part| match part {
                    Part::Frame { payload, .. } => Some(payload),
                    _ => None,
                });
                prop_assert!(records.iter().zip(whole).all(|(a, b)| a == b));
                if let Err(fault) = log.append(&[b"after"]) {
                    prop_assert!(fault.is_unsupported() && base >= 1 << 62, "{fault}");
                    return Ok(());
                }
                log.close().unwrap();
                let again = common::records(&disk).unwrap();
                prop_assert_eq!(again.split_last().unwrap(), (&b"after".to_vec(), &records[..]));
            }
            Err(fault) => prop_assert!(fault.is_corrupt(), "{fault}"),
        }
    }

    /// Chains that lead anywhere end in a log or a fault.
    #[test]
    fn any_chain(
        headers in prop::collection::vec(
            (1..6_u64, prop::option::of((0..6_u64, 0..100_u64)), 0..100_u64, 0..100_u64),
            0..6,
        ),
        from in 0..6_u64,
    ) {
        let disk = disk();
        for (id, prev, base, synced) in headers {
            let mut bytes = segment_header(id, prev, base, synced);
            bytes.extend(frame(64, id, &[id as u8; 20], 0));
            disk.write(path(id), &bytes).unwrap();
        }
        match common::open_from(&disk, SegmentId(from)) {
            Ok((mut log, records, _)) => {
                log.append(&[b"after"]).unwrap();
                log.close().unwrap();
                let (_, again, _) = common::open_from(&disk, SegmentId(from)).unwrap();
                prop_assert_eq!(again.split_last().unwrap(), (&b"after".to_vec(), &records[..]));
            }
            Err(fault) => prop_assert!(fault.is_corrupt(), "{fault}"),
        }
    }

    #[test]
    fn any_bytes(bytes: Vec<u8>) {
        let disk = disk();
        disk.write(path(1), &bytes).unwrap();
        let (_, _, replay) = open(&disk).unwrap();
        prop_assert_eq!(replay.records, 0);
        let opened = SegmentReader::open(&disk, Path::new(&path(1)), Purpose::Manifest, SegmentId(1));
        prop_assert!(opened.unwrap().next().unwrap().is_none());
    }
}

/// A length that the file has no room for asks for no memory: the whole test would not fit.
#[test]
fn lengths_beyond_the_file() {
    let disk = disk();
    for length in [1, 1 << 20, (1 << 31) - 1, (1 << 31) + 1, u32::MAX] {
        let mut bytes = segment_header(1, None, 0, 0);
        bytes.extend(frame_header(64, 1, coding::checksum(b""), length, 0));
        disk.write(path(1), &bytes).unwrap();
        assert!(records(&disk).unwrap().is_empty());
    }
}

#[test]
fn numbers_that_leave_no_next() {
    for id in [u64::MAX, u64::MAX - 1, (1 << 62) + 1] {
        let disk = disk();
        disk.write(path(id), b"").unwrap();
        assert!(matches!(open(&disk), Err(fault) if fault.is_corrupt()), "{id}");
        assert!(
            matches!(common::open_from(&common::disk(), SegmentId(id)), Err(fault) if fault.is_corrupt()),
            "{id}"
        );
    }
    let disk = disk();
    disk.write(path((1 << 62) - 1), b"").unwrap();
    let (mut log, _, _) = open(&disk).unwrap();
    log.append(&[b"one"]).unwrap();
    assert_eq!(log.segment(), SegmentId(1 << 62));
    log.rotate().unwrap();
    assert!(matches!(log.append(&[b"two"]), Err(fault) if fault.is_unsupported()));
}
