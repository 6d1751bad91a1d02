//! One keyspace's share of a store.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use lsmkit_base::{KeyspaceId, SegmentId, SeqNo};
use lsmkit_compaction::{Busy, CompactionPicker};
use lsmkit_memtable::Memtable;

use crate::health::lock;
use crate::memory::Memory;
use crate::state::{ReadState, Slot};
use crate::stats::WorkByLevel;
use crate::version::Version;
use crate::{Error, Parts};

/// The memtables and tables of one keyspace, and the parts that make them.
pub(crate) struct KeyspaceTree<P: Parts> {
    pub(crate) id: KeyspaceId,
    pub(crate) name: Arc<str>,
    /// Opens and removes tables.
    pub(crate) tables: Arc<P::Tables>,
    /// Creates tables, by the settings that were given last.
    writing: ArcSwap<P::Tables>,
    pub(crate) picker: P::Picker,
    state: ArcSwap<ReadState<P>>,
    /// What the memtables of all keyspaces take.
    memory: Arc<Memory>,
    /// Held while a new state is made from the old, so that no change is lost.
    changing: Mutex<()>,
    /// What running compactions hold.
    pub(crate) busy: Mutex<Busy>,
    /// What flushes and compactions did since the store was opened.
    pub(crate) work: WorkByLevel,
    dropped: AtomicBool,
    /// Whether compaction may bring the pressure down: set when the tree changes, cleared when the
    /// picker finds nothing to do. Writers wait only for what can happen.
    can_compact: AtomicBool,
}

impl<P: Parts> KeyspaceTree<P> {
    pub(crate) fn new(
        id: KeyspaceId,
        name: &str,
        tables: Arc<P::Tables>,
        picker: P::Picker,
        state: ReadState<P>,
        memory: &Arc<Memory>,
    ) -> Arc<KeyspaceTree<P>> {
        Arc::new(KeyspaceTree {
            id,
            name: name.into(),
            writing: ArcSwap::new(Arc::clone(&tables)),
            tables,
            picker,
            state: ArcSwap::from_pointee(state),
            memory: Arc::clone(memory),
            changing: Mutex::new(()),
            busy: Mutex::default(),
            work: WorkByLevel::default(),
            dropped: AtomicBool::new(false),
            can_compact: AtomicBool::new(true),
        })
    }

    /// What creates tables now.
    pub(crate) fn writing(&self) -> Arc<P::Tables> {
        self.writing.load_full()
    }

    /// From now on tables are created by `tables`.
    pub(crate) fn write_by(&self, tables: P::Tables) {
        self.writing.store(Arc::new(tables));
    }

    /// What readers read now. Takes no lock.
    #[inline]
    pub(crate) fn state(&self) -> arc_swap::Guard<Arc<ReadState<P>>> {
        self.state.load()
    }

    /// The state, kept for longer than a look.
    pub(crate) fn state_owned(&self) -> Arc<ReadState<P>> {
        self.state.load_full()
    }

    /// The memory of the memtable that takes writes.
    pub(crate) fn active_bytes(&self) -> usize {
        self.state().active.table.size_bytes()
    }

    fn change(&self, change: impl FnOnce(&ReadState<P>) -> ReadState<P>) {
        let _alone = lock(&self.changing);
        let next = change(&self.state.load());
        self.state.store(Arc::new(next));
        self.can_compact.store(true, Ordering::Release);
    }

    /// Freezes the active memtable and begins a new one, whose records start in `segment`.
    pub(crate) fn freeze(&self, budget_bytes: usize, segment: SegmentId) {
        self.change(|old| {
            let mut frozen = Vec::with_capacity(old.frozen.len() + 1);
            frozen.push(Arc::clone(&old.active));
            frozen.extend(old.frozen.iter().cloned());
            let active = old.active.successor(budget_bytes, segment);
            self.memory.note_frozen(old.active.table.size_bytes());
            ReadState { active, frozen, version: Arc::clone(&old.version) }
        });
    }

    /// Replaces a frozen memtable, once it is in a table, by the version with that table.
    pub(crate) fn install_flush(&self, flushed: &Arc<Slot<P::Memtable>>, version: Version<P>) {
        self.change(|old| {
            let is_flushed = |slot: &&Arc<Slot<P::Memtable>>| Arc::ptr_eq(slot, flushed);
            self.note_gone(old.frozen.iter().filter(is_flushed));
            let frozen = old.frozen.iter().filter(|slot| !is_flushed(slot)).cloned().collect();
            ReadState { active: Arc::clone(&old.active), frozen, version: Arc::new(version) }
        });
    }

    /// Frozen memtables don't grow, so what is given back is what was taken.
    fn note_gone<'a>(&self, frozen: impl Iterator<Item = &'a Arc<Slot<P::Memtable>>>) {
        self.memory.note_flushed(frozen.map(|slot| slot.table.size_bytes()).sum());
    }

    /// Puts another version in place. The caller holds the manifest, so versions come in its order.
    pub(crate) fn install_version(&self, version: Version<P>) {
        self.change(|old| ReadState {
            active: Arc::clone(&old.active),
            frozen: old.frozen.clone(),
            version: Arc::new(version),
        });
    }

    pub(crate) fn check_live(&self) -> Result<(), Error> {
        if self.is_dropped() { Err(Error::NoKeyspace(self.name.to_string())) } else { Ok(()) }
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }

    pub(crate) fn set_dropped(&self, dropped: bool) {
        self.dropped.store(dropped, Ordering::Release);
    }

    /// Lets go of all memtables and tables, and of the tables' files.
    pub(crate) fn clear(&self) {
        self.change(|old| {
            old.version.tables().for_each(|table| table.retire());
            self.note_gone(old.frozen.iter());
            let active = Slot::new(0, old.active.log_floor);
            ReadState { active, frozen: Vec::new(), version: Arc::new(Version::empty()) }
        });
    }

    pub(crate) fn note_nothing_to_compact(&self) {
        self.can_compact.store(false, Ordering::Release);
    }

    pub(crate) fn can_compact(&self) -> bool {
        self.can_compact.load(Ordering::Acquire)
    }

    /// Whether nothing is left to flush or to compact `now`, with snapshots of `oldest_read` or later.
    pub(crate) fn is_settled(&self, oldest_read: Option<SeqNo>, now: u64) -> bool {
        let state = self.state();
        let mut busy = lock(&self.busy);
        busy.oldest_read = oldest_read;
        busy.at_leisure = true;
        busy.now = now;
        state.frozen.is_empty()
            && busy.tables.is_empty()
            && self.picker.pick(&state.version.tree, &busy).is_none()
    }

    /// The frozen memtable that is to be flushed next.
    pub(crate) fn oldest_frozen(&self) -> Option<Arc<Slot<P::Memtable>>> {
        self.state().frozen.last().cloned()
    }
}

impl<P: Parts> fmt::Debug for KeyspaceTree<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyspaceTree").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}
