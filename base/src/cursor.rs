//! The one shape in which sorted entries move between layers.

use crate::{Entry, Fault, KeyRef, Slice};

/// How often it is of use to [announce](Cursor::announce) one seek: of a table, what comes from memory one after another is a
/// part of the index, the berth of a block, the block, and an entry.
pub const ANNOUNCEMENTS: usize = 4;

/// A place in a sorted sequence of entries, movable in both directions.
///
/// A cursor stands on an entry or off the end; it starts off the end. Entries are in the order of
/// [`KeyRef`]. The sequence a cursor shows holds at least every entry that was there when the
/// cursor was made; entries added later may or may not appear.
///
/// # Errors
///
/// Every move may read, so every move may fail. After a failed move the cursor is off the end and
/// stays there: `next` and `prev` repeat the fault, so that a caller who overlooks it can not
/// carry on past missing entries. A seek starts afresh.
pub trait Cursor {
    /// Moves to the first entry of all.
    fn seek_first(&mut self) -> Result<(), Fault>;

    /// Moves to the last entry of all.
    fn seek_last(&mut self) -> Result<(), Fault>;

    /// Moves to the first entry at or after `target`.
    fn seek(&mut self, target: KeyRef<'_>) -> Result<(), Fault>;

    /// Moves to the last entry before `target`.
    fn seek_before(&mut self, target: KeyRef<'_>) -> Result<(), Fault>;

    /// Tells that the next move is a seek to `target`, or before it. Reads no file, and may do nothing; where the
    /// cursor stands until that seek is not said.
    ///
    /// Whoever seeks with several cursors tells all of them first, so that what they will look at comes from memory at
    /// the same time. What one look finds tells where the next will be, so that to tell them again, up to
    /// [`ANNOUNCEMENTS`] times, is of use.
    fn announce(&mut self, target: KeyRef<'_>) {
        let _ = target;
    }

    /// Moves one entry forward. Off the end it stays off the end.
    fn next(&mut self) -> Result<(), Fault>;

    /// Moves one entry backward. Off the end it stays off the end.
    fn prev(&mut self) -> Result<(), Fault>;

    /// The entry the cursor stands on, shown in place; `None` off the end.
    fn entry(&self) -> Option<Entry<'_>>;

    /// Whether it is known, without a look elsewhere, that the entry before this one has another user key. `false` says
    /// nothing.
    fn begins_key(&self) -> bool {
        false
    }

    /// The value the cursor stands on, kept alive apart from the cursor; `None` off the end.
    ///
    /// Copies the value unless the layer can pin what holds it.
    fn value(&self) -> Option<Slice> {
        self.entry().map(|entry| Slice::from(entry.value))
    }
}

impl<C: Cursor + ?Sized> Cursor for Box<C> {
    fn seek_first(&mut self) -> Result<(), Fault> {
        (**self).seek_first()
    }
    fn seek_last(&mut self) -> Result<(), Fault> {
        (**self).seek_last()
    }
    fn seek(&mut self, target: KeyRef<'_>) -> Result<(), Fault> {
        (**self).seek(target)
    }
    fn seek_before(&mut self, target: KeyRef<'_>) -> Result<(), Fault> {
        (**self).seek_before(target)
    }
    fn announce(&mut self, target: KeyRef<'_>) {
        (**self).announce(target);
    }
    fn next(&mut self) -> Result<(), Fault> {
        (**self).next()
    }
    fn prev(&mut self) -> Result<(), Fault> {
        (**self).prev()
    }
    fn entry(&self) -> Option<Entry<'_>> {
        (**self).entry()
    }
    fn begins_key(&self) -> bool {
        (**self).begins_key()
    }
    fn value(&self) -> Option<Slice> {
        (**self).value()
    }
}
