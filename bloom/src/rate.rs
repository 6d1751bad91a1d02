//! How often a blocked Bloom filter says *maybe* for a key that is not there.
//!
//! With b bits a key and 512 bits a block, a block holds 512/b keys on average. Hashing spreads n keys over
//! n·b/512 blocks, so the load of one block is Poisson distributed around that mean (Putze, Sanders, Singler
//! 2007, section 2). A block with i keys has received t = i·k draws of one bit in m = 512. Of the share X of
//! its bits that are then set,
//!
//! ```text
//! E[X]   = 1 − (1 − 1/m)^t
//! Var[X] = ( (m−1)·(1 − 2/m)^t + (1 − 1/m)^t − m·(1 − 1/m)^2t ) / m
//! ```
//!
//! (the classic occupancy problem), and an absent key passes with probability X^k. Its mean is taken to
//! second order in X, `E[X]^k · (1 + k(k−1)/2 · Var[X]/E[X]²)`: stopping at first order misses 1 % of the
//! rate at 10 bits a key and 3 % at 20, and the exact sum over all values of X differs from the second order
//! by less than 0.05 %.

use crate::Blocked;

/// The share of absent keys that a [`Blocked`] filter with so many bits per key lets through, by calculation.
///
/// It is the rate of a large filter; one of few keys is rounded up to whole blocks and does better. Measured
/// rates are within 3 % of it, see the table in the README.
///
/// # Panics
///
/// If `bits_per_key` is not within [`Blocked::BITS_PER_KEY`].
///
/// ```
/// let rate = lsmkit_bloom::expected_false_positive_rate(10.0);
/// assert!((0.009..0.010).contains(&rate));
/// ```
pub fn expected_false_positive_rate(bits_per_key: f64) -> f64 {
    Blocked::bits_per_key(bits_per_key).expected_false_positive_rate()
}

/// The number of probes with the lowest rate, from a frozen table so that every machine builds the same
/// bytes. A test holds the table against the calculation.
pub(crate) fn optimal_probes(millibits_per_key: u32) -> u8 {
    /// Each number of probes is best up to and including so many thousandths of a bit a key.
    const BEST_UP_TO: [u32; 14] = [
        2_050, 3_550, 5_150, 6_650, 8_350, 10_050, 11_950, 13_950, 16_150, 18_550, 21_150, 24_150, 27_450,
        31_150,
    ];
    1 + BEST_UP_TO.iter().filter(|&&limit| millibits_per_key > limit).count() as u8
}

/// The rate of a filter in 512-bit blocks with `probes` probes a key.
pub(crate) fn of_blocks(bits_per_key: f64, probes: u32) -> f64 {
    let mean_load = BLOCK_BITS / bits_per_key;
    // Ten standard deviations above the mean leave nothing out that a double can show.
    let load_max = (mean_load + 10.0 * mean_load.sqrt() + 20.0) as u32;
    let mut rate = 0.0;
    // In logarithms, because e^−512 (one bit a key) is next to the smallest double.
    let mut ln_share = -mean_load;
    for load in 0..=load_max {
        if load > 0 {
            ln_share += (mean_load / f64::from(load)).ln();
        }
        rate += ln_share.exp() * of_one_block(f64::from(load), probes);
    }
    rate
}

const BLOCK_BITS: f64 = 512.0;

/// The probability that an absent key passes a block that holds `load` keys.
fn of_one_block(load: f64, probes: u32) -> f64 {
    if load == 0.0 {
        return 0.0;
    }
    let (m, k) = (BLOCK_BITS, f64::from(probes));
    let draws = load * k;
    let unset = (1.0 - 1.0 / m).powf(draws);
    let both_unset = (1.0 - 2.0 / m).powf(draws);
    let mean = 1.0 - unset;
    let variance = ((m - 1.0) * both_unset + unset - m * unset * unset) / m;
    mean.powf(k) * (1.0 + k * (k - 1.0) / 2.0 * variance / (mean * mean))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frozen_number_of_probes_is_the_best() {
        for millibits in (1_000..=32_000).step_by(100) {
            let bits = f64::from(millibits) / 1000.0;
            let chosen = of_blocks(bits, u32::from(optimal_probes(millibits)));
            let best = (1..=20).map(|probes| of_blocks(bits, probes)).fold(1.0, f64::min);
            assert!(chosen <= best * 1.002, "{bits} bits: chosen {chosen:e}, best {best:e}");
        }
    }

    #[test]
    fn second_order_agrees_with_the_exact_sum() {
        for (bits, probes) in [(1.0, 1), (5.0, 3), (10.0, 6), (20.0, 11), (32.0, 15)] {
            let (approximate, exact) = (of_blocks(bits, probes), exact(bits, probes));
            let off = (approximate / exact - 1.0).abs();
            assert!(off < 0.002, "{bits} bits: {approximate:e}, exactly {exact:e}");
        }
    }

    /// The same rate from the whole distribution of the number of set bits, one draw after the other.
    fn exact(bits_per_key: f64, probes: u32) -> f64 {
        const BITS: usize = BLOCK_BITS as usize;
        let mean_load = BLOCK_BITS / bits_per_key;
        let mut set = vec![0.0; BITS + 1];
        set[0] = 1.0;
        let mut ln_share = -mean_load;
        let mut rate = 0.0;
        for load in 1..(mean_load * 2.0 + 40.0) as u32 {
            for _ in 0..probes {
                for bits in (1..=BITS).rev() {
                    set[bits] =
                        (set[bits] * bits as f64 + set[bits - 1] * (BITS + 1 - bits) as f64) / BLOCK_BITS;
                }
                set[0] = 0.0;
            }
            ln_share += (mean_load / f64::from(load)).ln();
            let passes = |bits: usize| (bits as f64 / BLOCK_BITS).powi(probes as i32);
            rate += ln_share.exp() * (0..=BITS).map(|bits| set[bits] * passes(bits)).sum::<f64>();
        }
        rate
    }

    #[test]
    fn more_bits_are_better() {
        let rates: Vec<f64> = (1..=32).map(|bits| expected_false_positive_rate(f64::from(bits))).collect();
        assert!(rates.windows(2).all(|pair| pair[1] < pair[0]), "{rates:?}");
    }
}
