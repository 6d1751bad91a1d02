//! How much memory the memtables of all keyspaces take together.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What memtables hold, and may hold.
///
/// Those that take writes may grow to half of it. Past that the largest is frozen, so that its flush gives memory back while the others
/// go on growing. When all of it is held, writers wait for flushes.
#[derive(Debug)]
pub(crate) struct Memory {
    max_bytes: usize,
    /// What takes writes. Stored by whoever holds the writer; counts too much for a while after a memtable was frozen by hand.
    active_bytes: AtomicUsize,
    /// What waits to be flushed.
    frozen_bytes: AtomicUsize,
}

impl Memory {
    pub(crate) fn new(max_bytes: usize) -> Memory {
        Memory { max_bytes, active_bytes: AtomicUsize::new(0), frozen_bytes: AtomicUsize::new(0) }
    }

    /// Takes note of growth by a write; whether it is time to look for a memtable to freeze.
    pub(crate) fn note_growth(&self, bytes: usize) -> bool {
        self.set_active(self.active_bytes.load(Ordering::Relaxed) + bytes)
    }

    /// Takes note of all that takes writes; whether that is too much.
    pub(crate) fn set_active(&self, bytes: usize) -> bool {
        self.active_bytes.store(bytes, Ordering::Relaxed);
        bytes > self.max_bytes / 2
    }

    pub(crate) fn note_frozen(&self, bytes: usize) {
        self.frozen_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn note_flushed(&self, bytes: usize) {
        self.frozen_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether writers have to wait. Only where a flush can help.
    #[inline]
    pub(crate) fn is_exhausted(&self) -> bool {
        let frozen_bytes = self.frozen_bytes.load(Ordering::Relaxed);
        frozen_bytes > 0 && frozen_bytes + self.active_bytes.load(Ordering::Relaxed) >= self.max_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_it_grows_while_the_rest_is_flushed() {
        let memory = Memory::new(100);
        assert!(!memory.note_growth(50));
        assert!(memory.note_growth(1) && !memory.is_exhausted());
        memory.note_frozen(51);
        assert!(!memory.set_active(0));
        assert!(!memory.note_growth(48) && !memory.is_exhausted());
        memory.note_growth(1);
        assert!(memory.is_exhausted());
        memory.note_flushed(51);
        // However much is active: there is no flush to wait for.
        memory.note_growth(1_000);
        assert!(!memory.is_exhausted());
    }
}
