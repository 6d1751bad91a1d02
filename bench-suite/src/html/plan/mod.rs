//! What the plan found, in five parts.

mod compaction;
mod disk;
mod reads;
mod recovery;
mod writes;

use maud::{Markup, html};

use crate::plan::Found;

/// The section.
pub(super) fn plan(found: &Found, id: &str) -> Markup {
    html! {
        section.plan id=(id) {
            h2 { "Plan" @if !found.writes.engine.is_empty() { ": " (found.writes.engine) } }
            (part(1, "Writes", writes::writes(&found.writes)))
            (part(2, "Reads", reads::reads(&found.reads)))
            (part(3, "Compaction", compaction::compaction(&found.compaction)))
            (part(4, "Disk", disk::disk(&found.disk)))
            (part(5, "Recovery", recovery::recovery(&found.recovery)))
        }
    }
}

fn part(number: usize, name: &str, content: Markup) -> Markup {
    html! { article.card { header { h3 { (number) " · " (name) } } (content) } }
}

/// A figure to be seen first.
fn tile(figure: &str, what: &str) -> Markup {
    html! { div.tile { b { (figure) } span { (what) } } }
}
