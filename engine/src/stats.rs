//! Counts of what a store does, and what it looks like now.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lsmkit_base::{TableMeta, Tree};
use lsmkit_blockcache::CacheUsage;
use lsmkit_compaction::Job;
pub use lsmkit_compaction::{Cause as CompactionCause, JobKind as CompactionKind};
use lsmkit_sstable::{FilterUsage, TableParts, TableReader, Tables};

use crate::health::lock;
use crate::jobs::RunningJob;
use crate::version::{OpenRun, Version};
use crate::{Scrub, StallCause};

/// What a store has done since it was opened, and what it looks like now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// How many keys were put or deleted.
    pub writes: u64,
    /// The bytes of their keys and values.
    pub user_bytes: u64,
    /// How many groups of batches were committed; below the number of batches where writers met.
    pub commit_groups: u64,
    /// The bytes appended to the log.
    pub log_written_bytes: u64,
    /// The bytes of the log that opening the store would read now.
    pub log_bytes: u64,
    /// The memory of all memtables.
    pub memtable_bytes: u64,
    /// How many memtables wait to be flushed.
    pub memtables_frozen: u64,
    /// Flushes: how many, how long, what they wrote.
    pub flushes: Work,
    /// Compactions that rewrote tables: how many, how long, what they read and wrote.
    pub compactions: Work,
    /// Compactions that moved tables without rewriting them.
    pub moves: u64,
    /// Compactions that dropped tables with all that was in them.
    pub drops: u64,
    /// Compactions of all kinds by why they were done: how many, how long, what they rewrote.
    pub causes: BTreeMap<CompactionCause, Work>,
    /// The compactions that run now, in the order in which they began.
    pub running: Vec<RunningCompaction>,
    /// The compactions that ended last, at most a hundred, oldest first.
    pub history: Vec<PastCompaction>,
    /// Files that could not be removed; they are swept when the store is opened next.
    pub left_over: u64,
    /// What scrubbing in the background has done and found.
    pub scrub: Scrub,
    /// How often, how long in all and how long at most writers were held up, by cause.
    pub stalls: BTreeMap<StallCause, Stalls>,
    /// The block cache.
    pub cache: CacheUsage,
    /// The filters of all keyspaces; see [`KeyspaceStats::filters`].
    pub filters: FilterUsage,
    /// Live snapshots at different moments.
    pub snapshots: u64,
    /// The keyspaces, by name.
    pub keyspaces: Vec<KeyspaceStats>,
    /// What has turned the store read-only, if anything.
    pub fault: Option<String>,
}

/// Background work of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Work {
    /// How many times.
    pub count: u64,
    /// How long in all.
    pub time: Duration,
    /// Bytes of table files read.
    pub read_bytes: u64,
    /// Bytes of table files written.
    pub written_bytes: u64,
}

/// A compaction that runs.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RunningCompaction {
    /// The keyspace.
    pub keyspace: String,
    /// Why.
    pub cause: CompactionCause,
    /// Whether its tables are rewritten.
    pub kind: CompactionKind,
    /// The level that it writes to.
    pub level: u32,
    /// How many tables it replaces.
    pub tables: u64,
    /// The bytes of their files.
    pub size_bytes: u64,
    /// The bytes of their keys and values.
    pub raw_bytes: u64,
    /// How many of these have been merged.
    pub merged_bytes: u64,
    /// In how many parts it goes.
    pub parts: u64,
    /// How many of them are being merged, each by a thread.
    pub parts_running: u64,
    /// How long it has run.
    pub time: Duration,
}

/// A compaction that has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PastCompaction {
    /// The keyspace.
    pub keyspace: String,
    /// Why.
    pub cause: CompactionCause,
    /// Whether its tables were rewritten.
    pub kind: CompactionKind,
    /// The level that it wrote to.
    pub level: u32,
    /// How many tables it replaced.
    pub tables: u64,
    /// The bytes of their files.
    pub size_bytes: u64,
    /// How many tables it wrote.
    pub written_tables: u64,
    /// The bytes of their files.
    pub written_bytes: u64,
    /// How long ago it ended.
    pub ended: Duration,
    /// How long it ran.
    pub time: Duration,
}

/// Times that writers were held up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Stalls {
    /// How many times.
    pub count: u64,
    /// How long in all.
    pub time: Duration,
    /// The longest.
    pub longest: Duration,
}

/// One keyspace.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct KeyspaceStats {
    /// Its name.
    pub name: String,
    /// Its levels, newest first: down to the last that holds tables, or that has had work done since
    /// the store was opened.
    pub levels: Vec<LevelStats>,
    /// What look-ups have got from asking the filters of its tables, those since replaced included.
    pub filters: FilterUsage,
}

/// One level of a keyspace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LevelStats {
    /// How many runs.
    pub runs: u64,
    /// How many tables.
    pub tables: u64,
    /// The size of their files.
    pub size_bytes: u64,
    /// The keys and values in them before encoding and compression.
    pub raw_bytes: u64,
    /// Versions in them, tombstones included.
    pub entries: u64,
    /// Tombstones in them.
    pub tombstones: u64,
    /// What the bytes of their files are for. Together they are `size_bytes`: a table whose format
    /// does not tell its parts is all `other_bytes`.
    pub parts: TableParts,
    /// What was written into the level since the store was opened, whether it is still there or not.
    pub work: LevelWork,
}

/// Background work by the level it wrote into.
///
/// The flushes, compactions and moves of all levels of all keyspaces are those of [`Stats`], but for
/// keyspaces that were dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct LevelWork {
    /// Flushes: into level 0, and none into others.
    pub flushes: Work,
    /// Compactions that wrote tables into the level.
    pub compactions: Work,
    /// Of the bytes they read, those of tables of the level itself. The others were in levels above.
    pub read_own_bytes: u64,
    /// Compactions that moved tables into the level without rewriting them.
    pub moves: u64,
    /// The bytes of those tables.
    pub moved_bytes: u64,
    /// The bytes of tables that were dropped with what was in them; of several levels, those of all of them count as the one's
    /// whose tables were the newest.
    pub dropped_bytes: u64,
}

/// What is counted while it happens.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    writes: AtomicU64,
    user_bytes: AtomicU64,
    commit_groups: AtomicU64,
    log_written_bytes: AtomicU64,
    left_over: AtomicU64,
    /// Counted once per flush, compaction or stall: rarely enough for a lock.
    work: Mutex<WorkCounters>,
}

#[derive(Clone, Debug, Default)]
struct WorkCounters {
    flushes: Work,
    merges: Work,
    moves: u64,
    drops: u64,
    causes: BTreeMap<CompactionCause, Work>,
    /// With when each ended, in place of how long ago that was.
    history: VecDeque<(Instant, PastCompaction)>,
    stalls: BTreeMap<StallCause, Stalls>,
}

/// How many compactions are remembered.
const HISTORY: usize = 100;

/// What was done to the levels of one keyspace. Changes only under the lock of [`Counters::work`], so
/// that whoever holds that sees the same work here as in its sums.
#[derive(Debug, Default)]
pub(crate) struct WorkByLevel(Mutex<Vec<LevelWork>>);

impl WorkByLevel {
    fn change(&self, level: u32, change: impl FnOnce(&mut LevelWork)) {
        let mut levels = lock(&self.0);
        let level = level as usize;
        if levels.len() <= level {
            levels.resize_with(level + 1, LevelWork::default);
        }
        change(&mut levels[level]);
    }
}

/// The files that a compaction replaces.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Input {
    pub(crate) tables: u64,
    pub(crate) size_bytes: u64,
    /// Of which in the level that it writes into.
    own_bytes: u64,
    pub(crate) raw_bytes: u64,
}

impl Input {
    /// The input of `job`, which was picked from `tree`.
    pub(crate) fn of(job: &Job, tree: &Tree) -> Input {
        let mut input = Input::default();
        for source in job.sources(tree) {
            let size_bytes: u64 = source.tables.iter().map(|table| table.size_bytes).sum();
            input.tables += source.tables.len() as u64;
            input.size_bytes += size_bytes;
            input.own_bytes += if source.level == job.level { size_bytes } else { 0 };
            input.raw_bytes += source.tables.iter().map(|table| table.raw_bytes).sum::<u64>();
        }
        input
    }
}

impl Counters {
    /// The beginning of some work that will be counted.
    pub(crate) fn begin(&self) -> Instant {
        Instant::now()
    }

    pub(crate) fn note_log(&self, records: &[&[u8]]) {
        add_alone(&self.log_written_bytes, records.iter().map(|record| record.len() as u64).sum());
    }

    pub(crate) fn note_group(&self, writes: u64, user_bytes: u64) {
        add_alone(&self.user_bytes, user_bytes);
        add_alone(&self.writes, writes);
        add_alone(&self.commit_groups, 1);
    }

    pub(crate) fn note_flush(&self, levels: &WorkByLevel, begun: Instant, written_bytes: u64) {
        let flush = Work { count: 1, time: begun.elapsed(), read_bytes: 0, written_bytes };
        let mut work = lock(&self.work);
        work.flushes.add(flush);
        levels.change(0, |level| level.flushes.add(flush));
    }

    /// Notes a compaction that has ended, with the tables it wrote.
    pub(crate) fn note_job<P: crate::Parts>(&self, job: &RunningJob<P>, written: &[Arc<TableMeta>]) {
        let RunningJob { keyspace, job: Job { level, kind, cause, .. }, input, begun, .. } = job;
        let written_bytes = written.iter().map(|table| table.size_bytes).sum();
        let time = begun.elapsed();
        let done = match kind {
            CompactionKind::Merge => Work { count: 1, time, read_bytes: input.size_bytes, written_bytes },
            CompactionKind::Move | CompactionKind::Drop => Work { count: 1, time, ..Work::default() },
        };
        let past = PastCompaction {
            keyspace: keyspace.name.to_string(),
            cause: *cause,
            kind: *kind,
            level: *level,
            tables: input.tables,
            size_bytes: input.size_bytes,
            written_tables: written.len() as u64,
            written_bytes,
            ended: Duration::ZERO,
            time,
        };
        let mut work = lock(&self.work);
        work.causes.entry(*cause).or_default().add(done);
        if work.history.len() == HISTORY {
            work.history.pop_front();
        }
        work.history.push_back((Instant::now(), past));
        match kind {
            CompactionKind::Merge => work.merges.add(done),
            CompactionKind::Move => work.moves += 1,
            CompactionKind::Drop => work.drops += 1,
        }
        keyspace.work.change(*level, |level| match kind {
            CompactionKind::Merge => {
                level.compactions.add(done);
                level.read_own_bytes += input.own_bytes;
            }
            CompactionKind::Move => {
                level.moves += 1;
                level.moved_bytes += input.size_bytes;
            }
            CompactionKind::Drop => level.dropped_bytes += input.size_bytes,
        });
    }

    pub(crate) fn note_left_over(&self) {
        self.left_over.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_stall(&self, cause: StallCause, time: Duration) {
        let mut work = lock(&self.work);
        let stalls = work.stalls.entry(cause).or_default();
        stalls.count += 1;
        stalls.time += time;
        stalls.longest = stalls.longest.max(time);
    }
}

/// Adds to a counter that only the leader of a commit group changes.
fn add_alone(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed) + n, Ordering::Relaxed);
}

impl Work {
    fn add(&mut self, other: Work) {
        self.count += other.count;
        self.time += other.time;
        self.read_bytes += other.read_bytes;
        self.written_bytes += other.written_bytes;
    }
}

impl<P: crate::Parts> crate::store::Store<P> {
    /// What [`crate::Engine::stats`] gives.
    pub(crate) fn stats(&self) -> Stats {
        let counters = &self.counters;
        let keyspaces = self.keyspaces.load();
        let (work, by_level) = {
            let work = lock(&counters.work);
            let by_level: Vec<_> =
                keyspaces.values().map(|keyspace| lock(&keyspace.work.0).clone()).collect();
            (work.clone(), by_level)
        };
        let states: Vec<_> = keyspaces.values().map(|keyspace| (keyspace, keyspace.state_owned())).collect();
        let told: Vec<_> = states
            .iter()
            .zip(&by_level)
            .map(|((keyspace, state), work)| KeyspaceStats {
                name: keyspace.name.to_string(),
                levels: LevelStats::all(&state.version, work),
                filters: keyspace.tables.filter_usage(),
            })
            .collect();
        let mut filters = FilterUsage::default();
        told.iter().for_each(|keyspace| filters += keyspace.filters);
        Stats {
            writes: counters.writes.load(Ordering::Relaxed),
            user_bytes: counters.user_bytes.load(Ordering::Relaxed),
            commit_groups: counters.commit_groups.load(Ordering::Relaxed),
            log_written_bytes: counters.log_written_bytes.load(Ordering::Relaxed),
            log_bytes: self.log_bytes.load(Ordering::Relaxed),
            memtable_bytes: states.iter().map(|(_, state)| state.memtable_bytes() as u64).sum(),
            memtables_frozen: states.iter().map(|(_, state)| state.frozen.len() as u64).sum(),
            flushes: work.flushes,
            compactions: work.merges,
            moves: work.moves,
            drops: work.drops,
            causes: work.causes,
            running: self.jobs.running().iter().map(|job| RunningCompaction::of(job)).collect(),
            history: work.history.into_iter().map(|(ended, past)| past.ended_at(ended)).collect(),
            left_over: counters.left_over.load(Ordering::Relaxed),
            scrub: self.scrubbing.so_far(),
            stalls: work.stalls,
            cache: self.site.cache().usage(),
            filters,
            snapshots: self.snapshots.list().len() as u64,
            keyspaces: told,
            fault: self.health.failed().map(|fault| fault.to_string()),
        }
    }
}

impl RunningCompaction {
    fn of<P: crate::Parts>(running: &RunningJob<P>) -> RunningCompaction {
        let RunningJob { keyspace, job, input, begun, .. } = running;
        RunningCompaction {
            keyspace: keyspace.name.to_string(),
            cause: job.cause,
            kind: job.kind,
            level: job.level,
            tables: input.tables,
            size_bytes: input.size_bytes,
            raw_bytes: input.raw_bytes,
            merged_bytes: running.merged_bytes(),
            parts: running.parts_count(),
            parts_running: running.parts_running() as u64,
            time: begun.elapsed(),
        }
    }
}

impl PastCompaction {
    fn ended_at(self, ended: Instant) -> PastCompaction {
        PastCompaction { ended: ended.elapsed(), ..self }
    }
}

impl Stats {
    /// How many bytes were written to the log and to tables, for each byte of a key or value that a caller wrote; `None` before the
    /// first.
    pub fn write_amplification(&self) -> Option<f64> {
        let written = self.log_written_bytes + self.flushes.written_bytes + self.compactions.written_bytes;
        (self.user_bytes > 0).then(|| written as f64 / self.user_bytes as f64)
    }

    /// How many bytes tables have for each byte that the deepest run of each keyspace has, taken for what they would have if nothing
    /// in them were superseded; `None` where there are no tables.
    pub fn space_amplification(&self) -> Option<f64> {
        let levels = || self.keyspaces.iter().flat_map(|keyspace| &keyspace.levels);
        let all: u64 = levels().map(|level| level.size_bytes).sum();
        let deepest = self.keyspaces.iter().filter_map(|keyspace| {
            keyspace
                .levels
                .iter()
                .rev()
                .find(|level| level.runs > 0)
                .map(|level| level.size_bytes / level.runs)
        });
        let live: u64 = deepest.sum();
        (live > 0).then(|| all as f64 / live as f64)
    }
}

impl LevelStats {
    /// Of the levels of `version`, and of those below that had `work` done and are empty now.
    fn all<P: crate::Parts>(version: &Version<P>, work: &[LevelWork]) -> Vec<LevelStats> {
        let levels = &version.tree.levels;
        let mut runs = version.runs.as_slice();
        (0..levels.len().max(work.len()))
            .map(|number| {
                // The version has the runs of its tree open, in the same order.
                let (own, below) = runs.split_at(levels.get(number).map_or(0, |level| level.runs.len()));
                runs = below;
                LevelStats::of(own, work.get(number).copied().unwrap_or_default())
            })
            .collect()
    }

    fn of<P: crate::Parts>(runs: &[OpenRun<P>], work: LevelWork) -> LevelStats {
        let mut stats = LevelStats {
            runs: runs.len() as u64,
            tables: 0,
            size_bytes: 0,
            raw_bytes: 0,
            entries: 0,
            tombstones: 0,
            parts: TableParts::default(),
            work,
        };
        for table in runs.iter().flat_map(|run| run.iter()) {
            let meta = &table.meta;
            stats.tables += 1;
            stats.size_bytes += meta.size_bytes;
            stats.raw_bytes += meta.raw_bytes;
            stats.entries += meta.entries;
            stats.tombstones += meta.tombstones;
            let untold = TableParts { other_bytes: meta.size_bytes, ..TableParts::default() };
            stats.parts += table.reader().parts().unwrap_or(untold);
        }
        stats
    }
}
