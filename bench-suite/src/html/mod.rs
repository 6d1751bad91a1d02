//! The report as one HTML document that holds all it needs: no script, nothing from the network.

mod anchor;
mod card;
mod chart;
mod head;
mod inside;
mod look;
mod metric;
mod overview;
mod peers;
mod plan;
mod remark;
mod scale;
#[cfg(test)]
mod tests;
mod units;
mod verdict;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::figures::Line;
use crate::summary::{Group, groups};

const STYLE: &str = include_str!("style.css");

/// The browser is told as well that nothing may be loaded, and no script run.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// The document for whatever the lines hold: runs, plans, failures, or nothing.
pub(crate) fn page(lines: &[Line]) -> String {
    let groups = groups(lines);
    let title = head::title(&groups);
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (chart::mark_shapes())
                main {
                    h1 { (title) }
                    @if lines.is_empty() { p { "There are no figures to show." } }
                    @for group in &groups { (section(group, groups.len())) }
                    (head::notes())
                }
            }
        }
    };
    document.into_string()
}

fn section(group: &Group<'_>, of: usize) -> Markup {
    let id = |what: &str| anchor::section(group, what);
    let has_failures = group.cells().any(|(_, _, cell)| !cell.failures.is_empty());
    html! {
        @if of > 1 { p.run-number { "Run " (group.nth + 1) " of " (of) } }
        @if let Some(run) = group.run { (head::run(run)) }
        @if group.has_workloads() {
            nav aria-label="Contents" {
                ul.contents {
                    li { a href={ "#" (id("overview")) } { b { "Overview" } } }
                    @if has_failures { li { a href={ "#" (id("failures")) } { b { "Failures" } } } }
                    @for row in group.rows.iter().filter(|row| row.is_known()) {
                        li { a href={ "#" (anchor::workload(group, row)) } { (row.workload) } }
                    }
                    @if !group.plans.is_empty() { li { a href={ "#" (id("plan")) } { b { "Plan" } } } }
                }
            }
            (overview::overview(group, &id("overview")))
            @if has_failures { (overview::failures(group, &id("failures"))) }
            section {
                h2 { "Workloads" }
                @for row in group.rows.iter().filter(|row| row.is_known()) { (card::card(group, row)) }
            }
        }
        @for (nth, found) in group.plans.iter().enumerate() {
            (plan::plan(found, &if nth == 0 { id("plan") } else { format!("{}-again-{nth}", id("plan")) }))
        }
    }
}
