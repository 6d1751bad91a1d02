//! How far the end of a log is ahead of what is durable of it, in two bytes; `docs/formats/log.md`, "Lag".

/// A distance in bytes: exact up to 4,095, from there on at most a 2,048th too long, never too short.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lag(u16);

/// The bits of a code that are digits; the five above them are the exponent.
const DIGITS: u32 = 11;
/// What the first digit, which is not written, is worth.
const FIRST: u64 = 1 << DIGITS;
/// So far that nothing is known.
const UNKNOWN: u16 = u16::MAX;

impl Lag {
    /// The shortest that is not less than `bytes`.
    #[inline]
    pub(crate) fn of(bytes: u64) -> Lag {
        if bytes < FIRST {
            return Lag(bytes as u16);
        }
        let exponent = bytes.ilog2() - DIGITS;
        // May come to as many as two firsts, which is what the next exponent begins with.
        let digits = bytes.div_ceil(1 << exponent) - FIRST;
        let code = (u64::from(exponent + 1) << DIGITS) + digits;
        Lag(u16::try_from(code).unwrap_or(UNKNOWN))
    }

    /// That of a code, any of which is one.
    pub(crate) fn of_code(code: u16) -> Lag {
        Lag(code)
    }

    /// What stands in the file.
    pub(crate) fn code(self) -> u16 {
        self.0
    }

    /// The distance; `None` where it is too far to tell.
    pub(crate) fn bytes(self) -> Option<u64> {
        let (exponent, digits) = (u32::from(self.0 >> DIGITS), u64::from(self.0) % FIRST);
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
        assert!((0..4096).all(|bytes| told(bytes) == Some(bytes)));
        assert_eq!(told(4097), Some(4098));
        assert_eq!(told(8191), Some(8192));
        let longest = 4094 << 30;
        assert_eq!(told(longest), Some(longest));
        assert_eq!(told(longest + 1), None);
        assert_eq!(told(u64::MAX), None);
    }

    #[test]
    fn every_code_is_that_of_what_it_tells() {
        assert!((0..UNKNOWN).all(|code| Lag::of_code(code).bytes().map(Lag::of) == Some(Lag(code))));
    }

    proptest! {
        #[test]
        fn none_is_too_short_or_much_too_long(bytes: u64) {
            if let Some(told) = told(bytes) {
                prop_assert!(told >= bytes && told - bytes <= bytes / 2048);
            } else {
                prop_assert!(bytes > 4094 << 30);
            }
        }

        #[test]
        fn none_of_less_than_a_terabyte_is_unknown(bytes in 0_u64..1 << 40) {
            let told = told(bytes).expect("a short one");
            prop_assert!(told >= bytes && told - bytes <= bytes / 2048);
        }
    }
}
