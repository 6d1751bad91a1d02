//! Laws of reading: a table is the map of what was put in.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use lsmkit_base::{ANNOUNCEMENTS, Cursor, Entry, KeyRef, MAX_KEY_BYTES, SeqNo};

use super::data::{Entries, Make, Random, Store, kept, read_all, seq};
use crate::{FilterUsage, Lookup, Reading, TableReader, Tables};

/// For every key and its neighbours, at every snapshot, the newest version at or before it.
pub fn gets_are_those_of_a_map<T: Tables>(make: &impl Make<T>) {
    for (seed, count) in [(1, 10), (2, 60), (3, 400)] {
        let entries = Entries::random(seed, count);
        let store = Store::new(make);
        let table = store.open(&store.write(&entries));
        for key in entries.keys_and_neighbours() {
            let hash = store.tables.hash(&key);
            for at in [0, 1, 2, 10, 20, 30, 40, 48, 49, 50].map(seq).into_iter().chain([SeqNo::MAX]) {
                let expected = entries.get(&key, at).map(|entry| (entry.seq, entry.kind, entry.value));
                let found = kept(&*table, &key, hash, at).expect("because the table is sound");
                let found = found.as_ref().map(|found| (found.seq, found.kind, &*found.value));
                assert_eq!(found, expected, "{} at {at}, seed {seed}", key.escape_ascii());
            }
        }
    }
}

/// Where a format counts what its filters say, no look-up counts twice, none is left out, and none of
/// a key that is there counts as one of a key that is not.
pub fn filters_are_counted_exactly<T: Tables>(make: &impl Make<T>) {
    let entries = Entries::random(9, 400);
    let store = Store::new(make);
    let table = store.open(&store.write(&entries));
    assert_eq!(store.tables.filter_usage(), FilterUsage::default(), "opening a table asks nothing");
    let (mut there, mut absent) = (0, 0);
    for key in entries.keys_and_neighbours() {
        let found =
            kept(&*table, &key, store.tables.hash(&key), SeqNo::MAX).expect("because the table is sound");
        if found.is_some() { there += 1 } else { absent += 1 }
    }
    let usage = store.tables.filter_usage();
    if usage.asked > 0 {
        assert_eq!(
            (usage.asked, usage.denied + usage.false_positives),
            (there + absent, absent),
            "{usage:?}"
        );
    }
    // None is a version that old: whatever is counted, none of these keys is absent.
    for key in entries.keys_and_neighbours() {
        if entries.get(&key, SeqNo::MAX).is_some_and(|entry| entry.seq > SeqNo::ZERO) {
            let found = kept(&*table, &key, store.tables.hash(&key), SeqNo::ZERO);
            found.expect("because the table is sound");
        }
    }
    let after = store.tables.filter_usage();
    let wrong = (after.denied - usage.denied, after.false_positives - usage.false_positives);
    assert_eq!(wrong, (0, 0), "a key with newer versions alone is neither denied nor absent");
}

/// Keys that are there, others, and some twice: each is shown at its place, as a get of it alone shows it, and counted so.
pub fn many_gets_at_once_are_as_one_after_another<T: Tables>(make: &impl Make<T>) {
    for (seed, count) in [(1, 10), (2, 60), (3, 400)] {
        let entries = Entries::random(seed, count);
        let store = Store::new(make);
        let table = store.open(&store.write(&entries));
        let keys = entries.keys_and_neighbours();
        for at in [1, 20, 48].map(seq).into_iter().chain([SeqNo::MAX]) {
            for (len, times) in [(0, 1), (1, 1), (15, 1), (16, 2), (17, 1), (keys.len(), 1), (keys.len(), 3)]
            {
                let keys = keys.iter().take(len).flat_map(|key| std::iter::repeat_n(key, times));
                let lookup = |key| Lookup { user_key: key, hash: store.tables.hash(key) };
                let lookups: Vec<Lookup<'_>> = keys.map(|key| lookup(&key[..])).collect();
                let usage = || {
                    let usage = store.tables.filter_usage();
                    [usage.asked, usage.denied, usage.false_positives]
                };
                let before = usage();
                let mut shown = vec![None; lookups.len()];
                let many = table.get_many(&lookups, at, |place, found| {
                    let version = (found.seq, found.kind, found.value.to_vec());
                    assert!(shown[place].replace(version).is_none(), "shown twice");
                });
                many.expect("because the table is sound");
                let between = usage();
                for (lookup, shown) in lookups.iter().zip(shown) {
                    let alone =
                        kept(&*table, lookup.user_key, lookup.hash, at).expect("because the table is sound");
                    let alone = alone.map(|alone| (alone.seq, alone.kind, alone.value.to_vec()));
                    assert_eq!(shown, alone, "{} at {at}", lookup.user_key.escape_ascii());
                }
                let after = usage();
                let counted = |from: [u64; 3], to: [u64; 3]| [0, 1, 2].map(|i| to[i] - from[i]);
                assert_eq!(counted(before, between), counted(between, after), "of {len} keys {times} times");
            }
        }
    }
}

/// Seeks to every key, version and neighbour, and walks both ways from there.
pub fn cursors_are_those_of_a_map<T: Tables>(make: &impl Make<T>) {
    for (seed, count) in [(4, 8), (5, 300)] {
        let entries = Entries::random(seed, count);
        let store = Store::new(make);
        let table = store.open(&store.write(&entries));
        assert_eq!(read_all(&table, &entries, |key| store.tables.hash(key)).ok().as_ref(), Some(&entries));
        for reading in [Reading::Scan, Reading::Rewrite] {
            let mut cursor = table.cursor(reading);
            assert_eq!(cursor.entry(), None, "a cursor starts off the end");
            for key in entries.keys_and_neighbours() {
                for at in [0, 25, 49].map(seq).into_iter().chain([SeqNo::MAX]) {
                    check_seeks(&mut cursor, &entries, KeyRef::new(&key, at));
                }
            }
        }
    }
}

fn check_seeks(cursor: &mut impl Cursor, entries: &Entries, target: KeyRef<'_>) {
    let place = entries.lower_bound(target);
    // Whatever was announced, and however often, the seek is right.
    let elsewhere = entries.at(place / 2).map_or(target, |entry| entry.key());
    for times in 0..=ANNOUNCEMENTS + 1 {
        // To one place, to another, or to both.
        let (here, there) = match times % 3 {
            0 => (times, 0),
            1 => (0, times),
            _ => (times / 2, times - times / 2),
        };
        let announce = |cursor: &mut _, here: usize, there: usize| {
            (0..there).for_each(|_| Cursor::announce(cursor, elsewhere));
            (0..here).for_each(|_| Cursor::announce(cursor, target));
        };
        announce(cursor, here, there);
        cursor.seek(target).expect("because the table is sound");
        assert_shows(cursor, entries.at(place));
        announce(cursor, there, here);
        cursor.seek_before(target).expect("because the table is sound");
        let before = place.checked_sub(1);
        assert_shows(cursor, before.and_then(|place| entries.at(place)));
        if cursor.begins_key() {
            let keys = before
                .map(|place| (entries.at(place), place.checked_sub(1).and_then(|place| entries.at(place))));
            let (here, behind) = keys.expect("because the cursor stands on an entry");
            assert_ne!(here.map(|entry| entry.user_key), behind.map(|entry| entry.user_key));
        }
    }
}

fn assert_shows(cursor: &impl Cursor, expected: Option<Entry<'_>>) {
    assert_eq!(cursor.entry(), expected);
    assert_eq!(cursor.value().as_deref(), expected.map(|entry| entry.value));
}

/// Moves to either end after a seek was announced that never came.
pub fn an_announced_seek_need_not_come<T: Tables>(make: &impl Make<T>) {
    let entries = Entries::random(12, 200);
    let store = Store::new(make);
    let table = store.open(&store.write(&entries));
    let mut cursor = table.cursor(Reading::Scan);
    for times in 0..=ANNOUNCEMENTS + 1 {
        for place in [0, 1, entries.len() / 3, entries.len() - 1] {
            let Some(target) = entries.at(place).map(|entry| entry.key()) else { continue };
            (0..times).for_each(|_| cursor.announce(target));
            cursor.seek_first().expect("because the table is sound");
            assert_shows(&cursor, entries.at(0));
            (0..times).for_each(|_| cursor.announce(target));
            cursor.seek_last().expect("because the table is sound");
            assert_shows(&cursor, entries.at(entries.len() - 1));
            cursor.next().expect("because the table is sound");
            assert_shows(&cursor, None);
        }
    }
}

/// A random walk that turns at every entry, off both ends, and stays where it went off.
pub fn cursors_turn_at_every_place<T: Tables>(make: &impl Make<T>) {
    let entries = Entries::random(6, 200);
    let store = Store::new(make);
    let table = store.open(&store.write(&entries));
    for reading in [Reading::Scan, Reading::Rewrite] {
        let mut cursor = table.cursor(reading);
        for place in 0..entries.len() {
            let here = entries.at(place).expect("because the place is within").key();
            cursor.seek(here).expect("because the table is sound");
            cursor.next().expect("because the table is sound");
            assert_shows(&cursor, entries.at(place + 1));
            cursor.seek(here).expect("because the table is sound");
            cursor.prev().expect("because the table is sound");
            assert_shows(&cursor, place.checked_sub(1).and_then(|place| entries.at(place)));
        }
        let mut random = Random(7);
        let mut cursor = table.cursor(reading);
        let mut at = None;
        for _ in 0..5_000 {
            match (random.below(40), at) {
                (0, _) => {
                    cursor.seek_first().expect("because the table is sound");
                    at = Some(0);
                }
                (1, _) => {
                    cursor.seek_last().expect("because the table is sound");
                    at = Some(entries.len() - 1);
                }
                (2..21, _) => {
                    cursor.next().expect("because the table is sound");
                    at = at.map(|at| at + 1).filter(|&at| at < entries.len());
                }
                _ => {
                    cursor.prev().expect("because the table is sound");
                    at = at.and_then(|at: usize| at.checked_sub(1));
                }
            }
            assert_shows(&cursor, at.and_then(|at| entries.at(at)));
        }
    }
}

/// What the blocks are read for changes nothing in what they hold.
pub fn a_rewrite_reads_the_same<T: Tables>(make: &impl Make<T>) {
    let entries = Entries::random(8, 2_000);
    let store = Store::new(make);
    let table = store.open(&store.write(&entries));
    for reading in [Reading::Scan, Reading::Rewrite] {
        let mut cursor = table.cursor(reading);
        cursor.seek_first().expect("because the table is sound");
        // Values are held on to, so that none may be overwritten by a block that is read later.
        let mut held = Vec::new();
        for (i, expected) in entries.iter().enumerate() {
            assert_eq!(cursor.entry(), Some(expected));
            if i % 7 == 0 {
                held.push((expected.value, cursor.value().expect("because the cursor stands on an entry")));
            }
            cursor.next().expect("because the table is sound");
        }
        assert_eq!(cursor.entry(), None);
        assert!(held.iter().all(|(expected, value)| *expected == &**value));
    }
}

/// The smallest tables: one put, one tombstone, one empty key without a value.
pub fn one_entry_is_a_table<T: Tables>(make: &impl Make<T>) {
    for entry in [
        Entry::put(b"k", seq(3), b"v"),
        Entry::delete(b"k", seq(3)),
        Entry::put(b"", SeqNo::ZERO, b""),
        Entry::put(b"\0", SeqNo::MAX, b""),
    ] {
        let entries = Entries::of([entry]);
        let store = Store::new(make);
        let meta = store.write(&entries);
        let table = store.open(&meta);
        store.tables.verify(&meta).expect("because the table is sound");
        assert_eq!(read_all(&table, &entries, |key| store.tables.hash(key)).ok().as_ref(), Some(&entries));
        let mut cursor = table.cursor(Reading::Scan);
        for key in entries.keys_and_neighbours() {
            check_seeks(&mut cursor, &entries, KeyRef::first_of(&key));
            check_seeks(&mut cursor, &entries, KeyRef::last_of(&key));
        }
    }
}

/// Keys of 0 bytes to the longest there may be, and values up to 3 MiB, far larger than any block.
pub fn keys_and_values_of_every_size<T: Tables>(make: &impl Make<T>) {
    let sizes = [0, 1, 7, 8, 9, 255, 256, 4095, 4096, MAX_KEY_BYTES - 1, MAX_KEY_BYTES];
    let keys: Vec<Vec<u8>> =
        sizes.iter().flat_map(|&size| [vec![b'k'; size], vec![0; size], vec![255; size]]).collect();
    let large: Vec<u8> = (0..3u64 << 20).map(|i| ((i * i) >> 7) as u8).collect();
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for (i, key) in keys.iter().enumerate() {
        entries.push(Entry::put(key, seq(5), &large[..(i * 300) % 20_000]));
        entries.push(Entry::put(key, seq(2), b"old"));
    }
    entries.push(Entry::put(b"large", seq(1), &large));
    let entries = Entries::of(entries);
    let store = Store::new(make);
    let meta = store.write(&entries);
    store.tables.verify(&meta).expect("because the table is sound");
    let table = store.open(&meta);
    assert!(read_all(&table, &entries, |key| store.tables.hash(key)).is_ok_and(|read| read == entries));
    let mut cursor = table.cursor(Reading::Rewrite);
    for entry in entries.iter() {
        check_seeks(&mut cursor, &entries, entry.key());
    }
}

/// Each version is found where it is, also in a block that begins or ends with the same key.
pub fn versions_of_a_key_over_many_blocks<T: Tables>(make: &impl Make<T>) {
    let value = [b'x'; 100];
    let versions = (1..=1_000).rev().step_by(2).map(|n| Entry::put(b"hot", seq(n), &value));
    let entries =
        Entries::of(versions.chain([Entry::put(b"a", seq(1), b"1"), Entry::put(b"hot\0", seq(2_000), b"2")]));
    let store = Store::new(make);
    let table = store.open(&store.write(&entries));
    let hash = store.tables.hash(b"hot");
    let mut cursor = table.cursor(Reading::Scan);
    for at in (0..=1_001).map(seq) {
        let found = kept(&*table, b"hot", hash, at).expect("because the table is sound");
        assert_eq!(found.map(|found| found.seq), entries.get(b"hot", at).map(|entry| entry.seq));
        check_seeks(&mut cursor, &entries, KeyRef::new(b"hot", at));
    }
}

/// A value can be kept after the cursor moved on and the table was closed.
pub fn values_outlive_what_they_came_from<T: Tables>(make: &impl Make<T>) {
    let entries = Entries::random(9, 300);
    let store = Store::new(make);
    let meta = store.write(&entries);
    let mut held = Vec::new();
    {
        let table = store.open(&meta);
        let mut cursor = table.cursor(Reading::Scan);
        drop(Arc::clone(&table));
        cursor.seek_first().expect("because the table is sound");
        for entry in entries.iter() {
            held.push(cursor.value().expect("because the cursor stands on an entry"));
            let hash = store.tables.hash(entry.user_key);
            let found = kept(&*table, entry.user_key, hash, entry.seq).expect("because the table is sound");
            held.push(found.expect("because it was put in").value);
            cursor.next().expect("because the table is sound");
        }
    }
    drop(store);
    for (entry, values) in entries.iter().zip(held.chunks(2)) {
        assert!(values.iter().all(|value| **value == *entry.value));
    }
}

/// Whatever the bounds: where there is a key within, the table does not say that there is none.
pub fn no_range_with_keys_is_denied<T: Tables>(make: &impl Make<T>) {
    let mut random = Random(11);
    for count in [1, 40, 900] {
        let entries = Entries::random(count as u64, count);
        let store = Store::new(make);
        let table = store.open(&store.write(&entries));
        let mut keys = entries.keys_and_neighbours();
        keys.sort();
        for _ in 0..3_000 {
            let mut place = || random.below(keys.len() as u64) as usize;
            let from = place();
            // Mostly narrow ones, of which alone a table can tell anything.
            let to = if place() % 4 == 0 { place() } else { from + place() % 6 };
            let (lower, upper) = (&*keys[from], &*keys[to.min(keys.len() - 1)]);
            // All that begins as the lower key does, up to some byte.
            let prefix = &lower[..lower.len().min(1 + place() % 4)];
            let mut behind = prefix.to_vec();
            while behind.last() == Some(&u8::MAX) {
                behind.pop();
            }
            let is_bounded = behind.last_mut().is_some_and(|last| {
                *last += 1;
                true
            });
            let behind = if is_bounded { Bound::Excluded(&*behind) } else { Bound::Unbounded };
            for bounds in [
                (Bound::Included(lower), Bound::Included(upper)),
                (Bound::Included(lower), Bound::Excluded(upper)),
                (Bound::Excluded(lower), Bound::Included(upper)),
                (Bound::Excluded(lower), Bound::Unbounded),
                (Bound::Unbounded, Bound::Excluded(upper)),
                (Bound::Included(prefix), behind),
            ] {
                let holds = entries.iter().any(|entry| bounds.contains(entry.user_key));
                assert!(!holds || table.may_hold_within(bounds.0, bounds.1), "{bounds:?} is denied");
            }
        }
    }
}

/// Four threads read one table at once, each as if alone.
pub fn threads_read_one_table<T: Tables>(make: &impl Make<T>) {
    let entries = Entries::random(10, 1_500);
    let store = Store::new(make);
    let table = store.open(&store.write(&entries));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (entries, table, tables) = (&entries, &table, &store.tables);
            scope.spawn(move || {
                let mut random = Random(thread);
                for _ in 0..2_000 {
                    let entry = entries.at(random.below(entries.len() as u64) as usize);
                    let entry = entry.expect("because the place is within");
                    let found = kept(&**table, entry.user_key, tables.hash(entry.user_key), entry.seq);
                    let found = found.expect("because the table is sound").expect("because it was put in");
                    assert_eq!((found.seq, &*found.value), (entry.seq, entry.value));
                }
                assert!(read_all(table, entries, |key| tables.hash(key)).is_ok_and(|read| read == *entries));
            });
        }
    });
}

/// Whoever has a table open reads on when it is removed; nobody opens it again.
pub fn a_removed_table_reads_on<T: Tables>(make: &impl Make<T>) {
    let entries = Entries::random(11, 300);
    let store = Store::new(make);
    let meta = store.write(&entries);
    let table = store.open(&meta);
    store.tables.remove(meta.id).expect("because the table is there");
    assert!(read_all(&table, &entries, |key| store.tables.hash(key)).is_ok_and(|read| read == entries));
    assert!(store.tables.open(&meta).err().is_some_and(|fault| fault.is_not_found()));
    assert!(store.tables.remove(meta.id).err().is_some_and(|fault| fault.is_not_found()));
    assert!(store.disk.files().is_empty());
}
