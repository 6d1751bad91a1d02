//! Figures as a table for a terminal.

use comfy_table::{CellAlignment, Table, presets};

use crate::figures::{Figures, Line};
use crate::summary::{Cell, Company, Group, Percentile, ROUNDS_SURE, Row, Spread, groups};
use crate::units;

/// A table for each run with a row for each workload of each engine, medians over the rounds; then what there
/// is to know about them, and what failed.
pub(crate) fn of(lines: &[Line]) -> String {
    let groups = groups(lines);
    let tables = groups.iter().filter(|group| group.has_workloads()).map(|group| {
        let heading = if groups.len() > 1 { format!("{}\n\n", group.heading()) } else { String::new() };
        format!("{heading}{}{}", table(group), notes(group))
    });
    tables.collect::<Vec<_>>().join("\n")
}

fn table(group: &Group<'_>) -> String {
    let has_company = group.cells().any(|(_, _, cell)| cell.company().is_some());
    // A longer name would make the table wider than a terminal.
    let ours = group.ours().map(|ours| group.engines[ours].name).filter(|name| *name == "lsmkit");
    let head = [
        "workload",
        "engine",
        "ops/s",
        "±",
        &format!("{} is", ours.unwrap_or("ours")),
        "p50",
        "p99",
        "p99.9",
        "max",
        "cpu us/op",
        "settle",
        "w-amp",
        "s-amp",
        "memory",
        "beside",
    ];
    let columns = head.len() - usize::from(!has_company);
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(head.into_iter().take(columns));
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for row in &group.rows {
        for at in 0..group.engines.len() {
            if let Some(figures) = figures(group, row, at) {
                table.add_row(figures.into_iter().take(columns));
            }
        }
    }
    if table.is_empty() { String::new() } else { format!("{}\n", table.trim_fmt()) }
}

/// None of what the engine didn't get through.
fn figures(group: &Group<'_>, row: &Row<'_>, at: usize) -> Option<[String; 15]> {
    let cell = &row.cells[at];
    let throughput = cell.throughput()?;
    let ours = group.ours().filter(|ours| *ours != at && row.is_comparable(*ours, at));
    let ratio = ours
        .and_then(|ours| row.cells[ours].throughput())
        .map(|ours| format!("{:.2}x", ours.median / throughput.median));
    let noise = (throughput.rounds > 1).then(|| format!("{:.0}%", throughput.noise_share() * 100.0));
    let latency = |percentile| shown(cell.latency(percentile), units::nanoseconds);
    let amplification = |ratio| format!("{ratio:.2}");
    Some([
        row.workload.to_owned(),
        group.engines[at].name.to_owned(),
        format!("{}{}", units::count(throughput.median), if cell.is_cut() { "*" } else { "" }),
        noise.unwrap_or_default(),
        ratio.unwrap_or_default(),
        latency(Percentile::P50),
        latency(Percentile::P99),
        latency(Percentile::P99_9),
        latency(Percentile::Max),
        shown(cell.spread(cpu_us_per_op), |us| format!("{us:.2}")),
        shown(cell.spread(|figures| figures.settle_seconds), settle),
        shown(cell.spread(|figures| figures.write_amplification), amplification),
        shown(cell.spread(|figures| figures.space_amplification), amplification),
        shown(cell.spread(|figures| figures.memory_peak_bytes.map(|bytes| bytes as f64)), units::bytes),
        cell.company().map(|company| beside(&company)).unwrap_or_default(),
    ])
}

/// Less than a millisecond is what it takes to ask an engine that has nothing to settle.
fn settle(seconds: f64) -> String {
    if seconds < 0.001 { "0 s".into() } else { units::seconds(seconds) }
}

fn cpu_us_per_op(figures: &Figures) -> Option<f64> {
    figures.cpu_seconds.map(|seconds| seconds * 1e6 / figures.ops.max(1) as f64)
}

/// So many a second, and of how many where that is too few.
fn beside(company: &Company<'_>) -> String {
    let did = units::count(company.per_second);
    match company.asked_per_second {
        Some(asked) if !company.kept_up => format!("{did} of {}", units::count(asked).replace(".0 ", " ")),
        _ => did,
    }
}

fn shown(spread: Option<Spread>, unit: impl Fn(f64) -> String) -> String {
    spread.map(|spread| unit(spread.median)).unwrap_or_default()
}

/// What the marks mean, and what failed.
fn notes(group: &Group<'_>) -> String {
    let mut notes = Vec::new();
    let cells = || group.cells().map(|(_, _, cell)| cell);
    if cells().any(Cell::is_cut) {
        notes.push(
            "* cut: its time was over before every record was touched, so it did less, on a smaller store"
                .into(),
        );
    }
    if cells().filter_map(|cell| cell.company()).any(|company| !company.kept_up) {
        notes.push(
            "beside, N of M: it did not keep up with what it was asked for, so no ratio is given".into(),
        );
    }
    if (1..ROUNDS_SURE).contains(&group.round_count()) && group.engines.len() > 1 {
        notes.push(format!("fewer than {ROUNDS_SURE} rounds: the ratios are not sure"));
    }
    let failures = group.cells().flat_map(|(row, engine, cell)| {
        cell.failures.iter().map(move |failure| {
            format!("failed: {} on {}, round {}: {}", row.workload, engine.name, failure.round, failure.error)
        })
    });
    notes.extend(failures);
    let notes: String = notes.into_iter().map(|note: String| format!("{note}\n")).collect();
    if notes.is_empty() { notes } else { format!("\n{notes}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Latency;
    use crate::summary::tests::{beside, cut, failure, figures, line, run};

    /// The words of each line.
    fn words(table: &str) -> Vec<Vec<&str>> {
        table.lines().map(|line| line.split_whitespace().collect()).collect()
    }

    #[test]
    fn the_ratio_says_how_many_times_faster_lsmkit_is() {
        let table = of(&[line("a", "lsmkit", 300.0), line("a", "rocksdb", 100.0), line("b", "rocksdb", 5.0)]);
        let rows = words(&table);
        assert_eq!(rows[1], ["a", "lsmkit", "300"]);
        assert_eq!(rows[2], ["a", "rocksdb", "100", "3.00x"]);
        assert_eq!(rows[3], ["b", "rocksdb", "5"]);
        assert!(table.contains("fewer than 3 rounds"));
        let three = [0, 1, 2].map(|_| [line("a", "lsmkit", 300.0), line("a", "rocksdb", 100.0)]);
        assert!(!of(&three.concat()).contains("fewer than 3 rounds"));
    }

    #[test]
    fn each_run_has_a_table_of_its_own() {
        let lines = [
            run("2026-01-01"),
            line("a", "lsmkit", 300.0),
            run("2026-01-02"),
            line("a", "lsmkit", 500.0),
            line("a", "fjall", 500.0),
        ];
        let table = of(&lines);
        let (first, second) = table.split_once("2026-01-02, 0.1.0").unwrap();
        assert!(first.starts_with("2026-01-01, 0.1.0\n"));
        assert!(words(first).contains(&vec!["a", "lsmkit", "300"]));
        assert!(words(second).contains(&vec!["a", "lsmkit", "500"]));
        // Of one run, only the table.
        assert!(of(&lines[..2]).trim_start().starts_with("workload"));
    }

    #[test]
    fn what_was_cut_short_is_marked_and_explained() {
        let table = of(&[line("a", "lsmkit", 300.0), cut("a", "redb", 100.0)]);
        assert_eq!(words(&table)[2][..3], ["a", "redb", "100*"]);
        assert!(table.contains("\n* cut: "));
        assert!(!of(&[line("a", "lsmkit", 300.0)]).contains('*'));
    }

    #[test]
    fn few_calls_have_no_far_percentile() {
        let timed = |count| {
            let latency = Latency { count, p50: 1, p99: 2, p99_9: 3, max: 4, ..Latency::default() };
            of(&[Line::Figures(Box::new(crate::figures::Figures {
                latency: Some(latency),
                ..figures("a", "lsmkit", 300.0)
            }))])
        };
        let row = |count| words(&timed(count))[1].join(" ");
        assert_eq!(row(99), "a lsmkit 300 1 ns 4 ns");
        assert_eq!(row(100), "a lsmkit 300 1 ns 2 ns 4 ns");
        assert_eq!(row(1_000), "a lsmkit 300 1 ns 2 ns 3 ns 4 ns");
    }

    #[test]
    fn who_had_less_beside_has_no_ratio() {
        let lines = [
            beside("a", "lsmkit", 300.0, 50_000.0),
            beside("a", "lmdb", 600.0, 12_400.0),
            beside("a", "fjall", 100.0, 49_900.0),
        ];
        let table = of(&lines);
        let rows = words(&table);
        assert_eq!(rows[0].last(), Some(&"beside"));
        assert_eq!(rows[2].join(" "), "a lmdb 600 12.4 k of 50 k");
        assert_eq!(rows[3].join(" "), "a fjall 100 3.00x 49.9 k");
        assert!(table.contains("did not keep up"));
        let alone = of(&[line("a", "lsmkit", 300.0)]);
        assert!(!alone.contains("beside"));
    }

    #[test]
    fn rows_fit_a_terminal_and_failures_follow() {
        let worst =
            Latency { p50: 123_456, p99: 123_456, p99_9: 123_456, max: 123_456, ..Latency::default() };
        let wide = crate::figures::Figures {
            latency: Some(worst),
            ops: 1_000,
            cpu_seconds: Some(12.345),
            settle_seconds: Some(0.1234),
            write_amplification: Some(12.34),
            space_amplification: Some(12.34),
            memory_peak_bytes: Some(123_456_789),
            is_cut: true,
            ..figures("readwhilewriting", "lsmkit-tiered-btree", 123_456.0)
        };
        let table = of(&[
            Line::Figures(Box::new(wide)),
            beside("readwhilewriting", "lmdb", 600.0, 12_400.0),
            failure("b,c", "lmdb"),
        ]);
        assert!(table.lines().take(3).all(|line| line.chars().count() <= 152), "{table}");
        assert!(table.contains("\nfailed: b on lmdb, round 1: disk full\n"));
        assert!(table.contains("\nfailed: c on lmdb, round 1: disk full\n"));
    }
}
