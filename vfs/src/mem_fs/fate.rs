//! What a seed decides.

use super::content::BLOCK_BYTES;
use crate::seeded::Seeded;

/// What a disk writes whole or not at all.
pub(super) const SECTOR_BYTES: usize = 512;

/// What becomes of what was not synced.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// All of it is gone.
    Lost,
    /// All of it is there.
    Kept,
    /// What comes first is there, then something torn, then nothing.
    Prefix,
    /// Each thing by itself.
    Mixed,
}

impl Fate {
    /// Half of the draws are the orderly ends that real disks mostly show; independent choices alone
    /// would hardly ever give them where there is much to choose.
    pub(super) fn draw(seeded: &mut Seeded) -> Fate {
        match seeded.below(8) {
            0 => Fate::Lost,
            1 => Fate::Kept,
            2 | 3 => Fate::Prefix,
            _ => Fate::Mixed,
        }
    }
}

/// What becomes of one unsynced block.
pub(super) enum Survival {
    /// As it was when the file was last synced.
    Old,
    /// As it is.
    New,
    /// As it was at some time in between, if that is known.
    Between,
    /// Its first sectors are new.
    Torn { sectors: usize },
}

impl Survival {
    pub(super) fn draw(seeded: &mut Seeded) -> Survival {
        match seeded.below(8) {
            0..=2 => Survival::Old,
            3..=5 => Survival::New,
            6 => Survival::Between,
            _ => {
                Survival::Torn { sectors: 1 + seeded.below((BLOCK_BYTES / SECTOR_BYTES - 1) as u64) as usize }
            }
        }
    }
}
