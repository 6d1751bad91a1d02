//! The entries that a reader sees, one at a time and in place.

use std::ops::Bound;

use lsmkit_base::{Cursor, Fault, KeyRef, SeqNo, ValueKind};
use lsmkit_compaction::Merge;
use lsmkit_memtable::Memtable;
use lsmkit_sstable::Reading;

use crate::range::Bounds;
use crate::source::{RunCursor, Source};
use crate::state::ReadState;
use crate::{Parts, Value};

/// A place among the keys of a range that have a value at one moment, movable in both directions.
///
/// Merges all versions of all keys, and stands on the newest one of a key that is visible, unless that is a tombstone. As of any
/// [`Cursor`]: after a failed move it is off the end, and moves repeat the fault until the next seek.
pub(crate) struct Walk<P: Parts> {
    merge: Merge<Source<P>>,
    /// Beyond them nothing is looked for: what was deleted there is not gone through.
    bounds: Bounds,
    at: SeqNo,
    stand: Stand,
    /// The key that is shown, or that was left last.
    key: Vec<u8>,
    /// The value that is shown, where the merge has gone past it.
    value: Option<Value>,
}

/// Where the walk stands, and where its merge does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stand {
    /// Off the end, or where a fault has left it.
    Off,
    /// Beyond its bounds, wherever the merge stands.
    Beyond,
    /// On the entry that the merge stands on, having come forward.
    OnMerge,
    /// On the entry that the merge stands on, having come backward, and before it is another key.
    OnMergeBackward,
    /// On `key`, before all of which the merge stands: versions come oldest first in this direction, and the last of them counts.
    BehindMerge,
}

impl<P: Parts> Walk<P> {
    /// Over what is in `state` within `bounds`, as it was at `at`; off the end.
    pub(crate) fn new(state: &ReadState<P>, bounds: Bounds, at: SeqNo) -> Walk<P> {
        let memtables = std::iter::once(&state.active).chain(&state.frozen);
        let memtables =
            memtables.filter(|slot| !slot.table.is_empty()).map(|slot| Source::Memtable(slot.table.cursor()));
        let runs = state.version.runs.iter().filter_map(|run| run.within(&bounds));
        let runs = runs.map(|run| Source::Run(RunCursor::new(run, Reading::Scan)));
        Walk {
            merge: Merge::new(memtables.chain(runs).collect()),
            bounds,
            at,
            stand: Stand::Off,
            key: Vec::new(),
            value: None,
        }
    }

    pub(crate) fn sources(&self) -> &[Source<P>] {
        self.merge.children()
    }

    pub(crate) fn seek_first(&mut self) -> Result<(), Fault> {
        self.stand_off();
        match &self.bounds.lower {
            Bound::Unbounded => self.merge.seek_first()?,
            Bound::Included(key) => self.merge.seek(KeyRef::first_of(key))?,
            Bound::Excluded(key) => {
                self.key.clear();
                self.key.extend_from_slice(key);
                return self.turn_forward();
            }
        }
        self.settle_forward()
    }

    pub(crate) fn seek_last(&mut self) -> Result<(), Fault> {
        self.stand_off();
        match &self.bounds.upper {
            Bound::Unbounded => self.merge.seek_last()?,
            Bound::Excluded(key) => self.merge.seek_before(KeyRef::first_of(key))?,
            Bound::Included(key) => {
                // The oldest version there can be is within as well.
                let oldest = KeyRef::last_of(key);
                self.merge.seek(oldest)?;
                if self.merge.entry().is_none_or(|entry| entry.key() != oldest) {
                    self.merge.seek_before(oldest)?;
                }
            }
        }
        self.settle_backward()
    }

    /// To the first key at or after `key`.
    pub(crate) fn seek(&mut self, key: &[u8]) -> Result<(), Fault> {
        if self.bounds.begin_after(key) {
            return self.seek_first();
        }
        self.stand_off();
        if self.bounds.end_before(key) {
            self.stand = Stand::Beyond;
            return Ok(());
        }
        self.merge.seek(KeyRef::first_of(key))?;
        self.settle_forward()
    }

    /// To the last key before `key`.
    pub(crate) fn seek_before(&mut self, key: &[u8]) -> Result<(), Fault> {
        if self.bounds.end_before(key) {
            return self.seek_last();
        }
        self.stand_off();
        if self.bounds.begin_after(key) {
            self.stand = Stand::Beyond;
            return Ok(());
        }
        self.merge.seek_before(KeyRef::first_of(key))?;
        self.settle_backward()
    }

    /// To the next key. Off the end it stays there.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<(), Fault> {
        match self.stand {
            Stand::OnMerge => {
                self.keep_key();
                self.stand = Stand::Off;
                self.merge.next()?;
                self.settle_past_key()
            }
            Stand::OnMergeBackward => {
                self.keep_key();
                self.turn_forward()
            }
            Stand::BehindMerge => self.turn_forward(),
            Stand::Off => self.stay(),
            Stand::Beyond => Ok(()),
        }
    }

    /// To the key before. Off the end it stays there.
    #[inline]
    pub(crate) fn prev(&mut self) -> Result<(), Fault> {
        match self.stand {
            Stand::OnMergeBackward => {
                self.stand = Stand::Off;
                self.merge.prev()?;
                self.settle_backward()
            }
            Stand::BehindMerge => self.settle_backward(),
            Stand::OnMerge => self.turn_backward(),
            Stand::Off => self.stay(),
            Stand::Beyond => Ok(()),
        }
    }

    /// The key and the value that it stands on.
    #[inline]
    pub(crate) fn entry(&self) -> Option<(&[u8], &[u8])> {
        match self.stand {
            Stand::OnMerge | Stand::OnMergeBackward => {
                self.merge.entry().map(|entry| (entry.user_key, entry.value))
            }
            Stand::BehindMerge => self.value.as_deref().map(|value| (&*self.key, value)),
            Stand::Off | Stand::Beyond => None,
        }
    }

    /// The value that it stands on, kept alive apart from it.
    #[inline]
    pub(crate) fn value(&self) -> Option<Value> {
        match self.stand {
            Stand::OnMerge | Stand::OnMergeBackward => value_of(&self.merge),
            Stand::BehindMerge => self.value.clone(),
            Stand::Off | Stand::Beyond => None,
        }
    }

    /// As a fault leaves it, which the merge repeats.
    #[cold]
    fn stay(&mut self) -> Result<(), Fault> {
        self.merge.next()
    }

    #[inline]
    fn stand_off(&mut self) {
        self.stand = Stand::Off;
        if self.value.is_some() {
            self.value = None;
        }
    }

    /// To the first key after `key`.
    #[cold]
    fn turn_forward(&mut self) -> Result<(), Fault> {
        self.stand_off();
        self.merge.seek(KeyRef::last_of(&self.key))?;
        self.settle_past_key()
    }

    /// To the last key before the one that the merge stands on.
    #[cold]
    fn turn_backward(&mut self) -> Result<(), Fault> {
        self.keep_key();
        self.stand = Stand::Off;
        self.merge.seek_before(KeyRef::first_of(&self.key))?;
        self.settle_backward()
    }

    #[inline]
    fn keep_key(&mut self) {
        self.key.clear();
        if let Some(entry) = self.merge.entry() {
            self.key.extend_from_slice(entry.user_key);
        }
    }

    /// Moves on to a visible value, from wherever the merge stands.
    fn settle_forward(&mut self) -> Result<(), Fault> {
        self.settle(false)
    }

    /// As [`Walk::settle_forward`], past all versions of `key`.
    #[inline]
    fn settle_past_key(&mut self) -> Result<(), Fault> {
        self.settle(true)
    }

    #[inline]
    fn settle(&mut self, mut is_past_key: bool) -> Result<(), Fault> {
        while let Some(entry) = self.merge.entry() {
            if self.bounds.end_before(entry.user_key) {
                self.stand = Stand::Beyond;
                return Ok(());
            }
            if entry.seq <= self.at && !(is_past_key && is_same(entry.user_key, &self.key)) {
                if entry.kind == ValueKind::Put {
                    self.stand = Stand::OnMerge;
                    return Ok(());
                }
                self.keep_key();
                is_past_key = true;
            }
            self.merge.next()?;
        }
        Ok(())
    }

    /// Moves back to a visible value, from wherever the merge stands.
    #[inline]
    fn settle_backward(&mut self) -> Result<(), Fault> {
        self.stand_off();
        while let Some(entry) = self.merge.entry() {
            if self.bounds.begin_after(entry.user_key) {
                self.stand = Stand::Beyond;
                return Ok(());
            }
            let is_only = entry.seq <= self.at && entry.kind == ValueKind::Put && self.merge.begins_key();
            if is_only {
                self.stand = Stand::OnMergeBackward;
                return Ok(());
            }
            if self.pass_key_backward()? {
                self.stand = Stand::BehindMerge;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Moves back past all versions of the key that the merge stands on, to the last of which it came; whether the
    /// newest visible one is a value, which is kept.
    fn pass_key_backward(&mut self) -> Result<bool, Fault> {
        self.keep_key();
        let mut version = self.merge.entry().map(|entry| (entry.seq, entry.kind));
        while let Some((seq, kind)) = version {
            if seq <= self.at {
                self.value = match kind {
                    ValueKind::Put => self.merge.value().map(Value::sharing),
                    ValueKind::Delete => None,
                };
            }
            self.merge.prev()?;
            let newer = self.merge.entry().filter(|entry| is_same(entry.user_key, &self.key));
            version = newer.map(|entry| (entry.seq, entry.kind));
        }
        Ok(self.value.is_some())
    }
}

/// Whether two keys are the same. Neighbours differ at their end, mostly.
#[inline]
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.last() == b.last() && a == b
}

/// The value the merge stands on, unless it is a tombstone.
#[inline]
fn value_of<P: Parts>(merge: &Merge<Source<P>>) -> Option<Value> {
    let entry = merge.entry()?;
    match entry.kind {
        ValueKind::Delete => None,
        // Copying a few bytes is cheaper than counting a reference to their block.
        ValueKind::Put if entry.value.len() <= Value::INLINE_BYTES => Some(Value::copy_of(entry.value)),
        ValueKind::Put => merge.value().map(Value::sharing),
    }
}
