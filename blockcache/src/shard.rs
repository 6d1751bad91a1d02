//! One shard of the cache: which blocks to keep, and the lock around it.
//!
//! The policy is S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi, "FIFO Queues are All You Need for Cache Eviction",
//! SOSP 2023) with sizes in bytes. A newcomer enters the small queue, a part of the capacity. One that is
//! asked for twice before it reaches the end of it moves to the main queue; the others leave, and only their
//! keys are remembered for a while (the ghost). A newcomer whose key is remembered enters the main queue at
//! once. The main queue is a CLOCK: what was used since it passed the hand gets another round. So a scan,
//! which asks once for each block, runs through the small queue and leaves the main queue alone.
//!
//! Where newcomers are hardly ever asked for again, to take one in and put another out is work for nothing. Then those
//! whose keys are not remembered are turned away, once the cache is full, and only their keys are kept
//! ([`Newcomers`]).
//!
//! A hit moves nothing: it takes the lock shared, and counts a use in the entry; one in a berth takes no lock,
//! and counts there. All else takes the lock exclusively. Values that leave are taken out of their berths and
//! dropped after the lock is released, since both take a while.
//!
//! Invariants:
//! 1. `used_bytes` is at most `capacity_bytes` whenever the lock is free.
//! 2. The index leads from each entry's tag to its slot, and nowhere else.

use arc_swap::RefCnt;

use crate::berths::Berth;
use crate::ghost::Ghost;
use crate::index::{Index, cells_for};
use crate::newcomers::Newcomers;
use crate::slots::{Entrant, Place, Slots};
use crate::sync::{AtomicU64, Ordering, RwLock, RwLockReadGuard, RwLockWriteGuard};
use crate::{Asked, BlockKey};

/// A part of the cache with a lock of its own.
///
/// Aligned so that no two shards share a cache line, nor the pair of lines that some processors fetch
/// together.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Shard<V: RefCnt> {
    state: RwLock<State<V>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What a shard holds and what it counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShardUsage {
    pub(crate) used_bytes: usize,
    pub(crate) entries: usize,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) inserted: u64,
    pub(crate) evicted: u64,
    pub(crate) refused: u64,
    pub(crate) unwanted: u64,
}

impl<V: RefCnt> Shard<V> {
    pub(crate) fn new(capacity_bytes: usize) -> Self {
        let state = State {
            index: Index::default(),
            slots: Slots::new(),
            ghost: Ghost::default(),
            capacity_bytes,
            inserted: 0,
            evicted: 0,
            refused: 0,
            newcomers: Newcomers::default(),
            unwanted: 0,
        };
        Shard { state: RwLock::new(state), hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    #[inline]
    pub(crate) fn get(&self, key: BlockKey, tag: u32) -> Option<V> {
        let value = self.read().use_value(key, tag);
        self.count(value.is_some());
        value
    }

    #[inline]
    pub(crate) fn ask(&self, key: BlockKey, tag: u32) -> Asked<V> {
        let state = self.read();
        let value = state.use_value(key, tag);
        let is_choosy = value.is_none() && !state.newcomers.are_welcome() && state.is_full();
        drop(state);
        self.count(value.is_some());
        match value {
            Some(value) => Asked::There(value),
            None if is_choosy && !self.write().wants(tag) => Asked::Unwanted,
            None => Asked::Wanted,
        }
    }

    /// Counts a hit or a miss.
    #[inline]
    fn count(&self, is_hit: bool) {
        let counter = if is_hit { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn insert(
        &self,
        key: BlockKey,
        tag: u32,
        value: V,
        size_bytes: usize,
        berth: Option<Berth<V>>,
    ) {
        let mut leaving = Leaving::default();
        let mut state = self.write();
        state.insert(key, tag, value, size_bytes, berth, &mut leaving);
        drop(state);
        drop(leaving);
    }

    pub(crate) fn usage(&self) -> ShardUsage {
        let state = self.read();
        ShardUsage {
            used_bytes: state.used_bytes(),
            entries: state.slots.occupied(),
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            inserted: state.inserted,
            evicted: state.evicted,
            refused: state.refused,
            unwanted: state.unwanted,
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State<V>> {
        self.state.read().expect(NEVER_POISONED)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<V>> {
        self.state.write().expect(NEVER_POISONED)
    }
}

const NEVER_POISONED: &str =
    "because nothing panics under the exclusive lock: values are dropped outside of it";

#[derive(Debug)]
struct State<V: RefCnt> {
    index: Index,
    slots: Slots<V>,
    ghost: Ghost,
    capacity_bytes: usize,
    inserted: u64,
    evicted: u64,
    refused: u64,
    newcomers: Newcomers,
    unwanted: u64,
}

impl<V: RefCnt> State<V> {
    #[inline]
    fn find(&self, key: BlockKey, tag: u32) -> Option<u32> {
        self.index.find(tag, |slot| self.slots.holds(slot, key))
    }

    /// The value under `key`, if it is there, which is a use of it.
    #[inline]
    fn use_value(&self, key: BlockKey, tag: u32) -> Option<V> {
        self.find(key, tag).and_then(|slot| self.slots.use_value(slot))
    }

    fn insert(
        &mut self,
        key: BlockKey,
        tag: u32,
        value: V,
        size_bytes: usize,
        berth: Option<Berth<V>>,
        leaving: &mut Leaving<V>,
    ) {
        // A block read twice at once is inserted twice; the second keeps the place the first has earned.
        let (place, uses) = match self.find(key, tag) {
            Some(slot) => {
                self.index.remove(tag, slot);
                let replaced = self.slots.remove(slot);
                let (place, uses) = (replaced.place, replaced.uses);
                leaving.push(replaced.value, replaced.berth);
                (place, uses)
            }
            None if self.ghost.recall(tag, self.slots.occupied()) => (Place::Main, 0),
            None => (Place::Small, 0),
        };
        if size_bytes > self.capacity_bytes / 2 || !self.make_room(size_bytes, leaving) {
            self.refused += 1;
            leaving.push(value, None);
            return;
        }
        if self.index.is_full() {
            self.resize_tables(self.slots.occupied());
        }
        // Under the lock: whoever evicts the value comes later, and takes it out of the berth.
        if let Some(berth) = &berth {
            berth.put(value.clone());
        }
        let slot = self.slots.push(Entrant { key, value, size_bytes, berth }, place, uses);
        self.index.insert(tag, slot);
        self.inserted += 1;
    }

    /// Whether another block would put one out.
    fn is_full(&self) -> bool {
        let entries = self.slots.occupied();
        let used_bytes = self.used_bytes();
        entries > 0 && self.capacity_bytes - used_bytes < 2 * used_bytes / entries
    }

    /// Whether the block with this tag, which is not there, should be put in the place of another.
    fn wants(&mut self, tag: u32) -> bool {
        let is_known = self.ghost.knows(tag, self.slots.occupied());
        self.newcomers.note(is_known);
        if is_known {
            return true;
        }
        self.ghost.remember(tag);
        self.unwanted += 1;
        false
    }

    /// Evicts until a value of `size_bytes` fits, with what its entry adds to the tables. `false` if it never
    /// will.
    fn make_room(&mut self, size_bytes: usize, leaving: &mut Leaving<V>) -> bool {
        loop {
            let needed = self.used_bytes() + size_bytes + self.growth_bytes();
            if needed <= self.capacity_bytes {
                return true;
            }
            match self.choose_victim() {
                Some(slot) => self.evict(slot, leaving),
                // The tables of entries that are gone may be what fills a very small capacity.
                None if self.slots.size_bytes() > 0 => self.shrink(),
                None => return false,
            }
        }
    }

    /// The entry to evict next; moves those that earned to stay out of its way. `None` if there are no
    /// entries.
    fn choose_victim(&mut self) -> Option<u32> {
        let mut chances_left = SECOND_CHANCES_MAX;
        loop {
            let small_is_due = self.slots.bytes_in(Place::Small) > self.capacity_bytes / SMALL_SHARE;
            let (first, second) =
                if small_is_due { (Place::Small, Place::Main) } else { (Place::Main, Place::Small) };
            let (place, (slot, uses)) = match self.slots.oldest(first) {
                Some(oldest) => (first, oldest),
                None => (second, self.slots.oldest(second)?),
            };
            let (stays, uses_left) = match place {
                Place::Small => (uses >= USES_TO_STAY, 0),
                Place::Main => (uses > 0, uses.saturating_sub(1)),
            };
            if place == Place::Small {
                self.newcomers.note(uses > 0);
            }
            if !stays || chances_left == 0 {
                return Some(slot);
            }
            self.slots.move_to_tail(slot, Place::Main, uses_left);
            chances_left -= 1;
        }
    }

    fn evict(&mut self, slot: u32, leaving: &mut Leaving<V>) {
        let removed = self.slots.remove(slot);
        let tag = removed.key.tag();
        self.index.remove(tag, slot);
        if removed.place == Place::Small {
            self.ghost.remember(tag);
        }
        leaving.push(removed.value, removed.berth);
        self.evicted += 1;
        if self.slots.is_sparse() {
            self.shrink();
        }
    }

    /// Gives back the table space of many small entries after they made room for few large ones.
    fn shrink(&mut self) {
        let entries = self.slots.occupied();
        let mut index = Index::default().resized_for(entries);
        let slots = std::mem::replace(&mut self.slots, Slots::new());
        self.slots = slots.compact(|key, slot| index.insert(key.tag(), slot));
        self.ghost = self.ghost.resized(index.cells());
        self.index = index;
    }

    fn resize_tables(&mut self, entries: usize) {
        self.index = self.index.resized_for(entries);
        self.ghost = self.ghost.resized(self.index.cells());
    }

    /// The bytes of the values and of the tables, as allocated.
    fn used_bytes(&self) -> usize {
        self.slots.bytes_in(Place::Small)
            + self.slots.bytes_in(Place::Main)
            + self.slots.size_bytes()
            + self.index.size_bytes()
            + self.ghost.size_bytes()
    }

    /// By how many bytes the tables grow if an entry is added.
    fn growth_bytes(&self) -> usize {
        let index_and_ghost = if self.index.is_full() {
            2 * (cells_for(self.slots.occupied()) - self.index.cells()) * size_of::<u64>()
        } else {
            0
        };
        index_and_ghost + self.slots.growth_bytes()
    }
}

/// The small queue gets a twentieth. In `benches/hit_rate.rs` that does half a point better than the tenth of
/// S3-FIFO with skewed reads, and half a point worse with loops.
const SMALL_SHARE: usize = 20;

/// How often a newcomer must be asked for to stay: S3-FIFO, section 4.1.
const USES_TO_STAY: u8 = 2;

/// The hand of the clock stops at the latest after so many entries, so that an insert holds the lock for
/// microseconds even where everything has been used.
const SECOND_CHANCES_MAX: u32 = 1024;

/// Values on their way out, with the berths they stand in. The first, mostly the only one, takes no allocation.
struct Leaving<V: RefCnt> {
    first: Option<(V, Option<Berth<V>>)>,
    more: Vec<(V, Option<Berth<V>>)>,
}

impl<V: RefCnt> Default for Leaving<V> {
    fn default() -> Self {
        Leaving { first: None, more: Vec::new() }
    }
}

impl<V: RefCnt> Leaving<V> {
    fn push(&mut self, value: V, berth: Option<Berth<V>>) {
        match self.first {
            None => self.first = Some((value, berth)),
            Some(_) => self.more.push((value, berth)),
        }
    }
}

impl<V: RefCnt> Drop for Leaving<V> {
    fn drop(&mut self) {
        for (value, berth) in self.first.iter().chain(&self.more) {
            if let Some(berth) = berth {
                berth.clear(value);
            }
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::sync::Arc;

    use super::*;

    const BLOCK_BYTES: usize = 1000;

    fn key(n: u64) -> BlockKey {
        BlockKey { table: n, block: 0 }
    }

    /// Room for about 180 blocks; the small queue's part is ten.
    fn state() -> State<Arc<u64>> {
        Shard::new(200 * BLOCK_BYTES).state.into_inner().unwrap()
    }

    fn insert(state: &mut State<Arc<u64>>, n: u64) {
        state.insert(key(n), key(n).tag(), Arc::new(n), BLOCK_BYTES, None, &mut Leaving::default());
    }

    fn get(state: &State<Arc<u64>>, n: u64) -> bool {
        let slot = state.find(key(n), key(n).tag());
        slot.is_some_and(|slot| state.slots.use_value(slot) == Some(Arc::new(n)))
    }

    #[test]
    fn a_shard_takes_256_bytes() {
        assert_eq!(size_of::<Shard<Arc<u64>>>(), 256);
    }

    #[test]
    fn newcomers_leave_in_the_order_they_came() {
        let mut state = state();
        (0..300).for_each(|n| insert(&mut state, n));
        let left = state.evicted;
        assert!(left > 100);
        assert!((0..left).all(|n| !get(&state, n)) && (left..300).all(|n| get(&state, n)));
    }

    #[test]
    fn one_use_is_not_enough_to_stay_and_two_are() {
        let mut state = state();
        (0..100).for_each(|n| insert(&mut state, n));
        assert!((0..20).all(|n| get(&state, n)) && (0..10).all(|n| get(&state, n)));
        (100..400).for_each(|n| insert(&mut state, n));
        assert!((0..10).all(|n| get(&state, n)));
        assert!((10..100).all(|n| !get(&state, n)));
        assert_eq!(state.slots.bytes_in(Place::Main), 10 * BLOCK_BYTES);
    }

    #[test]
    fn what_comes_back_soon_stays() {
        let mut state = state();
        (0..300).for_each(|n| insert(&mut state, n));
        let lately = state.evicted - 1;
        insert(&mut state, lately);
        assert_eq!(state.slots.bytes_in(Place::Main), BLOCK_BYTES);
        (1000..1500).for_each(|n| insert(&mut state, n));
        assert!(get(&state, lately));
        insert(&mut state, 0);
        assert_eq!(state.slots.bytes_in(Place::Main), BLOCK_BYTES, "block 0 was evicted too long ago");
    }

    #[test]
    fn replacing_keeps_the_place() {
        let mut state = state();
        insert(&mut state, 7);
        assert!(get(&state, 7) && get(&state, 7));
        (10..300).for_each(|n| insert(&mut state, n));
        assert_eq!(state.slots.bytes_in(Place::Main), BLOCK_BYTES);
        insert(&mut state, 7);
        assert_eq!(state.slots.bytes_in(Place::Main), BLOCK_BYTES);
        assert_eq!(state.inserted, 292);
    }

    #[test]
    fn the_hand_stops_though_everything_was_used() {
        let mut state: State<Arc<u64>> = Shard::new(5_000 * BLOCK_BYTES).state.into_inner().unwrap();
        let mut n = 0;
        while state.evicted == 0 {
            insert(&mut state, n);
            (0..10).for_each(|_| assert!(get(&state, n)));
            n += 1;
        }
        // The first of them, which got its second chance, was given up all the same.
        assert_eq!(state.evicted, 1);
        assert!(n > u64::from(SECOND_CHANCES_MAX) + 2);
        assert_eq!(state.slots.bytes_in(Place::Main), SECOND_CHANCES_MAX as usize * BLOCK_BYTES);
    }
}
