//! A batch read over a store.

use std::cmp::Ordering;
use std::fmt;

use lsmkit_base::SeqNo;

use crate::batch_index::Span;
use crate::range::{Bounds, Prefix};
use crate::{Error, IndexedBatch, KeyRange, Keyspace, LastWrite, Parts, Scan, Standard, Value};

/// A store, or a snapshot of one, with the writes of an [`IndexedBatch`] over it: what is read here is
/// what would be read after the batch was written, if nobody else wrote meanwhile.
///
/// Made by [`IndexedBatch::over`] and [`IndexedBatch::over_snapshot`]. Borrows the batch, so that it
/// can't change, and writes nothing. Over a store, each reading begins at the newest; over a snapshot,
/// all of them see one moment. Takes no lock; reads from disk what is not in memory.
///
/// # Errors
///
/// Beside its own errors, each reading reports what [`Engine::write`](crate::Engine::write) would say of
/// the batch itself: [`Error::NoKeyspace`] where it names a keyspace of another store,
/// [`Error::KeyTooLong`], [`Error::ValueTooLong`] or [`Error::BatchTooLarge`] where it holds no more
/// what it was given. That the store takes no writes, or that another keyspace the batch names was
/// dropped, is found out in writing.
pub struct Overlay<'a, P: Parts = Standard> {
    batch: &'a IndexedBatch,
    default: &'a Keyspace<P>,
    /// The moment of the snapshot.
    at: Option<SeqNo>,
}

impl<P: Parts> Clone for Overlay<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Parts> Copy for Overlay<'_, P> {}

impl<P: Parts> fmt::Debug for Overlay<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overlay").field("at", &self.at).finish_non_exhaustive()
    }
}

impl<'a, P: Parts> Overlay<'a, P> {
    pub(crate) fn new(
        batch: &'a IndexedBatch,
        default: &'a Keyspace<P>,
        at: Option<SeqNo>,
    ) -> Overlay<'a, P> {
        Overlay { batch, default, at }
    }

    /// The value of `key` in the default keyspace, or `None`. A value that the batch holds is copied;
    /// [`IndexedBatch::last_write`] shows it in place.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        self.get_of(self.default, key.as_ref())
    }

    /// The value of `key` in a keyspace.
    ///
    /// # Errors
    ///
    /// [`Error::NoKeyspace`] where it was dropped, or is another store's.
    pub fn get_in(&self, keyspace: &Keyspace<P>, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        keyspace.check_of(self.default.handle())?;
        self.get_of(keyspace, key.as_ref())
    }

    /// The entries of a range of the default keyspace, in order, from either end.
    pub fn scan(&self, range: impl KeyRange) -> OverlayScan<'a, P> {
        self.scan_of(self.default, range)
    }

    /// The entries of the default keyspace whose keys begin with `prefix`.
    pub fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> OverlayScan<'a, P> {
        self.scan(Prefix(prefix.as_ref()))
    }

    /// The entries of a range of a keyspace. Gives [`Error::NoKeyspace`] and ends where it was dropped,
    /// or is another store's.
    pub fn scan_in(&self, keyspace: &Keyspace<P>, range: impl KeyRange) -> OverlayScan<'a, P> {
        self.scan_of(keyspace, range)
    }

    fn get_of(&self, keyspace: &Keyspace<P>, key: &[u8]) -> Result<Option<Value>, Error> {
        self.check_batch()?;
        match self.batch.last_write_of(keyspace.id(), key) {
            None => keyspace.get_at(key, self.at),
            // The store is not asked, but has to be there to be written to.
            Some(write) => keyspace.check_readable().map(|()| match write {
                LastWrite::Put(value) => Some(Value::copy_of(value)),
                LastWrite::Delete => None,
            }),
        }
    }

    fn scan_of(&self, keyspace: &Keyspace<P>, range: impl KeyRange) -> OverlayScan<'a, P> {
        let bounds = Bounds::of(range);
        let record = self.batch.batch().record();
        let span = self.batch.index().span(record, keyspace.id(), &bounds);
        let scan = match keyspace.check_of(self.default.handle()).and_then(|()| self.check_batch()) {
            Ok(()) => keyspace.scan_at(bounds, self.at),
            Err(error) => keyspace.refuse_scan(error),
        };
        OverlayScan { batch: self.batch, span, store: Peeked { scan, front: None, back: None }, done: false }
    }

    fn check_batch(&self) -> Result<(), Error> {
        let batch = self.batch.batch();
        batch.check_of(self.default.store_serial())?;
        batch.record().check()
    }
}

/// The keys of a range and their values, in order, from either end: those of a store with those of a
/// batch over them.
///
/// Shows the store as it was when the scan began. Borrows the batch and the store's handle. Reads as
/// it goes, and copies what the batch holds. As with [`Scan`], an error ends it: what follows is `None`.
pub struct OverlayScan<'a, P: Parts = Standard> {
    batch: &'a IndexedBatch,
    /// The batch's writes that have not been taken.
    span: Span,
    store: Peeked<P>,
    done: bool,
}

/// A scan whose next entry can be looked at from either end.
struct Peeked<P: Parts> {
    scan: Scan<P>,
    /// Comes before all that is left of the scan.
    front: Option<(Value, Value)>,
    /// Comes behind all that is left of the scan.
    back: Option<(Value, Value)>,
}

/// An end of a scan.
#[derive(Clone, Copy)]
enum End {
    Front,
    Back,
}

impl<P: Parts> Peeked<P> {
    /// Where the next entry from that end is kept; `None` in it where all were taken.
    fn peek(&mut self, end: End) -> Result<&mut Option<(Value, Value)>, Error> {
        let (near, far) = match end {
            End::Front => (&mut self.front, &mut self.back),
            End::Back => (&mut self.back, &mut self.front),
        };
        if near.is_none() {
            let next = match end {
                End::Front => self.scan.next(),
                End::Back => self.scan.next_back(),
            };
            // Where the scan has no more, what was looked at from the far end is next from here too.
            *near = next.transpose()?.or_else(|| far.take());
        }
        Ok(near)
    }
}

impl<P: Parts> OverlayScan<'_, P> {
    fn take(&mut self, end: End) -> Option<Result<(Value, Value), Error>> {
        if self.done {
            return None;
        }
        let taken = self.find(end).transpose();
        self.done = !matches!(taken, Some(Ok(_)));
        taken
    }

    fn find(&mut self, end: End) -> Result<Option<(Value, Value)>, Error> {
        let index = self.batch.index();
        loop {
            // First the store: behind its error nothing is shown.
            let stored = self.store.peek(end)?;
            let at = match end {
                End::Front => self.span.first(index),
                End::Back => self.span.last(index),
            };
            let Some((key, write)) = at.map(|at| self.batch.write_at(at)) else { return Ok(stored.take()) };
            let stored_first = stored.as_ref().map_or(Ordering::Greater, |(stored_key, _)| match end {
                End::Front => (**stored_key).cmp(key),
                End::Back => key.cmp(stored_key),
            });
            if stored_first == Ordering::Less {
                return Ok(stored.take());
            }
            if stored_first == Ordering::Equal {
                *stored = None;
            }
            match end {
                End::Front => self.span.leave_first(index),
                End::Back => self.span.leave_last(index),
            }
            if let LastWrite::Put(value) = write {
                return Ok(Some((Value::copy_of(key), Value::copy_of(value))));
            }
        }
    }
}

impl<P: Parts> Iterator for OverlayScan<'_, P> {
    type Item = Result<(Value, Value), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.take(End::Front)
    }
}

impl<P: Parts> DoubleEndedIterator for OverlayScan<'_, P> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.take(End::Back)
    }
}

impl<P: Parts> std::iter::FusedIterator for OverlayScan<'_, P> {}

impl<P: Parts> fmt::Debug for OverlayScan<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverlayScan")
            .field("store", &self.store.scan)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}
