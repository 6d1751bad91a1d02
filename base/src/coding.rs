//! Fixed-width little-endian integers, varints and checksums: the alphabet of every format.
//!
//! Specified in `docs/formats/coding.md`.

/// Appends a `u32`, little-endian.
pub fn put_u32(bytes: &mut Vec<u8>, n: u32) {
    bytes.extend_from_slice(&n.to_le_bytes());
}

/// Appends a `u64`, little-endian.
pub fn put_u64(bytes: &mut Vec<u8>, n: u64) {
    bytes.extend_from_slice(&n.to_le_bytes());
}

/// Appends `n` as a LEB128 varint: seven bits a byte, least significant first, the high bit set on
/// all bytes but the last; one to ten bytes.
pub fn put_varint(bytes: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        bytes.push(n as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
}

/// Appends the length of `part` as a varint, then `part`.
pub fn put_bytes(bytes: &mut Vec<u8>, part: &[u8]) {
    put_varint(bytes, part.len() as u64);
    bytes.extend_from_slice(part);
}

/// The number of bytes [`put_varint`] appends for `n`.
pub const fn varint_len(n: u64) -> usize {
    // Seven bits a byte; zero still takes one.
    (63 - (n | 1).leading_zeros() as usize) / 7 + 1
}

/// CRC-32C (Castagnoli) of `bytes`, masked so that a checksum stored among the bytes that another
/// checksum covers does not weaken it (the rotation and the constant are LevelDB's, from its
/// `util/crc32c.h`).
pub fn checksum(bytes: &[u8]) -> u32 {
    mask(crc32c::crc32c(bytes))
}

/// A checksum over several parts, as [`checksum`] over their concatenation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checksum(u32);

impl Checksum {
    /// Of no bytes yet.
    pub const fn new() -> Checksum {
        Checksum(0)
    }

    /// Takes in the next part.
    #[must_use]
    pub fn with(self, part: &[u8]) -> Checksum {
        Checksum(crc32c::crc32c_append(self.0, part))
    }

    /// The checksum of all parts so far.
    pub const fn finish(self) -> u32 {
        mask(self.0)
    }
}

const fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Takes values off the front of bytes that may be hostile: every step answers `None` rather than
/// read past the end.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    start: usize,
}

impl<'a> Decoder<'a> {
    /// At the front of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Decoder<'a> {
        Decoder { bytes, start: 0 }
    }

    /// How many bytes have been taken.
    pub const fn position(&self) -> usize {
        self.start
    }

    /// What has not been taken yet.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.start..]
    }

    /// Whether everything has been taken.
    pub const fn is_done(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.rest().get(..len)?;
        self.start += len;
        Some(taken)
    }

    /// The next byte.
    pub fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.start)?;
        self.start += 1;
        Some(byte)
    }

    /// The next four bytes as a `u32`.
    pub fn u32(&mut self) -> Option<u32> {
        let (four, _) = self.rest().split_first_chunk::<4>()?;
        self.start += 4;
        Some(u32::from_le_bytes(*four))
    }

    /// The next eight bytes as a `u64`.
    pub fn u64(&mut self) -> Option<u64> {
        let (eight, _) = self.rest().split_first_chunk::<8>()?;
        self.start += 8;
        Some(u64::from_le_bytes(*eight))
    }

    /// The next varint; `None` also where it does not fit 64 bits.
    pub fn varint(&mut self) -> Option<u64> {
        // Lengths and small numbers fit one byte.
        let first = *self.bytes.get(self.start)?;
        if first < 0x80 {
            self.start += 1;
            return Some(u64::from(first));
        }
        let mut n = u64::from(first & 0x7f);
        for (i, &byte) in self.rest().iter().enumerate().take(10).skip(1) {
            let bits = u64::from(byte & 0x7f);
            if i == 9 && bits > 1 {
                return None;
            }
            n |= bits << (7 * i);
            if byte < 0x80 {
                self.start += i + 1;
                return Some(n);
            }
        }
        None
    }

    /// The next varint as a length that is no more than what is left, and that many bytes.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let before = self.start;
        let taken = self.varint().and_then(|len| usize::try_from(len).ok()).and_then(|len| self.take(len));
        if taken.is_none() {
            self.start = before;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        let mut bytes = Vec::new();
        put_u32(&mut bytes, 0x0102_0304);
        put_u64(&mut bytes, 0x0102_0304_0506_0708);
        put_varint(&mut bytes, 300);
        put_bytes(&mut bytes, b"hi");
        assert_eq!(bytes, [4, 3, 2, 1, 8, 7, 6, 5, 4, 3, 2, 1, 0xac, 0x02, 2, b'h', b'i']);
    }

    /// The check value of CRC-32C in RFC 3720 is e3069283 for "123456789".
    #[test]
    fn checksum_is_masked_crc32c() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(checksum(b"123456789"), 0xc78a_b0e5);
        assert_eq!(Checksum::new().with(b"1234").with(b"56789").finish(), checksum(b"123456789"));
    }

    #[test]
    fn varints_too_long_or_too_large_are_refused() {
        assert_eq!(Decoder::new(&[0x80; 10]).varint(), None);
        assert_eq!(Decoder::new(&[0xff; 11]).varint(), None);
        let mut largest = [0xff; 10];
        largest[9] = 0x01;
        assert_eq!(Decoder::new(&largest).varint(), Some(u64::MAX));
        largest[9] = 0x02;
        assert_eq!(Decoder::new(&largest).varint(), None);
        assert_eq!(Decoder::new(&[0x80]).varint(), None);
    }

    #[test]
    fn a_length_beyond_the_end_takes_nothing() {
        let mut decoder = Decoder::new(&[5, 1, 2]);
        assert_eq!(decoder.bytes(), None);
        assert_eq!(decoder.rest(), [5, 1, 2]);
    }

    proptest! {
        #[test]
        fn varints_return(n: u64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, n);
            prop_assert_eq!(bytes.len(), varint_len(n));
            let mut decoder = Decoder::new(&bytes);
            prop_assert_eq!(decoder.varint(), Some(n));
            prop_assert!(decoder.is_done());
        }

        #[test]
        fn any_bytes_decode_without_panic(bytes: Vec<u8>, len: usize) {
            let mut decoder = Decoder::new(&bytes);
            let _ = (decoder.varint(), decoder.bytes(), decoder.u32(), decoder.take(len), decoder.u64());
            prop_assert!(decoder.position() <= bytes.len());
        }
    }
}
