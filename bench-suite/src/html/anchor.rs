//! What links within the page lead to.

use crate::summary::{Group, Row};

/// A workload's card.
pub(super) fn workload(group: &Group<'_>, row: &Row<'_>) -> String {
    let plain = row.workload.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    let plain: String = plain.collect();
    if group.nth == 0 { format!("w-{plain}") } else { format!("w{}-{plain}", group.nth + 1) }
}

/// A section of a run.
pub(super) fn section(group: &Group<'_>, what: &str) -> String {
    if group.nth == 0 { what.to_owned() } else { format!("{what}-{}", group.nth + 1) }
}
