//! Entries in place, without a copy.

use std::fmt;

use lsmkit_base::{Fault, SeqNo};

use crate::range::Bounds;
use crate::state::ReadState;
use crate::walk::Walk;
use crate::{Error, Parts, Standard, Value};

/// A place among the keys of a keyspace, or of a range of them, movable in both directions, that shows key and value where they stand.
///
/// Beside a [`Scan`](crate::Scan) it hands over nothing: what it shows is borrowed until the next move, and going forward it allocates
/// nothing for an entry. It can be moved about, and keeps its memory, so that to seek again is cheaper than to begin a scan. To turn
/// round costs as much as a seek. Made for a range (`cursor_within`) it shows nothing outside: what it looks for it looks for inside, so
/// that it does not go through what was deleted behind the range, and opens no tables there.
///
/// Shows the store as it was when the cursor was made, whatever is written meanwhile, and keeps the memtables and tables of that moment,
/// in memory and on disk, for as long as it lives. Starts off the end. Moves return where they have come to, and `None` off the end; past
/// the last entry, or before the first, the way back is a seek.
///
/// ```
/// # fn main() -> Result<(), lsmkit::Error> {
/// let db = lsmkit::Options::new().open_in_memory()?;
/// for (key, value) in [("a", "1"), ("b", "2"), ("c", "3")] {
///     db.put(key, value)?;
/// }
/// let mut cursor = db.cursor();
/// let mut entry = cursor.seek("aa")?;
/// let mut keys = Vec::new();
/// while let Some((key, _)) = entry {
///     keys.extend_from_slice(key);
///     entry = cursor.next()?;
/// }
/// assert_eq!(keys, b"bc");
/// assert_eq!(cursor.seek_last()?, Some((&b"c"[..], &b"3"[..])));
/// assert_eq!(cursor.prev()?, Some((&b"b"[..], &b"2"[..])));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Each move may read, so each may fail. After that the cursor is off the end, and `next` and `prev` repeat the error, so that one that was
/// overlooked is not taken for the end; a seek begins afresh.
pub struct Cursor<P: Parts = Standard> {
    /// Or why nothing can be read.
    walk: Result<Walk<P>, Error>,
}

/// A key and its value, where they stand.
type Shown<'a> = Option<(&'a [u8], &'a [u8])>;

impl<P: Parts> Cursor<P> {
    pub(crate) fn new(state: &ReadState<P>, bounds: Bounds, at: SeqNo) -> Cursor<P> {
        Cursor { walk: Ok(Walk::new(state, bounds, at)) }
    }

    /// A cursor that gives `error`, however it is moved.
    pub(crate) fn refused(error: Error) -> Cursor<P> {
        Cursor { walk: Err(error) }
    }

    /// Moves to the first key of all, or of its range.
    pub fn seek_first(&mut self) -> Result<Shown<'_>, Error> {
        self.moved(Walk::seek_first)
    }

    /// Moves to the last key of all, or of its range.
    pub fn seek_last(&mut self) -> Result<Shown<'_>, Error> {
        self.moved(Walk::seek_last)
    }

    /// Moves to the first key at or after `key`.
    pub fn seek(&mut self, key: impl AsRef<[u8]>) -> Result<Shown<'_>, Error> {
        self.moved(|walk| walk.seek(key.as_ref()))
    }

    /// Moves to the last key before `key`.
    pub fn seek_before(&mut self, key: impl AsRef<[u8]>) -> Result<Shown<'_>, Error> {
        self.moved(|walk| walk.seek_before(key.as_ref()))
    }

    /// Moves to the next key. Off the end it stays there.
    #[inline]
    #[allow(clippy::should_implement_trait, reason = "what is shown is lent, which an Iterator can't do")]
    pub fn next(&mut self) -> Result<Shown<'_>, Error> {
        self.moved(Walk::next)
    }

    /// Moves to the key before. Off the end it stays there.
    #[inline]
    pub fn prev(&mut self) -> Result<Shown<'_>, Error> {
        self.moved(Walk::prev)
    }

    /// The key and the value that it stands on; `None` off the end.
    #[inline]
    pub fn entry(&self) -> Shown<'_> {
        self.walk.as_ref().ok()?.entry()
    }

    /// The value that it stands on, kept alive apart from the cursor; `None` off the end. Copied where it is short, or in a memtable; see
    /// [`Value`].
    pub fn value(&self) -> Option<Value> {
        self.walk.as_ref().ok()?.value()
    }

    #[inline]
    fn moved(&mut self, step: impl FnOnce(&mut Walk<P>) -> Result<(), Fault>) -> Result<Shown<'_>, Error> {
        let walk = self.walk.as_mut().map_err(|error| error.clone())?;
        step(walk)?;
        Ok(walk.entry())
    }
}

impl<P: Parts> fmt::Debug for Cursor<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").finish_non_exhaustive()
    }
}
