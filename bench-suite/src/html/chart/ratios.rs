//! How many times better ours is than each peer, a workload a row, on one logarithmic axis.

use maud::{Markup, html};

use crate::html::anchor;
use crate::html::look::Look;
use crate::html::metric::THROUGHPUT;
use crate::html::peers::{self, Comparison};
use crate::html::scale::Log;
use crate::html::{units, verdict};
use crate::summary::{Group, Row};

use super::{key, mark, percent};

/// What is farther ahead or behind stands at the edge: how far hardly matters, and one such would
/// press all others together.
const FARTHEST: f64 = 32.0;

/// The dots of all workloads that ours and a peer got through.
pub(in crate::html) fn dots(group: &Group<'_>) -> Markup {
    let Some(ours) = group.ours() else { return html! {} };
    let rows: Vec<(&Row<'_>, Vec<Comparison<'_>>)> =
        group.rows.iter().map(|row| (row, peers::peers(group, row, &THROUGHPUT))).collect();
    let all = || rows.iter().flat_map(|(_, points)| points);
    if all().next().is_none() {
        return html! {};
    }
    let axis = axis(all().map(|point| point.ratio));
    let ticks: Vec<f64> = ticks(&axis);
    html! {
        figure.ratios {
            figcaption {
                strong { "ops/s of " (group.engines[ours].name) " relative to each peer" }
                " (log scale; right of 1×: ahead; beyond " (FARTHEST) "× at the edge)"
            }
            p.keys {
                @for engine in group.engines.iter().filter(|engine| engine.is_peer) { (key(Look::of(engine), engine.name)) }
            }
            div.ratio-rows {
                (scale_row(&axis, &ticks))
                @for (row, points) in rows.iter().filter(|(_, points)| !points.is_empty()) {
                    (ratio_row(group, row, points, &axis, &ticks))
                }
            }
        }
    }
}

/// Powers of two around all ratios, and at least from a half to two.
fn axis(ratios: impl Iterator<Item = f64>) -> Log {
    let ratios = ratios.map(shown);
    let (low, high) = ratios.fold((0.5_f64, 2.0_f64), |(low, high), ratio| (low.min(ratio), high.max(ratio)));
    Log::between(2f64.powf(low.log2().floor()), 2f64.powf(high.log2().ceil()))
}

fn shown(ratio: f64) -> f64 {
    ratio.clamp(1.0 / FARTHEST, FARTHEST)
}

fn ticks(axis: &Log) -> Vec<f64> {
    let (low, high) = axis.ends();
    let (low, high) = (low.log2().round() as i32, high.log2().round() as i32);
    // More than eight would touch on a phone. One is always among them.
    let step = ((high - low) / 8 + 1).max(1);
    (low..=high).filter(|power| power % step == 0).map(|power| 2f64.powi(power)).collect()
}

fn scale_row(axis: &Log, ticks: &[f64]) -> Markup {
    html! {
        div.ratio-row.scale aria-hidden="true" {
            span.name {}
            svg.strip {
                @for tick in ticks {
                    text x=(percent(axis.at(*tick))) y="75%" {
                        @if *tick < 1.0 { "1/" (1.0 / tick) } @else { (tick) "×" }
                    }
                }
            }
            span.figure { "best peer" }
        }
    }
}

fn ratio_row(
    group: &Group<'_>,
    row: &Row<'_>,
    points: &[Comparison<'_>],
    axis: &Log,
    ticks: &[f64],
) -> Markup {
    let one = axis.at(1.0);
    let told: Vec<String> =
        points.iter().map(|point| format!("{} {}", point.engine.name, units::ratio(point.ratio))).collect();
    let label = format!("{}: {}", row.workload, told.join(", "));
    // The best peer is the one that ours is least ahead of.
    let best = points.iter().min_by(|a, b| a.ratio.total_cmp(&b.ratio));
    html! {
        div.ratio-row {
            a.name href={ "#" (anchor::workload(group, row)) } { (row.workload) }
            svg.strip role="img" aria-label=(label) {
                rect.behind x="0" y="0" width=(percent(one)) height="100%" {}
                rect.ahead x=(percent(one)) y="0" width=(percent(1.0 - one)) height="100%" {}
                @for tick in ticks {
                    @let x = percent(axis.at(*tick));
                    line.one[*tick == 1.0] x1=(x) x2=(x) y1="0" y2="100%" {}
                }
                @for (point, told) in points.iter().zip(&told) {
                    (mark(Look::of(point.engine), axis.at(shown(point.ratio)), 0.5, told))
                }
            }
            span.figure {
                @if let Some(best) = best { (verdict::pill(best.ratio, best.certainty)) }
            }
        }
    }
}
