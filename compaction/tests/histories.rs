//! All short histories of two keys, exhaustively: whatever is written, snapshotted, flushed and
//! compacted, in whichever order jobs end, each snapshot and the present read what was written.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use lsmkit_base::{SeqNo, ValueKind};
use lsmkit_compaction::testkit::{ModelStore, Version};
use lsmkit_compaction::{CompactionPicker, Leveled, ManualCompaction, ManualStep, Tiered};
use std::ops::Bound;

const KEYS: [&[u8]; 2] = [b"a", b"b"];

/// What can happen next.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Act {
    Put(usize),
    Delete(usize),
    Snapshot,
    /// Drops the oldest snapshot.
    Release,
    Flush,
    /// Begins the job the strategy picks.
    Start,
    /// Begins the next job of a manual compaction of everything.
    StartManual,
    /// Ends the job that has run longest, or shortest.
    FinishOldest,
    FinishNewest,
}

const ACTS: [Act; 11] = [
    Act::Put(0),
    Act::Put(1),
    Act::Delete(0),
    Act::Delete(1),
    Act::Snapshot,
    Act::Release,
    Act::Flush,
    Act::Start,
    Act::StartManual,
    Act::FinishOldest,
    Act::FinishNewest,
];

#[derive(Clone)]
struct State {
    store: ModelStore,
    memtable: Vec<Version>,
    /// All that was ever written, and the truth that reads are compared with.
    history: Vec<Version>,
    snapshots: Vec<SeqNo>,
}

impl State {
    fn new() -> State {
        State { store: ModelStore::new(1), memtable: Vec::new(), history: Vec::new(), snapshots: Vec::new() }
    }

    /// The state after `act`, or `None` where it would change nothing.
    fn after(&self, act: Act, picker: &dyn CompactionPicker) -> Option<State> {
        let mut next = self.clone();
        match act {
            Act::Put(key) => next.write(key, ValueKind::Put),
            Act::Delete(key) => next.write(key, ValueKind::Delete),
            Act::Snapshot => {
                let now = self.store.last_seq();
                if self.snapshots.last() == Some(&now) {
                    return None;
                }
                next.snapshots.push(now);
            }
            Act::Release if self.snapshots.is_empty() => return None,
            Act::Release => {
                next.snapshots.remove(0);
            }
            Act::Flush if self.memtable.is_empty() => return None,
            Act::Flush => {
                let memtable = std::mem::take(&mut next.memtable);
                next.store.flush(memtable);
            }
            Act::Start => {
                let job = picker.pick(&self.store.tree, &self.store.busy())?;
                next.store.start(job, Some(&self.snapshots));
            }
            Act::StartManual => {
                let tree = &self.store.tree;
                let manual = ManualCompaction::new(tree, Bound::Unbounded, Bound::Unbounded, 1);
                let ManualStep::Run(job) = manual.next(tree, &self.store.busy()) else { return None };
                next.store.start(job, Some(&self.snapshots));
            }
            Act::FinishOldest if self.store.running() == 0 => return None,
            Act::FinishOldest => next.store.finish(0),
            Act::FinishNewest if self.store.running() < 2 => return None,
            Act::FinishNewest => next.store.finish(self.store.running() - 1),
        }
        Some(next)
    }

    fn write(&mut self, key: usize, kind: ValueKind) {
        let version = Version { user_key: KEYS[key].into(), seq: self.store.take_seq(), kind };
        self.memtable.push(version.clone());
        self.history.push(version);
    }

    fn read(&self, key: &[u8], at: SeqNo) -> Option<SeqNo> {
        let newest =
            self.memtable.iter().rev().find(|version| *version.user_key == *key && version.seq <= at);
        match newest {
            Some(version) => (version.kind == ValueKind::Put).then_some(version.seq),
            None => self.store.read(key, at),
        }
    }

    fn check(&self, path: &[Act]) {
        for at in self.snapshots.iter().copied().chain([SeqNo::MAX]) {
            for key in KEYS {
                let newest =
                    self.history.iter().rev().find(|version| *version.user_key == *key && version.seq <= at);
                let truth =
                    newest.filter(|version| version.kind == ValueKind::Put).map(|version| version.seq);
                assert_eq!(
                    self.read(key, at),
                    truth,
                    "{} at {at} after {path:?}\n{}",
                    key.escape_ascii(),
                    self.store.picture()
                );
            }
        }
    }
}

/// Tries every history of `acts` acts that follows `state`; how many there are.
fn explore(state: &State, picker: &dyn CompactionPicker, acts: usize, path: &mut Vec<Act>) -> u64 {
    if acts == 0 {
        return 1;
    }
    let mut count = 0;
    for act in ACTS {
        // The keys are alike: the first to be written is `a`.
        let first_write = state.history.is_empty();
        if first_write && !matches!(act, Act::Put(0) | Act::Delete(0)) {
            continue;
        }
        let Some(next) = state.after(act, picker) else { continue };
        path.push(act);
        // Only the end of a job changes tables.
        if matches!(act, Act::FinishOldest | Act::FinishNewest) {
            next.check(path);
        }
        count += explore(&next, picker, acts - 1, path);
        path.pop();
    }
    count
}

fn leveled() -> Leveled {
    Leveled::default().level0_trigger(1).levels(3).base_bytes(1).fan_out(2).table_bytes(1)
}

fn tiered() -> Tiered {
    Tiered::default().runs_per_level(2).levels(3).space_limit(1.0).table_bytes(1)
}

/// A store with a put of both keys in the deepest level, a tombstone of `a` and a put of `b` above,
/// and a put of `a` in level 0: short histories that follow reach deep.
fn deep(picker: &dyn CompactionPicker) -> State {
    let mut state = State::new();
    for (key, kind) in [
        (0, ValueKind::Put),
        (1, ValueKind::Put),
        (0, ValueKind::Delete),
        (1, ValueKind::Put),
        (0, ValueKind::Put),
    ] {
        state.write(key, kind);
        state = state.after(Act::Flush, picker).unwrap();
        if let Some(started) = state.after(Act::Start, picker) {
            state = started.after(Act::FinishOldest, picker).unwrap();
        }
    }
    state
}

#[test]
fn every_short_history_of_a_leveled_store() {
    let count = explore(&State::new(), &leveled(), 7, &mut Vec::new())
        + explore(&deep(&leveled()), &leveled(), 6, &mut Vec::new());
    assert!(count > 200_000, "{count} histories");
}

#[test]
fn every_short_history_of_a_tiered_store() {
    let count = explore(&State::new(), &tiered(), 7, &mut Vec::new())
        + explore(&deep(&tiered()), &tiered(), 6, &mut Vec::new());
    assert!(count > 200_000, "{count} histories");
}

#[test]
fn long_histories_at_random() {
    use lsmkit_compaction::testkit::Rng;
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let picker: &dyn CompactionPicker = if seed % 2 == 0 { &leveled() } else { &tiered() };
        let (mut state, mut path) = (State::new(), Vec::new());
        for _ in 0..120 {
            let act = ACTS[rng.below(ACTS.len() as u64) as usize];
            if let Some(next) = state.after(act, picker) {
                state = next;
                path.push(act);
                state.check(&path);
            }
        }
    }
}
