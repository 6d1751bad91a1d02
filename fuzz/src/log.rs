use std::path::Path;

use lsmkit_base::{Fault, SegmentId, coding};
use lsmkit_vfs::{Fs, MemFs};
use lsmkit_wal::testkit::forge::{frame, frame_header, segment_header};
use lsmkit_wal::{Log, SegmentedLog, salvage};

use crate::draw::Draw;

const DIR: &str = "/log";

/// The log: segments of frames and of anything else, with their checksums right, so that what they say gets past them.
///
/// A replay ends in records or in an error; a log that could be replayed can be written on, and shows the same again. A salvage gets through
/// whatever it is, and where it finds no hole, shows what a replay shows.
pub fn log(data: &[u8]) {
    let mut draw = Draw::new(data);
    let disk = MemFs::new();
    disk.create_dir(Path::new(DIR)).unwrap();
    let from = SegmentId(draw.number());
    for _ in 0..1 + draw.below(4) {
        let id = draw.number().min(1 << 62);
        let bytes = segment(id, &mut draw);
        disk.write(format!("{DIR}/{id:06}.log"), &bytes).unwrap();
    }
    let saved = salvaged(&disk, from);
    match replayed(&disk, from) {
        Ok((mut log, records)) => {
            if saved.is_ok_and(|(saved, is_whole)| is_whole && saved != records) {
                panic!("a salvage without a hole shows something else than a replay");
            }
            if let Err(fault) = log.append(&[b"after"]) {
                assert!(fault.is_unsupported(), "{fault}");
                return;
            }
            log.close().unwrap();
            let (_, again) = replayed(&disk, from).unwrap();
            let (last, before) = again.split_last().unwrap();
            assert!(last == b"after" && before == records, "a log shows something else the second time");
        }
        Err(fault) => assert!(fault.is_corrupt() || fault.is_unsupported(), "{fault}"),
    }
}

/// A segment file: a header, which may be none, and then frames and bytes.
fn segment(id: u64, draw: &mut Draw<'_>) -> Vec<u8> {
    let mut bytes = match draw.below(8) {
        0 => draw.bytes().to_vec(),
        shape => {
            let prev = (shape > 2).then(|| (draw.number(), draw.number()));
            let base = draw.number();
            let synced = if shape < 6 { draw.number().min(base) } else { draw.number() };
            segment_header(id, prev, base, synced)
        }
    };
    for _ in 0..draw.below(12) {
        let offset = bytes.len() as u64;
        match draw.below(4) {
            0 => bytes.extend_from_slice(draw.bytes()),
            1 => bytes.resize(bytes.len() + draw.below(100), 0),
            2 => {
                let (of, checksum) = (id.wrapping_add(draw.number()), coding::checksum(&[]));
                let (length, lag) = (draw.u32(), draw.u32() % (1 << 20));
                bytes.extend(frame_header(offset + draw.number() % 2, of, checksum, length, lag));
            }
            _ => {
                let payload = draw.bytes();
                bytes.extend(frame(offset, id, payload, draw.number()));
            }
        }
    }
    bytes
}

fn replayed(disk: &MemFs, from: SegmentId) -> Result<(SegmentedLog, Vec<Vec<u8>>), Fault> {
    let mut log = SegmentedLog::open(disk.shared(), Path::new(DIR))?;
    let mut records = Vec::new();
    log.replay(from, &mut |_, record| {
        records.push(record.to_vec());
        Ok(())
    })?;
    Ok((log, records))
}

fn salvaged(disk: &MemFs, from: SegmentId) -> Result<(Vec<Vec<u8>>, bool), Fault> {
    let mut records = Vec::new();
    let salvaged = salvage(disk, Path::new(DIR), Some(from), &mut |_, record| {
        records.push(record.to_vec());
        Ok(())
    })?;
    assert_eq!(salvaged.records, records.len() as u64);
    Ok((records, salvaged.holes.is_empty()))
}
