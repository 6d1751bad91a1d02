//! What share of the gets each policy answers, on the same sequences of block reads: ours, quick_cache, and
//! plain LRU.
//!
//! Blocks are 4 KiB. All caches get the same number of bytes; ours pays for its tables from them, the others
//! do not. Prints a table: `cargo bench -p lsmkit-blockcache --bench hit_rate`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use lsmkit_blockcache::{Asked, BlockCache, BlockKey, Clock};

const BLOCK_BYTES: usize = 4096;
const CACHE_BLOCKS: usize = 16_384;
const STORE_BLOCKS: u64 = 163_840;
const READS: usize = 4_000_000;

fn main() {
    println!("{:<52}{:>8}{:>14}{:>8}", "reads", "ours", "quick_cache", "LRU");
    for (name, reads) in traces() {
        let rates = [Ours::rate(&reads), Quick::rate(&reads), Lru::rate(&reads)];
        println!("{name:<52}{:>7.1}%{:>13.1}%{:>7.1}%", rates[0], rates[1], rates[2]);
    }
}

/// The reads of one run, each the number of a block. The cache is a tenth of the store.
fn traces() -> Vec<(&'static str, Vec<u64>)> {
    let mut random = Random(42);
    let skewed = Zipf::new(STORE_BLOCKS, 0.99);
    let mild = Zipf::new(STORE_BLOCKS, 0.7);
    let (cache, store) = (CACHE_BLOCKS as u64, STORE_BLOCKS);
    // Blocks that a scan reads lie outside of those that points are read from.
    let mut scanned = store;
    let mut with_scans = |every: u64, length: u64, random: &mut Random| {
        let mut reads = Vec::with_capacity(READS);
        while reads.len() < READS {
            reads.extend((0..every).map(|_| skewed.next(random)));
            reads.extend(scanned..scanned + length);
            scanned += length;
        }
        reads
    };
    vec![
        ("Zipf 0.99", (0..READS).map(|_| skewed.next(&mut random)).collect()),
        ("Zipf 0.7", (0..READS).map(|_| mild.next(&mut random)).collect()),
        ("Zipf 0.99, a scan of the cache's size now and then", with_scans(100_000, cache, &mut random)),
        ("Zipf 0.99, half of all reads from long scans", with_scans(100_000, 100_000, &mut random)),
        ("Zipf 0.99, short scans all the time", with_scans(20, 10, &mut random)),
        ("uniform", (0..READS).map(|_| random.below(store)).collect()),
        ("a loop of 1.2 times the cache", (0..READS as u64).map(|i| i % (cache * 6 / 5)).collect()),
        (
            "Zipf 0.99 whose hot blocks change ten times",
            (0..READS).map(|i| (skewed.next(&mut random) + (i * 10 / READS) as u64 * 7919) % store).collect(),
        ),
        (
            "each block twice, 4,000 reads apart, none later",
            (0..READS as u64).map(|i| if i % 2 == 0 { i } else { (i - 1).saturating_sub(4_000) }).collect(),
        ),
    ]
}

trait Policy: Sized {
    fn new() -> Self;
    /// Whether the block was there; if not, it is afterwards.
    fn read(&mut self, block: u64) -> bool;

    /// The hit rate in percent, over all but the first quarter of the reads, which fills the cache.
    fn rate(reads: &[u64]) -> f64 {
        let mut policy = Self::new();
        let (warm_up, rest) = reads.split_at(reads.len() / 4);
        warm_up.iter().for_each(|&block| _ = policy.read(block));
        100.0 * rest.iter().filter(|&&block| policy.read(block)).count() as f64 / rest.len() as f64
    }
}

fn key(block: u64) -> BlockKey {
    BlockKey { table: block >> 14, block: (block & 0x3fff) * BLOCK_BYTES as u64 }
}

struct Ours(Clock<Arc<()>>, Arc<()>);

impl Policy for Ours {
    fn new() -> Self {
        Ours(Clock::new(CACHE_BLOCKS * BLOCK_BYTES), Arc::new(()))
    }

    fn read(&mut self, block: u64) -> bool {
        match self.0.ask(key(block)) {
            Asked::There(_) => return true,
            Asked::Wanted => self.0.insert(key(block), self.1.clone(), BLOCK_BYTES),
            Asked::Unwanted => {}
        }
        false
    }
}

struct Quick(quick_cache::sync::Cache<BlockKey, Arc<()>, FourKib>, Arc<()>);

#[derive(Clone)]
struct FourKib;

impl quick_cache::Weighter<BlockKey, Arc<()>> for FourKib {
    fn weight(&self, _: &BlockKey, _: &Arc<()>) -> u64 {
        BLOCK_BYTES as u64
    }
}

impl Policy for Quick {
    fn new() -> Self {
        let capacity_bytes = (CACHE_BLOCKS * BLOCK_BYTES) as u64;
        Quick(quick_cache::sync::Cache::with_weighter(CACHE_BLOCKS, capacity_bytes, FourKib), Arc::new(()))
    }

    fn read(&mut self, block: u64) -> bool {
        let hit = self.0.get(&key(block)).is_some();
        if !hit {
            self.0.insert(key(block), self.1.clone());
        }
        hit
    }
}

/// Exact, unsharded.
#[derive(Default)]
struct Lru {
    moment: u64,
    by_block: HashMap<u64, u64>,
    by_moment: BTreeMap<u64, u64>,
}

impl Policy for Lru {
    fn new() -> Self {
        Lru::default()
    }

    fn read(&mut self, block: u64) -> bool {
        self.moment += 1;
        let before = self.by_block.insert(block, self.moment);
        self.by_moment.insert(self.moment, block);
        if let Some(before) = before {
            self.by_moment.remove(&before);
        } else if self.by_block.len() > CACHE_BLOCKS
            && let Some((_, oldest)) = self.by_moment.pop_first()
        {
            self.by_block.remove(&oldest);
        }
        before.is_some()
    }
}

/// Numbers from 0, each rank r in proportion to r^-skew, scattered so that hot blocks are not neighbours.
struct Zipf {
    cumulated: Vec<f64>,
}

impl Zipf {
    fn new(count: u64, skew: f64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=count).map(|rank| {
            sum += (rank as f64).powf(-skew);
            sum
        });
        Zipf { cumulated: weights.collect() }
    }

    fn next(&self, random: &mut Random) -> u64 {
        let count = self.cumulated.len() as u64;
        let point = random.next() as f64 / u64::MAX as f64 * self.cumulated[count as usize - 1];
        let rank = self.cumulated.partition_point(|&sum| sum < point) as u64;
        // The multiplier is prime and larger than the count, so that the ranks stay distinct.
        rank.min(count - 1) * 2_147_483_647 % count
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}
