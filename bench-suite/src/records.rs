//! The keys and values, from a seed, the same for every engine.

use std::ops::Range;

use anyhow::{Result, ensure};

/// Values are cut out of a pool of this size, so that making one costs nothing while it is timed.
const POOL_BYTES: usize = 1 << 20;

/// Shorter keys would number too few records to be worth measuring.
const KEY_BYTES_MIN: usize = 8;

/// The records of a run: record `n` of `count` has a key that sorts by `n` and a value that is known
/// from `n`, so that what is read can be checked.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    pub(crate) count: u64,
    key_bytes: usize,
    value_bytes: usize,
    seed: u64,
    pool: Vec<u8>,
}

impl Records {
    /// `compressible` is the share of a value that repeats what stands before it, from 0 to 1.
    pub(crate) fn new(
        count: u64,
        key_bytes: usize,
        value_bytes: usize,
        compressible: f64,
        seed: u64,
    ) -> Result<Records> {
        ensure!(count > 0, "there must be at least one record");
        ensure!((KEY_BYTES_MIN..=1024).contains(&key_bytes), "a key has {KEY_BYTES_MIN} to 1024 bytes");
        ensure!((count * 2).to_string().len() <= key_bytes, "{count} records need longer keys");
        ensure!(value_bytes <= POOL_BYTES / 2, "a value has at most {} bytes", POOL_BYTES / 2);
        ensure!((0.0..=1.0).contains(&compressible), "the compressible share is from 0 to 1");
        let pool = pool(value_bytes, compressible, seed);
        Ok(Records { count, key_bytes, value_bytes, seed, pool })
    }

    /// Bytes of keys and values in all.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.count * (self.key_bytes + self.value_bytes) as u64
    }

    /// Writes the key of record `n` into `key`: its number in decimal, padded with zeros to the left.
    pub(crate) fn key(&self, n: u64, key: &mut Vec<u8>) {
        self.digits(n * 2, key);
    }

    /// Writes a key that no record has into `key`: of the same length, right after that of record `n`.
    pub(crate) fn missing_key(&self, n: u64, key: &mut Vec<u8>) {
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

    /// The value of record `n`.
    pub(crate) fn value(&self, n: u64) -> &[u8] {
        let room = (self.pool.len() - self.value_bytes) as u64;
        let at = (mix(n ^ self.seed) % room) as usize;
        &self.pool[at..at + self.value_bytes]
    }

    /// Every record number once, in an order that looks random.
    pub(crate) fn shuffled(&self) -> Shuffle {
        Shuffle::new(self.count, self.seed)
    }

    /// Random numbers for one thread of one workload; `stream` sets it apart from the others.
    pub(crate) fn random(&self, stream: u64) -> Random {
        Random(mix(self.seed ^ mix(stream)))
    }
}

/// Random bytes of which runs repeat, so that a block of them compresses to about `1 - compressible`.
fn pool(value_bytes: usize, compressible: f64, seed: u64) -> Vec<u8> {
    let mut random = Random(mix(seed));
    // In pieces of a value's length, as LevelDB's benchmark does: each a fresh part, then itself over
    // and over.
    let piece = value_bytes.clamp(16, 4096);
    let fresh = ((piece as f64 * (1.0 - compressible)).round() as usize).clamp(1, piece);
    let mut pool = Vec::with_capacity(POOL_BYTES + piece);
    while pool.len() < POOL_BYTES {
        let start = pool.len();
        for n in 0..piece {
            let byte = if n < fresh { random.below(256) as u8 } else { pool[start + n - fresh] };
            pool.push(byte);
        }
    }
    pool
}

/// A permutation of `0..count`: a Feistel network on the next even number of bits, walked until it
/// falls inside (Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shuffle {
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
    pub(crate) fn number(&self, at: u64) -> u64 {
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
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        ((u128::from(mix(self.0)) * u128::from(limit)) >> 64) as u64
    }
}

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// The part of `0..count` that thread `thread` of `threads` works on.
pub(crate) fn share(count: u64, thread: u64, threads: u64) -> Range<u64> {
    count * thread / threads..count * (thread + 1) / threads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_holds_each_number_once() {
        for count in [1, 2, 3, 5, 100, 1000, 4097] {
            let shuffle = Shuffle::new(count, 7);
            let mut seen: Vec<_> = (0..count).map(|at| shuffle.number(at)).collect();
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
    fn half_compressible_values_compress_by_about_half() {
        // Counts what is fresh: a byte that does not stand 50 bytes before.
        let pool = pool(100, 0.5, 3);
        let repeated = (50..pool.len()).filter(|&at| pool[at] == pool[at - 50]).count();
        let share = repeated as f64 / pool.len() as f64;
        assert!((0.45..0.55).contains(&share), "{share}");
    }

    #[test]
    fn shares_cover_all_without_overlap() {
        let all: Vec<_> = (0..3).flat_map(|thread| share(10, thread, 3)).collect();
        assert!(all.into_iter().eq(0..10));
    }
}
