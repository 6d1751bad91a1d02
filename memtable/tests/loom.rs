//! Every interleaving of a few inserts and reads of the skiplist.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p lsmkit-memtable --release --test loom
//! ```
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::sync::Arc;

use loom::thread;
use lsmkit_base::{Cursor, Entry, SeqNo};
use lsmkit_memtable::{Memtable, SkipList};

const KEYS: [&[u8]; 5] = [b"a", b"b, with a head in common 1", b"b, with a head in common 2", b"c", b"d"];

fn insert(table: &SkipList, n: usize) {
    table.insert(Entry::put(KEYS[n], SeqNo::new(n as u64 + 1).unwrap(), KEYS[n]));
}

/// Whether the `n`-th key is there, whole.
fn has(table: &SkipList, n: usize) -> bool {
    let seen = table.get(KEYS[n], SeqNo::MAX, |entry| {
        assert_eq!((entry.user_key, entry.seq.value(), entry.value), (KEYS[n], n as u64 + 1, KEYS[n]));
    });
    seen.is_some()
}

#[test]
fn get_sees_a_prefix_of_what_one_writer_inserts() {
    loom::model(|| {
        let table = Arc::new(SkipList::with_budget(0));
        insert(&table, 1);
        let writer = {
            let table = Arc::clone(&table);
            thread::spawn(move || [2, 0].map(|n| insert(&table, n)))
        };
        assert!(has(&table, 1), "what was there before is still there");
        let later = has(&table, 0);
        let earlier = has(&table, 2);
        assert!(earlier || !later, "the second insert was seen without the first");
        writer.join().unwrap();
        assert!((0..3).all(|n| has(&table, n)));
    });
}

#[test]
fn a_forward_scan_sees_whole_entries_in_order() {
    scan(true);
}

#[test]
fn a_backward_scan_sees_whole_entries_in_order() {
    scan(false);
}

fn scan(is_forward: bool) {
    loom::model(move || {
        let table = Arc::new(SkipList::with_budget(0));
        insert(&table, 1);
        insert(&table, 3);
        let writer = {
            let table = Arc::clone(&table);
            thread::spawn(move || [2, if is_forward { 0 } else { 4 }].map(|n| insert(&table, n)))
        };
        let mut cursor = table.cursor();
        if is_forward { cursor.seek_first() } else { cursor.seek_last() }.unwrap();
        let mut seen = Vec::new();
        while let Some(entry) = cursor.entry() {
            let n = entry.seq.value() as usize - 1;
            assert_eq!((entry.user_key, entry.value), (KEYS[n], KEYS[n]), "an entry is not whole");
            seen.push(n);
            if is_forward { cursor.next() } else { cursor.prev() }.unwrap();
        }
        assert!(seen.contains(&1) && seen.contains(&3), "what was there before is missed: {seen:?}");
        assert!(seen.is_sorted_by(|a, b| if is_forward { a < b } else { a > b }), "out of order: {seen:?}");
        // The writer's last insert is where the scan begins, so the first was there before it.
        assert!(seen.contains(&2) || !(seen.contains(&0) || seen.contains(&4)), "a gap: {seen:?}");
        writer.join().unwrap();
    });
}

#[test]
fn what_get_has_seen_scans_in_both_directions_see() {
    loom::model(|| {
        let table = Arc::new(SkipList::with_budget(0));
        insert(&table, 1);
        insert(&table, 3);
        let writer = {
            let table = Arc::clone(&table);
            thread::spawn(move || insert(&table, 2))
        };
        if has(&table, 2) {
            let mut cursor = table.cursor();
            cursor.seek_first().unwrap();
            cursor.next().unwrap();
            assert_eq!(cursor.entry().unwrap().user_key, KEYS[2]);
            cursor.seek_last().unwrap();
            cursor.prev().unwrap();
            assert_eq!(cursor.entry().unwrap().user_key, KEYS[2]);
        }
        writer.join().unwrap();
    });
}

#[test]
fn two_writers_lose_nothing() {
    loom::model(|| {
        let table = Arc::new(SkipList::with_budget(0));
        let writer = {
            let table = Arc::clone(&table);
            thread::spawn(move || [2, 1].map(|n| insert(&table, n)))
        };
        // One entry in common, as when a log is replayed twice.
        [3, 1].iter().for_each(|&n| insert(&table, n));
        writer.join().unwrap();
        assert_eq!(table.len(), 3);
        assert!((1..4).all(|n| has(&table, n)));
    });
}
