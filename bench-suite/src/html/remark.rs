//! What has to be known of a figure before it is compared.

use maud::{Markup, html};

use crate::summary::{Cell, Group, Row};

use super::units;

const CUT: &str = "cut: its time was over before every record was touched";

/// A star behind the figure of a workload that was cut short.
pub(super) fn star(cell: &Cell<'_>) -> Markup {
    html! { @if cell.is_cut() { span.cut title=(CUT) { "*" } } }
}

/// That too little went on beside it, if so.
pub(super) fn behind(cell: &Cell<'_>) -> Option<String> {
    let company = cell.company().filter(|company| !company.kept_up)?;
    let (did, asked) = (units::count(company.per_second), units::count(company.asked_per_second?));
    Some(format!("did not keep up: {did} of {asked} {}/s", company.what))
}

/// What the star means, below a table that has one.
pub(super) fn legend(group: &Group<'_>) -> Markup {
    html! {
        @if group.cells().any(|(_, _, cell)| cell.is_cut()) {
            p.quiet {
                "* Cut: its time was over before every record was touched, so it did less, on a smaller store."
            }
        }
    }
}

/// All of a workload, in its card.
pub(super) fn notes(group: &Group<'_>, row: &Row<'_>) -> Markup {
    let cells = || row.measured(&group.engines);
    let cut: Vec<&str> = cells().filter(|(_, cell)| cell.is_cut()).map(|(engine, _)| engine.name).collect();
    let behind: Vec<(&str, String)> =
        cells().filter_map(|(engine, cell)| Some((engine.name, behind(cell)?))).collect();
    html! {
        @if !cut.is_empty() {
            p.remark {
                "* " b { (cut.join(", ")) }
                ": cut when the time was over, before every record was touched. What is cut did less, on a "
                "smaller store."
            }
        }
        @for (engine, told) in &behind {
            p.remark {
                b { (engine) } " " (told) ". The less goes on beside, the easier is what was measured: it is not "
                "compared with the others."
            }
        }
    }
}
