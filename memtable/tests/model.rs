//! Any sequence of inserts, reads and moves gives what a sorted map gives.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use lsmkit_base::{Cursor, Entry, KeyRef, SeqNo, ValueKind};
use lsmkit_memtable::{BPlusTree, BTree, Memtable, SkipList};
use proptest::collection::vec;
use proptest::prelude::*;

type Place = (Vec<u8>, Reverse<u64>);
type Stored = (ValueKind, Vec<u8>);

#[derive(Clone, Debug)]
enum Act {
    Insert { key: Vec<u8>, value: Option<Vec<u8>> },
    Get { key: Vec<u8>, at: u64 },
    Seek { key: Vec<u8>, at: u64 },
    SeekBefore { key: Vec<u8>, at: u64 },
    First,
    Last,
    Next,
    Prev,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    // Mostly from few letters, so that keys meet; with a head in common, so that they differ late.
    let letters = || vec(prop::sample::select(&b"\x00\x01ab\xff"[..]), 0..4);
    prop_oneof![
        letters(),
        letters().prop_map(|end| [b"12345678".to_vec(), end].concat()),
        letters().prop_map(|end| [b"1234567812345678".to_vec(), end].concat()),
        vec(any::<u8>(), 0..40),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let value = prop::option::weighted(0.8, vec(any::<u8>(), 0..200));
    prop_oneof![
        6 => (key(), value).prop_map(|(key, value)| Act::Insert { key, value }),
        2 => (key(), 0..120_u64).prop_map(|(key, at)| Act::Get { key, at }),
        1 => (key(), 0..120_u64).prop_map(|(key, at)| Act::Seek { key, at }),
        1 => (key(), 0..120_u64).prop_map(|(key, at)| Act::SeekBefore { key, at }),
        1 => Just(Act::First),
        1 => Just(Act::Last),
        2 => Just(Act::Next),
        2 => Just(Act::Prev),
    ]
}

/// Plays the acts. Inserts come between moves, so a cursor may or may not show what joined after its
/// last seek: a step is checked only where nothing joined since.
fn play<M: Memtable>(acts: &[Act]) {
    let table = Arc::new(M::with_budget(1 << 20));
    let mut model: BTreeMap<Place, Stored> = BTreeMap::new();
    let mut cursor = table.cursor();
    let mut at: Option<Place> = None;
    let mut joined = false;
    for (i, act) in acts.iter().enumerate() {
        let seq = SeqNo::new(i as u64 + 1).unwrap();
        match act {
            Act::Insert { key, value } => {
                let (kind, bytes) = match value {
                    Some(value) => (ValueKind::Put, value.clone()),
                    None => (ValueKind::Delete, Vec::new()),
                };
                table.insert(Entry { user_key: key, seq, kind, value: &bytes });
                model.insert((key.clone(), Reverse(seq.value())), (kind, bytes));
                joined = true;
                continue;
            }
            Act::Get { key, at } => {
                let found = table.get(key, SeqNo::new(*at).unwrap(), |entry| {
                    assert_eq!(entry.user_key, key);
                    (entry.seq.value(), entry.kind, entry.value.to_vec())
                });
                let place = (key.clone(), Reverse(*at));
                let expected = model.range(place..).next().filter(|((found, _), _)| found == key);
                assert_eq!(found, expected.map(|((_, seq), (kind, value))| (seq.0, *kind, value.clone())));
                continue;
            }
            Act::Seek { key, at: seq } => {
                cursor.seek(KeyRef::new(key, SeqNo::new(*seq).unwrap())).unwrap();
                at = model.range((key.clone(), Reverse(*seq))..).next().map(|(place, _)| place.clone());
                joined = false;
            }
            Act::SeekBefore { key, at: seq } => {
                cursor.seek_before(KeyRef::new(key, SeqNo::new(*seq).unwrap())).unwrap();
                at = model.range(..(key.clone(), Reverse(*seq))).next_back().map(|(place, _)| place.clone());
                joined = false;
            }
            Act::First => {
                cursor.seek_first().unwrap();
                at = model.first_key_value().map(|(place, _)| place.clone());
                joined = false;
            }
            Act::Last => {
                cursor.seek_last().unwrap();
                at = model.last_key_value().map(|(place, _)| place.clone());
                joined = false;
            }
            Act::Next => {
                cursor.next().unwrap();
                at = at.and_then(|at| {
                    let after = (Bound::Excluded(at), Bound::Unbounded);
                    model.range(after).next().map(|(place, _)| place.clone())
                });
            }
            Act::Prev => {
                cursor.prev().unwrap();
                at = at.and_then(|at| model.range(..at).next_back().map(|(place, _)| place.clone()));
            }
        }
        let standing = cursor.entry().map(|entry| (entry.user_key.to_vec(), Reverse(entry.seq.value())));
        if joined {
            // Wherever it is, it shows an entry that was inserted.
            at = standing;
        } else {
            assert_eq!(standing, at, "after {act:?}, the act {i}");
        }
        if let Some(entry) = cursor.entry() {
            let (kind, value) = &model[at.as_ref().unwrap()];
            assert_eq!((entry.kind, entry.value), (*kind, value.as_slice()));
            assert_eq!(&*cursor.value().unwrap(), value.as_slice());
        }
    }
    assert_eq!(table.len(), model.len());
    let raw_bytes: usize = model.iter().map(|((key, _), (_, value))| key.len() + value.len()).sum();
    assert!(table.size_bytes() >= raw_bytes);
}

proptest! {
    #[test]
    fn skiplist_plays_as_a_sorted_map(acts in vec(act(), 0..120)) {
        play::<SkipList>(&acts);
    }

    #[test]
    fn bplus_tree_plays_as_a_sorted_map(acts in vec(act(), 0..120)) {
        play::<BPlusTree>(&acts);
    }

    /// So many that leaves split.
    #[test]
    fn a_grown_bplus_tree_plays_as_a_sorted_map(acts in vec(act(), 400..500)) {
        play::<BPlusTree>(&acts);
    }

    #[test]
    fn btree_plays_as_a_sorted_map(acts in vec(act(), 0..120)) {
        play::<BTree>(&acts);
    }
}
