//! What every engine is set to.

use std::fmt;

use clap::ValueEnum;

/// The settings that are made equal for all engines of a run. What an engine adds of its own stays
/// at its default; the README sets the two side by side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) cache_bytes: usize,
    pub(crate) memtable_bytes: usize,
    pub(crate) block_bytes: usize,
    pub(crate) filter_bits_per_key: u8,
    pub(crate) background_threads: usize,
    pub(crate) compression: Compression,
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
        }
    }
}

/// How data blocks are compressed, on every level.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Compression {
    Lz4,
    None,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compression::Lz4 => "lz4",
            Compression::None => "none",
        })
    }
}
