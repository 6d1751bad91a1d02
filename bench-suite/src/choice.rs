//! Which record an operation takes.

use rand_distr::{Distribution, Zipf};

use crate::records::{Random, Records};

/// The exponent that YCSB uses (Cooper and others, "Benchmarking cloud serving systems with YCSB",
/// SoCC 2010).
const ZIPF_EXPONENT: f64 = 0.99;

/// A Zipf distribution over the records.
pub(crate) struct Zipfian {
    zipf: Zipf<f64>,
}

impl Zipfian {
    pub(crate) fn over(records: &Records) -> Zipfian {
        let zipf = Zipf::new(records.count as f64, ZIPF_EXPONENT).expect("because there is a record");
        Zipfian { zipf }
    }

    /// A rank from 0, the most frequent.
    pub(crate) fn rank(&self, random: &mut Random) -> u64 {
        self.zipf.sample(random) as u64 - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_as_frequent_as_zipf_says() {
        const DRAWS: u32 = 1_000_000;
        let records = Records::new(10_000, 16, 100, 0.5, 1).unwrap();
        let zipfian = Zipfian::over(&records);
        let mut random = records.random(3);
        let mut counts = vec![0_u32; 10_000];
        for _ in 0..DRAWS {
            counts[zipfian.rank(&mut random) as usize] += 1;
        }
        let harmonic: f64 = (1..=10_000).map(|n| f64::from(n).powf(-ZIPF_EXPONENT)).sum();
        for rank in [0_u32, 1, 9, 99] {
            let share = f64::from(counts[rank as usize]) / f64::from(DRAWS);
            let expected = f64::from(rank + 1).powf(-ZIPF_EXPONENT) / harmonic;
            assert!((share / expected - 1.0).abs() < 0.1, "rank {rank}: {share}, not {expected}");
        }
        // The tail is there too.
        assert!(counts[5000..].iter().filter(|count| **count > 0).count() > 4000);
    }
}
