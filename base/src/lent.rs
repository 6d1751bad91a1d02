//! Bytes that are lent, and can be kept.

use std::fmt;
use std::ops::Deref;

use crate::{Buffer, Slice};

/// Bytes shown in place: derefs to `[u8]`. Whoever only looks at them counts no holder; whoever wants them for longer
/// [keeps](Lent::keep) them.
#[derive(Clone, Copy)]
pub struct Lent<'a> {
    bytes: &'a [u8],
    /// What holds them, where they can be shared.
    buffer: Option<&'a Buffer>,
}

impl<'a> Lent<'a> {
    /// The part of `buffer` in `range`.
    ///
    /// # Panics
    ///
    /// Where `range` is not within `buffer`.
    #[inline]
    pub fn of(buffer: &'a Buffer, range: std::ops::Range<usize>) -> Lent<'a> {
        Lent { bytes: &buffer.slice[range], buffer: Some(buffer) }
    }

    /// The bytes themselves.
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes, kept alive: shared with the buffer they are in, if there is one, else copied.
    #[inline]
    pub fn keep(self) -> Slice {
        match self.buffer {
            Some(buffer) => {
                let start = self.bytes.as_ptr().addr() - buffer.slice.as_ptr().addr();
                Slice::of(buffer, start..start + self.bytes.len())
            }
            None => Slice::from(self.bytes),
        }
    }
}

impl<'a> From<&'a [u8]> for Lent<'a> {
    /// Of bytes that can't be shared.
    #[inline]
    fn from(bytes: &'a [u8]) -> Lent<'a> {
        Lent { bytes, buffer: None }
    }
}

impl Deref for Lent<'_> {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl fmt::Debug for Lent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer;

    #[test]
    fn what_is_kept_is_shared_where_it_can_be() {
        let buffer = buffer(b"hello, world");
        let world = Lent::of(&buffer, 7..12);
        assert_eq!((&*world, Buffer::strong_count(&buffer)), (&b"world"[..], 1));
        let kept = world.keep();
        assert_eq!((&*kept, Buffer::strong_count(&buffer)), (&b"world"[..], 2));
        let copied = Lent::from(&b"world"[..]).keep();
        assert_eq!((&*copied, copied.pinned_bytes()), (&b"world"[..], 5));
    }
}
