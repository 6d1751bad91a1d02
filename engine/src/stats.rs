//! Counts of what a store does, and what it looks like now.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lsmkit_blockcache::CacheUsage;

use crate::StallCause;
use crate::health::lock;

/// What a store has done since it was opened, and what it looks like now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// How many keys were put or deleted.
    pub writes: u64,
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
    /// Files that could not be removed; they are swept when the store is opened next.
    pub left_over: u64,
    /// How often, how long in all and how long at most writers were held up, by cause.
    pub stalls: BTreeMap<StallCause, Stalls>,
    /// The block cache.
    pub cache: CacheUsage,
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
    /// Its levels, newest first.
    pub levels: Vec<LevelStats>,
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
}

/// What is counted while it happens.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    writes: AtomicU64,
    commit_groups: AtomicU64,
    log_written_bytes: AtomicU64,
    moves: AtomicU64,
    left_over: AtomicU64,
    /// Counted once per flush, merge or stall: rarely enough for a lock.
    work: Mutex<WorkCounters>,
}

#[derive(Clone, Debug, Default)]
struct WorkCounters {
    flushes: Work,
    merges: Work,
    stalls: BTreeMap<StallCause, Stalls>,
}

impl Counters {
    /// The beginning of some work that will be counted.
    pub(crate) fn begin(&self) -> Instant {
        Instant::now()
    }

    pub(crate) fn note_log(&self, records: &[&[u8]]) {
        add_alone(&self.log_written_bytes, records.iter().map(|record| record.len() as u64).sum());
    }

    pub(crate) fn note_group(&self, writes: u64) {
        add_alone(&self.writes, writes);
        add_alone(&self.commit_groups, 1);
    }

    pub(crate) fn note_flush(&self, begun: Instant, written_bytes: u64) {
        lock(&self.work).flushes.add(begun, 0, written_bytes);
    }

    pub(crate) fn note_merge(&self, begun: Instant, read_bytes: u64, written_bytes: u64) {
        lock(&self.work).merges.add(begun, read_bytes, written_bytes);
    }

    pub(crate) fn note_move(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
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
    fn add(&mut self, begun: Instant, read_bytes: u64, written_bytes: u64) {
        self.count += 1;
        self.time += begun.elapsed();
        self.read_bytes += read_bytes;
        self.written_bytes += written_bytes;
    }
}

impl<P: crate::Parts> crate::store::Store<P> {
    /// What [`crate::Engine::stats`] gives.
    pub(crate) fn stats(&self) -> Stats {
        let counters = &self.counters;
        let work = lock(&counters.work).clone();
        let keyspaces = self.keyspaces.load();
        let states: Vec<_> = keyspaces.values().map(|keyspace| (keyspace, keyspace.state_owned())).collect();
        Stats {
            writes: counters.writes.load(Ordering::Relaxed),
            commit_groups: counters.commit_groups.load(Ordering::Relaxed),
            log_written_bytes: counters.log_written_bytes.load(Ordering::Relaxed),
            log_bytes: self.log_bytes(),
            memtable_bytes: states.iter().map(|(_, state)| state.memtable_bytes() as u64).sum(),
            memtables_frozen: states.iter().map(|(_, state)| state.frozen.len() as u64).sum(),
            flushes: work.flushes,
            compactions: work.merges,
            moves: counters.moves.load(Ordering::Relaxed),
            left_over: counters.left_over.load(Ordering::Relaxed),
            stalls: work.stalls,
            cache: self.site.cache().usage(),
            snapshots: self.snapshots.list().len() as u64,
            keyspaces: states
                .iter()
                .map(|(keyspace, state)| KeyspaceStats {
                    name: keyspace.name.to_string(),
                    levels: state.version.tree.levels.iter().map(LevelStats::of).collect(),
                })
                .collect(),
            fault: self.health.failed().map(|fault| fault.to_string()),
        }
    }
}

impl LevelStats {
    fn of(level: &lsmkit_base::Level) -> LevelStats {
        let mut stats = LevelStats {
            runs: level.runs.len() as u64,
            tables: 0,
            size_bytes: 0,
            raw_bytes: 0,
            entries: 0,
            tombstones: 0,
        };
        for table in level.tables() {
            stats.tables += 1;
            stats.size_bytes += table.size_bytes;
            stats.raw_bytes += table.raw_bytes;
            stats.entries += table.entries;
            stats.tombstones += table.tombstones;
        }
        stats
    }
}
