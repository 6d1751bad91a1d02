//! The tables of a keyspace at one moment, open.

use std::collections::HashMap;
use std::fmt;
use std::ops::{Bound, Deref, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lsmkit_base::{Fault, TableChange, TableId, TableMeta, Tree, TreeError};
use lsmkit_compaction::{CompactionPicker, Pressure};
use lsmkit_sstable::{TableReader, Tables};

use crate::Parts;
use crate::cleanup::Bin;
use crate::fences::Fences;
use crate::range::Bounds;

/// An open table. When the last version, iterator or job that holds it is gone and it is obsolete,
/// it goes to the bin, open as it is: to close a file that was removed takes as long as the removal.
pub(crate) struct Table<P: Parts> {
    pub(crate) meta: Arc<TableMeta>,
    /// There until it goes to the bin.
    reader: Option<Arc<Reader<P>>>,
    tables: Arc<P::Tables>,
    bin: Arc<Bin<P>>,
    obsolete: AtomicBool,
}

pub(crate) type Reader<P> = <<P as Parts>::Tables as Tables>::Reader;

impl<P: Parts> Table<P> {
    pub(crate) fn open(
        tables: &Arc<P::Tables>,
        bin: &Arc<Bin<P>>,
        meta: &Arc<TableMeta>,
    ) -> Result<Arc<Table<P>>, Fault> {
        Ok(Arc::new(Table {
            reader: Some(Arc::new(tables.open(meta)?)),
            meta: Arc::clone(meta),
            tables: Arc::clone(tables),
            bin: Arc::clone(bin),
            obsolete: AtomicBool::new(false),
        }))
    }

    #[inline]
    pub(crate) fn reader(&self) -> &Arc<Reader<P>> {
        self.reader.as_ref().expect("because it is taken only when the table is dropped")
    }

    /// No tree on disk names the table any more: its file may go once nobody reads it.
    pub(crate) fn retire(&self) {
        self.obsolete.store(true, Ordering::Release);
    }
}

impl<P: Parts> Drop for Table<P> {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::Acquire) {
            self.bin.put(Arc::clone(&self.tables), self.meta.id, self.reader.take());
        }
    }
}

impl<P: Parts> fmt::Debug for Table<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({})", self.meta.id)
    }
}

/// Tables of one run, by key, disjoint: all, or those from one to another.
pub(crate) struct OpenRun<P: Parts> {
    all: Arc<AllTables<P>>,
    part: Range<usize>,
}

struct AllTables<P: Parts> {
    fences: Fences,
    tables: Box<[Arc<Table<P>>]>,
}

impl<P: Parts> OpenRun<P> {
    /// How many of the tables end before `key`.
    #[inline]
    pub(crate) fn ended_before(&self, key: &[u8]) -> usize {
        let ended = self.all.fences.ended_before(key, |i| &self.all.tables[i].meta.largest);
        ended.clamp(self.part.start, self.part.end) - self.part.start
    }

    /// How many of the tables begin at or before `key`.
    #[inline]
    pub(crate) fn begun_by(&self, key: &[u8]) -> usize {
        let begun = self.all.fences.begun_by(key, |i| &self.all.tables[i].meta.smallest);
        begun.clamp(self.part.start, self.part.end) - self.part.start
    }

    /// The table that holds `key`, if any does.
    #[inline]
    pub(crate) fn table_of(&self, key: &[u8]) -> Option<&Arc<Table<P>>> {
        let tables = &self.all.tables;
        let bounds = |i: usize| (&*tables[i].meta.smallest, &*tables[i].meta.largest);
        let table = self.all.fences.around(key, bounds)?;
        self.part.contains(&table).then(|| &tables[table])
    }

    /// The tables that may hold keys in the bounds, so that no other is opened; `None` where there are none.
    pub(crate) fn within(&self, bounds: &Bounds) -> Option<OpenRun<P>> {
        let mut run = self.overlapping(bounds)?;
        let lower = bounds.lower.as_ref().map(Vec::as_slice);
        let upper = bounds.upper.as_ref().map(Vec::as_slice);
        let is_empty = |i: usize| !self.all.tables[i].reader().may_hold_within(lower, upper);
        while !run.part.is_empty() && is_empty(run.part.start) {
            run.part.start += 1;
        }
        // The first of those that are left has been asked.
        while run.part.len() > 1 && is_empty(run.part.end - 1) {
            run.part.end -= 1;
        }
        (!run.part.is_empty()).then_some(run)
    }

    /// The tables whose first and last keys leave room for keys in the bounds; `None` where there are none.
    pub(crate) fn overlapping(&self, bounds: &Bounds) -> Option<OpenRun<P>> {
        let from = match &bounds.lower {
            Bound::Unbounded => 0,
            Bound::Included(key) => self.ended_before(key),
            Bound::Excluded(key) => self.partition_point(|table| *table.meta.largest <= **key),
        };
        let to = match &bounds.upper {
            Bound::Unbounded => self.len(),
            Bound::Included(key) => self.begun_by(key),
            Bound::Excluded(key) => self.partition_point(|table| *table.meta.smallest < **key),
        };
        let part = self.part.start + from..self.part.start + to;
        (!part.is_empty()).then(|| OpenRun { all: Arc::clone(&self.all), part })
    }
}

impl<P: Parts> FromIterator<Arc<Table<P>>> for OpenRun<P> {
    fn from_iter<I: IntoIterator<Item = Arc<Table<P>>>>(tables: I) -> OpenRun<P> {
        let tables: Box<[_]> = tables.into_iter().collect();
        let fences = Fences::new(tables.iter().map(|table| (&*table.meta.smallest, &*table.meta.largest)));
        OpenRun { part: 0..tables.len(), all: Arc::new(AllTables { fences, tables }) }
    }
}

impl<P: Parts> Deref for OpenRun<P> {
    type Target = [Arc<Table<P>>];
    #[inline]
    fn deref(&self) -> &[Arc<Table<P>>] {
        &self.all.tables[self.part.clone()]
    }
}

impl<P: Parts> Clone for OpenRun<P> {
    fn clone(&self) -> OpenRun<P> {
        OpenRun { all: Arc::clone(&self.all), part: self.part.clone() }
    }
}

impl<P: Parts> fmt::Debug for OpenRun<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A tree and its open tables. Never changes; a change makes another.
pub(crate) struct Version<P: Parts> {
    pub(crate) tree: Arc<Tree>,
    /// The runs of all levels in the order in which they are searched, newest first.
    pub(crate) runs: Vec<OpenRun<P>>,
    /// How far the tree is from what its strategy wants.
    pub(crate) pressure: Pressure,
}

impl<P: Parts> Version<P> {
    pub(crate) fn empty() -> Version<P> {
        Version { tree: Arc::default(), runs: Vec::new(), pressure: Pressure::default() }
    }

    /// The version of `tree`, each of its tables opened by `open`.
    pub(crate) fn open(
        tree: &Tree,
        picker: &P::Picker,
        mut open: impl FnMut(&Arc<TableMeta>) -> Result<Arc<Table<P>>, Fault>,
    ) -> Result<Version<P>, Fault> {
        let mut runs = Vec::new();
        for run in tree.levels.iter().flat_map(|level| &level.runs) {
            runs.push(run.tables.iter().map(&mut open).collect::<Result<OpenRun<P>, Fault>>()?);
        }
        Ok(Version { tree: Arc::new(tree.clone()), runs, pressure: picker.pressure(tree) })
    }

    /// The version after `changes`, with `opened` among its tables.
    pub(crate) fn apply(
        &self,
        changes: &[TableChange],
        opened: &[Arc<Table<P>>],
        picker: &P::Picker,
    ) -> Result<Version<P>, TreeError> {
        let tree = self.tree.apply(changes)?;
        let known: HashMap<TableId, &Arc<Table<P>>> =
            self.tables().chain(opened).map(|table| (table.meta.id, table)).collect();
        let mut runs = Vec::new();
        for run in tree.levels.iter().flat_map(|level| &level.runs) {
            let open = |meta: &Arc<TableMeta>| known.get(&meta.id).map(|table| Arc::clone(table));
            let tables: Option<OpenRun<P>> = run.tables.iter().map(open).collect();
            runs.push(tables.expect("because a table was in the version before or has just been opened"));
        }
        Ok(Version { pressure: picker.pressure(&tree), tree: Arc::new(tree), runs })
    }

    /// About how many bytes of the files serve keys within the bounds.
    pub(crate) fn size_bytes_within(&self, bounds: &Bounds) -> u64 {
        if bounds.is_empty() {
            return 0;
        }
        let lower = bounds.lower.as_ref().map(Vec::as_slice);
        let upper = bounds.upper.as_ref().map(Vec::as_slice);
        let within = |table: &Arc<Table<P>>| {
            table.reader().size_bytes_within(lower, upper).unwrap_or(table.meta.size_bytes)
        };
        let runs = self.runs.iter().filter_map(|run| run.overlapping(bounds));
        runs.map(|run| run.iter().map(within).sum::<u64>()).sum()
    }

    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<Table<P>>> {
        self.runs.iter().flat_map(|run| run.iter())
    }

    pub(crate) fn table(&self, id: TableId) -> Option<&Arc<Table<P>>> {
        self.tables().find(|table| table.meta.id == id)
    }
}

impl<P: Parts> fmt::Debug for Version<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Version").field("runs", &self.runs).finish_non_exhaustive()
    }
}
