//! A skiplist in an arena: readers take no lock, writers share one.
//!
//! After Pugh, "Skip Lists: A Probabilistic Alternative to Balanced Trees" (CACM 33(6), 1990), with
//! one writer at a time and links published to readers as in LevelDB's `db/skiplist.h`.
//!
//! # Invariants
//!
//! The unsafe code of this folder rests on these, and cites them by number.
//!
//! 1. The arena's invariant: every byte is handed out once, and stays where it is until the arena drops.
//! 2. A node is written whole, links, key, version and value, before anything points to it. Thereafter
//!    only its links change.
//! 3. Links are atomic. They are stored with release and loaded with acquire, so whoever follows one
//!    sees the node it leads to as invariant 2 left it. Only the holder of the writer's lock stores
//!    them, and only they may load them relaxed.
//! 4. A node reached over a link of level `n` has more than `n` links, for only such nodes are linked
//!    there, and the first node has them all. So whoever reached a node at a level may follow its
//!    links at that level and below.
//! 5. A link holds null or a node of the same list. Nodes are never unlinked.
//! 6. The arenas are in the list and drop with it. `Node<'static>` means "as long as the list" and does
//!    not leave this folder; what leaves it borrows the list or a cursor, and a cursor owns an `Arc` of
//!    its list.
//!
//! `tests/loom.rs` checks 2 and 3 in every interleaving of a few inserts and reads.
#![allow(unsafe_code, reason = "nodes of varying length, read without locks: docs/unsafe.md")]

mod cursor;
mod node;

use std::fmt;
use std::sync::Arc;

use lsmkit_base::{Entry, KeyRef, SeqNo};

use crate::Memtable;
use crate::arena::{Arena, Spare};
use crate::sync::{AtomicUsize, Mutex, Ordering};
pub use cursor::SkipListCursor;
use node::{HEIGHT_MAX, Node, Target};

/// How many levels up an insert looks for its place near the one before, until it starts afresh from
/// the top. Six levels are some 64 neighbours.
const HINT_LEVELS: usize = 6;

/// A [`Memtable`] whose readers never wait.
///
/// Reading takes no lock and writes nothing that another thread reads. Inserting takes one lock, so
/// several writers are sound but no faster than one. An insert beside the one before it, as in
/// loading sorted data, does not search the whole list. Of two entries with the same user key and
/// sequence number the first is kept.
///
/// Which height a node gets depends on nothing but how many were inserted before, so that the same
/// inserts take the same memory each time.
pub struct SkipList {
    /// Before all entries, and after them: its `prev` is the last one.
    first: Node<'static>,
    /// How many levels have a node: what the writer last made of it.
    height: AtomicUsize,
    shared: Apart<Shared>,
}

/// Keeps what every insert writes out of the cache line that every read reads.
#[repr(align(128))]
struct Apart<T>(T);

struct Shared {
    len: AtomicUsize,
    size_bytes: AtomicUsize,
    writer: Mutex<Writer>,
    spare: Arc<Spare>,
}

struct Writer {
    nodes: Arena,
    values: Arena,
    /// For each level the last node before some place in the list: that of the latest insert.
    before: [Node<'static>; HEIGHT_MAX],
    heights: Heights,
    /// How many levels have a node.
    height: usize,
}

impl Memtable for SkipList {
    type Cursor = SkipListCursor;

    fn with_budget(budget_bytes: usize) -> SkipList {
        let spare = Spare::with_budget(budget_bytes);
        SkipList::with_arenas(Arena::new(&spare), Arena::new(&spare), spare)
    }

    fn successor(&self, budget_bytes: usize) -> SkipList {
        let spare = self.shared.0.spare.for_budget(budget_bytes);
        let arena = || Arena::after(self.size_bytes(), budget_bytes, &spare);
        SkipList::with_arenas(arena(), arena(), spare)
    }

    fn wants_preparing(&self) -> bool {
        self.shared.0.spare.wants_preparing(self.size_bytes())
    }

    fn prepare(&self) {
        self.shared.0.spare.prepare();
    }

    /// Adds a version of a key. Takes the writers' lock; readers don't notice.
    ///
    /// # Panics
    ///
    /// Where key or value is 4 GiB or longer.
    fn insert(&self, entry: Entry<'_>) {
        let is_short = |bytes: &[u8]| u32::try_from(bytes.len()).is_ok();
        assert!(is_short(entry.user_key) && is_short(entry.value), "keys and values are shorter than 4 GiB");
        let shared = &self.shared.0;
        let mut writer = shared.writer.lock().expect("because nothing panics under the lock");
        if !self.insert_with(&mut writer, entry) {
            return;
        }
        let len = shared.len.load(Ordering::Relaxed);
        shared.len.store(len + 1, Ordering::Relaxed);
        let size_bytes = held_bytes(&writer.nodes, &writer.values);
        shared.size_bytes.store(size_bytes, Ordering::Relaxed);
    }

    fn get<R>(&self, user_key: &[u8], at: SeqNo, show: impl FnOnce(Entry<'_>) -> R) -> Option<R> {
        let node = self.first_from(KeyRef::new(user_key, at))?;
        (node.user_key() == user_key).then(|| show(node.entry()))
    }

    fn cursor(self: &Arc<Self>) -> SkipListCursor {
        SkipListCursor::new(Arc::clone(self))
    }

    /// The memory held, in bytes: all chunks, used to their end or not.
    fn size_bytes(&self) -> usize {
        self.shared.0.size_bytes.load(Ordering::Relaxed)
    }

    fn len(&self) -> usize {
        self.shared.0.len.load(Ordering::Relaxed)
    }
}

impl SkipList {
    fn with_arenas(mut nodes: Arena, mut values: Arena, spare: Arc<Spare>) -> SkipList {
        // SAFETY: invariant 6. The arenas go where the node goes.
        let first =
            unsafe { Node::write(&mut nodes, &mut values, HEIGHT_MAX, Entry::delete(b"", SeqNo::MAX)) };
        let size_bytes = AtomicUsize::new(held_bytes(&nodes, &values));
        let writer =
            Writer { nodes, values, before: [first; HEIGHT_MAX], heights: Heights::new(), height: 1 };
        SkipList {
            first,
            height: AtomicUsize::new(1),
            shared: Apart(Shared { len: AtomicUsize::new(0), size_bytes, writer: Mutex::new(writer), spare }),
        }
    }
}

fn held_bytes(nodes: &Arena, values: &Arena) -> usize {
    size_of::<SkipList>() + nodes.held_bytes() + values.held_bytes()
}

impl SkipList {
    /// The first entry of all.
    fn first_entry(&self) -> Option<Node<'static>> {
        self.first.next(0)
    }

    /// The last entry of all.
    fn last_entry(&self) -> Option<Node<'static>> {
        self.first.prev()
    }

    /// The first entry at or after `key`.
    #[inline]
    fn first_from(&self, key: KeyRef<'_>) -> Option<Node<'static>> {
        self.around(key).1
    }

    /// The last entry before `key`.
    fn last_before(&self, key: KeyRef<'_>) -> Option<Node<'static>> {
        self.entry_or_end(self.around(key).0)
    }

    /// The entry before `node`.
    fn before(&self, node: Node<'static>) -> Option<Node<'static>> {
        node.prev().and_then(|node| self.entry_or_end(node))
    }

    fn entry_or_end(&self, node: Node<'static>) -> Option<Node<'static>> {
        (node != self.first).then_some(node)
    }

    /// The last node before `key`, which may be the one before all entries, and the one after it.
    #[inline]
    fn around(&self, key: KeyRef<'_>) -> (Node<'static>, Option<Node<'static>>) {
        let target = Target::new(key);
        let mut before = self.first;
        let mut beyond = None;
        // A height read too small, beside an insert that raises it, costs time only.
        for level in (0..self.height.load(Ordering::Relaxed)).rev() {
            (before, beyond) = advance(before, beyond, level, &target, Node::next);
        }
        (before, beyond)
    }

    /// Links a node for `entry` in, unless one with its key is there; whether it did.
    fn insert_with(&self, writer: &mut Writer, entry: Entry<'_>) -> bool {
        let target = Target::new(entry.key());
        let after = self.find_place(&mut writer.before, writer.height, &target);
        if after.is_some_and(|node| node.is_at(&target)) {
            return false;
        }
        let height = writer.heights.draw();
        // SAFETY: invariant 6. The arenas are this list's.
        let node = unsafe { Node::write(&mut writer.nodes, &mut writer.values, height, entry) };
        for (level, before) in writer.before[..height].iter().enumerate() {
            node.set_next(level, before.next_for_writer(level));
        }
        node.set_prev(Some(writer.before[0]));
        // Backward first: what a search has found, a scan in either direction then finds as well.
        after.unwrap_or(self.first).set_prev(Some(node));
        for (level, before) in writer.before[..height].iter_mut().enumerate() {
            before.set_next(level, Some(node));
            *before = node;
        }
        if height > writer.height {
            writer.height = height;
            self.height.store(height, Ordering::Relaxed);
        }
        true
    }

    /// Makes `before` hold the last nodes before `target`, level by level, and gives the first node at
    /// or after it.
    ///
    /// `before` arrives as it was left: the last nodes before another place. Where one of its nodes is
    /// before the target and the next of its level is not, the target lies between those two, as the
    /// other place does, and the levels above are right already.
    fn find_place(
        &self,
        before: &mut [Node<'static>; HEIGHT_MAX],
        height: usize,
        target: &Target<'_>,
    ) -> Option<Node<'static>> {
        let is_between = |level: usize| {
            let node: Node<'static> = before[level];
            (node == self.first || node.precedes(target))
                && node.next_for_writer(level).is_none_or(|next| !next.precedes(target))
        };
        let (mut node, mut beyond, mut levels) = (self.first, None, height);
        if let Some(level) = (0..height.min(HINT_LEVELS)).find(|&level| is_between(level)) {
            (node, beyond, levels) = (before[level], before[level].next_for_writer(level), level);
        }
        while levels > 0 {
            levels -= 1;
            (node, beyond) = advance(node, beyond, levels, target, Node::next_for_writer);
            before[levels] = node;
        }
        beyond
    }
}

/// Walks on from `before` on one level to the last node before `target`, and gives it and the node
/// after it.
///
/// `beyond` is a node known to be at or after the target, or `None` for the end.
#[inline]
fn advance(
    mut before: Node<'static>,
    beyond: Option<Node<'static>>,
    level: usize,
    target: &Target<'_>,
    next_of: impl Fn(Node<'static>, usize) -> Option<Node<'static>>,
) -> (Node<'static>, Option<Node<'static>>) {
    loop {
        let next = next_of(before, level);
        // What the level above has compared is not compared again.
        if next == beyond {
            return (before, next);
        }
        let Some(node) = next else { return (before, None) };
        // If the walk ends here, it goes on there.
        if level > 0
            && let Some(below) = next_of(before, level - 1)
        {
            below.prefetch();
        }
        if !node.precedes(target) {
            return (before, next);
        }
        before = node;
    }
}

/// Draws the heights of nodes: each level has half the nodes of the one below.
///
/// A quarter is more usual. It saves five bytes a node, but a search then steps through more nodes
/// that are not in any cache: random inserts were a quarter slower.
struct Heights(u64);

impl Heights {
    /// Always the same sequence. The seed is the fraction of the golden ratio.
    fn new() -> Heights {
        Heights(0x9e37_79b9_7f4a_7c15)
    }

    /// The next height, from 1 to [`HEIGHT_MAX`]. The generator is xorshift64* (Vigna, "An
    /// experimental exploration of Marsaglia's xorshift generators, scrambled", 2016).
    fn draw(&mut self) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let random = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d);
        // The high bits are the better ones: each zero in a row is a level.
        (random.leading_zeros() as usize + 1).min(HEIGHT_MAX)
    }
}

impl fmt::Debug for SkipList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SkipList")
            .field("len", &self.len())
            .field("size_bytes", &self.size_bytes())
            .finish_non_exhaustive()
    }
}
