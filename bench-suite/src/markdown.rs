//! Figures as a table in Markdown, for documents.

use crate::figures::{Latency, Line};
use crate::summary::{Cell, cells};
use crate::units;

/// The engine that the others are measured against.
const OURS: &str = "lsmkit";

/// A row for each workload, a column for each engine: medians of operations a second. Then how many times as
/// fast as the fastest peer ours is, and the p99.9 of both.
pub(crate) fn of(lines: &[Line]) -> String {
    let cells = cells(lines);
    let mut engines: Vec<&str> = Vec::new();
    let mut workloads: Vec<&str> = Vec::new();
    for cell in &cells {
        if !engines.contains(&cell.engine) {
            engines.push(cell.engine);
        }
        if !workloads.contains(&cell.workload) {
            workloads.push(cell.workload);
        }
    }
    let head = format!("| workload | {} | {OURS} is | p99.9, {OURS} / it |\n", engines.join(" | "));
    let rule = format!("|---|{}\n", "---:|".repeat(engines.len() + 2));
    let rows = workloads.iter().map(|workload| {
        let of = |engine: &str| cells.iter().find(|cell| cell.workload == *workload && cell.engine == engine);
        let figures: Vec<_> = engines.iter().map(|engine| of(engine).map(throughput).unwrap_or_default()).collect();
        let peers = cells.iter().filter(|cell| cell.workload == *workload && cell.is_peer());
        let best = peers.max_by(|a, b| a.throughput().median.total_cmp(&b.throughput().median));
        let (ratio, tails) = match of(OURS).zip(best) {
            Some((ours, best)) => {
                let ratio = ours.throughput().median / best.throughput().median;
                (format!("{} {}", times(ratio), best.engine), format!("{} / {}", tail(ours), tail(best)))
            }
            None => (String::new(), String::new()),
        };
        format!("| {workload} | {} | {ratio} | {tails} |\n", figures.join(" | "))
    });
    [head, rule].into_iter().chain(rows).collect()
}

fn throughput(cell: &Cell<'_>) -> String {
    units::count(cell.throughput().median)
}

fn times(ratio: f64) -> String {
    match ratio {
        ratio if ratio >= 9.95 => format!("{ratio:.0} ×"),
        ratio if ratio >= 0.1 => format!("{ratio:.1} ×"),
        ratio => format!("{ratio:.4} ×"),
    }
}

fn tail(cell: &Cell<'_>) -> String {
    let p99_9 = |latency: &Latency| latency.p99_9 as f64;
    let spread = cell.spread(|figures| figures.latency.as_ref().map(p99_9));
    spread.map_or("–".to_owned(), |spread| units::nanoseconds(spread.median))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::line;

    #[test]
    fn the_best_peer_is_the_fastest() {
        let lines = [line("a", "lsmkit", 300.0), line("a", "rocksdb", 100.0), line("a", "fjall", 200.0)];
        let table = of(&lines);
        let row = table.lines().last().unwrap();
        assert_eq!(row, "| a | 300 | 100 | 200 | 1.5 × fjall | – / – |");
    }

    #[test]
    fn what_an_engine_did_not_get_through_is_left_open() {
        let table = of(&[line("a", "lsmkit", 3.0), line("b", "fjall", 2.0)]);
        assert!(table.contains("| a | 3 |  |  |  |\n"));
        assert!(table.contains("| b |  | 2 |  |  |\n"));
    }
}
