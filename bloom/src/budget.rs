//! How a budget of bits is shared out among the filters of several runs.
//!
//! A lookup of an absent key asks the filter of each run, and each that says *maybe* costs a read, whatever the size
//! of the run. A bit a key more is cheap for a small run and dear for a large one, yet saves either as many reads: so
//! small runs should have more bits. With rates of e^(−b·ln²2) for b bits a key, the sum of the rates is least for a
//! given number of bits where each rate is in proportion to the run's number of keys (Dayan, Athanassoulis, Idreos,
//! "Monkey: Optimal Navigable Key-Value Store", SIGMOD 2017, section 4), from which the sum below follows.

use std::f64::consts::LN_2;

/// How many bits a key more than the average a run's filter should have for lookups of absent keys to be cheapest, or
/// fewer where negative: for a run of `keys` keys beside runs of `others`. Over all keys of all runs it comes to nothing.
///
/// ```
/// // A tenth of the keys get almost five bits more, the rest half a bit less.
/// let (small, large) = (lsmkit_bloom::bits_beside(100, [900]), lsmkit_bloom::bits_beside(900, [100]));
/// assert!((4.0..5.0).contains(&small) && (-0.5..0.0).contains(&large));
/// ```
pub fn bits_beside(keys: u64, others: impl IntoIterator<Item = u64>) -> f64 {
    let own = keys.max(1) as f64;
    let (mut total, mut weighted) = (own, own * own.ln());
    for other in others.into_iter().filter(|other| *other > 0).map(|other| other as f64) {
        total += other;
        weighted += other * other.ln();
    }
    (weighted / total - own.ln()) / (LN_2 * LN_2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expected_false_positive_rate;

    #[test]
    fn the_budget_is_kept_and_fewer_absent_keys_pass() {
        for runs in [&[1_000_000][..], &[1, 1_000], &[10, 100, 1_000, 10_000], &[500, 500, 500, 3_000, 0]] {
            let bits: Vec<f64> = (0..runs.len())
                .map(|i| {
                    let others = runs.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, keys)| *keys);
                    bits_beside(runs[i], others)
                })
                .collect();
            let more: f64 = runs.iter().zip(&bits).map(|(keys, bits)| *keys as f64 * bits).sum();
            assert!(more.abs() < 1e-6 * runs.iter().sum::<u64>() as f64, "{runs:?}: {bits:?}");
            let there = || runs.iter().zip(&bits).filter(|(keys, _)| **keys > 0);
            let rate = |bits: f64| expected_false_positive_rate(bits.clamp(1.0, 32.0));
            let alike: f64 = there().map(|_| rate(10.0)).sum();
            let shared: f64 = there().map(|(_, more)| rate(10.0 + more)).sum();
            assert!(shared <= alike * 1.000_001, "{runs:?}: {shared} is not less than {alike}");
        }
        // Four levels: a third of the wasted reads.
        let runs = [1_000, 10_000, 100_000, 1_000_000];
        let others = |i: usize| runs.iter().enumerate().filter(move |(j, _)| *j != i).map(|(_, keys)| *keys);
        let rates = (0..4).map(|i| expected_false_positive_rate(10.0 + bits_beside(runs[i], others(i))));
        assert!(rates.sum::<f64>() < 4.0 * expected_false_positive_rate(10.0) / 2.5);
    }
}
