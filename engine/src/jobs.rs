//! The compactions that run, each in parts that threads take one after another.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use lsmkit_base::{Fault, TableId, TableMeta};
use lsmkit_compaction::{Busy, BusyRange, Job, JobKind, Part};
use lsmkit_sstable::{TablePlace, TableReader};

use crate::Parts;
use crate::cleanup::Unnamed;
use crate::health::lock;
use crate::place;
use crate::stats::Input;
use crate::tree::KeyspaceTree;
use crate::version::Version;

/// Into how many pieces a table is cut at most to see where a part could begin.
const ANCHORS: usize = 32;

/// The compactions of a store that run.
pub(crate) struct Jobs<P: Parts> {
    /// How many threads compact at most.
    pub(crate) threads: usize,
    state: Mutex<State<P>>,
}

struct State<P: Parts> {
    /// In the order in which they began.
    running: Vec<Arc<RunningJob<P>>>,
    /// How many compactions by hand go on. While one does, no other job is picked.
    by_hand: usize,
}

/// A job that runs, with the version it was picked from.
pub(crate) struct RunningJob<P: Parts> {
    pub(crate) keyspace: Arc<KeyspaceTree<P>>,
    pub(crate) version: Arc<Version<P>>,
    pub(crate) job: Job,
    pub(crate) input: Input,
    /// Where its output goes.
    pub(crate) place: TablePlace,
    pub(crate) begun: Instant,
    parts: Vec<Part>,
    /// The keys and values that have been merged so far.
    merged_bytes: AtomicU64,
    progress: Mutex<Progress<P>>,
    ended: Condvar,
    /// Last, so that the version has let go of tables that were replaced before the tree looks idle:
    /// whoever waits for that finds their files in the bin.
    _hold: Hold<P>,
}

/// How far a job has come.
struct Progress<P: Parts> {
    /// The first part that nobody has taken.
    next: usize,
    /// How many of those that were taken have not ended.
    running: usize,
    /// What the parts that have ended wrote, by part.
    written: Vec<Option<Unnamed<P::Tables>>>,
    /// What stands in the way, once something does. No more parts are taken then.
    stop: Option<Stop>,
    /// How the job has ended, once it has.
    outcome: Option<Result<Ended, Fault>>,
}

/// How a job ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    Done,
    /// The store is closing or the keyspace is gone: nothing has changed.
    GivenUp,
}

/// Why a job can't go on.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    GivenUp,
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Fault(fault)
    }
}

/// A part of a running job that its thread is to merge.
pub(crate) struct Taken<P: Parts> {
    pub(crate) job: Arc<RunningJob<P>>,
    index: usize,
    is_ended: bool,
}

impl<P: Parts> Jobs<P> {
    pub(crate) fn new(threads: usize) -> Jobs<P> {
        Jobs { threads, state: Mutex::new(State { running: Vec::new(), by_hand: 0 }) }
    }

    /// A part, not taken yet, of the job that was begun first among those that are `wanted`.
    pub(crate) fn take_part(&self, wanted: impl Fn(&RunningJob<P>) -> bool) -> Option<Taken<P>> {
        let state = lock(&self.state);
        state.running.iter().filter(|job| wanted(job)).find_map(RunningJob::take_part)
    }

    /// Whether nobody has taken some part of a job that is `wanted`.
    pub(crate) fn is_part_left(&self, wanted: impl Fn(&RunningJob<P>) -> bool) -> bool {
        lock(&self.state).running.iter().any(|job| wanted(job) && job.is_part_left())
    }

    /// Makes it known that a job runs.
    pub(crate) fn begin(&self, job: &Arc<RunningJob<P>>) {
        lock(&self.state).running.push(Arc::clone(job));
    }

    /// The job has ended, in one way or another.
    pub(crate) fn end(&self, job: &Arc<RunningJob<P>>, outcome: Result<Ended, Fault>) {
        lock(&self.state).running.retain(|running| !Arc::ptr_eq(running, job));
        job.end(outcome);
    }

    /// Lets go of jobs that nobody will go on with.
    pub(crate) fn abandon(&self) {
        let abandoned = std::mem::take(&mut lock(&self.state).running);
        for job in abandoned {
            let written = {
                let mut progress = lock(&job.progress);
                progress.stop = Some(Stop::GivenUp);
                std::mem::take(&mut progress.written)
            };
            // Now, and not when the last who waits for the job lets go of it: the files may be another's by then.
            drop(written);
            job.end(Ok(Ended::GivenUp));
        }
    }

    /// From now on, and as long as what is returned lives, only those who have it pick jobs.
    pub(crate) fn by_hand(&self) -> ByHand<'_, P> {
        lock(&self.state).by_hand += 1;
        ByHand(self)
    }

    pub(crate) fn is_by_hand(&self) -> bool {
        lock(&self.state).by_hand > 0
    }

    /// The jobs that run now. One that a panic has ended is kept for what has to be cleaned up, but does not run.
    pub(crate) fn running(&self) -> Vec<Arc<RunningJob<P>>> {
        lock(&self.state).running.iter().filter(|job| !job.has_ended()).cloned().collect()
    }
}

/// Keeps background work from picking compactions.
pub(crate) struct ByHand<'a, P: Parts>(&'a Jobs<P>);

impl<P: Parts> Drop for ByHand<'_, P> {
    fn drop(&mut self) {
        lock(&self.0.state).by_hand -= 1;
    }
}

impl<P: Parts> RunningJob<P> {
    /// A job that was picked from `version` and whose tables are held, in parts for so many threads.
    pub(crate) fn new(
        hold: Hold<P>,
        version: Arc<Version<P>>,
        job: Job,
        threads: usize,
    ) -> Arc<RunningJob<P>> {
        let part_bytes = if threads > 1 { job.part_bytes() } else { u64::MAX };
        let anchors = |table: &Arc<TableMeta>| {
            version.table(table.id).map_or(Vec::new(), |table| table.reader().anchors(ANCHORS - 1))
        };
        let parts = match job.kind {
            JobKind::Merge => job.parts(&version.tree, part_bytes, anchors),
            JobKind::Move | JobKind::Drop => vec![Part::default()],
        };
        let progress = Progress {
            next: 0,
            running: 0,
            written: parts.iter().map(|_| None).collect(),
            stop: None,
            outcome: None,
        };
        Arc::new(RunningJob {
            keyspace: Arc::clone(&hold.keyspace),
            place: place::of_merge(&version.tree, &job),
            input: Input::of(&job, &version.tree),
            begun: Instant::now(),
            parts,
            merged_bytes: AtomicU64::new(0),
            progress: Mutex::new(progress),
            ended: Condvar::new(),
            _hold: hold,
            version,
            job,
        })
    }

    /// Takes a part that nobody has taken.
    pub(crate) fn take_part(self: &Arc<Self>) -> Option<Taken<P>> {
        let mut progress = lock(&self.progress);
        if !progress.is_part_left(self.parts.len()) {
            return None;
        }
        let index = progress.next;
        progress.next += 1;
        progress.running += 1;
        Some(Taken { job: Arc::clone(self), index, is_ended: false })
    }

    /// How many parts are being merged.
    pub(crate) fn parts_running(&self) -> usize {
        lock(&self.progress).running
    }

    fn is_part_left(&self) -> bool {
        lock(&self.progress).is_part_left(self.parts.len())
    }

    /// Whether something stands in the way of the job, so that no part need go on.
    pub(crate) fn is_stopped(&self) -> bool {
        lock(&self.progress).stop.is_some()
    }

    fn has_ended(&self) -> bool {
        lock(&self.progress).outcome.is_some()
    }

    fn end(&self, outcome: Result<Ended, Fault>) {
        lock(&self.progress).outcome.get_or_insert(outcome);
        self.ended.notify_all();
    }

    /// Blocks until the job has ended. Somebody else has its last parts.
    pub(crate) fn wait(&self) -> Result<Ended, Fault> {
        let progress = lock(&self.progress);
        let progress = self.ended.wait_while(progress, |progress| progress.outcome.is_none());
        let progress = progress.unwrap_or_else(PoisonError::into_inner);
        progress.outcome.clone().expect("because that was waited for")
    }

    pub(crate) fn parts_count(&self) -> u64 {
        self.parts.len() as u64
    }

    /// The keys and values that have been merged so far.
    pub(crate) fn merged_bytes(&self) -> u64 {
        self.merged_bytes.load(Ordering::Relaxed)
    }
}

impl<P: Parts> Progress<P> {
    fn is_part_left(&self, parts: usize) -> bool {
        self.next < parts && self.stop.is_none()
    }
}

impl<P: Parts> Taken<P> {
    /// The keys of the part.
    pub(crate) fn part(&self) -> &Part {
        &self.job.parts[self.index]
    }

    pub(crate) fn note_merged(&self, bytes: u64) {
        self.job.merged_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Notes what became of the part. Whoever ends the last gets all that the job has written, in order, or what stood in
    /// the way, and has to end the job.
    pub(crate) fn end(
        &mut self,
        written: Result<Unnamed<P::Tables>, Stop>,
    ) -> Option<Result<Vec<Unnamed<P::Tables>>, Stop>> {
        self.is_ended = true;
        let mut progress = lock(&self.job.progress);
        progress.running -= 1;
        match written {
            Ok(written) => progress.written[self.index] = Some(written),
            Err(stop @ Stop::Fault(_)) => {
                // What others give up because of it is no cause.
                if !matches!(progress.stop, Some(Stop::Fault(_))) {
                    progress.stop = Some(stop);
                }
            }
            Err(Stop::GivenUp) => {
                progress.stop.get_or_insert(Stop::GivenUp);
            }
        }
        if progress.running > 0 || progress.is_part_left(self.job.parts.len()) {
            return None;
        }
        let written = std::mem::take(&mut progress.written).into_iter().flatten();
        Some(progress.stop.clone().map_or_else(|| Ok(written.collect()), Err))
    }
}

impl<P: Parts> Drop for Taken<P> {
    /// Where the thread has panicked: nobody may wait for it.
    fn drop(&mut self) {
        if !self.is_ended && self.end(Err(Stop::GivenUp)).is_some() {
            self.job.end(Ok(Ended::GivenUp));
        }
    }
}

/// Keeps other jobs away from what a job reads and writes.
pub(crate) struct Hold<P: Parts> {
    keyspace: Arc<KeyspaceTree<P>>,
    inputs: Vec<TableId>,
    outputs: Vec<BusyRange>,
}

impl<P: Parts> Hold<P> {
    /// Of what `job`, picked from `version`, reads and writes. `busy` is the keyspace's.
    pub(crate) fn new(
        keyspace: &Arc<KeyspaceTree<P>>,
        busy: &mut Busy,
        version: &Version<P>,
        job: &Job,
    ) -> Hold<P> {
        busy.hold(&version.tree, job);
        Hold {
            keyspace: Arc::clone(keyspace),
            inputs: job.inputs.clone(),
            outputs: job.outputs(&version.tree),
        }
    }
}

impl<P: Parts> Drop for Hold<P> {
    fn drop(&mut self) {
        lock(&self.keyspace.busy).release(&self.inputs, &self.outputs);
    }
}

impl<P: Parts> fmt::Debug for RunningJob<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningJob")
            .field("job", &self.job)
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}
