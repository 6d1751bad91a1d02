#![allow(missing_docs)]
use lsmkit_blockcache::{BlockCache, BlockKey, Clock};
use std::sync::{Arc, Barrier};
use std::time::Instant;
const BLOCK_BYTES: usize = 4096;
const CACHE_BLOCKS: usize = 65_536;
const CAPACITY_BYTES: usize = CACHE_BLOCKS * BLOCK_BYTES;
type Block = Arc<[u64; 4]>;
trait Cache: Send + Sync {
    fn get(&self, key: BlockKey) -> Option<Block>;
    fn insert(&self, key: BlockKey, block: Block);
}
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
fn key(block: u64) -> BlockKey {
    BlockKey { table: block >> 14, offset: (block & 0x3fff) * BLOCK_BYTES as u64 }
}
fn asked(thread: usize, bound: u64, skew: f64) -> Vec<BlockKey> {
    let mut s = thread as u64 + 1;
    let mut r = move || {
        s = s.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
        (s >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..1 << 18).map(|_| key((r().powf(skew) * bound as f64) as u64)).collect()
}
fn cpu() -> u64 {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}
fn main() {
    for (name, bound, skew) in [
        ("hit uniform", 60_000u64, 1.0),
        ("hit skewed", 60_000, 8.0),
        ("mixed", 5 * CACHE_BLOCKS as u64, 6.0),
    ] {
        let quick = quick_cache::sync::Cache::with_weighter(CACHE_BLOCKS, CAPACITY_BYTES as u64, FourKib);
        let caches: [(&str, Box<dyn Cache>); 2] = [
            ("ours", Box::new(Ours(Arc::new(Clock::new(CAPACITY_BYTES))))),
            ("quick", Box::new(Quick(quick))),
        ];
        let keys: Vec<Vec<BlockKey>> = (0..4).map(|t| asked(t, bound, skew)).collect();
        for (_, c) in &caches {
            (0..CACHE_BLOCKS as u64).for_each(|n| c.insert(key(n), Arc::new([n; 4])));
            for t in 0..4 {
                for &k in &keys[t] {
                    if c.get(k).is_none() {
                        c.insert(k, Arc::new([1; 4]));
                    }
                }
            }
        }
        let one = |c: &dyn Cache, t: usize, turn: usize| {
            let k = keys[t][turn & (keys[t].len() - 1)];
            match c.get(k) {
                Some(b) => {
                    std::hint::black_box(&b);
                    true
                }
                None => {
                    c.insert(k, Arc::new([k.offset; 4]));
                    false
                }
            }
        };
        for threads in [1usize, 2, 4] {
            let mut best = [(f64::MAX, f64::MAX, 0.0); 2];
            for _ in 0..12 {
                for (i, (_, c)) in caches.iter().enumerate() {
                    let n = 1usize << 17;
                    let b = Barrier::new(threads + 1);
                    let (wall, cpus, hits) = std::thread::scope(|s| {
                        let hs: Vec<_> = (0..threads)
                            .map(|t| {
                                let (b, one, c) = (&b, &one, &**c);
                                s.spawn(move || {
                                    b.wait();
                                    let c0 = cpu();
                                    let mut h = 0;
                                    for x in 0..n {
                                        h += one(c, t, x + (c0 as usize & 0xffff)) as usize;
                                    }
                                    let c1 = cpu();
                                    b.wait();
                                    (c1 - c0, h)
                                })
                            })
                            .collect();
                        b.wait();
                        let t0 = Instant::now();
                        b.wait();
                        let w = t0.elapsed().as_nanos() as f64 / n as f64;
                        let r: Vec<_> = hs.into_iter().map(|h| h.join().unwrap()).collect();
                        (
                            w,
                            r.iter().map(|x| x.0).sum::<u64>() as f64 / n as f64 / threads as f64,
                            r.iter().map(|x| x.1).sum::<usize>() as f64 / n as f64 / threads as f64,
                        )
                    });
                    best[i].0 = best[i].0.min(wall);
                    best[i].1 = best[i].1.min(cpus);
                    best[i].2 = hits;
                }
            }
            println!(
                "{name} x{threads}: ours wall {:.0} cpu {:.0} hit {:.3} | quick wall {:.0} cpu {:.0} hit {:.3}",
                best[0].0, best[0].1, best[0].2, best[1].0, best[1].1, best[1].2
            );
        }
    }
}
