//! Leaves and inner nodes.
//!
//! ```text
//! ┌─────┬────────┬───────┬──────┬────────────┬───────────────┐
//! │ len │ sorted │ level │ skip │ heads      │ records       │   of an inner node also
//! │ u32 │ u8     │ u8    │      │ 36 × u32   │ 36 × pointer  │   36 × child
//! └─────┴────────┴───────┴──────┴────────────┴───────────────┘
//! ```
//!
//! The first `sorted` slots were filled when the node was made, in order; the others as entries came, in
//! the order of their coming. So adding one moves nothing: a slot is filled, and then `len` tells of it.
//! A leaf is seven cache lines.

use std::cell::UnsafeCell;
use std::cmp::Ordering as Order;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;

use lsmkit_base::KeyRef;

use super::record::{Header, Record};
use super::skip::Skip;
use crate::arena::Arena;
use crate::sync::{AtomicPtr, AtomicU32, Ordering, WrittenOnce};

/// How many slots a node has. In models and unit tests few, so that they reach what takes many.
pub(super) const SLOTS: usize = if cfg!(any(loom, shuttle, test)) { 4 } else { 36 };

/// A leaf, or the first part of an inner node.
#[repr(C, align(64))]
pub(super) struct Node {
    len: AtomicU32,
    /// How many of the first slots are in order.
    sorted: u8,
    /// 0 in a leaf.
    level: u8,
    skip: Skip,
    heads: UnsafeCell<[u32; SLOTS]>,
    /// A leaf's entries; where the children of an inner node begin, null for one that holds whatever is smaller.
    records: UnsafeCell<[*mut Header; SLOTS]>,
    written: [WrittenOnce; SLOTS],
}

#[cfg(not(any(loom, shuttle, test)))]
const _: () = assert!(size_of::<Node>() == 448);

#[repr(C)]
struct Inner {
    node: Node,
    children: [AtomicPtr<Node>; SLOTS],
}

/// A node, for as long as `'a` keeps its arena.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeRef<'a> {
    at: NonNull<Node>,
    arena: PhantomData<&'a Arena>,
}

// SAFETY: invariants 2 and 3. What is shared is never written again, or is atomic.
unsafe impl Send for NodeRef<'_> {}
// SAFETY: as above.
unsafe impl Sync for NodeRef<'_> {}

/// What a slot holds.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    /// A leaf's entry, or where the child begins; `None` for a child that holds whatever is smaller.
    pub(super) record: Option<Record<'a>>,
    /// None in a leaf.
    pub(super) child: Option<NodeRef<'a>>,
}

/// What a search is for.
#[derive(Clone, Copy)]
pub(super) enum Goal<'k> {
    /// The first place of all.
    First,
    /// The place where a key is or belongs.
    At(KeyRef<'k>),
    /// The last place before a key.
    Before(KeyRef<'k>),
    /// The last place of all.
    Last,
}

/// Who loads what the writer stores.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// Anyone at any time.
    Reader,
    /// The holder of the writer's lock, beside whom nobody stores.
    Writer,
}

impl Who {
    #[inline]
    fn load_len(self, len: &AtomicU32) -> usize {
        // Loom looks for readers to interleave with a store among the latest accesses only, so a load by
        // the writer itself just before would hide them. This one it does not count; in its stead it
        // checks that no store can come beside it.
        #[cfg(loom)]
        if self == Who::Writer {
            // SAFETY: invariant 3. Only the holder of the lock stores, and that is the caller.
            return unsafe { len.unsync_load() } as usize;
        }
        len.load(Ordering::Acquire) as usize
    }

    #[inline]
    pub(super) fn load<T>(self, link: &AtomicPtr<T>) -> *mut T {
        #[cfg(loom)]
        if self == Who::Writer {
            // SAFETY: as above; invariants 3 and 4.
            return unsafe { link.unsync_load() };
        }
        link.load(Ordering::Acquire)
    }
}

/// What a search finds in an inner node.
pub(super) struct Step<'a> {
    /// In which slot.
    pub(super) slot: usize,
    pub(super) child: NodeRef<'a>,
    /// Where the child begins, unless it holds whatever is smaller.
    pub(super) low: Option<Record<'a>>,
    /// Where the next child begins, unless it is the last.
    pub(super) high: Option<Record<'a>>,
    /// Whether that may be of the same user key as the goal.
    pub(super) high_ties: bool,
}

/// The entries of a leaf at one moment, in order.
pub(super) struct InOrder {
    places: [u64; SLOTS],
    len: usize,
}

/// What a node is made of: items in order, with their heads.
pub(super) struct Items<'a> {
    skip: Skip,
    heads: Vec<u32>,
    list: Vec<Item<'a>>,
}

impl<'a> Item<'a> {
    /// An entry of a leaf.
    pub(super) fn entry(record: Record<'a>) -> Item<'a> {
        Item { record: Some(record), child: None }
    }

    fn key(&self) -> Option<KeyRef<'a>> {
        self.record.map(Record::key)
    }

    fn head(&self, skip: Skip) -> u32 {
        self.key().map_or(0, |key| skip.head(key))
    }
}

impl<'a> Items<'a> {
    pub(super) fn new(skip: Skip, list: Vec<Item<'a>>) -> Items<'a> {
        let heads = list.iter().map(|item| item.head(skip)).collect();
        Items { skip, heads, list }
    }

    pub(super) fn skip(&self) -> Skip {
        self.skip
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn into_list(self) -> Vec<Item<'a>> {
        self.list
    }

    /// Where the first begins.
    pub(super) fn first(&self) -> Option<Record<'a>> {
        self.list[0].record
    }

    /// Puts an item where it belongs; where that is.
    pub(super) fn insert(&mut self, item: Item<'a>) -> usize {
        let head = item.head(self.skip);
        let at = partition_point(self.len(), |n| {
            self.heads[n].cmp(&head).then_with(|| self.list[n].key().cmp(&item.key())) == Order::Less
        });
        self.heads.insert(at, head);
        self.list.insert(at, item);
        at
    }

    pub(super) fn set_child(&mut self, at: usize, child: NodeRef<'a>) {
        self.list[at].child = Some(child);
    }

    /// Takes off what comes from `at` on.
    pub(super) fn split_off(&mut self, at: usize) -> Items<'a> {
        Items { skip: self.skip, heads: self.heads.split_off(at), list: self.list.split_off(at) }
    }

    /// Skips what the bounds have in common. Where that is what was skipped before, no key is read: each would be a miss of the cache.
    pub(super) fn set_skip(&mut self, skip: Skip) {
        if skip != self.skip {
            *self = Items::new(skip, std::mem::take(&mut self.list));
        }
    }
}

impl NodeRef<'static> {
    /// Writes a leaf (`level` 0) or an inner node that nothing points to yet.
    ///
    /// # Safety
    ///
    /// The node is used only while the arena lives, and so are what the items lead to. All pieces of the
    /// arena are multiples of a cache line.
    pub(super) unsafe fn write(arena: &mut Arena, level: u8, items: &Items<'static>) -> NodeRef<'static> {
        assert!((1..=SLOTS).contains(&items.len()), "a node is made with some items, and no more than fit");
        let mut heads = [0; SLOTS];
        heads[..items.len()].copy_from_slice(&items.heads);
        let mut records = [ptr::null_mut(); SLOTS];
        let written = std::array::from_fn(|_| WrittenOnce::unwritten());
        for (slot, item) in items.list.iter().enumerate() {
            written[slot].write();
            records[slot] = item.record.map_or(ptr::null_mut(), Record::as_ptr);
        }
        let node = Node {
            len: AtomicU32::new(items.len() as u32),
            sorted: items.len() as u8,
            level,
            skip: items.skip,
            heads: UnsafeCell::new(heads),
            records: UnsafeCell::new(records),
            written,
        };
        let bytes = if level == 0 { size_of::<Node>() } else { size_of::<Inner>() };
        let at = arena.alloc(bytes.next_multiple_of(64));
        let child = |slot: usize| items.list.get(slot).and_then(|item| item.child);
        let to_link =
            |child: Option<NodeRef<'static>>| child.map_or(ptr::null_mut(), |child| child.at.as_ptr());
        // SAFETY: the arena's invariant. The piece is new, ours alone, large enough for what is written to
        // it, and aligned as the caller promises.
        unsafe {
            if level == 0 {
                at.cast::<Node>().write(node);
            } else {
                let children = std::array::from_fn(|slot| AtomicPtr::new(to_link(child(slot))));
                at.cast::<Inner>().write(Inner { node, children });
            }
        }
        NodeRef { at: at.cast(), arena: PhantomData }
    }
}

impl<'a> NodeRef<'a> {
    #[inline]
    fn node(self) -> &'a Node {
        // SAFETY: invariant 2. The node was written before anything led to it.
        unsafe { self.at.as_ref() }
    }

    #[inline]
    fn children(self) -> &'a [AtomicPtr<Node>; SLOTS] {
        assert!(self.level() > 0, "a leaf has no children");
        // SAFETY: invariant 2. A node of a level above 0 was written as an `Inner`.
        unsafe { &self.at.cast::<Inner>().as_ref().children }
    }

    #[inline]
    pub(super) fn level(self) -> u8 {
        self.node().level
    }

    #[inline]
    pub(super) fn skip(self) -> Skip {
        self.node().skip
    }

    /// How many slots are filled. Whoever learned of a slot here may read it.
    #[inline]
    pub(super) fn len(self, who: Who) -> usize {
        who.load_len(&self.node().len)
    }

    /// Whether nothing can be added; for the holder of the writer's lock.
    #[inline]
    pub(super) fn is_full(self) -> bool {
        self.len(Who::Writer) == SLOTS
    }

    #[inline]
    pub(super) fn head_of(self, key: KeyRef<'_>) -> u32 {
        self.node().skip.head(key)
    }

    /// The heads of the first `len` slots, which [`len`](NodeRef::len) has told of.
    #[inline]
    pub(super) fn heads(self, len: usize) -> &'a [u32] {
        let node = self.node();
        assert!(len <= SLOTS, "no more than there are");
        node.written[..len].iter().for_each(WrittenOnce::read);
        // SAFETY: invariant 3. These slots are not written again.
        unsafe { slice::from_raw_parts(node.heads.get().cast(), len) }
    }

    /// What a slot holds that [`len`](NodeRef::len) has told of.
    #[inline]
    pub(super) fn record(self, slot: usize) -> Option<Record<'a>> {
        let node = self.node();
        node.written[slot].read();
        // SAFETY: invariant 3. The slot, which the line above found to be within bounds, is not written again.
        Record::from_ptr(unsafe { *node.records.get().cast::<*mut Header>().add(slot) })
    }

    /// An entry of a leaf.
    #[inline]
    pub(super) fn entry(self, slot: usize) -> Record<'a> {
        self.record(slot).expect("because every slot of a leaf holds an entry")
    }

    /// Compares a slot with a key that has the same head in this node.
    fn compare_beyond_head(self, slot: usize, key: KeyRef<'_>) -> Order {
        self.record(slot).map_or(Order::Less, |record| record.key().cmp(&key))
    }

    fn compare_slots(self, heads: &[u32], a: usize, b: usize) -> Order {
        heads[a].cmp(&heads[b]).then_with(|| self.key(a).cmp(&self.key(b)))
    }

    fn key(self, slot: usize) -> Option<KeyRef<'a>> {
        self.record(slot).map(Record::key)
    }

    /// The child that holds the goal, or the place where it belongs.
    #[inline]
    pub(super) fn step(self, goal: Goal<'_>, who: Who) -> Step<'a> {
        loop {
            let len = self.len(who);
            let (slot, next, high_ties) = self.around(len, goal);
            let child = who.load(&self.children()[slot]);
            // The child may have become the lower half of a split whose upper half was not there yet when
            // the slots were counted. It is put in place after that, so that it would be there now.
            if who == Who::Writer || self.node().len.load(Ordering::Relaxed) as usize == len {
                let child = NonNull::new(child).expect("because a filled slot of an inner node has a child");
                let child = NodeRef { at: child, arena: PhantomData };
                if self.level() == 1 {
                    child.prefetch();
                }
                let (low, high) = (self.record(slot), next.and_then(|next| self.record(next)));
                return Step { slot, child, low, high, high_ties };
            }
        }
    }

    /// The last of `len` slots at or before the goal, and the one that comes next in order, and whether that
    /// may be of the same user key.
    #[inline]
    fn around(self, len: usize, goal: Goal<'_>) -> (usize, Option<usize>, bool) {
        match goal {
            Goal::At(key) => self.around_key(len, key, |order| order != Order::Greater),
            Goal::Before(key) => self.around_key(len, key, |order| order == Order::Less),
            Goal::First | Goal::Last => {
                let order = self.sort(len);
                let (first, last) = (slot_of(order.places[0]), slot_of(order.places[order.len - 1]));
                match goal {
                    Goal::First => (first, order.slots().nth(1), false),
                    _ => (last, None, false),
                }
            }
        }
    }

    /// `precedes` says of the order of a slot and the key whether the slot comes first.
    #[inline]
    fn around_key(
        self,
        len: usize,
        key: KeyRef<'_>,
        precedes: impl Fn(Order) -> bool,
    ) -> (usize, Option<usize>, bool) {
        let head = self.head_of(key);
        match around_head(self.heads(len), usize::from(self.node().sorted), head) {
            Some((last, next)) => (last, next, self.is_of_one_key() && next.is_some()),
            None => self.around_tied_key(len, head, key, precedes),
        }
    }

    /// The same, where heads don't tell.
    fn around_tied_key(
        self,
        len: usize,
        head: u32,
        key: KeyRef<'_>,
        precedes: impl Fn(Order) -> bool,
    ) -> (usize, Option<usize>, bool) {
        let heads = self.heads(len);
        let (base, added) = heads.split_at(usize::from(self.node().sorted));
        let tie = |slot: usize| precedes(self.compare_beyond_head(slot, key));
        let smaller = base.iter().filter(|&&other| other < head).count();
        let ties = base[smaller..].iter().take_while(|&&other| other == head).count();
        let rank = smaller + partition_point(ties, |n| tie(smaller + n));
        let mut last = rank.checked_sub(1);
        let mut next = (rank < base.len()).then_some(rank);
        for (slot, &other) in added.iter().enumerate().map(|(n, other)| (base.len() + n, other)) {
            let (nearest, is_nearer) = if other < head || other == head && tie(slot) {
                (&mut last, Order::Greater)
            } else {
                (&mut next, Order::Less)
            };
            if nearest.is_none_or(|nearest| self.compare_slots(heads, slot, nearest) == is_nearer) {
                *nearest = Some(slot);
            }
        }
        let last = last.expect("because whoever came here looks for nothing before the first child");
        (last, next, next.is_some_and(|next| heads[next] == head || self.is_of_one_key()))
    }

    /// The entries of a leaf that may be versions of a key.
    #[inline]
    pub(super) fn versions_of(self, key: KeyRef<'_>, who: Who) -> impl Iterator<Item = Record<'a>> {
        let head = self.head_of(key);
        let all = self.is_of_one_key();
        let heads = self.heads(self.len(who)).iter().enumerate();
        heads.filter(move |(_, other)| **other == head || all).map(move |(slot, _)| self.entry(slot))
    }

    #[inline]
    fn is_of_one_key(self) -> bool {
        matches!(self.node().skip, Skip::Versions(_))
    }

    /// Adds an item to a node that is not full, behind those that are there.
    ///
    /// Only the holder of the writer's lock may call this.
    #[inline]
    pub(super) fn push(self, item: Item<'a>) {
        let node = self.node();
        let slot = self.len(Who::Writer);
        let record = item.record.expect("because only the first child begins nowhere");
        let head = self.head_of(record.key());
        node.written[slot].write();
        // SAFETY: invariant 3. The slot is within bounds, as the line above has found; nobody reads it
        // before `len` tells of it, and nobody else writes.
        unsafe {
            node.heads.get().cast::<u32>().add(slot).write(head);
            node.records.get().cast::<*mut Header>().add(slot).write(record.as_ptr());
        }
        if let Some(child) = item.child {
            self.children()[slot].store(child.at.as_ptr(), Ordering::Relaxed);
        }
        node.len.store(slot as u32 + 1, Ordering::Release);
    }

    /// Puts another child in the place of one that it holds all entries of, or all but those of the child
    /// that begins next.
    ///
    /// Only the holder of the writer's lock may call this.
    pub(super) fn set_child(self, slot: usize, child: NodeRef<'a>) {
        self.children()[slot].store(child.at.as_ptr(), Ordering::Release);
    }

    /// The last entry of a leaf in order; for the holder of the writer's lock.
    pub(super) fn last(self) -> Record<'a> {
        let order = self.in_order(Who::Writer);
        self.entry(slot_of(order.places[order.len - 1]))
    }

    /// The slots in order.
    pub(super) fn in_order(self, who: Who) -> InOrder {
        self.sort(self.len(who))
    }

    fn sort(self, len: usize) -> InOrder {
        let heads = self.heads(len);
        let sorted = usize::from(self.node().sorted);
        // By head first.
        let mut places = [0; SLOTS];
        for (slot, (place, head)) in places.iter_mut().zip(heads).enumerate() {
            *place = place_of(slot, *head);
        }
        if !places[..len].is_sorted() {
            places[sorted..len].sort_unstable();
            places = merged(&places[..sorted], &places[sorted..len]);
        }
        // Where heads are equal, keys decide.
        for i in 1..len {
            let mut to = i;
            while to > 0
                && places[to] >> 8 == places[to - 1] >> 8
                && self.key(slot_of(places[to])) < self.key(slot_of(places[to - 1]))
            {
                places.swap(to, to - 1);
                to -= 1;
            }
        }
        InOrder { places, len }
    }

    /// All items, in order; for the holder of the writer's lock.
    pub(super) fn items(self) -> Items<'a> {
        let item = |slot: usize| {
            let child = (self.level() > 0).then(|| Who::Writer.load(&self.children()[slot]));
            let child = child.and_then(NonNull::new).map(|at| NodeRef { at, arena: PhantomData });
            Item { record: self.record(slot), child }
        };
        let order = self.in_order(Who::Writer);
        let heads = self.heads(order.len);
        // With room for one more.
        let mut items = Items {
            skip: self.skip(),
            heads: Vec::with_capacity(SLOTS + 1),
            list: Vec::with_capacity(SLOTS + 1),
        };
        items.heads.extend(order.slots().map(|slot| heads[slot]));
        items.list.extend(order.slots().map(item));
        items
    }

    /// Asks for all of a leaf.
    #[inline]
    pub(super) fn prefetch(self) {
        #[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
        for line in 0..size_of::<Node>() / 64 {
            // SAFETY: a prefetch is a hint that never faults, whatever the address.
            unsafe {
                use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                _mm_prefetch::<_MM_HINT_T0>(self.at.as_ptr().cast::<i8>().wrapping_add(line * 64));
            }
        }
    }
}

/// A head and its slot as one integer, so that the order of heads is that of integers.
#[inline]
fn place_of(slot: usize, head: u32) -> u64 {
    u64::from(head) << 8 | slot as u64
}

#[inline]
fn slot_of(place: u64) -> usize {
    usize::from(place as u8)
}

/// The slots whose heads are the nearest on either side of `head`; none where equal heads stand in the way.
///
/// Without a branch that depends on keys: such a search would guess wrong some five times a node.
#[inline]
fn around_head(heads: &[u32], sorted: usize, head: u32) -> Option<(usize, Option<usize>)> {
    let (base, added) = heads.split_at(sorted);
    let smaller = base.iter().filter(|&&other| other < head).count();
    let mut last = smaller.checked_sub(1).map_or(0, |slot| place_of(slot, base[slot]) + 1);
    let mut next = base.get(smaller).map_or(u64::MAX, |&head| place_of(smaller, head));
    for (n, &other) in added.iter().enumerate() {
        let place = place_of(sorted + n, other);
        last = last.max(if other < head { place + 1 } else { 0 });
        next = next.min(if other < head { u64::MAX } else { place });
    }
    let is_alone = |place: u64| {
        let head = (place >> 8) as u32;
        heads.iter().filter(|&&other| other == head).count() == 1
    };
    let last = last.checked_sub(1).filter(|last| is_alone(*last))?;
    if next == u64::MAX {
        return Some((slot_of(last), None));
    }
    ((next >> 8) as u32 != head && is_alone(next)).then(|| (slot_of(last), Some(slot_of(next))))
}

/// Two sorted runs as one, at the front.
fn merged(base: &[u64], added: &[u64]) -> [u64; SLOTS] {
    let mut merged = [0; SLOTS];
    let (mut b, mut a) = (0, 0);
    for place in &mut merged[..base.len() + added.len()] {
        let takes_base = a == added.len() || b < base.len() && base[b] < added[a];
        *place = if takes_base { base[b] } else { added[a] };
        b += usize::from(takes_base);
        a += usize::from(!takes_base);
    }
    merged
}

/// The first of `len` numbers that the predicate does not hold for.
fn partition_point(len: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low.midpoint(high);
        if holds(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

impl InOrder {
    pub(super) fn slots(&self) -> impl Iterator<Item = usize> + '_ {
        self.places[..self.len].iter().copied().map(slot_of)
    }
}
