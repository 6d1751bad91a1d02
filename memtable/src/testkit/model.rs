//! What a memtable is compared with, and where test data comes from.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use lsmkit_base::{Cursor, Entry, Fault, KeyRef, SeqNo, ValueKind};

use crate::Memtable;

/// Large enough that no test fills it.
pub(super) const BUDGET_BYTES: usize = 16 << 20;

/// The sequence number `n`.
pub(super) fn seq(n: u64) -> SeqNo {
    SeqNo::new(n).expect("because tests count far below the limit")
}

/// A memtable's cursor reads memory only, so it has no cause to fail.
pub(super) fn sound(moved: Result<(), Fault>) {
    moved.expect("a memtable's cursor does not fail");
}

/// An entry with bytes of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Owned {
    pub(super) user_key: Vec<u8>,
    pub(super) seq: u64,
    pub(super) kind: ValueKind,
    pub(super) value: Vec<u8>,
}

impl Owned {
    pub(super) fn of(entry: Entry<'_>) -> Owned {
        Owned {
            user_key: entry.user_key.to_vec(),
            seq: entry.seq.value(),
            kind: entry.kind,
            value: entry.value.to_vec(),
        }
    }

    pub(super) fn put(user_key: &[u8], seq: u64, value: Vec<u8>) -> Owned {
        Owned { user_key: user_key.to_vec(), seq, kind: ValueKind::Put, value }
    }

    pub(super) fn delete(user_key: &[u8], seq: u64) -> Owned {
        Owned { user_key: user_key.to_vec(), seq, kind: ValueKind::Delete, value: Vec::new() }
    }

    pub(super) fn entry(&self) -> Entry<'_> {
        Entry { user_key: &self.user_key, seq: seq(self.seq), kind: self.kind, value: &self.value }
    }
}

/// A memtable as it should be.
#[derive(Default)]
pub(super) struct Model {
    entries: BTreeMap<(Vec<u8>, Reverse<u64>), Owned>,
}

impl Model {
    pub(super) fn of(entries: &[Owned]) -> Model {
        let place = |entry: &Owned| (entry.user_key.clone(), Reverse(entry.seq));
        Model { entries: entries.iter().map(|entry| (place(entry), entry.clone())).collect() }
    }

    /// All entries, in order.
    pub(super) fn sorted(&self) -> Vec<&Owned> {
        self.entries.values().collect()
    }

    pub(super) fn get(&self, user_key: &[u8], at: u64) -> Option<&Owned> {
        self.from(user_key, at).filter(|entry| entry.user_key == user_key)
    }

    /// The first entry at or after a place.
    pub(super) fn from(&self, user_key: &[u8], seq: u64) -> Option<&Owned> {
        self.entries.range((user_key.to_vec(), Reverse(seq))..).next().map(|(_, entry)| entry)
    }

    /// The last entry before a place.
    pub(super) fn before(&self, user_key: &[u8], seq: u64) -> Option<&Owned> {
        self.entries.range(..(user_key.to_vec(), Reverse(seq))).next_back().map(|(_, entry)| entry)
    }

    /// The entry after an entry.
    pub(super) fn after(&self, entry: &Owned) -> Option<&Owned> {
        let place = (entry.user_key.clone(), Reverse(entry.seq));
        let after = (Bound::Excluded(place), Bound::Unbounded);
        self.entries.range(after).next().map(|(_, entry)| entry)
    }
}

/// A table with these entries, inserted in this order.
pub(super) fn table_of<M: Memtable>(entries: &[Owned]) -> Arc<M> {
    let table = M::with_budget(BUDGET_BYTES);
    for entry in entries {
        table.insert(entry.entry());
    }
    Arc::new(table)
}

/// What the table shows of a key at a snapshot.
pub(super) fn get<M: Memtable>(table: &M, user_key: &[u8], at: u64) -> Option<Owned> {
    table.get(user_key, seq(at), Owned::of)
}

/// The entry a cursor stands on.
pub(super) fn standing(cursor: &impl Cursor) -> Option<Owned> {
    cursor.entry().map(Owned::of)
}

/// All entries a cursor shows from first to last.
pub(super) fn forward(cursor: &mut impl Cursor) -> Vec<Owned> {
    let mut shown = Vec::new();
    sound(cursor.seek_first());
    while let Some(entry) = standing(cursor) {
        shown.push(entry);
        sound(cursor.next());
    }
    shown
}

/// All entries a cursor shows from last to first.
pub(super) fn backward(cursor: &mut impl Cursor) -> Vec<Owned> {
    let mut shown = Vec::new();
    sound(cursor.seek_last());
    while let Some(entry) = standing(cursor) {
        shown.push(entry);
        sound(cursor.prev());
    }
    shown
}

/// Moves a cursor to the first entry at or after a place.
pub(super) fn seek(cursor: &mut impl Cursor, user_key: &[u8], at: u64) {
    sound(cursor.seek(KeyRef::new(user_key, seq(at))));
}

/// Moves a cursor to the last entry before a place.
pub(super) fn seek_before(cursor: &mut impl Cursor, user_key: &[u8], at: u64) {
    sound(cursor.seek_before(KeyRef::new(user_key, seq(at))));
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        scramble(self.0)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// Spreads numbers over all of `u64`, no two to the same.
pub(super) fn scramble(n: u64) -> u64 {
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

/// Keys on which an order by heads, lengths or strings would go wrong.
pub(super) fn tricky_keys() -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    // Prefixes of each other, up to and past the length of one head and two, ending in the
    // smallest byte, the largest and one between.
    for byte in [0x00, b'a', 0xff] {
        keys.extend((0..=18).map(|len| vec![byte; len]));
    }
    // The same head, with something or nothing behind it.
    for end in ["", "\0", "\0\0", "\x01", "a", "ab", "aaaaaaaa", "aaaaaaaa\0", "aaaaaaab", "\u{7f}"] {
        keys.push([b"same head"[..8].as_ref(), end.as_bytes()].concat());
    }
    // A zero or the largest byte before, within and behind.
    for key in [&b"\0a"[..], b"a\0", b"a\0b", b"a\xff", b"\xffa", b"a\xff\0", b"a\0\xff", b"\x7f", b"\x80"] {
        keys.push(key.to_vec());
    }
    keys.sort();
    keys.dedup();
    keys
}

/// Some versions of each key, puts and tombstones, in random order.
pub(super) fn versions_of(keys: &[Vec<u8>], versions: usize, random: &mut Random) -> Vec<Owned> {
    let mut entries = Vec::new();
    for key in keys {
        for _ in 0..versions {
            let seq = entries.len() as u64 + 1;
            entries.push(match random.below(4) {
                0 => Owned::delete(key, seq),
                _ => Owned::put(key, seq, scramble(seq).to_le_bytes()[..random.below(9)].to_vec()),
            });
        }
    }
    random.shuffle(&mut entries);
    // Numbered again, so that the versions of different keys are interleaved.
    for (i, entry) in entries.iter_mut().enumerate() {
        entry.seq = 2 * (i as u64 + 1);
    }
    random.shuffle(&mut entries);
    entries
}
