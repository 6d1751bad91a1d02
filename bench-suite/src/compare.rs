//! What changed between two runs.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};

use crate::figures::{Figures, Line, Run};
use crate::output;
use crate::summary::{Cell, Spread, cells, run};
use crate::units;

/// What was run, before and after.
#[derive(Args, Debug)]
pub(crate) struct Compare {
    /// The figures.jsonl of the run before, or its directory
    before: PathBuf,
    /// That of the run after
    after: PathBuf,
    /// A change of fewer percent is none, however steady
    #[arg(long, default_value_t = 3.0)]
    percent: f64,
    /// The same where one of the two ran a single round, whose noise nobody knows
    #[arg(long, default_value_t = 15.0)]
    percent_single: f64,
    /// Exits with an error where something got slower
    #[arg(long)]
    fail_if_slower: bool,
}

/// What became of a figure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Better,
    Worse,
    /// The rounds of one overlap those of the other, or the change is too small.
    Same,
}

impl Compare {
    /// Prints what got faster or slower beyond the noise.
    pub(crate) fn run(&self) -> Result<()> {
        let (before, after) = (output::read(&self.before)?, output::read(&self.after)?);
        for (name, lines) in [("before", &before), ("after", &after)] {
            let run = run(lines).map(|run| format!("{}, {}, {}", run.version, run.date, run.machine));
            println!("{name:>6}: {}", run.unwrap_or_else(|| "(the file doesn't tell)".into()));
        }
        if let (Some(before), Some(after)) = (run(&before), run(&after)) {
            differences(before, after).iter().for_each(|difference| println!("not the same: {difference}"));
        }
        let (table, slower) = self.table(&before, &after);
        println!("\n{table}");
        ensure!(!self.fail_if_slower || slower == 0, "{slower} got slower");
        Ok(())
    }

    /// The table, and how many workloads got slower.
    fn table(&self, before: &[Line], after: &[Line]) -> (String, usize) {
        let (before, after) = (cells(before), cells(after));
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["workload", "engine", "ops/s before", "after", "change", "p99", "", "verdict"]);
        for column in table.column_iter_mut().skip(2).take(5) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let (mut slower, mut faster, mut same) = (0, 0, 0);
        for was in &before {
            let Some(is) = after.iter().find(|is| is.workload == was.workload && is.engine == was.engine)
            else {
                continue;
            };
            let verdict = self.verdict(was, is, |figures| Some(figures.ops_per_second), 1.0);
            let tail = self.verdict(was, is, p99, -1.0);
            match verdict {
                Verdict::Worse => slower += 1,
                Verdict::Better => faster += 1,
                Verdict::Same => same += 1,
            }
            if verdict == Verdict::Same && tail == Verdict::Same {
                continue;
            }
            let (throughput_was, throughput_is) = (was.throughput(), is.throughput());
            table.add_row([
                was.workload.to_owned(),
                was.engine.to_owned(),
                with_noise(&throughput_was, was),
                with_noise(&throughput_is, is),
                format!("{:+.1}%", (throughput_is.median / throughput_was.median - 1.0) * 100.0),
                shown(was.spread(p99)),
                shown(is.spread(p99)),
                match (verdict, tail) {
                    (Verdict::Better, _) => "faster".into(),
                    (Verdict::Worse, _) => "SLOWER".into(),
                    (Verdict::Same, Verdict::Better) => "shorter tail".to_owned(),
                    (Verdict::Same, _) => "LONGER TAIL".into(),
                },
            ]);
        }
        let verdicts = format!("{faster} faster, {slower} slower, {same} the same within the noise");
        match table.is_empty() {
            true => (verdicts, slower),
            false => (format!("{}\n\n{verdicts}", table.trim_fmt()), slower),
        }
    }

    /// `sign` is 1 where more is better, and -1 where less is.
    fn verdict(
        &self,
        was: &Cell<'_>,
        is: &Cell<'_>,
        figure: fn(&Figures) -> Option<f64>,
        sign: f64,
    ) -> Verdict {
        let (Some(before), Some(after)) = (was.spread(figure), is.spread(figure)) else {
            return Verdict::Same;
        };
        let is_single = was.rounds.len().min(is.rounds.len()) < 2;
        let percent = if is_single { self.percent_single } else { self.percent };
        let change = after.median / before.median - 1.0;
        let is_change = before.is_apart_from(&after) && change.abs() * 100.0 > percent;
        match is_change {
            false => Verdict::Same,
            true if change * sign > 0.0 => Verdict::Better,
            true => Verdict::Worse,
        }
    }
}

/// What makes figures of two runs hard to compare.
fn differences(before: &Run, after: &Run) -> Vec<String> {
    let machine = [("machine", Some(&before.machine), Some(&after.machine))];
    let names: BTreeSet<_> =
        before.options.keys().chain(after.options.keys()).filter(|name| *name != "workloads").collect();
    let options = names.into_iter().map(|name| (&**name, before.options.get(name), after.options.get(name)));
    let or_none = |value: Option<&String>| value.map_or("none", |value| value).to_owned();
    machine
        .into_iter()
        .chain(options)
        .filter(|(_, was, is)| was != is)
        .map(|(name, was, is)| format!("{name} was {}, is {}", or_none(was), or_none(is)))
        .collect()
}

fn p99(figures: &Figures) -> Option<f64> {
    figures.latency.as_ref().map(|latency| latency.p99 as f64)
}

fn with_noise(spread: &Spread, cell: &Cell<'_>) -> String {
    match cell.rounds.len() {
        1 => units::count(spread.median),
        _ => format!("{} ±{:.0}%", units::count(spread.median), spread.noise() * 100.0),
    }
}

fn shown(spread: Option<Spread>) -> String {
    spread.map(|spread| units::nanoseconds(spread.median)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::line;

    fn lines(rounds: &[f64]) -> Vec<Line> {
        rounds.iter().map(|ops| line("readrandom", "lsmkit", *ops)).collect()
    }

    fn slower(before: &[f64], after: &[f64]) -> (usize, bool) {
        let compare = Compare {
            before: "".into(),
            after: "".into(),
            percent: 3.0,
            percent_single: 15.0,
            fail_if_slower: false,
        };
        let (table, slower) = compare.table(&lines(before), &lines(after));
        (slower, table.contains("1 faster"))
    }

    #[test]
    fn only_what_is_beyond_the_noise_is_told() {
        assert_eq!(slower(&[100.0, 104.0, 96.0], &[80.0, 83.0, 86.0]), (1, false));
        assert_eq!(slower(&[100.0, 104.0, 96.0], &[120.0, 130.0, 110.0]), (0, true));
        // Rounds that overlap, and a steady change that is too small to matter.
        assert_eq!(slower(&[100.0, 104.0, 80.0], &[83.0, 84.0, 85.0]), (0, false));
        assert_eq!(slower(&[100.0, 100.0, 100.0], &[98.0, 98.0, 98.0]), (0, false));
        // A single round has to differ by more.
        assert_eq!(slower(&[100.0], &[90.0]), (0, false));
        assert_eq!(slower(&[100.0], &[80.0]), (1, false));
    }
}
