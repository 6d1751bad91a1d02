//! From a job to the tables that replace its inputs.

use std::sync::Arc;

use lsmkit_base::{Cursor, Fault, SeqNo, TableChange, TableId, TableMeta, Tree};
use lsmkit_compaction::{
    BusyRange, CompactionPicker, Job, JobKind, ManualCompaction, ManualStep, Merge, OlderBelow, OutputCutter,
    Retain,
};
use lsmkit_manifest::Edit;
use lsmkit_sstable::{Reading, TablePlace, TableWriter, Tables};

use crate::flush::{Uninstalled, only_rising, table_changes};
use crate::health::{Work, lock};
use crate::place;
use crate::source::RunCursor;
use crate::stats::Input;
use crate::store::Store;
use crate::tree::KeyspaceTree;
use crate::version::{OpenRun, Table, Version};
use crate::{Error, KeyRange, Parts};

/// How many entries a merge handles between two looks at whether the store is closing: some
/// milliseconds' worth.
const ENTRIES_BETWEEN_CHECKS: u32 = 4096;

/// How a job ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    Done,
    /// The store is closing or the keyspace is gone: nothing has changed.
    GivenUp,
}

impl<P: Parts> Store<P> {
    /// Runs the most urgent compaction; false where there is none to run.
    pub(crate) fn step_compact(&self) -> Result<bool, Fault> {
        let _unless_by_hand = self.compacting.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        if self.health.is_sealed() {
            return Ok(false);
        }
        let mut keyspaces: Vec<_> = self.keyspaces.load().values().cloned().collect();
        // Those whose writers are held up soonest come first.
        keyspaces.sort_by_cached_key(|keyspace| {
            let pressure = keyspace.state().version.pressure;
            std::cmp::Reverse((pressure.runs * 100 / pressure.runs_stop.max(1), pressure.debt_bytes))
        });
        for keyspace in keyspaces {
            let picked = self.hold(&keyspace, |version, busy| keyspace.picker.pick(&version.tree, busy));
            match picked {
                Some(held) => return Ok(self.run(&held)? == Ended::Done),
                None if lock(&keyspace.busy).tables.is_empty() => keyspace.note_nothing_to_compact(),
                None => {}
            }
        }
        Ok(false)
    }

    /// Compacts a range by hand. Blocks until it is done; background compaction waits meanwhile.
    pub(crate) fn compact_by_hand(
        &self,
        keyspace: &Arc<KeyspaceTree<P>>,
        range: impl KeyRange,
    ) -> Result<(), Error> {
        let (from, to) = range.into_bounds();
        let _by_hand = self.compacting.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.health.check()?;
        let tree = Arc::clone(&keyspace.state().version.tree);
        let table_bytes = self.options.leveled.table_bytes;
        let request = ManualCompaction::new(
            &tree,
            from.as_ref().map(Vec::as_slice),
            to.as_ref().map(Vec::as_slice),
            table_bytes,
        );
        loop {
            self.health.check()?;
            keyspace.check_live()?;
            let held = self.hold(keyspace, |version, busy| match request.next(&version.tree, busy) {
                ManualStep::Run(job) => Some(job),
                // No other compaction runs, so there is nothing to wait for.
                ManualStep::Wait | ManualStep::Done => None,
            });
            let Some(held) = held else { return Ok(()) };
            let outcome = self.run(&held);
            drop(held);
            self.signals.progressed();
            match outcome {
                Ok(Ended::Done) => {}
                Ok(Ended::GivenUp) => {
                    keyspace.check_live()?;
                    return Err(Error::Closed);
                }
                Err(fault) => {
                    self.note_fault(Work::Compact, &fault);
                    return Err(fault.into());
                }
            }
        }
    }

    /// Picks a job and holds its tables, in one step.
    fn hold(
        &self,
        keyspace: &Arc<KeyspaceTree<P>>,
        pick: impl FnOnce(&Version<P>, &lsmkit_compaction::Busy) -> Option<Job>,
    ) -> Option<Held<P>> {
        let mut busy = lock(&keyspace.busy);
        busy.oldest_read = self.snapshots.oldest();
        let version = Arc::clone(&keyspace.state().version);
        let job = pick(&version, &busy)?;
        busy.hold(&version.tree, &job);
        drop(busy);
        let hold = Hold {
            keyspace: Arc::clone(keyspace),
            inputs: job.inputs.clone(),
            outputs: job.outputs(&version.tree),
        };
        Some(Held { keyspace: Arc::clone(keyspace), version, job, _hold: hold })
    }

    fn run(&self, held: &Held<P>) -> Result<Ended, Fault> {
        let begun = self.counters.begin();
        let Held { keyspace, version, job, .. } = held;
        let input = Input::of(job, &version.tree);
        let merged = match job.kind {
            JobKind::Move => Vec::new(),
            JobKind::Merge => match self.merge(held)? {
                Some(merged) => merged,
                None => return Ok(Ended::GivenUp),
            },
        };
        let written_bytes = merged.iter().map(|table| table.meta.size_bytes).sum();
        match self.install_job(held, &merged) {
            Ok(ended) => {
                match job.kind {
                    JobKind::Move => self.counters.note_move(&keyspace.work, job.level, input),
                    JobKind::Merge => {
                        self.counters.note_merge(&keyspace.work, job.level, begun, input, written_bytes);
                    }
                }
                self.signals.wake();
                Ok(ended)
            }
            Err(Uninstalled::NotNamed(fault)) => {
                merged.iter().for_each(|table| table.retire());
                Err(fault)
            }
            Err(Uninstalled::Named(fault)) => {
                self.health.fail(&fault);
                Err(fault)
            }
        }
    }

    /// Merges the inputs into new tables, durable but named by nobody yet; `None` where given up.
    fn merge(&self, held: &Held<P>) -> Result<Option<Vec<Arc<Table<P>>>>, Fault> {
        let Held { keyspace, version, job, .. } = held;
        let sources = job.sources(&version.tree).into_iter().map(|source| {
            let open = |meta: &Arc<TableMeta>| version.table(meta.id).cloned();
            let run: Option<OpenRun<P>> = source.tables.iter().map(open).collect();
            RunCursor::new(run.expect("because the version has its tree's tables open"), Reading::Rewrite)
        });
        let mut outputs = Outputs {
            store: self,
            keyspace,
            place: place::of_merge(&version.tree, job),
            writer: None,
            finished: Vec::new(),
            named: false,
        };
        let mut retain = Retain::new(&self.snapshots.list());
        let mut older = OlderBelow::new(&version.tree, job);
        let mut cutter = OutputCutter::new(&version.tree, job);
        let mut merge = Merge::new(sources.collect());
        let mut entries = 0_u32;
        merge.seek_first()?;
        while let Some(entry) = merge.entry() {
            entries = entries.wrapping_add(1);
            if entries.is_multiple_of(ENTRIES_BETWEEN_CHECKS)
                && (self.signals.is_stopping() || keyspace.is_dropped())
            {
                return Ok(None);
            }
            if retain.keep(entry, |user_key| older.may_hold(user_key)) {
                if cutter.should_cut(entry.user_key, outputs.table_bytes()) {
                    outputs.cut()?;
                }
                outputs.add(entry)?;
            }
            merge.next()?;
        }
        outputs.finish().map(Some)
    }

    /// Puts the outputs in the inputs' place, on disk and then for readers.
    fn install_job(&self, held: &Held<P>, merged: &[Arc<Table<P>>]) -> Result<Ended, Uninstalled> {
        let Held { keyspace, job, .. } = held;
        let mut manifest = lock(&self.manifest);
        if keyspace.is_dropped() {
            merged.iter().for_each(|table| table.retire());
            return Ok(Ended::GivenUp);
        }
        let version = Arc::clone(&keyspace.state().version);
        let metas: Vec<Arc<TableMeta>> = merged.iter().map(|table| Arc::clone(&table.meta)).collect();
        let changes = job.changes(&version.tree, &metas);
        let seq = metas.iter().map(|meta| meta.seq_max).max().unwrap_or(SeqNo::ZERO);
        let edit = Edit {
            changes: self.numbers(seq).into_iter().chain(table_changes(keyspace.id, &changes)).collect(),
        };
        let edit = only_rising(edit, manifest.state());
        manifest.commit(&edit).map_err(|fault| Uninstalled::from_commit(&manifest, fault))?;
        let next = version
            .apply(&changes, merged, &keyspace.picker)
            .expect("because the manifest has taken the same change to the same tree");
        for table in replaced(&changes, &next.tree) {
            version.table(table).expect("because the change applied").retire();
        }
        keyspace.install_version(next);
        Ok(Ended::Done)
    }
}

/// The tables that `changes` removes and that are not in `tree`, where a move has put them back.
fn replaced<'a>(
    changes: &'a [TableChange],
    tree: &'a Tree,
) -> impl Iterator<Item = lsmkit_base::TableId> + 'a {
    let left: std::collections::BTreeSet<_> = tree.tables().map(|table| table.id).collect();
    changes.iter().filter_map(move |change| match change {
        TableChange::Remove { table } if !left.contains(table) => Some(*table),
        _ => None,
    })
}

/// A job that runs, with the version it was picked from.
struct Held<P: Parts> {
    keyspace: Arc<KeyspaceTree<P>>,
    version: Arc<Version<P>>,
    job: Job,
    /// Last, so that the version has let go of tables that were replaced before the tree looks idle:
    /// whoever waits for that finds their files in the bin.
    _hold: Hold<P>,
}

/// Keeps other jobs away from what a job reads and writes.
struct Hold<P: Parts> {
    keyspace: Arc<KeyspaceTree<P>>,
    inputs: Vec<TableId>,
    outputs: Vec<BusyRange>,
}

impl<P: Parts> Drop for Hold<P> {
    fn drop(&mut self) {
        let mut busy = lock(&self.keyspace.busy);
        for table in &self.inputs {
            busy.tables.remove(table);
        }
        for output in &self.outputs {
            if let Some(at) = busy.outputs.iter().position(|held| held == output) {
                busy.outputs.swap_remove(at);
            }
        }
    }
}

/// The tables a merge writes. Dropped before the end, it leaves none of their files.
struct Outputs<'a, P: Parts> {
    store: &'a Store<P>,
    keyspace: &'a KeyspaceTree<P>,
    place: TablePlace,
    writer: Option<<P::Tables as Tables>::Writer>,
    finished: Vec<TableMeta>,
    named: bool,
}

impl<P: Parts> Outputs<'_, P> {
    fn table_bytes(&self) -> u64 {
        self.writer.as_ref().map_or(0, TableWriter::size_bytes)
    }

    fn add(&mut self, entry: lsmkit_base::Entry<'_>) -> Result<(), Fault> {
        match &mut self.writer {
            Some(writer) => writer.add(entry),
            None => {
                let id = self.store.new_table();
                self.writer.insert(self.keyspace.writing().create(id, self.place)?).add(entry)
            }
        }
    }

    fn cut(&mut self) -> Result<(), Fault> {
        if let Some(writer) = self.writer.take() {
            self.finished.push(writer.finish()?);
        }
        Ok(())
    }

    /// Ends the last table, makes all their names durable, and opens them.
    fn finish(mut self) -> Result<Vec<Arc<Table<P>>>, Fault> {
        self.cut()?;
        self.keyspace.tables.sync_names()?;
        let open =
            |meta: &TableMeta| Table::open(&self.keyspace.tables, &self.store.bin, &Arc::new(meta.clone()));
        let tables = self.finished.iter().map(open).collect::<Result<_, Fault>>()?;
        self.named = true;
        Ok(tables)
    }
}

impl<P: Parts> Drop for Outputs<'_, P> {
    fn drop(&mut self) {
        if !self.named {
            for meta in &self.finished {
                self.store.bin.put(Arc::clone(&self.keyspace.tables), meta.id);
            }
        }
    }
}
