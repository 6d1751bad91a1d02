//! Bars from zero, one an engine, with the spread over the rounds as a whisker.

use maud::{Markup, html};

use crate::html::look::Look;
use crate::html::metric::THROUGHPUT;
use crate::html::peers;
use crate::html::{remark, units, verdict};
use crate::summary::{Group, Row, Spread};

use super::{percent, swatch};

/// Throughput of a workload: bars to one scale, the figures beside them, and how ours compares.
pub(in crate::html) fn throughput(group: &Group<'_>, row: &Row<'_>) -> Markup {
    let spreads: Vec<Option<Spread>> = row.cells.iter().map(|cell| THROUGHPUT.spread(cell)).collect();
    let largest = spreads.iter().flatten().map(|spread| spread.most).fold(0.0, f64::max);
    html! {
        ul.bars {
            @for (at, (engine, cell)) in group.engines.iter().zip(&row.cells).enumerate() {
                @let look = Look::of(engine);
                @if spreads[at].is_some() || !cell.failures.is_empty() {
                    li class=(look.class()) {
                        span.name { (swatch(look)) (engine.name) }
                        @match &spreads[at] {
                            Some(spread) => {
                                span.figure {
                                    b { (units::count(spread.median)) "/s" }
                                    (remark::star(cell))
                                    (against(group, row, at))
                                }
                                (bar(spread, largest))
                            }
                            None => { span.figure { span.failed { "✗ failed" } } }
                        }
                    }
                }
            }
        }
    }
}

fn against(group: &Group<'_>, row: &Row<'_>, at: usize) -> Markup {
    let comparison = peers::against(group, row, at, &THROUGHPUT);
    match (comparison, remark::behind(&row.cells[at])) {
        (Some(comparison), _) if comparison.engine.is_peer => {
            verdict::pill(comparison.ratio, comparison.certainty)
        }
        (Some(comparison), _) => {
            html! { " " span.quiet { (verdict::text(comparison.ratio, comparison.certainty)) } }
        }
        (None, Some(_)) => html! { " " span.quiet { "did not keep up" } },
        (None, None) => html! {},
    }
}

fn bar(spread: &Spread, largest: f64) -> Markup {
    let part = |value: f64| percent(if largest > 0.0 { value / largest } else { 0.0 });
    let told =
        format!("{} over {} rounds", units::range(spread.least, spread.most, units::count), spread.rounds);
    html! {
        span.track title=(told) aria-hidden="true" {
            span.bar style={ "width:" (part(spread.median)) } {}
            @if spread.most > spread.least {
                span.whisker style={ "left:" (part(spread.least)) ";width:" (part(spread.most - spread.least)) } {}
            }
        }
    }
}
