//! The standard library's B-tree behind a lock.

use std::borrow::Borrow;
use std::cmp::Ordering as Order;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use lsmkit_base::{Cursor, Entry, Fault, KeyRef, SeqNo, Slice, ValueKind, key_head};

use crate::Memtable;

/// How many entries a cursor takes out at a time once it is on its way.
const BATCH_ENTRIES_MAX: usize = 64;

/// A [`Memtable`] without unsafe code: a `BTreeSet` behind a readers-writer lock.
///
/// Readers wait while an insert is under way, which is briefly, since what it stores is allocated
/// and copied before it takes the lock; inserts wait while readers look a key up. No lock is held
/// while a caller looks at an entry, so whatever [`get`](Memtable::get) calls may itself read and
/// insert. Of two entries with the same user key and sequence number the first is kept.
pub struct BTree {
    records: RwLock<BTreeSet<Record>>,
    size_bytes: AtomicUsize,
}

/// An entry, cheap to clone. Ordered as its key is.
#[derive(Clone)]
struct Record {
    head: u64,
    seq: SeqNo,
    kind: ValueKind,
    key_len: u32,
    /// The key, then the value.
    bytes: Slice,
}

impl Memtable for BTree {
    type Cursor = BTreeCursor;

    fn with_budget(_budget_bytes: usize) -> BTree {
        BTree { records: RwLock::default(), size_bytes: AtomicUsize::new(size_of::<BTree>()) }
    }

    /// Adds a version of a key. Waits for readers and writers that are looking a key up.
    ///
    /// # Panics
    ///
    /// Where the key is 4 GiB or longer.
    fn insert(&self, entry: Entry<'_>) {
        let record = Record::new(entry);
        let size_bytes = record.size_bytes();
        if self.write().insert(record) {
            self.size_bytes.fetch_add(size_bytes, Ordering::Relaxed);
        }
    }

    fn get<R>(&self, user_key: &[u8], at: SeqNo, show: impl FnOnce(Entry<'_>) -> R) -> Option<R> {
        let sought = Sought::new(KeyRef::new(user_key, at));
        let record = {
            let records = self.read();
            let from: Bound<&dyn Place> = Bound::Included(&sought);
            let first = records.range::<dyn Place + '_, _>((from, Bound::Unbounded)).next()?;
            if first.user_key() != user_key {
                return None;
            }
            first.clone()
        };
        Some(show(record.entry()))
    }

    fn cursor(self: &Arc<Self>) -> BTreeCursor {
        BTreeCursor { table: Arc::clone(self), batch: Vec::new(), at: 0 }
    }

    /// The memory held, in bytes. What the tree and the allocator add to each entry can't be asked
    /// for, and is estimated.
    fn size_bytes(&self) -> usize {
        self.size_bytes.load(Ordering::Relaxed)
    }

    fn len(&self) -> usize {
        self.read().len()
    }
}

impl BTree {
    // A thread that panicked under the lock did so in an allocation of the tree's, if at all, and left a
    // tree that is still one: what holds for every `BTreeSet` holds here.
    fn read(&self) -> RwLockReadGuard<'_, BTreeSet<Record>> {
        self.records.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeSet<Record>> {
        self.records.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for BTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BTree")
            .field("len", &self.len())
            .field("size_bytes", &self.size_bytes())
            .finish_non_exhaustive()
    }
}

/// A place in a [`BTree`], which it keeps alive.
///
/// It takes a few entries out of the tree at a time, more the further it goes, and holds the lock
/// only while it does. Entries inserted among those it has taken out don't appear until it seeks.
/// Moves never fail.
pub struct BTreeCursor {
    table: Arc<BTree>,
    /// Neighbours in the tree when they were taken, in order.
    batch: Vec<Record>,
    /// Where in the batch the cursor stands; off the end of an empty one.
    at: usize,
}

#[derive(Clone, Copy)]
enum Direction {
    Forward,
    Backward,
}

impl Cursor for BTreeCursor {
    fn seek_first(&mut self) -> Result<(), Fault> {
        self.start(Bound::Unbounded, Direction::Forward);
        Ok(())
    }

    fn seek_last(&mut self) -> Result<(), Fault> {
        self.start(Bound::Unbounded, Direction::Backward);
        Ok(())
    }

    fn seek(&mut self, target: KeyRef<'_>) -> Result<(), Fault> {
        self.start(Bound::Included(&Sought::new(target)), Direction::Forward);
        Ok(())
    }

    fn seek_before(&mut self, target: KeyRef<'_>) -> Result<(), Fault> {
        self.start(Bound::Excluded(&Sought::new(target)), Direction::Backward);
        Ok(())
    }

    fn next(&mut self) -> Result<(), Fault> {
        if self.at + 1 < self.batch.len() {
            self.at += 1;
        } else if let Some(last) = self.batch.last().cloned() {
            self.go_on(Bound::Excluded(&last), Direction::Forward);
        }
        Ok(())
    }

    fn prev(&mut self) -> Result<(), Fault> {
        if self.at > 0 {
            self.at -= 1;
        } else if let Some(first) = self.batch.first().cloned() {
            self.go_on(Bound::Excluded(&first), Direction::Backward);
        }
        Ok(())
    }

    fn entry(&self) -> Option<Entry<'_>> {
        self.batch.get(self.at).map(Record::entry)
    }

    /// The value, shared with the table rather than copied.
    fn value(&self) -> Option<Slice> {
        self.batch.get(self.at).map(Record::value)
    }
}

impl BTreeCursor {
    /// Stands at the nearest entry beyond `from`. Takes but one: most seeks want no more.
    fn start(&mut self, from: Bound<&dyn Place>, direction: Direction) {
        self.take(from, direction, 1);
    }

    /// Stands at the nearest entry beyond `from`, the end of the batch it had, and takes more.
    fn go_on(&mut self, from: Bound<&dyn Place>, direction: Direction) {
        self.take(from, direction, (self.batch.len() * 4).min(BATCH_ENTRIES_MAX));
    }

    fn take(&mut self, from: Bound<&dyn Place>, direction: Direction, count: usize) {
        self.batch.clear();
        let records = self.table.read();
        match direction {
            Direction::Forward => {
                let after = records.range::<dyn Place + '_, _>((from, Bound::Unbounded));
                self.batch.extend(after.take(count).cloned());
                self.at = 0;
            }
            Direction::Backward => {
                let before = records.range::<dyn Place + '_, _>((Bound::Unbounded, from)).rev();
                self.batch.extend(before.take(count).cloned());
                self.batch.reverse();
                self.at = self.batch.len().saturating_sub(1);
            }
        }
    }
}

impl fmt::Debug for BTreeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BTreeCursor").field("at", &self.entry()).finish_non_exhaustive()
    }
}

impl Record {
    fn new(entry: Entry<'_>) -> Record {
        let mut bytes = Vec::with_capacity(entry.user_key.len() + entry.value.len());
        bytes.extend_from_slice(entry.user_key);
        bytes.extend_from_slice(entry.value);
        Record {
            head: key_head(entry.user_key),
            seq: entry.seq,
            kind: entry.kind,
            key_len: u32::try_from(entry.user_key.len()).expect("a key is shorter than 4 GiB"),
            bytes: Slice::from(&*bytes),
        }
    }

    #[inline]
    fn user_key(&self) -> &[u8] {
        &self.bytes[..self.key_len as usize]
    }

    fn value(&self) -> Slice {
        self.bytes.slice(self.key_len as usize..self.bytes.len())
    }

    #[inline]
    fn entry(&self) -> Entry<'_> {
        let (user_key, value) = self.bytes.split_at(self.key_len as usize);
        Entry { user_key, seq: self.seq, kind: self.kind, value }
    }

    /// What the record takes in the tree: its bytes, the shared buffer's header and the allocator's two
    /// (sixteen bytes each), and its place in a node, of which a third stays empty on average.
    fn size_bytes(&self) -> usize {
        let shared = size_of::<Vec<u8>>() + 2 * size_of::<usize>();
        self.bytes.len() + shared + 2 * 16 + size_of::<Record>() * 3 / 2
    }
}

/// A place in the order of entries: a record's, or one that is only sought, which needs no record
/// to be allocated for it.
trait Place {
    fn head(&self) -> u64;
    fn key(&self) -> KeyRef<'_>;
}

struct Sought<'k> {
    head: u64,
    key: KeyRef<'k>,
}

impl<'k> Sought<'k> {
    fn new(key: KeyRef<'k>) -> Sought<'k> {
        Sought { head: key_head(key.user_key), key }
    }
}

impl Place for Sought<'_> {
    fn head(&self) -> u64 {
        self.head
    }
    fn key(&self) -> KeyRef<'_> {
        self.key
    }
}

impl Place for Record {
    #[inline]
    fn head(&self) -> u64 {
        self.head
    }
    #[inline]
    fn key(&self) -> KeyRef<'_> {
        KeyRef::new(self.user_key(), self.seq)
    }
}

impl<'a> Borrow<dyn Place + 'a> for Record {
    fn borrow(&self) -> &(dyn Place + 'a) {
        self
    }
}

impl Ord for dyn Place + '_ {
    fn cmp(&self, other: &Self) -> Order {
        self.head().cmp(&other.head()).then_with(|| self.key().cmp(&other.key()))
    }
}

impl PartialOrd for dyn Place + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Place + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Order::Equal
    }
}

impl Eq for dyn Place + '_ {}

impl Ord for Record {
    #[inline]
    fn cmp(&self, other: &Self) -> Order {
        self.head.cmp(&other.head).then_with(|| self.key().cmp(&other.key()))
    }
}

impl PartialOrd for Record {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Order::Equal
    }
}

impl Eq for Record {}
