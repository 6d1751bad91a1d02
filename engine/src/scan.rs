//! Iterating over what a user sees: the newest visible value of each key.

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use lsmkit_base::{Cursor, Fault, KeyRef, SeqNo, ValueKind};
use lsmkit_compaction::Merge;
use lsmkit_memtable::Memtable;
use lsmkit_sstable::Reading;

use crate::source::{RunCursor, Source};
use crate::state::ReadState;
use crate::version::OpenRun;
use crate::{Error, KeyRange, Parts, Standard, Value, range};

/// The keys of a range and their values, in order, from either end.
///
/// Shows the store as it was when the scan began, whatever is written meanwhile, and keeps the
/// tables of that moment. Owns what it reads: it may outlive the store's handle. Reads as it goes,
/// so that taking the first few entries of a large range is cheap.
///
/// An error ends it: what follows is `None`, so that a loop that overlooks the error can not
/// mistake what comes after a gap for what comes next.
pub struct Scan<P: Parts = Standard> {
    state: Arc<ReadState<P>>,
    at: SeqNo,
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
    front: Option<View<P>>,
    back: Option<View<P>>,
    done: bool,
    /// An error from before the scan could begin.
    refused: Option<Error>,
}

impl<P: Parts> Scan<P> {
    pub(crate) fn new(state: Arc<ReadState<P>>, at: SeqNo, range: impl KeyRange) -> Scan<P> {
        let (lower, upper) = range.into_bounds();
        let done = range::is_empty(&lower, &upper);
        Scan { state, at, lower, upper, front: None, back: None, done, refused: None }
    }

    /// A scan that gives `error` and ends.
    pub(crate) fn refused(state: Arc<ReadState<P>>, error: Error) -> Scan<P> {
        let mut scan = Scan::new(state, SeqNo::ZERO, ..);
        scan.refused = Some(error);
        scan
    }

    /// What the scan merges, and how many tables it has come to so far. Nothing before the first entry
    /// is asked for: only then the reading begins.
    ///
    /// ```
    /// # fn main() -> Result<(), lsmkit::Error> {
    /// let db = lsmkit::Options::new().open_in_memory()?;
    /// db.put("flushed", "1")?;
    /// db.flush()?;
    /// db.put("in memory", "2")?;
    /// let mut scan = db.scan(..);
    /// assert_eq!(scan.by_ref().count(), 2);
    /// let sources = scan.sources();
    /// assert_eq!((sources.memtables, sources.runs, sources.tables), (1, 1, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn sources(&self) -> ScanSources {
        let mut sources = ScanSources::default();
        for view in [&self.front, &self.back].into_iter().flatten() {
            let (mut memtables, mut runs) = (0, 0);
            for source in view.merge.children() {
                match source {
                    Source::Memtable(_) => memtables += 1,
                    Source::Run(cursor) => {
                        runs += 1;
                        sources.tables += cursor.opened();
                    }
                }
            }
            sources.memtables = sources.memtables.max(memtables);
            sources.runs = sources.runs.max(runs);
        }
        sources
    }

    fn view(&self) -> View<P> {
        let memtables = std::iter::once(&self.state.active).chain(&self.state.frozen);
        let memtables =
            memtables.filter(|slot| !slot.table.is_empty()).map(|slot| Source::Memtable(slot.table.cursor()));
        let runs = self.state.version.runs.iter().filter_map(|run| {
            let run = within(run, &self.lower, &self.upper)?;
            Some(Source::Run(RunCursor::new(run, Reading::Scan)))
        });
        View {
            merge: Merge::new(memtables.chain(runs).collect()),
            at: self.at,
            key: Vec::new(),
            on_key: false,
        }
    }

    fn take_front(&mut self) -> Result<Option<(Value, Value)>, Fault> {
        if self.front.is_none() {
            let mut view = self.view();
            view.seek_lower(&self.lower)?;
            self.front = Some(view);
        }
        let front = self.front.as_mut().expect("because it was made above");
        let Some(value) = front.forward()? else { return Ok(None) };
        let inside = match &self.upper {
            Bound::Unbounded => true,
            Bound::Included(upper) => front.key <= *upper,
            Bound::Excluded(upper) => front.key < *upper,
        };
        let met = self.back.as_ref().is_some_and(|back| front.key >= back.key);
        Ok((inside && !met).then(|| (Value::copy_of(&front.key), value)))
    }

    fn take_back(&mut self) -> Result<Option<(Value, Value)>, Fault> {
        if self.back.is_none() {
            let mut view = self.view();
            view.seek_upper(&self.upper)?;
            self.back = Some(view);
        }
        let back = self.back.as_mut().expect("because it was made above");
        let Some(value) = back.backward()? else { return Ok(None) };
        let inside = match &self.lower {
            Bound::Unbounded => true,
            Bound::Included(lower) => back.key >= *lower,
            Bound::Excluded(lower) => back.key > *lower,
        };
        let met = self.front.as_ref().is_some_and(|front| back.key <= front.key);
        Ok((inside && !met).then(|| (Value::copy_of(&back.key), value)))
    }

    fn take(
        &mut self,
        from: impl FnOnce(&mut Scan<P>) -> Result<Option<(Value, Value)>, Fault>,
    ) -> Option<Result<(Value, Value), Error>> {
        if let Some(error) = self.refused.take() {
            self.done = true;
            return Some(Err(error));
        }
        if self.done {
            return None;
        }
        let taken = from(self).map_err(Error::from).transpose();
        if !matches!(taken, Some(Ok(_))) {
            self.done = true;
        }
        taken
    }
}

impl<P: Parts> Iterator for Scan<P> {
    type Item = Result<(Value, Value), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.take(Scan::take_front)
    }
}

impl<P: Parts> DoubleEndedIterator for Scan<P> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.take(Scan::take_back)
    }
}

impl<P: Parts> std::iter::FusedIterator for Scan<P> {}

impl<P: Parts> fmt::Debug for Scan<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("at", &self.at).field("done", &self.done).finish_non_exhaustive()
    }
}

/// What a [`Scan`] merges: the price of its range, beside the entries themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ScanSources {
    /// Memtables that hold anything, be it in the range or not.
    pub memtables: u64,
    /// Runs with a table in the range. Each holds a key at most once, so with the memtables these are
    /// what an entry is picked from.
    pub runs: u64,
    /// Tables of these runs that were opened so far. Where a scan is taken from both ends, a table that
    /// both of them come to counts for each.
    pub tables: u64,
}

/// All versions of all keys merged, and the visible one of each picked out.
struct View<P: Parts> {
    merge: Merge<Source<P>>,
    at: SeqNo,
    /// The key that was shown last.
    key: Vec<u8>,
    /// Whether `key` holds one yet.
    on_key: bool,
}

impl<P: Parts> View<P> {
    fn seek_lower(&mut self, lower: &Bound<Vec<u8>>) -> Result<(), Fault> {
        match lower {
            Bound::Unbounded => self.merge.seek_first(),
            Bound::Included(key) => self.merge.seek(KeyRef::first_of(key)),
            Bound::Excluded(key) => {
                // Every version of the excluded key counts as seen.
                self.key.clone_from(key);
                self.on_key = true;
                self.merge.seek(KeyRef::first_of(key))
            }
        }
    }

    fn seek_upper(&mut self, upper: &Bound<Vec<u8>>) -> Result<(), Fault> {
        match upper {
            Bound::Unbounded => self.merge.seek_last(),
            Bound::Excluded(key) => self.merge.seek_before(KeyRef::first_of(key)),
            Bound::Included(key) => {
                // The oldest version of the key, or the first before it.
                self.merge.seek(KeyRef::last_of(key))?;
                let on_oldest = self.merge.entry().is_some_and(|entry| entry.key() == KeyRef::last_of(key));
                if on_oldest { Ok(()) } else { self.merge.seek_before(KeyRef::last_of(key)) }
            }
        }
    }

    /// Moves to the next key that has a visible value; its key is then in `key`.
    fn forward(&mut self) -> Result<Option<Value>, Fault> {
        while let Some(entry) = self.merge.entry() {
            let superseded = self.on_key && entry.user_key == &*self.key;
            if superseded || entry.seq > self.at {
                self.merge.next()?;
                continue;
            }
            self.key.clear();
            self.key.extend_from_slice(entry.user_key);
            self.on_key = true;
            let value = value_of(&self.merge, entry.kind);
            self.merge.next()?;
            if value.is_some() {
                return Ok(value);
            }
        }
        Ok(None)
    }

    /// Moves to the key before that has a visible value; its key is then in `key`.
    fn backward(&mut self) -> Result<Option<Value>, Fault> {
        while let Some(entry) = self.merge.entry() {
            self.key.clear();
            self.key.extend_from_slice(entry.user_key);
            // Versions come oldest first: the last one that is visible counts.
            let mut newest = None;
            while let Some(entry) = self.merge.entry()
                && entry.user_key == &*self.key
            {
                if entry.seq <= self.at {
                    newest = value_of(&self.merge, entry.kind);
                }
                self.merge.prev()?;
            }
            if newest.is_some() {
                return Ok(newest);
            }
        }
        Ok(None)
    }
}

/// The value the merge stands on, unless it is a tombstone.
fn value_of<P: Parts>(merge: &Merge<Source<P>>, kind: ValueKind) -> Option<Value> {
    match kind {
        ValueKind::Delete => None,
        ValueKind::Put => match merge.entry() {
            // Copying a few bytes is cheaper than counting a reference to their block.
            Some(entry) if entry.value.len() <= Value::INLINE_BYTES => Some(Value::copy_of(entry.value)),
            _ => merge.value().map(Value::sharing),
        },
    }
}

/// The tables of a run that may hold keys in the bounds, so that no other is opened.
fn within<P: Parts>(run: &OpenRun<P>, lower: &Bound<Vec<u8>>, upper: &Bound<Vec<u8>>) -> Option<OpenRun<P>> {
    let from = match lower {
        Bound::Unbounded => 0,
        Bound::Included(key) => run.partition_point(|table| *table.meta.largest < **key),
        Bound::Excluded(key) => run.partition_point(|table| *table.meta.largest <= **key),
    };
    let to = match upper {
        Bound::Unbounded => run.len(),
        Bound::Included(key) => run.partition_point(|table| *table.meta.smallest <= **key),
        Bound::Excluded(key) => run.partition_point(|table| *table.meta.smallest < **key),
    };
    match run.get(from..to)? {
        [] => None,
        all if all.len() == run.len() => Some(Arc::clone(run)),
        some => Some(some.into()),
    }
}
