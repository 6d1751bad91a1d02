//! Logs whose bytes are not what was written: the right records or an error, never anything else.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::path::Path;

use common::{DIR, disk, frame, names, open, path, records, segment_header};
use lsmkit_vfs::{Fs, MemFs};
use lsmkit_wal::{Log, LogHandle, SegmentEnd};
use lsmkit_wal::{Purpose, SegmentReader};

const BLOCK: usize = 4096;

/// A log of three segments with `count` records each of about `size` bytes.
fn written(count: u32, size: usize) -> (MemFs, Vec<Vec<u8>>) {
    let disk = disk();
    let mut appended = Vec::new();
    let (mut log, _, _) = open(&disk).unwrap();
    for segment in 0..3_u32 {
        for nth in 0..count {
            let mut record = format!("{segment}.{nth}").into_bytes();
            // Not the same in each block, so that swapped blocks differ.
            record.extend((0..size as u32).map(|i| (i * 31 + nth * 17 + segment) as u8));
            log.append(&[&record]).unwrap();
            appended.push(record);
            if nth % 3 == 1 {
                log.handle().sync().unwrap();
            }
        }
        if segment < 2 {
            log.rotate().unwrap();
        }
    }
    log.handle().sync().unwrap();
    (disk, appended)
}

fn closed(count: u32, size: usize) -> (MemFs, Vec<Vec<u8>>) {
    let (disk, mut appended) = written(count, size);
    let (mut log, _, _) = open(&disk).unwrap();
    log.append(&[b"last"]).unwrap();
    appended.push(b"last".to_vec());
    log.close().unwrap();
    (disk, appended)
}

fn files(disk: &MemFs) -> Vec<(String, Vec<u8>)> {
    names(disk)
        .iter()
        .map(|name| format!("{DIR}/{name}"))
        .map(|at| (at.clone(), disk.read(&at).unwrap()))
        .collect()
}

/// The log with one file changed.
fn changed(disk: &MemFs, path: &str, bytes: &[u8]) -> MemFs {
    let changed = disk.kill();
    changed.write(path, bytes).unwrap();
    changed
}

fn all_or_corrupt(disk: &MemFs, expected: &[Vec<u8>], context: &str) -> bool {
    match records(disk) {
        Ok(records) => {
            assert!(records == expected, "{context}: {} of {} records", records.len(), expected.len());
            true
        }
        Err(fault) if fault.is_corrupt() => false,
        Err(fault) => panic!("{context}: {fault}"),
    }
}

#[test]
fn every_bit_of_a_closed_log() {
    let (disk, expected) = closed(4, 10);
    let mut read = 0;
    for (path, bytes) in files(&disk) {
        for bit in 0..bytes.len() * 8 {
            // One bit in each byte of the padding is enough.
            if bytes.len() > BLOCK && (bit / 8) % BLOCK > 200 && bit % 8 != bit / 8 % 8 {
                continue;
            }
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let context = format!("{path}, bit {bit}");
            read += u32::from(all_or_corrupt(&changed(&disk, &path, &flipped), &expected, &context));
        }
    }
    assert!(read > 0, "a damaged trailer hides nothing");
}

/// Without a trailer, the last group that was synced can't be told from a torn one; all before it can.
#[test]
fn every_byte_of_a_synced_log() {
    let (disk, expected) = written(4, 10);
    let (_, kept) = expected.split_last().unwrap();
    for (path, bytes) in files(&disk) {
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            match records(&changed(&disk, &path, &flipped)) {
                Ok(records) => {
                    let last = path.ends_with("3.log");
                    // The last three were appended since the last frame that tells of a sync.
                    let least = if last { kept.len() - 3 } else { expected.len() };
                    assert!(expected.starts_with(&records) && records.len() >= least, "{path}, byte {at}");
                }
                Err(fault) => assert!(fault.is_corrupt(), "{path}, byte {at}: {fault}"),
            }
        }
    }
}

#[test]
fn a_log_cut_at_every_byte() {
    let (disk, expected) = closed(4, 10);
    let files = files(&disk);
    for (nth, (path, bytes)) in files.iter().enumerate() {
        for len in 0..bytes.len() {
            let cut = changed(&disk, path, &bytes[..len]);
            if nth + 1 < files.len() {
                assert!(!all_or_corrupt(&cut, &expected, &format!("{path} cut at {len}")));
            } else {
                // What ends here may have ended here: the file is all there is to tell.
                let records = records(&cut).unwrap();
                assert!(expected.starts_with(&records) && records.len() + 1 >= expected.len());
            }
        }
    }
}

#[test]
fn a_missing_segment() {
    let (disk, _) = closed(4, 10);
    let files = files(&disk);
    for (path, _) in &files[..files.len() - 1] {
        let without = disk.kill();
        without.remove(Path::new(path)).unwrap();
        assert!(matches!(records(&without), Err(fault) if fault.is_corrupt()), "{path}");
    }
}

#[test]
fn every_block_zeroed() {
    let (disk, expected) = closed(20, 1_000);
    for (path, bytes) in files(&disk) {
        for start in (0..bytes.len()).step_by(BLOCK) {
            let mut zeroed = bytes.clone();
            let end = bytes.len().min(start + BLOCK);
            zeroed[start..end].fill(0);
            all_or_corrupt(&changed(&disk, &path, &zeroed), &expected, &format!("{path} at {start}"));
        }
    }
}

#[test]
fn every_two_blocks_swapped() {
    let (disk, expected) = closed(20, 1_000);
    let files = files(&disk);
    let places: Vec<(usize, usize)> = (0..files.len())
        .flat_map(|file| (0..files[file].1.len() / BLOCK).map(move |block| (file, block * BLOCK)))
        .collect();
    for (nth, &(a, at)) in places.iter().enumerate() {
        for &(b, bt) in &places[..nth] {
            let mut swapped: Vec<Vec<u8>> = files.iter().map(|(_, bytes)| bytes.clone()).collect();
            swapped[a][at..at + BLOCK].copy_from_slice(&files[b].1[bt..bt + BLOCK]);
            swapped[b][bt..bt + BLOCK].copy_from_slice(&files[a].1[at..at + BLOCK]);
            let disk = changed(&disk, &files[a].0, &swapped[a]);
            disk.write(&files[b].0, &swapped[b]).unwrap();
            all_or_corrupt(&disk, &expected, &format!("{at} of {} and {bt} of {}", files[a].0, files[b].0));
        }
    }
}

/// Each block of a segment as it was at an earlier time, all others as they are.
#[test]
fn every_block_stale() {
    let (then, _) = written(10, 1_000);
    let now = then.kill();
    let (mut log, mut expected, _) = open(&now).unwrap();
    log.append(&[b"last"]).unwrap();
    log.close().unwrap();
    expected.push(b"last".to_vec());
    let early = disk();
    let (mut log, _, _) = open(&early).unwrap();
    for record in &expected[..3] {
        log.append(&[record]).unwrap();
    }
    let (stale, fresh) = (early.read(path(1)).unwrap(), now.read(path(1)).unwrap());
    for start in (0..fresh.len()).step_by(BLOCK) {
        let mut bytes = fresh.clone();
        let end = bytes.len().min(start + BLOCK);
        bytes[start..end].fill(0);
        let there = stale.len().min(end);
        if start < there {
            bytes[start..there].copy_from_slice(&stale[start..there]);
        }
        all_or_corrupt(&changed(&now, &path(1), &bytes), &expected, &format!("at {start}"));
    }
}

/// What was never synced may be lost from the damage on, and is never altered.
#[test]
fn every_bit_of_an_unsynced_log() {
    let disk = disk();
    let (mut log, _, _) = open(&disk).unwrap();
    let expected: Vec<Vec<u8>> = (0..12_u8).map(|nth| vec![nth; nth as usize]).collect();
    for group in expected.chunks(3) {
        log.append(&group.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    }
    let bytes = disk.read(path(1)).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (_, records, replay) = open(&changed(&disk, &path(1), &flipped)).unwrap();
        assert!(expected.starts_with(&records) && records.len() < expected.len(), "bit {bit}");
        let torn = replay.torn.expect("a torn tail");
        assert!(torn.offset <= bit as u64 / 8 && torn.offset + torn.size_bytes == bytes.len() as u64);
    }
}

/// A file that was another segment before: what it still holds of that is neither read nor evidence.
#[test]
fn a_recycled_file() {
    let (disk, _) = written(10, 100);
    let old = disk.read(path(1)).unwrap();
    let disk = common::disk();
    let mut bytes = segment_header(2, None, 0, 0);
    bytes.extend(frame(64, 2, &[7; 103], 0));
    // The next frame of the file's earlier life begins exactly where this one ends.
    assert_eq!(old[64 + 8..64 + 12], 103_u32.to_le_bytes());
    bytes.extend_from_slice(&old[bytes.len()..]);
    disk.write(path(2), &bytes).unwrap();
    let (_, records, replay) = open(&disk).unwrap();
    assert_eq!(records, [vec![7; 103]]);
    assert_eq!(replay.torn.unwrap().offset, 64 + 16 + 103);
    // And where not even the new header had been written.
    disk.write(path(2), &old).unwrap();
    assert!(common::records(&disk).unwrap().is_empty());
}

/// A segment that ends in zeros, as preallocated ones do, ends there cleanly.
#[test]
fn zeros_behind_the_end() {
    let (disk, expected) = written(4, 10);
    for len in [1, 15, 16, 5_000, 300_000] {
        let mut bytes = disk.read(path(3)).unwrap();
        bytes.resize(bytes.len() + len, 0);
        let (_, records, replay) = open(&changed(&disk, &path(3), &bytes)).unwrap();
        assert!(records == expected && replay.torn.is_none(), "{len} zeros");
    }
}

#[test]
fn a_frame_across_the_windows_of_the_search_is_evidence() {
    let disk = disk();
    for gap in (256 << 10) - 40..(256 << 10) + 40_u64 {
        let mut bytes = segment_header(1, None, 0, 0);
        bytes.extend(frame(64, 1, b"one", 0));
        let torn = bytes.len() as u64;
        bytes.push(1);
        bytes.resize((torn + gap) as usize, 0);
        // Shorter than the gap even as the frame tells it, which may be by 7 too long.
        let witness = frame(torn + gap, 1, b"", gap - 8);
        disk.write(path(1), &[&bytes[..], &witness].concat()).unwrap();
        let fault = records(&disk).unwrap_err();
        assert!(fault.to_string().contains(&format!("frame at {} ", torn + gap)), "{fault}");
        // One that tells of nothing behind the damage proves nothing.
        let other = frame(torn + gap, 1, b"", gap);
        disk.write(path(1), &[&bytes[..], &other].concat()).unwrap();
        assert_eq!(records(&disk).unwrap(), [b"one"]);
    }
}

#[test]
fn a_reader_repeats_its_fault() {
    let (disk, _) = closed(4, 10);
    let (path, mut bytes) = files(&disk).remove(0);
    bytes[70] ^= 1;
    disk.write(&path, &bytes).unwrap();
    let mut reader =
        SegmentReader::open(&disk, Path::new(&path), Purpose::Log, lsmkit_base::SegmentId(1)).unwrap();
    let first = reader.next().unwrap_err().to_string();
    assert_eq!(reader.next().unwrap_err().to_string(), first);
    assert_eq!(reader.end(), SegmentEnd::Open);
}
