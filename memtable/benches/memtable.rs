//! The memtables beside the sorted maps one would take otherwise: 16-byte keys, 100-byte values.
//!
//! ```text
//! cargo bench -p lsmkit-memtable --bench memtable
//! ```
//!
//! `std BTreeMap` takes no lock, so it can't be shared: it is the mark for one thread. Where threads share a
//! table it stands behind an `RwLock`, and is called so.

#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the bench")]

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, RwLock};
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use crossbeam_skiplist::SkipMap;
use lsmkit_base::{Cursor, Entry, SeqNo};
use lsmkit_memtable::{BPlusTree, BTree, Memtable, SkipList};

const SIZES: [(&str, usize); 2] = [("100k", 100_000), ("1M", 1_000_000)];
const LOOKUPS: usize = 100_000;
const VALUE: [u8; 100] = [7; 100];

type Key = [u8; 16];

/// The part of each that one thread can measure.
trait Table: Sized {
    const NAME: &'static str;
    fn empty() -> Self;
    fn insert(&mut self, key: &Key, seq: u64);
    /// How many of the keys are there; reads a byte of each value.
    fn hits(&self, keys: &[Key]) -> usize;
    /// Reads a byte of each key and value, first to last.
    fn forward(&self) -> u64;
    /// The same, last to first.
    fn backward(&self) -> u64;
}

/// What threads can share.
trait Shared: Table + Sync {
    fn insert_shared(&self, key: &Key, seq: u64);
}

struct Ours<M>(Arc<M>);

trait Named: Memtable {
    const NAME: &'static str;
}

impl Named for BPlusTree {
    const NAME: &'static str = "BPlusTree";
}

impl Named for SkipList {
    const NAME: &'static str = "SkipList";
}

impl Named for BTree {
    const NAME: &'static str = "BTree";
}

impl<M: Named> Table for Ours<M> {
    const NAME: &'static str = M::NAME;

    fn empty() -> Self {
        Ours(Arc::new(M::with_budget(64 << 20)))
    }

    fn insert(&mut self, key: &Key, seq: u64) {
        self.insert_shared(key, seq);
    }

    fn hits(&self, keys: &[Key]) -> usize {
        let is_hit = |key: &&Key| self.0.get(&key[..], SeqNo::MAX, |entry| entry.value[50] == 7).is_some();
        keys.iter().filter(is_hit).count()
    }

    fn forward(&self) -> u64 {
        let mut cursor = self.0.cursor();
        let mut sum = 0;
        cursor.seek_first().unwrap();
        while let Some(entry) = cursor.entry() {
            sum += u64::from(entry.user_key[15]) + u64::from(entry.value[50]);
            cursor.next().unwrap();
        }
        sum
    }

    fn backward(&self) -> u64 {
        let mut cursor = self.0.cursor();
        let mut sum = 0;
        cursor.seek_last().unwrap();
        while let Some(entry) = cursor.entry() {
            sum += u64::from(entry.user_key[15]) + u64::from(entry.value[50]);
            cursor.prev().unwrap();
        }
        sum
    }
}

impl<M: Named> Shared for Ours<M> {
    fn insert_shared(&self, key: &Key, seq: u64) {
        self.0.insert(Entry::put(key, SeqNo::new(seq).unwrap(), &VALUE));
    }
}

/// A key of any length and its version, the newest first.
type Place = (Vec<u8>, Reverse<u64>);

fn place(key: &Key, seq: u64) -> Place {
    (key.to_vec(), Reverse(seq))
}

/// How many of the keys are hits, as told by the place before all versions of each.
fn count_hits(keys: &[Key], mut is_hit: impl FnMut(&Place) -> bool) -> usize {
    let mut sought = place(&[0; 16], u64::MAX);
    let is_hit = |key: &&Key| {
        sought.0.copy_from_slice(&key[..]);
        is_hit(&sought)
    };
    keys.iter().filter(is_hit).count()
}

fn byte_sum((key, value): (&Place, &Vec<u8>)) -> u64 {
    u64::from(key.0[15]) + u64::from(value[50])
}

/// Keys and values of any length, in allocations of their own.
struct Std(BTreeMap<Place, Vec<u8>>);

impl Std {
    fn is_hit(&self, sought: &Place) -> bool {
        let found = self.0.range((Bound::Included(sought), Bound::Unbounded)).next();
        found.is_some_and(|(place, value)| place.0 == sought.0 && value[50] == 7)
    }
}

impl Table for Std {
    const NAME: &'static str = "std BTreeMap";

    fn empty() -> Self {
        Std(BTreeMap::new())
    }

    fn insert(&mut self, key: &Key, seq: u64) {
        self.0.insert(place(key, seq), VALUE.to_vec());
    }

    fn hits(&self, keys: &[Key]) -> usize {
        count_hits(keys, |sought| self.is_hit(sought))
    }

    fn forward(&self) -> u64 {
        self.0.iter().map(byte_sum).sum()
    }

    fn backward(&self) -> u64 {
        self.0.iter().rev().map(byte_sum).sum()
    }
}

/// The same to be shared. The lock is taken for each key.
impl Table for RwLock<Std> {
    const NAME: &'static str = "RwLock of std BTreeMap";

    fn empty() -> Self {
        RwLock::new(Std::empty())
    }

    fn insert(&mut self, key: &Key, seq: u64) {
        self.get_mut().unwrap().insert(key, seq);
    }

    fn hits(&self, keys: &[Key]) -> usize {
        count_hits(keys, |sought| self.read().unwrap().is_hit(sought))
    }

    fn forward(&self) -> u64 {
        self.read().unwrap().forward()
    }

    fn backward(&self) -> u64 {
        self.read().unwrap().backward()
    }
}

impl Shared for RwLock<Std> {
    /// What is stored is allocated before the lock is taken.
    fn insert_shared(&self, key: &Key, seq: u64) {
        let (place, value) = (place(key, seq), VALUE.to_vec());
        self.write().unwrap().0.insert(place, value);
    }
}

/// Keys and values of any length, in allocations of their own.
struct Crossbeam(SkipMap<Place, Vec<u8>>);

impl Table for Crossbeam {
    const NAME: &'static str = "crossbeam SkipMap";

    fn empty() -> Self {
        Crossbeam(SkipMap::new())
    }

    fn insert(&mut self, key: &Key, seq: u64) {
        self.insert_shared(key, seq);
    }

    fn hits(&self, keys: &[Key]) -> usize {
        count_hits(keys, |sought| {
            let found = self.0.lower_bound(Bound::Included(sought));
            found.is_some_and(|entry| entry.key().0 == sought.0 && entry.value()[50] == 7)
        })
    }

    fn forward(&self) -> u64 {
        self.0.iter().map(|entry| byte_sum((entry.key(), entry.value()))).sum()
    }

    fn backward(&self) -> u64 {
        self.0.iter().rev().map(|entry| byte_sum((entry.key(), entry.value()))).sum()
    }
}

impl Shared for Crossbeam {
    fn insert_shared(&self, key: &Key, seq: u64) {
        self.0.insert(place(key, seq), VALUE.to_vec());
    }
}

/// SplitMix64's mixing function: no two numbers give the same key.
fn random_key(n: usize) -> Key {
    let n = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    let n = n ^ n >> 31;
    let mut key = [0; 16];
    key[..8].copy_from_slice(&n.to_be_bytes());
    key[8..].copy_from_slice(&n.rotate_left(32).to_be_bytes());
    key
}

fn sequential_key(n: usize) -> Key {
    let mut key = [0; 16];
    key.copy_from_slice(format!("{n:016}").as_bytes());
    key
}

fn filled<T: Table>(keys: &[Key]) -> T {
    let mut table = T::empty();
    for (i, key) in keys.iter().enumerate() {
        table.insert(key, i as u64 + 1);
    }
    table
}

fn measure<T: Table>(c: &mut Criterion) {
    for (size, entries) in SIZES {
        let random: Vec<Key> = (0..entries).map(random_key).collect();
        let sequential: Vec<Key> = (0..entries).map(sequential_key).collect();
        // In an order of their own, of which the table's memory knows nothing.
        let some = |i: usize| i.wrapping_mul(0x9e37_79b9) % entries;
        let present: Vec<Key> = (0..LOOKUPS).map(|i| random_key(some(i))).collect();
        let absent: Vec<Key> = (0..LOOKUPS).map(|i| random_key(entries + some(i))).collect();

        for (act, keys) in [("insert random", &random), ("insert sequential", &sequential)] {
            timed(c, &format!("{act} {size}"), T::NAME, entries, || {
                // What is measured leaves out giving the memory back.
                let started = Instant::now();
                let table = black_box(filled::<T>(keys));
                let taken = started.elapsed();
                drop(table);
                taken
            });
        }
        let table = filled::<T>(&random);
        for (act, keys, hits) in [("get hit", &present, LOOKUPS), ("get miss", &absent, 0)] {
            timed(c, &format!("{act} {size}"), T::NAME, LOOKUPS, || {
                let started = Instant::now();
                assert_eq!(table.hits(keys), hits);
                started.elapsed()
            });
        }
        for (act, scan) in [("scan forward", T::forward as fn(&T) -> u64), ("scan backward", T::backward)] {
            let sum: u64 = random.iter().map(|key| u64::from(key[15]) + 7).sum();
            timed(c, &format!("{act} {size}"), T::NAME, entries, || {
                let started = Instant::now();
                assert_eq!(scan(&table), sum);
                started.elapsed()
            });
        }
    }
}

/// As `insert random`, a hundred entries at a time.
fn measure_batches<M: Named>(c: &mut Criterion) {
    for (size, entries) in SIZES {
        let keys: Vec<Key> = (0..entries).map(random_key).collect();
        timed(c, &format!("insert random, 100 at a time {size}"), M::NAME, entries, || {
            let started = Instant::now();
            let table = black_box(M::with_budget(64 << 20));
            let mut seq = 0;
            for batch in keys.chunks(100) {
                table.insert_all(batch.iter().map(|key| {
                    seq += 1;
                    Entry::put(key, SeqNo::new(seq).unwrap(), &VALUE)
                }));
            }
            let taken = started.elapsed();
            drop(table);
            taken
        });
    }
}

/// Lookups by one thread among entries that another adds to without pause, both of random keys. The time is
/// the reader's; how much the writer gets done meanwhile is its own affair. Takes two cores to be of use.
fn measure_shared<T: Shared>(c: &mut Criterion) {
    const LOOKUPS: usize = 20_000;
    let (size, entries) = SIZES[0];
    let keys: Vec<Key> = (0..entries).map(random_key).collect();
    let present: Vec<Key> = (0..LOOKUPS).map(|i| keys[i * 7919 % entries]).collect();
    timed(c, &format!("get hit {size} beside a writer"), T::NAME, LOOKUPS, || {
        // Afresh each time, since it grows.
        let table = filled::<T>(&keys);
        let (barrier, is_read) = (Barrier::new(2), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                barrier.wait();
                let mut n = entries;
                while !is_read.load(Ordering::Relaxed) {
                    table.insert_shared(&random_key(n), n as u64 + 1);
                    n += 1;
                }
            });
            barrier.wait();
            let started = Instant::now();
            assert_eq!(table.hits(&present), LOOKUPS);
            let taken = started.elapsed();
            is_read.store(true, Ordering::Relaxed);
            taken
        })
    });
}

/// Few samples of long runs: what varies is the machine, not the run.
fn timed(c: &mut Criterion, group: &str, name: &str, elements: usize, run: impl Fn() -> Duration) {
    let mut group = c.benchmark_group(group);
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_millis(500));
    group.throughput(Throughput::Elements(elements as u64));
    group.bench_function(name, |b| b.iter_custom(|times| (0..times).map(|_| run()).sum()));
    group.finish();
}

criterion_group!(
    one_thread,
    measure::<Ours<BPlusTree>>,
    measure::<Ours<SkipList>>,
    measure::<Ours<BTree>>,
    measure::<Std>,
    measure::<Crossbeam>,
    measure_batches::<BPlusTree>,
    measure_batches::<SkipList>
);
criterion_group!(
    two_threads,
    measure_shared::<Ours<BPlusTree>>,
    measure_shared::<Ours<SkipList>>,
    measure_shared::<Ours<BTree>>,
    measure_shared::<RwLock<Std>>,
    measure_shared::<Crossbeam>
);
criterion_main!(one_thread, two_threads);
