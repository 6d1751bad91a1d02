//! A place in a skiplist.

use std::fmt;
use std::sync::Arc;

use lsmkit_base::{Cursor, Entry, Fault, KeyRef};

use super::SkipList;
use super::node::Node;

/// A place in a [`SkipList`], which it keeps alive.
///
/// Moves take no lock and never fail. Entries inserted after the cursor was made appear as the
/// cursor comes by.
pub struct SkipListCursor {
    list: Arc<SkipList>,
    at: Option<Node<'static>>,
}

impl SkipListCursor {
    pub(super) fn new(list: Arc<SkipList>) -> SkipListCursor {
        SkipListCursor { list, at: None }
    }
}

impl Cursor for SkipListCursor {
    fn seek_first(&mut self) -> Result<(), Fault> {
        self.at = self.list.first_entry();
        Ok(())
    }

    fn seek_last(&mut self) -> Result<(), Fault> {
        self.at = self.list.last_entry();
        Ok(())
    }

    fn seek(&mut self, target: KeyRef<'_>) -> Result<(), Fault> {
        self.at = self.list.first_from(target);
        Ok(())
    }

    fn seek_before(&mut self, target: KeyRef<'_>) -> Result<(), Fault> {
        self.at = self.list.last_before(target);
        Ok(())
    }

    fn next(&mut self) -> Result<(), Fault> {
        self.at = self.at.and_then(|node| node.next(0));
        // It arrives while the caller looks at this one.
        if let Some(next) = self.at.and_then(|node| node.next(0)) {
            next.prefetch();
        }
        Ok(())
    }

    fn prev(&mut self) -> Result<(), Fault> {
        self.at = self.at.and_then(|node| self.list.before(node));
        if let Some(next) = self.at.and_then(Node::prev) {
            next.prefetch();
        }
        Ok(())
    }

    fn entry(&self) -> Option<Entry<'_>> {
        self.at.map(Node::entry)
    }
}

impl fmt::Debug for SkipListCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SkipListCursor").field("at", &self.entry()).finish_non_exhaustive()
    }
}
