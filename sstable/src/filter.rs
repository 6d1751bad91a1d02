//! A table's filter: what it is built of, and how it lies in memory.

use std::ops::{Bound, Range};

use lsmkit_bloom::FilterPolicy;

/// The hashes that a filter is built of: of user keys, and of what they begin with.
#[derive(Debug, Default)]
pub(crate) struct FilterKeys {
    hashes: Vec<u64>,
    /// How many bytes at the beginning of a key are hashed as well; none where it is zero.
    prefix_bytes: usize,
}

impl FilterKeys {
    pub(crate) fn new(prefix_bytes: usize) -> FilterKeys {
        FilterKeys { hashes: Vec::new(), prefix_bytes }
    }

    /// Adds a user key, which comes after `last` if after any.
    pub(crate) fn add(&mut self, user_key: &[u8], last: Option<&[u8]>) {
        self.hashes.push(lsmkit_bloom::hash(user_key));
        if let Some(prefix) = prefix_of(user_key, self.prefix_bytes)
            && last.and_then(|last| prefix_of(last, self.prefix_bytes)) != Some(prefix)
        {
            self.hashes.push(lsmkit_bloom::hash(prefix));
        }
    }

    /// How many hashes there are.
    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Appends a filter of some of them to `out`.
    pub(crate) fn build(&self, policy: &dyn FilterPolicy, hashes: Range<usize>, out: &mut Vec<u8>) {
        policy.build(&self.hashes[hashes], out);
    }
}

/// The first `prefix_bytes` of a key that is as long as that; nothing of others, nor where the number is zero.
pub(crate) fn prefix_of(user_key: &[u8], prefix_bytes: usize) -> Option<&[u8]> {
    user_key.get(..prefix_bytes).filter(|prefix| !prefix.is_empty())
}

/// What all keys within the bounds begin with, if that can be told to be `prefix_bytes` long.
pub(crate) fn prefix_of_all<'k>(
    lower: Bound<&'k [u8]>,
    upper: Bound<&[u8]>,
    prefix_bytes: u64,
) -> Option<&'k [u8]> {
    let (Bound::Included(lower) | Bound::Excluded(lower)) = lower else { return None };
    let prefix = prefix_of(lower, usize::try_from(prefix_bytes).ok()?)?;
    let is_of_all = match upper {
        Bound::Included(upper) => upper.starts_with(prefix),
        Bound::Excluded(upper) => upper.starts_with(prefix) || is_next(prefix, upper),
        Bound::Unbounded => false,
    };
    is_of_all.then_some(prefix)
}

/// Whether `key` comes right after all keys that begin with `prefix`.
fn is_next(prefix: &[u8], key: &[u8]) -> bool {
    let end = prefix.iter().rposition(|byte| *byte < u8::MAX);
    end.is_some_and(|last| key.split_last() == Some((&(prefix[last] + 1), &prefix[..last])))
}

/// The bytes of a filter where lines of memory begin: a block of a blocked filter then is one line, not parts of two.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    bytes: Vec<u8>,
    start: usize,
}

impl Filter {
    const LINE_BYTES: usize = 64;

    /// A copy of `filter`.
    pub(crate) fn of(filter: &[u8]) -> Filter {
        let mut bytes: Vec<u8> = Vec::with_capacity(filter.len() + Self::LINE_BYTES);
        let start = bytes.as_ptr().align_offset(Self::LINE_BYTES).min(Self::LINE_BYTES);
        bytes.resize(start, 0);
        bytes.extend_from_slice(filter);
        Filter { bytes, start }
    }

    /// Whether a key with this hash may be in the table.
    #[inline]
    pub(crate) fn may_contain(&self, policy: &dyn FilterPolicy, hash: u64) -> bool {
        policy.may_contain(self.bytes(), hash)
    }

    /// Asks for what [`Filter::may_contain`] will look at.
    #[inline]
    pub(crate) fn announce(&self, policy: &dyn FilterPolicy, hash: u64) {
        lsmkit_base::prefetch::<1>(policy.looks_at(self.bytes(), hash));
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(lower: &'static [u8], upper: &[u8], prefix_bytes: u64) -> Option<&'static [u8]> {
        prefix_of_all(Bound::Included(lower), Bound::Excluded(upper), prefix_bytes)
    }

    #[test]
    fn ranges_with_one_prefix_are_told() {
        assert_eq!(all(b"abc", b"abd", 2), Some(&b"ab"[..]));
        assert_eq!(all(b"abc", b"abd", 3), Some(&b"abc"[..]));
        assert_eq!(all(b"abc", b"abd", 4), None);
        assert_eq!(all(b"ab", b"ad", 2), None);
        assert_eq!(all(b"a\xff", b"b", 2), Some(&b"a\xff"[..]));
        assert_eq!(all(b"a\xff", b"b\0", 2), None);
        assert_eq!(all(b"\xff\xff", b"\xff\xff\x05", 2), Some(&b"\xff\xff"[..]));
        assert_eq!(all(b"abc", b"abd", 0), None);
        assert_eq!(prefix_of_all(Bound::Included(b"abc"), Bound::Unbounded, 2), None);
        assert_eq!(prefix_of_all(Bound::Unbounded, Bound::Included(b"abc"), 2), None);
    }

    proptest! {
        /// No key in a range begins with anything else.
        #[test]
        fn what_is_told_is_true_of_all(
            lower in prop::collection::vec(prop::sample::select(vec![0u8, 1, 254, 255]), 0..4),
            upper in prop::collection::vec(prop::sample::select(vec![0u8, 1, 254, 255]), 0..4),
            key in prop::collection::vec(prop::sample::select(vec![0u8, 1, 254, 255]), 0..5),
            prefix_bytes in 0u64..4,
            is_included: bool,
        ) {
            let bound = if is_included { Bound::Included(&*upper) } else { Bound::Excluded(&*upper) };
            let is_within = key >= lower && (key < upper || is_included && key == upper);
            if let Some(prefix) = prefix_of_all(Bound::Included(&lower), bound, prefix_bytes) {
                prop_assert!(!is_within || key.starts_with(prefix));
            }
        }
    }
}
