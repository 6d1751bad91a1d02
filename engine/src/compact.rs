//! From a job to the tables that replace its inputs.

use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use lsmkit_base::{Entry, Fault, SeqNo, TableChange, TableMeta, Tree};
use lsmkit_compaction::{
    Busy, CompactionPicker, Job, JobKind, ManualCompaction, ManualStep, Output, Part, Rewritten, Unsound,
};
use lsmkit_manifest::Edit;
use lsmkit_sstable::{Reading, TableWriter, Tables};

use crate::cleanup::Unnamed;
use crate::flush::{Uninstalled, only_rising, table_changes};
use crate::health::{Work, lock};
use crate::jobs::{Ended, Hold, RunningJob, Stop, Taken};
use crate::options::Background;
use crate::range::Bounds;
use crate::source::RunCursor;
use crate::store::Store;
use crate::tree::KeyspaceTree;
use crate::version::{OpenRun, Table, Version};
use crate::{Error, KeyRange, Parts};

/// Work that can wait is done once nothing has been flushed for this long.
pub(crate) const LEISURE: Duration = Duration::from_secs(1);

impl<P: Parts> Store<P> {
    /// Does the most urgent part of a compaction; false where there is none to do.
    pub(crate) fn step_compact(&self) -> Result<bool, Fault> {
        let _not_closed = self.compacting.read().unwrap_or_else(PoisonError::into_inner);
        if self.health.is_sealed() {
            return Ok(false);
        }
        let next = {
            let _one_at_a_time = lock(&self.choosing);
            self.next_part(self.is_at_leisure())
        };
        match next {
            Some(part) => self.run(part).map(|()| true),
            None => {
                // With nothing begun, and nothing to begin, nothing lacks room.
                if self.jobs.running().is_empty() {
                    self.health.has_room(Work::Compact);
                }
                Ok(false)
            }
        }
    }

    /// Whether there is time for what merely makes reads and space better.
    fn is_at_leisure(&self) -> bool {
        self.options.background == Background::Steps
            || self.settling.load(Ordering::Relaxed) > 0
            || lock(&self.flushed_at).elapsed() >= LEISURE
    }

    /// What makes room at level 0 comes first, and then what has begun.
    fn next_part(&self, at_leisure: bool) -> Option<Taken<P>> {
        let threads_max = self.threads_for_one_job(at_leisure);
        let has_room = |job: &RunningJob<P>| job.parts_running() < threads_max;
        let of_level0 = |job: &RunningJob<P>| job.job.empties_level0() && has_room(job);
        if let Some(part) = self.jobs.take_part(of_level0) {
            return Some(part);
        }
        let is_part_left = self.jobs.is_part_left(has_room);
        if !self.jobs.is_by_hand() {
            let is_wanted = |job: &Job| !is_part_left || job.empties_level0();
            if let Some(part) = self.pick(at_leisure, is_wanted).and_then(|job| job.take_part()) {
                return Some(part);
            }
        }
        self.jobs.take_part(has_room)
    }

    /// How many threads may merge parts of the same job. While the store is written to, half of them leave the processors to those
    /// who write and read, unless there is another job, or somebody is held up.
    fn threads_for_one_job(&self, at_leisure: bool) -> usize {
        let threads = self.jobs.threads;
        let is_behind = |keyspace: &Arc<KeyspaceTree<P>>| {
            let pressure = keyspace.state().version.pressure;
            pressure.runs > 0 && pressure.runs >= pressure.runs_slow
        };
        let is_urgent = at_leisure || self.jobs.is_by_hand() || self.keyspaces.load().values().any(is_behind);
        if is_urgent { threads } else { threads.div_ceil(2) }
    }

    /// Begins the most urgent job of all keyspaces, if it is wanted.
    fn pick(&self, at_leisure: bool, is_wanted: impl Fn(&Job) -> bool) -> Option<Arc<RunningJob<P>>> {
        let mut keyspaces: Vec<_> = self.keyspaces.load().values().cloned().collect();
        // Those whose writers are held up soonest come first.
        keyspaces.sort_by_cached_key(|keyspace| {
            let pressure = keyspace.state().version.pressure;
            std::cmp::Reverse((pressure.runs * 100 / pressure.runs_stop.max(1), pressure.debt_bytes))
        });
        for keyspace in keyspaces {
            let mut is_refused = false;
            let picked = self.hold(&keyspace, at_leisure, |version, busy| {
                let job = keyspace.picker.pick(&version.tree, busy)?;
                is_refused = !is_wanted(&job);
                (!is_refused).then_some(job)
            });
            if picked.is_some() {
                return picked;
            }
            if !is_refused && lock(&keyspace.busy).tables.is_empty() {
                keyspace.note_nothing_to_compact();
            }
        }
        None
    }

    /// Compacts a range by hand. Blocks until it is done; background compaction waits meanwhile, or helps.
    pub(crate) fn compact_by_hand(
        &self,
        keyspace: &Arc<KeyspaceTree<P>>,
        range: impl KeyRange,
    ) -> Result<(), Error> {
        let (from, to) = range.into_bounds();
        let by_hand = self.jobs.by_hand();
        let outcome = self.compact_range(keyspace, from.as_ref(), to.as_ref());
        drop(by_hand);
        // What background work would have begun meanwhile.
        self.signals.wake();
        outcome
    }

    fn compact_range(
        &self,
        keyspace: &Arc<KeyspaceTree<P>>,
        from: Bound<&Vec<u8>>,
        to: Bound<&Vec<u8>>,
    ) -> Result<(), Error> {
        self.health.check()?;
        // What began before might end after the request is made, and count as its work.
        while let Some(job) = self.running_job_of(keyspace) {
            self.finish(&job)?;
        }
        let tree = Arc::clone(&keyspace.state().version.tree);
        let table_bytes = self.options.leveled.table_bytes;
        let request =
            ManualCompaction::new(&tree, from.map(Vec::as_slice), to.map(Vec::as_slice), table_bytes);
        self.run_by_hand(keyspace, &request)
    }

    fn running_job_of(&self, keyspace: &Arc<KeyspaceTree<P>>) -> Option<Arc<RunningJob<P>>> {
        self.jobs.running().into_iter().find(|job| Arc::ptr_eq(&job.keyspace, keyspace))
    }

    fn run_by_hand(&self, keyspace: &Arc<KeyspaceTree<P>>, request: &ManualCompaction) -> Result<(), Error> {
        loop {
            self.health.check()?;
            keyspace.check_live()?;
            let mut is_blocked = false;
            let begun = {
                let _not_closed = self.compacting.read().unwrap_or_else(PoisonError::into_inner);
                if self.health.is_sealed() {
                    return Err(Error::Closed);
                }
                self.hold(keyspace, true, |version, busy| match request.next(&version.tree, busy) {
                    ManualStep::Run(job) => Some(job),
                    ManualStep::Wait => {
                        is_blocked = true;
                        None
                    }
                    ManualStep::Done => None,
                })
            };
            match begun {
                Some(job) => {
                    if self.finish(&job)? == Ended::GivenUp {
                        keyspace.check_live()?;
                        return Err(Error::Closed);
                    }
                }
                // By another compaction by hand, or by a job that a thread was about to begin.
                None if is_blocked => match self.running_job_of(keyspace) {
                    Some(job) => {
                        self.finish(&job)?;
                    }
                    // It has just ended.
                    None => std::thread::yield_now(),
                },
                None => return Ok(()),
            }
            self.signals.progressed();
        }
    }

    /// Brings a job that runs to its end, together with whoever else has parts of it.
    fn finish(&self, job: &Arc<RunningJob<P>>) -> Result<Ended, Error> {
        while let Some(part) = job.take_part() {
            let _not_closed = self.compacting.read().unwrap_or_else(PoisonError::into_inner);
            if self.health.is_sealed() {
                break;
            }
            // The fault is the job's as well.
            let _ = self.run(part);
        }
        job.wait().map_err(|fault| {
            self.note_fault(Work::Compact, &fault);
            Error::from(fault)
        })
    }

    /// Picks a job, holds its tables, in one step, and makes it known.
    fn hold(
        &self,
        keyspace: &Arc<KeyspaceTree<P>>,
        at_leisure: bool,
        pick: impl FnOnce(&Version<P>, &Busy) -> Option<Job>,
    ) -> Option<Arc<RunningJob<P>>> {
        let mut busy = lock(&keyspace.busy);
        busy.oldest_read = self.snapshots.oldest();
        busy.at_leisure = at_leisure;
        busy.now = self.options.now();
        let version = Arc::clone(&keyspace.state().version);
        let job = pick(&version, &busy)?;
        if let Err(unsound) = self.check(&job, &version, &busy) {
            let what =
                format!("a job of the strategy {:?}, which is unsound: {unsound}", keyspace.picker.name());
            self.note_fault(Work::Compact, &Fault::unsupported(self.site.dir(), what));
            return None;
        }
        let hold = Hold::new(keyspace, &mut busy, &version, &job);
        drop(busy);
        let job = RunningJob::new(hold, version, job, self.jobs.threads);
        self.jobs.begin(&job);
        if job.parts_count() > 1 {
            // There is work for others.
            self.signals.wake();
        }
        Some(job)
    }

    /// Whether a job keeps what it must. What is dropped can't be got back; for other jobs the tests of a strategy are to tell.
    fn check(&self, job: &Job, version: &Version<P>, busy: &Busy) -> Result<(), Unsound> {
        if job.kind == JobKind::Drop || cfg!(debug_assertions) {
            job.check(&version.tree, busy)
        } else {
            Ok(())
        }
    }

    /// Merges a part of a job, and ends the job where it was the last.
    fn run(&self, mut part: Taken<P>) -> Result<(), Fault> {
        let job = Arc::clone(&part.job);
        let mut panicked = None;
        let merged = catch_unwind(AssertUnwindSafe(|| match job.job.kind {
            JobKind::Move | JobKind::Drop => Ok(Unnamed::new()),
            JobKind::Merge => self.merge(&part),
        }));
        // Whoever waits for the job is told before the panic goes on.
        let has_panicked = || Fault::io(self.site.dir(), std::io::Error::other("a compaction has panicked"));
        let merged = merged.unwrap_or_else(|panic| {
            panicked = Some(panic);
            Err(Stop::Fault(has_panicked()))
        });
        let mut ended = Ok(());
        if let Some(all) = part.end(merged) {
            let completed = catch_unwind(AssertUnwindSafe(|| match all {
                Ok(written) => self.complete(&job, written),
                Err(Stop::GivenUp) => Ok(Ended::GivenUp),
                Err(Stop::Fault(fault)) => Err(fault),
            }));
            let outcome = completed.unwrap_or_else(|panic| {
                panicked = Some(panic);
                Err(has_panicked())
            });
            self.jobs.end(&job, outcome.clone());
            // Before others look for work: the job's tables are busy as long as it is held.
            drop((part, job));
            ended = outcome.map(|_| {
                self.health.has_room(Work::Compact);
                self.signals.wake();
            });
        }
        match panicked {
            Some(panic) => resume_unwind(panic),
            None => ended,
        }
    }

    /// Merges a part of the inputs into new tables, whose content is durable and whose names are not.
    fn merge(&self, part: &Taken<P>) -> Result<Unnamed<P::Tables>, Stop> {
        let RunningJob { version, job, .. } = &*part.job;
        let bounds = bounds(part.part());
        let sources = job.sources(&version.tree).into_iter().filter_map(|source| {
            let open = |meta: &Arc<TableMeta>| version.table(meta.id).cloned();
            let run: Option<OpenRun<P>> = source.tables.iter().map(open).collect();
            let run = run.expect("because the version has its tree's tables open");
            Some(RunCursor::new(run.overlapping(&bounds)?, Reading::Rewrite))
        });
        let mut output =
            NewTables { store: self, part, writer: None, paid_bytes: 0, written: Unnamed::new() };
        let snapshots = self.snapshots.list();
        match job.rewrite(&version.tree, part.part(), sources.collect(), Some(&snapshots), &mut output)? {
            Rewritten::Whole => Ok(output.written),
            Rewritten::GivenUp => Err(Stop::GivenUp),
        }
    }

    /// Waits for as long as the rate of background work asks for after so many bytes, while `goes_on`.
    fn hold_back(&self, keyspace: &KeyspaceTree<P>, bytes: u64, goes_on: impl Fn() -> bool) {
        if self.options.background == Background::Steps {
            return;
        }
        let mut new_bytes = bytes;
        loop {
            // Anew each time: the rate may rise meanwhile.
            let left = self.throttle.take(new_bytes, keyspace.state().version.pressure);
            if left.is_zero() || !goes_on() {
                return;
            }
            new_bytes = 0;
            std::thread::sleep(left.min(Duration::from_millis(20)));
        }
    }

    /// Puts what a job has written in the place of its inputs.
    fn complete(&self, job: &RunningJob<P>, written: Vec<Unnamed<P::Tables>>) -> Result<Ended, Fault> {
        let keyspace = &job.keyspace;
        if job.job.kind == JobKind::Merge {
            keyspace.tables.sync_names()?;
        }
        let metas = written.iter().flat_map(Unnamed::metas);
        let open = |meta: &TableMeta| Table::open(&keyspace.tables, &self.bin, &Arc::new(meta.clone()));
        let merged: Vec<Arc<Table<P>>> = metas.map(open).collect::<Result<_, Fault>>()?;
        written.into_iter().for_each(|mut tables| tables.release());
        match self.install_job(job, &merged) {
            Ok(ended) => {
                if ended == Ended::Done {
                    let written: Vec<_> = merged.iter().map(|table| Arc::clone(&table.meta)).collect();
                    self.counters.note_job(job, &written);
                }
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

    /// Puts the outputs in the inputs' place, on disk and then for readers.
    fn install_job(&self, job: &RunningJob<P>, merged: &[Arc<Table<P>>]) -> Result<Ended, Uninstalled> {
        let RunningJob { keyspace, job, .. } = job;
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

/// The keys of a part, as a scan would name them.
fn bounds(part: &Part) -> Bounds {
    let owned = |key: &[u8]| key.to_vec();
    Bounds {
        lower: part.from.as_deref().map_or(Bound::Unbounded, |from| Bound::Included(owned(from))),
        upper: part.to.as_deref().map_or(Bound::Unbounded, |to| Bound::Excluded(owned(to))),
    }
}

/// The tables that a part of a job writes.
struct NewTables<'a, P: Parts> {
    store: &'a Store<P>,
    part: &'a Taken<P>,
    writer: Option<<P::Tables as Tables>::Writer>,
    /// How much of what was written the throttle knows of.
    paid_bytes: u64,
    written: Unnamed<P::Tables>,
}

impl<P: Parts> Output for NewTables<'_, P> {
    fn table_bytes(&self) -> u64 {
        self.writer.as_ref().map_or(0, TableWriter::size_bytes)
    }

    fn add(&mut self, entry: Entry<'_>) -> Result<(), Fault> {
        match &mut self.writer {
            Some(writer) => writer.add(entry),
            None => {
                let id = self.store.new_table();
                let job = &self.part.job;
                let writer = job.keyspace.writing().create(id, job.place)?;
                self.writer.insert(writer).add(entry)
            }
        }
    }

    fn cut(&mut self) -> Result<(), Fault> {
        if let Some(writer) = self.writer.take() {
            self.written.push(&self.part.job.keyspace.tables, &writer.finish()?);
        }
        Ok(())
    }

    fn goes_on(&mut self, read_bytes: u64) -> bool {
        let job = &self.part.job;
        self.part.note_merged(read_bytes);
        let written_bytes = self.written.size_bytes() + self.table_bytes();
        let new_bytes = written_bytes.saturating_sub(std::mem::replace(&mut self.paid_bytes, written_bytes));
        let goes_on = || !self.store.signals.is_stopping() && !job.keyspace.is_dropped() && !job.is_stopped();
        self.store.hold_back(&job.keyspace, new_bytes, goes_on);
        goes_on()
    }
}
