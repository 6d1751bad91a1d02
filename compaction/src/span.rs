//! Ranges of user keys, and places in the order of age: what the strategies reckon with.

use std::sync::Arc;

use lsmkit_base::{Run, TableMeta, Tree};

use crate::{Busy, JobKind};

/// A range of user keys, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span<'a> {
    pub(crate) smallest: &'a [u8],
    pub(crate) largest: &'a [u8],
}

impl<'a> Span<'a> {
    pub(crate) fn of(table: &'a TableMeta) -> Span<'a> {
        Span { smallest: &table.smallest, largest: &table.largest }
    }

    /// The least span that holds both.
    pub(crate) fn join(self, other: Span<'a>) -> Span<'a> {
        Span { smallest: self.smallest.min(other.smallest), largest: self.largest.max(other.largest) }
    }

    /// The least span that holds every table, or `None` for no table.
    pub(crate) fn hull(tables: impl IntoIterator<Item = &'a Arc<TableMeta>>) -> Option<Span<'a>> {
        tables.into_iter().map(|table| Span::of(table)).reduce(Span::join)
    }

    pub(crate) fn overlaps(self, other: Span<'_>) -> bool {
        self.smallest <= other.largest && other.smallest <= self.largest
    }
}

/// All runs with their level, from the newest to the oldest: the order in which a read looks.
pub(crate) fn by_age(tree: &Tree) -> impl DoubleEndedIterator<Item = (u32, &Run)> + Clone {
    tree.levels
        .iter()
        .enumerate()
        .flat_map(|(level, runs)| runs.runs.iter().map(move |run| (level as u32, run)))
}

/// The runs of `level`, newest first; none where the tree ends above it.
pub(crate) fn runs(tree: &Tree, level: u32) -> &[Run] {
    tree.levels.get(level as usize).map_or(&[], |level| &level.runs)
}

/// The newest runs of `level`, while a job holds some of the older ones; none where none is held.
pub(crate) fn newest_idle<'a>(tree: &'a Tree, busy: &Busy, level: u32) -> &'a [Run] {
    let runs = runs(tree, level);
    let idle = runs.iter().take_while(|run| busy.is_run_idle(run)).count();
    if idle < runs.len() { &runs[..idle] } else { &[] }
}

/// Whether no two tables share a user key.
pub(crate) fn disjoint(tables: &[&Arc<TableMeta>]) -> bool {
    let mut spans: Vec<Span<'_>> = tables.iter().map(|table| Span::of(table)).collect();
    spans.sort_unstable_by_key(|span| span.smallest);
    spans.windows(2).all(|pair| !pair[0].overlaps(pair[1]))
}

/// How tables that go to a place where nothing overlaps them become one run: as they are, where they don't overlap each other.
pub(crate) fn kind_of(tables: &[&Arc<TableMeta>]) -> JobKind {
    if disjoint(tables) { JobKind::Move } else { JobKind::Merge }
}

pub(crate) fn size_bytes<'a>(tables: impl IntoIterator<Item = &'a Arc<TableMeta>>) -> u64 {
    tables.into_iter().map(|table| table.size_bytes).sum()
}

/// Whether `table` is better rewritten than moved to `level`: it is rich in tombstones, and there is
/// nothing deeper that they hide, so a rewrite drops them, while a move would keep them for as long
/// as nothing else is written to their range.
pub(crate) fn sheds_tombstones(tree: &Tree, table: &TableMeta, level: u32) -> bool {
    // A quarter: below it a rewrite costs more than three times the bytes that it may free.
    table.tombstones > 0
        && table.tombstones.saturating_mul(4) >= table.entries
        && is_bottom(tree, table, level)
}

/// Whether what was written at `written` is `age_max` seconds old `now`; not where one of the three is not known.
pub(crate) fn is_old(written: u64, now: u64, age_max: u64) -> bool {
    written > 0 && age_max > 0 && written.saturating_add(age_max) <= now
}

/// Whether nothing deeper than `level` overlaps `table`, so that a tombstone of it, come there, hides nothing more.
pub(crate) fn is_bottom(tree: &Tree, table: &TableMeta, level: u32) -> bool {
    let deeper = tree.levels.iter().skip(level as usize + 1).flat_map(|level| &level.runs);
    deeper.into_iter().all(|run| run.overlapping(&table.smallest, &table.largest).is_empty())
}
