//! Where in a tree new tables go, and how many bits of filter they deserve there.

use lsmkit_base::{RunId, TableMeta, Tree, Written};
use lsmkit_compaction::Job;
use lsmkit_sstable::TablePlace;

/// Of a flush of so many entries, now.
pub(crate) fn of_flush(tree: &Tree, entries: u64, now: u64) -> TablePlace {
    let others = runs(tree, |_| true).map(|(_, entries)| entries);
    TablePlace {
        level: 0,
        more_filter_bits: lsmkit_bloom::bits_beside(entries, others),
        written: Written::at(now),
    }
}

/// Of what a job writes. Its run is taken to hold all that goes into the job, though some may be forgotten.
pub(crate) fn of_merge(tree: &Tree, job: &Job) -> TablePlace {
    let is_input = |table: &TableMeta| job.inputs.contains(&table.id);
    let inputs = || tree.tables().filter(|table| is_input(table));
    let merged: u64 = inputs().map(|table| table.entries).sum();
    let written = inputs().map(|table| table.written).fold(Written::default(), Written::join);
    let stay = || runs(tree, |table| !is_input(table));
    let is_own = |place: &(u32, RunId)| *place == (job.level, job.run);
    let own = merged + stay().filter(|(place, _)| is_own(place)).map(|(_, entries)| entries).sum::<u64>();
    let others = stay().filter(|(place, _)| !is_own(place)).map(|(_, entries)| entries);
    TablePlace { level: job.level, more_filter_bits: lsmkit_bloom::bits_beside(own, others), written }
}

/// The runs of all levels, and how many entries are in those of their tables that count.
fn runs(tree: &Tree, counts: impl Fn(&TableMeta) -> bool) -> impl Iterator<Item = ((u32, RunId), u64)> {
    let levels = (0..).zip(&tree.levels);
    levels.flat_map(|(level, runs)| runs.runs.iter().map(move |run| (level, run))).map(move |(level, run)| {
        let entries = run.tables.iter().filter(|table| counts(table)).map(|table| table.entries).sum();
        ((level, run.id), entries)
    })
}
