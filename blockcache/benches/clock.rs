//! What a hit costs, and a mixture of hits and misses, with one, two and four threads; beside quick_cache.
//!
//! Times are for one operation of one thread: with more threads than cores they grow though nobody waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lsmkit_blockcache::{BlockCache, BlockKey, Clock};

const BLOCK_BYTES: usize = 4096;
const CACHE_BLOCKS: usize = 65_536;
const CAPACITY_BYTES: usize = CACHE_BLOCKS * BLOCK_BYTES;

type Block = Arc<[u64; 4]>;

trait Cache: Send + Sync {
    fn get(&self, key: BlockKey) -> Option<Block>;
    fn insert(&self, key: BlockKey, block: Block);
}

/// As a store holds it.
struct Ours(Arc<dyn BlockCache<Block>>);

impl Cache for Ours {
    fn get(&self, key: BlockKey) -> Option<Block> {
        self.0.get(key)
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
    fn get(&self, key: BlockKey) -> Option<Block> {
        self.0.get(&key)
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
    BlockKey { table: block >> 14, offset: (block & 0x3fff) * BLOCK_BYTES as u64 }
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

fn bench(c: &mut Criterion, name: &str, bound: u64, skew: i32) {
    let mut group = c.benchmark_group(name);
    for (cache_name, cache) in caches() {
        let read = |random: &mut Random| {
            let key = random.key(bound, skew);
            match cache.get(key) {
                Some(block) => drop(std::hint::black_box(block)),
                None => cache.insert(key, block(key.offset)),
            }
        };
        // Until the cache holds what its policy keeps in the long run.
        (0..bound.min(CACHE_BLOCKS as u64)).for_each(|number| cache.insert(key(number), block(number)));
        let mut random = Random(0);
        (0..20 * CACHE_BLOCKS).for_each(|_| read(&mut random));
        for threads in [1, 2, 4] {
            group.bench_function(BenchmarkId::new(cache_name, threads), |b| {
                b.iter_custom(|operations| timed(threads, operations, read));
            });
        }
    }
    group.finish();
}

/// All of these blocks fit: every get is a hit, each as likely as the others.
fn hits(c: &mut Criterion) {
    bench(c, "hit", 50_000, 1);
}

/// As above, but half of the gets are for the same 200 blocks.
fn hot_hits(c: &mut Criterion) {
    bench(c, "hit, skewed", 50_000, 8);
}

/// Blocks of five times the capacity, skewed so that about three of four gets are hits; a miss inserts.
fn mixed(c: &mut Criterion) {
    bench(c, "mixed", 5 * CACHE_BLOCKS as u64, 6);
}

criterion_group!(benches, hits, hot_hits, mixed);
criterion_main!(benches);
