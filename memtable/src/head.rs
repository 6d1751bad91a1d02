//! The first bytes of a key as an integer, which decides most comparisons.

/// The first eight bytes of `key` as a big-endian integer; a shorter key counts as if zeros followed.
///
/// Of two keys the one with the smaller head is the smaller; equal heads decide nothing.
#[inline]
pub(crate) fn key_head(key: &[u8]) -> u64 {
    if let Some(first) = key.first_chunk::<8>() {
        return u64::from_be_bytes(*first);
    }
    let mut padded = [0; 8];
    padded[..key.len()].copy_from_slice(key);
    u64::from_be_bytes(padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_never_contradict_the_order_of_keys() {
        let keys: [&[u8]; 9] = [b"", b"\0", b"\0\0", b"\x01", b"a", b"a\0", b"abcdefgh", b"abcdefgh\0", b"b"];
        for two in keys.windows(2) {
            assert!(two[0] < two[1] && key_head(two[0]) <= key_head(two[1]), "{two:?}");
        }
        assert_eq!(key_head(b"\xff"), 0xff << 56);
    }
}
