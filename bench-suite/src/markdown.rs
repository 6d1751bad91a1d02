//! Figures as a table in Markdown, for documents.

use crate::figures::Line;
use crate::summary::{Cell, Engine, Group, Percentile, Row, groups};
use crate::units;

/// A table for each run, headed by its date and version where there are several.
pub(crate) fn of(lines: &[Line]) -> String {
    let groups = groups(lines);
    let tables = groups.iter().filter(|group| group.has_workloads()).map(|group| {
        let heading = if groups.len() > 1 { format!("### {}\n\n", group.heading()) } else { String::new() };
        format!("{heading}{}{}", table(group), notes(group))
    });
    tables.collect::<Vec<_>>().join("\n")
}

/// A row for each workload, a column for each engine: medians of operations a second. Then how many times as
/// fast as the fastest peer ours is, and the p99.9 of both.
fn table(group: &Group<'_>) -> String {
    let names: Vec<&str> = group.engines.iter().map(|engine| engine.name).collect();
    let ours = group.ours().map_or("", |ours| names[ours]);
    let head = format!("| workload | {} | {ours} is | p99.9, {ours} / it |\n", names.join(" | "));
    let rule = format!("|---|{}\n", "---:|".repeat(names.len() + 2));
    let rows = group.rows.iter().filter(|row| row.is_known()).map(|row| {
        let missing = |cell: &Cell<'_>| if cell.failures.is_empty() { "" } else { "failed" }.to_owned();
        let figures: Vec<_> =
            row.cells.iter().map(|cell| throughput(cell).unwrap_or_else(|| missing(cell))).collect();
        let (ratio, tails) = match best_peer(group, row) {
            Some((ours, peer, best, ratio)) => (
                format!("{} {}", times(ratio), peer.name),
                format!("{} / {}", tail(&row.cells[ours]), tail(best)),
            ),
            None => (String::new(), String::new()),
        };
        format!("| {} | {} | {ratio} | {tails} |\n", row.workload, figures.join(" | "))
    });
    [head, rule].into_iter().chain(rows).collect()
}

/// With how many times as fast ours is; of those who had the same to do as ours.
fn best_peer<'a>(
    group: &'a Group<'a>,
    row: &'a Row<'a>,
) -> Option<(usize, &'a Engine<'a>, &'a Cell<'a>, f64)> {
    let ours = group.ours()?;
    let throughput = row.cells[ours].throughput()?.median;
    let peers =
        (0..group.engines.len()).filter(|at| group.engines[*at].is_peer && row.is_comparable(ours, *at));
    let peers = peers.filter_map(|at| {
        let ratio = throughput / row.cells[at].throughput()?.median;
        Some((ours, &group.engines[at], &row.cells[at], ratio))
    });
    peers.min_by(|(.., a), (.., b)| a.total_cmp(b))
}

/// Marked by a star if it was cut short, by a dagger if there was less beside it than was asked for.
fn throughput(cell: &Cell<'_>) -> Option<String> {
    let median = units::count(cell.throughput()?.median);
    let is_behind = cell.company().is_some_and(|company| !company.kept_up);
    let (cut, behind) = (if cell.is_cut() { "\\*" } else { "" }, if is_behind { "†" } else { "" });
    Some(format!("{median}{cut}{behind}"))
}

fn times(ratio: f64) -> String {
    match ratio {
        ratio if ratio >= 9.95 => format!("{ratio:.0} ×"),
        ratio if ratio >= 0.1 => format!("{ratio:.1} ×"),
        ratio => format!("{ratio:.4} ×"),
    }
}

fn tail(cell: &Cell<'_>) -> String {
    cell.latency(Percentile::P99_9).map_or("–".to_owned(), |spread| units::nanoseconds(spread.median))
}

/// What the marks mean.
fn notes(group: &Group<'_>) -> String {
    let mut notes = String::new();
    if group.cells().any(|(_, _, cell)| cell.is_cut()) {
        notes.push_str(
            "\n\\* Cut: its time was over before every record was touched, so it did less, on a smaller store.\n",
        );
    }
    let behind = group.cells().filter_map(|(row, engine, cell)| {
        let company = cell.company().filter(|company| !company.kept_up)?;
        let (did, asked) = (units::count(company.per_second), units::count(company.asked_per_second?));
        Some(format!("{}, {}: {did} of {asked} {} a second", row.workload, engine.name, company.what))
    });
    let behind: Vec<_> = behind.collect();
    if !behind.is_empty() {
        let told = "\n† What went on beside it did not keep up, so that it had it easier and is not compared";
        notes.push_str(&format!("{told} ({}).\n", behind.join("; ")));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{Figures, Latency};
    use crate::summary::tests::{beside, cut, failure, figures, line, run};

    #[test]
    fn the_best_peer_is_the_fastest() {
        let lines = [line("a", "lsmkit", 300.0), line("a", "rocksdb", 100.0), line("a", "fjall", 200.0)];
        let table = of(&lines);
        let row = table.lines().last().unwrap();
        assert_eq!(row, "| a | 300 | 100 | 200 | 1.5 × fjall | – / – |");
    }

    #[test]
    fn what_an_engine_did_not_get_through_is_left_open() {
        let table = of(&[line("a", "lsmkit", 3.0), line("b", "fjall", 2.0), failure("c", "fjall")]);
        assert!(table.contains("| c |  | failed |  |  |\n"));
        assert!(table.contains("| a | 3 |  |  |  |\n"));
        assert!(table.contains("| b |  | 2 |  |  |\n"));
    }

    #[test]
    fn each_run_has_a_table_of_its_own() {
        let lines = [run("one"), line("a", "lsmkit", 3.0), run("two"), line("a", "lsmkit", 5.0)];
        let table = of(&lines);
        let (first, second) = table.split_once("### two, 0.1.0\n").unwrap();
        assert!(first.starts_with("### one, 0.1.0\n"));
        assert!(first.contains("| a | 3 |  |  |\n") && second.contains("| a | 5 |  |  |\n"));
    }

    #[test]
    fn what_was_cut_short_is_marked() {
        let table = of(&[line("a", "lsmkit", 3.0), cut("a", "fjall", 1.0)]);
        assert!(table.contains("| a | 3 | 1\\* | 3.0 × fjall |"), "{table}");
        assert!(table.contains("\n\\* Cut: "));
    }

    #[test]
    fn who_had_less_beside_is_no_peer_to_compare_with() {
        let lines = [
            beside("a", "lsmkit", 300.0, 50_000.0),
            beside("a", "lmdb", 600.0, 12_400.0),
            beside("a", "fjall", 100.0, 50_000.0),
        ];
        let table = of(&lines);
        assert!(table.contains("| a | 300 | 600† | 100 | 3.0 × fjall |"), "{table}");
        assert!(table.contains("(a, lmdb: 12.4 k of 50.0 k writes a second)"));
        assert!(of(&lines[..2]).contains("| a | 300 | 600† |  |  |"));
    }

    #[test]
    fn few_calls_have_no_tail() {
        let timed = |engine, count| {
            let latency = Some(Latency { count, p99_9: 7_000, ..Latency::default() });
            Line::Figures(Box::new(Figures { latency, ..figures("a", engine, 5.0) }))
        };
        assert!(of(&[timed("lsmkit", 1_000), timed("fjall", 999)]).contains("| 7.00 us / – |"));
    }
}
