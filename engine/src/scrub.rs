//! Reads all tables again and again, slowly, so that damage is found while there is still a backup.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use lsmkit_base::{KeyspaceId, TableId};
use lsmkit_sstable::Tables;

use crate::Parts;
use crate::health::lock;
use crate::store::Store;

/// How long a store is let alone at least after a round.
const REST: Duration = Duration::from_secs(1);

/// What background scrubbing ([`Options::scrub_rate`](crate::Options::scrub_rate)) has done and found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Scrub {
    /// How many times it has come to the end of all tables.
    pub rounds: u64,
    /// How many tables it has read.
    pub tables: u64,
    /// Their bytes.
    pub read_bytes: u64,
    /// The tables that are damaged and still in use, by file, with what is wrong.
    pub damaged: BTreeMap<PathBuf, String>,
}

/// How far scrubbing has come.
#[derive(Debug, Default)]
pub(crate) struct Scrubbing {
    so_far: Mutex<Scrub>,
}

impl Scrubbing {
    pub(crate) fn so_far(&self) -> Scrub {
        lock(&self.so_far).clone()
    }
}

impl<P: Parts> Store<P> {
    /// Scrubs at `rate` bytes a second until the store is stopped.
    pub(crate) fn scrub_until_stopped(&self, rate: u64) {
        let mut last = None;
        // What this round has found. What earlier ones have found stays until then, for the table may have gone since.
        let mut found = BTreeMap::new();
        loop {
            let time = match self.scrub_table_after(last, &mut found) {
                Some((place, read_bytes)) => {
                    last = Some(place);
                    Duration::try_from_secs_f64(read_bytes as f64 / rate.max(1) as f64)
                        .unwrap_or(Duration::MAX)
                }
                None => {
                    last = None;
                    let mut so_far = lock(&self.scrubbing.so_far);
                    so_far.rounds += 1;
                    so_far.damaged = std::mem::take(&mut found);
                    REST
                }
            };
            if self.signals.sleep(time).is_break() {
                return;
            }
        }
    }

    /// Reads the table that comes next in the order of keyspaces and numbers; where and how large it was, if there was one.
    fn scrub_table_after(
        &self,
        last: Option<(KeyspaceId, TableId)>,
        found: &mut BTreeMap<PathBuf, String>,
    ) -> Option<((KeyspaceId, TableId), u64)> {
        let keyspaces = self.keyspaces.load_full();
        let from = last.map_or(KeyspaceId::default(), |(keyspace, _)| keyspace);
        for (&id, keyspace) in keyspaces.range(from..) {
            // Holding the version keeps its files.
            let state = keyspace.state_owned();
            let is_next = |table: &TableId| last.is_none_or(|last| (id, *table) > last);
            let tables = state.version.tables().map(|table| &table.meta);
            let Some(meta) = tables.filter(|meta| is_next(&meta.id)).min_by_key(|meta| meta.id) else {
                continue;
            };
            let verified = Tables::verify(&*keyspace.tables, meta);
            let mut so_far = lock(&self.scrubbing.so_far);
            so_far.tables += 1;
            so_far.read_bytes += meta.size_bytes;
            if let Err(fault) = verified {
                found.insert(fault.path().to_path_buf(), fault.to_string());
                so_far.damaged.insert(fault.path().to_path_buf(), fault.to_string());
            }
            return Some(((id, meta.id), meta.size_bytes));
        }
        None
    }
}
