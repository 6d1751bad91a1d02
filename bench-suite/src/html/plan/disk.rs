//! Part 4.

use maud::{Markup, html};

use crate::html::chart::stack;
use crate::html::units;
use crate::plan::found::Disk;

use super::tile;

pub(super) fn disk(disk: &Disk) -> Markup {
    let kinds = [
        (0, "data blocks", disk.data_bytes),
        (1, "filters", disk.filter_bytes),
        (3, "indexes", disk.index_bytes),
        (5, "rest of the tables", disk.table_rest_bytes),
        (4, "log", disk.log_bytes),
        (2, "other files", disk.other_bytes),
    ];
    let parts: Vec<stack::Part> = kinds
        .iter()
        .map(|(slot, what, bytes)| stack::Part {
            slot: *slot,
            value: *bytes as f64,
            told: format!("{what}: {}", units::bytes(*bytes as f64)),
        })
        .collect();
    let user = stack::Part {
        slot: 6,
        value: disk.user_bytes as f64,
        told: format!("keys and values: {}", units::bytes(disk.user_bytes as f64)),
    };
    let bars = [
        stack::Bar {
            name: "live keys and values".into(),
            figure: units::bytes(disk.user_bytes as f64),
            parts: vec![user],
        },
        stack::Bar { name: "on disk".into(), figure: units::bytes(disk.total_bytes as f64), parts },
    ];
    html! {
        div.tiles {
            (tile(
                &units::amplification(disk.space_amplification),
                "space amplification (below 1×: compressed to less than the data)",
            ))
            (tile(&units::bytes(disk.total_bytes as f64), "on disk"))
            (tile(&units::bytes(disk.user_bytes as f64), "of live keys and values"))
        }
        figure {
            figcaption { strong { "What is on disk" } ", at rest" }
            (stack::bars(&bars, None))
        }
        (table(disk, &kinds))
    }
}

fn table(disk: &Disk, kinds: &[(usize, &str, u64)]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="What is on disk" {
            table.narrow {
                caption.unseen { "What is on disk" }
                thead { tr { th scope="col" { "What" } th scope="col" { "bytes" } th scope="col" { "share" } } }
                tbody {
                    @for (slot, what, bytes) in kinds {
                        tr {
                            th scope="row" { span class={ "box s" (slot) } {} (what) }
                            td { (units::bytes(*bytes as f64)) }
                            td { (units::percent(*bytes as f64 / disk.total_bytes as f64)) }
                        }
                    }
                }
                tfoot {
                    tr {
                        th scope="row" { "blocks that all files take" }
                        td { (units::bytes(disk.total_bytes as f64)) }
                        td {}
                    }
                }
            }
        }
    }
}
