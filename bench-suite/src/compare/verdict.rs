//! Whether a figure got better or worse beyond the noise.

use crate::summary::Spread;

/// From how many percent on a change is one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Threshold {
    pub(super) percent: f64,
    /// Where either has too few rounds to know its noise.
    pub(super) percent_single: f64,
}

/// What became of a figure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Better,
    Worse,
    /// The change is too small, or within the noise.
    Same,
}

/// Which way a figure is better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Better {
    Higher,
    Lower,
}

impl Threshold {
    /// A change is one that is large enough, of rounds that don't overlap, and larger than either's noise.
    pub(super) fn verdict(&self, before: &Spread, after: &Spread, better: Better) -> Verdict {
        let percent = if before.has_few_rounds(after) { self.percent_single } else { self.percent };
        let change = after.median - before.median;
        let is_change = change.abs() * 100.0 > percent * before.median
            && !before.overlaps(after)
            && change.abs() > before.noise().max(after.noise());
        match (is_change, (change > 0.0) == (better == Better::Higher)) {
            (false, _) => Verdict::Same,
            (true, true) => Verdict::Better,
            (true, false) => Verdict::Worse,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(before: &[f64], after: &[f64]) -> Verdict {
        let threshold = Threshold { percent: 3.0, percent_single: 15.0 };
        let spread = |values: &[f64]| Spread::of(values.iter().copied()).unwrap();
        let (before, after) = (spread(before), spread(after));
        let (higher, lower) = (
            threshold.verdict(&before, &after, Better::Higher),
            threshold.verdict(&before, &after, Better::Lower),
        );
        match higher {
            Verdict::Better => assert_eq!(lower, Verdict::Worse),
            Verdict::Worse => assert_eq!(lower, Verdict::Better),
            Verdict::Same => assert_eq!(lower, Verdict::Same),
        }
        higher
    }

    #[test]
    fn only_what_is_beyond_the_noise_is_a_change() {
        assert_eq!(verdict(&[100.0, 104.0, 96.0], &[80.0, 83.0, 86.0]), Verdict::Worse);
        assert_eq!(verdict(&[100.0, 104.0, 96.0], &[120.0, 130.0, 110.0]), Verdict::Better);
        // Rounds that overlap, and a steady change that is too small to matter.
        assert_eq!(verdict(&[100.0, 104.0, 80.0], &[83.0, 84.0, 85.0]), Verdict::Same);
        assert_eq!(verdict(&[100.0, 100.0, 100.0], &[98.0, 98.0, 98.0]), Verdict::Same);
    }

    #[test]
    fn a_change_is_larger_than_the_noise_of_both() {
        // The rounds don't overlap, but those after are twice as far apart as the medians are.
        assert_eq!(verdict(&[100.0, 100.0, 100.0], &[104.0, 105.0, 130.0]), Verdict::Same);
        assert_eq!(verdict(&[104.0, 105.0, 130.0], &[100.0, 100.0, 100.0]), Verdict::Same);
        assert_eq!(verdict(&[100.0, 100.0, 100.0], &[104.0, 125.0, 130.0]), Verdict::Better);
    }

    #[test]
    fn fewer_than_three_rounds_have_to_differ_by_more() {
        for (before, after) in [(1, 1), (1, 3), (3, 1), (2, 2), (3, 2)] {
            assert_eq!(verdict(&vec![100.0; before], &vec![90.0; after]), Verdict::Same);
            assert_eq!(verdict(&vec![100.0; before], &vec![80.0; after]), Verdict::Worse);
        }
        assert_eq!(verdict(&[100.0; 3], &[90.0; 3]), Verdict::Worse);
    }
}
