//! What was run, on what, and what the page's terms mean.

use maud::{Markup, html};

use crate::figures::Run;
use crate::summary::{Group, ROUNDS_SURE};

use super::metric;

/// What the document is called.
pub(super) fn title(groups: &[Group<'_>]) -> String {
    let has_workloads = groups.iter().any(Group::has_workloads);
    let has_plan = groups.iter().any(|group| !group.plans.is_empty());
    match (has_workloads, has_plan) {
        (false, true) => "lsmkit: what the plan found".into(),
        _ => "lsmkit: benchmark report".into(),
    }
}

/// Date, machine, version, build, the command that repeats it, options.
pub(super) fn run(run: &Run) -> Markup {
    html! {
        section.about {
            dl.facts {
                dt { "Date" } dd { (run.date) }
                dt { "Machine" } dd { (run.machine) }
                dt { "Version" } dd { (run.version) }
                @if !run.build.is_empty() { dt { "Built" } dd { (run.build) } }
                @if !run.engines.is_empty() { dt { "Engines" } dd { (run.engines.join(", ")) } }
                @if run.rounds > 0 {
                    dt { "Rounds" }
                    dd {
                        (run.rounds)
                        @if run.rounds > 1 { ", the engines in turn; medians are shown, with the least and the most" }
                    }
                }
                @if let Some(durability) = run.options.get("durability") {
                    dt { "Durable" } dd { (durable(durability)) " (durability: " code { (durability) } ")" }
                }
            }
            @if !run.command.is_empty() {
                p.repeat { "Repeat it with" }
                pre { code { (run.command) } }
            }
            @if !run.options.is_empty() {
                details {
                    summary { "Options, defaults included" }
                    dl.options {
                        // The command has the workloads, and they are many.
                        @for (name, value) in run.options.iter().filter(|(name, _)| *name != "workloads") {
                            div { dt { (name) } dd { code { (value) } } }
                        }
                    }
                }
            }
        }
    }
}

/// What a write survives, by the names of [`crate::settings::Durability`].
fn durable(durability: &str) -> &'static str {
    match durability {
        "buffered" => {
            "A write that has returned survives the end of the process, killed or not; not a power failure"
        }
        "synced" => "A write that has returned was synced to the disk, and survives a power failure",
        _ => "As the engines were told",
    }
}

/// What the page's terms mean, at its end.
pub(super) fn notes() -> Markup {
    html! {
        footer {
            details {
                summary { "What the figures mean" }
                dl.meanings {
                    @for metric in metric::SPEED.iter().chain(&metric::COST) {
                        div { dt { (metric.name) } dd { (metric.meaning) } }
                    }
                }
                p {
                    "Figures are medians over the rounds; whiskers and ranges are the least and the most. "
                    "A ratio is how many times better lsmkit is: above 1× it is ahead, below 1× behind, whatever "
                    "is compared. “≈” marks a ratio that is not sure: the rounds of both engines overlap, or either "
                    "ran fewer than " (ROUNDS_SURE) ". A percentile is shown where there were enough calls for one "
                    "to be beyond it: a hundred for p99. "
                    "Bytes are in powers of ten. In scans and batches an operation is a record."
                }
            }
        }
    }
}
