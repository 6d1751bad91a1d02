//! Memory that is handed out piece by piece and given back all at once.
//!
//! # Invariant
//!
//! The unsafe code here and that of whoever keeps things in an arena rests on this, cited as "the arena's
//! invariant": an arena hands every byte out once, within a chunk it alone owns, and neither moves nor gives
//! up a chunk before it drops.
#![allow(unsafe_code, reason = "memory of varying length, read while it grows: docs/unsafe.md")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The first chunk taken: an empty table should cost little.
const FIRST_CHUNK_BYTES: usize = 4 << 10;

/// The smallest chunk taken, where the budget is small.
const CHUNK_BYTES_MIN: usize = 256;

/// The largest chunk taken in advance of need: a huge page, which a random insert into a large table gains a
/// fifth by. Most of what it touches is then no longer missing in the processor's table of pages.
const CHUNK_BYTES_MAX: usize = HUGE_PAGE_BYTES;

/// On the processors that have them at all.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// How many chunks are made ready ahead of need: as many as two arenas want at once, and one more.
const READY_CHUNKS: usize = 3;

/// What the system hands out at a time, at the least.
const PAGE_BYTES: usize = 4 << 10;

/// A cache line: what is written in multiples of it stays aligned to it.
const CHUNK_ALIGN: usize = 64;

/// A bump allocator over chunks that double in size. Memory stays where it is until the arena drops.
pub(crate) struct Arena {
    chunks: Vec<Chunk>,
    /// The free end of the newest shared chunk: `left` bytes from `at` on.
    at: NonNull<u8>,
    left: usize,
    next_chunk_bytes: usize,
    held_bytes: usize,
    spare: Arc<Spare>,
}

/// Chunks between two arenas: what one gives up another goes on with, so that the system need not take them back,
/// clear them and give them out again, which was some 6 % of a writer's time in a profile.
///
/// No more than the budget of one table, and freed with the last of the arenas that share them.
pub(crate) struct Spare {
    /// Of this size each; the largest that is taken in advance of need.
    chunk_bytes: usize,
    chunks_max: usize,
    chunks: Mutex<Vec<Chunk>>,
    /// How many there are, for those who don't want to wait.
    count: AtomicUsize,
}

/// Owned: freed when dropped.
struct Chunk {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the arena's invariant. The arena alone owns its chunks; nothing in it depends on a thread.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Send for Chunk {}

impl Spare {
    /// None yet, for arenas that are meant to grow to about `budget_bytes`.
    pub(crate) fn with_budget(budget_bytes: usize) -> Arc<Spare> {
        let chunk_bytes = chunk_bytes_max(budget_bytes);
        let chunks_max = budget_bytes / chunk_bytes;
        Arc::new(Spare { chunk_bytes, chunks_max, chunks: Mutex::default(), count: AtomicUsize::new(0) })
    }

    /// Those for a budget: these, if it is theirs.
    pub(crate) fn for_budget(self: &Arc<Spare>, budget_bytes: usize) -> Arc<Spare> {
        let is_ours = chunk_bytes_max(budget_bytes) == self.chunk_bytes
            && budget_bytes / self.chunk_bytes == self.chunks_max;
        if is_ours { Arc::clone(self) } else { Spare::with_budget(budget_bytes) }
    }

    /// Whether an arena that holds `held_bytes` may soon take a chunk that is not ready.
    pub(crate) fn wants_preparing(&self, held_bytes: usize) -> bool {
        held_bytes >= self.chunk_bytes
            && self.count.load(Ordering::Relaxed) < READY_CHUNKS.min(self.chunks_max)
    }

    /// Makes a chunk ready: taken from the system, and touched, so that what first meets the page is not an insert. To clear
    /// two megabytes takes a tenth of a millisecond, or several where the system is itself a guest that has to ask for them.
    pub(crate) fn prepare(&self) {
        let chunk = Chunk::new(self.chunk_bytes);
        chunk.touch();
        self.keep(chunk);
    }

    fn keep(&self, chunk: Chunk) {
        let mut chunks = self.chunks();
        if chunk.layout.size() == self.chunk_bytes && chunks.len() < self.chunks_max {
            chunks.push(chunk);
            self.count.store(chunks.len(), Ordering::Relaxed);
        }
    }

    fn take(&self, bytes: usize) -> Option<Chunk> {
        if bytes != self.chunk_bytes {
            return None;
        }
        let mut chunks = self.chunks();
        let chunk = chunks.pop();
        self.count.store(chunks.len(), Ordering::Relaxed);
        chunk
    }

    fn chunks(&self) -> MutexGuard<'_, Vec<Chunk>> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The unused end of the newest chunk is then a few hundredths of the budget at most.
fn chunk_bytes_max(budget_bytes: usize) -> usize {
    (budget_bytes / 32).next_power_of_two().clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX)
}

impl Arena {
    /// An arena that holds no memory yet, and goes on with what is spare.
    pub(crate) fn new(spare: &Arc<Spare>) -> Arena {
        Arena::beginning_with(FIRST_CHUNK_BYTES.min(spare.chunk_bytes), spare)
    }

    /// The same, for a table that follows one of `held_bytes`. A full one is followed by one that will be, which takes chunks of
    /// full size from the first.
    pub(crate) fn after(held_bytes: usize, budget_bytes: usize, spare: &Arc<Spare>) -> Arena {
        if held_bytes < budget_bytes {
            return Arena::new(spare);
        }
        Arena::beginning_with(spare.chunk_bytes, spare)
    }

    fn beginning_with(next_chunk_bytes: usize, spare: &Arc<Spare>) -> Arena {
        Arena {
            chunks: Vec::new(),
            at: NonNull::dangling(),
            left: 0,
            next_chunk_bytes,
            held_bytes: 0,
            spare: Arc::clone(spare),
        }
    }

    /// `len` bytes, uninitialised, valid and not moved for as long as the arena lives, and handed out
    /// only once. Aligned to eight, or to any power of two up to a cache line, if the lengths of all pieces are
    /// multiples of that.
    #[inline]
    pub(crate) fn alloc(&mut self, len: usize) -> NonNull<u8> {
        if len > self.left {
            return self.alloc_from_new_chunk(len);
        }
        let piece = self.at;
        // SAFETY: the arena's invariant. `len` is at most `left`, so the sum is within the chunk or at its end.
        self.at = unsafe { piece.add(len) };
        self.left -= len;
        piece
    }

    /// The memory held, in bytes, whether handed out yet or not.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes + self.chunks.capacity() * size_of::<Chunk>()
    }

    #[cold]
    fn alloc_from_new_chunk(&mut self, len: usize) -> NonNull<u8> {
        let chunk_bytes = self.next_chunk_bytes;
        self.next_chunk_bytes = (chunk_bytes * 2).min(self.spare.chunk_bytes);
        // A large piece gets a chunk to itself, so that what is left of the shared one, which may
        // be much, is not given up for it. What is given up is less than a quarter of a chunk.
        if len > chunk_bytes / 4 {
            return self.take_chunk(len);
        }
        let start = self.take_chunk(chunk_bytes);
        // SAFETY: the arena's invariant. `len` is at most a quarter of the chunk.
        self.at = unsafe { start.add(len) };
        self.left = chunk_bytes - len;
        start
    }

    fn take_chunk(&mut self, bytes: usize) -> NonNull<u8> {
        let chunk = self.spare.take(bytes).unwrap_or_else(|| Chunk::new(bytes));
        let start = chunk.start;
        self.chunks.push(chunk);
        self.held_bytes += bytes;
        start
    }
}

impl Chunk {
    /// `bytes` is not zero.
    fn new(bytes: usize) -> Chunk {
        let is_huge = bytes == HUGE_PAGE_BYTES;
        let layout = Layout::from_size_align(bytes, if is_huge { HUGE_PAGE_BYTES } else { CHUNK_ALIGN })
            .expect("because keys and values are shorter than 4 GiB");
        // SAFETY: `bytes` is not zero: it is a chunk's size, or more than a quarter of one.
        let start = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        if is_huge {
            prefer_huge_page(start);
        }
        Chunk { start, layout }
    }

    /// Has the system put memory under the whole of it. The bytes are nobody's yet.
    fn touch(&self) {
        let last = self.layout.size() - 1;
        for at in (0..last).step_by(PAGE_BYTES).chain([last]) {
            // SAFETY: the arena's invariant. The byte is within the chunk, which nobody else has.
            unsafe { self.start.add(at).write_volatile(0) };
        }
    }
}

/// Asks the system to put one page under a chunk where it can. It may say no.
fn prefer_huge_page(chunk: NonNull<u8>) {
    #[cfg(all(target_os = "linux", not(miri)))]
    {
        use rustix::mm::{Advice, madvise};
        // SAFETY: the arena's invariant. The chunk is of this size and ours; the advice changes no byte.
        let _ = unsafe { madvise(chunk.as_ptr().cast(), HUGE_PAGE_BYTES, Advice::LinuxHugepage) };
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    let _ = chunk;
}

impl Drop for Arena {
    fn drop(&mut self) {
        // Whoever could still look at a chunk keeps the arena alive.
        self.chunks.drain(..).for_each(|chunk| self.spare.keep(chunk));
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: the arena's invariant. `alloc` gave the chunk for this layout, and its only owner frees it once.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arena(budget_bytes: usize) -> Arena {
        Arena::new(&Spare::with_budget(budget_bytes))
    }

    /// Takes pieces of `len` bytes until the arena has grown to `bytes`.
    fn fill(arena: &mut Arena, len: usize, bytes: usize) {
        while arena.held_bytes < bytes {
            arena.alloc(len);
        }
    }

    #[test]
    fn what_one_arena_gives_up_the_next_goes_on_with() {
        const BUDGET_BYTES: usize = 1 << 20;
        let spare = Spare::with_budget(BUDGET_BYTES);
        let spares = || spare.chunks().len();
        let mut first = Arena::new(&spare);
        fill(&mut first, 100, BUDGET_BYTES);
        let mut second = Arena::new(&spare);
        fill(&mut second, 100, BUDGET_BYTES);
        assert_eq!(spares(), 0);
        drop(first);
        let given_up = spares();
        assert!((20..=32).contains(&given_up), "{given_up} chunks of 32 KiB");
        drop(second);
        // No more than the budget, however many tables there were.
        assert_eq!(spares(), 32);
        let mut third = Arena::new(&spare);
        fill(&mut third, 100, BUDGET_BYTES / 2);
        assert!((10..=20).contains(&spares()), "{} chunks", spares());
        // Pieces with a chunk to themselves come from the system.
        let before = spares();
        third.alloc(500_000);
        assert_eq!(spares(), before);
        assert!(Arc::ptr_eq(&spare.for_budget(BUDGET_BYTES), &spare));
        assert!(!Arc::ptr_eq(&spare.for_budget(BUDGET_BYTES / 2), &spare));
    }

    #[test]
    fn pieces_do_not_overlap() {
        let mut arena = arena(1 << 20);
        let mut pieces: Vec<(usize, usize)> = Vec::new();
        for i in 0..2_000 {
            let len = if i % 100 == 0 { 50_000 } else { i % 300 };
            let piece = arena.alloc(len);
            // SAFETY: the piece is `len` bytes long and belongs to this test.
            unsafe { piece.write_bytes(i as u8, len) };
            pieces.push((piece.as_ptr().addr(), len));
        }
        assert!(arena.held_bytes() >= pieces.iter().map(|piece| piece.1).sum());
        pieces.retain(|piece| piece.1 > 0);
        pieces.sort_unstable();
        assert!(pieces.windows(2).all(|two| two[0].0 + two[0].1 <= two[1].0));
    }

    #[test]
    fn multiples_of_eight_are_aligned() {
        let mut arena = arena(1 << 20);
        assert!((1..500).all(|n| arena.alloc(n * 8).as_ptr().addr().is_multiple_of(8)));
    }

    #[test]
    fn a_small_budget_takes_small_chunks_and_a_large_piece_its_own() {
        let mut arena = arena(64 << 10);
        for _ in 0..512 {
            arena.alloc(128);
        }
        assert!(arena.held_bytes() < (64 << 10) + 2 * FIRST_CHUNK_BYTES);
        let before = arena.held_bytes();
        arena.alloc(10 << 20);
        assert!(arena.held_bytes() - before < (10 << 20) + 1_000);
    }

    #[test]
    fn a_tiny_budget_is_not_spent_by_the_first_piece() {
        let mut arena = arena(6 << 10);
        arena.alloc(64);
        assert!(arena.held_bytes() < 1 << 10);
    }
}
