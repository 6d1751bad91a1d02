//! Every interleaving of a few inserts and reads of the tables that readers take no lock of.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p lsmkit-memtable --release --test loom
//! ```
//!
//! Nodes of the B+-tree have four slots here, so that a few inserts split them.
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::sync::Arc;

use loom::thread;
use lsmkit_base::{Cursor, Entry, KeyRef, SeqNo};
use lsmkit_memtable::{BPlusTree, Memtable, SkipList};

/// The `n`-th key in order. Some share a head.
fn key(n: usize) -> Vec<u8> {
    format!("k{:02}, whose number is {n:04}", n / 20).into_bytes()
}

fn insert<M: Memtable>(table: &M, n: usize) {
    table.insert(Entry::put(&key(n), SeqNo::new(n as u64 + 1).unwrap(), &key(n)));
}

/// Whether the `n`-th key is there, whole.
fn has<M: Memtable>(table: &M, n: usize) -> bool {
    let seen = table.get(&key(n), SeqNo::MAX, |entry| {
        assert_eq!((entry.user_key, entry.seq.value(), entry.value), (&*key(n), n as u64 + 1, &*key(n)));
    });
    seen.is_some()
}

/// The numbers of the entries that a scan shows, whole and in order.
fn scan<M: Memtable>(table: &Arc<M>, is_forward: bool) -> Vec<usize> {
    let mut cursor = table.cursor();
    if is_forward { cursor.seek_first() } else { cursor.seek_last() }.unwrap();
    let mut seen = Vec::new();
    while let Some(entry) = cursor.entry() {
        let n = entry.seq.value() as usize - 1;
        assert_eq!((entry.user_key, entry.value), (&*key(n), &*key(n)), "an entry is not whole");
        seen.push(n);
        if is_forward { cursor.next() } else { cursor.prev() }.unwrap();
    }
    assert!(seen.is_sorted_by(|a, b| if is_forward { a < b } else { a > b }), "out of order: {seen:?}");
    seen
}

/// A table that holds `before`, and a thread that inserts `beside`.
fn model<M: Memtable>(
    before: &'static [usize],
    beside: &'static [usize],
    read: fn(&Arc<M>, &[usize], &[usize]),
) {
    loom::model(move || {
        let table = Arc::new(M::with_budget(0));
        before.iter().for_each(|&n| insert(&*table, n));
        let writer = {
            let table = Arc::clone(&table);
            thread::spawn(move || beside.iter().for_each(|&n| insert(&*table, n)))
        };
        read(&table, before, beside);
        writer.join().unwrap();
        assert!(before.iter().chain(beside).all(|&n| has(&*table, n)));
        assert_eq!(table.len(), before.len() + beside.len());
    });
}

/// What was there is still there, and of what comes a prefix.
fn gets<M: Memtable>(table: &Arc<M>, before: &[usize], beside: &[usize]) {
    for &n in [before.first(), before.last()].into_iter().flatten() {
        assert!(has(&**table, n), "{n} was there before");
    }
    if let [earlier, later] = *beside {
        let later = has(&**table, later);
        assert!(has(&**table, earlier) || !later, "the second insert was seen without the first");
    }
}

fn scans<M: Memtable, const FORWARD: bool>(table: &Arc<M>, before: &[usize], _: &[usize]) {
    let seen = scan(table, FORWARD);
    assert!(before.iter().all(|n| seen.contains(n)), "what was there before is missed: {seen:?}");
}

/// What a get has seen, scans see.
fn gets_then_scans<M: Memtable>(table: &Arc<M>, before: &[usize], beside: &[usize]) {
    if has(&**table, beside[0]) {
        for is_forward in [true, false] {
            let seen = scan(table, is_forward);
            assert!(before.iter().chain(&beside[..1]).all(|n| seen.contains(n)), "{seen:?}");
        }
    }
}

/// A seek comes to the very place, in either direction.
fn seeks<M: Memtable>(table: &Arc<M>, before: &[usize], _: &[usize]) {
    let at = before[before.len() - 2];
    let mut cursor = table.cursor();
    cursor.seek(KeyRef::first_of(&key(at))).unwrap();
    assert_eq!(cursor.entry().unwrap().user_key, key(at));
    cursor.seek_before(KeyRef::last_of(&key(at))).unwrap();
    assert_eq!(cursor.entry().unwrap().user_key, key(at));
}

fn two_writers<M: Memtable>(mine: &'static [usize], theirs: &'static [usize], all: usize) {
    loom::model(move || {
        let table = Arc::new(M::with_budget(0));
        insert(&*table, 1);
        let writer = {
            let table = Arc::clone(&table);
            thread::spawn(move || theirs.iter().for_each(|&n| insert(&*table, n)))
        };
        mine.iter().for_each(|&n| insert(&*table, n));
        writer.join().unwrap();
        assert_eq!(table.len(), all);
        assert!(mine.iter().chain(theirs).all(|&n| has(&*table, n)));
    });
}

macro_rules! models {
    ($($name:ident: $read:ident, $before:expr, $beside:expr;)*) => {
        $(#[test] fn $name() { model::<Table>(&$before, &$beside, $read); })*
    };
}

mod skiplist {
    use super::*;

    type Table = SkipList;

    fn forward(table: &Arc<Table>, before: &[usize], beside: &[usize]) {
        scans::<Table, true>(table, before, beside);
    }

    fn backward(table: &Arc<Table>, before: &[usize], beside: &[usize]) {
        scans::<Table, false>(table, before, beside);
    }

    models! {
        a_get_sees_a_prefix_of_what_one_writer_inserts: gets, [10], [20, 5];
        a_forward_scan_sees_whole_entries_in_order: forward, [10, 30], [20, 5];
        a_backward_scan_sees_whole_entries_in_order: backward, [10, 30], [20, 40];
        what_a_get_has_seen_scans_see: gets_then_scans, [10, 30], [20];
    }

    #[test]
    fn two_writers_lose_nothing() {
        // One entry in common, as when a log is replayed twice.
        two_writers::<Table>(&[30, 10], &[20, 10], 4);
    }
}

mod bplus_tree {
    use super::*;

    type Table = BPlusTree;

    fn forward(table: &Arc<Table>, before: &[usize], beside: &[usize]) {
        scans::<Table, true>(table, before, beside);
    }

    fn backward(table: &Arc<Table>, before: &[usize], beside: &[usize]) {
        scans::<Table, false>(table, before, beside);
    }

    models! {
        an_empty_tree_gets_a_root: gets, [], [20, 5];
        a_get_sees_a_prefix_of_what_one_writer_inserts: gets, [10], [20, 5];
        a_forward_scan_sees_whole_entries_in_order: forward, [10, 30], [20, 5];
        a_backward_scan_sees_whole_entries_in_order: backward, [10, 30], [20, 40];

        // The only leaf is full.
        a_get_beside_the_split_of_the_root: gets, [10, 20, 30, 40], [25, 15];
        a_forward_scan_beside_the_split_of_the_root: forward, [10, 20, 30, 40], [25];
        a_backward_scan_beside_the_split_of_the_root: backward, [10, 20, 30, 40], [25];

        // Two leaves, the first of them full: the upper half is added, then the lower half put in place.
        a_get_beside_a_split: gets, [50, 10, 20, 30, 40], [25];
        an_upper_half_is_found_beside_its_split: upper_half, [10, 20, 30, 40, 50], [25];
        a_seek_beside_a_split: seeks, [10, 20, 30, 40, 50], [25];
        a_forward_scan_beside_a_split: forward, [10, 20, 30, 40, 50], [25];
        a_backward_scan_beside_a_split: backward, [10, 20, 30, 40, 50], [25];
        what_a_get_has_seen_scans_see: gets_then_scans, [10, 20, 30, 40, 50], [25];

        // The same, where the leaf is cut before its first entry and behind its last.
        a_forward_scan_beside_a_cut_before_the_first: forward, [10, 20, 30, 40, 50], [5];
        a_backward_scan_beside_a_cut_before_the_first: backward, [10, 20, 30, 40, 50], [5];
        a_get_beside_a_cut_before_the_first: upper_half, [10, 20, 30, 40, 50], [5];
        a_forward_scan_beside_a_cut_behind_the_last: forward, [10, 20, 30, 40, 50], [45];
        a_backward_scan_beside_a_cut_behind_the_last: backward, [10, 20, 30, 40, 50], [45];

        // Four full leaves under a full root.
        a_get_beside_the_split_of_an_inner_node: upper_half, INNER, [25];
        a_forward_scan_beside_the_split_of_an_inner_node: forward, INNER, [25];
        a_backward_scan_beside_the_split_of_an_inner_node: backward, INNER, [25];

        // The same below another one. What comes new lies in the middle of the node that is split.
        steps_back_beside_the_split_of_a_lower_inner_node: steps_back, LOWER_INNER, [65];
    }

    const INNER: [usize; 13] = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130];

    const LOWER_INNER: [usize; 17] =
        [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130, 140, 150, 160, 170];

    /// From the upper half of what is split to the lower.
    fn steps_back(table: &Arc<Table>, _: &[usize], _: &[usize]) {
        let mut cursor = table.cursor();
        cursor.seek(KeyRef::first_of(&key(70))).unwrap();
        let mut seen = Vec::new();
        while let Some(entry) = cursor.entry().filter(|_| seen.len() < 4) {
            seen.push(entry.seq.value() - 1);
            cursor.prev().unwrap();
        }
        assert!(seen == [70, 65, 60, 50] || seen == [70, 60, 50, 40], "{seen:?}");
    }

    /// What the split moves is found all the time.
    fn upper_half(table: &Arc<Table>, _: &[usize], _: &[usize]) {
        assert!(has(&**table, 40) && has(&**table, 30));
    }

    /// A key that shares less with the others than they do.
    #[test]
    fn a_get_beside_a_shorter_prefix() {
        loom::model(|| {
            let table = Arc::new(Table::with_budget(0));
            [10, 20].iter().for_each(|&n| insert(&*table, n));
            let writer = {
                let table = Arc::clone(&table);
                thread::spawn(move || table.insert(Entry::put(b"a", SeqNo::new(99).unwrap(), b"")))
            };
            assert!(has(&*table, 10) && has(&*table, 20));
            let mut cursor = table.cursor();
            cursor.seek(KeyRef::first_of(b"b")).unwrap();
            assert_eq!(cursor.entry().unwrap().user_key, key(10), "an entry before the one sought");
            writer.join().unwrap();
            assert!(table.get(b"a", SeqNo::MAX, |_| ()).is_some());
        });
    }

    #[test]
    fn two_writers_lose_nothing() {
        two_writers::<Table>(&[30, 10], &[20, 10], 4);
    }
}
