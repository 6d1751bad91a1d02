//! Memory asked for ahead of its use.
//!
//! Invariant 1: a prefetch is a hint. It reads nothing that the program sees, and faults at no address.
#![allow(unsafe_code, reason = "no safe function asks the processor for memory without waiting for it")]

/// As [`prefetch`], for the line in which a value begins.
#[inline]
pub fn prefetch_value<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: (1).
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Asks for `LINES` lines of 64 bytes of memory from the first of `bytes` on, all at once and without waiting, so that
/// who reads them soon does not wait for one after another.
///
/// A load whose result nobody uses does so too, but an atomic operation after it waits until it is there. How many
/// bytes there are does not matter: where their number is in memory as well, to look at it would be to wait. Does
/// nothing on processors other than x86-64.
#[inline]
pub fn prefetch<const LINES: usize>(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..LINES {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let line = bytes.as_ptr().wrapping_add(64 * line);
        // SAFETY: (1).
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}
