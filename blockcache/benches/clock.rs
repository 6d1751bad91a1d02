//! What a hit costs, and a mixture of hits and misses, with one, two and four threads; beside quick_cache.
//!
//! Times are for one operation of one thread: with more threads than cores they grow though nobody waits.

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

/// The block numbers one thread asks for: below `bound`, the lower the likelier by the power `skew`.
fn asked(thread: usize, bound: u64, skew: f64) -> Vec<BlockKey> {
    let mut state = thread as u64 + 1;
    let mut random = move || {
        state = state.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..1 << 18).map(|_| key((random().powf(skew) * bound as f64) as u64)).collect()
}

/// The time of `operations` by each of so many threads at once.
fn timed(threads: usize, operations: u64, act: impl Fn(usize, usize) + Sync) -> Duration {
    let barrier = Barrier::new(threads + 1);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (barrier, act) = (&barrier, &act);
            scope.spawn(move || {
                barrier.wait();
                (0..operations as usize).for_each(|turn| act(thread, turn));
                barrier.wait();
            });
        }
        barrier.wait();
        let start = Instant::now();
        barrier.wait();
        start.elapsed()
    })
}

fn bench(c: &mut Criterion, name: &str, bound: u64, skew: f64) {
    let mut group = c.benchmark_group(name);
    for (cache_name, cache) in caches() {
        let keys: Vec<Vec<BlockKey>> = (0..4).map(|thread| asked(thread, bound, skew)).collect();
        (0..CACHE_BLOCKS as u64).for_each(|number| cache.insert(key(number), block(number)));
        let one = |thread: usize, turn: usize| {
            let key = keys[thread][turn & (keys[thread].len() - 1)];
            match cache.get(key) {
                Some(block) => drop(std::hint::black_box(block)),
                None => cache.insert(key, block(key.offset)),
            }
        };
        // Until what is held is what the policy holds in the long run.
        (0..2 << 18).for_each(|turn| one(turn & 3, turn));
        for threads in [1, 2, 4] {
            group.bench_function(BenchmarkId::new(cache_name, threads), |b| {
                b.iter_custom(|operations| timed(threads, operations, one));
            });
        }
    }
    group.finish();
}

/// All of these blocks fit: every get is a hit, each as likely as the others.
fn hits(c: &mut Criterion) {
    bench(c, "hit, 60,000 blocks", 60_000, 1.0);
}

/// As above, but mostly the same few blocks.
fn hot_hits(c: &mut Criterion) {
    bench(c, "hit, skewed", 60_000, 8.0);
}

/// Blocks of five times the capacity, skewed so that about three of four gets are hits; a miss inserts.
fn mixed(c: &mut Criterion) {
    bench(c, "mixed", 5 * CACHE_BLOCKS as u64, 6.0);
}

criterion_group!(benches, hits, hot_hits, mixed);
criterion_main!(benches);
