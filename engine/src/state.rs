//! What a reader needs, as one value that is swapped whole.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lsmkit_base::{Entry, Fault, Lent, SegmentId, SeqNo, ValueKind};
use lsmkit_memtable::Memtable;
use lsmkit_sstable::{Found, Lookup, TableReader, Tables};

use crate::version::Version;
use crate::{Parts, Value};

/// A memtable and what the log holds of it.
#[derive(Debug)]
pub(crate) struct Slot<M> {
    pub(crate) table: Arc<M>,
    /// No record of the memtable is in an earlier segment.
    pub(crate) log_floor: SegmentId,
    /// Whether it holds writes that are not in the log.
    unlogged: AtomicBool,
}

impl<M: Memtable> Slot<M> {
    pub(crate) fn new(budget_bytes: usize, log_floor: SegmentId) -> Arc<Slot<M>> {
        let table = Arc::new(M::with_budget(budget_bytes));
        Arc::new(Slot { table, log_floor, unlogged: AtomicBool::new(false) })
    }

    /// An empty one to take this one's place.
    pub(crate) fn successor(&self, budget_bytes: usize, log_floor: SegmentId) -> Arc<Slot<M>> {
        let table = Arc::new(self.table.successor(budget_bytes));
        Arc::new(Slot { table, log_floor, unlogged: AtomicBool::new(false) })
    }

    pub(crate) fn note_unlogged(&self) {
        self.unlogged.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_unlogged(&self) -> bool {
        self.unlogged.load(Ordering::Relaxed)
    }
}

/// The memtables and tables of a keyspace at one moment.
///
/// A reader first takes the state, then the sequence number up to which it reads. In this order
/// everything up to that number that the state lacks is in a memtable begun after the state was
/// taken, and so newer than all that the state holds: what the reader sees is the store as it was
/// at some moment during the read. In the other order a compaction between the two could forget a
/// version that the older number still needs.
pub(crate) struct ReadState<P: Parts> {
    /// Takes writes.
    pub(crate) active: Arc<Slot<P::Memtable>>,
    /// Wait to be flushed; newest first.
    pub(crate) frozen: Vec<Arc<Slot<P::Memtable>>>,
    pub(crate) version: Arc<Version<P>>,
}

impl<P: Parts> ReadState<P> {
    /// Shows the newest value of `key` at or before `at`: memtables first, then tables, newest first.
    /// Whatever is found first is the newest, a tombstone included.
    pub(crate) fn get<T>(
        &self,
        tables: &P::Tables,
        key: &[u8],
        at: SeqNo,
        show: impl FnOnce(Lent<'_>) -> T,
    ) -> Result<Option<T>, Fault> {
        let mut show = Some(show);
        let mut show = |kind: ValueKind, value: Lent<'_>| match kind {
            ValueKind::Put => show.take().map(|show| show(value)),
            ValueKind::Delete => None,
        };
        for slot in std::iter::once(&self.active).chain(&self.frozen) {
            let show = |entry: Entry<'_>| show(entry.kind, entry.value.into());
            if let Some(shown) = slot.table.get(key, at, show) {
                return Ok(shown);
            }
        }
        let runs = &self.version.runs;
        if runs.is_empty() {
            return Ok(None);
        }
        let hash = tables.hash(key);
        if runs.len() > 1 {
            runs.iter().filter_map(|run| run.table_of(key)).for_each(|table| table.reader().announce(hash));
        }
        for table in runs.iter().filter_map(|run| run.table_of(key)) {
            let show = |found: Found<'_>| show(found.kind, found.value);
            if let Some(shown) = table.reader().get(key, hash, at, show)? {
                return Ok(shown);
            }
        }
        Ok(None)
    }

    /// The newest values of `keys` at or before `at`, in their order; as [`ReadState::get`], for all of them at once.
    pub(crate) fn get_many<K: AsRef<[u8]>>(
        &self,
        tables: &P::Tables,
        keys: &[K],
        at: SeqNo,
    ) -> Result<Vec<Option<Value>>, Fault> {
        let mut values = vec![None; keys.len()];
        // In the order of the keys neighbours are in the same tables and blocks.
        let keys: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
        let mut places: Vec<usize> = (0..keys.len()).collect();
        places.sort_unstable_by_key(|place| keys[*place]);
        let kept = |kind: ValueKind, value: Lent<'_>| (kind == ValueKind::Put).then(|| Value::keeping(value));
        for slot in std::iter::once(&self.active).chain(&self.frozen).filter(|slot| !slot.table.is_empty()) {
            places.retain(|&place| {
                let show = |entry: Entry<'_>| kept(entry.kind, entry.value.into());
                let shown = slot.table.get(keys[place], at, show);
                shown.map(|value| values[place] = value).is_none()
            });
        }

        let lookup = |place: &usize| Lookup { user_key: keys[*place], hash: tables.hash(keys[*place]) };
        let mut lookups: Vec<Lookup<'_>> = places.iter().map(lookup).collect();
        let mut is_found = Vec::new();
        for run in &self.version.runs {
            is_found.clear();
            is_found.resize(lookups.len(), false);
            let mut from = 0;
            while let Some(first) = lookups.get(from) {
                let Some(table) = run.table_of(first.user_key) else {
                    from += 1;
                    continue;
                };
                let largest = &*table.meta.largest;
                let to = from + lookups[from..].partition_point(|lookup| lookup.user_key <= largest);
                table.reader().get_many(&lookups[from..to], at, |place, found| {
                    values[places[from + place]] = kept(found.kind, found.value);
                    is_found[from + place] = true;
                })?;
                from = to;
            }
            retain_open(&mut lookups, &is_found);
            retain_open(&mut places, &is_found);
        }
        Ok(values)
    }

    /// The first log segment that holds records of this keyspace which are in no table, leaving
    /// aside `flushed`, which has just become one; `current` where there are none.
    pub(crate) fn log_floor(&self, current: SegmentId, flushed: Option<&Slot<P::Memtable>>) -> SegmentId {
        let is_flushed =
            |slot: &Slot<P::Memtable>| flushed.is_some_and(|flushed| std::ptr::eq(slot, flushed));
        let oldest = self.frozen.iter().rev().find(|slot| !is_flushed(slot));
        let oldest = oldest.or(Some(&self.active).filter(|slot| !slot.table.is_empty()));
        oldest.map_or(current, |slot| slot.log_floor)
    }

    /// The bytes of all memtables.
    pub(crate) fn memtable_bytes(&self) -> usize {
        std::iter::once(&self.active).chain(&self.frozen).map(|slot| slot.table.size_bytes()).sum()
    }
}

/// Leaves those of `items` for which nothing was found.
fn retain_open<T>(items: &mut Vec<T>, is_found: &[bool]) {
    let mut is_found = is_found.iter();
    items.retain(|_| is_found.next() == Some(&false));
}

impl<P: Parts> fmt::Debug for ReadState<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadState")
            .field("frozen", &self.frozen.len())
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
