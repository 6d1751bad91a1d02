//! How much room there is.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::content::BLOCK_BYTES;

/// Counted in blocks, since a file takes whole ones.
#[derive(Debug)]
pub(super) struct Space {
    capacity_blocks: AtomicU64,
    used_blocks: AtomicU64,
}

impl Space {
    /// All of it free.
    pub(super) fn new(capacity_blocks: u64) -> Space {
        Space { capacity_blocks: capacity_blocks.into(), used_blocks: 0.into() }
    }

    pub(super) fn capacity_blocks(&self) -> u64 {
        self.capacity_blocks.load(Relaxed)
    }

    pub(super) fn set_capacity_bytes(&self, capacity_bytes: u64) {
        self.capacity_blocks.store(capacity_bytes / BLOCK_BYTES as u64, Relaxed);
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.used_blocks.load(Relaxed) * BLOCK_BYTES as u64
    }

    /// Takes all of the blocks or none.
    pub(super) fn take(&self, blocks: u64) -> io::Result<()> {
        if blocks == 0 {
            return Ok(());
        }
        let capacity = self.capacity_blocks();
        self.used_blocks
            .fetch_update(Relaxed, Relaxed, |used| used.checked_add(blocks).filter(|sum| *sum <= capacity))
            .map(drop)
            .map_err(|_| io::ErrorKind::StorageFull.into())
    }

    /// Takes blocks that are in use already, however little room there is.
    pub(super) fn take_used(&self, blocks: u64) {
        self.used_blocks.fetch_add(blocks, Relaxed);
    }

    pub(super) fn give_back(&self, blocks: u64) {
        self.used_blocks.fetch_sub(blocks, Relaxed);
    }
}
