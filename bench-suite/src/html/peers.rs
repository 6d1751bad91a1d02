//! Ours against the peers, by one figure of one workload.

use crate::summary::{Certainty, Engine, Group, Row};

use super::metric::Metric;

/// Ours and another engine.
pub(super) struct Comparison<'a> {
    pub(super) engine: &'a Engine<'a>,
    /// How many times better ours is.
    pub(super) ratio: f64,
    pub(super) certainty: Certainty,
}

/// Ours against each peer, where both are known and had the same to do.
pub(super) fn peers<'a>(group: &'a Group<'a>, row: &'a Row<'a>, metric: &Metric) -> Vec<Comparison<'a>> {
    let peers = (0..group.engines.len()).filter(|at| group.engines[*at].is_peer);
    peers.filter_map(|at| against(group, row, at, metric)).collect()
}

/// Ours against the engine at a place, where both are known and had the same to do.
pub(super) fn against<'a>(
    group: &'a Group<'a>,
    row: &Row<'_>,
    at: usize,
    metric: &Metric,
) -> Option<Comparison<'a>> {
    let ours = group.ours().filter(|ours| *ours != at && row.is_comparable(*ours, at))?;
    let (ours, theirs) = (metric.spread(&row.cells[ours])?, metric.spread(&row.cells[at])?);
    let ratio = metric.better.ratio(ours.median, theirs.median)?;
    Some(Comparison { engine: &group.engines[at], ratio, certainty: ours.against(&theirs) })
}

/// Ours against the best peer, which is the one that ours is least ahead of.
pub(super) fn best_peer<'a>(
    group: &'a Group<'a>,
    row: &'a Row<'a>,
    metric: &Metric,
) -> Option<Comparison<'a>> {
    peers(group, row, metric).into_iter().min_by(|a, b| a.ratio.total_cmp(&b.ratio))
}

/// The median of ratios, which the few workloads that one engine has no work in don't sway. Between two it is
/// their geometric mean, in which ahead and behind weigh the same.
pub(super) fn median(ratios: &[f64]) -> f64 {
    let mut ratios = ratios.to_vec();
    ratios.sort_by(f64::total_cmp);
    let (low, high) = (ratios[(ratios.len() - 1) / 2], ratios[ratios.len() / 2]);
    (low * high).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::metric::THROUGHPUT;
    use crate::summary::groups;
    use crate::summary::tests::beside;

    #[test]
    fn twice_as_fast_and_half_as_fast_are_even() {
        assert!((median(&[2.0, 0.5]) - 1.0).abs() < 1e-12);
        assert!((median(&[0.000_1, 8.0, 1_000.0, 2.0]) - 4.0).abs() < 1e-12);
        assert!((median(&[1e-9, 3.0, 4.0]) - 3.0).abs() < 1e-12);
    }

    #[test]
    fn who_had_less_beside_is_no_peer() {
        let of = |ours: f64, lmdb: f64| {
            let lines = [
                beside("a", "lsmkit", 300.0, ours),
                beside("a", "lmdb", 600.0, lmdb),
                beside("a", "fjall", 100.0, 50_000.0),
            ];
            let groups = groups(&lines);
            best_peer(&groups[0], &groups[0].rows[0], &THROUGHPUT).map(|best| best.engine.name.to_owned())
        };
        assert_eq!(of(50_000.0, 50_000.0).as_deref(), Some("lmdb"));
        assert_eq!(of(50_000.0, 12_400.0).as_deref(), Some("fjall"));
        assert_eq!(of(12_400.0, 12_400.0), None);
    }
}
