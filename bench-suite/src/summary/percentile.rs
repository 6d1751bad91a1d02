//! Which percentiles of how long calls took say something.

use crate::figures::Latency;

/// One of those that have a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Percentile {
    P50,
    P90,
    P99,
    P99_9,
    P99_99,
    Max,
}

impl Percentile {
    pub(crate) const ALL: [Percentile; 6] = [
        Percentile::P50,
        Percentile::P90,
        Percentile::P99,
        Percentile::P99_9,
        Percentile::P99_99,
        Percentile::Max,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Percentile::P50 => "p50",
            Percentile::P90 => "p90",
            Percentile::P99 => "p99",
            Percentile::P99_9 => "p99.9",
            Percentile::P99_99 => "p99.99",
            Percentile::Max => "max",
        }
    }

    /// The nanoseconds that so many calls took at most, where [`is_told`].
    pub(crate) fn of(self, latency: &Latency) -> Option<f64> {
        let (quantile, ns) = self.known(latency);
        is_told(latency, quantile).then_some(ns as f64)
    }

    /// The quantile, from 0 to 1, and its time.
    pub(crate) fn known(self, latency: &Latency) -> (f64, u64) {
        match self {
            Percentile::P50 => (0.5, latency.p50),
            Percentile::P90 => (0.9, latency.p90),
            Percentile::P99 => (0.99, latency.p99),
            Percentile::P99_9 => (0.999, latency.p99_9),
            Percentile::P99_99 => (0.9999, latency.p99_99),
            Percentile::Max => (1.0, latency.max),
        }
    }
}

/// Whether there were enough calls for a quantile beyond 0.9 to be another than the longest of them: for 0.99,
/// a hundred. Of older figures, which don't tell how many there were, all are taken.
pub(crate) fn is_told(latency: &Latency, quantile: f64) -> bool {
    let beyond = latency.count as f64 * (1.0 - quantile);
    // What is computed may be off in the last digits.
    latency.count == 0 || quantile <= 0.9 || quantile >= 1.0 || beyond >= 1.0 - 1e-6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_needs_a_call_beyond_it() {
        let known = |count| {
            let latency = Latency { count, ..Latency::default() };
            let known = Percentile::ALL.into_iter().filter(|percentile| percentile.of(&latency).is_some());
            known.map(Percentile::name).collect::<Vec<_>>()
        };
        assert_eq!(known(1), ["p50", "p90", "max"]);
        assert_eq!(known(99), ["p50", "p90", "max"]);
        assert_eq!(known(100), ["p50", "p90", "p99", "max"]);
        assert_eq!(known(999), ["p50", "p90", "p99", "max"]);
        assert_eq!(known(1_000), ["p50", "p90", "p99", "p99.9", "max"]);
        assert_eq!(known(9_999), ["p50", "p90", "p99", "p99.9", "max"]);
        assert_eq!(known(10_000).len(), 6);
        // Not counted, as in older files.
        assert_eq!(known(0).len(), 6);
    }
}
