//! A figure over the rounds.

/// With fewer rounds, nobody knows how far apart the next ones would be.
pub(crate) const ROUNDS_SURE: usize = 3;

/// The median, with the least and the most.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    /// Of an even number, the mean of the middle two.
    pub(crate) median: f64,
    pub(crate) most: f64,
    /// In how many rounds the figure is known.
    pub(crate) rounds: usize,
}

/// How sure it is which of two figures is the greater.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Certainty {
    Sure,
    /// One of them is of fewer than [`ROUNDS_SURE`] rounds.
    FewRounds,
    /// The rounds of both mix, so that neither is the greater.
    Overlapping,
}

impl Spread {
    /// Over the finite of the values; none where there is none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let median = (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0;
        Some(Spread { least, median, most, rounds: values.len() })
    }

    /// Half of the way from the least to the most.
    pub(crate) fn noise(&self) -> f64 {
        (self.most - self.least) / 2.0
    }

    /// The same as a share of the median.
    pub(crate) fn noise_share(&self) -> f64 {
        self.noise() / self.median.max(f64::MIN_POSITIVE)
    }

    /// Whether there is a figure of one within the other.
    pub(crate) fn overlaps(&self, other: &Spread) -> bool {
        self.least <= other.most && other.least <= self.most
    }

    /// Whether either has fewer than [`ROUNDS_SURE`] rounds.
    pub(crate) fn has_few_rounds(&self, other: &Spread) -> bool {
        self.rounds.min(other.rounds) < ROUNDS_SURE
    }

    /// How sure it is which one is the greater.
    pub(crate) fn against(&self, other: &Spread) -> Certainty {
        match self.rounds > 1 && other.rounds > 1 && self.overlaps(other) {
            true => Certainty::Overlapping,
            false if self.has_few_rounds(other) => Certainty::FewRounds,
            false => Certainty::Sure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(values: &[f64]) -> Spread {
        Spread::of(values.iter().copied()).unwrap()
    }

    #[test]
    fn rounds_become_a_median_with_its_spread() {
        let four = spread(&[3.0, 1.0, f64::NAN, 10.0, 2.0]);
        assert_eq!(four, Spread { least: 1.0, median: 2.5, most: 10.0, rounds: 4 });
        assert_eq!((four.noise(), four.noise_share()), (4.5, 1.8));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn two_are_surely_apart_with_three_rounds_that_do_not_mix() {
        let low = [1.0, 2.0, 3.0];
        let cases: [(&[f64], &[f64], Certainty); 6] = [
            (&low, &[4.0, 5.0, 6.0], Certainty::Sure),
            (&low, &[3.0, 5.0, 6.0], Certainty::Overlapping),
            (&low, &[4.0, 5.0], Certainty::FewRounds),
            (&low[..2], &[2.0, 5.0], Certainty::Overlapping),
            // Of a single round nobody knows whether another would mix.
            (&low, &[2.0], Certainty::FewRounds),
            (&[2.0], &[2.0], Certainty::FewRounds),
        ];
        for (one, other, certainty) in cases {
            assert_eq!(spread(one).against(&spread(other)), certainty, "{one:?} {other:?}");
            assert_eq!(spread(other).against(&spread(one)), certainty, "{other:?} {one:?}");
        }
    }
}
