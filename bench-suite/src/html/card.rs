//! All that is known of one workload.

use maud::{Markup, html};

use crate::figures::Figures;
use crate::summary::{Group, Row};
use crate::workloads::Task;

use super::chart::{bars, curve, time, tree};
use super::look::Look;
use super::metric::{COST, Metric, SPEED, THROUGHPUT};
use super::{anchor, inside, peers, remark, units, verdict};

/// The card: bars, curves, a table, time, trees.
pub(super) fn card(group: &Group<'_>, row: &Row<'_>) -> Markup {
    let first = row.cells.iter().flat_map(|cell| &cell.rounds).next();
    let curves: Vec<_> = row
        .measured(&group.engines)
        .filter_map(|(engine, cell)| curve::Series::of(engine.name, Look::of(engine), &cell.rounds))
        .collect();
    let id = anchor::workload(group, row);
    html! {
        article.card id=(id) {
            header {
                h3 { a href={ "#" (id) } { (row.workload) } }
                @if let Ok(task) = row.workload.parse::<Task>() { p.does { (task.workload.about()) } }
                @if let Some(figures) = first { p.quiet { (what(figures)) } }
                @if let Some(comparison) = peers::best_peer(group, row, &THROUGHPUT) {
                    p.verdict {
                        (verdict::pill(comparison.ratio, comparison.certainty))
                        " the best peer, " (comparison.engine.name)
                    }
                }
            }
            @for (engine, cell) in group.engines.iter().zip(&row.cells) {
                @for failure in &cell.failures {
                    p.error { b { (engine.name) } " failed in round " (failure.round) ": " (failure.error) }
                }
            }
            (remark::notes(group, row))
            div.charts {
                @if first.is_some() {
                    figure {
                        figcaption {
                            strong { "Throughput" } ", median"
                            @if group.round_count() > 1 { " and spread over the rounds" }
                        }
                        (bars::throughput(group, row))
                    }
                }
                (curve::latency(row.workload, &curves))
            }
            @if first.is_some() {
                (table(group, row, "How fast", &SPEED))
                (table(group, row, "What it cost", &COST))
            }
            (over_time(group, row))
            (inside::fold(group, row))
            (trees(group, row))
        }
    }
}

/// Threads, and what went on beside.
fn what(figures: &Figures) -> String {
    let threads = match figures.threads {
        1 => "1 thread".to_owned(),
        threads => format!("{threads} threads"),
    };
    let beside = figures.beside.as_ref().map(|beside| format!(", beside: {}", beside.what));
    format!("{} operations, {threads}{}", units::count(figures.ops as f64), beside.unwrap_or_default())
}

/// Engines down, figures across; a column only where an engine has the figure.
fn table(group: &Group<'_>, row: &Row<'_>, name: &str, columns: &[&'static Metric]) -> Markup {
    let has_star = |metric: &Metric| metric.name == THROUGHPUT.name;
    let medians = |metric: &Metric| -> Vec<Option<f64>> {
        row.measured(&group.engines)
            .map(|(_, cell)| metric.spread(cell).map(|spread| spread.median))
            .collect()
    };
    let columns: Vec<(&Metric, Vec<Option<f64>>)> = columns
        .iter()
        .map(|metric| (*metric, medians(metric)))
        .filter(|(_, medians)| medians.iter().any(Option::is_some))
        .collect();
    if columns.is_empty() {
        return html! {};
    }
    html! {
        div.scroll tabindex="0" role="region" aria-label={ (row.workload) ": " (name) } {
            table.figures {
                caption { span { strong { (name) } ", medians; the best of each in bold" } }
                thead {
                    tr {
                        th scope="col" { "Engine" }
                        @for (metric, _) in &columns { th scope="col" title=(metric.meaning) { (metric.name) } }
                    }
                }
                tbody {
                    @for (at, (engine, cell)) in row.measured(&group.engines).enumerate() {
                        tr {
                            th scope="row" class=(Look::of(engine).class()) { span.dot {} (engine.name) }
                            @for (metric, medians) in &columns { td { (figure(metric, medians, at)) @if has_star(metric) { (remark::star(cell)) } } }
                        }
                    }
                }
            }
        }
    }
}

fn figure(metric: &Metric, medians: &[Option<f64>], at: usize) -> Markup {
    let Some(figure) = medians[at] else { return html! { span.quiet { (units::UNKNOWN) } } };
    let is_better = metric.better.is_better();
    let known = || medians.iter().flatten();
    let is_best = known().count() > 1 && !known().any(|other| is_better(*other, figure));
    let shown = (metric.show)(figure);
    html! { @if is_best { b { (shown) } } @else { (shown) } }
}

fn over_time(group: &Group<'_>, row: &Row<'_>) -> Markup {
    let series: Vec<time::Series<'_>> = row
        .measured(&group.engines)
        .filter_map(|(engine, cell)| {
            Some(time::Series { name: engine.name, look: Look::of(engine), figures: cell.typical()? })
        })
        .collect();
    time::over_time(&series)
}

/// What the last of the typical rounds left, of engines that tell.
fn trees(group: &Group<'_>, row: &Row<'_>) -> Markup {
    let trees: Vec<tree::Tree<'_>> = row
        .measured(&group.engines)
        .filter_map(|(engine, cell)| {
            let levels = &cell.typical()?.inside.levels;
            (!levels.is_empty()).then_some(tree::Tree { name: engine.name, look: Look::of(engine), levels })
        })
        .collect();
    html! {
        @if !trees.is_empty() {
            details { summary { "The shape of the trees afterwards" } (tree::trees(&trees)) }
        }
    }
}
