//! The bytes of a log, as docs/formats/log.md shows them.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::path::Path;

use common::{TRAILER, disk, frame, frame_header, lag, open, path, records, segment_header};
use lsmkit_base::coding;
use lsmkit_vfs::Fs;
use lsmkit_wal::{Log, LogHandle};

/// The worked example: one record, synced; a group of two; the next segment; closed.
fn example() -> [Vec<u8>; 2] {
    let disk = disk();
    let (mut log, _, _) = open(&disk).unwrap();
    log.append(&[b"one"]).unwrap();
    log.handle().sync().unwrap();
    log.append(&[b"two", b""]).unwrap();
    log.rotate().unwrap();
    log.append(&[b"three"]).unwrap();
    log.close().unwrap();
    [disk.read(path(1)).unwrap(), disk.read(path(2)).unwrap()]
}

/// The first segment of the example, the second up to the padding of its trailer, and what follows that.
const GOLDEN: [&str; 3] = [
    "6c736d6b69744c47 0100000000000000 0100000000000000 ffffffffffffffff 0000000000000000 \
     0000000000000000 0000000000000000 00000000c4ce4daf 84374f1e01405508 0300000001080000 6f6e65 \
     3e8581b68990c909 0300000001080000 74776f b77b1ff2d8ea82a2 0000000001380100",
    "6c736d6b69744c47 0100000000000000 0200000000000000 0100000000000000 0000000000000000 \
     3600000000000000 1300000000000000 000000007ab5548d 775b54b66023fb45 0500000002380200 7468726565 \
     46c88f59ca1c9625 0010008002080000",
    "478d8380d8ea82a2 0000008002080101",
];

#[test]
fn golden_bytes() {
    let [first, second] = example();
    let [golden_first, golden_second, golden_end] = GOLDEN.map(unhex);
    assert_eq!(hex(&first), hex(&golden_first));
    let padding = golden_second.len()..golden_second.len() + 4096;
    assert_eq!(hex(&second[..padding.start]), hex(&golden_second));
    assert!(second[padding.clone()].iter().all(|&byte| byte == 0));
    assert_eq!(hex(&second[padding.end..]), hex(&golden_end));
}

#[test]
fn the_page_shows_the_same_bytes() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/formats/log.md");
    // A packaged crate is without the page.
    let Ok(page) = std::fs::read_to_string(page) else { return };
    let shown: Vec<u8> = page
        .lines()
        .filter_map(|line| line.strip_prefix("0x"))
        .flat_map(|line| unhex(line.split("  ").nth(1).unwrap()))
        .collect();
    assert_eq!(hex(&shown), hex(&GOLDEN.map(unhex).concat()));
}

#[test]
fn the_page_can_be_written_from() {
    let [first, second] = example();
    let mut expected = segment_header(1, None, 0, 0);
    expected.extend(frame(64, 1, b"one", 0));
    expected.extend(frame(83, 1, b"two", 0));
    expected.extend(frame(102, 1, b"", 19));
    assert_eq!(hex(&first), hex(&expected));

    let mut expected = segment_header(2, Some((1, 0)), 54, 19);
    expected.extend(frame(64, 2, b"three", 35));
    expected.extend(frame_header(85, 2, coding::checksum(&[0; 4096]), TRAILER | 4096, 0));
    expected.extend([0; 4096]);
    expected.extend(frame_header(85 + 16 + 4096, 2, coding::checksum(&[]), TRAILER, lag(16 + 4096)));
    assert_eq!(hex(&second), hex(&expected));
}

/// A log of version 1 must be readable for ever.
#[test]
fn golden_bytes_are_read() {
    let disk = disk();
    let [first, second, end] = GOLDEN.map(unhex);
    disk.write(path(1), &first).unwrap();
    disk.write(path(2), &[&second[..], &[0; 4096], &end].concat()).unwrap();
    assert_eq!(records(&disk).unwrap(), [&b"one"[..], b"two", b"", b"three"]);
}

#[test]
fn files_of_another_kind_are_refused() {
    let disk = disk();
    disk.create_dir(Path::new(&path(1))).unwrap();
    assert!(open(&disk).is_err());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let value = |digit: u8| (digit as char).to_digit(16).unwrap() as u8;
    digits.chunks(2).map(|two| value(two[0]) << 4 | value(two[1])).collect()
}
