//! Laws of several threads.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use lsmkit_base::{Cursor, Entry, SeqNo};

use super::model::{Random, scramble, seq, sound, table_of};
use crate::Memtable;

/// How many entries the writers of a test insert.
const ENTRIES: u64 = 20_000;

/// The `n`-th entry, from 1 on, is one of these: its key is spread over all keys, and its value can be
/// told from the key alone, so that half an entry would be noticed.
fn nth_key(n: u64) -> [u8; 16] {
    let mut key = [0; 16];
    // Few heads, so that comparisons go beyond them.
    key[..8].copy_from_slice(&(scramble(n) % 50).to_be_bytes());
    key[8..].copy_from_slice(&scramble(n).to_be_bytes());
    key
}

fn nth_value(key: &[u8]) -> Vec<u8> {
    key.repeat(1 + usize::from(key[15]) % 16)
}

fn insert_nth<M: Memtable>(table: &M, n: u64) {
    let key = nth_key(n);
    table.insert(Entry::put(&key, seq(n), &nth_value(&key)));
}

/// Whether the `n`-th entry is there; it is there whole.
fn has_nth<M: Memtable>(table: &M, n: u64) -> bool {
    let key = nth_key(n);
    let seen = table.get(&key, SeqNo::MAX, |entry| {
        assert_eq!((entry.user_key, entry.seq.value()), (&key[..], n));
        assert_eq!(entry.value, nth_value(&key), "the {n}-th entry is not whole");
    });
    seen.is_some()
}

/// Whoever sees an entry sees all that the same writer inserted before it; and whoever was told that an
/// insert returned sees what it inserted.
pub fn readers_beside_a_writer_see_a_prefix<M: Memtable>() {
    let table = table_of::<M>(&[]);
    let inserted = AtomicU64::new(0);
    thread::scope(|scope| {
        for seed in 0..2 {
            let (table, inserted) = (&table, &inserted);
            scope.spawn(move || {
                let mut random = Random::new(seed);
                loop {
                    let n = inserted.load(Ordering::Acquire);
                    if n > 0 {
                        let before = 1 + random.next() % n;
                        assert!(has_nth(&**table, before), "{before} of {n} is not there");
                        assert!(has_nth(&**table, n), "{n} was inserted and is not there");
                    }
                    // A little ahead of what is known to be there.
                    let ahead = n + 1 + random.next() % 8;
                    if ahead <= ENTRIES && has_nth(&**table, ahead) {
                        assert!(
                            (n + 1..ahead).all(|before| has_nth(&**table, before)),
                            "a gap before {ahead}"
                        );
                    }
                    if n == ENTRIES {
                        break;
                    }
                }
            });
        }
        for n in 1..=ENTRIES {
            insert_nth(&*table, n);
            inserted.store(n, Ordering::Release);
        }
    });
    assert_eq!(table.len() as u64, ENTRIES);
}

/// A scan in either direction, and one that turns, shows in order every entry that was there when it
/// began.
pub fn scans_beside_a_writer_miss_nothing<M: Memtable>() {
    let table = table_of::<M>(&[]);
    let inserted = AtomicU64::new(0);
    thread::scope(|scope| {
        for is_forward in [true, false] {
            let (table, inserted) = (&table, &inserted);
            scope.spawn(move || {
                loop {
                    let n = inserted.load(Ordering::Acquire);
                    let mut cursor = table.cursor();
                    let mut seen = 0;
                    let mut last: Option<Vec<u8>> = None;
                    sound(if is_forward { cursor.seek_first() } else { cursor.seek_last() });
                    while let Some(entry) = cursor.entry() {
                        assert_eq!(entry.value, nth_value(entry.user_key), "an entry is not whole");
                        if let Some(last) = &last {
                            assert_eq!(last.as_slice() < entry.user_key, is_forward, "keys are out of order");
                            assert_ne!(last.as_slice(), entry.user_key, "a key appears twice");
                        }
                        seen += u64::from(entry.seq.value() <= n);
                        last = Some(entry.user_key.to_vec());
                        sound(if is_forward { cursor.next() } else { cursor.prev() });
                    }
                    assert_eq!(seen, n, "a scan missed entries");
                    if n == ENTRIES {
                        break;
                    }
                }
            });
        }
        for n in 1..=ENTRIES {
            insert_nth(&*table, n);
            inserted.store(n, Ordering::Release);
        }
    });
}

/// Several threads insert at once, in part the very same entries, and each finds what it has inserted.
pub fn several_writers_lose_nothing<M: Memtable>() {
    const WRITERS: u64 = 4;
    let table = table_of::<M>(&[]);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let table = &table;
            scope.spawn(move || {
                for n in 1..=ENTRIES / 2 {
                    // Each inserts its own share and, now and then, an entry of its neighbour's.
                    if n % WRITERS == writer || n % 64 == writer {
                        insert_nth(&**table, n);
                        assert!(has_nth(&**table, n), "{n} was inserted and is not there");
                    }
                }
            });
        }
    });
    let mut cursor = table.cursor();
    let mut seen = BTreeSet::new();
    let mut shown = 0;
    sound(cursor.seek_first());
    while let Some(entry) = cursor.entry() {
        assert_eq!(entry.value, nth_value(entry.user_key));
        seen.insert(entry.seq.value());
        shown += 1;
        sound(cursor.next());
    }
    assert!(seen.into_iter().eq(1..=ENTRIES / 2), "an entry was lost");
    assert_eq!(table.len(), shown);
    assert!((1..=ENTRIES / 2).all(|n| has_nth(&*table, n)));
}
