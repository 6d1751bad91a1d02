//! Strategies tested from drawn trees: a picture of levels in, the chosen job out.
//!
//! `pictures/*.txt` hold the cases, each a block of lines:
//!
//! ```text
//! case: what it shows
//! with: base_bytes=100 fan_out=10      settings other than those at the head of the file
//! L0 r3: 3[c-f]10 4[h-k]10-5           level 0, run 3: table 3 has the keys c to f and 10 bytes;
//!                                      of table 4's 10 entries 5 are tombstones
//! L6 r1: 1[a-m]80@7                    all entries of table 1 have the sequence number 7
//! busy: 3 L6[a-c] L0r6[d-e]            a running job replaces table 3, one writes to a range of level 6, one to run 6
//!                                      of level 0
//! now: 100                             the time in seconds; `1[a-m]80~90` was written at second 90
//! when: pressing                       the store is being written to; otherwise there is leisure
//! range: c..f                          what a manual compaction is asked for
//! later: L0 r9: 9[a-z]5@12             flushed after a manual compaction was asked for
//! --
//! merge 3 1 -> L6 r1, Level0           the job; for manual compactions all jobs until the end
//! debt 30, runs 1                      if the case asks for it by `show: pressure`
//! ```

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fmt::Write;
use std::ops::Bound;
use std::sync::Arc;

use lsmkit_base::{RunId, SeqNo, TableChange, TableId, TableMeta, Tree, Written};
use lsmkit_compaction::{
    Busy, BusyRange, CompactionPicker, Fifo, Job, JobKind, Leveled, ManualCompaction, ManualStep, Tiered,
    TimeWindow,
};

#[derive(Default)]
struct Case<'a> {
    name: &'a str,
    settings: Vec<(&'a str, &'a str)>,
    tree: Vec<TableChange>,
    later: Vec<TableChange>,
    busy: Busy,
    range: &'a str,
    show_pressure: bool,
    expected: String,
}

impl<'a> Case<'a> {
    fn parse(block: &'a str) -> Case<'a> {
        let mut case = Case::default();
        case.busy.at_leisure = true;
        let (picture, expected) = block.split_once("--\n").expect("a case has an outcome after `--`");
        case.expected = expected.trim_end().to_owned() + "\n";
        for line in picture.lines() {
            let (what, rest) = line.split_once(": ").unwrap_or_else(|| panic!("not understood: {line}"));
            match what {
                "case" => case.name = rest,
                "with" => case.settings = rest.split(' ').map(|pair| pair.split_once('=').unwrap()).collect(),
                "busy" => rest.split(' ').for_each(|held| case.hold(held)),
                "range" => case.range = rest,
                "now" => case.busy.now = rest.parse().unwrap(),
                "when" => case.busy.at_leisure = rest != "pressing",
                "show" => case.show_pressure = rest == "pressure",
                "later" => {
                    let (place, tables) = rest.split_once(": ").unwrap();
                    case.later.extend(parse_run(place, tables));
                }
                place => case.tree.extend(parse_run(place, rest)),
            }
        }
        case
    }

    fn hold(&mut self, held: &str) {
        match held.strip_prefix('L') {
            None => {
                self.busy.tables.insert(TableId(held.parse().unwrap()));
            }
            Some(range) => {
                let (place, keys) = range.trim_end_matches(']').split_once('[').unwrap();
                let (level, run) = place.split_once('r').unwrap_or((place, "0"));
                let (smallest, largest) = keys.split_once('-').unwrap();
                self.busy.outputs.push(BusyRange {
                    level: level.parse().unwrap(),
                    oldest: RunId(run.parse().unwrap()),
                    newest: RunId(run.parse().unwrap()),
                    smallest: smallest.as_bytes().into(),
                    largest: largest.as_bytes().into(),
                });
            }
        }
    }

    fn tree(&self) -> Tree {
        Tree::default().apply(&self.tree).unwrap()
    }

    /// The settings of the file's head, changed by the case's own.
    fn settings(&self, head: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        head.iter().chain(&self.settings).copied().collect()
    }

    fn outcome(&self, picker: &dyn CompactionPicker) -> String {
        let tree = self.tree();
        let job = picker.pick(&tree, &self.busy);
        if let Some(job) = &job {
            job.check(&tree, &self.busy)
                .unwrap_or_else(|unsound| panic!("{}: {unsound}: {job:?}", self.name));
        }
        let mut outcome = draw(job.as_ref());
        if self.show_pressure {
            let pressure = picker.pressure(&tree);
            writeln!(outcome, "debt {}, runs {}", pressure.debt_bytes, pressure.runs).unwrap();
        }
        outcome
    }

    /// All steps of a manual compaction, each merge modelled as one table.
    fn manual_outcome(&self, table_bytes: u64) -> String {
        let mut tree = self.tree();
        let (from, to) = self.range.split_once("..").expect("a manual case has a range");
        let bound = |key: &'a str| match key {
            "" => Bound::Unbounded,
            key => Bound::Included(key.as_bytes()),
        };
        let manual = ManualCompaction::new(&tree, bound(from), bound(to), table_bytes);
        tree = tree.apply(&self.later).unwrap();
        let mut outcome = String::new();
        for id in 100.. {
            let job = match manual.next(&tree, &self.busy) {
                ManualStep::Run(job) => job,
                ManualStep::Wait => return outcome + "wait\n",
                ManualStep::Done => break,
            };
            job.check(&tree, &self.busy)
                .unwrap_or_else(|unsound| panic!("{}: {unsound}: {job:?}", self.name));
            outcome += &draw(Some(&job));
            let merged = merged(&tree, &job, TableId(id));
            tree = tree.apply(&job.changes(&tree, &[merged])).unwrap();
        }
        outcome + "done\n"
    }
}

fn parse_run(place: &str, tables: &str) -> Vec<TableChange> {
    let (level, run) = place.strip_prefix('L').unwrap().split_once(" r").unwrap();
    let (level, run) = (level.parse().unwrap(), RunId(run.parse().unwrap()));
    tables
        .split(' ')
        .map(|table| TableChange::Add { level, run, table: Arc::new(parse_table(table)) })
        .collect()
}

/// `3[c-f]10-5@7~90`: table 3, keys c to f, 10 bytes and entries, 5 tombstones, written as number 7, at second 90.
fn parse_table(table: &str) -> TableMeta {
    let (table, written) = table.split_once('~').unwrap_or((table, "0"));
    let (table, seq) = table.split_once('@').unwrap_or((table, "0"));
    let (id, rest) = table.split_once('[').unwrap();
    let (keys, rest) = rest.split_once(']').unwrap();
    let (size, tombstones) = rest.split_once('-').unwrap_or((rest, "0"));
    let (smallest, largest) = keys.split_once('-').unwrap();
    let seq = SeqNo::new(seq.parse().unwrap()).unwrap();
    TableMeta {
        id: TableId(id.parse().unwrap()),
        size_bytes: size.parse().unwrap(),
        entries: size.parse().unwrap(),
        tombstones: tombstones.parse().unwrap(),
        smallest: smallest.as_bytes().into(),
        largest: largest.as_bytes().into(),
        seq_min: seq,
        seq_max: seq,
        written: Written::at(written.parse().unwrap()),
        ..TableMeta::default()
    }
}

fn merged(tree: &Tree, job: &Job, id: TableId) -> Arc<TableMeta> {
    let sources = job.sources(tree);
    let inputs = || sources.iter().flat_map(|source| &source.tables);
    Arc::new(TableMeta {
        id,
        size_bytes: inputs().map(|table| table.size_bytes).sum(),
        smallest: inputs().map(|table| table.smallest.clone()).min().unwrap(),
        largest: inputs().map(|table| table.largest.clone()).max().unwrap(),
        ..TableMeta::default()
    })
}

fn draw(job: Option<&Job>) -> String {
    let Some(job) = job else { return "none\n".to_owned() };
    let kind = match job.kind {
        JobKind::Merge => "merge",
        JobKind::Move => "move",
        JobKind::Drop => "drop",
    };
    let inputs: Vec<_> = job.inputs.iter().map(|id| id.0.to_string()).collect();
    if job.kind == JobKind::Drop {
        return format!("{kind} {}, {:?}\n", inputs.join(" "), job.cause);
    }
    format!("{kind} {} -> L{} r{}, {:?}\n", inputs.join(" "), job.level, job.run.0, job.cause)
}

fn leveled(settings: &[(&str, &str)]) -> Leveled {
    settings.iter().fold(Leveled::default(), |leveled, (name, value)| {
        let value: u64 = value.parse().unwrap();
        match *name {
            "level0_trigger" => leveled.level0_trigger(value as usize),
            "age_max_seconds" => leveled.age_max_seconds(value),
            "level0_batch" => leveled.level0_batch(value as usize),
            "runs_slow" => leveled.runs_limits(value as usize, 20),
            "levels" => leveled.levels(value as u32),
            "base_bytes" => leveled.base_bytes(value),
            "fan_out" => leveled.fan_out(value),
            "table_bytes" => leveled.table_bytes(value),
            _ => panic!("no such setting: {name}"),
        }
    })
}

fn tiered(settings: &[(&str, &str)]) -> Tiered {
    settings.iter().fold(Tiered::default(), |tiered, (name, value)| match *name {
        "runs_per_level" => tiered.runs_per_level(value.parse().unwrap()),
        "levels" => tiered.levels(value.parse().unwrap()),
        "age_max_seconds" => tiered.age_max_seconds(value.parse().unwrap()),
        "space_limit" => tiered.space_limit(value.parse().unwrap()),
        "table_bytes" => tiered.table_bytes(value.parse().unwrap()),
        _ => panic!("no such setting: {name}"),
    })
}

fn fifo(settings: &[(&str, &str)]) -> Fifo {
    settings.iter().fold(Fifo::new(), |fifo, (name, value)| match *name {
        "bytes_max" => fifo.bytes_max(value.parse().unwrap()),
        "age_max_seconds" => fifo.age_max_seconds(value.parse().unwrap()),
        _ => fifo,
    })
}

fn time_window(settings: &[(&str, &str)]) -> TimeWindow {
    let window = TimeWindow::default().keep(fifo(settings));
    settings.iter().fold(window, |window, (name, value)| match *name {
        "window_seconds" => window.window_seconds(value.parse().unwrap()),
        "runs_per_merge" => window.runs_per_merge(value.parse().unwrap()),
        "table_bytes" => window.table_bytes(value.parse().unwrap()),
        _ => window,
    })
}

/// Compares the outcome of every case of a file, and shows all that differ.
fn check(file: &str, at_least: usize, outcome: impl Fn(&Case<'_>, &[(&str, &str)]) -> String) {
    let text: String =
        file.lines().filter(|line| !line.starts_with('#')).map(|line| line.to_owned() + "\n").collect();
    let mut blocks = text.split("\n\n").map(str::trim).filter(|block| !block.is_empty());
    let head = blocks.next().unwrap().strip_prefix("with: ").expect("a file begins with its settings");
    let head: Vec<_> = head.split(' ').map(|pair| pair.split_once('=').unwrap()).collect();
    let (mut count, mut differing) = (0, String::new());
    for block in blocks {
        let case = Case::parse(block);
        let settings = case.settings(&head);
        let outcome = outcome(&case, &settings);
        count += 1;
        if outcome != case.expected {
            write!(differing, "\ncase: {}\nexpected:\n{}found:\n{outcome}", case.name, case.expected)
                .unwrap();
        }
    }
    assert!(differing.is_empty(), "{differing}");
    assert!(count >= at_least, "{count} cases");
}

#[test]
fn leveled_picks_as_drawn() {
    check(include_str!("pictures/leveled.txt"), 15, |case, settings| case.outcome(&leveled(settings)));
}

#[test]
fn tiered_picks_as_drawn() {
    check(include_str!("pictures/tiered.txt"), 8, |case, settings| case.outcome(&tiered(settings)));
}

#[test]
fn fifo_drops_as_drawn() {
    check(include_str!("pictures/fifo.txt"), 5, |case, settings| case.outcome(&fifo(settings)));
}

#[test]
fn time_windows_merge_as_drawn() {
    check(include_str!("pictures/time_window.txt"), 6, |case, settings| case.outcome(&time_window(settings)));
}

#[test]
fn manual_compactions_go_as_drawn() {
    check(include_str!("pictures/manual.txt"), 5, |case, settings| {
        let table_bytes = settings.iter().rev().find(|(name, _)| *name == "table_bytes").unwrap().1;
        case.manual_outcome(table_bytes.parse().unwrap())
    });
}
