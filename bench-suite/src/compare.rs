//! What changed between two runs.

mod changes;
mod verdict;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};

use crate::figures::{Line, Run};
use crate::output;
use crate::summary::{Cell, Group, Percentile, groups};
use crate::units;

use self::changes::{Change, Changes};
use self::verdict::{Threshold, Verdict};

/// What was run, before and after: best five rounds each, by turns on the same machine.
#[derive(Args, Debug)]
pub(crate) struct Compare {
    /// The figures.jsonl of the run before, or its directory
    before: PathBuf,
    /// That of the run after
    after: PathBuf,
    /// A change of fewer percent is none, however steady; nor is one smaller than the noise of either, or
    /// where the rounds of both overlap. `run --rounds 5` makes that noise known
    #[arg(long, default_value_t = 3.0)]
    percent: f64,
    /// The same where one of the two ran fewer than three rounds, whose noise nobody knows
    #[arg(long, default_value_t = 15.0)]
    percent_single: f64,
    /// Exits with an error where something got slower, or was there before and failed, is missing or no
    /// longer keeps up after
    #[arg(long)]
    fail_if_slower: bool,
}

/// How many of which.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Counts {
    faster: usize,
    slower: usize,
    same: usize,
    longer_tail: usize,
    shorter_tail: usize,
    /// There before, and no more.
    broken: usize,
}

impl Compare {
    /// Prints what got faster or slower beyond the noise.
    pub(crate) fn run(&self) -> Result<()> {
        let (before, after) = (output::read(&self.before)?, output::read(&self.after)?);
        let (report, counts) = self.report(&before, &after)?;
        print!("{report}");
        if self.fail_if_slower { counts.check() } else { Ok(()) }
    }

    /// What there is to print.
    fn report(&self, before: &[Line], after: &[Line]) -> Result<(String, Counts)> {
        let (before, after) = (groups(before), groups(after));
        let (before, after) = (last(&before).context("before")?, last(&after).context("after")?);
        let mut report = format!("before: {}\n after: {}\n", head(before), head(after));
        if let (Some(before), Some(after)) = (before.run, after.run) {
            let differences = differences(before, after);
            report.extend(differences.iter().map(|difference| format!("not the same: {difference}")));
        }
        let changes = Changes::between(before, after);
        let (table, counts) = self.table(&changes);
        report += &table;
        if !changes.apart.is_empty() {
            report += "\n";
            report.extend(changes.apart.iter().map(|apart| format!("{}\n", apart.line())));
        }
        ensure!(
            !changes.compared.is_empty(),
            "{report}\nthe two have nothing in common that can be compared"
        );
        report += &format!("\n{}\n{}\n", drift(&changes), counts.told());
        Ok((report, counts))
    }

    /// A row for whatever changed.
    fn table(&self, changes: &Changes<'_>) -> (String, Counts) {
        let threshold = Threshold { percent: self.percent, percent_single: self.percent_single };
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["workload", "engine", "ops/s before", "after", "change", "p99", "", "verdict"]);
        for column in table.column_iter_mut().skip(2).take(5) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let broken = changes.apart.iter().map(|apart| apart.broken).sum();
        let mut counts = Counts { broken, ..Counts::default() };
        let mut is_cut = false;
        for change in &changes.compared {
            let (speed, tail) = (change.speed(&threshold), change.tail(&threshold));
            counts.add(speed, tail);
            if speed != Verdict::Same || tail != Verdict::Same {
                is_cut |= change.before.is_cut() || change.after.is_cut();
                table.add_row(row(change, speed, tail));
            }
        }
        let note = if is_cut { "\n* cut: its time was over before every record was touched\n" } else { "" };
        match table.is_empty() {
            true => (String::new(), counts),
            false => (format!("\n{}\n{note}", table.trim_fmt()), counts),
        }
    }
}

impl Counts {
    fn add(&mut self, speed: Verdict, tail: Verdict) {
        match speed {
            Verdict::Better => self.faster += 1,
            Verdict::Worse => self.slower += 1,
            Verdict::Same => self.same += 1,
        }
        match tail {
            Verdict::Better => self.shorter_tail += 1,
            Verdict::Worse => self.longer_tail += 1,
            Verdict::Same => {}
        }
    }

    /// An error where something got slower or broke.
    fn check(&self) -> Result<()> {
        let Counts { slower, broken, .. } = self;
        ensure!(
            slower + broken == 0,
            "{slower} got slower, {broken} failed, are missing or no longer keep up"
        );
        Ok(())
    }

    fn told(&self) -> String {
        let Counts { faster, slower, same, longer_tail, shorter_tail, broken } = self;
        let broken = match broken {
            0 => String::new(),
            n => format!("; {n} failed, missing or no longer keeping up"),
        };
        format!(
            "{faster} faster, {slower} slower, {same} the same within the noise; \
             {longer_tail} with a longer tail, {shorter_tail} with a shorter one{broken}"
        )
    }
}

/// A file may hold several runs.
fn last<'a>(groups: &'a [Group<'a>]) -> Result<&'a Group<'a>> {
    groups.iter().rfind(|group| group.has_workloads()).context("there are no figures of workloads")
}

fn head(group: &Group<'_>) -> String {
    let run = group.run.map(|run| format!("{}, {}, {}", run.version, run.date, run.machine));
    let which = if group.nth > 0 { format!(" (run {} of its file)", group.nth + 1) } else { String::new() };
    format!("{}{which}", run.unwrap_or_else(|| "(the file doesn't tell)".into()))
}

/// What makes figures of two runs hard to compare.
fn differences(before: &Run, after: &Run) -> Vec<String> {
    let machine = [
        ("machine", Some(&before.machine), Some(&after.machine)),
        ("build", Some(&before.build), Some(&after.build)),
    ];
    let names: BTreeSet<_> =
        before.options.keys().chain(after.options.keys()).filter(|name| *name != "workloads").collect();
    let options = names.into_iter().map(|name| (&**name, before.options.get(name), after.options.get(name)));
    let or_none = |value: Option<&String>| match value {
        Some(value) if !value.is_empty() => value.clone(),
        _ => "not told".to_owned(),
    };
    machine
        .into_iter()
        .chain(options)
        .filter(|(_, was, is)| was != is)
        .map(|(name, was, is)| format!("{name} was {}, is {}\n", or_none(was), or_none(is)))
        .collect()
}

fn row(change: &Change<'_>, speed: Verdict, tail: Verdict) -> [String; 8] {
    let p99 = |cell: &Cell<'_>| {
        cell.latency(Percentile::P99).map(|spread| units::nanoseconds(spread.median)).unwrap_or_default()
    };
    let verdicts = [
        match speed {
            Verdict::Better => "faster",
            Verdict::Worse => "SLOWER",
            Verdict::Same => "",
        },
        match tail {
            Verdict::Better => "shorter tail",
            Verdict::Worse => "LONGER TAIL",
            Verdict::Same => "",
        },
    ];
    [
        change.workload.to_owned(),
        change.engine.to_owned(),
        throughput(change.before),
        throughput(change.after),
        change.throughput().map(percent).unwrap_or_default(),
        p99(change.before),
        p99(change.after),
        verdicts.into_iter().filter(|verdict| !verdict.is_empty()).collect::<Vec<_>>().join(", "),
    ]
}

/// With its noise, and a star where it was cut short.
fn throughput(cell: &Cell<'_>) -> String {
    let Some(spread) = cell.throughput() else { return String::new() };
    let median = format!("{}{}", units::count(spread.median), if cell.is_cut() { "*" } else { "" });
    match spread.rounds {
        1 => median,
        _ => format!("{median} ±{:.0}%", spread.noise_share() * 100.0),
    }
}

fn percent(share: f64) -> String {
    format!("{:+.1}%", share * 100.0)
}

/// How the machine changed meanwhile: best told by the peers, whose code is the same.
fn drift(changes: &Changes<'_>) -> String {
    let all = changes.drift(|_| true);
    let peers = changes.drift(|change| change.is_peer);
    let told = |(median, count): (f64, usize)| format!("{} (median of {count})", percent(median));
    let peers = peers.map(|peers| format!("; the peers {}", told(peers))).unwrap_or_default();
    let all = all.map_or("unknown".to_owned(), told);
    format!("all moved by {all}{peers}: what moves all alike is the machine")
}

#[cfg(test)]
mod tests;
