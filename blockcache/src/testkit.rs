//! The laws of [`BlockCache`], for whoever writes one: `conformance!` turns them into tests.

use std::collections::HashMap;
use std::sync::Arc;

use crate::{Asked, BlockCache, BlockKey};

/// What the laws keep in a cache.
pub type Block = Arc<Vec<u8>>;

/// Makes a cache of so many bytes: the laws need many.
pub type Make<'a> = &'a dyn Fn(usize) -> Box<dyn BlockCache<Block>>;

/// Expands to one `#[test]` for each law of [`BlockCache`].
///
/// The argument is a function from a capacity in bytes to a cache of [`Block`]s. Call it once a module.
///
/// ```
/// # #[cfg(test)]
/// mod eight_shards {
///     use lsmkit_blockcache::Clock;
///     lsmkit_blockcache::conformance!(|capacity_bytes| Clock::with_shards(capacity_bytes, 8));
/// }
/// ```
#[macro_export]
macro_rules! conformance {
    ($make:expr) => {
        $crate::conformance!(@laws $make;
            an_empty_cache_misses,
            what_easily_fits_is_found,
            get_gives_the_last_value_or_none,
            an_ask_is_a_get_with_an_opinion,
            never_above_capacity,
            what_is_found_is_paid_for,
            every_call_is_counted_once,
            a_value_above_the_capacity_is_refused,
            no_capacity_stores_nothing,
            handles_are_let_go,
            a_block_in_hand_outlives_its_eviction,
            threads_see_only_what_was_inserted,
            a_berth_holds_what_the_cache_holds,
            threads_find_in_berths_only_what_was_inserted,
        );
    };
    (@laws $make:expr; $($law:ident,)*) => {
        $(
            #[test]
            fn $law() {
                $crate::testkit::$law(&|capacity_bytes: usize| Box::new(($make)(capacity_bytes)));
            }
        )*
    };
}

/// A new cache has nothing, and says so.
pub fn an_empty_cache_misses(make: Make<'_>) {
    let cache = make(1 << 20);
    assert!((0..100).all(|n| cache.get(key(n)).is_none()));
    let usage = cache.usage();
    assert!(usage.capacity_bytes <= 1 << 20, "a capacity of {} for 1 MiB", usage.capacity_bytes);
    assert_eq!((usage.entries, usage.hits, usage.misses), (0, 0, 100));
}

/// Values that take a hundredth of the capacity together are not refused and not evicted.
pub fn what_easily_fits_is_found(make: Make<'_>) {
    let cache = make(64 << 20);
    for n in 0..160 {
        cache.insert(key(n), block(n, 0), 4096);
    }
    for n in 0..160 {
        assert_eq!(cache.get(key(n)), Some(block(n, 0)), "block {n}");
    }
    assert_eq!(cache.usage().entries, 160);
}

/// Through random inserts, replacements and gets: never an old value, never another key's.
pub fn get_gives_the_last_value_or_none(make: Make<'_>) {
    let mut random = Random(1);
    for capacity_bytes in [10_000, 200_000, 4 << 20] {
        let cache = make(capacity_bytes);
        let mut last = HashMap::new();
        let mut found = 0;
        for step in 0..30_000 {
            let n = random.below(400);
            if random.below(2) == 0 {
                let value = block(n, step);
                last.insert(n, value.clone());
                cache.insert(key(n), value, random.size(capacity_bytes));
            } else if let Some(value) = cache.get(key(n)) {
                assert_eq!(Some(&value), last.get(&n), "block {n} at step {step}, {capacity_bytes} bytes");
                found += 1;
            }
        }
        assert!(found > 0 || capacity_bytes < 100_000, "nothing is ever found with {capacity_bytes} bytes");
    }
}

/// Asking finds what a get finds and counts as one; what is unwanted is not there, and is taken in all the same.
pub fn an_ask_is_a_get_with_an_opinion(make: Make<'_>) {
    let mut random = Random(7);
    let cache = make(400_000);
    let mut last = HashMap::new();
    let (mut there, mut not_there, mut unwanted) = (0, 0, 0);
    for step in 0..30_000 {
        let n = random.below(1_000);
        match cache.ask(key(n)) {
            Asked::There(value) => {
                assert_eq!(Some(&value), last.get(&n), "block {n} at step {step}");
                there += 1;
                continue;
            }
            Asked::Wanted => {}
            Asked::Unwanted => {
                unwanted += 1;
                // Now and then somebody does not mind.
                if random.below(4) > 0 {
                    not_there += 1;
                    continue;
                }
            }
        }
        not_there += 1;
        let value = block(n, step);
        last.insert(n, value.clone());
        cache.insert(key(n), value, 4096);
        assert_eq!(cache.get(key(n)).as_ref(), last.get(&n), "block {n} right after it was inserted");
        there += 1;
    }
    let usage = cache.usage();
    assert_eq!((usage.hits, usage.misses, usage.unwanted), (there, not_there, unwanted), "{usage:?}");
}

/// Whatever is inserted, of whatever sizes: after each insert the cache is within its bytes.
pub fn never_above_capacity(make: Make<'_>) {
    let mut random = Random(2);
    for capacity_bytes in [0, 1, 64, 1_000, 5_000, 20_000, 300_000, 4 << 20] {
        let cache = make(capacity_bytes);
        for step in 0..5_000 {
            let n = random.below(2_000);
            // First many tiny values, so that what an entry costs by itself shows; later all sizes.
            let size_bytes = if step < 2_500 { step as usize % 3 } else { random.size(capacity_bytes) };
            cache.insert(key(n), block(n, step), size_bytes);
            let usage = cache.usage();
            assert!(usage.used_bytes <= usage.capacity_bytes, "{usage:?} at step {step}");
            assert!(usage.capacity_bytes <= capacity_bytes, "{usage:?} for {capacity_bytes} bytes");
        }
    }
}

/// The bytes in use are no less than the sizes of all that is found.
pub fn what_is_found_is_paid_for(make: Make<'_>) {
    let mut random = Random(3);
    let cache = make(1 << 20);
    let mut sizes = HashMap::new();
    for step in 0..3_000 {
        let n = random.below(1_000);
        let size_bytes = 500 + random.below(4_000) as usize;
        sizes.insert(n, size_bytes);
        cache.insert(key(n), block(n, step), size_bytes);
    }
    let found: Vec<usize> =
        sizes.iter().filter(|&(&n, _)| cache.get(key(n)).is_some()).map(|(_, &size)| size).collect();
    let usage = cache.usage();
    assert_eq!(usage.entries, found.len());
    assert!(found.iter().sum::<usize>() <= usage.used_bytes, "{usage:?}");
}

/// A get is a hit or a miss; an insert is taken in or refused; what was taken in is still there, was evicted,
/// or was replaced.
pub fn every_call_is_counted_once(make: Make<'_>) {
    let mut random = Random(4);
    let cache = make(300_000);
    let (mut hits, mut misses, mut inserts) = (0, 0, 0);
    for step in 0..20_000 {
        let n = random.below(500);
        if random.below(3) == 0 {
            cache.insert(key(n), block(n, step), random.size(300_000));
            inserts += 1;
        } else if cache.get(key(n)).is_some() {
            hits += 1;
        } else {
            misses += 1;
        }
        let usage = cache.usage();
        assert_eq!((usage.hits, usage.misses), (hits, misses));
        assert_eq!(usage.inserted + usage.refused, inserts);
        assert!(usage.evicted + usage.entries as u64 <= usage.inserted, "{usage:?}");
    }
}

/// Also if it replaced another, and though its size is beyond all counting.
pub fn a_value_above_the_capacity_is_refused(make: Make<'_>) {
    for size_bytes in [(1 << 20) + 1, usize::MAX / 2 + 1, usize::MAX - 1, usize::MAX] {
        let cache = make(1 << 20);
        cache.insert(key(1), block(1, 0), 100);
        cache.insert(key(1), block(1, 1), size_bytes);
        assert_eq!(cache.get(key(1)), None, "neither the old value nor the new one, of {size_bytes} bytes");
        cache.insert(key(2), block(2, 0), size_bytes);
        assert_eq!(cache.get(key(2)), None);
        let usage = cache.usage();
        assert_eq!((usage.refused, usage.entries), (2, 0));
        assert!(usage.used_bytes <= usage.capacity_bytes);
    }
}

/// A capacity of 0 takes not even a value of no bytes.
pub fn no_capacity_stores_nothing(make: Make<'_>) {
    let cache = make(0);
    for n in 0..100 {
        cache.insert(key(n), block(n, 0), n as usize);
        assert_eq!(cache.get(key(n)), None);
    }
    let usage = cache.usage();
    assert_eq!((usage.capacity_bytes, usage.used_bytes, usage.entries), (0, 0, 0));
    assert_eq!((usage.inserted, usage.refused, usage.misses), (0, 100, 100));
}

/// The cache holds one handle for each entry, none of what it evicted, replaced or refused, and none once
/// dropped.
pub fn handles_are_let_go(make: Make<'_>) {
    let mut random = Random(5);
    let cache = make(200_000);
    let mut offered = Vec::new();
    for step in 0..5_000 {
        let n = random.below(800);
        let value = block(n, step);
        cache.insert(key(n), value.clone(), random.size(200_000));
        offered.push(value);
    }
    let held = |offered: &[Block]| offered.iter().map(|value| Arc::strong_count(value) - 1).sum::<usize>();
    assert_eq!(held(&offered), cache.usage().entries);
    drop(cache);
    assert_eq!(held(&offered), 0);
}

/// A reader's block stays whole after the cache has let it go.
pub fn a_block_in_hand_outlives_its_eviction(make: Make<'_>) {
    let cache = make(1 << 20);
    cache.insert(key(0), block(0, 7), 1_000);
    let in_hand = cache.get(key(0));
    assert!(in_hand.is_some());
    for n in 1..20_000 {
        cache.insert(key(n), block(n, 0), 1_000);
    }
    assert!(cache.usage().evicted > 10_000);
    assert_eq!(in_hand, Some(block(0, 7)));
}

/// Threads that insert and get at once find only values of the key they ask for, the counts add up, and a
/// watcher never sees the cache above its capacity.
pub fn threads_see_only_what_was_inserted(make: Make<'_>) {
    const THREADS: u64 = 4;
    const STEPS: u64 = 20_000;
    let cache = make(400_000);
    let cache = &*cache;
    let gets: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    let mut random = Random(100 + thread);
                    let mut gets = 0;
                    for step in 0..STEPS {
                        let n = random.below(300);
                        match random.below(8) {
                            0..=1 => cache.insert(key(n), block(n, step), random.size(400_000)),
                            2 => {
                                let usage = cache.usage();
                                assert!(usage.used_bytes <= usage.capacity_bytes, "{usage:?}");
                            }
                            _ => {
                                gets += 1;
                                if let Some(value) = cache.get(key(n)) {
                                    assert_eq!(value[..8], n.to_le_bytes(), "a value of another key");
                                }
                            }
                        }
                    }
                    gets
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("because a failed assertion has been shown"))
            .sum()
    });
    let usage = cache.usage();
    assert_eq!(usage.hits + usage.misses, gets);
}

/// What is found in a berth is the last value of its key, and the cache has it too; of a value that was refused
/// or evicted no berth keeps anything. A cache that leaves nothing in berths does all of this.
pub fn a_berth_holds_what_the_cache_holds(make: Make<'_>) {
    let mut random = Random(6);
    for capacity_bytes in [10_000, 200_000, 4 << 20] {
        let cache = make(capacity_bytes);
        let berths = cache.berths(400);
        let mut last = HashMap::new();
        for step in 0..30_000 {
            let n = random.below(400);
            match random.below(4) {
                0 => {
                    let value = block(n, step);
                    last.insert(n, value.clone());
                    cache.insert_at(key(n), value, random.size(capacity_bytes), &berths, n as usize);
                }
                // By its key alone: the berth must not keep the value before.
                1 => {
                    let value = block(n, step);
                    last.insert(n, value.clone());
                    cache.insert(key(n), value, random.size(capacity_bytes));
                }
                _ => {
                    let berthed = berths.find(n as usize);
                    if let Some(value) = &berthed {
                        assert_eq!(
                            Some(&**value),
                            last.get(&n),
                            "block {n} at step {step}, {capacity_bytes} bytes"
                        );
                        assert_eq!(cache.get(key(n)).as_ref(), Some(&**value), "block {n} at step {step}");
                    }
                }
            }
        }
        let values: Vec<_> =
            (0..400).filter_map(|n| berths.find(n).map(|value| Arc::downgrade(&value))).collect();
        drop((cache, last));
        assert!(
            values.iter().all(|value| value.upgrade().is_some()),
            "a berth lost its value with the cache"
        );
        drop(berths);
        assert!(values.iter().all(|value| value.upgrade().is_none()), "a value outlived cache and berths");
    }
}

/// Many threads at once, more blocks than there is room for: whoever finds something finds a value of that block.
pub fn threads_find_in_berths_only_what_was_inserted(make: Make<'_>) {
    let cache = make(300_000);
    let berths = cache.berths(200);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (cache, berths) = (&cache, &berths);
            scope.spawn(move || {
                let mut random = Random(thread);
                for step in 0..20_000 {
                    let n = random.below(200);
                    match berths.find(n as usize) {
                        Some(value) => assert_eq!(value[..8], n.to_le_bytes(), "a value of another block"),
                        None => cache.insert_at(key(n), block(n, step), 4096, berths, n as usize),
                    }
                }
            });
        }
    });
    let usage = cache.usage();
    assert!(usage.used_bytes <= usage.capacity_bytes, "{usage:?}");
    let berthed = (0..200).filter(|&n| berths.find(n).is_some()).count();
    assert!(berthed <= usage.entries, "{berthed} in berths, {usage:?}");
}

/// Neighbouring blocks of a few tables.
fn key(n: u64) -> BlockKey {
    BlockKey { table: 1 + n % 3, block: n / 3 * 4096 }
}

/// A value that says for which key, and which of its values, it is.
fn block(n: u64, version: u64) -> Block {
    Arc::new(n.to_le_bytes().into_iter().chain(version.to_le_bytes()).collect())
}

/// SplitMix64: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (OOPSLA 2014).
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
        self.next() % bound
    }

    /// Mostly the size of a block, now and then nothing, much of the capacity, or more than it.
    fn size(&mut self, capacity_bytes: usize) -> usize {
        match self.below(50) {
            0 => 0,
            1 => self.below(capacity_bytes as u64 + 2) as usize,
            2 => capacity_bytes + 1,
            _ => 100 + self.below(5_000) as usize,
        }
    }
}
