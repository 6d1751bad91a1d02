//! A B+-tree over an arena: readers take no lock and never wait, writers share one lock.
//!
//! Entries are appended to one arena as they come; the tree over them holds pointers, and of each key the
//! four bytes that follow what all keys of the node have in common, so that a search mostly compares
//! integers that lie side by side. Nodes are added to, never changed: a full one is replaced by two new
//! ones (as in copy-on-write trees; Rodeh, "B-trees, shadowing, and clones", ACM TOS 3(4), 2008), each of which
//! a reader comes to through one atomic store. What was replaced stays in the arena for readers that are
//! still in it: about as much again as the nodes in use.
//!
//! # How a node is split
//!
//! The child `C` of `P` is full. Its upper half becomes `R`, and is added to `P`. Then its lower half becomes
//! `L`, and is put where `C` was. Between the two steps `C` still holds all entries, and readers that come to it
//! leave those to `R` that are `R`'s. A reader that has counted the children of `P` before the first step and
//! finds `L` counts again. Where `P` is full itself, it is split in the same manner, with both
//! steps already done in its halves.
//!
//! # Invariants
//!
//! The unsafe code of this folder rests on these, and cites them by number.
//!
//! 1. A record is written whole before anything leads to it, and never again.
//! 2. A node is written whole before anything leads to it: a [`Node`](node::Node) where its level is 0, and a
//!    longer `Inner` elsewhere. Thereafter only its length, its free slots, and its children change.
//! 3. A slot is written before the length that counts it is stored with release, and never again. Whoever
//!    reads a slot has loaded such a length with acquire, or holds the writer's lock. Only the holder of the
//!    writer's lock writes slots, lengths and children.
//! 4. Children are atomic, stored with release and loaded with acquire, so whoever follows one sees the node
//!    as invariant 2 left it. The root is reached in the same way.
//! 5. The arenas are in the tree and drop with it. `Record<'static>` and `NodeRef<'static>` mean "as long as the tree"
//!    and do not leave this folder; what leaves it borrows the tree or a cursor, and a cursor owns an `Arc` of
//!    its tree.
//!
//! `tests/loom.rs` checks 1 to 4 in every interleaving of a few inserts and reads, with nodes so small that
//! they split.
#![allow(unsafe_code, reason = "entries of varying length, read without locks: docs/unsafe.md")]

mod cursor;
mod node;
mod record;
mod skip;

use std::fmt;
use std::ptr;
use std::slice;
use std::sync::{Arc, PoisonError};

use lsmkit_base::{Entry, KeyRef, SeqNo};

use crate::Memtable;
use crate::arena::{Arena, Spare};
use crate::sync::{AtomicPtr, AtomicUsize, Mutex, Ordering};
pub use cursor::BPlusTreeCursor;
use node::{Goal, Item, Items, NodeRef, SLOTS, Step, Who};
use record::Record;
use skip::{Skip, common_prefix_len};

/// A [`Memtable`] whose readers never wait, and whose inserts touch little memory.
///
/// Reading takes no lock and writes nothing that another thread reads. Inserting takes one lock, so
/// several writers are sound but no faster than one. Inserts in ascending order go to the same leaf
/// without a search and fill it to its end. Of two entries with the same user key and sequence number the first
/// is kept.
///
/// Keys are told apart by the four bytes that follow what neighbours have in common. Where thousands of
/// neighbours agree in those too, comparisons go to the keys themselves, and the tree comes to resemble others.
pub struct BPlusTree {
    /// Null as long as there is no entry.
    root: AtomicPtr<Root>,
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

/// Where a search begins. Never changed; replaced when the tree grows a level, and when a key
/// comes that does not share the prefix.
#[repr(align(64))]
struct Root {
    node: NodeRef<'static>,
    /// What all keys begin with.
    prefix: *const u8,
    prefix_len: usize,
}

struct Writer {
    nodes: Arena,
    records: Arena,
    /// Where the latest insert went.
    latest: Option<Latest>,
    /// The inner nodes on the way to the leaf searched for last. Kept for its memory.
    path: Vec<Passed>,
}

/// The latest insert, and where it went: a leaf that was not full.
struct Latest {
    record: Record<'static>,
    place: Place,
    /// Whether it followed another in that leaf, and follows all of them: then the next one may well follow it.
    is_last: bool,
}

/// A leaf, or a node on the way to it, and what lies around it.
#[derive(Clone, Copy)]
struct Place {
    leaf: NodeRef<'static>,
    /// Where it begins, unless it is the first.
    low: Option<Record<'static>>,
    /// Where the next one begins, unless it is the last.
    high: Option<Record<'static>>,
    /// Whether that may be of the same user key as what was searched for.
    high_ties: bool,
}

/// An inner node on the way to a leaf.
struct Passed {
    node: NodeRef<'static>,
    /// The slot whose child comes next on the way.
    slot: usize,
    low: Option<Record<'static>>,
    high: Option<Record<'static>>,
}

impl Memtable for BPlusTree {
    type Cursor = BPlusTreeCursor;

    fn with_budget(budget_bytes: usize) -> BPlusTree {
        let spare = Spare::with_budget(budget_bytes);
        BPlusTree::with_arenas(Arena::new(&spare), Arena::new(&spare), spare)
    }

    fn successor(&self, budget_bytes: usize) -> BPlusTree {
        let spare = self.shared.0.spare.for_budget(budget_bytes);
        let arena = || Arena::after(self.size_bytes(), budget_bytes, &spare);
        BPlusTree::with_arenas(arena(), arena(), spare)
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
        self.insert_all([entry]);
    }

    /// Adds several versions under one lock.
    ///
    /// # Panics
    ///
    /// Where key or value is 4 GiB or longer.
    fn insert_all<'a>(&self, entries: impl IntoIterator<Item = Entry<'a>>) {
        let shared = &self.shared.0;
        // Should somebody have panicked under the lock, between two entries, the tree is none the worse.
        let mut writer = shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            let record = writer.record(entry);
            if self.insert_record(&mut writer, record) {
                let len = shared.len.load(Ordering::Relaxed);
                shared.len.store(len + 1, Ordering::Relaxed);
            }
        }
        let size_bytes = held_bytes(&writer.nodes, &writer.records);
        shared.size_bytes.store(size_bytes, Ordering::Relaxed);
    }

    fn get<R>(&self, user_key: &[u8], at: SeqNo, show: impl FnOnce(Entry<'_>) -> R) -> Option<R> {
        self.find(KeyRef::new(user_key, at)).map(|record| show(record.entry()))
    }

    fn cursor(self: &Arc<Self>) -> BPlusTreeCursor {
        BPlusTreeCursor::new(Arc::clone(self))
    }

    /// The memory held, in bytes: all chunks, used to their end or not.
    fn size_bytes(&self) -> usize {
        self.shared.0.size_bytes.load(Ordering::Relaxed)
    }

    fn len(&self) -> usize {
        self.shared.0.len.load(Ordering::Relaxed)
    }
}

fn held_bytes(nodes: &Arena, records: &Arena) -> usize {
    size_of::<BPlusTree>() + nodes.held_bytes() + records.held_bytes()
}

/// Where a key lies as seen from those that begin with a prefix.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    Within,
    Beyond,
}

impl Root {
    #[inline]
    fn side(&self, user_key: &[u8]) -> Side {
        let prefix = self.prefix();
        match user_key[..prefix.len().min(user_key.len())].cmp(prefix) {
            std::cmp::Ordering::Less => Side::Before,
            std::cmp::Ordering::Equal => Side::Within,
            std::cmp::Ordering::Greater => Side::Beyond,
        }
    }

    fn prefix(&self) -> &[u8] {
        // SAFETY: invariant 1. They are the first bytes of a record's key.
        unsafe { slice::from_raw_parts(self.prefix, self.prefix_len) }
    }

    /// The leaf where a search ends. The goal's key begins as all keys do.
    #[inline]
    fn place(&self, goal: Goal<'_>) -> Place {
        let mut place = Place::top(self.node);
        while place.leaf.level() > 0 {
            place = place.below(place.leaf.step(goal, Who::Reader));
        }
        place
    }
}

impl Place {
    fn top(node: NodeRef<'static>) -> Place {
        Place { leaf: node, low: None, high: None, high_ties: false }
    }

    #[inline]
    fn below(self, step: Step<'static>) -> Place {
        let (high, high_ties) = match step.high {
            Some(high) => (Some(high), step.high_ties),
            None => (self.high, self.high_ties),
        };
        Place { leaf: step.child, low: step.low.or(self.low), high, high_ties }
    }
}

/// Reading.
impl BPlusTree {
    #[inline]
    fn root(&self, who: Who) -> Option<&Root> {
        // SAFETY: invariant 4. A root is written before it is stored, is never written again, and stays
        // where it is as long as the tree.
        unsafe { who.load(&self.root).as_ref() }
    }

    /// The newest version of a key at or before the one asked for.
    #[inline]
    fn find(&self, key: KeyRef<'_>) -> Option<Record<'_>> {
        let root = self.root(Who::Reader).filter(|root| root.side(key.user_key) == Side::Within)?;
        let place = root.place(Goal::At(key));
        let found = newest(place.leaf, key);
        // Beside a split the leaf may hold for a moment what the next one has already, and newer versions with it.
        let is_of_leaf = |found: Record<'_>| place.high.is_none_or(|high| found.key() < high.key());
        if !place.high_ties || found.is_some_and(is_of_leaf) {
            return found;
        }
        // Its older versions may begin in the next leaf.
        let next = place.high.filter(|next| next.user_key() == key.user_key)?;
        newest(root.place(Goal::At(next.key())).leaf, key)
    }
}

/// The newest version of a key in a leaf, at or before the one asked for.
#[inline]
fn newest(leaf: NodeRef<'static>, key: KeyRef<'_>) -> Option<Record<'static>> {
    let mut newest: Option<Record<'static>> = None;
    for record in leaf.versions_of(key, Who::Reader) {
        if record.user_key() == key.user_key
            && record.seq() <= key.seq
            && newest.is_none_or(|newest| newest.seq() < record.seq())
        {
            newest = Some(record);
        }
    }
    newest
}

/// Writing. The caller holds the writer's lock.
impl BPlusTree {
    fn with_arenas(nodes: Arena, records: Arena, spare: Arc<Spare>) -> BPlusTree {
        let size_bytes = AtomicUsize::new(held_bytes(&nodes, &records));
        let writer = Mutex::new(Writer { nodes, records, latest: None, path: Vec::new() });
        BPlusTree {
            root: AtomicPtr::new(ptr::null_mut()),
            shared: Apart(Shared { len: AtomicUsize::new(0), size_bytes, writer, spare }),
        }
    }

    /// Leads to a record, unless one with its key is there; whether it did.
    fn insert_record(&self, writer: &mut Writer, record: Record<'static>) -> bool {
        let key = record.key();
        let Some(root) = self.root(Who::Writer) else {
            let leaf = Items::new(Skip::bytes(key.user_key.len()), vec![Item::entry(record)]);
            let leaf = writer.node(0, &leaf);
            self.set_root(writer, leaf, key.user_key);
            return true;
        };
        let common = common_prefix_len(root.prefix(), key.user_key);
        let root = if common < root.prefix_len { self.shorten_prefix(writer, root, common) } else { root };
        if writer.continue_with(record) {
            return true;
        }
        let place = writer.search(root, key);
        if place.leaf.versions_of(key, Who::Writer).any(|other| other.key() == key) {
            return false;
        }
        if place.leaf.is_full() {
            writer.latest = None;
            self.split(writer, root, place, record);
            return true;
        }
        place.leaf.push(Item::entry(record));
        let follows = |latest: &Latest| latest.place.leaf == place.leaf && latest.record.key() < key;
        let is_last = writer.latest.as_ref().is_some_and(follows) && place.leaf.last() == record;
        writer.latest = Some(Latest { record, place, is_last });
        true
    }

    /// Makes room in a full leaf for a record, and puts it there. `writer.path` leads to the leaf.
    fn split(&self, writer: &mut Writer, root: &Root, place: Place, record: Record<'static>) {
        let mut lower = place.leaf.items();
        let at = lower.insert(Item::entry(record));
        // Where keys come in order, nobody will fill what a cut in the middle leaves.
        let cut = match at {
            0 => 1,
            SLOTS => SLOTS,
            _ => lower.len() / 2,
        };
        let mut upper = lower.split_off(cut);
        let middle = upper.first();
        lower.set_skip(Skip::between(place.low, middle, root.prefix_len));
        upper.set_skip(Skip::between(middle, place.high, root.prefix_len));
        // Where all its entries stay together, the leaf may stay too, unless its heads could tell more now.
        let is_kept = |at_end: usize, items: &Items<'_>| at == at_end && place.leaf.skip() == items.skip();
        let left = if is_kept(SLOTS, &lower) { place.leaf } else { writer.node(0, &lower) };
        let right = if is_kept(0, &upper) { place.leaf } else { writer.node(0, &upper) };
        self.replace(writer, root, place.leaf, Halves { left, middle, right });
    }

    /// Puts two nodes where one was, all the way up `writer.path`.
    fn replace(&self, writer: &mut Writer, root: &Root, mut old: NodeRef<'static>, mut new: Halves) {
        while let Some(parent) = writer.path.pop() {
            let node = parent.node;
            if !node.is_full() {
                // In this order: see the head of this file.
                node.push(Item { record: new.middle, child: Some(new.right) });
                if new.left != old {
                    node.set_child(parent.slot, new.left);
                }
                return;
            }
            let mut lower = node.items();
            let at = lower.insert(Item { record: new.middle, child: Some(new.right) });
            lower.set_child(at - 1, new.left);
            // Where the halves meet is known to the old node too, unless that is behind all it holds: readers that
            // still come to it while the upper half is there already would take its next slot for their bound.
            let cut = match at {
                SLOTS => SLOTS,
                _ if at == lower.len() / 2 => at + 1,
                _ => lower.len() / 2,
            };
            let mut upper = lower.split_off(cut);
            let middle = upper.first();
            lower.set_skip(Skip::between(parent.low, middle, root.prefix_len));
            upper.set_skip(Skip::between(middle, parent.high, root.prefix_len));
            let left = writer.node(node.level(), &lower);
            let right = writer.node(node.level(), &upper);
            (old, new) = (node, Halves { left, middle, right });
        }
        let items = vec![
            Item { record: None, child: Some(new.left) },
            Item { record: new.middle, child: Some(new.right) },
        ];
        let items = Items::new(Skip::bytes(root.prefix_len), items);
        let node = writer.node(new.left.level() + 1, &items);
        self.set_root(writer, node, root.prefix());
    }

    /// Makes room for keys that share only the first `len` bytes with those that are there.
    ///
    /// Nodes with a bound on either side stay: whatever comes between the bounds shares what they do. Those
    /// on the edges of the tree are copied.
    #[cold]
    fn shorten_prefix(&self, writer: &mut Writer, root: &Root, len: usize) -> &Root {
        writer.latest = None;
        let node = writer.copy_edges(root.node, true, true, len);
        self.set_root(writer, node, &root.prefix()[..len]);
        self.root(Who::Writer).expect("because it was just set")
    }

    /// Publishes a root. `prefix` is the beginning of a record's key.
    fn set_root(&self, writer: &mut Writer, node: NodeRef<'static>, prefix: &[u8]) {
        let root = Root { node, prefix: prefix.as_ptr(), prefix_len: prefix.len() };
        let at = writer.nodes.alloc(size_of::<Root>()).cast::<Root>();
        // SAFETY: the arena's invariant. The piece is new, ours alone, and of the length of a root; it is aligned, as all
        // pieces of this arena are multiples of a cache line.
        unsafe { at.write(root) };
        self.root.store(at.as_ptr(), Ordering::Release);
    }
}

/// Two nodes where one was.
struct Halves {
    left: NodeRef<'static>,
    /// Where the right one begins.
    middle: Option<Record<'static>>,
    right: NodeRef<'static>,
}

impl Writer {
    /// Writes a record that nothing leads to yet.
    fn record(&mut self, entry: Entry<'_>) -> Record<'static> {
        let is_short = |bytes: &[u8]| u32::try_from(bytes.len()).is_ok();
        assert!(is_short(entry.user_key) && is_short(entry.value), "keys and values are shorter than 4 GiB");
        // SAFETY: invariant 5. The arena is the tree's.
        unsafe { Record::write(&mut self.records, entry) }
    }

    fn node(&mut self, level: u8, items: &Items<'static>) -> NodeRef<'static> {
        // SAFETY: invariant 5. The arena is the tree's, and holds nodes and roots only, which are multiples of
        // a cache line.
        unsafe { NodeRef::write(&mut self.nodes, level, items) }
    }

    /// Puts a record into the leaf of the latest inserts, where it comes behind all that is there; whether it did.
    #[inline]
    fn continue_with(&mut self, record: Record<'static>) -> bool {
        let Some(latest) = self.latest.as_mut().filter(|latest| latest.is_last) else { return false };
        let (key, place) = (record.key(), &latest.place);
        let is_next = latest.record.key() < key && place.high.is_none_or(|high| key < high.key());
        if !is_next || place.leaf.is_full() {
            return false;
        }
        place.leaf.push(Item::entry(record));
        latest.record = record;
        true
    }

    /// The leaf where `key` belongs; leaves in `path` how it was reached.
    fn search(&mut self, root: &Root, key: KeyRef<'_>) -> Place {
        self.path.clear();
        let mut place = Place::top(root.node);
        while place.leaf.level() > 0 {
            let step = place.leaf.step(Goal::At(key), Who::Writer);
            self.path.push(Passed { node: place.leaf, slot: step.slot, low: place.low, high: place.high });
            place = place.below(step);
        }
        place
    }

    /// A copy of a node on the edge of the tree, and of those below it on the edge, whose keys share
    /// `prefix_len` bytes.
    fn copy_edges(
        &mut self,
        node: NodeRef<'static>,
        is_first: bool,
        is_last: bool,
        prefix_len: usize,
    ) -> NodeRef<'static> {
        let mut list = node.items().into_list();
        let last = list.len() - 1;
        for (nth, item) in list.iter_mut().enumerate() {
            let (is_first, is_last) = (is_first && nth == 0, is_last && nth == last);
            if let Some(child) = item.child.filter(|_| is_first || is_last) {
                item.child = Some(self.copy_edges(child, is_first, is_last, prefix_len));
            }
        }
        self.node(node.level(), &Items::new(Skip::bytes(prefix_len), list))
    }
}

impl fmt::Debug for BPlusTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BPlusTree")
            .field("len", &self.len())
            .field("size_bytes", &self.size_bytes())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    /// Nodes are small in unit tests, so that trees are high and split often.
    mod with_small_nodes {
        crate::conformance!(crate::BPlusTree);
    }
}
