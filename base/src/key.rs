//! Keys, sequence numbers and entries.

use std::cmp::Ordering;
use std::fmt;

/// The longest key a store takes: 64 KiB.
pub const MAX_KEY_BYTES: usize = 64 << 10;

/// The longest value a store takes: 1 GiB.
pub const MAX_VALUE_BYTES: usize = 1 << 30;

/// The place of one write in the history of a store; later writes have greater numbers.
///
/// Fifty-six bits, so that a sequence number and a [`ValueKind`] pack into one `u64` on disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SeqNo(u64);

impl SeqNo {
    /// Before every write.
    pub const ZERO: SeqNo = SeqNo(0);
    /// At or after every write.
    pub const MAX: SeqNo = SeqNo((1 << 56) - 1);

    /// The number `n`, or `None` where it does not fit fifty-six bits.
    pub const fn new(n: u64) -> Option<SeqNo> {
        if n <= Self::MAX.0 { Some(SeqNo(n)) } else { None }
    }

    /// The number itself.
    pub const fn value(self) -> u64 {
        self.0
    }

    /// The number `count` writes later, or `None` past [`SeqNo::MAX`].
    pub const fn plus(self, count: u64) -> Option<SeqNo> {
        match self.0.checked_add(count) {
            Some(n) => SeqNo::new(n),
            None => None,
        }
    }
}

impl fmt::Debug for SeqNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Display for SeqNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a version of a key says of it.
///
/// The numbers are part of every format. 2 (merge), 3 (range delete) and 4 (pointer to a value
/// stored apart) are reserved: a reader that meets them refuses the file rather than guess.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum ValueKind {
    /// The key is gone: a tombstone.
    Delete = 0,
    /// The key has this value.
    Put = 1,
}

impl ValueKind {
    /// The kind numbered `byte`, or `None` where this version knows no such kind.
    pub const fn from_byte(byte: u8) -> Option<ValueKind> {
        match byte {
            0 => Some(ValueKind::Delete),
            1 => Some(ValueKind::Put),
            _ => None,
        }
    }
}

/// A place in the order of entries: by user key ascending, then by sequence number descending, so
/// that the newest version of a key comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyRef<'a> {
    /// The key as the user gave it.
    pub user_key: &'a [u8],
    /// The version.
    pub seq: SeqNo,
}

impl<'a> KeyRef<'a> {
    /// The version `seq` of `user_key`.
    pub const fn new(user_key: &'a [u8], seq: SeqNo) -> KeyRef<'a> {
        KeyRef { user_key, seq }
    }

    /// At or before every version of `user_key`.
    pub const fn first_of(user_key: &'a [u8]) -> KeyRef<'a> {
        KeyRef { user_key, seq: SeqNo::MAX }
    }

    /// At or after every version of `user_key`.
    pub const fn last_of(user_key: &'a [u8]) -> KeyRef<'a> {
        KeyRef { user_key, seq: SeqNo::ZERO }
    }
}

impl Ord for KeyRef<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.user_key.cmp(other.user_key).then_with(|| other.seq.cmp(&self.seq))
    }
}

impl PartialOrd for KeyRef<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// One version of one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// The key as the user gave it.
    pub user_key: &'a [u8],
    /// The version.
    pub seq: SeqNo,
    /// What the version says.
    pub kind: ValueKind,
    /// The value; empty for a tombstone.
    pub value: &'a [u8],
}

impl<'a> Entry<'a> {
    /// A version that holds `value`.
    pub const fn put(user_key: &'a [u8], seq: SeqNo, value: &'a [u8]) -> Entry<'a> {
        Entry { user_key, seq, kind: ValueKind::Put, value }
    }

    /// A tombstone.
    pub const fn delete(user_key: &'a [u8], seq: SeqNo) -> Entry<'a> {
        Entry { user_key, seq, kind: ValueKind::Delete, value: &[] }
    }

    /// Where the entry stands in the order.
    pub const fn key(&self) -> KeyRef<'a> {
        KeyRef { user_key: self.user_key, seq: self.seq }
    }
}

/// Names a keyspace within a store; never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct KeyspaceId(pub u32);

/// Names a segment of a write-ahead log; later segments have greater numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SegmentId(pub u64);

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

/// Whether `key` begins with `prefix`: as `starts_with`, without a call for prefixes of up to sixteen bytes, as most are.
#[inline]
pub fn begins_with(key: &[u8], prefix: &[u8]) -> bool {
    let len = prefix.len();
    if len > 16 || key.len() < len {
        return key.starts_with(prefix);
    }
    // Of eight bytes or more, the first eight and the last eight are all there are.
    match (prefix.first_chunk::<8>(), prefix.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            key.first_chunk() == Some(first) && key[..len].last_chunk() == Some(last)
        }
        _ => prefix.iter().zip(key).all(|(a, b)| a == b),
    }
}

/// The first eight bytes of `key` as a big-endian number; a shorter key counts as if zeros followed.
///
/// Of two keys the one with the smaller head is the smaller; equal heads decide nothing.
#[inline]
pub fn key_head(key: &[u8]) -> u64 {
    if let Some(first) = key.first_chunk() {
        return u64::from_be_bytes(*first);
    }
    // To put the bytes together in memory and load them at once would be to wait until all of them have arrived there.
    match (key.first_chunk(), key.last_chunk()) {
        (Some(first), Some(last)) => {
            let last = u64::from(u32::from_be_bytes(*last)) << (64 - 8 * key.len());
            u64::from(u32::from_be_bytes(*first)) << 32 | last
        }
        _ => key.iter().rev().fold(0, |head, byte| head >> 8 | u64::from(*byte) << 56),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn newest_version_of_a_key_comes_first() {
        let seq = |n| SeqNo::new(n).unwrap();
        let mut keys = [
            KeyRef::new(b"b", seq(1)),
            KeyRef::new(b"a", seq(1)),
            KeyRef::new(b"a", seq(9)),
            KeyRef::new(b"", seq(3)),
            KeyRef::new(b"aa", seq(5)),
        ];
        keys.sort();
        let order: Vec<_> = keys.iter().map(|k| (k.user_key, k.seq.value())).collect();
        assert_eq!(order, [(&b""[..], 3), (b"a", 9), (b"a", 1), (b"aa", 5), (b"b", 1)]);
    }

    #[test]
    fn first_and_last_enclose_every_version() {
        let version = KeyRef::new(b"k", SeqNo::new(7).unwrap());
        assert!(KeyRef::first_of(b"k") < version && version < KeyRef::last_of(b"k"));
    }

    #[test]
    fn sequence_numbers_end_at_fifty_six_bits() {
        assert_eq!(SeqNo::new(1 << 56), None);
        assert_eq!(SeqNo::MAX.plus(1), None);
        assert_eq!(SeqNo::ZERO.plus(5), SeqNo::new(5));
        assert_eq!(SeqNo::MAX.plus(u64::MAX), None);
    }

    #[test]
    fn reserved_kinds_are_not_known() {
        assert_eq!(ValueKind::from_byte(ValueKind::Delete as u8), Some(ValueKind::Delete));
        assert_eq!(ValueKind::from_byte(ValueKind::Put as u8), Some(ValueKind::Put));
        assert!((2..=255).all(|byte| ValueKind::from_byte(byte).is_none()));
    }

    #[test]
    fn heads_never_contradict_the_order_of_keys() {
        let keys: [&[u8]; 9] = [b"", b"\0", b"\0\0", b"\x01", b"a", b"a\0", b"abcdefgh", b"abcdefgh\0", b"b"];
        for two in keys.windows(2) {
            assert!(two[0] < two[1] && key_head(two[0]) <= key_head(two[1]), "{two:?}");
        }
        assert_eq!(key_head(b"\xff"), 0xff << 56);
    }

    proptest! {
        /// Of keys around the lengths at which the ways part.
        #[test]
        fn heads_are_eight_bytes_with_zeros_behind(
            key in prop::collection::vec(prop::sample::select(vec![0u8, 1, 255]), 0..28),
            at in 0usize..20,
        ) {
            let at = at.min(key.len());
            let mut rest = key[at..].to_vec();
            rest.resize(8, 0);
            prop_assert_eq!(&key_head(&key[at..]).to_be_bytes()[..], &rest[..8]);
        }

        /// Around the lengths at which the ways part.
        #[test]
        fn begins_with_is_starts_with(
            key in prop::collection::vec(prop::sample::select(vec![0u8, 1, 255]), 0..28),
            prefix_bytes in 0usize..24,
            flipped in prop::option::of(0usize..24),
            longer: bool,
        ) {
            let mut prefix = key[..prefix_bytes.min(key.len())].to_vec();
            prop_assert!(begins_with(&key, &prefix));
            if let Some(byte) = flipped.and_then(|at| prefix.get_mut(at)) {
                *byte ^= 1;
            }
            if longer {
                prefix.push(7);
            }
            prop_assert_eq!(begins_with(&key, &prefix), key.starts_with(&prefix));
        }
    }
}
