//! Ours against the peers, by one figure of one workload.

use super::metric::Metric;
use super::runs::{Engine, Group, Row};

/// Ours and a peer.
pub(super) struct Comparison<'a> {
    pub(super) peer: &'a Engine<'a>,
    /// How many times better ours is.
    pub(super) ratio: f64,
    /// Whether the rounds of both overlap.
    pub(super) is_unsure: bool,
}

/// Ours against each peer, where both are known.
pub(super) fn peers<'a>(group: &'a Group<'a>, row: &'a Row<'a>, metric: &Metric) -> Vec<Comparison<'a>> {
    let Some(ours) = group.ours().and_then(|ours| metric.spread(&row.cells[ours])) else { return Vec::new() };
    let peers = row.measured(&group.engines).filter(|(engine, _)| engine.is_peer);
    peers
        .filter_map(|(peer, cell)| {
            let theirs = metric.spread(cell)?;
            let ratio = metric.better.ratio(ours.median, theirs.median)?;
            Some(Comparison { peer, ratio, is_unsure: ours.overlaps(&theirs) })
        })
        .collect()
}

/// Ours against the best peer, which is the one that ours is least ahead of.
pub(super) fn best_peer<'a>(
    group: &'a Group<'a>,
    row: &'a Row<'a>,
    metric: &Metric,
) -> Option<Comparison<'a>> {
    peers(group, row, metric).into_iter().min_by(|a, b| a.ratio.total_cmp(&b.ratio))
}

/// The geometric mean of ratios, the only one in which ahead and behind weigh the same.
pub(super) fn mean(ratios: &[f64]) -> f64 {
    (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp()
}

#[cfg(test)]
mod tests {
    use super::mean;

    #[test]
    fn twice_as_fast_and_half_as_fast_are_even() {
        assert!((mean(&[2.0, 0.5]) - 1.0).abs() < 1e-12);
        assert!((mean(&[8.0, 2.0]) - 4.0).abs() < 1e-12);
    }
}
