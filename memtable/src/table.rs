//! The trait of an in-memory table.

use std::sync::Arc;

use lsmkit_base::{Cursor, Entry, SeqNo};

/// Holds the newest writes, sorted, until they are flushed to a table file.
///
/// # Concurrency
///
/// Any number of threads may read while others insert. A reader that begins after an
/// [`insert`](Memtable::insert) returned sees that entry; one that runs beside it sees the entry
/// whole or not at all. The engine inserts from one thread at a time, but an implementation must
/// stay sound, if not fast, when several insert at once.
pub trait Memtable: Send + Sync + Sized + 'static {
    /// Shows the entries in order; keeps the memtable alive.
    type Cursor: Cursor + Send;

    /// An empty table that is meant to grow to about `budget_bytes`. Memory is taken as it grows.
    fn with_budget(budget_bytes: usize) -> Self;

    /// An empty table to take this one's place, as [`with_budget`](Memtable::with_budget) makes. It may go on with the memory that this
    /// one and those before it give up when they drop; at most `budget_bytes` of that is held for it.
    fn successor(&self, budget_bytes: usize) -> Self {
        Self::with_budget(budget_bytes)
    }

    /// Whether [`prepare`](Memtable::prepare) would take memory. Costs next to nothing.
    fn wants_preparing(&self) -> bool {
        false
    }

    /// Takes a piece of the memory that inserts will soon need, so that they need not wait for it. For another thread than the one that
    /// inserts; takes no lock for longer than a moment. What is taken ahead is a small part of the budget, is not in
    /// [`size_bytes`](Memtable::size_bytes) yet, and goes to a [`successor`](Memtable::successor) where this table does not need it.
    fn prepare(&self) {}

    /// Adds a version of a key. No two entries may share user key and sequence number unless they
    /// are equal in everything, as when a log is replayed twice; of those, one is kept or both.
    fn insert(&self, entry: Entry<'_>);

    /// Adds several versions, as [`insert`](Memtable::insert) does one after the other.
    ///
    /// Spares what it costs to begin and to end. A reader beside it may see some of the entries and not yet the others.
    /// The iterator must not use the table; should it panic, some of the entries it has given are missing.
    fn insert_all<'a>(&self, entries: impl IntoIterator<Item = Entry<'a>>) {
        entries.into_iter().for_each(|entry| self.insert(entry));
    }

    /// Shows the newest version of `user_key` at or before `at`, tombstones included, in place.
    ///
    /// `None`, and `show` not called, where there is no such version. No lock is held while `show` runs: it may be a
    /// user's, and read and write the memtable.
    fn get<R>(&self, user_key: &[u8], at: SeqNo, show: impl FnOnce(Entry<'_>) -> R) -> Option<R>;

    /// A cursor over all entries, off the end.
    fn cursor(self: &Arc<Self>) -> Self::Cursor;

    /// The memory held, in bytes: keys, values and everything around them.
    fn size_bytes(&self) -> usize;

    /// How many versions it holds.
    fn len(&self) -> usize;

    /// Whether it holds none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
