//! From a frozen memtable to a table of level 0.

use std::sync::Arc;
use std::time::Instant;

use lsmkit_base::{Cursor, Fault, KeyspaceId, RunId, SeqNo, TableChange, TableId, TableMeta, Tree};
use lsmkit_compaction::Retain;
use lsmkit_manifest::{Change, Edit, Manifest};
use lsmkit_memtable::Memtable;
use lsmkit_sstable::{TableWriter, Tables};
use lsmkit_wal::{Log, LogHandle, Removal};

use crate::Parts;
use crate::health::lock;
use crate::options::Background;
use crate::place;
use crate::state::Slot;
use crate::store::Store;
use crate::tree::KeyspaceTree;
use crate::version::Table;

impl<P: Parts> Store<P> {
    /// Flushes the memtable that holds the oldest records; false where none is frozen.
    ///
    /// What is durable between the lines: first the table's content, then its name, then, in one
    /// edit, that it is in the tree and that the log before the next memtable is not needed. Only
    /// then may the log shrink. A crash before the edit leaves a table that nobody names and the
    /// log whole.
    pub(crate) fn step_flush(&self) -> Result<bool, Fault> {
        let _one_at_a_time = lock(&self.flushing);
        if self.health.is_sealed() {
            return Ok(false);
        }
        let oldest = self
            .keyspaces
            .load()
            .values()
            .filter_map(|keyspace| Some((Arc::clone(keyspace), keyspace.oldest_frozen()?)))
            .min_by_key(|(_, slot)| slot.log_floor);
        let Some((keyspace, slot)) = oldest else { return Ok(false) };
        let begun = self.counters.begin();
        let id = self.new_table();
        let tree = Arc::clone(&keyspace.state().version.tree);
        let now = self.options.now();
        let meta = write_level0(&*keyspace.writing(), id, &slot.table, &self.snapshots.list(), &tree, now)?;
        let size_bytes = meta.size_bytes;
        match self.install_flush(&keyspace, &slot, meta) {
            Ok(()) => {}
            Err(Uninstalled::NotNamed(fault)) => {
                self.bin.put(Arc::clone(&keyspace.tables), id, None);
                return Err(fault);
            }
            Err(Uninstalled::Named(fault)) => {
                self.health.fail(&fault);
                return Err(fault);
            }
        }
        *lock(&self.flushed_at) = Instant::now();
        self.counters.note_flush(&keyspace.work, begun, size_bytes);
        // Not waited for: writers wait for flushes.
        self.throttle.take(size_bytes, keyspace.state().version.pressure);
        // Small ones tell how long a sync takes, and without threads a run must not depend on the time.
        let memtable_bytes = slot.table.size_bytes();
        if memtable_bytes >= self.options.memtable_bytes / 4 && self.options.background == Background::Threads
        {
            self.pace.note_flush(memtable_bytes, begun.elapsed());
        }
        Ok(true)
    }

    fn install_flush(
        &self,
        keyspace: &Arc<KeyspaceTree<P>>,
        slot: &Arc<Slot<P::Memtable>>,
        meta: TableMeta,
    ) -> Result<(), Uninstalled> {
        let meta = Arc::new(meta);
        self.sync_log_of_others(keyspace).map_err(Uninstalled::NotNamed)?;
        keyspace.tables.sync_names().map_err(Uninstalled::NotNamed)?;
        let table = Table::open(&keyspace.tables, &self.bin, &meta).map_err(Uninstalled::NotNamed)?;
        {
            let mut manifest = lock(&self.manifest);
            if keyspace.is_dropped() {
                table.retire();
                return Ok(());
            }
            let changes = [add_to_level0(&meta)];
            let mut edit = self.log_floors(keyspace.id, slot);
            edit.changes.extend(self.numbers(meta.seq_max));
            edit.changes.push(Change::Flushed { keyspace: keyspace.id, seq: meta.seq_max });
            edit.changes.extend(table_changes(keyspace.id, &changes));
            let edit = only_rising(edit, manifest.state());
            manifest.commit(&edit).map_err(|fault| Uninstalled::from_commit(&manifest, fault))?;
            let state = keyspace.state_owned();
            let version = state
                .version
                .apply(&changes, &[table], &keyspace.picker)
                .expect("because the manifest has taken the same change to the same tree");
            keyspace.install_flush(slot, version);
        }
        let keep = lock(&self.manifest).state().log_floor();
        let discarded = {
            let mut writer = lock(&self.writer);
            let discarded = writer.log.discard_before(keep);
            self.note_log_size(&writer);
            discarded
        };
        // No longer under the lock: to remove a file that has been written takes milliseconds.
        if discarded.and_then(Removal::run).is_err() {
            // Left over, and no harm: it is before the floor.
            self.counters.note_left_over();
        }
        Ok(())
    }
}

impl<P: Parts> Store<P> {
    /// Makes the log durable where other keyspaces still depend on it.
    ///
    /// The table makes this keyspace's writes durable. Were a power failure to lose an older write
    /// to another keyspace from the log, or the other half of a batch, what is left would be no
    /// prefix of what was acknowledged.
    fn sync_log_of_others(&self, keyspace: &KeyspaceTree<P>) -> Result<(), Fault> {
        let keyspaces = self.keyspaces.load();
        let depends = |other: &KeyspaceTree<P>| {
            let state = other.state();
            !state.frozen.is_empty() || !state.active.table.is_empty()
        };
        if keyspaces.values().any(|other| other.id != keyspace.id && depends(other)) {
            // Also after a full disk: what a failed sync has left on disk is not known.
            self.log.sync().inspect_err(|fault| self.health.fail(fault))?;
        }
        Ok(())
    }
}

/// Why a new table is not in use.
#[derive(Debug)]
pub(crate) enum Uninstalled {
    /// And no edit on disk names it, now or after a crash: its file may be removed.
    NotNamed(Fault),
    /// But an edit on disk may name it: its file has to stay.
    Named(Fault),
}

impl Uninstalled {
    pub(crate) fn from_commit(manifest: &Manifest, fault: Fault) -> Uninstalled {
        match manifest.failed() {
            Some(_) => Uninstalled::Named(fault),
            None => Uninstalled::NotNamed(fault),
        }
    }
}

/// Writes a memtable to a table of `tree`, without the versions that no snapshot sees.
pub(crate) fn write_level0<T: Tables, M: Memtable>(
    tables: &T,
    id: TableId,
    memtable: &Arc<M>,
    snapshots: &[SeqNo],
    tree: &Tree,
    now: u64,
) -> Result<TableMeta, Fault> {
    let mut writer = tables.create(id, place::of_flush(tree, memtable.len() as u64, now))?;
    let mut retain = Retain::new(snapshots);
    let mut cursor = memtable.cursor();
    cursor.seek_first()?;
    while let Some(entry) = cursor.entry() {
        // Tombstones stay: what they hide is in the tree below.
        if retain.keep(entry, |_| true) {
            writer.add(entry)?;
        }
        cursor.next()?;
    }
    writer.finish()
}

/// A flushed table begins a run of its own; table numbers rise, so it is the newest.
pub(crate) fn add_to_level0(meta: &Arc<TableMeta>) -> TableChange {
    TableChange::Add { level: 0, run: RunId(meta.id.0), table: Arc::clone(meta) }
}

pub(crate) fn table_changes(
    keyspace: KeyspaceId,
    changes: &[TableChange],
) -> impl Iterator<Item = Change> + '_ {
    changes.iter().map(move |change| Change::Table { keyspace, change: change.clone() })
}

/// Without the numbers that the manifest knows already, and those it is ahead of: flushes of
/// several keyspaces may end in another order than their sequence numbers.
pub(crate) fn only_rising(edit: Edit, state: &lsmkit_manifest::State) -> Edit {
    let changes = edit.changes.into_iter().filter(|change| match change {
        Change::NextTable(id) => *id > state.next_table,
        Change::LastSeq(seq) => *seq > state.last_seq,
        Change::Flushed { keyspace, seq } => {
            state.keyspaces.get(keyspace).is_some_and(|known| *seq > known.flushed)
        }
        Change::LogFloor { keyspace, segment } => {
            state.keyspaces.get(keyspace).is_some_and(|known| *segment > known.log_floor)
        }
        _ => true,
    });
    Edit { changes: changes.collect() }
}
