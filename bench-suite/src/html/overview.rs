//! All workloads at once: how far ahead or behind, and tables to compare by one figure at a time.

use maud::{Markup, html};

use crate::summary::{Engine, Group, ROUNDS_SURE, Row, Spread};

use super::chart::{ratios, swatch};
use super::look::Look;
use super::metric::{COMPARED, Metric, THROUGHPUT};
use super::peers::{self, Comparison};
use super::{anchor, remark, units, verdict};

/// The section.
pub(super) fn overview(group: &Group<'_>, id: &str) -> Markup {
    let has_peers = group.engines.iter().any(|engine| engine.is_peer) && group.ours().is_some();
    html! {
        section id=(id) {
            h2 { "Overview" }
            @if has_peers { (summary(group)) (few_rounds(group)) }
            (ratios::dots(group))
            h3 { "Throughput" }
            @if has_peers { (verdict::legend()) }
            (table(group, &THROUGHPUT, has_peers))
            (remark::legend(group))
            @for metric in COMPARED {
                @if group.cells().any(|(_, _, cell)| metric.spread(cell).is_some()) {
                    details {
                        summary { "By " (metric.name) span.quiet { " · " (metric.meaning) } }
                        (table(group, metric, has_peers))
                    }
                }
            }
        }
    }
}

/// In how many workloads ours is ahead of the best peer and of each, and where it is not.
fn summary(group: &Group<'_>) -> Markup {
    let rows = || group.rows.iter();
    let best: Vec<(&Row<'_>, Comparison<'_>)> =
        rows().filter_map(|row| Some((row, peers::best_peer(group, row, &THROUGHPUT)?))).collect();
    if best.is_empty() {
        return html! {};
    }
    let mut behind: Vec<_> = best.iter().filter(|(_, comparison)| standing(comparison) == "behind").collect();
    behind.sort_by(|(_, a), (_, b)| a.ratio.total_cmp(&b.ratio));
    let even = best.iter().filter(|(_, comparison)| standing(comparison) == "even").count();
    let ahead = best.len() - even - behind.len();
    let ratios: Vec<f64> = best.iter().map(|(_, comparison)| comparison.ratio).collect();
    html! {
        div.tiles {
            div.tile {
                b { (ahead) " of " (best.len()) }
                span { "workloads ahead of the best peer; " (even) " even, " (behind.len()) " behind" }
            }
            div.tile {
                b { (units::ratio(peers::median(&ratios))) }
                span { "the best peer’s ops/s, in the median workload" }
            }
            @for peer in group.engines.iter().filter(|engine| engine.is_peer) { (against(group, peer)) }
        }
        @if !behind.is_empty() {
            p {
                "Behind: "
                @for (n, (row, comparison)) in behind.iter().enumerate() {
                    @if n > 0 { ", " }
                    a href={ "#" (anchor::workload(group, row)) } { (row.workload) }
                    (verdict::pill(comparison.ratio, comparison.certainty))
                    " " span.quiet { (comparison.engine.name) }
                }
                "."
            }
        }
    }
}

/// Ours against one peer over all workloads.
fn against(group: &Group<'_>, peer: &Engine<'_>) -> Markup {
    let all = group.rows.iter().flat_map(|row| peers::peers(group, row, &THROUGHPUT));
    let of_peer: Vec<Comparison<'_>> = all.filter(|comparison| comparison.engine.name == peer.name).collect();
    let ahead = of_peer.iter().filter(|comparison| standing(comparison) == "ahead").count();
    let ratios: Vec<f64> = of_peer.iter().map(|comparison| comparison.ratio).collect();
    html! {
        @if !of_peer.is_empty() {
            div.tile {
                b { (units::ratio(peers::median(&ratios))) }
                span { (swatch(Look::of(peer))) " " (peer.name) " in the median; ahead in " (ahead) " of " (of_peer.len()) }
            }
        }
    }
}

/// Once for the whole run, why its ratios are marked.
fn few_rounds(group: &Group<'_>) -> Markup {
    html! {
        @if (1..ROUNDS_SURE).contains(&group.round_count()) {
            p.remark {
                "≈ Fewer than " (ROUNDS_SURE) " rounds were run, and nobody knows how far apart more would lie: no "
                "ratio is sure."
            }
        }
    }
}

/// `ahead`, `even` or `behind`.
fn standing(comparison: &Comparison<'_>) -> &'static str {
    verdict::class(comparison.ratio, comparison.certainty).trim_end_matches(|c: char| c.is_ascii_digit())
}

/// Workloads down, engines across.
fn table(group: &Group<'_>, metric: &Metric, has_peers: bool) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label={ (metric.name) " by workload and engine" } {
            table.overview {
                caption {
                    span {
                        "Median " (metric.name) ", the least and the most over the rounds"
                        @if has_peers { "; ratio: how many times better lsmkit is" }
                    }
                }
                thead {
                    tr {
                        th scope="col" { "Workload" }
                        @if has_peers { th scope="col" { "vs best peer" } }
                        @for engine in &group.engines { th scope="col" { (swatch(Look::of(engine))) br; (engine.name) } }
                    }
                }
                tbody {
                    @for row in &group.rows {
                        tr {
                            th scope="row" {
                                @if row.is_known() { a href={ "#" (anchor::workload(group, row)) } { (row.workload) } }
                                @else { (row.workload) }
                            }
                            @if has_peers { (best(group, row, metric)) }
                            @for at in 0..group.engines.len() { (cell(group, row, at, metric)) }
                        }
                    }
                }
            }
        }
    }
}

fn cell(group: &Group<'_>, row: &Row<'_>, at: usize, metric: &Metric) -> Markup {
    let (engine, cell) = (&group.engines[at], &row.cells[at]);
    let Some(spread) = metric.spread(cell) else {
        return match cell.failures.first() {
            Some(failure) => html! { td.peerless { span.failed title=(failure.error) { "✗ failed" } } },
            None => html! { td.quiet { (units::UNKNOWN) } },
        };
    };
    let comparison = peers::against(group, row, at, metric);
    let of_peer = comparison.as_ref().filter(|_| engine.is_peer);
    let class = of_peer.map(|comparison| verdict::class(comparison.ratio, comparison.certainty));
    html! {
        td class=(class.unwrap_or("peerless")) {
            b { ((metric.show)(spread.median)) } (remark::star(cell))
            @if let Some(comparison) = &comparison {
                " " span.ratio { (verdict::text(comparison.ratio, comparison.certainty)) }
            }
            (range(&spread, metric))
            @if let Some(told) = remark::behind(cell) { small.remark { (told) } }
            @if !cell.failures.is_empty() { " " span.failed { "✗ " (cell.failures.len()) " failed" } }
        }
    }
}

fn range(spread: &Spread, metric: &Metric) -> Markup {
    html! {
        @if spread.rounds > 1 { small { (units::range(spread.least, spread.most, metric.show)) } }
    }
}

fn best(group: &Group<'_>, row: &Row<'_>, metric: &Metric) -> Markup {
    match peers::best_peer(group, row, metric) {
        Some(comparison) => html! {
            td.best {
                (verdict::pill(comparison.ratio, comparison.certainty))
                small { (comparison.engine.name) }
            }
        },
        None => html! { td.quiet { (units::UNKNOWN) } },
    }
}

/// What was not got through, with the errors.
pub(super) fn failures(group: &Group<'_>, id: &str) -> Markup {
    html! {
        section id=(id) {
            h2 { "Failures" }
            div.scroll tabindex="0" role="region" aria-label="Failures" {
                table.failures {
                    caption { span { "Workloads that an engine did not get through" } }
                    thead {
                        tr {
                            th scope="col" { "Workload" } th scope="col" { "Engine" }
                            th scope="col" { "Round" } th scope="col" { "Error" }
                        }
                    }
                    tbody {
                        @for row in &group.rows {
                            @for (engine, cell) in group.engines.iter().zip(&row.cells) {
                                @for failure in &cell.failures {
                                    tr {
                                        th scope="row" { a href={ "#" (anchor::workload(group, row)) } { (row.workload) } }
                                        td { (engine.name) }
                                        td { (failure.round) }
                                        td.error { (failure.error) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
