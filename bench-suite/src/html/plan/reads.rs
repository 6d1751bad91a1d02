//! Part 2.

use maud::{Markup, html};

use crate::figures::Figures;
use crate::html::chart::{curve, stack};
use crate::html::look::Look;
use crate::html::metric::hit_rate;
use crate::html::units;
use crate::inside::CacheCounts;
use crate::plan::found::{Missing, Range, Reads};
use crate::summary::Percentile;

use super::tile;

pub(super) fn reads(reads: &Reads) -> Markup {
    let kinds: [(&str, &Figures, CacheCounts); 4] = [
        ("random", &reads.random.figures, reads.random.cache),
        ("hot key", &reads.hot_key.figures, reads.hot_key.cache),
        ("hot 1 %", &reads.hot_hundredth.figures, reads.hot_hundredth.cache),
        ("missing", &reads.missing.figures, reads.missing.cache),
    ];
    let curves: Vec<_> = kinds
        .iter()
        .enumerate()
        .filter_map(|(nth, (name, figures, _))| curve::Series::of(name, Look::nth(nth), &[*figures]))
        .collect();
    html! {
        h4 { "Gets" }
        (gets(&kinds))
        // Kinds of gets have colours of their own, not those of engines.
        div.charts.kinds { (curve::latency("gets", &curves)) (cache(&kinds)) }
        h4 { "Missing keys: what the filters saved" }
        (filters(&reads.missing))
        h4 { "Ranges" }
        (range(&reads.range))
    }
}

fn gets(kinds: &[(&str, &Figures, CacheCounts)]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Gets" {
            table {
                caption.unseen { "Gets by kind" }
                thead {
                    tr {
                        th scope="col" { "Gets" } th scope="col" { "ops/s" }
                        @for percentile in Percentile::ALL { th scope="col" { (percentile.name()) } }
                        th scope="col" { "cache hits" }
                    }
                }
                tbody {
                    @for (name, figures, cache) in kinds {
                        tr {
                            th scope="row" { (name) }
                            td { b { (units::count(figures.ops_per_second)) } }
                            @for percentile in Percentile::ALL {
                                @let ns = figures.latency.as_ref().and_then(|latency| percentile.of(latency));
                                td { (ns.map_or(units::UNKNOWN.into(), units::nanoseconds)) }
                            }
                            td { (hit_rate(cache.hits, cache.misses).map_or(units::UNKNOWN.into(), units::percent)) }
                        }
                    }
                }
            }
        }
    }
}

fn cache(kinds: &[(&str, &Figures, CacheCounts)]) -> Markup {
    let bars: Vec<stack::Bar> = kinds
        .iter()
        .map(|(name, _, cache)| {
            let rate = hit_rate(cache.hits, cache.misses);
            let told = format!("{} hits, {} misses", units::whole(cache.hits), units::whole(cache.misses));
            stack::Bar {
                name: (*name).into(),
                figure: rate.map_or("no block was looked up".into(), units::percent),
                parts: vec![stack::Part { slot: 0, value: rate.unwrap_or(0.0), told }],
            }
        })
        .collect();
    html! {
        figure {
            figcaption { strong { "Block cache" } ", share of lookups that hit, of 100 %" }
            (stack::bars(&bars, Some(1.0)))
        }
    }
}

fn filters(missing: &Missing) -> Markup {
    let maybe = missing.filters_asked.saturating_sub(missing.filters_said_no);
    let part = |slot, value: u64, what: &str| stack::Part {
        slot,
        value: value as f64,
        told: format!("{what}: {}", units::whole(value)),
    };
    // Of keys that are not there, each maybe is a false positive; what is left was found wanting otherwise.
    let other = maybe.saturating_sub(missing.filters_false_positive);
    let share = |count: u64| units::percent(count as f64 / missing.filters_asked as f64);
    let bars = [stack::Bar {
        name: "filters asked".into(),
        figure: units::whole(missing.filters_asked),
        parts: vec![
            part(0, missing.filters_said_no, "said no"),
            part(1, missing.filters_false_positive, "false positive"),
            part(5, other, "other"),
        ],
    }];
    html! {
        @if missing.filters_asked == 0 {
            p { "No filter was asked." }
        } @else {
            div.tiles {
                (tile(&share(missing.filters_said_no), "of looks into tables saved"))
                (tile(&units::whole(missing.filters_said_no), "times a filter said no"))
                (tile(&units::whole(missing.filters_false_positive), "false positives"))
                (tile(&share(missing.filters_false_positive), "false-positive rate"))
            }
            (stack::bars(&bars, None))
            (stack::keys(&[
                (0, "said no: the table needed no look"),
                (1, "false positive: the table was looked into in vain"),
            ]))
        }
    }
}

fn range(range: &Range) -> Markup {
    let each = range.records;
    html! {
        p { (units::whole(range.scans)) " scans of " (units::whole(each)) " consecutive records from random places." }
        div.tiles {
            (tile(&format!("{}/s", units::count(range.figures.ops_per_second)), "records"))
            (tile(&units::bytes_per_second(range.figures.bytes_per_second), "of keys and values"))
            @if let Some(latency) = &range.figures.latency {
                @if let Some(p99) = Percentile::P99.of(latency) { (tile(&units::nanoseconds(p99), "p99")) }
            }
            (tile(&format!("{:.1}", range.memtables), "memtables merged by a scan"))
            (tile(&format!("{:.1}", range.runs), "sorted runs merged by a scan"))
            (tile(&format!("{:.1}", range.tables), "tables read by a scan"))
        }
    }
}
