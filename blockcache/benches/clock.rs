//! What a hit costs, and a mixture of hits and misses, with one to eight threads; beside quick_cache of the
//! same number of bytes, which weighs its blocks alike.
//!
//! ```text
//! cargo bench -p lsmkit-blockcache --bench clock
//! ```
//!
//! Times are for one operation of one thread: with more threads than cores they grow though nobody waits.
//! The throughput line gives the operations of all threads together.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use lsmkit_blockcache::{Asked, BlockCache, BlockKey, Clock};

const BLOCK_BYTES: usize = 4096;
const CACHE_BLOCKS: usize = 65_536;
const GETS: usize = 200_000;
const CAPACITY_BYTES: usize = CACHE_BLOCKS * BLOCK_BYTES;

type Block = Arc<[u64; 4]>;

trait Cache: Send + Sync {
    fn get(&self, key: BlockKey) -> Asked<Block>;
    fn insert(&self, key: BlockKey, block: Block);
}

/// As a store holds it.
struct Ours(Arc<dyn BlockCache<Block>>);

impl Cache for Ours {
    fn get(&self, key: BlockKey) -> Asked<Block> {
        self.0.ask(key)
    }

    fn insert(&self, key: BlockKey, block: Block) {
        self.0.insert(key, block, BLOCK_BYTES);
    }
}

#[derive(Clone)]
struct FourKib;

impl quick_cache::Weighter<BlockKey, Block> for FourKib {
    fn weight(&self, _: &BlockKey, _: &Block) -> u64 {
        BLOCK_BYTES as u64
    }
}

struct Quick(quick_cache::sync::Cache<BlockKey, Block, FourKib>);

impl Cache for Quick {
    fn get(&self, key: BlockKey) -> Asked<Block> {
        self.0.get(&key).map_or(Asked::Wanted, Asked::There)
    }

    fn insert(&self, key: BlockKey, block: Block) {
        self.0.insert(key, block);
    }
}

fn caches() -> [(&'static str, Box<dyn Cache>); 2] {
    let quick = quick_cache::sync::Cache::with_weighter(CACHE_BLOCKS, CAPACITY_BYTES as u64, FourKib);
    [("ours", Box::new(Ours(Arc::new(Clock::new(CAPACITY_BYTES))))), ("quick_cache", Box::new(Quick(quick)))]
}

fn key(block: u64) -> BlockKey {
    BlockKey { table: block >> 14, block: (block & 0x3fff) * BLOCK_BYTES as u64 }
}

fn number(key: BlockKey) -> u64 {
    (key.table << 14) | (key.block / BLOCK_BYTES as u64)
}

fn block(number: u64) -> Block {
    Arc::new([number; 4])
}

/// One thread's choice of blocks.
struct Random(u64);

impl Random {
    /// A key of a block below `bound`, the lower the likelier: the number is `bound · u^skew` for a uniform
    /// u.
    fn key(&mut self, bound: u64, skew: i32) -> BlockKey {
        self.0 = self.0.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
        let uniform = (self.0 >> 11) as f64 / (1u64 << 53) as f64;
        key((uniform.powi(skew) * bound as f64) as u64)
    }
}

/// The time of `operations` by each of so many threads at once.
fn timed(threads: usize, operations: u64, act: impl Fn(&mut Random) + Sync) -> Duration {
    static SEED: AtomicU64 = AtomicU64::new(1);
    let barrier = Barrier::new(threads + 1);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let mut random = Random(SEED.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed));
            let (barrier, act) = (&barrier, &act);
            scope.spawn(move || {
                barrier.wait();
                (0..operations).for_each(|_| act(&mut random));
                barrier.wait();
            });
        }
        barrier.wait();
        let start = Instant::now();
        barrier.wait();
        start.elapsed()
    })
}

/// `hits` is the share of the gets that should find their block.
fn bench(c: &mut Criterion, name: &str, bound: u64, skew: i32, hits: RangeInclusive<f64>) {
    let mut group = c.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat).sample_size(20);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    for (cache_name, cache) in caches() {
        let read = |random: &mut Random| {
            let key = random.key(bound, skew);
            match cache.get(key) {
                Asked::There(block) => drop(std::hint::black_box(block)),
                Asked::Wanted => cache.insert(key, block(number(key))),
                Asked::Unwanted => {}
            }
        };
        // Until the cache holds what its policy keeps in the long run.
        (0..bound.min(CACHE_BLOCKS as u64)).for_each(|number| cache.insert(key(number), block(number)));
        let mut random = Random(0);
        (0..20 * CACHE_BLOCKS).for_each(|_| read(&mut random));
        let found = share_found(&*cache, (0..GETS).map(|_| random.key(bound, skew)));
        assert!(hits.contains(&found), "{name}, {cache_name}: {found} of the gets were hits");
        for threads in [1, 2, 4, 8] {
            group.throughput(Throughput::Elements(threads as u64));
            group.bench_function(BenchmarkId::new(cache_name, threads), |b| {
                b.iter_custom(|operations| timed(threads, operations, read));
            });
        }
    }
    group.finish();
}

/// The share of these gets that are hits, each of which gives its own block.
fn share_found(cache: &dyn Cache, keys: impl Iterator<Item = BlockKey>) -> f64 {
    let mut found = [0u32; 2];
    for key in keys {
        let block = cache.get(key);
        if let Asked::There(block) = &block {
            assert!(block[3] == number(key), "a block under another's key");
        }
        found[usize::from(matches!(block, Asked::There(_)))] += 1;
    }
    f64::from(found[1]) / f64::from(found[0] + found[1])
}

/// All of these blocks fit: every get is a hit, each as likely as the others.
fn hits(c: &mut Criterion) {
    bench(c, "hit", 50_000, 1, 1.0..=1.0);
}

/// As above, but half of the gets are for the same 200 blocks.
fn hot_hits(c: &mut Criterion) {
    bench(c, "hit, skewed", 50_000, 8, 1.0..=1.0);
}

/// Blocks of five times the capacity, skewed so that about three of four gets are hits; a miss inserts.
fn mixed(c: &mut Criterion) {
    bench(c, "mixed", 5 * CACHE_BLOCKS as u64, 6, 0.65..=0.85);
}

/// Blocks of ten times the capacity, each as likely as the others.
fn mostly_misses(c: &mut Criterion) {
    bench(c, "mostly misses", 10 * CACHE_BLOCKS as u64, 1, 0.07..=0.12);
}

criterion_group!(benches, hits, hot_hits, mixed, mostly_misses);
criterion_main!(benches);
