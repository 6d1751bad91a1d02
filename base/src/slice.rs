//! Bytes that are shared rather than copied.

use std::fmt;
use std::ops::{Deref, Range};

/// Immutable bytes, in one allocation with the number of their holders: cheap to clone, one word wide.
///
/// Whoever has a `Buffer` is one step from its bytes; an `Arc<Vec<u8>>` takes another, and a lookup in a block
/// that no processor has at hand waits for each.
pub type Buffer = triomphe::ThinArc<(), u8>;

/// A buffer that holds a copy of `bytes`.
#[inline]
pub fn buffer(bytes: &[u8]) -> Buffer {
    Buffer::from_header_and_slice((), bytes)
}

/// A buffer that holds a copy of `bytes`: `left`, where that has room for them, not much more, and no other
/// holder. It may then be longer than `bytes`, with anything behind them.
pub fn refilled(mut left: Buffer, bytes: &[u8]) -> Buffer {
    let is_much_larger = left.slice.len() / 4 > bytes.len();
    let fits = !is_much_larger
        && left.with_arc_mut(|left| {
            let own = triomphe::Arc::get_mut(left).and_then(|left| left.slice_mut().get_mut(..bytes.len()));
            own.map(|own| own.copy_from_slice(bytes)).is_some()
        });
    if fits { left } else { buffer(bytes) }
}

/// A range of a shared, immutable buffer: cheap to clone, and keeps the whole buffer alive.
///
/// A value found in a cached block is a `Slice` of that block, so it reaches the user without a copy.
#[derive(Clone)]
pub struct Slice {
    buffer: Buffer,
    start: usize,
    len: usize,
}

impl Slice {
    /// The part of `buffer` in `range`, sharing it.
    ///
    /// # Panics
    ///
    /// Where `range` is not within `buffer`.
    #[inline]
    pub fn of(buffer: &Buffer, range: Range<usize>) -> Slice {
        assert!(
            range.start <= range.end && range.end <= buffer.slice.len(),
            "a slice lies within its buffer"
        );
        Slice { buffer: buffer.clone(), start: range.start, len: range.end - range.start }
    }

    /// The part of this slice in `range`, sharing the same buffer.
    ///
    /// # Panics
    ///
    /// Where `range` is not within the slice.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Slice {
        assert!(range.start <= range.end && range.end <= self.len, "a slice lies within its slice");
        Slice { buffer: self.buffer.clone(), start: self.start + range.start, len: range.end - range.start }
    }

    /// How many bytes the slice keeps alive: those of the whole buffer.
    pub fn pinned_bytes(&self) -> usize {
        self.buffer.slice.len()
    }
}

impl Deref for Slice {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        &self.buffer.slice[self.start..self.start + self.len]
    }
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<&[u8]> for Slice {
    /// A copy.
    fn from(bytes: &[u8]) -> Slice {
        Slice { buffer: buffer(bytes), start: 0, len: bytes.len() }
    }
}

impl PartialEq for Slice {
    fn eq(&self, other: &Slice) -> bool {
        **self == **other
    }
}

impl Eq for Slice {}

impl fmt::Debug for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_share_their_buffer() {
        let buffer = buffer(b"hello, world");
        let hello = Slice::of(&buffer, 0..5);
        let ell = hello.slice(1..4);
        assert_eq!((&*hello, &*ell), (&b"hello"[..], &b"ell"[..]));
        assert_eq!(Buffer::strong_count(&buffer), 3);
        assert!(ell.pinned_bytes() >= 12);
    }

    #[test]
    fn a_buffer_is_filled_again_where_that_can_be() {
        let first = buffer(&[1; 100]);
        let place = first.ptr();
        let second = refilled(first, &[2; 60]);
        assert_eq!(
            (second.ptr(), &second.slice[..60], &second.slice[60..]),
            (place, &[2; 60][..], &[1; 40][..])
        );
        // Held by another; too short; much too long.
        let held = second.clone();
        let third = refilled(second, &[3; 60]);
        assert_eq!((&third.slice[..], &held.slice[..60]), (&[3; 60][..], &[2; 60][..]));
        assert_eq!(refilled(third, &[4; 61]).slice, [4; 61]);
        assert_eq!(refilled(held, &[5; 10]).slice, [5; 10]);
    }

    #[test]
    #[should_panic(expected = "within its slice")]
    fn a_slice_ends_where_it_ends() {
        let _ = Slice::from(&b"abc"[..]).slice(0..2).slice(0..3);
    }
}
