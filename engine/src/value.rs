//! Bytes handed to the user.

use std::fmt;
use std::ops::Deref;

use lsmkit_base::{Lent, Slice};

/// A key or a value read from the store: derefs to `[u8]`, cheap to clone, and owns what it shows,
/// so that it may outlive the iterator, the snapshot and the store.
///
/// Up to [`Value::INLINE_BYTES`] bytes are held in place. A longer one shares the cached block it was
/// found in, and keeps that block in memory for as long as it lives; see [`Value::pinned_bytes`]. To
/// keep a few bytes for long, copy them out with `to_vec`.
#[derive(Clone)]
pub struct Value(Repr);

#[derive(Clone)]
enum Repr {
    Inline { len: u8, bytes: [u8; Value::INLINE_BYTES] },
    Shared(Slice),
}

impl Value {
    /// How many bytes are held in place.
    pub const INLINE_BYTES: usize = 30;

    pub(crate) fn copy_of(bytes: &[u8]) -> Value {
        Value::inline(bytes).unwrap_or_else(|| Value(Repr::Shared(Slice::from(bytes))))
    }

    pub(crate) fn sharing(slice: Slice) -> Value {
        Value::inline(&slice).unwrap_or(Value(Repr::Shared(slice)))
    }

    /// A copy where it is short, which is cheaper than to count a reference to the block.
    #[inline]
    pub(crate) fn keeping(lent: Lent<'_>) -> Value {
        Value::inline(&lent).unwrap_or_else(|| Value(Repr::Shared(lent.keep())))
    }

    fn inline(bytes: &[u8]) -> Option<Value> {
        let mut held = [0; Value::INLINE_BYTES];
        held.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Value(Repr::Inline { len: bytes.len() as u8, bytes: held }))
    }

    /// How many bytes of memory, beside its own few, the value keeps from being freed.
    pub fn pinned_bytes(&self) -> usize {
        match &self.0 {
            Repr::Inline { .. } => 0,
            Repr::Shared(slice) => slice.pinned_bytes(),
        }
    }
}

impl Deref for Value {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Shared(slice) => slice,
        }
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::borrow::Borrow<[u8]> for Value {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl<B: AsRef<[u8]> + ?Sized> PartialEq<B> for Value {
    fn eq(&self, other: &B) -> bool {
        **self == *other.as_ref()
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Value) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Value) -> std::cmp::Ordering {
        (**self).cmp(&**other)
    }
}

impl std::hash::Hash for Value {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl From<Value> for Vec<u8> {
    fn from(value: Value) -> Vec<u8> {
        value.to_vec()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_values_pin_nothing() {
        assert_eq!(size_of::<Value>(), 32);
        for len in [0, 1, 29, 30] {
            let value = Value::sharing(Slice::from(&*vec![7; len]));
            assert_eq!((value.len(), value.pinned_bytes()), (len, 0));
        }
        let long = Value::copy_of(&[7; 31]);
        assert_eq!(long, vec![7; 31]);
        assert!(long.pinned_bytes() >= 31);
    }
}
