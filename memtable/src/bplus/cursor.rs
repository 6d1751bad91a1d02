//! A place in a B+-tree.

use std::fmt;
use std::sync::Arc;

use lsmkit_base::{Cursor, Entry, Fault, KeyRef};

use super::node::{Goal, SLOTS, Who};
use super::record::Record;
use super::{BPlusTree, Place, Side};

/// A place in a [`BPlusTree`], which it keeps alive.
///
/// It takes in a leaf at a time, sorted; entries inserted there afterwards appear once it seeks. Moves take
/// no lock and never fail.
pub struct BPlusTreeCursor {
    tree: Arc<BPlusTree>,
    /// The entries of the leaf as they were when the cursor came to it, in order.
    entries: [Option<Record<'static>>; SLOTS],
    len: usize,
    /// Which of them the cursor stands on; `len` off the end.
    at: usize,
    /// Where the leaf begins, unless it is the first.
    low: Option<Record<'static>>,
    /// Where the next leaf begins, unless it is the last.
    high: Option<Record<'static>>,
}

impl BPlusTreeCursor {
    pub(super) fn new(tree: Arc<BPlusTree>) -> BPlusTreeCursor {
        BPlusTreeCursor { tree, entries: [None; SLOTS], len: 0, at: 0, low: None, high: None }
    }

    /// Takes in a leaf.
    fn enter(&mut self, place: Place) {
        (self.low, self.high) = (place.low, place.high);
        self.len = 0;
        for slot in place.leaf.in_order(Who::Reader).slots() {
            self.entries[self.len] = Some(place.leaf.entry(slot));
            self.len += 1;
        }
        // What a split has moved to the next leaf is shown there.
        while let (Some(high), Some(last)) =
            (self.high, self.len.checked_sub(1).and_then(|at| self.entries[at]))
            && last.key() >= high.key()
        {
            self.len -= 1;
        }
    }

    /// Stands off the end.
    fn leave(&mut self) {
        (self.len, self.at) = (0, 0);
    }

    fn standing(&self) -> Option<Record<'static>> {
        self.entries[..self.len].get(self.at).copied().flatten()
    }

    /// How many of the entries taken in come before `target`.
    fn rank(&self, target: KeyRef<'_>) -> usize {
        self.entries[..self.len].partition_point(|entry| entry.is_some_and(|entry| entry.key() < target))
    }

    /// Stands at the first entry of a leaf, or of those behind it.
    fn stand_at_first_of(&mut self, place: Place) {
        self.enter(place);
        self.at = 0;
        if self.len == 0 {
            self.go_forward();
        }
    }

    /// Stands at the last entry of a leaf, or of those before it.
    fn stand_at_last_of(&mut self, place: Place) {
        self.enter(place);
        self.at = self.len.saturating_sub(1);
        if self.len == 0 {
            self.go_backward();
        }
    }

    /// Stands at the first entry of the leaves behind this one.
    fn go_forward(&mut self) {
        // A leaf can be empty for a moment: where all it holds belongs to the next.
        match self.high {
            Some(high) => self.stand_at_first_of(self.place(Goal::At(high.key()))),
            None => self.leave(),
        }
    }

    /// Stands at the last entry of the leaves before this one.
    fn go_backward(&mut self) {
        match self.low {
            Some(low) => self.stand_at_last_of(self.place(Goal::Before(low.key()))),
            None => self.leave(),
        }
    }

    /// Where a search for a place beside one in the tree ends.
    fn place(&self, goal: Goal<'_>) -> Place {
        self.tree.root(Who::Reader).expect("because there is an entry").place(goal)
    }
}

impl Cursor for BPlusTreeCursor {
    fn seek_first(&mut self) -> Result<(), Fault> {
        match self.tree.root(Who::Reader).map(|root| root.place(Goal::First)) {
            Some(first) => self.stand_at_first_of(first),
            None => self.leave(),
        }
        Ok(())
    }

    fn seek_last(&mut self) -> Result<(), Fault> {
        match self.tree.root(Who::Reader).map(|root| root.place(Goal::Last)) {
            Some(last) => self.stand_at_last_of(last),
            None => self.leave(),
        }
        Ok(())
    }

    fn seek(&mut self, target: KeyRef<'_>) -> Result<(), Fault> {
        let Some(root) = self.tree.root(Who::Reader) else {
            self.leave();
            return Ok(());
        };
        // By one and the same root: the next may have an entry before the target.
        match root.side(target.user_key) {
            Side::Before => {
                let first = root.place(Goal::First);
                self.stand_at_first_of(first);
            }
            Side::Beyond => self.leave(),
            Side::Within => {
                let place = root.place(Goal::At(target));
                self.enter(place);
                self.at = self.rank(target);
                if self.at == self.len {
                    self.go_forward();
                }
            }
        }
        Ok(())
    }

    fn seek_before(&mut self, target: KeyRef<'_>) -> Result<(), Fault> {
        let Some(root) = self.tree.root(Who::Reader) else {
            self.leave();
            return Ok(());
        };
        match root.side(target.user_key) {
            Side::Before => self.leave(),
            Side::Beyond => {
                let last = root.place(Goal::Last);
                self.stand_at_last_of(last);
            }
            Side::Within => {
                let place = root.place(Goal::Before(target));
                self.enter(place);
                match self.rank(target).checked_sub(1) {
                    Some(at) => self.at = at,
                    None => self.go_backward(),
                }
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Result<(), Fault> {
        if self.at + 1 < self.len {
            self.at += 1;
            // They lie where they were inserted: all over the arena.
            if let Some(Some(later)) = self.entries[..self.len].get(self.at + AHEAD) {
                later.prefetch();
            }
        } else if self.len > 0 {
            self.go_forward();
        }
        Ok(())
    }

    fn prev(&mut self) -> Result<(), Fault> {
        if self.at > 0 {
            self.at -= 1;
            if let Some(Some(later)) = self.at.checked_sub(AHEAD).map(|at| self.entries[at]) {
                later.prefetch();
            }
        } else if self.len > 0 {
            self.go_backward();
        }
        Ok(())
    }

    fn entry(&self) -> Option<Entry<'_>> {
        self.standing().map(Record::entry)
    }
}

/// How many entries before it is shown an entry is asked for.
const AHEAD: usize = 4;

impl fmt::Debug for BPlusTreeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BPlusTreeCursor").field("at", &self.entry()).finish_non_exhaustive()
    }
}
