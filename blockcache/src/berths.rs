//! Berths: where the owner of a file finds those of its blocks that a cache holds.

use std::fmt;
use std::mem::{self, ManuallyDrop};
use std::ops::Deref;
use std::sync::Arc;

use arc_swap::{ArcSwapAny, Guard, RefCnt};
use lsmkit_base::{Counters, prefetch_value};

use crate::sync::{AtomicU8, Ordering};

/// A place for each block of one file, in which a cache leaves the block for as long as it holds it.
///
/// Whoever has the file open asks here first: the number of the block leads to it in one step, where a key has
/// to be looked up in a table that all share, behind a lock. A block in a berth is the cache's as any other, and
/// is taken out of it when the cache evicts it.
///
/// Made by [`BlockCache::berths`](crate::BlockCache::berths), filled by
/// [`BlockCache::insert_at`](crate::BlockCache::insert_at).
pub struct Berths<V: RefCnt> {
    /// Dropped by hand: each empty one would look whether any thread still reads it.
    blocks: Box<[ManuallyDrop<ArcSwapAny<Option<V>>>]>,
    uses: Box<[AtomicU8]>,
    hits: Option<Arc<Counters<1>>>,
}

/// A block in a berth. It stays what it is while it is looked at, evicted or not, though this one is not counted
/// among its holders. To be let go soon: a thread can look at eight at once before it is counted after all.
pub struct Berthed<V: RefCnt>(Guard<Option<V>>);

impl<V: RefCnt> Berths<V> {
    /// No berths, for a cache that leaves blocks in none.
    pub fn none() -> Berths<V> {
        Berths { blocks: Box::default(), uses: Box::default(), hits: None }
    }

    /// As many as a file has blocks. What is found is counted in `hits`.
    pub(crate) fn new(len: usize, hits: &Arc<Counters<1>>) -> Berths<V> {
        Berths {
            blocks: (0..len).map(|_| ManuallyDrop::new(ArcSwapAny::new(None))).collect(),
            uses: (0..len).map(|_| AtomicU8::new(0)).collect(),
            hits: Some(Arc::clone(hits)),
        }
    }

    /// The block in berth `at`, if there is one: counts a use of it, and a hit of the cache. Waits for nothing.
    #[inline]
    pub fn find(&self, at: usize) -> Option<Berthed<V>> {
        let block = self.blocks.get(at)?.load();
        block.as_ref()?;
        note_use(&self.uses[at]);
        if let Some(hits) = &self.hits {
            hits.count(0);
        }
        Some(Berthed(block))
    }

    /// Asks for berth `at` from memory, for whoever will look at it soon. There need not be such a berth.
    #[inline]
    pub fn announce(&self, at: usize) {
        if let Some(berth) = self.blocks.get(at) {
            prefetch_value(berth);
        }
    }

    /// Shows the block in berth `at`, if there is one, and counts nothing: for whoever may look for it soon.
    #[inline]
    pub fn look(&self, at: usize, show: impl FnOnce(&V)) {
        let Some(berth) = self.blocks.get(at) else { return };
        if let Some(block) = &*berth.load() {
            show(block);
        }
    }

    /// As [`Berths::find`], but counts nothing: for whoever has missed the block already.
    pub fn peek(&self, at: usize) -> Option<V> {
        self.blocks.get(at)?.load_full()
    }

    /// The memory the berths themselves take.
    pub fn size_bytes(&self) -> usize {
        size_of_val(&*self.blocks) + size_of_val(&*self.uses)
    }
}

impl<V: RefCnt> Drop for Berths<V> {
    fn drop(&mut self) {
        for berth in mem::take(&mut self.blocks) {
            if berth.load().is_some() {
                drop(ManuallyDrop::into_inner(berth));
            }
        }
    }
}

impl<V: RefCnt> Deref for Berthed<V> {
    type Target = V;
    #[inline]
    fn deref(&self) -> &V {
        self.0.as_ref().expect("because an empty berth has nothing to look at")
    }
}

impl<V: RefCnt> fmt::Debug for Berthed<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Berthed").finish_non_exhaustive()
    }
}

impl<V: RefCnt> fmt::Debug for Berths<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Berths").field("len", &self.blocks.len()).finish_non_exhaustive()
    }
}

/// S3-FIFO (see `shard.rs`) counts to three. Counting to seven gives up to a point more hits with the skewed
/// reads of `benches/hit_rate.rs`, and more than that makes the cache slow to follow when the hot blocks
/// change.
pub(crate) const USES_MAX: u8 = 7;

/// Two at the same moment may count one, which does not matter.
#[inline]
pub(crate) fn note_use(counter: &AtomicU8) {
    let uses = counter.load(Ordering::Relaxed);
    // A hot block is at its maximum, and its line stays shared between the cores.
    if uses < USES_MAX {
        counter.store(uses + 1, Ordering::Relaxed);
    }
}

/// One of the berths of a file.
pub(crate) struct Berth<V: RefCnt> {
    pub(crate) of: Arc<Berths<V>>,
    pub(crate) at: usize,
}

impl<V: RefCnt> Berth<V> {
    /// Leaves a block here.
    pub(crate) fn put(&self, block: V) {
        if let Some(berth) = self.of.blocks.get(self.at) {
            berth.store(Some(block));
        }
    }

    /// Takes `block` out, for whoever looks from now on. Another that is there by now stays.
    pub(crate) fn clear(&self, block: &V) {
        if let Some(berth) = self.of.blocks.get(self.at) {
            let there = berth.load();
            if there.as_ref().is_some_and(|there| V::as_ptr(there) == V::as_ptr(block)) {
                berth.compare_and_swap(&*there, None);
            }
        }
    }

    /// How often the block was used since it took its place.
    pub(crate) fn uses(&self) -> Option<&AtomicU8> {
        self.of.uses.get(self.at)
    }
}

impl<V: RefCnt> fmt::Debug for Berth<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Berth({})", self.at)
    }
}
