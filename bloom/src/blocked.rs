//! `Blocked`: a Bloom filter whose every key lives in one cache line.
//!
//! A classic Bloom filter spreads the k bits of a key over the whole filter: k cache misses for a key that is
//! there. Here the hash first chooses one block of 512 bits, and all k bits fall inside it: one miss, for a
//! somewhat higher false-positive rate, because some blocks get more keys than others. The idea is from
//! Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom Filters" (WEA 2007), section 2; how the
//! rate follows from it stands in `rate.rs`, and the bytes in `docs/formats/filter.md`.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::FilterPolicy;
use crate::rate::{self, optimal_probes};

/// A Bloom filter in blocks of one cache line (64 bytes): one cache miss a probe.
///
/// The settings matter for building only. Each filter stores its own number of probes, so that any `Blocked`
/// reads the filters of any other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Blocked {
    /// In thousandths, so that the size of a filter is computed in integers and is the same on every machine.
    millibits_per_key: u32,
    probes: u8,
}

impl Blocked {
    /// The bits per key that [`bits_per_key`](Blocked::bits_per_key) accepts.
    pub const BITS_PER_KEY: RangeInclusive<f64> = 1.0..=32.0;

    /// A policy that spends `bits` bits of filter on each key, rounded to a thousandth.
    ///
    /// The number of probes is chosen for the lowest false-positive rate. 10 bits give about 1 %, see
    /// [`expected_false_positive_rate`](crate::expected_false_positive_rate). A filter is a whole number of
    /// 64-byte blocks, so that one of few keys is larger (and better) than asked for.
    ///
    /// # Panics
    ///
    /// If `bits` is not within [`Blocked::BITS_PER_KEY`].
    pub fn bits_per_key(bits: f64) -> Blocked {
        assert!(Self::BITS_PER_KEY.contains(&bits), "bits per key: {bits} is not within 1 to 32");
        let millibits_per_key = (bits * 1000.0).round() as u32;
        Blocked { millibits_per_key, probes: optimal_probes(millibits_per_key) }
    }

    /// The number of bits a key sets.
    pub fn probes(&self) -> u32 {
        u32::from(self.probes)
    }

    /// The share of absent keys that a filter of this policy lets through, by calculation.
    pub fn expected_false_positive_rate(&self) -> f64 {
        rate::of_blocks(f64::from(self.millibits_per_key) / 1000.0, self.probes())
    }

    /// The size of the filter of so many keys, in bytes.
    pub fn size_bytes(&self, keys: usize) -> u64 {
        u64::from(self.block_count(keys)) * BLOCK_BYTES as u64 + TRAILER_BYTES as u64
    }

    fn block_count(&self, keys: usize) -> u32 {
        let millibits = keys as u128 * u128::from(self.millibits_per_key);
        let blocks = millibits.div_ceil(BLOCK_BITS as u128 * 1000);
        // The format counts blocks in 32 bits: 256 GiB. Beyond, a filter grows no more and its rate rises.
        u32::try_from(blocks).unwrap_or(u32::MAX)
    }
}

impl FilterPolicy for Blocked {
    fn name(&self) -> &str {
        "lsmkit.blocked.1"
    }

    fn build(&self, hashes: &[u64], filter: &mut Vec<u8>) {
        let block_count = self.block_count(hashes.len());
        let start = filter.len();
        // No overflow: at most 32 bits a key are half of what the key's hash takes in memory already.
        filter.reserve(block_count as usize * BLOCK_BYTES + TRAILER_BYTES);
        filter.resize(start + block_count as usize * BLOCK_BYTES, 0);
        let (blocks, _) = filter[start..].as_chunks_mut::<BLOCK_BYTES>();
        for &hash in hashes {
            let block = &mut blocks[block_of(hash, block_count)];
            for bit in bits_of(hash, self.probes()) {
                block[(bit >> 3) as usize] |= 1 << (bit & 7);
            }
        }
        filter.extend_from_slice(&trailer(block_count, self.probes));
    }

    fn may_contain(&self, filter: &[u8], hash: u64) -> bool {
        let Some((blocks, probes)) = parse(filter) else { return true };
        let Some(block) = blocks.get(block_of(hash, blocks.len() as u32)) else {
            return false; // No block at all: a filter of no keys.
        };
        #[cfg(target_arch = "x86_64")]
        if let Some(found) = crate::avx2::all_set(block, hash, probes) {
            return found;
        }
        all_set(block, hash, probes)
    }

    fn with_more_bits(&self, bits: f64) -> Option<Arc<dyn FilterPolicy>> {
        let bits = f64::from(self.millibits_per_key) / 1000.0 + bits;
        let (least, most) = Self::BITS_PER_KEY.into_inner();
        Some(Arc::new(Blocked::bits_per_key(bits.clamp(least, most))))
    }

    #[inline]
    fn looks_at<'f>(&self, filter: &'f [u8], hash: u64) -> &'f [u8] {
        // By its length alone: the trailer is elsewhere in memory.
        let (blocks, _) = filter[..filter.len().saturating_sub(TRAILER_BYTES)].as_chunks::<BLOCK_BYTES>();
        let block = blocks.get(block_of(hash, blocks.len() as u32));
        block.map_or(&[], |block| block)
    }
}

impl fmt::Debug for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocked")
            .field("bits_per_key", &(f64::from(self.millibits_per_key) / 1000.0))
            .field("probes", &self.probes)
            .finish()
    }
}

const BLOCK_BYTES: usize = 64;
pub(crate) type Block = [u8; BLOCK_BYTES];
const BLOCK_BITS: usize = 512;

/// What follows the blocks: their number in 32 bits, the number of probes in 8, three bytes of tag. It stands
/// at the end so that the blocks are aligned to cache lines if the caller's bytes are.
const TRAILER_BYTES: usize = 8;
const TAG: [u8; 3] = *b"BL1";

/// More probes than this are never written; a filter that claims them is not ours.
pub(crate) const PROBES_MAX: u32 = 16;

fn trailer(block_count: u32, probes: u8) -> [u8; TRAILER_BYTES] {
    let [c0, c1, c2, c3] = block_count.to_le_bytes();
    [c0, c1, c2, c3, probes, TAG[0], TAG[1], TAG[2]]
}

/// The blocks of a filter and its number of probes; `None` if these bytes are no filter of this format.
#[inline]
fn parse(filter: &[u8]) -> Option<(&[Block], u32)> {
    let (body, trailer) = filter.split_last_chunk::<TRAILER_BYTES>()?;
    let (blocks, rest) = body.as_chunks::<BLOCK_BYTES>();
    let probes = trailer[4];
    let ours = rest.is_empty()
        && u32::try_from(blocks.len())
            .is_ok_and(|block_count| *trailer == self::trailer(block_count, probes))
        && (1..=PROBES_MAX).contains(&u32::from(probes));
    ours.then_some((blocks, u32::from(probes)))
}

/// The block of a key: the hash, taken as a fraction of 2^64, times the number of blocks (Lemire, "Fast
/// Random Integer Generation in an Interval", TOMACS 2019). The high bits decide; the low 32 remain for the
/// bits.
#[inline]
fn block_of(hash: u64, block_count: u32) -> usize {
    ((u128::from(hash) * u128::from(block_count)) >> 64) as usize
}

/// Whether all bits of the key with this hash are set in `block`.
#[inline]
fn all_set(block: &Block, hash: u64, probes: u32) -> bool {
    let (words, _) = block.as_chunks::<8>();
    // All bits, without a branch at each: whether a bit is set is a coin toss, and one mispredicted branch
    // costs more than the remaining probes of a line that is already there.
    let mut found = 1;
    for bit in bits_of(hash, probes) {
        found &= u64::from_le_bytes(words[(bit >> 6) as usize]) >> (bit & 63);
    }
    found & 1 == 1
}

/// The bits of a key within its block: bit b stands in byte b / 8 at the value 2^(b mod 8).
///
/// The low half of the hash is multiplied by one constant again and again, and each product gives its high 9
/// bits.
#[inline]
fn bits_of(hash: u64, probes: u32) -> impl Iterator<Item = u32> {
    let mut lane = hash as u32;
    (0..probes).map(move |_| {
        lane = lane.wrapping_mul(MULTIPLIER);
        lane >> 23
    })
}

/// Has a good spectral score in dimensions two to eight, so that the consecutive products of one number
/// behave like independent draws: Steele and Vigna, "Computationally Easy, Spectrally Good Multipliers for
/// Congruential Pseudorandom Number Generators" (2021), table 5 (multiplicative, 32 bits).
pub(crate) const MULTIPLIER: u32 = 0x93d7_65dd;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_whole_blocks_and_a_trailer() {
        let ten = Blocked::bits_per_key(10.0);
        assert_eq!(ten.size_bytes(0), 8);
        assert_eq!(ten.size_bytes(1), 64 + 8);
        assert_eq!(ten.size_bytes(51), 64 + 8);
        assert_eq!(ten.size_bytes(52), 128 + 8);
        assert_eq!(ten.size_bytes(512_000), 640_000 + 8);
        // The largest count there is stops at what the format can count.
        assert_eq!(Blocked::bits_per_key(32.0).size_bytes(usize::MAX), (u64::from(u32::MAX) << 6) + 8);
        for keys in [0, 1, 51, 52, 1000] {
            let mut filter = Vec::new();
            ten.build(&vec![7; keys], &mut filter);
            assert_eq!(filter.len() as u64, ten.size_bytes(keys));
        }
    }

    #[test]
    fn the_extremes_of_the_hash_stay_in_range() {
        for block_count in [1, 2, 3, 1000, u32::MAX] {
            assert_eq!(block_of(0, block_count), 0);
            assert_eq!(block_of(u64::MAX, block_count), block_count as usize - 1);
        }
        assert!(bits_of(u64::MAX, PROBES_MAX).all(|bit| bit < 512));
        assert!(bits_of(0, PROBES_MAX).all(|bit| bit == 0));
    }

    #[test]
    fn settings_are_shown_and_fractions_kept() {
        let policy = Blocked::bits_per_key(9.6);
        assert_eq!(format!("{policy:?}"), "Blocked { bits_per_key: 9.6, probes: 6 }");
        assert!(policy.expected_false_positive_rate() > 0.0);
    }

    /// On random blocks of every density, so that both answers and every near miss occur.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn avx2_gives_the_portable_answers() {
        let mut seed = 1u64;
        let mut random = || {
            seed = crate::hash(&seed.to_le_bytes());
            seed
        };
        let mut answers = [0; 2];
        for round in 0..20_000u32 {
            let hash = random();
            let probes = 1 + round % PROBES_MAX;
            let mut block: Block = std::array::from_fn(|_| (random() | random() | random()) as u8);
            if round % 3 > 0 {
                bits_of(hash, probes).for_each(|bit| block[bit as usize / 8] |= 1 << (bit % 8));
            }
            if round % 3 > 1 {
                let bit = bits_of(hash, probes).nth(random() as usize % probes as usize).unwrap();
                block[bit as usize / 8] &= !(1 << (bit % 8));
            }
            let expected = all_set(&block, hash, probes);
            answers[usize::from(expected)] += 1;
            assert!(crate::avx2::all_set(&block, hash, probes).is_none_or(|found| found == expected));
        }
        assert!(answers.iter().all(|&count| count > 5_000), "{answers:?}");
    }

    #[test]
    #[should_panic(expected = "not within 1 to 32")]
    fn not_a_number_is_refused() {
        Blocked::bits_per_key(f64::NAN);
    }

    #[test]
    fn every_setting_stays_within_the_format() {
        for bits in 1..=32 {
            let probes = Blocked::bits_per_key(f64::from(bits)).probes();
            assert!((1..=PROBES_MAX).contains(&probes), "{bits} bits: {probes} probes");
        }
    }
}
