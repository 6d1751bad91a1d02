//! The lines of a run, put in order: by run, workload and engine. What is shown of them, in whatever way, is
//! read from here.

mod percentile;
mod spread;

use crate::figures::{Beside, Failure, Figures, Line, Run};
use crate::plan::Found;

pub(crate) use self::percentile::{Percentile, is_told};
pub(crate) use self::spread::{Certainty, ROUNDS_SURE, Spread};

/// A `Line::Run` and the lines up to the next.
pub(crate) struct Group<'a> {
    /// Which of its file, from 0.
    pub(crate) nth: usize,
    pub(crate) run: Option<&'a Run>,
    /// lsmkit first, then in the order of the run.
    pub(crate) engines: Vec<Engine<'a>>,
    /// In the order of the run.
    pub(crate) rows: Vec<Row<'a>>,
    pub(crate) plans: Vec<&'a Found>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Engine<'a> {
    pub(crate) name: &'a str,
    pub(crate) is_peer: bool,
    /// Which of all engines that the lines name, whatever the run, from 0.
    pub(crate) place: usize,
}

/// A workload.
pub(crate) struct Row<'a> {
    pub(crate) workload: &'a str,
    /// As many as there are engines, in their order.
    pub(crate) cells: Vec<Cell<'a>>,
}

/// What a workload on an engine came to.
#[derive(Default)]
pub(crate) struct Cell<'a> {
    /// One for each round that it got through.
    pub(crate) rounds: Vec<&'a Figures>,
    pub(crate) failures: Vec<&'a Failure>,
}

/// What went on beside a workload, over the rounds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Company<'a> {
    /// What it did: `writes`.
    pub(crate) what: &'a str,
    pub(crate) per_second: f64,
    pub(crate) asked_per_second: Option<f64>,
    /// Whether it did what it was asked for in most rounds. Where it didn't, the workload had it easier
    /// than where it did, and the two can't be compared.
    pub(crate) kept_up: bool,
}

/// Puts the lines in order.
pub(crate) fn groups(lines: &[Line]) -> Vec<Group<'_>> {
    let places = distinct(lines.iter().flat_map(engine_names));
    let mut groups = Vec::new();
    let mut rest = lines;
    while !rest.is_empty() {
        let next = rest.iter().skip(1).position(|line| matches!(line, Line::Run(_)));
        let (lines, after) = rest.split_at(next.map_or(rest.len(), |at| at + 1));
        groups.push(Group::of(lines, groups.len(), &places));
        rest = after;
    }
    groups
}

impl<'a> Group<'a> {
    fn of(lines: &'a [Line], nth: usize, places: &[&str]) -> Group<'a> {
        let (mut run, mut figures, mut failures, mut plans) = (None, Vec::new(), Vec::new(), Vec::new());
        for line in lines {
            match line {
                Line::Run(found) => run = Some(found),
                Line::Figures(found) => figures.push(&**found),
                Line::Failure(found) => failures.push(found),
                Line::Plan(found) => plans.push(&**found),
            }
        }
        let planned = run.into_iter().flat_map(|run| run.workloads.iter().map(String::as_str));
        let measured = figures.iter().map(|figures| &*figures.workload);
        let failed = failures.iter().flat_map(|failure| workloads_of(failure));
        let workloads = distinct(planned.chain(measured).chain(failed));
        let mut names =
            distinct(lines.iter().filter(|line| !matches!(line, Line::Plan(_))).flat_map(engine_names));
        names.sort_by_key(|name| *name != "lsmkit");
        let is_peer = |name: &str| {
            let told = figures.iter().find(|figures| figures.engine == name).map(|figures| figures.is_peer);
            told.unwrap_or(!name.starts_with("lsmkit"))
        };
        let place = |name: &str| places.iter().position(|known| *known == name).unwrap_or(places.len());
        let engines: Vec<Engine<'a>> = names
            .into_iter()
            .map(|name| Engine { name, is_peer: is_peer(name), place: place(name) })
            .collect();
        let cell = |workload: &str, engine: &Engine<'_>| Cell {
            rounds: (figures.iter().copied())
                .filter(|figures| figures.workload == workload && figures.engine == engine.name)
                .collect(),
            failures: (failures.iter().copied())
                .filter(|failure| failure.engine == engine.name)
                .filter(|failure| workloads_of(failure).any(|name| name == workload))
                .collect(),
        };
        let rows = workloads.into_iter().map(|workload| {
            let cells = engines.iter().map(|engine| cell(workload, engine)).collect();
            Row { workload, cells }
        });
        let rows = rows.collect();
        Group { nth, run, engines, rows, plans }
    }

    /// The engine that the others are measured against: lsmkit, or the first of ours.
    pub(crate) fn ours(&self) -> Option<usize> {
        self.engines.iter().position(|engine| !engine.is_peer)
    }

    /// Whether there is a workload to show, run or failed.
    pub(crate) fn has_workloads(&self) -> bool {
        self.rows.iter().any(Row::is_known)
    }

    /// How often each engine ran.
    pub(crate) fn round_count(&self) -> usize {
        self.cells().map(|(_, _, cell)| cell.rounds.len()).max().unwrap_or(0)
    }

    /// All cells with the workload and the engine of each.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (&Row<'a>, &Engine<'a>, &Cell<'a>)> {
        self.rows.iter().flat_map(|row| {
            self.engines.iter().zip(&row.cells).map(move |(engine, cell)| (row, engine, cell))
        })
    }

    /// When it was run, and of what version; as far as the lines tell.
    pub(crate) fn heading(&self) -> String {
        let told = self.run.map(|run| format!("{}, {}", run.date, run.version));
        told.unwrap_or_else(|| format!("run {}, of which the file does not tell when", self.nth + 1))
    }
}

impl<'a> Row<'a> {
    /// Whether anything is known of it.
    pub(crate) fn is_known(&self) -> bool {
        self.cells.iter().any(|cell| !cell.rounds.is_empty() || !cell.failures.is_empty())
    }

    /// Its cells that have figures, with their engines.
    pub(crate) fn measured<'s>(
        &'s self,
        engines: &'s [Engine<'a>],
    ) -> impl Iterator<Item = (&'s Engine<'a>, &'s Cell<'a>)> {
        engines.iter().zip(&self.cells).filter(|(_, cell)| !cell.rounds.is_empty())
    }

    /// Whether the two engines had the same to do, so that how they did can be compared.
    pub(crate) fn is_comparable(&self, one: usize, other: usize) -> bool {
        self.cells[one].kept_up() && self.cells[other].kept_up()
    }
}

impl<'a> Cell<'a> {
    /// The figure over the rounds in which it is known.
    pub(crate) fn spread(&self, of: impl Fn(&Figures) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(|figures| of(figures)))
    }

    /// Operations a second.
    pub(crate) fn throughput(&self) -> Option<Spread> {
        self.spread(|figures| Some(figures.ops_per_second))
    }

    /// A percentile of how long calls took, where there were enough of them.
    pub(crate) fn latency(&self, percentile: Percentile) -> Option<Spread> {
        self.spread(|figures| percentile.of(figures.latency.as_ref()?))
    }

    /// The round whose throughput is the median (of an even number, the lower one), to show what has no median.
    pub(crate) fn typical(&self) -> Option<&'a Figures> {
        let mut rounds = self.rounds.clone();
        rounds.sort_by(|a, b| a.ops_per_second.total_cmp(&b.ops_per_second));
        rounds.get(rounds.len().checked_sub(1)? / 2).copied()
    }

    /// Whether a round's time was over before every record was touched: less work, on a smaller store.
    pub(crate) fn is_cut(&self) -> bool {
        self.rounds.iter().any(|figures| figures.is_cut)
    }

    /// What went on beside, if anything.
    pub(crate) fn company(&self) -> Option<Company<'a>> {
        let all: Vec<&Beside> = self.rounds.iter().filter_map(|figures| figures.beside.as_ref()).collect();
        let first = *all.first()?;
        Some(Company {
            what: &first.what,
            per_second: Spread::of(all.iter().map(|beside| beside.ops_per_second))?.median,
            asked_per_second: first.asked_per_second,
            kept_up: all.iter().filter(|beside| beside.kept_up()).count() * 2 > all.len(),
        })
    }

    fn kept_up(&self) -> bool {
        self.company().is_none_or(|company| company.kept_up)
    }
}

fn engine_names(line: &Line) -> Vec<&str> {
    match line {
        Line::Run(run) => run.engines.iter().map(String::as_str).collect(),
        Line::Figures(figures) => vec![&figures.engine],
        Line::Failure(failure) => vec![&failure.engine],
        Line::Plan(found) => vec![&found.writes.engine],
    }
}

/// A failure of a whole process names all workloads that it did not get through.
fn workloads_of(failure: &Failure) -> impl Iterator<Item = &str> {
    failure.workload.split([',', ' ']).map(str::trim).filter(|name| !name.is_empty())
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut distinct = Vec::new();
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct
}

#[cfg(test)]
pub(crate) mod tests;
