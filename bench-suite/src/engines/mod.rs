//! The engines, one adapter each.

#[cfg(feature = "fjall")]
mod fjall;
#[cfg(feature = "lmdb")]
mod lmdb;
pub(crate) mod lsmkit;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;

use std::fmt;
use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;

use crate::settings::Settings;
use crate::store::Store;

/// An engine by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
#[non_exhaustive]
pub enum EngineName {
    /// lsmkit with the parts nobody has to choose.
    Lsmkit,
    /// lsmkit with skiplist memtables.
    LsmkitSkiplist,
    /// lsmkit with memtables that are B-trees behind a lock.
    LsmkitBtree,
    /// lsmkit with such memtables and tiered compaction.
    LsmkitTieredBtree,
    /// RocksDB; needs the feature `rocksdb`.
    #[cfg(feature = "rocksdb")]
    Rocksdb,
    /// fjall; needs the feature `fjall`.
    #[cfg(feature = "fjall")]
    Fjall,
    /// LMDB, through heed; needs the feature `lmdb`.
    #[cfg(feature = "lmdb")]
    Lmdb,
    /// redb; needs the feature `redb`.
    #[cfg(feature = "redb")]
    Redb,
}

impl EngineName {
    /// Opens the engine on a directory that is empty or holds a store of its own.
    ///
    /// # Errors
    ///
    /// Those of the engine.
    pub fn open(self, dir: &Path, settings: &Settings) -> Result<Box<dyn Store>> {
        Ok(match self {
            EngineName::Lsmkit => Box::new(lsmkit::open_standard(dir, settings)?),
            EngineName::LsmkitSkiplist => Box::new(lsmkit::open_skiplist(dir, settings)?),
            EngineName::LsmkitBtree => Box::new(lsmkit::open_btree(dir, settings)?),
            EngineName::LsmkitTieredBtree => Box::new(lsmkit::open_tiered_btree(dir, settings)?),
            #[cfg(feature = "rocksdb")]
            EngineName::Rocksdb => Box::new(rocksdb::RocksDb::open(dir, settings)?),
            #[cfg(feature = "fjall")]
            EngineName::Fjall => Box::new(fjall::Fjall::open(dir, settings)?),
            #[cfg(feature = "lmdb")]
            EngineName::Lmdb => Box::new(lmdb::Lmdb::open(dir, settings)?),
            #[cfg(feature = "redb")]
            EngineName::Redb => Box::new(redb::Redb::open(dir, settings)?),
        })
    }

    /// Whether it is somebody else's, and so what ours is measured against.
    pub fn is_peer(self) -> bool {
        !matches!(
            self,
            EngineName::Lsmkit
                | EngineName::LsmkitSkiplist
                | EngineName::LsmkitBtree
                | EngineName::LsmkitTieredBtree
        )
    }

    /// Those that run where nobody chose: ours as it comes, and the peers.
    pub(crate) fn usual(is_quick: bool) -> Vec<EngineName> {
        let all = EngineName::value_variants().iter().copied();
        all.filter(|engine| *engine == EngineName::Lsmkit || !is_quick && engine.is_peer()).collect()
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().expect("because no engine is hidden").get_name())
    }
}
