//! The laws of compaction strategies, each over many seeded trees.

use std::ops::Bound;

use lsmkit_base::{SeqNo, Tree};

use super::{ModelStore, Rng};
use crate::{Busy, CompactionPicker, Job, ManualCompaction, ManualStep};

/// How many trees a law is tried on.
const TREES: u64 = 30;

/// No tree of the kit needs as many jobs to come to rest.
const JOBS_MAX: usize = 5_000;

/// Trees of all sizes relative to any strategy's settings: entries from a byte to 32 MiB.
fn store(rng: &mut Rng) -> ModelStore {
    let entry_bytes = 1 << (5 * rng.below(6));
    let mut store = match rng.below(3) {
        0 => ModelStore::new(entry_bytes),
        _ => ModelStore::random(rng, entry_bytes),
    };
    for _ in 0..rng.below(12) {
        let (count, keys) = (1 + rng.below(60), 1 + rng.below(300));
        store.flush_random(rng, count, keys);
    }
    store
}

/// Lets it be as it may whether there is leisure and whether merges go in parts, and time pass.
fn toss(store: &mut ModelStore, rng: &mut Rng) {
    store.at_leisure = rng.once_in(2);
    store.now += if rng.once_in(4) { rng.below(100) } else { 0 };
    store.part_bytes = if rng.once_in(2) { u64::MAX } else { store.entry_bytes * (1 + rng.below(40)) };
}

fn pick(picker: &impl CompactionPicker, store: &ModelStore) -> Option<Job> {
    picker.pick(&store.tree, &store.busy())
}

/// Each job's inputs exist, are distinct and idle; it applies to the tree; and for each user key the
/// order from the newest version to the oldest outlives it.
pub fn jobs_apply_and_keep_the_order_of_ages(picker: &impl CompactionPicker) {
    for seed in 0..TREES {
        let mut rng = Rng::new(seed);
        let mut store = store(&mut rng);
        store.assert_order_of_ages();
        for _ in 0..40 {
            toss(&mut store, &mut rng);
            let before = store.versions().count();
            if let Some(job) = pick(picker, &store) {
                store.run(job, None);
                store.assert_order_of_ages();
                assert_eq!(store.versions().count(), before, "seed {seed}: a version was lost");
            }
            if rng.once_in(2) {
                let (count, keys) = (1 + rng.below(20), 1 + rng.below(300));
                store.flush_random(&mut rng, count, keys);
            }
        }
    }
}

/// Picking and applying ends, with leisure and without: then writers go on, and with leisure nothing is left to rewrite.
pub fn trees_come_to_rest_without_debt(picker: &impl CompactionPicker) {
    for seed in 0..TREES {
        let mut rng = Rng::new(seed);
        let mut store = store(&mut rng);
        let mut jobs = 0;
        for at_leisure in [false, true] {
            store.at_leisure = at_leisure;
            while let Some(job) = pick(picker, &store) {
                jobs += 1;
                assert!(
                    jobs < JOBS_MAX,
                    "seed {seed}: no rest after {jobs} jobs, the next {job:?}\n{}",
                    store.picture()
                );
                store.run(job, None);
            }
            let pressure = picker.pressure(&store.tree);
            assert!(
                pressure.runs < pressure.runs_stop,
                "seed {seed}: writers would wait for ever\n{}",
                store.picture()
            );
        }
        let pressure = picker.pressure(&store.tree);
        assert_eq!(pressure.debt_bytes, 0, "seed {seed}: debt at rest\n{}", store.picture());
        assert!(pressure.runs_slow <= pressure.runs_stop, "writers are slowed down before they are stopped");
    }
}

/// The same tree and the same busy tables give the same job.
pub fn the_same_tree_gives_the_same_job(picker: &impl CompactionPicker) {
    for seed in 0..TREES {
        let store = store(&mut Rng::new(seed));
        let job = pick(picker, &store);
        assert_eq!(job, pick(picker, &store), "seed {seed}");
        assert_eq!(job, pick(picker, &store.clone()), "seed {seed}");
        assert_eq!(picker.pressure(&store.tree), picker.pressure(&store.tree), "seed {seed}");
    }
}

/// A job that is picked while others run takes none of their tables and writes into none of their
/// ranges among their runs, and they may end in any order.
pub fn jobs_that_run_at_once_leave_each_other_alone(picker: &impl CompactionPicker) {
    for seed in 0..TREES {
        let mut rng = Rng::new(seed);
        let mut store = store(&mut rng);
        for _ in 0..80 {
            toss(&mut store, &mut rng);
            match rng.below(3) {
                0 => {
                    let (count, keys) = (1 + rng.below(20), 1 + rng.below(300));
                    store.flush_random(&mut rng, count, keys);
                }
                1 if store.running() > 0 => {
                    store.finish(rng.below(store.running() as u64) as usize);
                    store.assert_order_of_ages();
                }
                _ => {
                    if let Some(job) = pick(picker, &store) {
                        store.start(job, None);
                    }
                }
            }
        }
        // Whatever runs, it ends; and then the tree comes to rest.
        store.at_leisure = true;
        let mut jobs = 0;
        loop {
            while store.running() > 0 {
                store.finish(rng.below(store.running() as u64) as usize);
            }
            let Some(job) = pick(picker, &store) else { break };
            jobs += 1;
            assert!(jobs < JOBS_MAX, "seed {seed}: no rest");
            store.start(job, None);
        }
        store.assert_order_of_ages();
    }
}

/// With versions forgotten as snapshots allow, every snapshot and the present read the same before
/// and after each job, whichever others run.
pub fn every_reader_sees_the_same_before_and_after(picker: &impl CompactionPicker) {
    for seed in 0..TREES {
        let mut rng = Rng::new(seed);
        let mut store = store(&mut rng);
        let keys: u64 = 300;
        let view = |store: &ModelStore, at: SeqNo| -> Vec<Option<SeqNo>> {
            (0..keys).map(|key| store.read(&(key as u16).to_be_bytes(), at)).collect()
        };
        let mut snapshots: Vec<(SeqNo, Vec<Option<SeqNo>>)> = Vec::new();
        for _ in 0..60 {
            toss(&mut store, &mut rng);
            let now = store.last_seq();
            match rng.below(6) {
                0 => {
                    let count = 1 + rng.below(20);
                    store.flush_random(&mut rng, count, keys);
                    continue;
                }
                1 => snapshots.push((now, view(&store, now))),
                2 if !snapshots.is_empty() => {
                    snapshots.remove(rng.below(snapshots.len() as u64) as usize);
                    continue;
                }
                3 if store.running() > 0 => {
                    let before = view(&store, now);
                    store.finish(rng.below(store.running() as u64) as usize);
                    assert_eq!(view(&store, now), before, "seed {seed}: the present changed");
                }
                _ => {
                    if let Some(job) = pick(picker, &store) {
                        let visible: Vec<SeqNo> = snapshots.iter().map(|(at, _)| *at).collect();
                        store.start(job, Some(&visible));
                    }
                    continue;
                }
            }
            for (at, seen) in &snapshots {
                assert_eq!(view(&store, *at), *seen, "seed {seed}: the snapshot at {at} changed");
            }
        }
    }
}

/// A manual compaction of any range ends while flushes and the strategy's own jobs go on, and leaves of
/// each key of the range that was there a single version, in the deepest run.
pub fn manual_compaction_ends_beside_the_strategy(picker: &impl CompactionPicker) {
    for seed in 0..TREES {
        let mut rng = Rng::new(seed);
        let mut store = store(&mut rng);
        let (first, last) = (rng.below(200) as u16, rng.below(400) as u16);
        let (from, to) = (first.to_be_bytes(), last.to_be_bytes());
        let range = if rng.once_in(3) {
            (Bound::Unbounded, Bound::Unbounded)
        } else {
            (Bound::Included(&from[..]), Bound::Excluded(&to[..]))
        };
        let as_of = store.last_seq();
        let manual = ManualCompaction::new(&store.tree, range.0, range.1, 4 * store.entry_bytes);
        let beside = rng.once_in(2);
        for step in 0.. {
            assert!(step < JOBS_MAX, "seed {seed}: manual compaction does not end\n{}", store.picture());
            if beside && rng.once_in(3) {
                let count = 1 + rng.below(10);
                store.flush_random(&mut rng, count, 300);
            }
            if beside
                && rng.once_in(2)
                && let Some(job) = pick(picker, &store)
            {
                store.start(job, Some(&[]));
            }
            match manual.next(&store.tree, &store.busy()) {
                ManualStep::Run(job) => store.start(job, Some(&[])),
                ManualStep::Wait => assert!(store.running() > 0, "seed {seed}: nothing to wait for"),
                ManualStep::Done if store.running() == 0 => break,
                ManualStep::Done => {}
            }
            if store.running() > 0 && (!beside || rng.once_in(2)) {
                store.finish(rng.below(store.running() as u64) as usize);
            }
        }
        assert_compacted(&store, range, as_of, seed);
    }
}

/// That no version of a key in `range` up to `as_of` is above the deepest run, or superseded, or a tombstone.
fn assert_compacted(store: &ModelStore, range: (Bound<&[u8]>, Bound<&[u8]>), as_of: SeqNo, seed: u64) {
    use std::ops::RangeBounds;
    let runs: Vec<_> = store.tree.levels.iter().flat_map(|level| &level.runs).collect();
    for (index, run) in runs.iter().enumerate() {
        let versions = run.tables.iter().flat_map(|table| store.versions_of(table.id));
        let old = versions.filter(|version| {
            version.seq <= as_of && RangeBounds::<[u8]>::contains(&range, &*version.user_key)
        });
        let old: Vec<_> = old.collect();
        if index + 1 < runs.len() {
            assert!(old.is_empty(), "seed {seed}: {old:?} are above the deepest run\n{}", store.picture());
        }
        let superseded = old.windows(2).find(|pair| pair[0].user_key == pair[1].user_key);
        assert_eq!(superseded, None, "seed {seed}: a superseded version is left");
        let tombstone = old.iter().find(|version| version.kind == lsmkit_base::ValueKind::Delete);
        assert_eq!(tombstone, None, "seed {seed}: a tombstone is left\n{}", store.picture());
    }
}

/// An empty tree gives no job and no pressure.
pub fn an_empty_tree_needs_nothing(picker: &impl CompactionPicker) {
    let tree = Tree::default();
    assert_eq!(picker.pick(&tree, &Busy::default()), None);
    let pressure = picker.pressure(&tree);
    assert_eq!((pressure.runs, pressure.debt_bytes), (0, 0));
    assert!(!picker.name().is_empty(), "a strategy has a name");
}
