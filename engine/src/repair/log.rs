//! Reads the log as opening would, and where that fails, all of it that is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lsmkit_base::{Fault, KeyspaceId, SegmentId, SeqNo, Tree};
use lsmkit_manifest::State;
use lsmkit_memtable::{BPlusTree, Memtable};
use lsmkit_wal::{Log, LogHole, salvage};

use super::{DamagedLog, KEYSPACES_MAX, Kept, Names, SavedLog, Work};
use crate::Error;
use crate::batch::{Malformed, Writes};
use crate::flush::write_level0;
use crate::state::Slot;

/// What a first look at a log shows.
#[derive(Debug, Default)]
pub(super) struct LogLook {
    /// Why it can't be replayed; `None` where it can.
    pub(super) fault: Option<Fault>,
    /// The keyspaces that are written to.
    keyspaces: BTreeSet<KeyspaceId>,
    /// The first number of each segment.
    firsts: BTreeMap<SegmentId, SeqNo>,
    is_missing_a_segment: bool,
}

impl LogLook {
    /// Whether it can be the log of a store with this manifest, damage apart.
    pub(super) fn is_of(&self, state: &State) -> bool {
        let is_known = |keyspace: &KeyspaceId| *keyspace < state.next_keyspace;
        !self.is_missing_a_segment && self.keyspaces.iter().all(is_known)
    }

    /// A number that the records of a segment are below, as those of later ones are not.
    ///
    /// What is not was left out by a recovery, which gave its numbers to others.
    fn end_of(&self, segment: SegmentId) -> SeqNo {
        let later = self.firsts.range(SegmentId(segment.0.saturating_add(1))..);
        later.map(|(_, first)| *first).min().unwrap_or(SeqNo::MAX)
    }
}

impl Work {
    /// Looks at all of the log that is there, from where the manifest says, if there is one.
    pub(super) fn look_at_log(&self, state: Option<&State>) -> Result<LogLook, Error> {
        let mut look = LogLook::default();
        if let Some(state) = state {
            match self.replay(state) {
                Ok(()) => return Ok(look),
                Err(fault) if fault.is_damage() => look.fault = Some(fault),
                Err(fault) => return Err(fault.into()),
            }
        }
        let (fs, dir) = (self.site.fs(), self.site.dir());
        let salvaged = salvage(&**fs, dir, state.map(State::log_floor), &mut |segment, record| {
            if let Ok(writes) = checked(record, SeqNo::ZERO) {
                look.firsts.entry(segment).or_insert(writes.first);
                look.keyspaces.extend(writes.keyspaces);
            }
            Ok(())
        })?;
        look.is_missing_a_segment = salvaged.holes.iter().any(|hole| hole.is_missing);
        Ok(look)
    }

    /// Reads the log as opening does, and keeps nothing.
    fn replay(&self, state: &State) -> Result<(), Fault> {
        let mut log = self.site.log()?;
        let mut last = SeqNo::ZERO;
        log.replay(state.log_floor(), &mut |segment, record| {
            let malformed = |what: &str| {
                Fault::corrupt(self.site.dir(), 0, format!("a whole record in log segment {segment}: {what}"))
            };
            let writes = checked(record, last).map_err(|what| malformed(&what))?;
            last = writes.last;
            match writes.keyspaces.last().filter(|keyspace| **keyspace >= state.next_keyspace) {
                Some(keyspace) => Err(malformed(&format!("keyspace {} was never made", keyspace.0))),
                None => Ok(()),
            }
        })?;
        match state.log_end {
            Some(end) if log.position() < end => {
                let what = format!("the log ends at position {}; it was closed at {end}", log.position());
                Err(Fault::corrupt(self.site.dir(), 0, what))
            }
            _ => Ok(()),
        }
    }

    /// Puts the whole records of the log from segment `from` on, or else from the first that is there, as far as they are needed, in tables.
    pub(super) fn save_log(
        &mut self,
        from: Option<SegmentId>,
        names: &Names,
        is_needed: &dyn Fn(KeyspaceId, SegmentId, SeqNo) -> bool,
    ) -> Result<SavedLog, Error> {
        let (fs, dir) = (Arc::clone(self.site.fs()), self.site.dir().to_path_buf());
        let look = std::mem::take(&mut self.log);
        let mut saving = Saving { work: self, names, memtables: BTreeMap::new(), tables: Vec::new() };
        let (mut last, mut records_kept, mut writes_lost_max) = (SeqNo::ZERO, 0, 0);
        let (mut records_refused, mut refused) = (0, BTreeSet::new());
        let salvaged = salvage(&*fs, &dir, from, &mut |segment, record| {
            let writes = match checked(record, last) {
                Ok(writes) if writes.first < look.end_of(segment) => writes,
                _ => {
                    records_refused += 1;
                    refused.insert(segment);
                    return Ok(());
                }
            };
            if last > SeqNo::ZERO {
                writes_lost_max += writes.first.value() - last.value() - 1;
            }
            last = writes.last;
            records_kept += 1;
            saving.take(segment, record, is_needed)
        })?;
        saving.flush()?;
        let tables = saving.tables;
        let torn = |hole: &LogHole| Fault::corrupt(&hole.path, hole.offset, hole.what.clone());
        // What a crash leaves at the end of a log is no damage.
        let damage = salvaged.holes.iter().find(|hole| hole.has_more_behind).map(torn);
        let wrong = || Fault::corrupt(&dir, 0, "the log holds whole records that no store has written there");
        let fault = look.fault.or(damage).or_else(|| (records_refused > 0).then(wrong));
        let nothing_is_missing = salvaged.holes.is_empty() && records_refused == 0;
        self.report.log = fault.map(|fault| DamagedLog {
            fault,
            records_kept,
            writes_lost_max: if nothing_is_missing { 0 } else { writes_lost_max },
            holes: salvaged.holes,
            records_refused,
            refused,
        });
        self.seen.extend(look.keyspaces);
        Ok(SavedLog { tables, next: salvaged.next, last_seq: last })
    }
}

/// What the writes of a record have in common.
struct Checked {
    first: SeqNo,
    last: SeqNo,
    keyspaces: BTreeSet<KeyspaceId>,
}

/// Decodes all of a record; what is wrong with it where it is none, or does not come after `last`.
fn checked(record: &[u8], last: SeqNo) -> Result<Checked, Malformed> {
    let writes = Writes::decode(record)?;
    let first = writes.seq();
    if first <= last {
        return Err(format!("sequence number {first} after {last}").into());
    }
    let mut checked = Checked { first, last, keyspaces: BTreeSet::new() };
    for write in writes {
        let write = write?;
        if write.keyspace.0 >= KEYSPACES_MAX {
            return Err(format!("a write to keyspace {}, which no store comes to", write.keyspace.0).into());
        }
        checked.last = write.entry.seq;
        checked.keyspaces.insert(write.keyspace);
    }
    Ok(checked)
}

/// The way of records into tables.
struct Saving<'a> {
    work: &'a mut Work,
    names: &'a Names,
    memtables: BTreeMap<KeyspaceId, Arc<Slot<BPlusTree>>>,
    tables: Vec<Kept>,
}

impl Saving<'_> {
    fn take(
        &mut self,
        segment: SegmentId,
        record: &[u8],
        is_needed: &dyn Fn(KeyspaceId, SegmentId, SeqNo) -> bool,
    ) -> Result<(), Fault> {
        if self.work.is_dry_run {
            return Ok(());
        }
        let budget_bytes = self.work.site.options().memtable_bytes;
        let mut is_full = false;
        // It has been decoded once.
        for write in Writes::decode(record).into_iter().flatten().flatten() {
            if is_needed(write.keyspace, segment, write.entry.seq) {
                let slot =
                    self.memtables.entry(write.keyspace).or_insert_with(|| Slot::new(budget_bytes, segment));
                slot.table.insert(write.entry);
                is_full |= slot.table.size_bytes() >= budget_bytes;
            }
        }
        if is_full { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Fault> {
        let now = self.work.site.options().now();
        for (id, slot) in std::mem::take(&mut self.memtables) {
            let name = self.names.get(&id).map_or("", String::as_str);
            let tables = self.work.tables(id, name);
            let table = self.work.new_table();
            let meta = write_level0(&*tables, table, &slot.table, &[], &Tree::default(), now)?;
            self.work.written.push(&tables, &meta);
            self.tables.push((id, Arc::new(meta)));
        }
        Ok(())
    }
}
