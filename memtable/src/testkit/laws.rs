//! Laws of one thread.

use std::sync::Arc;

use lsmkit_base::{Cursor, MAX_KEY_BYTES, SeqNo, ValueKind};

use super::model::{
    BUDGET_BYTES, Model, Owned, Random, backward, forward, get, scramble, seek, seek_before, sound, standing,
    table_of, tricky_keys, versions_of,
};
use crate::Memtable;

/// Without entries there is nothing to find, and a cursor is off the end whatever it does.
pub fn an_empty_table_holds_nothing<M: Memtable>() {
    let table = table_of::<M>(&[]);
    assert!(table.is_empty() && table.len() == 0);
    assert_eq!(get(&*table, b"", SeqNo::MAX.value()), None);
    let mut cursor = table.cursor();
    assert_eq!(standing(&cursor), None);
    assert_eq!((forward(&mut cursor), backward(&mut cursor)), (vec![], vec![]));
    seek(&mut cursor, b"", SeqNo::MAX.value());
    assert_eq!(standing(&cursor), None);
    seek_before(&mut cursor, b"a", 0);
    assert_eq!(standing(&cursor), None);
    sound(cursor.next());
    sound(cursor.prev());
    assert!(cursor.value().is_none());
}

/// At every snapshot, `get` shows the greatest version that is not past it.
pub fn the_newest_visible_version_wins<M: Memtable>() {
    let mut random = Random::new(1);
    let keys: Vec<Vec<u8>> = (0..20).map(|i| format!("key {i}").into_bytes()).collect();
    let entries = versions_of(&keys, 5, &mut random);
    let (table, model) = (table_of::<M>(&entries), Model::of(&entries));
    for key in keys.iter().map(Vec::as_slice).chain([&b"key"[..], b"key 00", b"", b"z"]) {
        for at in (0..=2 * entries.len() as u64 + 1).chain([SeqNo::MAX.value()]) {
            assert_eq!(get(&*table, key, at).as_ref(), model.get(key, at), "{key:?} at {at}");
        }
    }
    assert_eq!(table.len(), entries.len());
}

/// A tombstone is an entry as any other: whether it hides the key is for the caller to say.
pub fn a_tombstone_is_shown<M: Memtable>() {
    let entries = [Owned::put(b"k", 1, b"v".to_vec()), Owned::delete(b"k", 2)];
    let table = table_of::<M>(&entries);
    assert_eq!(table.get(b"k", SeqNo::MAX, |entry| entry.kind), Some(ValueKind::Delete));
    assert_eq!(get(&*table, b"k", 1).as_ref(), Some(&entries[0]));
    assert_eq!(forward(&mut table.cursor()), [entries[1].clone(), entries[0].clone()]);
}

/// Seeks and steps from every entry, and from every place between two entries, in both directions and
/// turning round, lead where they lead in a sorted map.
pub fn cursors_equal_the_model_at_every_place<M: Memtable>() {
    let mut random = Random::new(2);
    let entries = versions_of(&tricky_keys(), 3, &mut random);
    let (table, model) = (table_of::<M>(&entries), Model::of(&entries));
    let sorted = model.sorted();
    let mut cursor = table.cursor();
    assert_eq!(forward(&mut cursor).iter().collect::<Vec<_>>(), sorted);
    let mut reversed = backward(&mut cursor);
    reversed.reverse();
    assert_eq!(reversed.iter().collect::<Vec<_>>(), sorted);

    for (i, here) in sorted.iter().enumerate() {
        // Just before the entry, at it, and just after it.
        for at in [here.seq + 1, here.seq, here.seq - 1] {
            let first = model.from(&here.user_key, at);
            let last = model.before(&here.user_key, at);
            seek(&mut cursor, &here.user_key, at);
            assert_eq!(standing(&cursor).as_ref(), first, "seek {here:?} at {at}");
            sound(cursor.prev());
            assert_eq!(standing(&cursor).as_ref(), first.and(last), "seek, prev {here:?} at {at}");
            seek_before(&mut cursor, &here.user_key, at);
            assert_eq!(standing(&cursor).as_ref(), last, "seek_before {here:?} at {at}");
            sound(cursor.next());
            assert_eq!(standing(&cursor).as_ref(), last.and(first), "seek_before, next {here:?} at {at}");
        }
        // Up to three steps one way, then back again.
        for steps in 1..=3 {
            seek(&mut cursor, &here.user_key, here.seq);
            (0..steps).for_each(|_| sound(cursor.next()));
            let ahead = sorted.get(i + steps);
            assert_eq!(standing(&cursor).as_ref(), ahead.copied());
            (0..steps).for_each(|_| sound(cursor.prev()));
            // Off the end a cursor stays there.
            assert_eq!(standing(&cursor).as_ref(), ahead.map(|_| *here));

            seek_before(&mut cursor, &here.user_key, here.seq - 1);
            assert_eq!(standing(&cursor).as_ref(), Some(*here));
            (0..steps).for_each(|_| sound(cursor.prev()));
            let behind = i.checked_sub(steps).map(|i| sorted[i]);
            assert_eq!(standing(&cursor).as_ref(), behind);
            (0..steps).for_each(|_| sound(cursor.next()));
            assert_eq!(standing(&cursor).as_ref(), behind.map(|_| *here));
        }
    }
}

/// Long random sequences of moves lead where they lead in a sorted map.
pub fn cursors_equal_the_model_on_random_walks<M: Memtable>() {
    for seed in 0..10 {
        let mut random = Random::new(seed);
        let keys: Vec<Vec<u8>> = (0..200).map(|_| short_key(&mut random)).collect();
        let entries = versions_of(&keys, 2, &mut random);
        let (table, model) = (table_of::<M>(&entries), Model::of(&entries));
        let mut cursor = table.cursor();
        let mut expected: Option<&Owned> = None;
        for step in 0..2_000 {
            match random.below(40) {
                0 => {
                    sound(cursor.seek_first());
                    expected = model.from(b"", SeqNo::MAX.value());
                }
                1 => {
                    sound(cursor.seek_last());
                    expected = model.sorted().last().copied();
                }
                2 | 3 => {
                    let (key, at) = (short_key(&mut random), random.next() % 900);
                    seek(&mut cursor, &key, at);
                    expected = model.from(&key, at);
                }
                4 | 5 => {
                    let (key, at) = (short_key(&mut random), random.next() % 900);
                    seek_before(&mut cursor, &key, at);
                    expected = model.before(&key, at);
                }
                // Longer runs in either direction, with turns.
                n if (n + seed as usize + step / 100).is_multiple_of(2) => {
                    sound(cursor.next());
                    expected = expected.and_then(|entry| model.after(entry));
                }
                _ => {
                    sound(cursor.prev());
                    expected = expected.and_then(|entry| model.before(&entry.user_key, entry.seq));
                }
            }
            assert_eq!(standing(&cursor).as_ref(), expected, "seed {seed}, step {step}");
        }
    }
}

/// Ascending, descending, from both ends, in clusters or at random: the order of inserts does not show.
pub fn any_order_of_inserts_gives_the_same_table<M: Memtable>() {
    let sorted: Vec<Owned> =
        (0..1_000_u64).map(|i| Owned::put(format!("{i:09}").as_bytes(), i + 1, b"v".to_vec())).collect();
    let mut shuffled = sorted.clone();
    Random::new(3).shuffle(&mut shuffled);
    let from_both_ends = (0..sorted.len()).map(|i| if i % 2 == 0 { i / 2 } else { sorted.len() - 1 - i / 2 });
    let clusters = (0..sorted.len()).map(|i| i % 10 * 100 + i / 10);
    let orders: [Vec<Owned>; 5] = [
        sorted.clone(),
        sorted.iter().rev().cloned().collect(),
        from_both_ends.map(|i| sorted[i].clone()).collect(),
        clusters.map(|i| sorted[i].clone()).collect(),
        shuffled,
    ];
    for order in orders {
        let table = table_of::<M>(&order);
        assert_eq!(forward(&mut table.cursor()), sorted);
        let mut reversed = backward(&mut table.cursor());
        reversed.reverse();
        assert_eq!(reversed, sorted);
        assert!(sorted.iter().all(|entry| get(&*table, &entry.user_key, 5_000).as_ref() == Some(entry)));
    }
}

/// A table that takes the place of others begins empty, whatever memory it goes on with, and leaves a cursor of theirs alone.
pub fn a_successor_begins_empty<M: Memtable>() {
    let generation = |n: u64| -> Vec<Owned> {
        let key = |i: u64| format!("{:09}", i * (n + 1) % 3_001).into_bytes();
        (0..3_000).map(|i| Owned::put(&key(i), i + 1, vec![n as u8; 20])).collect()
    };
    let mut table = Arc::new(M::with_budget(200 << 10));
    let mut kept = None;
    for n in 0..6 {
        let entries = generation(n);
        let next = Arc::new(table.successor(if n == 4 { 100 << 10 } else { 200 << 10 }));
        table = next;
        assert!(table.is_empty() && backward(&mut table.cursor()).is_empty());
        entries.iter().for_each(|entry| table.insert(entry.entry()));
        assert_eq!(forward(&mut table.cursor()).iter().collect::<Vec<_>>(), Model::of(&entries).sorted());
        if n == 1 {
            kept = Some((table.cursor(), entries));
        }
    }
    let (mut cursor, entries) = kept.expect("because there was a second generation");
    assert_eq!(forward(&mut cursor).iter().collect::<Vec<_>>(), Model::of(&entries).sorted());
}

/// Entries added together, however many at a time, are those added one by one: keys of every kind, several versions of
/// one key, an entry twice, in any order.
pub fn entries_added_together_are_added_one_by_one<M: Memtable>() {
    for seed in 0..10 {
        let mut random = Random::new(seed);
        let mut keys = tricky_keys();
        keys.extend((0..300).map(|i| format!("{i:09}").into_bytes()));
        let mut entries = versions_of(&keys, 2, &mut random);
        match seed {
            0 => entries.sort_by(|a, b| a.user_key.cmp(&b.user_key)),
            1 => entries.sort_by(|a, b| b.user_key.cmp(&a.user_key)),
            _ => {}
        }
        let model = Model::of(&entries);
        let table = Arc::new(M::with_budget(BUDGET_BYTES));
        let mut rest = &entries[..];
        while !rest.is_empty() {
            let count = [0, 1, 2, 7, 8, 9, 50][random.below(7)].min(rest.len());
            let (group, after) = rest.split_at(count);
            let again = group.first().filter(|_| random.below(4) == 0);
            table.insert_all(group.iter().chain(again).map(Owned::entry));
            assert!(group.iter().all(|e| get(&*table, &e.user_key, e.seq).as_ref() == Some(e)));
            rest = after;
        }
        let mut shown = forward(&mut table.cursor());
        // Of an identical entry both may be kept.
        shown.dedup();
        assert_eq!(shown.iter().collect::<Vec<_>>(), model.sorted());
    }
}

/// The empty key, prefixes, shared heads and the smallest and largest bytes: each key has its own
/// versions, and a key that was not inserted has none.
pub fn keys_of_any_bytes_are_told_apart<M: Memtable>() {
    let keys = tricky_keys();
    for parity in [0, 1] {
        let is_in = |i: &usize| i % 2 == parity;
        let entries: Vec<Owned> = (0..keys.len())
            .filter(is_in)
            .map(|i| Owned::put(&keys[i], i as u64 + 1, keys[i].iter().rev().copied().collect()))
            .collect();
        let table = table_of::<M>(&entries);
        for (i, key) in keys.iter().enumerate() {
            let found = get(&*table, key, SeqNo::MAX.value());
            assert_eq!(found.as_ref(), entries.iter().find(|entry| entry.user_key == *key), "{key:?}");
            assert_eq!(found.is_some(), is_in(&i));
        }
    }
}

/// Keys of the greatest length and values of a megabyte come back byte for byte.
pub fn long_keys_and_values_are_kept_whole<M: Memtable>() {
    let mut random = Random::new(4);
    let mut bytes = |len: usize| -> Vec<u8> { (0..len).map(|_| random.next() as u8).collect() };
    let mut entries = Vec::new();
    for (i, key_len) in [MAX_KEY_BYTES, MAX_KEY_BYTES - 1, 5_000, 3].into_iter().enumerate() {
        for (j, value_len) in [1 << 20, (1 << 20) + 1, 40_000, 0].into_iter().enumerate() {
            entries.push(Owned::put(&bytes(key_len), (4 * i + j) as u64 + 1, bytes(value_len)));
        }
    }
    // Two keys that differ in their last byte only.
    let mut key = entries[0].user_key.clone();
    key[MAX_KEY_BYTES - 1] ^= 1;
    entries.push(Owned::put(&key, 100, bytes(10)));
    let (table, model) = (table_of::<M>(&entries), Model::of(&entries));
    for entry in &entries {
        assert!(get(&*table, &entry.user_key, SeqNo::MAX.value()).as_ref() == Some(entry));
    }
    assert!(forward(&mut table.cursor()).iter().eq(model.sorted()));
}

/// `value` gives the bytes of `entry().value`, and they outlive the cursor and the table.
pub fn a_value_equals_that_of_its_entry<M: Memtable>() {
    let entries = versions_of(&tricky_keys(), 2, &mut Random::new(5));
    let table = table_of::<M>(&entries);
    let mut cursor = table.cursor();
    let mut kept = Vec::new();
    sound(cursor.seek_first());
    while let Some(entry) = cursor.entry() {
        let value = cursor.value().expect("a cursor on an entry has a value");
        assert_eq!(&*value, entry.value);
        kept.push((value, entry.value.to_vec()));
        sound(cursor.next());
    }
    assert_eq!(kept.len(), entries.len());
    drop((cursor, table));
    assert!(kept.iter().all(|(value, expected)| **value == **expected));
}

/// An entry inserted again, equal in everything, as when a log is replayed twice, changes no answer: it
/// is there once, or twice side by side.
pub fn an_identical_entry_does_no_harm<M: Memtable>() {
    let mut random = Random::new(6);
    let entries = versions_of(&tricky_keys(), 2, &mut random);
    let mut twice = [&entries[..], &entries].concat();
    random.shuffle(&mut twice[entries.len()..]);
    let (table, model) = (table_of::<M>(&twice), Model::of(&entries));
    for entry in &entries {
        for at in [entry.seq - 1, entry.seq, entry.seq + 1, SeqNo::MAX.value()] {
            assert_eq!(get(&*table, &entry.user_key, at).as_ref(), model.get(&entry.user_key, at));
        }
    }
    let mut reversed = backward(&mut table.cursor());
    reversed.reverse();
    for mut shown in [forward(&mut table.cursor()), reversed] {
        assert_eq!(shown.len(), table.len());
        shown.dedup();
        assert_eq!(shown.iter().collect::<Vec<_>>(), model.sorted());
    }
}

/// A cursor keeps what it shows alive after the last other handle is gone.
pub fn a_cursor_outlives_all_other_handles<M: Memtable>() {
    let entries = versions_of(&tricky_keys(), 2, &mut Random::new(7));
    let model = Model::of(&entries);
    let table = table_of::<M>(&entries);
    let mut cursor = table.cursor();
    sound(cursor.seek_first());
    drop(table);
    let moved = std::thread::spawn(move || {
        assert_eq!(standing(&cursor).as_ref(), model.sorted().first().copied());
        assert_eq!(forward(&mut cursor).iter().collect::<Vec<_>>(), model.sorted());
    });
    moved.join().expect("the cursor works on another thread");
}

/// A cursor shows at least what was there when it was made, and in order, however many entries join
/// between its steps; a seek finds those.
pub fn a_cursor_stays_right_while_entries_are_added<M: Memtable>() {
    let key = |n: u64| format!("{n:06}").into_bytes();
    let old: Vec<Owned> = (0..300).map(|i| Owned::put(&key(10 * i), i + 1, b"old".to_vec())).collect();
    for is_forward in [true, false] {
        let table = table_of::<M>(&old);
        let mut cursor = table.cursor();
        sound(if is_forward { cursor.seek_first() } else { cursor.seek_last() });
        let mut shown = Vec::new();
        let mut added = 0;
        while let Some(entry) = standing(&cursor) {
            if added < 900 {
                // Near the cursor, behind it and ahead of it, and far away.
                for n in [10 * shown.len() as u64 + 5, scramble(added) % 3_000] {
                    added += 1;
                    table.insert(Owned::put(&key(n), 1_000 + added, b"new".to_vec()).entry());
                }
            }
            shown.push(entry);
            sound(if is_forward { cursor.next() } else { cursor.prev() });
        }
        if !is_forward {
            shown.reverse();
        }
        assert!(shown.windows(2).all(|two| two[0].entry().key() < two[1].entry().key()));
        shown.retain(|entry| entry.value == b"old");
        assert_eq!(shown, old);
        assert_eq!(table.len(), forward(&mut cursor).len());
        seek(&mut cursor, &key(5), SeqNo::MAX.value());
        assert_eq!(standing(&cursor).map(|entry| entry.value), Some(b"new".to_vec()));
    }
}

/// `size_bytes` never shrinks, and is never less than the bytes of all keys and values.
pub fn size_covers_every_byte_inserted<M: Memtable>() {
    let mut random = Random::new(8);
    for budget_bytes in [0, 64 << 10, BUDGET_BYTES, usize::MAX] {
        let table = Arc::new(M::with_budget(budget_bytes));
        let (mut raw_bytes, mut size_bytes) = (0, table.size_bytes());
        for i in 0..1_000 {
            let value = vec![1; if i % 250 == 249 { 300_000 } else { random.below(500) }];
            let entry = Owned::put(&random.next().to_be_bytes(), i + 1, value);
            table.insert(entry.entry());
            raw_bytes += entry.user_key.len() + entry.value.len();
            assert!(table.size_bytes() >= raw_bytes, "{} of {raw_bytes}", table.size_bytes());
            assert!(table.size_bytes() >= size_bytes, "{} after {size_bytes}", table.size_bytes());
            size_bytes = table.size_bytes();
        }
        // It is memory that is counted, so there must be a bound above as well.
        assert!(size_bytes < 2 * raw_bytes + (4 << 20), "{size_bytes} of {raw_bytes}");
    }
}

/// A key of up to three of three letters, so that many are the same and many share a prefix.
fn short_key(random: &mut Random) -> Vec<u8> {
    (0..random.below(12)).map(|_| b"\x00a\xff"[random.below(3)]).collect()
}
