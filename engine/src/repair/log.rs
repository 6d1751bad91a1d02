//! Reads the log as opening would, and where that fails, all of it that is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lsmkit_base::{Fault, KeyspaceId, SegmentId, SeqNo, Tree};
use lsmkit_manifest::State;
use lsmkit_memtable::{BPlusTree, Memtable};
use lsmkit_wal::{Log, LogHole, salvage};

use super::{DamagedLog, Kept, Names, SavedLog, Work, is_damage, is_needed};
use crate::Error;
use crate::batch::Writes;
use crate::flush::write_level0;
use crate::state::Slot;

impl Work {
    /// `None` where the log can be replayed; else what was read of it, in tables.
    pub(super) fn read_log(&mut self, state: &State) -> Result<Option<SavedLog>, Error> {
        let Err(fault) = self.replay(state) else { return Ok(None) };
        if !is_damage(&fault) {
            return Err(fault.into());
        }
        let names = state.keyspaces.iter().map(|(id, known)| (*id, known.name.clone())).collect();
        let is_needed = |keyspace, segment, seq| is_needed(state, keyspace, segment, seq);
        let saved =
            self.save_log(Some(state.log_floor()), &names, state.last_seq, &is_needed, Some(fault))?;
        Ok(Some(saved))
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
            for (keyspace, seq) in writes {
                last = seq;
                if keyspace >= state.next_keyspace {
                    return Err(malformed(&format!("keyspace {} was never made", keyspace.0)));
                }
            }
            Ok(())
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
    ///
    /// `fault` is what is wrong with the log, if that is known; else it is what is found.
    pub(super) fn save_log(
        &mut self,
        from: Option<SegmentId>,
        names: &Names,
        last_seq: SeqNo,
        is_needed: &dyn Fn(KeyspaceId, SegmentId, SeqNo) -> bool,
        fault: Option<Fault>,
    ) -> Result<SavedLog, Error> {
        let (fs, dir) = (Arc::clone(self.site.fs()), self.site.dir().to_path_buf());
        let mut saving = Saving { work: self, names, memtables: BTreeMap::new(), tables: Vec::new() };
        let (mut last, mut writes_lost_max) = (SeqNo::ZERO, 0);
        let (mut records_refused, mut refused) = (0, BTreeSet::new());
        let salvaged = salvage(&*fs, &dir, from, &mut |segment, record| {
            let Ok(writes) = checked(record, last) else {
                records_refused += 1;
                refused.insert(segment);
                return Ok(());
            };
            let first = Writes::decode(record).map_or(SeqNo::ZERO, |writes| writes.seq());
            if last > SeqNo::ZERO {
                writes_lost_max += first.value() - last.value() - 1;
            }
            last = writes.last().map_or(last, |(_, seq)| *seq);
            saving.take(segment, record, is_needed)
        })?;
        saving.flush()?;
        let tables = saving.tables;
        let torn = |hole: &LogHole| Fault::corrupt(&hole.path, hole.offset, hole.what.clone());
        // What a crash leaves at the end of a log is no damage.
        let is_damaged = salvaged.holes.iter().any(|hole| hole.has_more_behind) || records_refused > 0;
        let fault = fault.or_else(|| salvaged.holes.first().filter(|_| is_damaged).map(torn));
        self.report.log = fault.map(|fault| DamagedLog {
            fault,
            records_kept: salvaged.records - records_refused,
            writes_lost_max: if salvaged.holes.is_empty() { 0 } else { writes_lost_max },
            holes: salvaged.holes,
            records_refused,
            refused,
        });
        Ok(SavedLog { tables, next: salvaged.next, last_seq: last_seq.max(last) })
    }
}

/// The keyspace and the number of each write of a record; what is wrong with it where it is no record, or does not come after `last`.
fn checked(record: &[u8], last: SeqNo) -> Result<Vec<(KeyspaceId, SeqNo)>, crate::batch::Malformed> {
    let writes = Writes::decode(record)?;
    if writes.seq() <= last {
        return Err(format!("sequence number {} after {last}", writes.seq()).into());
    }
    writes.map(|write| write.map(|write| (write.keyspace, write.entry.seq))).collect()
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
            self.tables.push((id, Arc::new(meta)));
        }
        Ok(())
    }
}
