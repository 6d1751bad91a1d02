//! Part 3.

use maud::{Markup, html};

use crate::html::chart::stack;
use crate::html::units;
use crate::inside::Work;
use crate::plan::found::{Compaction, LevelWork};

use super::tile;

const KEYS: [(usize, &str); 3] = [(2, "read from above"), (3, "read from the level"), (0, "written")];

pub(super) fn compaction(found: &Compaction) -> Markup {
    html! {
        div.tiles {
            (tile(&units::amplification(found.write_amplification), "write amplification"))
            (tile(&units::amplification(found.write_amplification_with_log), "with the log"))
            (tile(&units::bytes(found.user_bytes as f64), "of keys and values put"))
            (tile(&work(&found.flushes), "flushes"))
            (tile(&work(&found.compactions), "compactions"))
            (tile(&units::whole(found.moves), "tables moved, not rewritten"))
        }
        div.charts {
            figure {
                figcaption { strong { "Read and written" } ", for each level written into" }
                (stack::bars(&levels(&found.levels), None))
                (stack::keys(&KEYS))
            }
            figure {
                figcaption { strong { "Write amplification" } ", in bytes for each byte put" }
                (stack::bars(&amplification(found), None))
                (stack::keys(&[(6, "the records themselves"), (4, "log"), (1, "flushes"), (0, "compactions")]))
            }
        }
        (table(&found.levels))
    }
}

fn work(work: &Work) -> String {
    format!("{} in {}", units::whole(work.count), units::seconds(work.seconds))
}

fn levels(levels: &[LevelWork]) -> Vec<stack::Bar> {
    let bar = |(number, level): (usize, &LevelWork)| {
        let part = |slot, bytes: u64, what: &str| stack::Part {
            slot,
            value: bytes as f64,
            told: format!("{what}: {}", units::bytes(bytes as f64)),
        };
        stack::Bar {
            name: format!("L{number}"),
            figure: format!("{} written", units::bytes(level.written_bytes as f64)),
            parts: vec![
                part(2, level.read_above_bytes, "read from above"),
                part(3, level.read_own_bytes, "read from the level"),
                part(0, level.written_bytes, "written"),
            ],
        }
    };
    used(levels).map(bar).collect()
}

fn amplification(found: &Compaction) -> Vec<stack::Bar> {
    let part = |slot, bytes: u64, what: &str| stack::Part {
        slot,
        value: bytes as f64 / found.user_bytes.max(1) as f64,
        told: format!("{what}: {}", units::bytes(bytes as f64)),
    };
    let tables = || {
        vec![
            part(1, found.flushes.written_bytes, "flushes"),
            part(0, found.compactions.written_bytes, "compactions"),
        ]
    };
    let mut with_log = tables();
    with_log.push(part(4, found.log_bytes, "log"));
    let bar = |name: &str, figure: f64, parts| stack::Bar {
        name: name.into(),
        figure: units::amplification(figure),
        parts,
    };
    vec![
        bar("put", 1.0, vec![part(6, found.user_bytes, "keys and values")]),
        bar("tables", found.write_amplification, tables()),
        bar("tables and log", found.write_amplification_with_log, with_log),
    ]
}

/// Without those that nothing was ever written into, which are only room to grow.
fn used(levels: &[LevelWork]) -> impl Iterator<Item = (usize, &LevelWork)> {
    levels.iter().enumerate().filter(|(_, work)| work.count + work.level.tables > 0)
}

fn table(levels: &[LevelWork]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Work by level" {
            table {
                caption { span { "Work by the level that was written into; flushes write into level 0" } }
                thead {
                    tr {
                        th scope="col" { "Level" } th scope="col" { "times" } th scope="col" { "took" }
                        th scope="col" { "read from above" } th scope="col" { "read from it" }
                        th scope="col" { "written" } th scope="col" { "written/s" }
                        th scope="col" { "runs" } th scope="col" { "tables" } th scope="col" { "size at the end" }
                    }
                }
                tbody {
                    @for (number, level) in used(levels) {
                        tr {
                            th scope="row" { "L" (number) }
                            td { (units::whole(level.count)) }
                            td { (units::seconds(level.seconds)) }
                            td { (units::bytes(level.read_above_bytes as f64)) }
                            td { (units::bytes(level.read_own_bytes as f64)) }
                            td { (units::bytes(level.written_bytes as f64)) }
                            td { (units::bytes_per_second(level.written_bytes as f64 / level.seconds)) }
                            td { (units::whole(level.level.runs)) }
                            td { (units::whole(level.level.tables)) }
                            td { (units::bytes(level.level.size_bytes as f64)) }
                        }
                    }
                }
            }
        }
    }
}
