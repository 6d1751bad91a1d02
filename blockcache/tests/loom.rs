//! Every interleaving of a few threads over one shard, by loom:
//! `RUSTFLAGS="--cfg loom" cargo test -p lsmkit-blockcache --release --test loom`
#![cfg(loom)]

use std::sync::Arc as StdArc;

use loom::thread;
use lsmkit_blockcache::{BlockCache, BlockKey, Clock};

type Cache = loom::sync::Arc<Clock<StdArc<(u64, u32)>>>;

/// Large values, so that the tables, which are larger under loom, do not matter.
const MIB: usize = 1 << 20;

fn key(n: u64) -> BlockKey {
    BlockKey { table: n, block: 0 }
}

fn cache(values_that_fit: usize) -> Cache {
    // Half of a value is left for the tables.
    loom::sync::Arc::new(Clock::with_shards(values_that_fit * MIB + MIB / 2, 1))
}

fn insert(cache: &Cache, n: u64, version: u32) {
    cache.insert(key(n), StdArc::new((n, version)), MIB);
}

/// The version found, after a look at the key in the value and at the books.
fn get(cache: &Cache, n: u64) -> Option<u32> {
    let usage = cache.usage();
    assert!(usage.used_bytes <= usage.capacity_bytes, "{usage:?}");
    let value = cache.get(key(n))?;
    assert_eq!(value.0, n, "a value of another key");
    Some(value.1)
}

/// While one thread replaces a value, another sees the old or the new one, and once the new one never the
/// old.
#[test]
fn a_reader_sees_replacements_in_order() {
    loom::model(|| {
        let cache = cache(2);
        insert(&cache, 1, 0);
        let writer = thread::spawn({
            let cache = cache.clone();
            move || {
                insert(&cache, 1, 1);
                insert(&cache, 1, 2);
            }
        });
        let seen = [get(&cache, 1), get(&cache, 1)];
        assert!(seen[0].is_some() && seen[0] <= seen[1], "{seen:?}");
        writer.join().unwrap();
        assert_eq!(get(&cache, 1), Some(2));
        let usage = cache.usage();
        assert_eq!((usage.hits, usage.misses, usage.inserted, usage.evicted, usage.entries), (3, 0, 3, 0, 1));
    });
}

/// Two threads miss the same block, read it, and insert it at once: one entry remains.
#[test]
fn a_block_read_twice_at_once_is_held_once() {
    loom::model(|| {
        let cache = cache(2);
        let read = |cache: &Cache, version| {
            if get(cache, 1).is_none() {
                insert(cache, 1, version);
            }
        };
        let other = thread::spawn({
            let cache = cache.clone();
            move || read(&cache, 1)
        });
        read(&cache, 2);
        other.join().unwrap();
        assert!(get(&cache, 1).is_some());
        let usage = cache.usage();
        assert_eq!((usage.entries, usage.hits + usage.misses), (1, 3));
        assert_eq!(usage.inserted, usage.misses);
    });
}

/// Inserts of two threads evict each other's values while a third reads: never above the capacity, every
/// value either held or evicted, every get counted.
#[test]
fn the_books_balance_under_eviction() {
    loom::model(|| {
        let cache = cache(2);
        insert(&cache, 1, 0);
        let writer = thread::spawn({
            let cache = cache.clone();
            move || {
                insert(&cache, 2, 0);
                insert(&cache, 3, 0);
            }
        });
        let reader = thread::spawn({
            let cache = cache.clone();
            move || {
                let _ = get(&cache, 1);
                let _ = get(&cache, 3);
            }
        });
        insert(&cache, 4, 0);
        writer.join().unwrap();
        reader.join().unwrap();
        let usage = cache.usage();
        assert_eq!(usage.hits + usage.misses, 2);
        assert_eq!((usage.inserted, usage.refused), (4, 0));
        assert_eq!((usage.entries, usage.evicted), (2, 2));
        assert_eq!((1..=4).filter(|&n| get(&cache, n).is_some()).count(), 2);
    });
}
