//! The keys and values, from a seed, the same for every engine.

use std::convert::Infallible;
use std::ops::Range;

use anyhow::{Result, ensure};

/// Values are cut out of a pool of this size, so that making one costs nothing while it is timed; of a
/// larger one where they are large themselves.
const POOL_BYTES: usize = 1 << 20;
/// How many values a pool has room for at least, so that they differ.
const POOL_VALUES: usize = 4;
const VALUE_BYTES_MAX: usize = 64 << 20;

/// Shorter keys would number too few records to be worth measuring.
const KEY_BYTES_MIN: usize = 8;

/// The records of a run: record `n` of `count` has a key that sorts by `n` and a value that is known
/// from `n`, so that what is read can be checked. As many more that are not put at first have their
/// keys in between, for workloads that insert.
#[derive(Clone, Debug)]
pub struct Records {
    /// How many there are at first, numbered from 0.
    pub count: u64,
    key_bytes: usize,
    value_bytes: usize,
    compressible: f64,
    seed: u64,
    shuffle: Shuffle,
    pool: Vec<u8>,
}

impl Records {
    /// `compressible` is the share of a value that repeats what stands before it, from 0 to 1.
    ///
    /// # Errors
    ///
    /// Where a size is out of its range, or keys of that length can't tell so many records apart.
    pub fn new(
        count: u64,
        key_bytes: usize,
        value_bytes: usize,
        compressible: f64,
        seed: u64,
    ) -> Result<Records> {
        ensure!((1..=1 << 50).contains(&count), "there must be at least one record");
        ensure!((KEY_BYTES_MIN..=1024).contains(&key_bytes), "a key has {KEY_BYTES_MIN} to 1024 bytes");
        ensure!((count * 2).to_string().len() <= key_bytes, "{count} records need longer keys");
        ensure!(value_bytes <= VALUE_BYTES_MAX, "a value has at most {VALUE_BYTES_MAX} bytes");
        ensure!((0.0..=1.0).contains(&compressible), "the compressible share is from 0 to 1");
        let pool = pool(value_bytes, compressible, seed);
        let shuffle = Shuffle::new(count, seed);
        Ok(Records { count, key_bytes, value_bytes, compressible, seed, shuffle, pool })
    }

    /// Records of another size and number, from the same seed.
    pub(crate) fn resized(&self, count: u64, value_bytes: usize) -> Result<Records> {
        Records::new(count, self.key_bytes, value_bytes, self.compressible, self.seed)
    }

    /// Bytes of a key and its value.
    pub fn record_bytes(&self) -> u64 {
        (self.key_bytes + self.value_bytes) as u64
    }

    /// Bytes of all keys and values that there are at first.
    pub fn size_bytes(&self) -> u64 {
        self.count * self.record_bytes()
    }

    /// Bytes of a key.
    pub(crate) fn key_bytes(&self) -> usize {
        self.key_bytes
    }

    /// Writes the key of record `n` into `key`: a number in decimal, padded with zeros to the left.
    /// A record from `count` on lies at random between those below.
    pub fn key(&self, n: u64, key: &mut Vec<u8>) {
        match n.checked_sub(self.count) {
            None => self.digits(n * 2, key),
            Some(later) => self.missing_key(self.shuffle.number(later % self.count), key),
        }
    }

    /// Writes a key that no record below `count` has into `key`: of the same length, right after that of
    /// record `n`.
    pub fn missing_key(&self, n: u64, key: &mut Vec<u8>) {
        self.digits(n * 2 + 1, key);
    }

    fn digits(&self, mut number: u64, key: &mut Vec<u8>) {
        key.clear();
        key.resize(self.key_bytes, b'0');
        for digit in key.iter_mut().rev() {
            if number == 0 {
                break;
            }
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
    }

    /// The number of the record with this key, if one below `count` has it.
    pub(crate) fn number(&self, key: &[u8]) -> Option<u64> {
        let number: u64 = std::str::from_utf8(key).ok()?.parse().ok()?;
        (key.len() == self.key_bytes && number.is_multiple_of(2) && number / 2 < self.count)
            .then_some(number / 2)
    }

    /// The value of record `n`. There are as many records again as `count`; then they repeat.
    pub fn value(&self, n: u64) -> &[u8] {
        let n = n.checked_sub(self.count).map_or(n, |later| self.count + later % self.count);
        // Cut where a piece begins, so that what repeats is in the same value as what it repeats.
        let piece = piece_bytes(self.value_bytes);
        let pieces = (self.pool.len() - self.value_bytes) / piece;
        let at = (mix(n ^ self.seed) % pieces as u64) as usize * piece;
        &self.pool[at..at + self.value_bytes]
    }

    /// The number at place `at` of an order that looks random and holds each below `count` once.
    pub fn shuffled(&self, at: u64) -> u64 {
        self.shuffle.number(at)
    }

    /// Random numbers for one thread of one workload; `stream` sets it apart from the others.
    pub(crate) fn random(&self, stream: u64) -> Random {
        Random(mix(self.seed ^ mix(stream)))
    }
}

/// Random bytes in pieces, each a fresh part and then itself over and over, as LevelDB's benchmark makes
/// them: a value compresses to about `1 - compressible`.
fn pool(value_bytes: usize, compressible: f64, seed: u64) -> Vec<u8> {
    let mut random = Random(mix(seed));
    let piece = piece_bytes(value_bytes);
    let fresh = ((piece as f64 * (1.0 - compressible)).round() as usize).clamp(1, piece);
    let size_bytes = POOL_BYTES.max(POOL_VALUES * value_bytes) + piece;
    let mut pool = Vec::with_capacity(size_bytes + piece);
    while pool.len() < size_bytes {
        let start = pool.len();
        for n in 0..piece {
            let byte = if n < fresh { random.below(256) as u8 } else { pool[start + n - fresh] };
            pool.push(byte);
        }
    }
    pool
}

/// What repeats does so within so many bytes: a short value, or what a block would hold of a long one.
fn piece_bytes(value_bytes: usize) -> usize {
    value_bytes.clamp(16, 4096)
}

/// A permutation of `0..count`: a Feistel network on the next even number of bits, walked until it
/// falls inside (Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002).
#[derive(Clone, Copy, Debug)]
struct Shuffle {
    count: u64,
    half_bits: u32,
    seed: u64,
}

impl Shuffle {
    fn new(count: u64, seed: u64) -> Shuffle {
        let bits = u64::BITS - (count - 1).leading_zeros();
        Shuffle { count, half_bits: bits.div_ceil(2).max(1), seed }
    }

    /// The number at place `at` of the order.
    fn number(&self, at: u64) -> u64 {
        let mut number = at;
        loop {
            number = self.round_trip(number);
            if number < self.count {
                return number;
            }
        }
    }

    fn round_trip(&self, number: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (number >> self.half_bits, number & mask);
        for round in 0..4 {
            (left, right) = (right, left ^ (mix(right ^ self.seed.rotate_left(round * 16)) & mask));
        }
        left << self.half_bits | right
    }
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// A number below `limit`; its bias is far below what a benchmark can see.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(limit)) >> 64) as u64
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }
}

/// What the distributions of `rand_distr` draw from.
impl rand::TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.bits() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.bits())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.bits().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// The part of `0..count` that thread `thread` of `threads` works on.
pub(crate) fn share(count: u64, thread: u64, threads: u64) -> Range<u64> {
    let end =
        |threads_before: u64| (u128::from(count) * u128::from(threads_before) / u128::from(threads)) as u64;
    end(thread)..end(thread + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_holds_each_number_once() {
        for count in [1, 2, 3, 5, 100, 1000, 4097] {
            let records = Records::new(count, 16, 100, 0.5, 7).unwrap();
            let mut seen: Vec<_> = (0..count).map(|at| records.shuffled(at)).collect();
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..count));
        }
    }

    #[test]
    fn keys_sort_by_number_and_missing_ones_lie_between() {
        let records = Records::new(1000, 16, 100, 0.5, 1).unwrap();
        let (mut before, mut key) = (Vec::new(), Vec::new());
        for n in 0..1000 {
            records.key(n, &mut key);
            assert_eq!(key.len(), 16);
            assert!(before < key);
            records.missing_key(n, &mut before);
            assert!(key < before);
        }
    }

    #[test]
    fn later_records_have_keys_of_their_own_and_keys_tell_numbers() {
        let records = Records::new(100, 16, 100, 0.5, 1).unwrap();
        let mut key = Vec::new();
        let mut keys = std::collections::BTreeSet::new();
        for n in 0..200 {
            records.key(n, &mut key);
            assert_eq!(records.number(&key), (n < 100).then_some(n));
            keys.insert(key.clone());
        }
        assert_eq!(keys.len(), 200);
        assert_eq!(records.number(b"0"), None);
    }

    #[test]
    fn half_of_every_value_repeats_the_other() {
        for value_bytes in [64, 100, 4096, 65_536] {
            let records = Records::new(1000, 16, value_bytes, 0.5, 3).unwrap();
            let half = value_bytes.min(4096) / 2;
            for n in 0..1000 {
                let value = records.value(n);
                assert_eq!(value.len(), value_bytes);
                for piece in value.chunks(2 * half) {
                    assert_eq!(piece[..half], piece[half..], "value {n} of {value_bytes} bytes");
                }
            }
        }
    }

    #[test]
    fn any_size_of_a_value_can_be_made() {
        for value_bytes in [0, 1, 15, 16, 17, 4095, 4097, 1 << 20] {
            let records = Records::new(1, 8, value_bytes, 0.0, 1).unwrap();
            assert_eq!(records.value(0).len(), value_bytes);
        }
        assert!(Records::new(1, 8, VALUE_BYTES_MAX + 1, 0.5, 1).is_err());
    }

    #[test]
    fn shares_cover_all_without_overlap() {
        let all: Vec<_> = (0..3).flat_map(|thread| share(10, thread, 3)).collect();
        assert!(all.into_iter().eq(0..10));
    }
}
