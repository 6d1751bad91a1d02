//! Many threads, few shards, constant eviction: what is found is right, and the books balance.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lsmkit_blockcache::{BlockCache, BlockKey, Clock};

/// Counts the values alive, and knows its own key, so that a mixed-up or lost value shows.
struct Block {
    key: BlockKey,
    alive: Arc<AtomicU64>,
}

impl Drop for Block {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn threads_share_a_cache_under_eviction() {
    const THREADS: u64 = 8;
    const STEPS: u64 = 60_000;
    let cache: Arc<dyn BlockCache<Arc<Block>>> = Arc::new(Clock::with_shards(256 << 10, 2));
    let alive = Arc::new(AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (cache, alive) = (cache.clone(), alive.clone());
            scope.spawn(move || {
                let mut state = thread + 1;
                for _ in 0..STEPS {
                    state = state.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
                    let skewed = ((state >> 40) * (state >> 40)) >> 40;
                    let key = BlockKey { table: skewed & 3, block: skewed };
                    match cache.get(key) {
                        Some(block) => assert_eq!(block.key, key),
                        None => {
                            alive.fetch_add(1, Ordering::Relaxed);
                            let block = Arc::new(Block { key, alive: alive.clone() });
                            cache.insert(key, block, 300 + (skewed % 5 * 700) as usize);
                        }
                    }
                }
            });
        }
    });
    let usage = cache.usage();
    assert_eq!(usage.hits + usage.misses, THREADS * STEPS);
    assert_eq!(usage.inserted + usage.refused, usage.misses);
    assert!(usage.evicted > 1_000 && usage.hits > 1_000, "{usage:?}");
    assert!(usage.used_bytes <= usage.capacity_bytes);
    assert_eq!(alive.load(Ordering::Relaxed), usage.entries as u64, "values alive, for entries");
    drop(cache);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}
