//! Laws of writing: what a finished table says of itself, and what an unfinished one leaves.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lsmkit_base::{Entry, Fault, TableId, ValueKind};
use lsmkit_vfs::{FaultFs, Fs, MemFs, Operation, Rule};

use super::data::{Entries, ID, Make, Store, dir, read_all, seq, write};
use crate::{TablePlace, TableReader, TableWriter, Tables};

/// Counts, bounds and sizes are those of the entries and of the file.
pub fn meta_tells_what_was_written<T: Tables>(make: &impl Make<T>) {
    let entries = Entries::random(20, 500);
    let store = Store::new(make);
    let mut writer =
        store.tables.create(ID, TablePlace::of_level(3)).expect("because nothing is wrong with the disk");
    let mut size_bytes = 0;
    for entry in entries.iter() {
        writer.add(entry).expect("because nothing is wrong with the disk");
        size_bytes = writer.size_bytes();
    }
    let meta = writer.finish().expect("because nothing is wrong with the disk");
    let file_bytes = store.file().1.len() as u64;
    assert!(size_bytes / 8 < file_bytes && file_bytes < size_bytes * 4, "{size_bytes} for {file_bytes}");
    assert_eq!((meta.id, meta.size_bytes), (ID, file_bytes));
    assert_eq!(meta.entries, entries.len() as u64);
    let tombstones = entries.iter().filter(|entry| entry.kind == ValueKind::Delete).count();
    assert_eq!(meta.tombstones, tombstones as u64);
    let raw_bytes: usize = entries.iter().map(|entry| entry.user_key.len() + entry.value.len()).sum();
    assert_eq!(meta.raw_bytes, raw_bytes as u64);
    assert_eq!(Some(&*meta.smallest), entries.iter().next().map(|entry| entry.user_key));
    assert_eq!(Some(&*meta.largest), entries.iter().next_back().map(|entry| entry.user_key));
    assert_eq!(Some(meta.seq_min), entries.iter().map(|entry| entry.seq).min());
    assert_eq!(Some(meta.seq_max), entries.iter().map(|entry| entry.seq).max());
    assert_eq!(meta.checksum, lsmkit_base::coding::checksum(&store.file().1));
    store.tables.verify(&meta).expect("because the table is sound");

    let other = store.write_as(TableId(8), &entries).expect("because nothing is wrong with the disk");
    assert_ne!(meta.uid, other.uid, "each table has a number of its own");
}

/// Where a format tells its parts, they are the file, no byte twice and none left out.
pub fn parts_are_the_whole_file<T: Tables>(make: &impl Make<T>) {
    for count in [1, 10, 500] {
        let store = Store::new(make);
        let meta = store.write(&Entries::random(24, count));
        if let Some(parts) = store.open(&meta).parts() {
            assert_eq!(parts.size_bytes(), meta.size_bytes, "{parts:?}");
            assert!(parts.data_bytes > 0, "{parts:?}");
        }
    }
}

/// An entry that is not after the one before it is its writer's mistake.
pub fn entries_out_of_order_panic<T: Tables>(make: &impl Make<T>) {
    let first = Entry::put(b"k", seq(5), b"");
    let wrong =
        [first, Entry::put(b"k", seq(6), b""), Entry::put(b"j", seq(5), b""), Entry::put(b"", seq(1), b"")];
    for second in wrong {
        let store = Store::new(make);
        let mut writer =
            store.tables.create(ID, TablePlace::of_level(0)).expect("because nothing is wrong with the disk");
        writer.add(first).expect("because nothing is wrong with the disk");
        assert!(catch_unwind(AssertUnwindSafe(|| writer.add(second))).is_err(), "{second:?}");
    }
}

/// A table of nothing is its writer's mistake.
pub fn an_empty_table_panics<T: Tables>(make: &impl Make<T>) {
    let store = Store::new(make);
    let writer =
        store.tables.create(ID, TablePlace::of_level(0)).expect("because nothing is wrong with the disk");
    assert!(catch_unwind(AssertUnwindSafe(|| writer.finish())).is_err());
    assert!(store.disk.files().is_empty());
}

/// A number is not used twice, and the attempt does no harm to the table that has it.
pub fn a_number_that_is_taken_is_refused<T: Tables>(make: &impl Make<T>) {
    let entries = Entries::random(21, 50);
    let store = Store::new(make);
    let meta = store.write(&entries);
    assert!(store.tables.create(ID, TablePlace::of_level(0)).is_err());
    store.tables.verify(&meta).expect("because the table is sound");
}

/// A writer that is dropped takes its file with it, and its number can be used again.
pub fn an_unfinished_table_leaves_nothing<T: Tables>(make: &impl Make<T>) {
    let entries = Entries::random(22, 2_000);
    let store = Store::new(make);
    for _ in 0..2 {
        let mut writer =
            store.tables.create(ID, TablePlace::of_level(0)).expect("because nothing is wrong with the disk");
        for entry in entries.iter() {
            writer.add(entry).expect("because nothing is wrong with the disk");
        }
        drop(writer);
        assert!(store.disk.files().is_empty());
    }
    let table = store.open(&store.write(&entries));
    assert!(read_all(&table, &entries, |key| store.tables.hash(key)).is_ok_and(|read| read == entries));
}

/// A table that was finished, and whose name was synced, is there after a power failure.
pub fn a_finished_table_survives_a_crash<T: Tables>(make: &impl Make<T>) {
    let entries = Entries::random(23, 500);
    let disk = MemFs::new();
    disk.create_dir(&dir()).expect("because the disk has room");
    disk.sync_dir(std::path::Path::new("/")).expect("because nothing is wrong with the disk");
    let meta =
        write(&make(disk.shared(), &dir()), ID, &entries).expect("because nothing is wrong with the disk");
    let tables = make(disk.crash_synced_only().shared(), &dir());
    tables.verify(&meta).expect("because what was synced survives");
}

/// Whichever call fails, once or from then on, the writer says so, and no file stays if it can be removed.
pub fn a_failed_write_leaves_nothing<T: Tables>(make: &impl Make<T>) {
    // Large enough to be written in several pieces.
    let value = vec![b'x'; 40_000];
    let keys: Vec<_> = (0..30u8).map(|i| [b'k', i]).collect();
    let entries = Entries::of(keys.iter().map(|key| Entry::put(key, seq(1), &value)));
    let attempt = |rule: Option<Rule>| -> (Result<(), Fault>, MemFs, u64) {
        let disk = MemFs::new();
        disk.create_dir(&dir()).expect("because the disk has room");
        let faulty = FaultFs::new(disk.shared());
        let tables = make(faulty.shared(), &dir());
        let before = faulty.mutating_calls();
        if let Some(rule) = rule {
            faulty.add_rule(rule);
        }
        let written = write(&tables, ID, &entries).map(|_| ());
        (written, disk, faulty.mutating_calls() - before)
    };
    let (written, _, calls) = attempt(None);
    assert!(written.is_ok() && calls > 4, "{calls} calls");
    for nth in 1..=calls {
        for rule in [Rule::nth(nth).on_mutating(), Rule::nth(nth).on_mutating().after_bytes(100)] {
            let (written, disk, _) = attempt(Some(rule));
            assert!(written.is_err(), "call {nth} failed and nobody was told");
            // The last call syncs the name, when the table is whole.
            assert!(disk.files().is_empty() || nth == calls, "call {nth} left {:?}", disk.files());
        }
        assert!(attempt(Some(Rule::nth(nth).on_mutating().from_then_on())).0.is_err(), "from call {nth} on");
    }
    let full = Rule::nth(2).on(Operation::Write).error(std::io::ErrorKind::StorageFull);
    assert!(attempt(Some(full)).0.is_err_and(|fault| fault.is_full_disk()));
}
