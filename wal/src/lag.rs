//! How far the end of a log is ahead of what is durable of it, in twenty bits; `docs/formats/log.md`, "Lag".

/// A distance in bytes: exact up to 65,535, from there on at most a 32,768th too long, never too short.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lag(u32);

/// The bits of a code that are digits; the five above them are the exponent.
const DIGITS: u32 = 15;
/// What the first digit, which is not written, is worth.
const FIRST: u64 = 1 << DIGITS;
/// So far that nothing is known.
const UNKNOWN: u32 = (1 << Lag::BITS) - 1;

impl Lag {
    /// How long a code is.
    pub(crate) const BITS: u32 = DIGITS + 5;

    /// The shortest that is not less than `bytes`.
    #[inline]
    pub(crate) fn of(bytes: u64) -> Lag {
        if bytes < FIRST {
            return Lag(bytes as u32);
        }
        let exponent = bytes.ilog2() - DIGITS;
        // May come to as many as two firsts, which is what the next exponent begins with.
        let digits = bytes.div_ceil(1 << exponent) - FIRST;
        let code = (u64::from(exponent + 1) << DIGITS) + digits;
        Lag(code.min(u64::from(UNKNOWN)) as u32)
    }

    /// That of a code of so many bits, any of which is one.
    pub(crate) fn of_code(code: u32) -> Lag {
        Lag(code & UNKNOWN)
    }

    /// What stands in the file.
    pub(crate) fn code(self) -> u32 {
        self.0
    }

    /// The distance; `None` where it is too far to tell.
    pub(crate) fn bytes(self) -> Option<u64> {
        let (exponent, digits) = (self.0 >> DIGITS, u64::from(self.0) % FIRST);
        match (self.0, exponent) {
            (UNKNOWN, _) => None,
            (_, 0) => Some(digits),
            (_, exponent) => Some((FIRST + digits) << (exponent - 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What comes back of a distance.
    fn told(bytes: u64) -> Option<u64> {
        Lag::of(bytes).bytes()
    }

    #[test]
    fn short_ones_are_exact_and_long_ones_unknown() {
        assert!((0..65_536).all(|bytes| told(bytes) == Some(bytes)));
        assert_eq!(told(65_537), Some(65_538));
        assert_eq!(told(131_071), Some(131_072));
        let longest = 65_534 << 30;
        assert_eq!(told(longest), Some(longest));
        assert_eq!(told(longest + 1), None);
        assert_eq!(told(u64::MAX), None);
    }

    /// So that what is rounded away is less than a frame, and every frame that was durable counts.
    #[test]
    fn up_to_a_mebibyte_less_than_a_frame_is_too_much() {
        assert!((0..1 << 20).all(|bytes| told(bytes).unwrap() - bytes < 16));
    }

    #[test]
    fn every_code_is_that_of_what_it_tells() {
        assert!((0..UNKNOWN).all(|code| Lag::of_code(code).bytes().map(Lag::of) == Some(Lag(code))));
    }

    proptest! {
        #[test]
        fn none_is_too_short_or_much_too_long(bits in 0..46_u32, any: u64) {
            let bytes = any % (1 << bits);
            let told = told(bytes).expect("one that is not too long");
            prop_assert!(told >= bytes && told - bytes <= bytes / FIRST);
        }
    }
}
