//! Laws of damage: an error or the right answer, never a wrong one.

use std::path::Path;
use std::sync::Arc;

use lsmkit_base::{Cursor, KeyRef, SeqNo, TableId, TableMeta};
use lsmkit_vfs::{FaultFs, Fs, MemFs, Operation, Rule};

use super::data::{Entries, ID, Make, Store, dir, kept, read_all, write};
use crate::{Reading, TableReader, Tables};

/// Puts `bytes` in the place of a table's file, and reads it in every way: corruption is reported, or
/// the entries are right. Whether it was reported at opening or reading.
fn check_damaged<T: Tables>(
    make: &impl Make<T>,
    path: &Path,
    bytes: &[u8],
    meta: &TableMeta,
    entries: &Entries,
    what: &str,
) -> bool {
    let store = Store::with_file(make, path, bytes);
    match store.tables.verify(meta) {
        Err(fault) if fault.is_corrupt() => {}
        verified => panic!("{what}: verification found {verified:?}"),
    }
    let table = match store.tables.open(meta) {
        Ok(table) => Arc::new(table),
        Err(fault) if fault.is_corrupt() => return true,
        Err(fault) => panic!("{what}: {fault:?}"),
    };
    for entry in entries.iter() {
        match kept(&*table, entry.user_key, store.tables.hash(entry.user_key), entry.seq) {
            Ok(found) => {
                let found = found.unwrap_or_else(|| panic!("{what}: {entry:?} is gone"));
                assert_eq!(
                    (found.seq, found.kind, &*found.value),
                    (entry.seq, entry.kind, entry.value),
                    "{what}"
                );
            }
            Err(fault) if fault.is_corrupt() => {}
            Err(fault) => panic!("{what}: {fault:?}"),
        }
    }
    match read_all(&table, entries, |key| store.tables.hash(key)) {
        Ok(read) => {
            assert_eq!(read, *entries, "{what}");
            false
        }
        Err(fault) if fault.is_corrupt() => true,
        Err(fault) => panic!("{what}: {fault:?}"),
    }
}

/// One bit flipped in each byte of a table.
pub fn a_flipped_bit_is_found<T: Tables>(make: &impl Make<T>) {
    let entries = Entries::random(30, 12);
    let store = Store::new(make);
    let meta = store.write(&entries);
    let (path, bytes) = store.file();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        check_damaged(make, &path, &flipped, &meta, &entries, &format!("bit {} of byte {at}", at % 8));
    }
}

/// A file cut anywhere, or with something after its end.
pub fn a_cut_or_longer_file_is_refused<T: Tables>(make: &impl Make<T>) {
    let entries = Entries::random(31, 12);
    let store = Store::new(make);
    let meta = store.write(&entries);
    let (path, bytes) = store.file();
    for len in 0..bytes.len() {
        let what = format!("cut to {len} of {} bytes", bytes.len());
        assert!(check_damaged(make, &path, &bytes[..len], &meta, &entries, &what), "{what}: opened and read");
    }
    for more in [&[0][..], &[0; 4096], &bytes] {
        let longer = [&bytes, more].concat();
        assert!(check_damaged(make, &path, &longer, &meta, &entries, "longer"), "opened and read");
    }
}

/// Stretches of the file exchanged, zeroed, or taken from another table of the same shape.
pub fn blocks_moved_about_are_found<T: Tables>(make: &impl Make<T>) {
    let entries = Entries::random(32, 1_000);
    let store = Store::new(make);
    let meta = store.write(&entries);
    let (path, bytes) = store.file();
    let other = Store::new(make);
    let other_meta = other.write_as(TableId(8), &entries).expect("because nothing is wrong with the disk");
    let (_, other_bytes) = other.file();
    assert_eq!(other_meta.size_bytes, meta.size_bytes, "the same entries make a table of the same shape");
    for length in [64, 512, 4096].into_iter().filter(|length| bytes.len() > 4 * length) {
        let last = bytes.len() / length - 1;
        for i in (0..last).step_by(1 + last / 8) {
            let (a, b) = (i * length, (last - i) * length);
            let mut exchanged = bytes.clone();
            exchanged[a..a + length].copy_from_slice(&bytes[b..b + length]);
            exchanged[b..b + length].copy_from_slice(&bytes[a..a + length]);
            let mut zeroed = bytes.clone();
            zeroed[a..a + length].fill(0);
            let mut foreign = bytes.clone();
            foreign[a..a + length].copy_from_slice(&other_bytes[a..a + length]);
            for (damaged, what) in [(exchanged, "exchanged"), (zeroed, "zeroed"), (foreign, "foreign")] {
                if damaged != bytes {
                    check_damaged(make, &path, &damaged, &meta, &entries, &format!("{what} at {a}"));
                }
            }
        }
    }
}

/// A sound table that is not the one meant: another file under its name, or a meta that says otherwise.
pub fn another_table_is_refused<T: Tables>(make: &impl Make<T>) {
    let entries = Entries::random(33, 100);
    let store = Store::new(make);
    let meta = store.write(&entries);
    let (path, bytes) = store.file();
    let other = Store::new(make);
    other.write_as(TableId(8), &entries).expect("because nothing is wrong with the disk");
    assert!(check_damaged(make, &path, &other.file().1, &meta, &entries, "another file"), "opened and read");

    let store = Store::with_file(make, &path, &bytes);
    let wrong = [
        TableMeta { uid: meta.uid ^ 1, ..meta.clone() },
        TableMeta { size_bytes: meta.size_bytes + 1, ..meta.clone() },
        TableMeta { checksum: meta.checksum ^ 1, ..meta.clone() },
        TableMeta { entries: meta.entries + 1, ..meta.clone() },
    ];
    for wrong in wrong {
        assert!(matches!(store.tables.verify(&wrong), Err(fault) if fault.is_corrupt()), "{wrong:?}");
        assert!(
            matches!(store.tables.open(&wrong).map(|_| ()), Err(fault) if fault.is_corrupt()),
            "{wrong:?}"
        );
    }
    store.tables.verify(&meta).expect("because the table is sound");
}

/// After a failed move a cursor shows nothing and repeats the fault, until it is told where to seek.
pub fn a_fault_sticks_to_a_cursor<T: Tables>(make: &impl Make<T>) {
    let entries = Entries::random(34, 20_000);
    let mut stuck = 0;
    for reading in [Reading::Scan, Reading::Rewrite] {
        let disk = MemFs::new();
        disk.create_dir(&dir()).expect("because the disk has room");
        let faulty = FaultFs::new(disk.shared());
        let tables = make(faulty.shared(), &dir());
        let meta = write(&tables, ID, &entries).expect("because nothing is wrong with the disk");
        for forward in [true, false] {
            let table = Arc::new(tables.open(&meta).expect("because the table is sound"));
            let mut cursor = table.cursor(reading);
            let step = |cursor: &mut <T::Reader as TableReader>::Cursor| {
                if forward { cursor.next() } else { cursor.prev() }
            };
            faulty.add_rule(Rule::nth(1).on(Operation::Read).from_then_on());
            let begun = if forward { cursor.seek_first() } else { cursor.seek_last() };
            if begun.is_ok() {
                // What was in the cache already is shown; what was not fails, and keeps failing.
                while step(&mut cursor).is_ok() && cursor.entry().is_some() {}
            }
            faulty.clear_rules();
            if cursor.entry().is_none() && step(&mut cursor).is_err() {
                stuck += 1;
                for _ in 0..3 {
                    assert!(cursor.next().is_err() && cursor.prev().is_err());
                    assert!(cursor.entry().is_none() && cursor.value().is_none());
                }
            }
            cursor.seek_first().expect("because a seek starts afresh");
            assert_eq!(cursor.entry(), entries.at(0));
            cursor
                .seek_before(KeyRef::new(&[255; 20], SeqNo::ZERO))
                .expect("because the disk is sound again");
            assert_eq!(cursor.entry(), entries.at(entries.len() - 1));
        }
    }
    assert!(stuck >= 3, "only {stuck} cursors of 4 met a fault");
}
