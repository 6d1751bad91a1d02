//! Fences: between which keys the tables of a run lie, to be searched without a look at the tables.

use lsmkit_base::key_head;

/// The first and the last key of each table of a run, as far as eight bytes tell them.
///
/// To come to a key of a table takes three steps through memory; here a number stands for each, side by side with
/// the others. Only where the numbers are equal are the keys compared.
#[derive(Debug)]
pub(crate) struct Fences {
    /// What all keys of the run begin with, as far as it fits.
    prefix: [u8; PREFIX_BYTES_MAX],
    prefix_bytes: usize,
    firsts: Box<[u64]>,
    lasts: Box<[u64]>,
}

const PREFIX_BYTES_MAX: usize = 32;

/// Where a key lies.
enum Side {
    BeforeAll,
    /// Among the keys with the prefix; the number that stands for it.
    Within(u64),
    AfterAll,
}

impl Fences {
    /// Of tables that are given by their first and last keys, in order.
    pub(crate) fn new<'k>(bounds: impl Iterator<Item = (&'k [u8], &'k [u8])> + Clone) -> Fences {
        let first = bounds.clone().next().map_or(&[][..], |(first, _)| first);
        let last = bounds.clone().last().map_or(&[][..], |(_, last)| last);
        let prefix_bytes = first.iter().zip(last).take(PREFIX_BYTES_MAX).take_while(|(a, b)| a == b).count();
        let mut prefix = [0; PREFIX_BYTES_MAX];
        prefix[..prefix_bytes].copy_from_slice(&first[..prefix_bytes]);
        // All keys in between have the prefix, if the tables are in order.
        let head = |key: &[u8]| key_head(key.get(prefix_bytes..).unwrap_or_default());
        Fences {
            prefix,
            prefix_bytes,
            firsts: bounds.clone().map(|(first, _)| head(first)).collect(),
            lasts: bounds.map(|(_, last)| head(last)).collect(),
        }
    }

    /// How many tables end before `key`; `last` tells the last key of a table.
    #[inline]
    pub(crate) fn ended_before<'k>(&self, key: &[u8], last: impl Fn(usize) -> &'k [u8]) -> usize {
        self.count(&self.lasts, key, |i| last(i) < key)
    }

    /// How many tables begin at or before `key`; `first` tells the first key of a table.
    #[inline]
    pub(crate) fn begun_by<'k>(&self, key: &[u8], first: impl Fn(usize) -> &'k [u8]) -> usize {
        self.count(&self.firsts, key, |i| first(i) <= key)
    }

    /// The table that `key` lies in; `bounds` tells the first and the last key of a table.
    #[inline]
    pub(crate) fn around<'k>(
        &self,
        key: &[u8],
        bounds: impl Fn(usize) -> (&'k [u8], &'k [u8]),
    ) -> Option<usize> {
        let head = key_head(key.strip_prefix(&self.prefix[..self.prefix_bytes])?);
        let table = count(&self.lasts, head, |i| bounds(i).1 < key);
        let first = *self.firsts.get(table)?;
        (first < head || (first == head && bounds(table).0 <= key)).then_some(table)
    }

    #[inline]
    fn count(&self, heads: &[u64], key: &[u8], is_before: impl Fn(usize) -> bool) -> usize {
        match self.side(key) {
            Side::BeforeAll => 0,
            Side::AfterAll => heads.len(),
            Side::Within(head) => count(heads, head, is_before),
        }
    }

    #[inline]
    fn side(&self, key: &[u8]) -> Side {
        let prefix = &self.prefix[..self.prefix_bytes];
        match key.strip_prefix(prefix) {
            Some(suffix) => Side::Within(key_head(suffix)),
            None if key < prefix => Side::BeforeAll,
            None => Side::AfterAll,
        }
    }
}

/// How many of `heads` are before that of a key, or equal and of a table that `is_before` the key.
#[inline]
fn count(heads: &[u64], key_head: u64, is_before: impl Fn(usize) -> bool) -> usize {
    let (mut from, mut to) = (heads.partition_point(|head| *head < key_head), heads.len());
    if heads.get(from) != Some(&key_head) {
        return from;
    }
    while from < to {
        let middle = from.midpoint(to);
        if heads[middle] == key_head && is_before(middle) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    from
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = Vec<u8>> {
        // Few bytes, so that keys share prefixes and heads; some with more in common than is kept.
        let ends = prop::collection::vec(prop::sample::select(vec![0u8, 1, b'a', 255]), 0..12);
        (prop::sample::select(vec![0usize, 5, 31, 40]), ends)
            .prop_map(|(common, end)| [vec![b'p'; common], end].concat())
    }

    proptest! {
        #[test]
        fn fences_count_as_keys_do(keys in prop::collection::btree_set(key(), 0..24), targets in prop::collection::vec(key(), 1..20)) {
            let keys: Vec<_> = keys.into_iter().collect();
            // Tables of two keys, and one of one where the count is odd.
            let bounds = keys.chunks(2).map(|table| (&*table[0], &*table[table.len() - 1]));
            let fences = Fences::new(bounds.clone());
            let (firsts, lasts): (Vec<_>, Vec<_>) = bounds.unzip();
            for target in targets.iter().chain(&keys) {
                let around = (0..firsts.len()).find(|&i| firsts[i] <= &**target && &**target <= lasts[i]);
                prop_assert_eq!(fences.around(target, |i| (firsts[i], lasts[i])), around);
                prop_assert_eq!(fences.ended_before(target, |i| lasts[i]), lasts.partition_point(|last| *last < &**target));
                prop_assert_eq!(fences.begun_by(target, |i| firsts[i]), firsts.partition_point(|first| *first <= &**target));
            }
        }
    }
}
