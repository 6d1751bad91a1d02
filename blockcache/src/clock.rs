//! `Clock`: the cache most stores use.

use std::fmt;
use std::sync::Arc;

use arc_swap::RefCnt;
use lsmkit_base::Counters;

use crate::berths::Berth;
use crate::shard::Shard;
use crate::{Asked, Berths, BlockCache, BlockKey, CacheUsage};

/// A sharded cache that keeps what is asked for again and lets a scan pass through.
///
/// Blocks are spread over shards by their key. Each shard has a lock of its own, which a hit takes shared and
/// for a few nanoseconds, and an equal share of the capacity, within which it follows S3-FIFO (SOSP 2023):
/// CLOCK, with a small queue in front in which newcomers prove themselves. Where hardly any does, a full cache says to
/// [`BlockCache::ask`] that it wants only those that come a second time.
///
/// `used_bytes` counts the sizes given with the values and every byte of the shards' tables: 64 bytes for each
/// slot (of a handle of 8 bytes, such as an `Arc` of a sized type), with up to a quarter of them vacant, and 22
/// to 43 bytes for the key's place in the index and in the memory of evicted keys. That makes 86 to 125 bytes an
/// entry, 2 to 3 % with blocks of 4 KiB; up to twice that after large blocks have put out small ones. It is
/// never above the capacity. Not counted: 256 bytes for each shard, berths (nine bytes for each block of a file,
/// for as long as it is open or a block of it is cached), the old copy of a table while it moves to one of another
/// size, and blocks that were evicted while a reader still holds them.
///
/// A value larger than half a shard's share is refused, since it would put out most of its neighbours. A
/// capacity of 0 stores nothing.
pub struct Clock<V: RefCnt> {
    shards: Box<[Shard<V>]>,
    /// What was found in berths.
    berth_hits: Arc<Counters<1>>,
    capacity_bytes: usize,
}

impl<V: RefCnt + Send + Sync> Clock<V> {
    /// A cache of so many bytes, in as many shards as leave each at least 2 MiB, from 1 to 256.
    ///
    /// So any value up to 1 MiB is taken, if the capacity is at least 2 MiB. Nothing is allocated for blocks
    /// before they come.
    pub fn new(capacity_bytes: usize) -> Self {
        let shards = (capacity_bytes / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
        // Rounded down, so that the shares don't fall below the minimum.
        Self::with_shards(capacity_bytes, 1 << shards.ilog2())
    }

    /// A cache of so many bytes in so many shards.
    ///
    /// More shards let more threads insert at once; fewer take larger values, and use the capacity more
    /// evenly.
    ///
    /// # Panics
    ///
    /// If `shards` is not a power of two, or more than 65,536.
    pub fn with_shards(capacity_bytes: usize, shards: usize) -> Self {
        assert!(
            shards.is_power_of_two() && shards <= 1 << 16,
            "{shards} shards: not a power of two up to 65,536"
        );
        let share = capacity_bytes / shards;
        let shards = (0..shards).map(|_| Shard::new(share)).collect();
        Clock { shards, berth_hits: Arc::default(), capacity_bytes }
    }

    #[inline]
    fn shard(&self, mixed: u64) -> &Shard<V> {
        // The high half times the number of shards, scaled back: for a power of two, its top bits.
        let shard = ((mixed >> 32) * self.shards.len() as u64) >> 32;
        &self.shards[shard as usize]
    }
}

/// Small enough that growing a shard's tables, which takes its lock, is done in tens of microseconds.
const SHARD_BYTES_MIN: usize = 2 << 20;
const SHARDS_MAX: usize = 256;

impl<V: RefCnt + Send + Sync> BlockCache<V> for Clock<V> {
    #[inline]
    fn get(&self, key: BlockKey) -> Option<V> {
        let mixed = key.mix();
        self.shard(mixed).get(key, mixed as u32)
    }

    fn ask(&self, key: BlockKey) -> Asked<V> {
        let mixed = key.mix();
        self.shard(mixed).ask(key, mixed as u32)
    }

    fn insert(&self, key: BlockKey, value: V, size_bytes: usize) {
        let mixed = key.mix();
        self.shard(mixed).insert(key, mixed as u32, value, size_bytes, None);
    }

    fn berths(&self, len: usize) -> Arc<Berths<V>> {
        // Nothing would ever stand there.
        let len = if self.capacity_bytes == 0 { 0 } else { len };
        Arc::new(Berths::new(len, &self.berth_hits))
    }

    fn insert_at(&self, key: BlockKey, value: V, size_bytes: usize, berths: &Arc<Berths<V>>, at: usize) {
        let mixed = key.mix();
        let berth = Berth { of: Arc::clone(berths), at };
        self.shard(mixed).insert(key, mixed as u32, value, size_bytes, Some(berth));
    }

    fn usage(&self) -> CacheUsage {
        let mut usage = CacheUsage { capacity_bytes: self.capacity_bytes, ..CacheUsage::default() };
        for shard in self.shards.iter().map(Shard::usage) {
            usage.used_bytes += shard.used_bytes;
            usage.entries += shard.entries;
            usage.hits += shard.hits;
            usage.misses += shard.misses;
            usage.inserted += shard.inserted;
            usage.evicted += shard.evicted;
            usage.refused += shard.refused;
            usage.unwanted += shard.unwanted;
        }
        usage.hits += self.berth_hits.total(0);
        usage
    }
}

impl<V: RefCnt + Send + Sync> fmt::Debug for Clock<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("shards", &self.shards.len()).field("usage", &self.usage()).finish()
    }
}
