//! Bars from zero, one an engine, with the spread over the rounds as a whisker.

use maud::{Markup, html};

use crate::html::metric::{Better, THROUGHPUT};
use crate::html::runs::{Engine, Row, Spread};
use crate::html::{units, verdict};

use super::{percent, swatch};

/// Throughput of a workload: bars to one scale, the figures beside them, and how ours compares.
pub(in crate::html) fn throughput(row: &Row<'_>, engines: &[Engine<'_>], ours: Option<usize>) -> Markup {
    let spreads: Vec<Option<Spread>> = row.cells.iter().map(|cell| THROUGHPUT.spread(cell)).collect();
    let largest = spreads.iter().flatten().map(|spread| spread.high).fold(0.0, f64::max);
    let ours = ours.and_then(|at| Some((at, spreads[at]?)));
    html! {
        ul.bars {
            @for (at, (engine, cell)) in engines.iter().zip(&row.cells).enumerate() {
                @let known = spreads[at].is_some() || !cell.failures.is_empty();
                @if known {
                    li class=(engine.look.class()) {
                        span.name { (swatch(engine.look)) (engine.name) }
                        @match &spreads[at] {
                            Some(spread) => {
                                span.figure {
                                    b { (units::count(spread.median)) "/s" }
                                    @if let Some((of, ours)) = &ours && *of != at {
                                        (against(ours, spread, engine))
                                    }
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

fn against(ours: &Spread, theirs: &Spread, engine: &Engine<'_>) -> Markup {
    match Better::Higher.ratio(ours.median, theirs.median) {
        Some(ratio) if engine.is_peer => verdict::pill(ratio, ours.overlaps(theirs)),
        Some(ratio) => html! { " " span.quiet { (units::ratio(ratio)) } },
        None => html! {},
    }
}

fn bar(spread: &Spread, largest: f64) -> Markup {
    let part = |value: f64| percent(if largest > 0.0 { value / largest } else { 0.0 });
    let told =
        format!("{} over {} rounds", units::range(spread.low, spread.high, units::count), spread.rounds);
    html! {
        span.track title=(told) aria-hidden="true" {
            span.bar style={ "width:" (part(spread.median)) } {}
            @if spread.high > spread.low {
                span.whisker style={ "left:" (part(spread.low)) ";width:" (part(spread.high - spread.low)) } {}
            }
        }
    }
}
