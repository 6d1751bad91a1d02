//! The cursors that a merge of a keyspace reads from.

use lsmkit_base::{Cursor, Entry, Fault, KeyRef, Slice};
use lsmkit_memtable::Memtable;
use lsmkit_sstable::{Reading, TableReader, Tables};

use crate::Parts;
use crate::version::OpenRun;

/// One memtable or one run of tables.
pub(crate) enum Source<P: Parts> {
    Memtable(<P::Memtable as Memtable>::Cursor),
    Run(RunCursor<P>),
}

/// A run of tables as one sequence. Opens one table at a time, and none before it is needed.
pub(crate) struct RunCursor<P: Parts> {
    /// Before the run, so that it is never the last to hold a table open.
    cursor: Option<TableCursor<P>>,
    run: OpenRun<P>,
    reading: Reading,
    /// The table that `cursor` reads.
    at: usize,
    /// Whether the table's cursor was told of a seek that is to come.
    is_announced: bool,
    /// How many tables a cursor was opened on.
    opened: u64,
    /// The fault of the last move; repeated until the next seek.
    fault: Option<Fault>,
}

type TableCursor<P> = <<<P as Parts>::Tables as Tables>::Reader as TableReader>::Cursor;

/// Which end of a table to come in from.
#[derive(Clone, Copy)]
enum From {
    Front,
    Back,
}

impl<P: Parts> RunCursor<P> {
    pub(crate) fn new(run: OpenRun<P>, reading: Reading) -> RunCursor<P> {
        RunCursor { run, reading, at: 0, cursor: None, is_announced: false, opened: 0, fault: None }
    }

    /// A cursor on the table `index`: the one there is, where that is its table.
    fn open(&mut self, index: usize) -> &mut TableCursor<P> {
        if self.at != index {
            self.cursor = None;
            self.at = index;
        }
        let (run, reading, opened) = (&self.run, self.reading, &mut self.opened);
        self.cursor.get_or_insert_with(|| {
            *opened += 1;
            run[index].reader().cursor(reading)
        })
    }

    /// How many tables were opened so far; one that was left and come back to counts again.
    pub(crate) fn opened(&self) -> u64 {
        self.opened
    }

    /// Leaves tables that have no entry where the cursor stands for their neighbours.
    fn settle(&mut self, from: From) -> Result<(), Fault> {
        while self.cursor.as_ref().is_some_and(|cursor| cursor.entry().is_none()) {
            let next = match from {
                From::Front => self.at.checked_add(1).filter(|next| *next < self.run.len()),
                From::Back => self.at.checked_sub(1),
            };
            let Some(next) = next else {
                self.cursor = None;
                return Ok(());
            };
            let cursor = self.open(next);
            match from {
                From::Front => cursor.seek_first()?,
                From::Back => cursor.seek_last()?,
            }
        }
        Ok(())
    }

    /// Makes a fault stick.
    fn guard(&mut self, moved: Result<(), Fault>) -> Result<(), Fault> {
        if let Err(fault) = &moved {
            self.cursor = None;
            self.fault = Some(fault.clone());
        }
        moved
    }

    fn enter(
        &mut self,
        index: Option<usize>,
        from: From,
        at: impl FnOnce(&mut TableCursor<P>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.fault = None;
        self.is_announced = false;
        let Some(index) = index.filter(|index| *index < self.run.len()) else {
            self.cursor = None;
            return Ok(());
        };
        let moved = at(self.open(index)).and_then(|()| self.settle(from));
        self.guard(moved)
    }

    fn step(&mut self, from: From) -> Result<(), Fault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let Some(cursor) = &mut self.cursor else { return Ok(()) };
        let moved = match from {
            From::Front => cursor.next(),
            From::Back => cursor.prev(),
        };
        let moved = moved.and_then(|()| self.settle(from));
        self.guard(moved)
    }
}

impl<P: Parts> Cursor for RunCursor<P> {
    fn seek_first(&mut self) -> Result<(), Fault> {
        self.enter(Some(0), From::Front, Cursor::seek_first)
    }

    fn seek_last(&mut self) -> Result<(), Fault> {
        self.enter(self.run.len().checked_sub(1), From::Back, Cursor::seek_last)
    }

    fn seek(&mut self, target: KeyRef<'_>) -> Result<(), Fault> {
        // The first table that does not end before the key; if all its versions of the key come
        // before the target, the next table follows.
        let index = self.run.ended_before(target.user_key);
        self.enter(Some(index), From::Front, |cursor| cursor.seek(target))
    }

    fn seek_before(&mut self, target: KeyRef<'_>) -> Result<(), Fault> {
        // The last table that does not begin after the key.
        let index = self.run.begun_by(target.user_key);
        self.enter(index.checked_sub(1), From::Back, |cursor| cursor.seek_before(target))
    }

    fn announce(&mut self, target: KeyRef<'_>) {
        if self.is_announced {
            // Of the same seek.
            if let Some(cursor) = &mut self.cursor {
                cursor.announce(target);
            }
            return;
        }
        let index = self.run.ended_before(target.user_key);
        // Between two tables it depends on the direction which is meant.
        if index < self.run.begun_by(target.user_key) {
            self.open(index).announce(target);
            self.is_announced = true;
        }
    }

    #[inline]
    fn next(&mut self) -> Result<(), Fault> {
        self.step(From::Front)
    }

    #[inline]
    fn prev(&mut self) -> Result<(), Fault> {
        self.step(From::Back)
    }

    #[inline]
    fn entry(&self) -> Option<Entry<'_>> {
        self.cursor.as_ref()?.entry()
    }

    #[inline]
    fn begins_key(&self) -> bool {
        self.cursor.as_ref().is_some_and(Cursor::begins_key)
    }

    #[inline]
    fn value(&self) -> Option<Slice> {
        self.cursor.as_ref()?.value()
    }
}

impl<P: Parts> Cursor for Source<P> {
    fn seek_first(&mut self) -> Result<(), Fault> {
        match self {
            Source::Memtable(cursor) => cursor.seek_first(),
            Source::Run(cursor) => cursor.seek_first(),
        }
    }

    fn seek_last(&mut self) -> Result<(), Fault> {
        match self {
            Source::Memtable(cursor) => cursor.seek_last(),
            Source::Run(cursor) => cursor.seek_last(),
        }
    }

    fn seek(&mut self, target: KeyRef<'_>) -> Result<(), Fault> {
        match self {
            Source::Memtable(cursor) => cursor.seek(target),
            Source::Run(cursor) => cursor.seek(target),
        }
    }

    fn seek_before(&mut self, target: KeyRef<'_>) -> Result<(), Fault> {
        match self {
            Source::Memtable(cursor) => cursor.seek_before(target),
            Source::Run(cursor) => cursor.seek_before(target),
        }
    }

    fn announce(&mut self, target: KeyRef<'_>) {
        match self {
            Source::Memtable(cursor) => cursor.announce(target),
            Source::Run(cursor) => cursor.announce(target),
        }
    }

    #[inline]
    fn next(&mut self) -> Result<(), Fault> {
        match self {
            Source::Memtable(cursor) => cursor.next(),
            Source::Run(cursor) => cursor.next(),
        }
    }

    #[inline]
    fn prev(&mut self) -> Result<(), Fault> {
        match self {
            Source::Memtable(cursor) => cursor.prev(),
            Source::Run(cursor) => cursor.prev(),
        }
    }

    #[inline]
    fn entry(&self) -> Option<Entry<'_>> {
        match self {
            Source::Memtable(cursor) => cursor.entry(),
            Source::Run(cursor) => cursor.entry(),
        }
    }

    #[inline]
    fn begins_key(&self) -> bool {
        match self {
            Source::Memtable(cursor) => cursor.begins_key(),
            Source::Run(cursor) => cursor.begins_key(),
        }
    }

    #[inline]
    fn value(&self) -> Option<Slice> {
        match self {
            Source::Memtable(cursor) => cursor.value(),
            Source::Run(cursor) => cursor.value(),
        }
    }
}
