//! Memory that is handed out piece by piece and given back all at once.
//!
//! # Invariant
//!
//! The unsafe code here and that of whoever keeps things in an arena rests on this, cited as "the arena's
//! invariant": an arena hands every byte out once, within a chunk it owns, and neither moves nor frees
//! a chunk before it drops.
#![allow(unsafe_code, reason = "memory of varying length, read while it grows: docs/unsafe.md")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// The first chunk taken: an empty table should cost little.
const FIRST_CHUNK_BYTES: usize = 4 << 10;

/// The smallest chunk taken, where the budget is small.
const CHUNK_BYTES_MIN: usize = 256;

/// The largest chunk taken in advance of need: a huge page, which a random insert into a large table gains a
/// fifth by. Most of what it touches is then no longer missing in the processor's table of pages.
const CHUNK_BYTES_MAX: usize = HUGE_PAGE_BYTES;

/// On the processors that have them at all.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// A cache line: what is written in multiples of it stays aligned to it.
const CHUNK_ALIGN: usize = 64;

/// A bump allocator over chunks that double in size. Memory stays where it is until the arena drops.
pub(crate) struct Arena {
    chunks: Vec<Chunk>,
    /// The free end of the newest shared chunk: `left` bytes from `at` on.
    at: NonNull<u8>,
    left: usize,
    next_chunk_bytes: usize,
    chunk_bytes_max: usize,
    held_bytes: usize,
}

struct Chunk {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the arena's invariant. The arena alone owns its chunks; nothing in it depends on a thread.
unsafe impl Send for Arena {}

impl Arena {
    /// An arena that holds no memory yet and is meant to grow to about `budget_bytes`.
    pub(crate) fn with_budget(budget_bytes: usize) -> Arena {
        // The unused end of the newest chunk is then a few hundredths of the budget at most.
        let chunk_bytes_max = (budget_bytes / 32).next_power_of_two().clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
        Arena {
            chunks: Vec::new(),
            at: NonNull::dangling(),
            left: 0,
            next_chunk_bytes: FIRST_CHUNK_BYTES.min(chunk_bytes_max),
            chunk_bytes_max,
            held_bytes: 0,
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
        self.next_chunk_bytes = (chunk_bytes * 2).min(self.chunk_bytes_max);
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
        let is_huge = bytes == HUGE_PAGE_BYTES;
        let layout = Layout::from_size_align(bytes, if is_huge { HUGE_PAGE_BYTES } else { CHUNK_ALIGN })
            .expect("because keys and values are shorter than 4 GiB");
        // SAFETY: `bytes` is not zero: it is a chunk's size, or more than a quarter of one.
        let start = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        if is_huge {
            prefer_huge_page(start);
        }
        self.chunks.push(Chunk { start, layout });
        self.held_bytes += bytes;
        start
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
        for chunk in &self.chunks {
            // SAFETY: the arena's invariant. `alloc` gave the chunk for this layout; it is freed only here,
            // and whoever could still look at it keeps the arena alive.
            unsafe { dealloc(chunk.start.as_ptr(), chunk.layout) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_do_not_overlap() {
        let mut arena = Arena::with_budget(1 << 20);
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
        let mut arena = Arena::with_budget(1 << 20);
        assert!((1..500).all(|n| arena.alloc(n * 8).as_ptr().addr().is_multiple_of(8)));
    }

    #[test]
    fn a_small_budget_takes_small_chunks_and_a_large_piece_its_own() {
        let mut arena = Arena::with_budget(64 << 10);
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
        let mut arena = Arena::with_budget(6 << 10);
        arena.alloc(64);
        assert!(arena.held_bytes() < 1 << 10);
    }
}
