//! The writes of a batch in the order of their keys.
//!
//! A B+tree that only grows, over the bytes of the batch's record. A leaf holds *slots*: where a write
//! begins, its keyspace, and the *head* of its key, eight bytes as a big-endian number, so that the
//! record is read only where heads are equal. No key is held a second time.
//!
//! 1. Each key of a keyspace has one slot, that of its last write.
//! 2. Leaves are linked in order and none is empty, but for the only one of a tree being begun.
//! 3. A branch begins each child but its first with a slot that is the child's smallest: of that key, if
//!    not of its last write. Bytes of a record never move, so the slot of an older write serves as well.

use std::cmp::Ordering;
use std::ops::Bound;

use lsmkit_base::{KeyspaceId, key_head};

use crate::batch::Record;
use crate::range::Bounds;

/// Slots of a leaf, children of a branch. Few in tests, so that small batches make high trees.
const FANOUT: usize = if cfg!(test) { 4 } else { 64 };

/// No leaf.
const NONE: u32 = u32::MAX;

/// Finds the last write of each key, and all of them in order.
#[derive(Clone, Default)]
pub(crate) struct BatchIndex {
    leaves: Vec<Leaf>,
    branches: Vec<Row<(Slot, u32)>>,
    /// A leaf where `height` is 0, else a branch.
    root: u32,
    height: u32,
    /// The leaf with the largest slots.
    last: u32,
}

#[derive(Clone)]
struct Leaf {
    slots: Row<Slot>,
    prev: u32,
    next: u32,
}

/// A write as the tree knows it.
#[derive(Clone, Copy, Default)]
struct Slot {
    keyspace: KeyspaceId,
    /// Where it begins in the record: 32 bits, as the largest record has 31.
    at: u32,
    head: u64,
}

/// A place between keys that is looked for: before all slots of a key, or behind them.
#[derive(Clone, Copy)]
struct Sought<'a> {
    /// As [`Slot::rank`].
    rank: u128,
    key: &'a [u8],
    edge: Edge,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Edge {
    Before,
    Behind,
}

/// Where a slot is, or [`END`].
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    leaf: u32,
    index: u32,
}

/// Behind the last slot.
const END: Place = Place { leaf: NONE, index: 0 };

/// The slots between two places. Good as long as nothing is inserted.
pub(crate) struct Span {
    from: Place,
    to: Place,
}

impl BatchIndex {
    /// Takes in the write that begins at byte `at` of the record, later than all it knows.
    pub(crate) fn insert(&mut self, record: &Record, at: usize) {
        let write = record.write_at(at);
        let (keyspace, key) = (write.keyspace, write.entry.user_key);
        let slot = Slot { keyspace, at: at as u32, head: key_head(key) };
        let sought = Sought::new(keyspace, key, Edge::Before);
        if self.leaves.is_empty() {
            self.leaves.push(Leaf { slots: Row::new(), prev: NONE, next: NONE });
        }
        if self.append(record, &sought, slot) {
            return;
        }
        if let Some(right) = self.insert_under(self.root, self.height, true, record, &sought, slot) {
            let mut root = Row::new();
            // What the first child begins with is never asked for.
            root.insert(0, (Slot::default(), self.root), true);
            root.insert(1, right, true);
            self.root = self.branches.len() as u32;
            self.branches.push(root);
            self.height += 1;
        }
    }

    /// Puts a slot behind all others, without a descent, where it belongs there and its leaf has room.
    fn append(&mut self, record: &Record, sought: &Sought<'_>, slot: Slot) -> bool {
        let slots = &mut self.leaves[self.last as usize].slots;
        let is_behind = slots.items().last().is_none_or(|largest| largest.is_before(record, sought));
        let appends = is_behind && slots.len() < FANOUT;
        if appends {
            slots.insert(slots.len(), slot, true);
        }
        appends
    }

    /// Inserts beneath a node that stands `height` above the leaves, and perhaps as the last at its
    /// height. If it had to be split, gives what came to its right, and that one's first slot.
    fn insert_under(
        &mut self,
        node: u32,
        height: u32,
        is_last: bool,
        record: &Record,
        sought: &Sought<'_>,
        slot: Slot,
    ) -> Option<(Slot, u32)> {
        if height == 0 {
            return self.insert_in_leaf(node, is_last, record, sought, slot);
        }
        // A key that a child begins with is in that child.
        let (index, child) = self.child(node, record, &Sought { edge: Edge::Behind, ..*sought });
        let is_last_child = is_last && index + 1 == self.branches[node as usize].len();
        let right = self.insert_under(child, height - 1, is_last_child, record, sought, slot)?;
        let branch = self.branches[node as usize].insert(index + 1, right, is_last)?;
        let first = branch.items()[0].0;
        self.branches.push(branch);
        Some((first, self.branches.len() as u32 - 1))
    }

    fn insert_in_leaf(
        &mut self,
        leaf: u32,
        is_last: bool,
        record: &Record,
        sought: &Sought<'_>,
        slot: Slot,
    ) -> Option<(Slot, u32)> {
        let right_id = self.leaves.len() as u32;
        let Leaf { slots, next, .. } = &mut self.leaves[leaf as usize];
        let index = rank_in(slots.items(), |slot| slot, record, sought);
        if let Some(known) = slots.items_mut().get_mut(index)
            && known.is_of(record, sought)
        {
            *known = slot;
            return None;
        }
        let right = slots.insert(index, slot, is_last)?;
        let first = right.items()[0];
        let next = std::mem::replace(next, right_id);
        match self.leaves.get_mut(next as usize) {
            Some(next) => next.prev = right_id,
            None => self.last = right_id,
        }
        self.leaves.push(Leaf { slots: right, prev: leaf, next });
        Some((first, right_id))
    }

    /// The last child of a branch that begins before the place, or the first child.
    fn child(&self, branch: u32, record: &Record, sought: &Sought<'_>) -> (usize, u32) {
        let children = self.branches[branch as usize].items();
        let index = rank_in(&children[1..], |(first, _)| first, record, sought);
        (index, children[index].1)
    }

    /// The place, as that of the first slot behind it.
    fn place(&self, record: &Record, sought: &Sought<'_>) -> Place {
        if self.leaves.is_empty() {
            return END;
        }
        let mut node = self.root;
        for _ in 0..self.height {
            (_, node) = self.child(node, record, sought);
        }
        let leaf = &self.leaves[node as usize];
        match rank_in(leaf.slots.items(), |slot| slot, record, sought) {
            index if index < leaf.slots.len() => Place { leaf: node, index: index as u32 },
            _ => Place { leaf: leaf.next, index: 0 },
        }
    }

    /// Where the last write of a key begins.
    pub(crate) fn find(&self, record: &Record, keyspace: KeyspaceId, key: &[u8]) -> Option<usize> {
        let sought = Sought::new(keyspace, key, Edge::Before);
        let slot = self.slot(self.place(record, &sought))?;
        slot.is_of(record, &sought).then_some(slot.at as usize)
    }

    /// The writes of a keyspace between two bounds.
    pub(crate) fn span(&self, record: &Record, keyspace: KeyspaceId, bounds: &Bounds) -> Span {
        if bounds.is_empty() {
            return Span { from: END, to: END };
        }
        let place = |keyspace, key: &[u8], edge| self.place(record, &Sought::new(keyspace, key, edge));
        let from = match &bounds.lower {
            // No key is smaller than the empty one.
            Bound::Unbounded => place(keyspace, &[], Edge::Before),
            Bound::Included(key) => place(keyspace, key, Edge::Before),
            Bound::Excluded(key) => place(keyspace, key, Edge::Behind),
        };
        let to = match &bounds.upper {
            Bound::Unbounded => match keyspace.0.checked_add(1) {
                Some(next) => place(KeyspaceId(next), &[], Edge::Before),
                None => END,
            },
            Bound::Included(key) => place(keyspace, key, Edge::Behind),
            Bound::Excluded(key) => place(keyspace, key, Edge::Before),
        };
        Span { from, to }
    }

    /// Forgets everything, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.leaves.clear();
        self.branches.clear();
        self.root = 0;
        self.height = 0;
        self.last = 0;
    }

    fn slot(&self, place: Place) -> Option<&Slot> {
        self.leaves.get(place.leaf as usize).map(|leaf| &leaf.slots.items()[place.index as usize])
    }

    /// The place behind one that is not the end.
    fn behind(&self, place: Place) -> Place {
        let leaf = &self.leaves[place.leaf as usize];
        match place.index + 1 {
            index if (index as usize) < leaf.slots.len() => Place { index, ..place },
            _ => Place { leaf: leaf.next, index: 0 },
        }
    }

    /// The place before one that is not the first.
    fn before(&self, place: Place) -> Place {
        if place.index > 0 {
            return Place { index: place.index - 1, ..place };
        }
        let leaf = if place == END { self.last } else { self.leaves[place.leaf as usize].prev };
        Place { leaf, index: self.leaves[leaf as usize].slots.len() as u32 - 1 }
    }
}

impl Span {
    /// Where the write with the smallest key begins.
    pub(crate) fn first(&self, index: &BatchIndex) -> Option<usize> {
        let place = (self.from != self.to).then_some(self.from)?;
        index.slot(place).map(|slot| slot.at as usize)
    }

    /// Where the write with the largest key begins.
    pub(crate) fn last(&self, index: &BatchIndex) -> Option<usize> {
        let place = (self.from != self.to).then(|| index.before(self.to))?;
        index.slot(place).map(|slot| slot.at as usize)
    }

    /// Leaves out the first, which there must be.
    pub(crate) fn leave_first(&mut self, index: &BatchIndex) {
        self.from = index.behind(self.from);
    }

    /// Leaves out the last, which there must be.
    pub(crate) fn leave_last(&mut self, index: &BatchIndex) {
        self.to = index.before(self.to);
    }
}

impl Slot {
    /// What orders slots, but for those of a keyspace whose heads are equal.
    #[inline]
    fn rank(&self) -> u128 {
        u128::from(self.keyspace.0) << 64 | u128::from(self.head)
    }

    /// Whether it lies before the place.
    fn is_before(&self, record: &Record, sought: &Sought<'_>) -> bool {
        match self.rank().cmp(&sought.rank) {
            Ordering::Equal => sought.is_behind(record.key_at(self.at as usize)),
            unequal => unequal.is_lt(),
        }
    }

    /// Whether it is of the key that the place lies at.
    fn is_of(&self, record: &Record, sought: &Sought<'_>) -> bool {
        self.rank() == sought.rank && record.key_at(self.at as usize) == sought.key
    }
}

impl Sought<'_> {
    fn new(keyspace: KeyspaceId, key: &[u8], edge: Edge) -> Sought<'_> {
        Sought { rank: Slot { keyspace, at: 0, head: key_head(key) }.rank(), key, edge }
    }

    /// Whether it lies behind a key of its keyspace.
    fn is_behind(&self, key: &[u8]) -> bool {
        match self.edge {
            Edge::Before => key < self.key,
            Edge::Behind => key <= self.key,
        }
    }
}

/// How many of these lie before the place.
#[inline]
fn rank_in<T>(items: &[T], slot: impl Fn(&T) -> &Slot, record: &Record, sought: &Sought<'_>) -> usize {
    // Heads first, by themselves: a search without a branch that depends on them.
    let from = items.partition_point(|item| slot(item).rank() < sought.rank);
    let is_tie = items.get(from).is_some_and(|item| slot(item).rank() == sought.rank);
    if !is_tie {
        return from;
    }
    let to = from + items[from..].partition_point(|item| slot(item).rank() == sought.rank);
    from + items[from..to].partition_point(|item| sought.is_behind(record.key_at(slot(item).at as usize)))
}

/// A few things in order, held in place.
#[derive(Clone)]
struct Row<T> {
    held: [T; FANOUT],
    len: usize,
}

impl<T: Copy + Default> Row<T> {
    fn new() -> Row<T> {
        Row { held: [T::default(); FANOUT], len: 0 }
    }

    fn len(&self) -> usize {
        self.len
    }

    fn items(&self) -> &[T] {
        &self.held[..self.len]
    }

    fn items_mut(&mut self) -> &mut [T] {
        &mut self.held[..self.len]
    }

    /// Inserts; where there is no room, the larger half goes to a new row. But if this is the last row
    /// and the item comes behind all, it begins the new row alone: keys that come in order fill rows.
    fn insert(&mut self, index: usize, item: T, is_last: bool) -> Option<Row<T>> {
        if self.len < FANOUT {
            self.held.copy_within(index..self.len, index + 1);
            self.held[index] = item;
            self.len += 1;
            return None;
        }
        let mut right = Row::new();
        let keep = if is_last && index == FANOUT { FANOUT } else { FANOUT / 2 };
        right.len = FANOUT - keep;
        right.held[..right.len].copy_from_slice(&self.held[keep..]);
        self.len = keep;
        let full = match index.checked_sub(keep) {
            Some(index) => right.insert(index, item, false),
            None => self.insert(index, item, false),
        };
        debug_assert!(full.is_none(), "a half has room");
        Some(right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Key = (u32, Vec<u8>);

    #[derive(Default)]
    struct Writes {
        record: Record,
        index: BatchIndex,
        /// Where the last write of each key begins.
        expected: BTreeMap<Key, usize>,
    }

    impl Writes {
        fn put(&mut self, keyspace: u32, key: &[u8]) {
            let at = self.record.size_bytes();
            self.record.put(KeyspaceId(keyspace), key, &[]);
            self.index.insert(&self.record, at);
            self.expected.insert((keyspace, key.to_vec()), at);
        }

        fn check_all(&self) {
            for ((keyspace, key), at) in &self.expected {
                assert_eq!(self.index.find(&self.record, KeyspaceId(*keyspace), key), Some(*at), "{key:?}");
            }
            for keyspace in 0..4 {
                self.check_span(keyspace, Bounds::of(..), u64::from(keyspace));
            }
        }

        /// Takes a span to pieces from both ends, in an order that `ends` gives bit by bit.
        fn check_span(&self, keyspace: u32, bounds: Bounds, mut ends: u64) {
            let range = (bounds.lower.as_ref(), bounds.upper.as_ref());
            let inside = |key: &Vec<u8>| std::ops::RangeBounds::contains(&range, key);
            let mut expected = self
                .expected
                .iter()
                .filter(|((of, key), _)| *of == keyspace && inside(key))
                .map(|(_, at)| *at);
            let mut span = self.index.span(&self.record, KeyspaceId(keyspace), &bounds);
            loop {
                ends = ends.rotate_right(1);
                if ends & 1 == 0 {
                    let Some(first) = span.first(&self.index) else { break };
                    assert_eq!(Some(first), expected.next());
                    span.leave_first(&self.index);
                } else {
                    let Some(last) = span.last(&self.index) else { break };
                    assert_eq!(Some(last), expected.next_back());
                    span.leave_last(&self.index);
                }
            }
            assert_eq!(expected.next(), None);
            assert_eq!((span.first(&self.index), span.last(&self.index)), (None, None));
        }
    }

    /// Keys in order fill their leaves; in the opposite order they take no more than twice the leaves.
    #[test]
    fn leaves_are_at_least_half_full() {
        for (descending, leaves_max) in [(false, 250), (true, 500)] {
            let mut writes = Writes::default();
            for n in 0..1000_u32 {
                writes.put(2, &(if descending { 999 - n } else { n }).to_be_bytes());
            }
            assert!(writes.index.leaves.len() <= leaves_max, "{} leaves", writes.index.leaves.len());
            writes.check_all();
        }
    }

    /// Between the last two leaves there is always room for one more key, and each finds the left one full.
    #[test]
    fn keys_that_come_in_between_make_no_leaves_of_one() {
        let mut writes = Writes::default();
        for n in (0..FANOUT as u32).chain((100..1000).rev()) {
            writes.put(0, &n.to_be_bytes());
        }
        assert!(writes.index.leaves.len() <= 500, "{} leaves", writes.index.leaves.len());
        writes.check_all();
    }

    #[test]
    fn what_was_cleared_is_as_new() {
        let mut writes = Writes::default();
        for round in 0..3_u32 {
            for n in 0..100_u32 {
                writes.put(round, &(n * 37 % 100).to_be_bytes());
            }
            writes.check_all();
            writes.record.clear();
            writes.index.clear();
            writes.expected.clear();
            writes.check_all();
        }
    }

    fn keys() -> impl Strategy<Value = Vec<u8>> {
        // With and without heads that are equal, and with zeroes that a head can't tell from none.
        let bytes = proptest::collection::vec(prop_oneof![Just(0), Just(b'a'), Just(0xff)], 0..5);
        (any::<bool>(), bytes)
            .prop_map(|(long, bytes)| [if long { &b"a prefix"[..] } else { b"" }, &bytes].concat())
    }

    fn bounds() -> impl Strategy<Value = Bound<Vec<u8>>> {
        prop_oneof![
            Just(Bound::Unbounded),
            keys().prop_map(Bound::Included),
            keys().prop_map(Bound::Excluded)
        ]
    }

    proptest! {
        #[test]
        fn a_sorted_map_finds_the_same(
            puts in proptest::collection::vec((0..3_u32, keys()), 0..300),
            spans in proptest::collection::vec((0..4_u32, bounds(), bounds(), any::<u64>()), 20),
            absent in keys(),
        ) {
            let mut writes = Writes::default();
            for (keyspace, key) in &puts {
                writes.put(*keyspace, key);
            }
            writes.check_all();
            for (keyspace, lower, upper, ends) in &spans {
                let bounds = Bounds { lower: lower.clone(), upper: upper.clone() };
                writes.check_span(*keyspace, bounds, *ends);
            }
            let expected = writes.expected.get(&(1, absent.clone())).copied();
            prop_assert_eq!(writes.index.find(&writes.record, KeyspaceId(1), &absent), expected);
        }
    }
}
