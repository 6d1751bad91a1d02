//! One entry of the skiplist and the links that leave it, as bytes in an arena.
//!
//! ```text
//! ┌──────┬───┬────────┬────────┬─────────┬───────────┬──────────────┬─────────┬───────┬──────┐
//! │ next │ … │ next   │ next   │ key_len │ value_len │ key, zeros   │ version │ value │ prev │
//! │ h-1  │   │ 1      │ 0      │ u32     │ u32       │ to 8·n bytes │ u64     │ ptr   │ ptr  │
//! └──────┴───┴────────┴────────┴─────────┴───────────┴──────────────┴─────────┴───────┴──────┘
//!                              └ a `Node` points here
//! ```
//!
//! A search looks at the low links and the first eight bytes of the key, which are therefore side by
//! side and mostly in one cache line. The key is padded to at least eight bytes, so its head can
//! be read as one integer whatever its length. Values are kept apart, so that the nodes, which is
//! all that a search touches, lie close together.

use std::cmp::Ordering as Order;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;

use lsmkit_base::{Entry, KeyRef, SeqNo, ValueKind, key_head};

use crate::arena::Arena;
use crate::sync::{AtomicPtr, Ordering, WrittenOnce};

/// The most links that leave a node forward: with half as many nodes on each level as on the one below,
/// enough for sixteen million.
pub(super) const HEIGHT_MAX: usize = 24;

/// A node, for as long as `'a` keeps its arena.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    at: NonNull<Middle>,
    arena: PhantomData<&'a Arena>,
}

// SAFETY: invariants 2 and 3. What is shared is either never written again or atomic.
unsafe impl Send for Node<'_> {}
// SAFETY: as above.
unsafe impl Sync for Node<'_> {}

/// What lies before a node's key.
#[repr(C, align(8))]
struct Middle {
    key_len: u32,
    value_len: u32,
    written: WrittenOnce,
}

/// What lies behind a node's key.
#[repr(C)]
struct Tail {
    /// The sequence number in 56 bits, the node's height in five, the kind in three.
    version: u64,
    value: *const u8,
    prev: Link,
}

type Link = AtomicPtr<Middle>;

// All parts are then aligned if the node is and the key is padded to a multiple of eight.
const _: () = assert!(align_of::<Middle>() == 8 && align_of::<Tail>() <= 8 && align_of::<Link>() <= 8);
const _: () = assert!(size_of::<Middle>().is_multiple_of(8));
const _: () = assert!(size_of::<Tail>().is_multiple_of(8) && size_of::<Link>().is_multiple_of(8));

/// What a search looks for.
pub(super) struct Target<'k> {
    head: u64,
    /// The eight bytes after the head, in the same manner.
    second: u64,
    key: KeyRef<'k>,
}

impl<'k> Target<'k> {
    #[inline]
    pub(super) fn new(key: KeyRef<'k>) -> Target<'k> {
        let beyond = key.user_key.get(8..).unwrap_or_default();
        Target { head: key_head(key.user_key), second: key_head(beyond), key }
    }
}

impl Node<'static> {
    /// Writes a node that nothing points to yet, and whose links lead nowhere.
    ///
    /// # Safety
    ///
    /// The node is used only while both arenas live, and linked only with nodes of the same arenas.
    pub(super) unsafe fn write(
        nodes: &mut Arena,
        values: &mut Arena,
        height: usize,
        entry: Entry<'_>,
    ) -> Node<'static> {
        assert!((1..=HEIGHT_MAX).contains(&height), "a node has one link at least");
        let key_len = u32::try_from(entry.user_key.len()).expect("because the list checks keys");
        let value_len = u32::try_from(entry.value.len()).expect("because the list checks values");
        let links_bytes = height * size_of::<Link>();
        let padded = padded_len(entry.user_key.len());
        let start = nodes.alloc(links_bytes + size_of::<Middle>() + padded + size_of::<Tail>());
        let value = values.alloc(entry.value.len());
        // SAFETY: invariant 1. The two pieces are new, ours alone, and of the lengths asked for; every
        // write below is within them by the sum above, and aligned because all parts are multiples of
        // eight. The entry's bytes can't overlap memory that nobody had until now.
        unsafe {
            value.copy_from_nonoverlapping(NonNull::from(entry.value).cast(), entry.value.len());
            let at = start.add(links_bytes).cast::<Middle>();
            for level in 0..height {
                at.cast::<Link>().sub(level + 1).write(Link::new(ptr::null_mut()));
            }
            at.write(Middle { key_len, value_len, written: WrittenOnce::written() });
            let key = at.add(1).cast::<u8>();
            key.add(padded - 8).cast::<u64>().write(0);
            key.copy_from_nonoverlapping(NonNull::from(entry.user_key).cast(), entry.user_key.len());
            key.add(padded).cast::<Tail>().write(Tail {
                version: entry.seq.value() << 8 | (height as u64) << 3 | entry.kind as u64,
                value: value.as_ptr(),
                prev: Link::new(ptr::null_mut()),
            });
            Node { at, arena: PhantomData }
        }
    }
}

impl<'a> Node<'a> {
    /// The next node of at least `level + 1` links.
    ///
    /// `level` must be below the node's height: see invariant 4.
    #[inline]
    pub(super) fn next(self, level: usize) -> Option<Node<'a>> {
        Node::from_link(self.next_link(level).load(Ordering::Acquire))
    }

    /// As [`next`](Node::next), for the holder of the writer's lock.
    #[inline]
    pub(super) fn next_for_writer(self, level: usize) -> Option<Node<'a>> {
        let link = self.next_link(level);
        #[cfg(not(loom))]
        let next = link.load(Ordering::Relaxed);
        // Loom looks for readers to interleave with a store among the latest accesses only, so a load by
        // the writer itself just before would hide them. This one it does not count; in its stead it
        // checks that no store can come beside it.
        // SAFETY: invariant 3. Only the holder of the lock stores, and that is the caller.
        #[cfg(loom)]
        let next = unsafe { link.unsync_load() };
        Node::from_link(next)
    }

    #[inline]
    fn next_link(self, level: usize) -> &'a Link {
        debug_assert!(level < self.height(), "a level is below the node's height");
        // SAFETY: invariants 2 and 4. The link is there, was written before the node was published,
        // and is atomic.
        unsafe { self.at.cast::<Link>().sub(level + 1).as_ref() }
    }

    /// Makes `next` the next node of at least `level + 1` links, and publishes it if `next` was new.
    #[inline]
    pub(super) fn set_next(self, level: usize, next: Option<Node<'a>>) {
        self.next_link(level).store(Node::to_link(next), Ordering::Release);
    }

    /// The node before.
    #[inline]
    pub(super) fn prev(self) -> Option<Node<'a>> {
        Node::from_link(self.prev_link().load(Ordering::Acquire))
    }

    /// Makes `prev` the node before, and publishes it if it was new.
    #[inline]
    pub(super) fn set_prev(self, prev: Option<Node<'a>>) {
        self.prev_link().store(Node::to_link(prev), Ordering::Release);
    }

    #[inline]
    fn prev_link(self) -> &'a Link {
        // SAFETY: invariants 2 and 3. The tail was written before the node was published; the link in
        // it is atomic.
        unsafe { &(*self.tail()).prev }
    }

    #[inline]
    fn from_link(at: *mut Middle) -> Option<Node<'a>> {
        // A link holds null or a node of the same list, which lives as long: invariant 5.
        NonNull::new(at).map(|at| Node { at, arena: PhantomData })
    }

    #[inline]
    fn to_link(node: Option<Node<'a>>) -> *mut Middle {
        node.map_or(ptr::null_mut(), |node| node.at.as_ptr())
    }

    /// Whether the node stands before `target`.
    #[inline]
    pub(super) fn precedes(self, target: &Target<'_>) -> bool {
        let head = self.head();
        if head != target.head { head < target.head } else { self.cmp_beyond_head(target) == Order::Less }
    }

    /// Whether the node stands exactly at `target`.
    #[inline]
    pub(super) fn is_at(self, target: &Target<'_>) -> bool {
        self.head() == target.head && self.cmp_beyond_head(target) == Order::Equal
    }

    /// How a node compares with a target whose key begins with the same eight bytes, where keys
    /// shorter than that count as if zeros followed.
    fn cmp_beyond_head(self, target: &Target<'_>) -> Order {
        let (ours, theirs) = (self.user_key(), target.key.user_key);
        let by_key = if ours.len().min(theirs.len()) <= 8 {
            // One key is no more than the head of the other, give or take zeros at the end.
            ours.len().cmp(&theirs.len())
        } else {
            // Keys that share a prefix, as numbers with leading zeros do, mostly differ here.
            self.second().cmp(&target.second).then_with(|| ours[8..].cmp(&theirs[8..]))
        };
        by_key.then_with(|| target.key.seq.value().cmp(&(self.version() >> 8)))
    }

    #[inline]
    fn head(self) -> u64 {
        self.middle().written.read();
        // SAFETY: invariant 2. The key is padded to eight bytes at least, and aligned to eight.
        u64::from_be(unsafe { self.at.add(1).cast::<u64>().read() })
    }

    /// The eight bytes after the head, of a key that is longer than that.
    #[inline]
    fn second(self) -> u64 {
        debug_assert!(self.user_key().len() > 8, "a shorter key has no second eight bytes");
        self.middle().written.read();
        // SAFETY: invariant 2. A key longer than eight bytes is padded to sixteen at least.
        u64::from_be(unsafe { self.at.add(1).cast::<u64>().add(1).read() })
    }

    /// The key as the user gave it.
    #[inline]
    pub(super) fn user_key(self) -> &'a [u8] {
        let middle = self.middle();
        middle.written.read();
        // SAFETY: invariant 2. `key_len` bytes of key follow.
        unsafe { slice::from_raw_parts(self.at.add(1).cast().as_ptr(), middle.key_len as usize) }
    }

    /// The whole entry, in place.
    #[inline]
    pub(super) fn entry(self) -> Entry<'a> {
        let user_key = self.user_key();
        let version = self.version();
        // SAFETY: invariant 2. The tail was written, and `value` leads to `value_len` bytes that are
        // never written again.
        let value = unsafe { slice::from_raw_parts((*self.tail()).value, self.middle().value_len as usize) };
        Entry {
            user_key,
            seq: SeqNo::new(version >> 8).expect("because it was made from one"),
            kind: ValueKind::from_byte(version as u8 & 0b111).expect("because it was made from one"),
            value,
        }
    }

    #[inline]
    fn version(self) -> u64 {
        self.middle().written.read();
        // SAFETY: invariant 2.
        unsafe { (*self.tail()).version }
    }

    #[inline]
    fn height(self) -> usize {
        (self.version() >> 3 & 0b1_1111) as usize
    }

    #[inline]
    fn middle(self) -> &'a Middle {
        // SAFETY: invariant 2. It is never written again.
        unsafe { self.at.as_ref() }
    }

    #[inline]
    fn tail(self) -> *const Tail {
        let padded = padded_len(self.middle().key_len as usize);
        // SAFETY: invariant 2. The tail lies behind the padded key, within the node's piece.
        unsafe { self.at.add(1).cast::<u8>().add(padded).cast::<Tail>().as_ptr() }
    }

    /// Asks for what a search will look at in this node.
    #[inline]
    pub(super) fn prefetch(self) {
        #[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
        // SAFETY: a prefetch is a hint that never faults, whatever the address.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.at.as_ptr().cast());
        }
    }
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

/// The room that a key of `len` bytes takes in a node.
#[inline]
const fn padded_len(len: usize) -> usize {
    if len <= 8 { 8 } else { len.next_multiple_of(8) }
}
