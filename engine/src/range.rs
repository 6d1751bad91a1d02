//! Ranges of keys.

use std::ops::{Bound, Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

/// A range of keys: any of the standard ranges over anything that is bytes, `..` included.
///
/// (A trait of our own, because with `RangeBounds<K>` nobody could say what `K` is in `..`.)
pub trait KeyRange {
    /// Where it begins and ends.
    fn into_bounds(self) -> (Bound<Vec<u8>>, Bound<Vec<u8>>);
}

impl KeyRange for RangeFull {
    fn into_bounds(self) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        (Bound::Unbounded, Bound::Unbounded)
    }
}

impl<K: AsRef<[u8]>> KeyRange for Range<K> {
    fn into_bounds(self) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        (Bound::Included(owned(&self.start)), Bound::Excluded(owned(&self.end)))
    }
}

impl<K: AsRef<[u8]>> KeyRange for RangeInclusive<K> {
    fn into_bounds(self) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        (Bound::Included(owned(self.start())), Bound::Included(owned(self.end())))
    }
}

impl<K: AsRef<[u8]>> KeyRange for RangeFrom<K> {
    fn into_bounds(self) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        (Bound::Included(owned(&self.start)), Bound::Unbounded)
    }
}

impl<K: AsRef<[u8]>> KeyRange for RangeTo<K> {
    fn into_bounds(self) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        (Bound::Unbounded, Bound::Excluded(owned(&self.end)))
    }
}

impl<K: AsRef<[u8]>> KeyRange for RangeToInclusive<K> {
    fn into_bounds(self) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        (Bound::Unbounded, Bound::Included(owned(&self.end)))
    }
}

impl<K: AsRef<[u8]>> KeyRange for (Bound<K>, Bound<K>) {
    fn into_bounds(self) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        (self.0.map(|key| owned(&key)), self.1.map(|key| owned(&key)))
    }
}

fn owned(key: &impl AsRef<[u8]>) -> Vec<u8> {
    key.as_ref().to_vec()
}

/// All keys that begin with some bytes.
pub(crate) struct Prefix<'a>(pub(crate) &'a [u8]);

impl KeyRange for Prefix<'_> {
    fn into_bounds(self) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        (Bound::Included(self.0.to_vec()), end_of_prefix(self.0))
    }
}

/// The smallest key greater than every key that begins with `prefix`: the prefix without its
/// trailing 0xff bytes, its last byte one greater. There is none where all bytes are 0xff.
fn end_of_prefix(prefix: &[u8]) -> Bound<Vec<u8>> {
    let Some(last) = prefix.iter().rposition(|byte| *byte != 0xff) else { return Bound::Unbounded };
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Bound::Excluded(end)
}

/// Where a range begins and ends.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    pub(crate) lower: Bound<Vec<u8>>,
    pub(crate) upper: Bound<Vec<u8>>,
}

impl KeyRange for Bounds {
    fn into_bounds(self) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        (self.lower, self.upper)
    }
}

impl Bounds {
    pub(crate) fn of(range: impl KeyRange) -> Bounds {
        let (lower, upper) = range.into_bounds();
        Bounds { lower, upper }
    }

    /// Whether no key can lie within.
    pub(crate) fn is_empty(&self) -> bool {
        match (&self.lower, &self.upper) {
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to))
            | (Bound::Excluded(from), Bound::Included(to)) => from >= to,
            _ => false,
        }
    }

    /// Whether `key` comes before all that lies within.
    #[inline]
    pub(crate) fn begin_after(&self, key: &[u8]) -> bool {
        match &self.lower {
            Bound::Unbounded => false,
            Bound::Included(lower) => key < &**lower,
            Bound::Excluded(lower) => key <= &**lower,
        }
    }

    /// Whether `key` comes after all that lies within.
    #[inline]
    pub(crate) fn end_before(&self, key: &[u8]) -> bool {
        match &self.upper {
            Bound::Unbounded => false,
            Bound::Included(upper) => key > &**upper,
            Bound::Excluded(upper) => key >= &**upper,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Exhaustively over short keys of three bytes that matter (lsm-tree#211 compared short keys wrongly).
    #[test]
    fn a_prefix_holds_exactly_the_keys_that_begin_with_it() {
        let alphabet = [0x00, 0x61, 0xff];
        let mut keys: Vec<Vec<u8>> = vec![vec![]];
        for len in 0..4 {
            let longer: Vec<Vec<u8>> = keys
                .iter()
                .filter(|key| key.len() == len)
                .flat_map(|key| alphabet.map(|byte| [&key[..], &[byte]].concat()))
                .collect();
            keys.extend(longer);
        }
        for prefix in keys.iter().filter(|key| key.len() < 4) {
            let (start, end) = Prefix(prefix).into_bounds();
            for key in &keys {
                let inside = std::ops::RangeBounds::contains(&(start.as_ref(), end.as_ref()), &key);
                assert_eq!(inside, key.starts_with(prefix), "{prefix:?} {key:?}");
            }
        }
    }
}
