//! Bytes that are shared rather than copied.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// A range of a shared, immutable buffer: cheap to clone, and keeps the whole buffer alive.
///
/// A value found in a cached block is a `Slice` of that block, so it reaches the user without a copy.
#[derive(Clone)]
pub struct Slice {
    buffer: Arc<Vec<u8>>,
    start: usize,
    len: usize,
}

impl Slice {
    /// The part of `buffer` in `range`, sharing it.
    ///
    /// # Panics
    ///
    /// Where `range` is not within `buffer`.
    pub fn of(buffer: &Arc<Vec<u8>>, range: Range<usize>) -> Slice {
        assert!(range.start <= range.end && range.end <= buffer.len(), "a slice lies within its buffer");
        Slice { buffer: Arc::clone(buffer), start: range.start, len: range.end - range.start }
    }

    /// The part of this slice in `range`, sharing the same buffer.
    ///
    /// # Panics
    ///
    /// Where `range` is not within the slice.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Slice {
        assert!(range.start <= range.end && range.end <= self.len, "a slice lies within its slice");
        Slice {
            buffer: Arc::clone(&self.buffer),
            start: self.start + range.start,
            len: range.end - range.start,
        }
    }

    /// How many bytes the slice keeps alive: those of the whole buffer.
    pub fn pinned_bytes(&self) -> usize {
        self.buffer.capacity()
    }
}

impl Deref for Slice {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        &self.buffer[self.start..self.start + self.len]
    }
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for Slice {
    fn from(buffer: Vec<u8>) -> Slice {
        let len = buffer.len();
        Slice { buffer: Arc::new(buffer), start: 0, len }
    }
}

impl From<&[u8]> for Slice {
    /// A copy.
    fn from(bytes: &[u8]) -> Slice {
        Slice::from(bytes.to_vec())
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
        let buffer = Arc::new(b"hello, world".to_vec());
        let hello = Slice::of(&buffer, 0..5);
        let ell = hello.slice(1..4);
        assert_eq!((&*hello, &*ell), (&b"hello"[..], &b"ell"[..]));
        assert_eq!(Arc::strong_count(&buffer), 3);
        assert!(ell.pinned_bytes() >= 12);
    }

    #[test]
    #[should_panic(expected = "within its slice")]
    fn a_slice_ends_where_it_ends() {
        let _ = Slice::from(&b"abc"[..]).slice(0..2).slice(0..3);
    }
}
