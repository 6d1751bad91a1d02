//! The shape of the tree: its levels one below the other, as wide as they are large.

use maud::{Markup, html};

use crate::html::look::Look;
use crate::html::units;
use crate::inside::Level;

use super::{key, percent};

/// More would be too thin to tell apart.
const RUNS_DRAWN: u64 = 24;

/// One engine's tree.
pub(in crate::html) struct Tree<'a> {
    pub(in crate::html) name: &'a str,
    pub(in crate::html) look: Look,
    pub(in crate::html) levels: &'a [Level],
}

/// The trees to one scale.
pub(in crate::html) fn trees(trees: &[Tree<'_>]) -> Markup {
    let largest = trees.iter().flat_map(|tree| tree.levels).map(|level| level.size_bytes).max().unwrap_or(0);
    html! {
        div.trees {
            @for tree in trees {
                div.tree {
                    div { (key(tree.look, tree.name)) span.quiet { (total(tree.levels)) } }
                    table {
                        caption.unseen { "Levels of " (tree.name) }
                        thead.unseen {
                            tr {
                                th scope="col" { "level" } th scope="col" { "share" }
                                th scope="col" { "runs and tables" } th scope="col" { "size" }
                            }
                        }
                        tbody class=(tree.look.class()) {
                            @for (number, level) in occupied(tree.levels) {
                                tr {
                                    th scope="row" { "L" (number) }
                                    td.wide { (block(level, largest)) }
                                    td { (counts(level)) }
                                    td { (units::bytes(level.size_bytes as f64)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Without the empty levels, which are only room to grow.
fn occupied(levels: &[Level]) -> impl Iterator<Item = (usize, &Level)> {
    levels.iter().enumerate().filter(|(_, level)| level.tables > 0)
}

/// A block for each run.
fn block(level: &Level, largest: u64) -> Markup {
    let width = if largest > 0 { level.size_bytes as f64 / largest as f64 } else { 0.0 };
    html! {
        span.level style={ "width:" (percent(width)) } aria-hidden="true" {
            @if level.tables > 0 { @for _ in 0..level.runs.clamp(1, RUNS_DRAWN) { span.run {} } }
        }
    }
}

fn counts(level: &Level) -> String {
    let some = |count: u64, one: &str| {
        format!("{}\u{a0}{one}{}", units::whole(count), if count == 1 { "" } else { "s" })
    };
    format!("{}, {}", some(level.runs, "run"), some(level.tables, "table"))
}

fn total(levels: &[Level]) -> String {
    let tables: u64 = levels.iter().map(|level| level.tables).sum();
    let bytes: u64 = levels.iter().map(|level| level.size_bytes).sum();
    format!("{} tables, {}", units::whole(tables), units::bytes(bytes as f64))
}
