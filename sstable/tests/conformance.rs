//! The crate's own tables, through its conformance kit, written in every way.

use std::path::Path;
use std::sync::Arc;

use lsmkit_blockcache::Clock;
use lsmkit_bloom::NoFilter;
use lsmkit_sstable::{BlockTables, Compression, TableOptions};
use lsmkit_vfs::Fs;

fn tables(fs: Arc<dyn Fs>, dir: &Path, options: TableOptions) -> BlockTables {
    BlockTables::new(fs, dir.to_path_buf(), options, Arc::new(Clock::new(64 << 20)))
}

mod by_default {
    lsmkit_sstable::conformance!(|fs, dir: &std::path::Path| crate::tables(fs, dir, Default::default()));
}

mod in_small_blocks {
    use super::*;
    lsmkit_sstable::conformance!(|fs, dir: &Path| tables(fs, dir, TableOptions::new().block_bytes(128)));
}

mod in_parts {
    use super::*;
    lsmkit_sstable::conformance!(|fs, dir: &Path| {
        tables(fs, dir, TableOptions::new().block_bytes(64).pinned_bytes_max(0))
    });
}

mod in_parts_of_which_the_cache_has_few {
    use super::*;
    lsmkit_sstable::conformance!(|fs, dir: &Path| {
        let options = TableOptions::new().block_bytes(64).pinned_bytes_max(0).filter_prefix_bytes(2);
        BlockTables::new(fs, dir.to_path_buf(), options, Arc::new(Clock::new(20_000)))
    });
}

mod in_parts_without_a_filter {
    use super::*;
    lsmkit_sstable::conformance!(|fs, dir: &Path| {
        tables(fs, dir, TableOptions::new().pinned_bytes_max(0).filter(Arc::new(NoFilter)))
    });
}

mod with_prefixes_in_the_filter {
    use super::*;
    lsmkit_sstable::conformance!(|fs, dir: &Path| {
        tables(fs, dir, TableOptions::new().block_bytes(256).filter_prefix_bytes(3))
    });
}

mod in_large_blocks_without_a_filter {
    use super::*;
    lsmkit_sstable::conformance!(|fs, dir: &Path| {
        tables(fs, dir, TableOptions::new().block_bytes(64 << 10).filter(Arc::new(NoFilter)))
    });
}

#[cfg(feature = "snappy")]
mod by_snappy {
    use super::*;
    lsmkit_sstable::conformance!(|fs, dir: &Path| {
        tables(fs, dir, TableOptions::new().block_bytes(512).compression(Compression::Snappy))
    });
}

#[cfg(feature = "lz4")]
mod by_lz4 {
    use super::*;
    lsmkit_sstable::conformance!(|fs, dir: &Path| {
        tables(fs, dir, TableOptions::new().block_bytes(1024).compression(Compression::Lz4))
    });
}

#[cfg(feature = "zstd")]
mod by_zstd {
    use super::*;
    lsmkit_sstable::conformance!(|fs, dir: &Path| {
        tables(fs, dir, TableOptions::new().compression(Compression::Zstd { level: 1 }))
    });
}
