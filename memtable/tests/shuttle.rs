//! Readers beside writers for longer than loom could: schedules by chance, thousands of them.
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test -p lsmkit-memtable --release --test shuttle
//! ```
//!
//! `LSMKIT_SCHEDULES` says how many per test, `SHUTTLE_RANDOM_SEED` repeats the one that failed. What depends on
//! weak ordering is for loom to find: here all threads see all stores in one order.
//!
//! Nodes of the B+-tree have four slots here, so that a few inserts split them.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lsmkit_base::{Cursor, Entry, KeyRef, SeqNo};
use lsmkit_memtable::{BPlusTree, Memtable, SkipList};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::thread;

const SCHEDULES: usize = 3_000;
const READERS: usize = 2;
/// How often a reader looks.
const LOOKS: usize = 6;
/// How far a cursor walks about.
const STEPS: usize = 10;

/// Runs it under many schedules: most of them random, some with few changes between threads.
fn explore(scenario: impl Fn() + Send + Sync + Clone + 'static) {
    let schedules = std::env::var("LSMKIT_SCHEDULES").map_or(SCHEDULES, |n| n.parse().unwrap());
    let mut config = shuttle::Config::new();
    config.silence_warnings = true;
    config.stack_size = 1 << 18;
    shuttle::Runner::new(RandomScheduler::new(schedules), config.clone()).run(scenario.clone());
    for depth in [3, 8] {
        shuttle::Runner::new(PctScheduler::new(depth, schedules / 4), config.clone()).run(scenario.clone());
    }
}

/// A version of the `n`-th key, in the order of the table: later versions first.
type Version = (usize, Reverse<u64>);

/// The `n`-th key in order. The first and the last few share nothing with the others, of which some share a head.
fn key(n: usize) -> Vec<u8> {
    match n {
        0 => Vec::new(),
        1..10 => format!("a{n}").into_bytes(),
        10..1000 => format!("k{:02}, whose number is {n:04}", n / 20).into_bytes(),
        _ => format!("z{n}").into_bytes(),
    }
}

fn seq(version: Version) -> SeqNo {
    SeqNo::new(version.1.0).unwrap()
}

fn value(version: Version) -> Vec<u8> {
    format!("{} of {}", version.1.0, version.0).into_bytes()
}

/// One thread's inserts, in batches.
type Batches = Vec<Vec<Version>>;

/// A table, and what is known of who inserts what.
struct Scene<M> {
    table: Arc<M>,
    before: Vec<Version>,
    writers: Vec<Writer>,
    /// Every version that comes, by the writer and its place among that writer's; `None` for those before.
    all: BTreeMap<Version, Option<(usize, usize)>>,
}

struct Writer {
    batches: Batches,
    /// How many it has begun to insert, and how many are inserted. The standard library's: to count takes no turn.
    begun: AtomicUsize,
    done: AtomicUsize,
}

impl<M: Memtable> Scene<M> {
    fn new(before: Vec<Version>, batches: Vec<Batches>) -> Scene<M> {
        let mut all: BTreeMap<Version, Option<(usize, usize)>> = BTreeMap::new();
        for (writer, batches) in batches.iter().enumerate() {
            for (nth, &version) in batches.iter().flatten().enumerate() {
                assert!(all.insert(version, Some((writer, nth))).is_none(), "only one inserts it");
            }
        }
        // What a writer inserts again was there before.
        all.extend(before.iter().map(|&version| (version, None)));
        let writer = |batches| Writer { batches, begun: AtomicUsize::new(0), done: AtomicUsize::new(0) };
        let table = Arc::new(M::with_budget(0));
        Scene { table, before, writers: batches.into_iter().map(writer).collect(), all }
    }

    fn insert(&self, versions: &[Version]) {
        let parts: Vec<_> =
            versions.iter().map(|&version| (key(version.0), seq(version), value(version))).collect();
        let mut entries = parts.iter().map(|(key, seq, value)| Entry::put(key, *seq, value));
        match versions.len() {
            1 => self.table.insert(entries.next().unwrap()),
            _ => self.table.insert_all(entries),
        }
    }

    fn write(&self, writer: &Writer) {
        for batch in &writer.batches {
            writer.begun.fetch_add(batch.len(), Ordering::Relaxed);
            self.insert(batch);
            writer.done.fetch_add(batch.len(), Ordering::Relaxed);
        }
    }

    /// The version that an entry is, which has to be whole and to have been inserted by now.
    fn version(&self, entry: Entry<'_>) -> Version {
        let text = str::from_utf8(entry.value).unwrap();
        let (of_seq, of_key) = text.split_once(" of ").expect("because all values are written so");
        let version = (of_key.parse().unwrap(), Reverse(of_seq.parse().unwrap()));
        assert_eq!((entry.user_key, entry.seq), (&*key(version.0), seq(version)), "an entry is not whole");
        let from = self.all.get(&version).expect("because somebody inserts it");
        if let Some((writer, nth)) = *from {
            let begun = self.writers[writer].begun.load(Ordering::Relaxed);
            assert!(nth < begun, "{version:?} is there before its time");
        }
        version
    }

    /// Walks all of it in one direction. What is there at its end can't have been missing at its begin.
    fn scan(&self, is_forward: bool) -> Vec<Version> {
        let mut cursor = self.table.cursor();
        if is_forward { cursor.seek_first() } else { cursor.seek_last() }.unwrap();
        let mut seen = Vec::new();
        while let Some(entry) = cursor.entry() {
            seen.push(self.version(entry));
            if is_forward { cursor.next() } else { cursor.prev() }.unwrap();
        }
        if !is_forward {
            seen.reverse();
        }
        assert!(seen.is_sorted_by(|a, b| a < b), "out of order: {seen:?}");
        seen
    }
}

/// What a reader may count on.
struct Reader<'a, M> {
    scene: &'a Scene<M>,
    /// How many of each writer's versions are there for certain.
    known: Vec<usize>,
}

impl<'a, M: Memtable> Reader<'a, M> {
    fn new(scene: &'a Scene<M>) -> Reader<'a, M> {
        Reader { scene, known: vec![0; scene.writers.len()] }
    }

    /// What is inserted by now stays.
    fn look_around(&mut self) {
        for (known, writer) in self.known.iter_mut().zip(&self.scene.writers) {
            *known = writer.done.load(Ordering::Relaxed).max(*known);
        }
    }

    /// What it has found, and what the same writer inserted earlier, others find from now on.
    fn found(&mut self, version: Version) {
        if let Some((writer, nth)) = self.scene.all[&version] {
            self.known[writer] = self.known[writer].max(nth + 1);
        }
    }

    /// The versions that have to be there, in order.
    fn certain(&self) -> impl DoubleEndedIterator<Item = Version> {
        self.scene.all.iter().filter_map(|(version, from)| {
            from.is_none_or(|(writer, nth)| nth < self.known[writer]).then_some(*version)
        })
    }

    fn read(mut self) {
        for _ in 0..LOOKS {
            self.look_around();
            match thread_rng().gen_range(0..8) {
                0 => self.scan(true),
                1 => self.scan(false),
                2..4 => self.walk(),
                _ => self.get(),
            }
        }
    }

    /// A place in the table: most often where something is or will be.
    fn target(&self) -> Version {
        let at = thread_rng().gen_range(0..self.scene.all.len());
        let (n, Reverse(seq)) = *self.scene.all.keys().nth(at).unwrap();
        match thread_rng().gen_range(0..4) {
            0 => (n, Reverse(SeqNo::MAX.value())),
            1 => (n, Reverse(0)),
            2 => (n + 1, Reverse(seq)),
            _ => (n, Reverse(seq)),
        }
    }

    fn get(&mut self) {
        let target = self.target();
        let found = self.scene.table.get(&key(target.0), seq(target), |entry| self.scene.version(entry));
        let expected = self.certain().find(|version| *version >= target).filter(|at| at.0 == target.0);
        let is_right = match (found, expected) {
            (Some(found), _) if found.0 != target.0 || found < target => false,
            (Some(found), Some(expected)) => found <= expected,
            (found, expected) => found.is_some() || expected.is_none(),
        };
        assert!(is_right, "found {found:?} at {target:?}, where {expected:?} is");
        if let Some(found) = found {
            self.found(found);
        }
    }

    fn scan(&mut self, is_forward: bool) {
        let seen = self.scene.scan(is_forward);
        for version in self.certain() {
            assert!(seen.binary_search(&version).is_ok(), "{version:?} is missed: {seen:?}");
        }
        // A skiplist links backward first: a get need not find yet what a backward scan came to.
        if is_forward {
            seen.into_iter().for_each(|version| self.found(version));
        }
    }

    /// Seeks a place and goes to and fro. What was certain at the seek is not stepped over.
    fn walk(&mut self) {
        let mut cursor = self.scene.table.cursor();
        let target = self.target();
        let goal = key(target.0);
        let goal = KeyRef::new(&goal, seq(target));
        let mut is_forward = thread_rng().gen_bool(0.5);
        if is_forward { cursor.seek(goal) } else { cursor.seek_before(goal) }.unwrap();
        let mut at = cursor.entry().map(|entry| self.scene.version(entry));
        let is_beyond = |version: Version| if is_forward { version < target } else { version >= target };
        assert!(!at.is_some_and(is_beyond), "{at:?} was sought from {target:?}");
        let nearest = if is_forward {
            self.certain().find(|version| *version >= target)
        } else {
            self.certain().rev().find(|version| *version < target)
        };
        self.expect_not_past(nearest, at, is_forward);
        for _ in 0..STEPS {
            let Some(from) = at else { return };
            is_forward ^= thread_rng().gen_bool(0.3);
            if is_forward { cursor.next() } else { cursor.prev() }.unwrap();
            at = cursor.entry().map(|entry| self.scene.version(entry));
            let is_ahead = |to: Version| if is_forward { to > from } else { to < from };
            assert!(at.is_none_or(is_ahead), "from {from:?} to {at:?}");
            let nearest = if is_forward {
                self.certain().find(|version| *version > from)
            } else {
                self.certain().rev().find(|version| *version < from)
            };
            self.expect_not_past(nearest, at, is_forward);
        }
    }

    fn expect_not_past(&self, nearest: Option<Version>, at: Option<Version>, is_forward: bool) {
        let Some(nearest) = nearest else { return };
        let reaches = |at: Version| if is_forward { at <= nearest } else { at >= nearest };
        assert!(at.is_some_and(reaches), "{nearest:?} is missed: the cursor went to {at:?}");
    }
}

/// Readers beside writers, and at the end everything is there.
fn run<M: Memtable>(before: Vec<Version>, batches: Vec<Batches>) {
    let scene = Arc::new(Scene::<M>::new(before, batches));
    scene.before.iter().for_each(|version| scene.insert(&[*version]));
    let mut threads = Vec::new();
    for writer in 0..scene.writers.len() {
        let scene = Arc::clone(&scene);
        threads.push(thread::spawn(move || scene.write(&scene.writers[writer])));
    }
    for _ in 0..READERS {
        let scene = Arc::clone(&scene);
        threads.push(thread::spawn(move || Reader::new(&scene).read()));
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(scene.table.len(), scene.all.len());
    for is_forward in [true, false] {
        assert!(scene.scan(is_forward).iter().eq(scene.all.keys()), "everything is there at the end");
    }
}

/// Cut into batches of one to three.
fn in_batches(mut versions: Vec<Version>) -> Batches {
    let mut batches = Vec::new();
    while !versions.is_empty() {
        let len = thread_rng().gen_range(1..=3).min(versions.len());
        batches.push(versions.drain(..len).collect());
    }
    batches
}

fn shuffle<T>(list: &mut [T]) {
    for at in (1..list.len()).rev() {
        list.swap(at, thread_rng().gen_range(0..=at));
    }
}

/// Twenty versions, in any order, of twelve keys of which some were there.
fn scattered<M: Memtable>() {
    let mut versions: Vec<Version> = (0..30).map(|n| (20 + n * 7 % 12, Reverse(n as u64 + 1))).collect();
    shuffle(&mut versions);
    let mut theirs = versions.split_off(10);
    let mut others = theirs.split_off(10);
    // Once more, as where a log is replayed twice.
    others.push(versions[0]);
    run::<M>(versions, vec![in_batches(theirs), in_batches(others)]);
}

/// Keys that come in order, as in a load: leaves are filled to their end.
fn ascending<M: Memtable>() {
    let version = |n: usize| (20 + n, Reverse(n as u64 + 1));
    let beside = (0..6).map(|n| version(n * 4 + 1)).collect();
    let batches = (6..26).map(|n| version(n * 4)).collect();
    run::<M>((0..6).map(|n| version(n * 4)).collect(), vec![in_batches(batches), in_batches(beside)]);
}

/// Keys that come in reverse order: leaves are cut before their first.
fn descending<M: Memtable>() {
    let version = |n: usize| (20 + n, Reverse(n as u64 + 1));
    run::<M>(
        (26..32).rev().map(version).collect(),
        vec![in_batches((6..26).rev().map(version).collect()), in_batches(vec![version(0), version(40)])],
    );
}

/// Many versions of few keys, later ones first in order: nodes that hold nothing else than versions of one key.
fn versions<M: Memtable>() {
    let version = |n: usize| (20 + n % 2, Reverse(n as u64 + 1));
    let (mut early, late) = ((8..14).map(version).collect::<Vec<_>>(), (14..30).map(version).collect());
    shuffle(&mut early);
    run::<M>((0..8).map(version).collect(), vec![in_batches(early), in_batches(late)]);
}

/// Keys that share less and less with those that are there.
fn strangers<M: Memtable>() {
    let version = |n: usize| (n, Reverse(n as u64 + 1));
    let mut strangers: Vec<Version> = [0, 1, 5, 990, 500, 1000, 1001].map(version).into();
    shuffle(&mut strangers);
    let mut others: Vec<Version> = (30..40).map(version).collect();
    shuffle(&mut others);
    run::<M>((20..30).map(version).collect(), vec![in_batches(strangers), in_batches(others)]);
}

/// The first of all: an empty table gets its root.
fn from_nothing<M: Memtable>() {
    let mut versions: Vec<Version> = (0..12).map(|n| (20 + n, Reverse(n as u64 + 1))).collect();
    shuffle(&mut versions);
    let others = versions.split_off(6);
    run::<M>(Vec::new(), vec![in_batches(versions), in_batches(others)]);
}

macro_rules! schedules {
    ($($scenario:ident),*) => {
        mod bplus_tree {
            $(#[test] fn $scenario() { super::explore(super::$scenario::<super::BPlusTree>); })*
        }
        mod skiplist {
            $(#[test] fn $scenario() { super::explore(super::$scenario::<super::SkipList>); })*
        }
    };
}

schedules!(scattered, ascending, descending, versions, strangers, from_nothing);
