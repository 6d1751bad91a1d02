//! What the keys of a node have in common, and what of the rest fits into four bytes.

use lsmkit_base::KeyRef;

use super::record::Record;

/// What all keys between two bounds have in common.
///
/// A node's keys lie between two bounds, so whatever those share, all of them share, also those that are
/// inserted later. The heads of a node begin behind that (prefix truncation: Bayer and Unterauer,
/// "Prefix B-trees", TODS 2(1), 1977), and so tell apart even keys that begin with a long common path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Skip {
    /// This many bytes of the user key.
    Bytes(u32),
    /// The whole user key, and this many bits of the sequence number: the node holds versions of one key.
    Versions(u32),
}

impl Skip {
    /// What the keys from `low` on and before `high` have in common, all keys of the tree sharing
    /// their first `prefix_len` bytes; `None` is a bound that is not there.
    pub(super) fn between(low: Option<Record<'_>>, high: Option<Record<'_>>, prefix_len: usize) -> Skip {
        let (Some(low), Some(high)) = (low, high) else { return Skip::bytes(prefix_len) };
        let (low_key, high_key) = (low.user_key(), high.user_key());
        if low_key == high_key {
            let differ = version_bits(low.key()) ^ version_bits(high.key());
            Skip::Versions(differ.leading_zeros().min(63))
        } else {
            Skip::bytes(common_prefix_len(low_key, high_key))
        }
    }

    pub(super) fn bytes(len: usize) -> Skip {
        Skip::Bytes(u32::try_from(len).expect("because keys are shorter than 4 GiB"))
    }

    /// The four bytes of `key` behind what is skipped, as a big-endian integer; zeros stand for what is not
    /// there. Of two keys of a node the one with the smaller head is the smaller; equal heads decide nothing.
    #[inline]
    pub(super) fn head(self, key: KeyRef<'_>) -> u32 {
        match self {
            Skip::Bytes(len) => {
                let rest = key.user_key.get(len as usize..).unwrap_or_default();
                if let Some(first) = rest.first_chunk::<4>() {
                    return u32::from_be_bytes(*first);
                }
                let mut padded = [0; 4];
                padded[..rest.len()].copy_from_slice(rest);
                u32::from_be_bytes(padded)
            }
            Skip::Versions(bits) => (version_bits(key) << bits >> 32) as u32,
        }
    }
}

/// Such that later versions, which come first, have smaller bits.
fn version_bits(key: KeyRef<'_>) -> u64 {
    !(key.seq.value() << 8)
}

/// How many bytes two keys begin with in common.
pub(super) fn common_prefix_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::{Arena, Spare};
    use lsmkit_base::{Entry, SeqNo};

    #[test]
    fn heads_never_contradict_the_order_of_a_nodes_keys() {
        let mut keys: Vec<(&[u8], u64)> = Vec::new();
        for key in
            [&b""[..], b"\0", b"a", b"a\0", b"aa", b"aab", b"aabcdefgh", b"aabcdefghi", b"ab", b"b\xff"]
        {
            keys.extend([1 << 55, 70_000, 300, 299, 2, 1, 0].map(|seq| (key, seq)));
        }
        let mut arena = Arena::new(&Spare::with_budget(1 << 20));
        let records: Vec<Record<'_>> = keys
            .iter()
            // SAFETY: the arena outlives the records.
            .map(|&(key, seq)| unsafe {
                Record::write(&mut arena, Entry::put(key, SeqNo::new(seq).unwrap(), b""))
            })
            .collect();
        assert!(records.is_sorted_by(|a, b| a.key() < b.key()));
        for low in 0..records.len() {
            for high in low + 1..records.len() {
                let skip = Skip::between(Some(records[low]), Some(records[high]), 0);
                let heads: Vec<u32> =
                    records[low..high].iter().map(|record| skip.head(record.key())).collect();
                assert!(heads.is_sorted(), "{skip:?} from {:?} to {:?}: {heads:?}", keys[low], keys[high]);
            }
        }
    }

    #[test]
    fn versions_of_one_key_are_told_apart() {
        let mut arena = Arena::new(&Spare::with_budget(1 << 20));
        let mut version = |seq| {
            // SAFETY: the arena outlives the records.
            unsafe { Record::write(&mut arena, Entry::put(b"counter", SeqNo::new(seq).unwrap(), b"")) }
        };
        let (newest, middle, oldest) = (version(1_000_100), version(1_000_050), version(1_000_000));
        let skip = Skip::between(Some(newest), Some(oldest), 0);
        assert!(skip.head(newest.key()) < skip.head(middle.key()), "{skip:?}");
    }
}
