//! Part 1.

use maud::{Markup, html};

use crate::figures::Figures;
use crate::html::chart::{curve, time, tree};
use crate::html::inside::longest;
use crate::html::look::Look;
use crate::html::units;
use crate::summary::Percentile;

use super::tile;

pub(super) fn writes(figures: &Figures) -> Markup {
    let look = Look::named(&figures.engine, 0);
    let curve = curve::Series::of(&figures.engine, look, &[figures]);
    let name = &figures.engine;
    html! {
        div.tiles {
            (tile(&format!("{}/s", units::count(figures.ops_per_second)), "records put"))
            (tile(&units::bytes_per_second(figures.bytes_per_second), "of keys and values"))
            (tile(&units::count(figures.ops as f64), "records in all"))
            @if let Some(latency) = &figures.latency {
                @if let Some(p99) = Percentile::P99.of(latency) { (tile(&units::nanoseconds(p99), "p99")) }
                (tile(&units::nanoseconds(latency.max as f64), "longest"))
            }
            @if let Some(seconds) = figures.settle_seconds { (tile(&units::seconds(seconds), "to settle")) }
        }
        div.charts { (curve::latency("writes", curve.as_slice())) (stalls(figures)) }
        (time::over_time(&[time::Series { name, look, figures }]))
        @if !figures.inside.levels.is_empty() {
            h4 { "The tree afterwards" }
            (tree::trees(&[tree::Tree { name, look, levels: &figures.inside.levels }]))
        }
    }
}

fn stalls(figures: &Figures) -> Markup {
    let stalls = &figures.inside.stalls;
    let writers_seconds = figures.seconds * figures.threads.max(1) as f64;
    html! {
        figure {
            figcaption { strong { "Stalls" } " by cause" }
            @if stalls.is_empty() {
                p { "No writer was held up." }
            } @else {
                div.scroll tabindex="0" role="region" aria-label="Stalls" {
                    table {
                        caption.unseen { "Stalls by cause" }
                        thead {
                            tr {
                                th scope="col" { "Cause" } th scope="col" { "times" } th scope="col" { "in all" }
                                th scope="col" title="Of the time that writers had." { "share" }
                                th scope="col" { "longest" }
                            }
                        }
                        tbody {
                            @for (cause, stalls) in stalls {
                                tr {
                                    th scope="row" { (cause) }
                                    td { (units::whole(stalls.count)) }
                                    td { (units::seconds(stalls.seconds)) }
                                    td { (units::percent(stalls.seconds / writers_seconds)) }
                                    td { (longest(stalls)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
