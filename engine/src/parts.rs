//! What an engine is made of: chosen once, when it is built.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsmkit_base::{Buffer, Fault};
use lsmkit_blockcache::BlockCache;
use lsmkit_bloom::{Blocked, FilterPolicy, NoFilter};
use lsmkit_sstable::TableOptions;
use lsmkit_vfs::PooledFs;

pub use lsmkit_compaction::{CompactionPicker, Fifo, Leveled, Tiered, TimeWindow};
pub use lsmkit_memtable::{BPlusTree, BTree, Memtable, SkipList};
pub use lsmkit_sstable::{BlockTables, Tables};
pub use lsmkit_vfs::{FaultFs, Fs, MemFs, StdFs};
pub use lsmkit_wal::{Log, SegmentedLog};

use crate::{KeyspaceOptions, Options};

/// The parts of an engine and how each is made.
///
/// One bundle, so that no signature has to name five type parameters. To change one part, name it
/// and take the rest from the [`Site`]:
///
/// ```
/// use lsmkit::{KeyspaceOptions, Parts, Site, parts};
///
/// struct InBTrees;
///
/// impl Parts for InBTrees {
///     type Log = parts::SegmentedLog;
///     type Memtable = parts::BTree;
///     type Tables = parts::BlockTables;
///     type Picker = parts::Tiered;
///
///     fn log(&self, site: &Site) -> Result<parts::SegmentedLog, lsmkit::Fault> {
///         site.log()
///     }
///     fn tables(&self, site: &Site, keyspace: &KeyspaceOptions) -> parts::BlockTables {
///         site.tables(keyspace)
///     }
///     fn picker(&self, _: &Site, _: &KeyspaceOptions) -> parts::Tiered {
///         parts::Tiered::default()
///     }
/// }
/// ```
pub trait Parts: Send + Sync + 'static {
    /// The write-ahead log, one for all keyspaces.
    type Log: Log;
    /// The memtable, some for each keyspace.
    type Memtable: Memtable;
    /// The table format, one for each keyspace.
    type Tables: Tables;
    /// The compaction strategy, one for each keyspace.
    type Picker: CompactionPicker;

    /// Opens the log. Writes nothing.
    fn log(&self, site: &Site) -> Result<Self::Log, Fault>;

    /// The tables of a keyspace.
    fn tables(&self, site: &Site, keyspace: &KeyspaceOptions) -> Self::Tables;

    /// The strategy of a keyspace.
    fn picker(&self, site: &Site, keyspace: &KeyspaceOptions) -> Self::Picker;
}

/// The parts nobody has to choose: a segmented log, B+-trees, tables of blocks, leveled compaction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standard;

impl Parts for Standard {
    type Log = SegmentedLog;
    type Memtable = BPlusTree;
    type Tables = BlockTables;
    type Picker = Leveled;

    fn log(&self, site: &Site) -> Result<SegmentedLog, Fault> {
        site.log()
    }

    fn tables(&self, site: &Site, keyspace: &KeyspaceOptions) -> BlockTables {
        site.tables(keyspace)
    }

    fn picker(&self, site: &Site, _: &KeyspaceOptions) -> Leveled {
        site.options().leveled.clone()
    }
}

/// What [`Options::block_bytes`] is held to; the limits of [`TableOptions::block_bytes`].
const BLOCK_BYTES_MIN: usize = 64;
const BLOCK_BYTES_MAX: usize = 1 << 20;

/// Where an engine stands and what its parts share.
#[derive(Clone)]
pub struct Site {
    fs: Arc<dyn Fs>,
    /// The file system for tables, of whose files there may be many.
    tables_fs: Arc<dyn Fs>,
    dir: PathBuf,
    options: Options,
    cache: Arc<dyn BlockCache<Buffer>>,
}

impl Site {
    pub(crate) fn new(fs: Arc<dyn Fs>, dir: &Path, options: Options) -> Site {
        let cache = Arc::new(lsmkit_blockcache::Clock::new(options.cache_bytes));
        let open_max = options.open_files_max.or_else(|| Some(lsmkit_vfs::open_files_limit()? / 2));
        let tables_fs = PooledFs::new(Arc::clone(&fs), open_max.unwrap_or(512)).shared();
        Site { fs, tables_fs, dir: dir.to_path_buf(), options, cache }
    }

    /// The file system.
    pub fn fs(&self) -> &Arc<dyn Fs> {
        &self.fs
    }

    /// The directory of the store.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The settings.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The block cache that all keyspaces share.
    pub fn cache(&self) -> &Arc<dyn BlockCache<Buffer>> {
        &self.cache
    }

    /// The standard log of this store.
    pub fn log(&self) -> Result<SegmentedLog, Fault> {
        SegmentedLog::open(Arc::clone(&self.fs), &self.dir)
    }

    /// The standard tables of this store, with a keyspace's settings.
    pub fn tables(&self, keyspace: &KeyspaceOptions) -> BlockTables {
        let settings = keyspace.resolve(&self.options.keyspace);
        let filter: Arc<dyn FilterPolicy> = if settings.filter_bits_per_key > 0.0 {
            let bits = settings.filter_bits_per_key;
            Arc::new(Blocked::bits_per_key(
                bits.clamp(*Blocked::BITS_PER_KEY.start(), *Blocked::BITS_PER_KEY.end()),
            ))
        } else {
            Arc::new(NoFilter)
        };
        let mut options = TableOptions::new()
            .compression(settings.compression)
            .block_bytes(settings.block_bytes.clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX))
            .filter(filter)
            .filter_prefix_bytes(settings.filter_prefix_bytes)
            .pinned_bytes_max(settings.pinned_bytes_max);
        if let Some((id, name)) = keyspace.home() {
            options = options.keyspace(id, name);
        }
        if let Some(seed) = self.options.uid_seed {
            options = options.uid_seed(seed);
        }
        BlockTables::new(Arc::clone(&self.tables_fs), self.dir.clone(), options, Arc::clone(&self.cache))
    }
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("dir", &self.dir).finish_non_exhaustive()
    }
}
