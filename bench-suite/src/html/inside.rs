//! What engines tell of themselves about a workload: flushes, compactions, stalls.

use maud::{Markup, html};

use crate::inside::{Stalls, Work};
use crate::summary::{Engine, Group, Row};

use super::look::Look;
use super::units;

/// A fold with what there is; nothing where no engine tells of anything.
pub(super) fn fold(group: &Group<'_>, row: &Row<'_>) -> Markup {
    let told =
        || row.measured(&group.engines).filter_map(|(engine, cell)| Some((engine, &cell.typical()?.inside)));
    let work: Vec<(&Engine<'_>, &str, Work)> = told()
        .flat_map(|(engine, inside)| {
            let kinds = [("flushes", inside.flushes), ("compactions", inside.compactions)];
            kinds.into_iter().filter_map(move |(kind, work)| Some((engine, kind, work?)))
        })
        .filter(|(_, _, work)| work.count > 0)
        .collect();
    let stalls: Vec<(&Engine<'_>, &str, &Stalls)> = told()
        .flat_map(|(engine, inside)| inside.stalls.iter().map(move |(cause, s)| (engine, &**cause, s)))
        .filter(|(_, _, stalls)| stalls.count > 0)
        .collect();
    if work.is_empty() && stalls.is_empty() {
        return html! {};
    }
    html! {
        details {
            summary {
                "Flushes, compactions, stalls"
                @if group.round_count() > 1 { span.quiet { " · of the round with the median throughput" } }
            }
            @if !work.is_empty() { (work_table(row.workload, &work)) }
            @if !stalls.is_empty() { (stall_table(row.workload, &stalls)) }
        }
    }
}

fn work_table(workload: &str, work: &[(&Engine<'_>, &str, Work)]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label={ (workload) ": flushes and compactions" } {
            table.narrow.inside {
                thead {
                    tr {
                        th scope="col" { "Engine" } th scope="col" { "work" } th scope="col" { "times" }
                        th scope="col" { "in all" } th scope="col" { "read" } th scope="col" { "written" }
                    }
                }
                tbody {
                    @for (engine, kind, work) in work {
                        tr {
                            (name(engine))
                            td { (kind) }
                            td { (units::whole(work.count)) }
                            td { (units::seconds(work.seconds)) }
                            td { (units::bytes(work.read_bytes as f64)) }
                            td { (units::bytes(work.written_bytes as f64)) }
                        }
                    }
                }
            }
        }
    }
}

fn stall_table(workload: &str, stalls: &[(&Engine<'_>, &str, &Stalls)]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label={ (workload) ": stalls" } {
            table.narrow.inside {
                thead {
                    tr {
                        th scope="col" { "Engine" } th scope="col" { "stalled by" } th scope="col" { "times" }
                        th scope="col" { "in all" } th scope="col" { "longest" }
                    }
                }
                tbody {
                    @for (engine, cause, stalls) in stalls {
                        tr {
                            (name(engine))
                            td { (cause) }
                            td { (units::whole(stalls.count)) }
                            td { (units::seconds(stalls.seconds)) }
                            td { (longest(stalls)) }
                        }
                    }
                }
            }
        }
    }
}

/// The longest stall, where it is known.
pub(super) fn longest(stalls: &Stalls) -> String {
    stalls.longest_seconds.map_or(units::UNKNOWN.into(), units::seconds)
}

fn name(engine: &Engine<'_>) -> Markup {
    html! { th scope="row" class=(Look::of(engine).class()) { span.dot {} (engine.name) } }
}
