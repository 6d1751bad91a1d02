//! What every engine is set to.

use std::fmt;

use clap::ValueEnum;

/// The settings that are made equal for all engines of a run. What an engine adds of its own stands
/// in `docs/peers.md`, side by side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The block cache; of engines that map their file, nothing.
    pub cache_bytes: usize,
    /// A memtable.
    pub memtable_bytes: usize,
    /// A data block before compression.
    pub block_bytes: usize,
    /// Bits of a Bloom filter for each key.
    pub filter_bits_per_key: u8,
    /// Threads that flush and compact.
    pub background_threads: usize,
    /// How data blocks are compressed.
    pub compression: Compression,
    /// How safe a write is once it returns.
    pub durability: Durability,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            cache_bytes: 512 << 20,
            memtable_bytes: 64 << 20,
            block_bytes: 4096,
            filter_bits_per_key: 10,
            background_threads: 2,
            compression: Compression::Lz4,
            durability: Durability::Buffered,
        }
    }
}

/// How data blocks are compressed, on every level.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Compression {
    /// LZ4.
    Lz4,
    /// Not at all.
    None,
}

/// What a write survives once it has returned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, ValueEnum)]
pub enum Durability {
    /// The end of the process, killed or not.
    Buffered,
    /// A power failure as well: it was synced to the disk.
    Synced,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compression::Lz4 => "lz4",
            Compression::None => "none",
        })
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Durability::Buffered => "buffered",
            Durability::Synced => "synced",
        })
    }
}
