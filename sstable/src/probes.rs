//! Counts what came of asking filters.

use std::ops::AddAssign;

use lsmkit_base::Counters;

/// How often look-ups asked the filters of tables for a key, and what came of it.
///
/// Tables without a filter, and look-ups that end in a fault, are not counted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FilterUsage {
    /// How often a filter was asked.
    pub asked: u64,
    /// How often it said no, which saved the look-up a block.
    pub denied: u64,
    /// How often it said maybe of a key that its table does not hold.
    ///
    /// Whoever looks up a key at a moment before the table's newest write and finds no version that
    /// old does not learn whether there is a newer one: such a maybe is only in `asked`.
    pub false_positives: u64,
}

impl FilterUsage {
    /// The share of absent keys that the filters did not tell, from 0 to 1; 0 before the first.
    pub fn false_positive_rate(&self) -> f64 {
        match self.denied + self.false_positives {
            0 => 0.0,
            absent => self.false_positives as f64 / absent as f64,
        }
    }
}

impl AddAssign for FilterUsage {
    fn add_assign(&mut self, other: FilterUsage) {
        self.asked += other.asked;
        self.denied += other.denied;
        self.false_positives += other.false_positives;
    }
}

/// What came of asking a filter once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Denied,
    FalsePositive,
    /// The key was there, or it is not known whether it was.
    Passed,
}

/// Counts outcomes.
#[derive(Debug, Default)]
pub(crate) struct Probes(Counters<3>);

impl Probes {
    #[inline]
    pub(crate) fn note(&self, outcome: Outcome) {
        self.0.count(outcome as usize);
    }

    /// What was counted so far.
    pub(crate) fn usage(&self) -> FilterUsage {
        let count = |outcome| self.0.total(outcome as usize);
        let (denied, false_positives) = (count(Outcome::Denied), count(Outcome::FalsePositive));
        FilterUsage { asked: denied + false_positives + count(Outcome::Passed), denied, false_positives }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        let usage = FilterUsage { asked: 150, denied: 99, false_positives: 1 };
        assert_eq!(usage.false_positive_rate(), 0.01);
        assert_eq!(FilterUsage::default().false_positive_rate(), 0.0);
    }
}
