//! The lines of a report, put in order: by run, workload and engine.

use crate::figures::{Failure, Figures, Line, Run};
use crate::plan::Found;

use super::look::Look;

/// A `Line::Run` and the lines up to the next.
#[derive(Default)]
pub(super) struct Group<'a> {
    pub(super) run: Option<&'a Run>,
    /// Ours first, then in the order of the run.
    pub(super) engines: Vec<Engine<'a>>,
    pub(super) rows: Vec<Row<'a>>,
    pub(super) plans: Vec<&'a Found>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Engine<'a> {
    pub(super) name: &'a str,
    pub(super) is_peer: bool,
    pub(super) look: Look,
}

/// A workload.
pub(super) struct Row<'a> {
    pub(super) workload: &'a str,
    /// What links to it.
    pub(super) id: String,
    /// As many as there are engines, in their order.
    pub(super) cells: Vec<Cell<'a>>,
}

/// What a workload on an engine came to.
#[derive(Default)]
pub(super) struct Cell<'a> {
    pub(super) rounds: Vec<&'a Figures>,
    pub(super) failures: Vec<&'a Failure>,
}

/// A figure over the rounds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Spread {
    pub(super) low: f64,
    pub(super) median: f64,
    pub(super) high: f64,
    pub(super) rounds: usize,
}

/// Puts the lines in order.
pub(super) fn groups(lines: &[Line]) -> Vec<Group<'_>> {
    let names = distinct(lines.iter().flat_map(engine_names));
    let looks = Look::of(&names);
    let mut groups = Vec::new();
    let mut rest = lines;
    while !rest.is_empty() {
        let next = rest.iter().skip(1).position(|line| matches!(line, Line::Run(_)));
        let (lines, after) = rest.split_at(next.map_or(rest.len(), |at| at + 1));
        groups.push(Group::of(lines, groups.len(), |name| {
            names.iter().position(|known| *known == name).map_or(Look::nth(0), |at| looks[at])
        }));
        rest = after;
    }
    groups
}

impl<'a> Group<'a> {
    fn of(lines: &'a [Line], nth: usize, look: impl Fn(&str) -> Look) -> Group<'a> {
        let run = lines.iter().find_map(|line| if let Line::Run(run) = line { Some(run) } else { None });
        let figures = || {
            lines
                .iter()
                .filter_map(|line| if let Line::Figures(figures) = line { Some(&**figures) } else { None })
        };
        let failures = || {
            lines
                .iter()
                .filter_map(|line| if let Line::Failure(failure) = line { Some(failure) } else { None })
        };
        let plans = lines
            .iter()
            .filter_map(|line| if let Line::Plan(found) = line { Some(&**found) } else { None })
            .collect();

        let planned = run.into_iter().flat_map(|run| run.workloads.iter().map(String::as_str));
        let workloads =
            distinct(planned.chain(figures().map(|f| &*f.workload)).chain(failures().flat_map(workloads_of)));
        let mut names =
            distinct(lines.iter().filter(|line| !matches!(line, Line::Plan(_))).flat_map(engine_names));
        names.sort_by_key(|name| *name != "lsmkit");
        let is_peer = |name: &str| {
            let told = figures().find(|figures| figures.engine == name).map(|figures| figures.is_peer);
            told.unwrap_or(!name.starts_with("lsmkit"))
        };
        let engines: Vec<Engine<'a>> =
            names.into_iter().map(|name| Engine { name, is_peer: is_peer(name), look: look(name) }).collect();
        let rows = workloads.into_iter().map(|workload| {
            let cells = engines.iter().map(|engine| Cell {
                rounds: figures().filter(|f| f.workload == workload && f.engine == engine.name).collect(),
                failures: failures()
                    .filter(|f| f.engine == engine.name && workloads_of(f).any(|name| name == workload))
                    .collect(),
            });
            Row { workload, id: id(nth, workload), cells: cells.collect() }
        });
        let rows = rows.collect();
        Group { run, engines, rows, plans }
    }

    /// The engine that the peers are measured against: lsmkit, or the first of ours.
    pub(super) fn ours(&self) -> Option<usize> {
        self.engines.iter().position(|engine| !engine.is_peer)
    }

    /// Whether there is a workload to show, run or failed.
    pub(super) fn has_workloads(&self) -> bool {
        self.rows.iter().any(Row::is_known)
    }

    /// How often each engine ran.
    pub(super) fn round_count(&self) -> usize {
        let cells = self.rows.iter().flat_map(|row| &row.cells);
        cells.map(|cell| cell.rounds.len()).max().unwrap_or(0)
    }
}

impl<'a> Row<'a> {
    /// Whether anything is known of it.
    pub(super) fn is_known(&self) -> bool {
        self.cells.iter().any(|cell| !cell.rounds.is_empty() || !cell.failures.is_empty())
    }

    /// Its cells that have figures, with their engines.
    pub(super) fn measured<'s>(
        &'s self,
        engines: &'s [Engine<'a>],
    ) -> impl Iterator<Item = (&'s Engine<'a>, &'s Cell<'a>)> {
        engines.iter().zip(&self.cells).filter(|(_, cell)| !cell.rounds.is_empty())
    }
}

impl<'a> Cell<'a> {
    /// The figure over the rounds in which it is known.
    pub(super) fn spread(&self, of: impl Fn(&Figures) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(|figures| of(figures)))
    }

    /// The round whose throughput is the median (of an even number, the lower one), to show what has no median.
    pub(super) fn typical(&self) -> Option<&'a Figures> {
        let mut rounds = self.rounds.clone();
        rounds.sort_by(|a, b| a.ops_per_second.total_cmp(&b.ops_per_second));
        rounds.get(rounds.len().checked_sub(1)? / 2).copied()
    }
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let median = (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0;
        Some(Spread { low, median, high, rounds: values.len() })
    }

    /// Whether the rounds of both mix, so that neither is surely the greater.
    pub(super) fn overlaps(&self, other: &Spread) -> bool {
        self.rounds > 1 && other.rounds > 1 && self.low <= other.high && other.low <= self.high
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

fn id(group: usize, workload: &str) -> String {
    let plain = workload.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    let plain: String = plain.collect();
    if group == 0 { format!("w-{plain}") } else { format!("w{}-{plain}", group + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(engine: &str, workload: &str, ops_per_second: f64) -> Line {
        Line::Figures(Box::new(Figures {
            engine: engine.into(),
            is_peer: engine != "lsmkit",
            workload: workload.into(),
            ops_per_second,
            ..Figures::default()
        }))
    }

    #[test]
    fn lines_are_grouped_by_workload_and_engine_with_ours_first() {
        let mut lines = vec![figures("fjall", "a", 5.0), figures("lsmkit", "a", 9.0)];
        lines.extend([3.0, 1.0, 2.0].map(|n| figures("fjall", "b@2", n)));
        lines.push(Line::Failure(Failure {
            engine: "lsmkit".into(),
            round: 1,
            workload: "b@2,c".into(),
            error: "no".into(),
        }));
        let groups = groups(&lines);
        assert_eq!(groups.len(), 1);
        let group = &groups[0];
        assert_eq!(group.engines.iter().map(|engine| engine.name).collect::<Vec<_>>(), ["lsmkit", "fjall"]);
        assert_eq!(group.rows.iter().map(|row| row.workload).collect::<Vec<_>>(), ["a", "b@2", "c"]);
        assert_eq!(group.rows[1].id, "w-b-2");
        assert_eq!(group.rows[1].cells[0].failures.len(), 1);
        let cell = &group.rows[1].cells[1];
        let spread = cell.spread(|f| Some(f.ops_per_second)).unwrap();
        assert_eq!((spread.low, spread.median, spread.high), (1.0, 2.0, 3.0));
        assert_eq!(cell.typical().map(|f| f.ops_per_second), Some(2.0));
        assert_eq!(group.rows[2].cells[0].failures.len(), 1);
        assert!(group.rows[2].is_known());
    }

    #[test]
    fn runs_in_one_file_are_not_mixed() {
        let run = || {
            Line::Run(Run {
                date: String::new(),
                machine: String::new(),
                version: String::new(),
                command: String::new(),
                options: Default::default(),
                engines: vec!["lsmkit".into()],
                workloads: vec!["a".into()],
                rounds: 1,
            })
        };
        let lines = vec![run(), figures("lsmkit", "a", 1.0), run(), figures("lsmkit", "a", 2.0)];
        let groups = groups(&lines);
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[1].rows[0].cells[0].spread(|f| Some(f.ops_per_second)).unwrap().median, 2.0);
        assert_ne!(groups[0].rows[0].id, groups[1].rows[0].id);
    }

    #[test]
    fn spreads_overlap_only_where_there_are_rounds_to_compare() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied()).unwrap();
        assert!(spread(&[1.0, 3.0]).overlaps(&spread(&[2.0, 9.0])));
        assert!(!spread(&[1.0, 3.0]).overlaps(&spread(&[4.0, 9.0])));
        assert!(!spread(&[3.0]).overlaps(&spread(&[3.0, 3.0])));
    }
}
