//! How tables are written.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use lsmkit_base::KeyspaceId;
use lsmkit_bloom::{Blocked, FilterPolicy};

use crate::Compression;

/// How tables are written. Reading needs none of this but the filter policy: a table says itself how
/// it was written.
#[derive(Clone, Debug)]
pub struct TableOptions {
    pub(crate) block_bytes: usize,
    /// By level; the last goes for all deeper levels. Never empty.
    pub(crate) compression: Vec<Compression>,
    pub(crate) filter: Arc<dyn FilterPolicy>,
    pub(crate) filter_prefix_bytes: usize,
    pub(crate) pinned_bytes_max: usize,
    pub(crate) keyspace: Option<(KeyspaceId, String)>,
    pub(crate) uid_seed: u64,
}

impl Default for TableOptions {
    /// Blocks of 4 KiB, not compressed, a Bloom filter of ten bits a key, a random seed.
    fn default() -> TableOptions {
        TableOptions {
            block_bytes: 4 << 10,
            compression: vec![Compression::None],
            filter: Arc::new(Blocked::bits_per_key(10.0)),
            filter_prefix_bytes: 0,
            pinned_bytes_max: usize::MAX,
            keyspace: None,
            // The standard library seeds its hash maps at random: enough for numbers that need only differ.
            uid_seed: RandomState::new().hash_one(0),
        }
    }
}

impl TableOptions {
    /// The block lengths that [`TableOptions::block_bytes`] takes.
    pub const BLOCK_BYTES: std::ops::RangeInclusive<usize> = 64..=1 << 20;

    /// The defaults; see [`TableOptions::default`].
    pub fn new() -> TableOptions {
        TableOptions::default()
    }

    /// Cuts blocks at about so many bytes before compression; a larger entry gets a block to itself.
    ///
    /// A lookup reads one block, so small ones serve lookups that miss the cache, and large ones
    /// compress better and make a smaller index.
    ///
    /// # Panics
    ///
    /// Where `block_bytes` is not within [`TableOptions::BLOCK_BYTES`].
    #[must_use]
    pub fn block_bytes(mut self, block_bytes: usize) -> TableOptions {
        assert!(
            Self::BLOCK_BYTES.contains(&block_bytes),
            "block bytes: {block_bytes} is not within 64 to 1 Mi"
        );
        self.block_bytes = block_bytes;
        self
    }

    /// Compresses the tables of all levels in one way.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> TableOptions {
        self.compression = vec![compression];
        self
    }

    /// Compresses the tables of level 0 with the first, those of level 1 with the second, and so on;
    /// the last goes for all deeper levels.
    ///
    /// # Panics
    ///
    /// Where `by_level` is empty.
    #[must_use]
    pub fn compression_by_level(mut self, by_level: Vec<Compression>) -> TableOptions {
        assert!(!by_level.is_empty(), "compression by level names at least one level's");
        self.compression = by_level;
        self
    }

    /// Builds filters by this policy, and probes those filters that bear its name.
    #[must_use]
    pub fn filter(mut self, filter: Arc<dyn FilterPolicy>) -> TableOptions {
        self.filter = filter;
        self
    }

    /// Puts the first so many bytes of each key that is as long into the filters as well, so that a scan of keys that all
    /// begin with the same so many bytes passes over tables that have none. Each such beginning takes room like a key.
    /// 0, the default, for none. A table says itself how it was written.
    #[must_use]
    pub fn filter_prefix_bytes(mut self, bytes: usize) -> TableOptions {
        self.filter_prefix_bytes = bytes;
        self
    }

    /// How large the index and the filter of a table may be together to be kept in memory for as long as the table is open. Those of
    /// larger ones are cut up into parts of some kilobytes that are read when they are needed and kept in the cache, so that the
    /// memory of many and large tables is bounded by that of the cache; a look-up then goes through up to three
    /// blocks of the cache rather than one. The default has no limit. A table says itself how it was written, and is read
    /// so whatever the limit is then.
    #[must_use]
    pub fn pinned_bytes_max(mut self, bytes: usize) -> TableOptions {
        self.pinned_bytes_max = bytes;
        self
    }

    /// Writes the keyspace's number and name into each table, for whoever has only the file.
    #[must_use]
    pub fn keyspace(mut self, keyspace: KeyspaceId, name: &str) -> TableOptions {
        self.keyspace = Some((keyspace, name.to_owned()));
        self
    }

    /// Derives the tables' unique numbers from `seed` and their ids, so that a simulation repeats.
    ///
    /// Give each store, and each opening of it, another seed: a unique number that comes twice is no
    /// longer proof against a stale block.
    #[must_use]
    pub fn uid_seed(mut self, seed: u64) -> TableOptions {
        self.uid_seed = seed;
        self
    }

    pub(crate) fn compression_at(&self, level: u32) -> Compression {
        let deepest = self.compression.len() - 1;
        self.compression[deepest.min(level as usize)]
    }
}
