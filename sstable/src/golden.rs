//! The format as it was written once and must be read for ever.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use lsmkit_base::{Cursor, Entry, SeqNo, TableId};
use lsmkit_bloom::Blocked;
use lsmkit_vfs::{Fs, MemFs, StdFs};

use crate::{FileReader, FileWriter, Reading, TableOptions, TablePlace, TableReader, TableWriter};

const V1: &[u8] = include_bytes!("../tests/golden/v1.sst");
/// The same entries with index and filter in parts, and prefixes of four bytes in the filter.
const V1_PARTS: &[u8] = include_bytes!("../tests/golden/v1-parts.sst");

fn seq(n: u64) -> SeqNo {
    SeqNo::new(n).unwrap()
}

fn entries() -> [Entry<'static>; 3] {
    [
        Entry::put(b"city/lisbon", seq(7), b"PT"),
        Entry::put(b"city/porto", seq(9), b"pt"),
        Entry::delete(b"city/porto", seq(4)),
    ]
}

/// The table of the worked example in `docs/formats/table.md`.
fn written() -> Vec<u8> {
    written_as(TableOptions::new())
}

fn written_in_parts() -> Vec<u8> {
    written_as(TableOptions::new().pinned_bytes_max(0).filter_prefix_bytes(4))
}

fn written_as(options: TableOptions) -> Vec<u8> {
    let disk = MemFs::new();
    let path = Path::new("/000001.sst");
    let options = options.filter(Arc::new(Blocked::bits_per_key(10.0)));
    let mut writer = FileWriter::begin(
        &disk.shared(),
        path,
        &options,
        TableId(1),
        0x0123_4567_89ab_cdef,
        TablePlace::of_level(0),
    )
    .unwrap();
    // Whatever version writes it.
    writer.properties.created_by = "lsmkit-sstable 0.1.0".into();
    for entry in entries() {
        writer.add(entry).unwrap();
    }
    writer.finish().unwrap();
    disk.read(path).unwrap()
}

#[test]
fn the_writer_writes_version_1() {
    assert!(written() == V1, "the bytes written have changed:\n{}", dump(&written()));
    let in_parts = written_in_parts();
    assert!(in_parts == V1_PARTS, "the bytes written have changed:\n{}", dump(&in_parts));
}

#[test]
fn version_1_is_read() {
    check_entries(V1);
    let table = check_entries(V1_PARTS);
    let within = |from: &'static [u8], to: &'static [u8]| {
        table.may_hold_within(Bound::Included(from), Bound::Excluded(to))
    };
    assert!(within(b"city", b"citz"));
    assert!(!within(b"citt", b"citu"), "no key begins so, and this filter knows");
}

fn check_entries(bytes: &[u8]) -> Arc<FileReader> {
    let disk = MemFs::new();
    let path = Path::new("/000001.sst");
    disk.write(path, bytes).unwrap();
    let table = Arc::new(FileReader::open(&disk.shared(), path).unwrap());
    table.verify().unwrap();
    assert_eq!((table.meta().uid, table.meta().id), (0x0123_4567_89ab_cdef, TableId(1)));
    let mut cursor = table.cursor(Reading::Scan);
    cursor.seek_first().unwrap();
    for entry in entries() {
        assert_eq!(cursor.entry(), Some(entry));
        cursor.next().unwrap();
    }
    assert_eq!(cursor.entry(), None);
    table
}

/// Sixteen bytes a line, in hexadecimal, behind their offset.
fn dump(bytes: &[u8]) -> String {
    let line = |(i, line): (usize, &[u8])| {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String =
            line.iter().map(|&b| if b.is_ascii_graphic() || b == b' ' { b as char } else { '.' }).collect();
        format!("{:04x}  {:<47}  {text}\n", i * 16, hex.join(" "))
    };
    bytes.chunks(16).enumerate().map(line).collect()
}

#[test]
fn the_specification_shows_these_bytes() {
    let page = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/formats/table.md"));
    // A crate taken out of the repository has no specification beside it.
    let Ok(page) = StdFs::new().open(page) else { return };
    let mut text = vec![0; page.size_bytes().unwrap() as usize];
    page.read_exact_at(&mut text, 0).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains(&dump(V1)), "docs/formats/table.md does not show:\n{}", dump(V1));
}
