//! `BlockCache`: what a store asks of the memory in front of its tables.

use std::sync::Arc;

use arc_swap::RefCnt;

use crate::Berths;

/// Which block it is, of which table.
///
/// A table never changes and its number is never used again, so a key means one content for ever. That is why
/// nothing has to be removed when a table goes: its blocks are asked for no more, and age out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BlockKey {
    /// The number of the table, unique in all that shares the cache.
    pub table: u64,
    /// Its offset in the table's file, or its number: whichever the table's readers agree on.
    pub block: u64,
}

/// A cache of immutable blocks, bounded in bytes and shared by many threads.
///
/// `V` is a cheap handle, one word wide, such as an `Arc` of a sized type: a hit clones it, and a block that a
/// reader still holds outlives its eviction. The bytes of such blocks are the reader's, no longer the cache's.
///
/// The trait is object-safe and meant to be shared as `Arc<dyn BlockCache<V>>`. No method does I/O; all may
/// wait for a short lock. [`conformance!`](crate::conformance) (feature `testkit`) tests an implementation
/// against this contract.
pub trait BlockCache<V: RefCnt + Send + Sync>: Send + Sync {
    /// The value inserted last under `key`, if it is still there. Counts a hit or a miss.
    fn get(&self, key: BlockKey) -> Option<V>;

    /// As [`BlockCache::get`]; of a block that is not there also whether it is worth its while to insert it.
    ///
    /// A cache that is full may say no to a block that it does not know, rather than put another out for it. Who
    /// inserts it all the same does no harm.
    fn ask(&self, key: BlockKey) -> Asked<V> {
        self.get(key).map_or(Asked::Wanted, Asked::There)
    }

    /// Offers a value that holds `size_bytes` bytes, the handle's allocation included.
    ///
    /// Room is made by evicting others. The cache may refuse the value, for instance because it is too large;
    /// even then a value that stood under `key` is gone.
    fn insert(&self, key: BlockKey, value: V, size_bytes: usize);

    /// A berth for each of the `len` blocks of a file, for [`BlockCache::insert_at`]. None, unless the cache
    /// leaves blocks in berths: then nothing is ever found there, and a reader asks [`BlockCache::get`].
    fn berths(&self, len: usize) -> Arc<Berths<V>> {
        let _ = len;
        Arc::new(Berths::none())
    }

    /// As [`BlockCache::insert`], and leaves the value in berth `at` of `berths`, which is that key's and no other's,
    /// for as long as the cache holds it. One that came by another set of berths is found there no more.
    fn insert_at(&self, key: BlockKey, value: V, size_bytes: usize, berths: &Arc<Berths<V>>, at: usize) {
        let _ = (berths, at);
        self.insert(key, value, size_bytes);
    }

    /// The state of the cache and the counts since it was made.
    ///
    /// Under concurrent use the parts may stem from slightly different moments, but `used_bytes` is never
    /// above `capacity_bytes`.
    fn usage(&self) -> CacheUsage;
}

/// What a cache says of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked<V> {
    /// Here it is.
    There(V),
    /// It is not there, and would be welcome.
    Wanted,
    /// It is not there, and need not be inserted.
    Unwanted,
}

/// What a cache holds, and how it has fared since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct CacheUsage {
    /// The bytes the cache may use.
    pub capacity_bytes: usize,
    /// The bytes it uses: those of the values, and its own for keeping them.
    pub used_bytes: usize,
    /// The values it holds.
    pub entries: usize,
    /// Calls of `get` and of `ask` that found a value, and values found in berths.
    pub hits: u64,
    /// Calls of `get` and of `ask` that found none.
    pub misses: u64,
    /// Values taken in, those included that replaced another of the same key.
    pub inserted: u64,
    /// Values put out to make room.
    pub evicted: u64,
    /// Values not taken in.
    pub refused: u64,
    /// Times that [`BlockCache::ask`] was told [`Asked::Unwanted`]; misses, too.
    pub unwanted: u64,
}

impl CacheUsage {
    /// The share of gets that were hits, from 0 to 1; 0 before the first get.
    pub fn hit_rate(&self) -> f64 {
        match self.hits + self.misses {
            0 => 0.0,
            gets => self.hits as f64 / gets as f64,
        }
    }
}

impl BlockKey {
    /// 64 well-mixed bits: the high half chooses a shard, the low half is the tag within it.
    ///
    /// Two folded multiplications (the high and the low half of a 128-bit product, combined). One alone
    /// leaves keys of consecutive tables and aligned offsets clustered; after two, a test cannot tell the
    /// bits from random ones. Nothing here resists chosen keys: offsets and table numbers come from the store
    /// itself.
    #[inline]
    pub(crate) fn mix(self) -> u64 {
        // Any odd numbers without pattern: the fractions of the golden ratio and of the square root of 3, 2,
        // 5.
        let both = fold(self.table ^ 0x9e37_79b9_7f4a_7c15, self.block ^ 0xbb67_ae85_84ca_a73b);
        fold(both, 0x6a09_e667_f3bc_c909)
    }

    /// The part of the mixed bits that a shard knows the key by.
    pub(crate) fn tag(self) -> u32 {
        self.mix() as u32
    }
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hit_rate_of_no_gets_is_zero() {
        assert_eq!(CacheUsage::default().hit_rate(), 0.0);
        assert_eq!(CacheUsage { hits: 3, misses: 1, ..CacheUsage::default() }.hit_rate(), 0.75);
    }

    /// Aligned, unaligned and numbered blocks of one table, of neighbouring and of far apart tables fill the cells of a
    /// 256 × 256 grid of high and low bits like random numbers do.
    #[test]
    fn the_bits_of_real_keys_are_well_mixed() {
        const KEYS: u64 = 1 << 18;
        for (tables, table_step, block_bytes) in
            [(1, 1, 4096), (100, 1, 4096), (1000, 1 << 20, 4096), (50, 1, 4019), (50, 1, 1)]
        {
            let mut cells = vec![0u32; 1 << 16];
            let mut tags = Vec::new();
            for i in 0..KEYS {
                let key = BlockKey { table: (1 + i % tables) * table_step, block: i / tables * block_bytes };
                let mixed = key.mix();
                cells[(mixed >> 56 << 8 | mixed & 0xff) as usize] += 1;
                tags.push(mixed as u32);
            }
            let mean = KEYS as f64 / cells.len() as f64;
            let chi_squared: f64 = cells.iter().map(|&count| (f64::from(count) - mean).powi(2) / mean).sum();
            // 65,535 degrees of freedom: a standard deviation of 362.
            assert!((chi_squared - 65_535.0).abs() < 5.0 * 362.0, "{tables} tables: χ² = {chi_squared}");
            tags.sort_unstable();
            let twins = tags.windows(2).filter(|pair| pair[0] == pair[1]).count();
            // Eight are expected of 2^18 numbers of 32 bits.
            assert!(twins < 25, "{tables} tables: {twins} pairs of equal tags");
        }
    }
}
