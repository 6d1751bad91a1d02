//! Figures as a table for a terminal.

use comfy_table::{CellAlignment, Table, presets};

use crate::figures::{Figures, Line};
use crate::summary::{Cell, Spread, cells};
use crate::units;

const HEAD: [&str; 13] = [
    "workload",
    "engine",
    "ops/s",
    "±",
    "lsmkit is",
    "p50",
    "p99",
    "p99.9",
    "max",
    "cpu us/op",
    "w-amp",
    "s-amp",
    "rss",
];

/// A row for each workload of each engine, medians over the rounds; then what failed.
pub(crate) fn of(lines: &[Line]) -> String {
    let cells = cells(lines);
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(HEAD);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for cell in &cells {
        let ours = cells.iter().find(|other| other.workload == cell.workload && other.engine == OURS);
        table.add_row(row(cell, ours));
    }
    let failures = lines.iter().filter_map(|line| match line {
        Line::Failure(failure) => Some(format!(
            "\nfailed: {} on {}, round {}: {}",
            failure.workload, failure.engine, failure.round, failure.error
        )),
        _ => None,
    });
    format!("{}\n{}\n", table.trim_fmt(), failures.collect::<String>())
}

/// The engine that the others are measured against.
const OURS: &str = "lsmkit";

fn row(cell: &Cell<'_>, ours: Option<&Cell<'_>>) -> [String; 13] {
    let throughput = cell.throughput();
    let ratio = ours
        .filter(|ours| ours.engine != cell.engine)
        .map(|ours| format!("{:.2}x", ours.throughput().median / throughput.median));
    let noise = (cell.rounds.len() > 1).then(|| format!("{:.0}%", throughput.noise() * 100.0));
    let latency = |pick: fn(&crate::figures::Latency) -> u64| {
        shown(
            cell.spread(|figures| figures.latency.as_ref().map(|latency| pick(latency) as f64)),
            units::nanoseconds,
        )
    };
    [
        cell.workload.to_owned(),
        cell.engine.to_owned(),
        units::count(throughput.median),
        noise.unwrap_or_default(),
        ratio.unwrap_or_default(),
        latency(|latency| latency.p50),
        latency(|latency| latency.p99),
        latency(|latency| latency.p99_9),
        latency(|latency| latency.max),
        shown(cell.spread(cpu_us_per_op), |us| format!("{us:.2}")),
        shown(cell.spread(|figures| figures.write_amplification), |ratio| format!("{ratio:.2}")),
        shown(cell.spread(|figures| figures.space_amplification), |ratio| format!("{ratio:.2}")),
        shown(cell.spread(|figures| figures.rss_peak_bytes.map(|bytes| bytes as f64)), units::bytes),
    ]
}

fn cpu_us_per_op(figures: &Figures) -> Option<f64> {
    figures.cpu_seconds.map(|seconds| seconds * 1e6 / figures.ops.max(1) as f64)
}

fn shown(spread: Option<Spread>, unit: impl Fn(f64) -> String) -> String {
    spread.map(|spread| unit(spread.median)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::line;

    #[test]
    fn the_ratio_says_how_many_times_faster_lsmkit_is() {
        let lines = [line("a", "lsmkit", 300.0), line("a", "rocksdb", 100.0), line("b", "rocksdb", 5.0)];
        let table = of(&lines);
        let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[1], ["a", "lsmkit", "300"]);
        assert_eq!(rows[2], ["a", "rocksdb", "100", "3.00x"]);
        assert_eq!(rows[3], ["b", "rocksdb", "5"]);
    }
}
