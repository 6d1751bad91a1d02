//! Iterating over what a user sees: the newest visible value of each key.

use std::fmt;
use std::sync::Arc;

use lsmkit_base::{Fault, SeqNo};

use crate::range::Bounds;
use crate::source::Source;
use crate::state::ReadState;
use crate::walk::Walk;
use crate::{Error, KeyRange, Parts, Standard, Value};

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
    bounds: Bounds,
    /// Stands on what was given last.
    front: Option<Walk<P>>,
    back: Option<Walk<P>>,
    done: bool,
    /// Why it could not begin; given once, instead of an entry.
    refused: Option<Error>,
}

impl<P: Parts> Scan<P> {
    pub(crate) fn new(state: Arc<ReadState<P>>, at: SeqNo, range: impl KeyRange) -> Scan<P> {
        let bounds = Bounds::of(range);
        let done = bounds.is_empty();
        Scan { state, at, bounds, front: None, back: None, done, refused: None }
    }

    /// A scan that gives `error` and ends.
    pub(crate) fn refused(state: Arc<ReadState<P>>, error: Error) -> Scan<P> {
        Scan { done: true, refused: Some(error), ..Scan::new(state, SeqNo::ZERO, ..) }
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
        for walk in [&self.front, &self.back].into_iter().flatten() {
            let (mut memtables, mut runs) = (0, 0);
            for source in walk.sources() {
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

    fn walk(&self) -> Walk<P> {
        Walk::new(&self.state, self.bounds.clone(), self.at)
    }

    /// Moves the front on; whether it is at an entry of the scan.
    #[inline]
    fn advance_front(&mut self) -> Result<bool, Fault> {
        match &mut self.front {
            Some(front) => front.next()?,
            None => self.begin_front()?,
        }
        let Some((key, _)) = self.front.as_ref().and_then(Walk::entry) else { return Ok(false) };
        let met = self.back.as_ref().and_then(Walk::entry).is_some_and(|(back, _)| key >= back);
        Ok(!met)
    }

    /// Moves the back on; whether it is at an entry of the scan.
    #[inline]
    fn advance_back(&mut self) -> Result<bool, Fault> {
        match &mut self.back {
            Some(back) => back.prev()?,
            None => self.begin_back()?,
        }
        let Some((key, _)) = self.back.as_ref().and_then(Walk::entry) else { return Ok(false) };
        let met = self.front.as_ref().and_then(Walk::entry).is_some_and(|(front, _)| key <= front);
        Ok(!met)
    }

    #[cold]
    fn begin_front(&mut self) -> Result<(), Fault> {
        let mut walk = self.walk();
        walk.seek_first()?;
        self.front = Some(walk);
        Ok(())
    }

    #[cold]
    fn begin_back(&mut self) -> Result<(), Fault> {
        let mut walk = self.walk();
        walk.seek_last()?;
        self.back = Some(walk);
        Ok(())
    }

    #[cold]
    fn end<T>(&mut self, moved: Result<bool, Fault>) -> Option<Result<T, Error>> {
        self.done = true;
        moved.err().map(|fault| Err(fault.into()))
    }
}

/// The key and the value that a walk stands on, apart from it.
#[inline]
fn taken<P: Parts>(walk: Option<&Walk<P>>) -> Option<Result<(Value, Value), Error>> {
    let walk = walk?;
    let (key, _) = walk.entry()?;
    Some(Ok((Value::copy_of(key), walk.value()?)))
}

impl<P: Parts> Iterator for Scan<P> {
    type Item = Result<(Value, Value), Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return self.refused.take().map(Err);
        }
        match self.advance_front() {
            Ok(true) => taken(self.front.as_ref()),
            moved => self.end(moved),
        }
    }
}

impl<P: Parts> DoubleEndedIterator for Scan<P> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.done {
            return self.refused.take().map(Err);
        }
        match self.advance_back() {
            Ok(true) => taken(self.back.as_ref()),
            moved => self.end(moved),
        }
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
