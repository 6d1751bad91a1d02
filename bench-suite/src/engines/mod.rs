//! The engines, one adapter each.

#[cfg(feature = "fjall")]
mod fjall;
mod lsmkit;

use std::fmt;
use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;

use crate::settings::Settings;
use crate::store::Store;

/// An engine by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum EngineName {
    /// lsmkit with the parts nobody has to choose.
    Lsmkit,
    /// lsmkit with B-tree memtables and tiered compaction.
    LsmkitTieredBtree,
    /// fjall; needs the feature `fjall`.
    #[cfg(feature = "fjall")]
    Fjall,
}

impl EngineName {
    /// Opens the engine on an empty directory.
    pub(crate) fn open(self, dir: &Path, settings: &Settings) -> Result<Box<dyn Store>> {
        Ok(match self {
            EngineName::Lsmkit => Box::new(lsmkit::open_standard(dir, settings)?),
            EngineName::LsmkitTieredBtree => Box::new(lsmkit::open_tiered_btree(dir, settings)?),
            #[cfg(feature = "fjall")]
            EngineName::Fjall => Box::new(fjall::Fjall::open(dir, settings)?),
        })
    }

    /// Whether it is somebody else's, and so what ours is measured against.
    pub(crate) fn is_peer(self) -> bool {
        !matches!(self, EngineName::Lsmkit | EngineName::LsmkitTieredBtree)
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().expect("because no engine is hidden").get_name())
    }
}
