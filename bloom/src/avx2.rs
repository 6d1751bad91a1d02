//! The probes of a block eight at a time, for x86-64 processors with AVX2.
//!
//! Gives the same answers as the portable loop in `blocked.rs`, which a test compares. Measured through
//! `&dyn FilterPolicy`, a probe at 10 bits a key takes two thirds of the portable time, hot as well as cold.
//!
//! Invariant 1: code compiled for AVX2 runs only after the processor has said that it has it.
#![allow(unsafe_code, reason = "calling a function compiled for AVX2 is unsafe in code that is not")]

use std::arch::x86_64::{
    __m256i, _mm256_and_si256, _mm256_blendv_ps, _mm256_castps_si256, _mm256_castsi256_ps,
    _mm256_cmpgt_epi32, _mm256_mullo_epi32, _mm256_permutevar8x32_epi32, _mm256_set1_epi32,
    _mm256_setr_epi32, _mm256_setr_epi64x, _mm256_slli_epi32, _mm256_sllv_epi32, _mm256_srli_epi32,
    _mm256_testc_si256,
};

use crate::blocked::{Block, MULTIPLIER, PROBES_MAX};

/// Whether all bits of the key with this hash are set in `block`; `None` if the processor lacks AVX2.
#[inline]
pub(crate) fn all_set(block: &Block, hash: u64, probes: u32) -> Option<bool> {
    if is_x86_feature_detected!("avx2") {
        // SAFETY: invariant 1, the line above.
        Some(unsafe { all_set_avx2(block, hash as u32, probes) })
    } else {
        None
    }
}

#[target_feature(enable = "avx2")]
fn all_set_avx2(block: &Block, low: u32, probes: u32) -> bool {
    // The block as sixteen words of 32 bits, the order in which bits are numbered on a little-endian machine.
    let (words, _) = block.as_chunks::<8>();
    let word = |i: usize| i64::from_le_bytes(words[i]);
    let first_half = _mm256_setr_epi64x(word(0), word(1), word(2), word(3));
    let second_half = _mm256_setr_epi64x(word(4), word(5), word(6), word(7));
    let halves = (first_half, second_half);
    let lanes = _mm256_set1_epi32(low as i32);

    if !eight_set(halves, _mm256_mullo_epi32(lanes, powers(0)), probes as i32) {
        return false;
    }
    probes <= 8 || eight_set(halves, _mm256_mullo_epi32(lanes, powers(8)), probes as i32 - 8)
}

/// Whether the bits that the first `active` products choose are set.
#[inline]
#[target_feature(enable = "avx2")]
fn eight_set(halves: (__m256i, __m256i), products: __m256i, active: i32) -> bool {
    // The top bit of a product chooses the half, the next three the word in it, the next five the bit in
    // that.
    let word = _mm256_srli_epi32::<28>(products);
    let in_first = _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(halves.0, word));
    let in_second = _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(halves.1, word));
    let words = _mm256_castps_si256(_mm256_blendv_ps(in_first, in_second, _mm256_castsi256_ps(products)));
    let bit = _mm256_srli_epi32::<27>(_mm256_slli_epi32::<4>(products));
    let wanted = _mm256_sllv_epi32(_mm256_set1_epi32(1), bit);
    let active = _mm256_cmpgt_epi32(_mm256_set1_epi32(active), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    _mm256_testc_si256(words, _mm256_and_si256(wanted, active)) == 1
}

/// Eight powers of the multiplier: the products the portable loop reaches one after the other.
#[inline]
#[target_feature(enable = "avx2")]
fn powers(from: usize) -> __m256i {
    let power = |i: usize| POWERS[from + i] as i32;
    _mm256_setr_epi32(power(0), power(1), power(2), power(3), power(4), power(5), power(6), power(7))
}

const POWERS: [u32; PROBES_MAX as usize] = {
    let mut powers = [MULTIPLIER; PROBES_MAX as usize];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = powers[i - 1].wrapping_mul(MULTIPLIER);
        i += 1;
    }
    powers
};
