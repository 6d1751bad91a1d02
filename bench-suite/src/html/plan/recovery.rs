//! Part 5.

use maud::{Markup, html};

use crate::html::units;
use crate::plan::found::{Crash, Recovery};

pub(super) fn recovery(recovery: &Recovery) -> Markup {
    let crashes = &recovery.crashes;
    html! {
        (verdict(crashes))
        @if !crashes.is_empty() {
            div.scroll tabindex="0" role="region" aria-label="Crashes" {
                table {
                    caption { span { "A process that writes is killed, and the store opened again" } }
                    thead {
                        tr {
                            th scope="col" { "Crash" } th scope="col" { "acknowledged" } th scope="col" { "found" }
                            th scope="col" { "lost" } th scope="col" { "invented" } th scope="col" { "log replayed" }
                            th scope="col" { "open took" } th scope="col" { "replayed/s" }
                        }
                    }
                    tbody { @for (nth, crash) in crashes.iter().enumerate() { (row(nth + 1, crash)) } }
                }
            }
            p.quiet {
                "More may be found than was acknowledged: what had been written when the kill came, before its "
                "writer was told. Opening does more than replay the log, so the rate is a lower bound."
            }
        }
    }
}

fn verdict(crashes: &[Crash]) -> Markup {
    let sum = |of: fn(&Crash) -> u64| crashes.iter().map(of).sum::<u64>();
    let (lost, invented) = (sum(|crash| crash.lost), sum(|crash| crash.invented));
    let times = match crashes.len() {
        1 => "one crash".to_owned(),
        n => format!("{n} crashes"),
    };
    let acknowledged = units::whole(sum(|crash| crash.acknowledged));
    html! {
        @if crashes.is_empty() {
            p { "No crash was tried." }
        } @else if lost == 0 && invented == 0 {
            p.recovered {
                b { "✓ Nothing lost, nothing invented." }
                " All " (acknowledged) " records acknowledged before " (times) " were there afterwards, and right."
            }
        } @else {
            p.error role="alert" {
                b { "✗ " (units::whole(lost)) " lost, " (units::whole(invented)) " invented" }
                " after " (times) ", of " (acknowledged) " acknowledged records."
            }
        }
    }
}

fn row(number: usize, crash: &Crash) -> Markup {
    let wrong = |count: u64| html! { td.failed[count > 0] { (units::whole(count)) } };
    html! {
        tr {
            th scope="row" { (number) }
            td { (units::whole(crash.acknowledged)) }
            td { (units::whole(crash.found)) }
            (wrong(crash.lost))
            (wrong(crash.invented))
            td { (units::bytes(crash.log_bytes as f64)) }
            td { (units::seconds(crash.open_seconds)) }
            td { (units::bytes_per_second(crash.log_bytes as f64 / crash.open_seconds)) }
        }
    }
}
