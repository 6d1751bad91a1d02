//! Whether a tree may hold older versions of a key than those a job merges.

use std::sync::Arc;

use lsmkit_base::{TableMeta, Tree};

use crate::Job;
use crate::span::by_age;

/// The tables that may hold older versions of a job's keys than the job's inputs do, as
/// [`crate::Retain::keep`] has to know before it forgets a tombstone.
///
/// They are told from the tree the job was picked from, and stay right while the job runs: by the law
/// of order ([`Job::check`]) no other job brings versions below this job's that were above it, and
/// a job that takes older versions deeper does not make new ones.
#[derive(Clone, Debug)]
pub struct OlderBelow {
    runs: Vec<Older>,
}

#[derive(Clone, Debug)]
struct Older {
    /// Disjoint, by key: a part of one run.
    tables: Vec<Arc<TableMeta>>,
    /// The first that does not end before the last key asked for.
    at: usize,
}

impl OlderBelow {
    /// What may be older than `job`'s inputs in `tree`.
    ///
    /// A table counts if it stays, shares a range with an input, and is older than that input:
    /// deeper, or in an older run of the same level. Where it stands relative to the output does not
    /// matter, so even for a job that breaks the law of order no tombstone is forgotten too early.
    pub fn new(tree: &Tree, job: &Job) -> OlderBelow {
        let mut inputs = job.inputs.clone();
        inputs.sort_unstable();
        let is_input = |table: &TableMeta| inputs.binary_search(&table.id).is_ok();

        let mut newer: Vec<&Arc<TableMeta>> = Vec::new();
        let mut runs = Vec::new();
        for (_, run) in by_age(tree) {
            let mut older: Vec<&Arc<TableMeta>> = newer
                .iter()
                .flat_map(|input| run.overlapping(&input.smallest, &input.largest))
                .filter(|table| !is_input(table))
                .collect();
            older.sort_unstable_by_key(|table| &table.smallest);
            older.dedup_by_key(|table| table.id);
            if !older.is_empty() {
                runs.push(Older { tables: older.into_iter().cloned().collect(), at: 0 });
            }
            newer.extend(run.tables.iter().filter(|table| is_input(table)));
        }
        OlderBelow { runs }
    }

    /// Whether an older version of `user_key` may exist outside the job.
    ///
    /// Fastest for keys in ascending order, right for any.
    pub fn may_hold(&mut self, user_key: &[u8]) -> bool {
        self.runs.iter_mut().any(|older| older.covers(user_key))
    }

    /// The tables that count.
    #[cfg(feature = "simulate")]
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<TableMeta>> {
        self.runs.iter().flat_map(|older| &older.tables)
    }

    /// Whether nothing older than the job's inputs exists for any of their keys.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

impl Older {
    fn covers(&mut self, user_key: &[u8]) -> bool {
        if self.at > 0 && *self.tables[self.at - 1].largest >= *user_key {
            self.at = self.tables.partition_point(|table| *table.largest < *user_key);
        }
        while self.tables.get(self.at).is_some_and(|table| *table.largest < *user_key) {
            self.at += 1;
        }
        self.tables.get(self.at).is_some_and(|table| *table.smallest <= *user_key)
    }
}
