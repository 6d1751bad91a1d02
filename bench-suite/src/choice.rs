//! Which record an operation takes.

use rand_distr::{Distribution, Zipf};

use crate::records::Records;

/// The exponent that YCSB uses (Cooper and others, "Benchmarking cloud serving systems with YCSB",
/// SoCC 2010).
const ZIPF_EXPONENT: f64 = 0.99;

/// So many draws are made before the clock runs, since each costs as much as a fast get; then they
/// come again.
const DRAWS: u64 = 1 << 20;

/// Draws from a Zipf distribution over the records.
pub(crate) struct Zipfian {
    /// Ranks from 0, the most frequent.
    ranks: Vec<u64>,
}

impl Zipfian {
    /// `stream` sets the draws of one workload apart from those of the next.
    pub(crate) fn over(records: &Records, stream: u64) -> Zipfian {
        let zipf = Zipf::new(records.count as f64, ZIPF_EXPONENT).expect("because there is a record");
        let mut random = records.random(!stream);
        let ranks = (0..DRAWS.min(records.count * 8)).map(|_| zipf.sample(&mut random) as u64 - 1).collect();
        Zipfian { ranks }
    }

    /// The rank of the draw that a thread takes for its operation `op`.
    pub(crate) fn rank(&self, thread: u64, op: u64) -> u64 {
        // Threads begin far from one another.
        let at = op.wrapping_add(thread.wrapping_mul(self.ranks.len() as u64 / 7 * 3 + 1));
        self.ranks[(at % self.ranks.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rank_is_as_frequent_as_zipf_says() {
        let records = Records::new(10_000, 16, 100, 0.5, 1).unwrap();
        let zipfian = Zipfian::over(&records, 3);
        let count = zipfian.ranks.len() as u64;
        let firsts = (0..count).filter(|&op| zipfian.rank(0, op) == 0).count() as f64 / count as f64;
        let harmonic: f64 = (1..=10_000).map(|n| f64::from(n).powf(-ZIPF_EXPONENT)).sum();
        assert!((firsts * harmonic - 1.0).abs() < 0.05, "{firsts} is not 1 / {harmonic}");
        assert!(zipfian.ranks.iter().all(|&rank| rank < 10_000));
    }
}
