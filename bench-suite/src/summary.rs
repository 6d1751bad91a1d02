//! Figures of several rounds as one.

use crate::figures::{Figures, Line, Run};

/// All figures of one workload on one engine.
pub(crate) struct Cell<'a> {
    pub(crate) workload: &'a str,
    pub(crate) engine: &'a str,
    /// One for each round.
    pub(crate) rounds: Vec<&'a Figures>,
}

/// A median with the least and the most of the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

/// The cells, in the order in which workloads and engines first came; those of a workload together.
pub(crate) fn cells(lines: &[Line]) -> Vec<Cell<'_>> {
    let mut cells: Vec<Cell<'_>> = Vec::new();
    for line in lines {
        let Line::Figures(figures) = line else { continue };
        let same = |cell: &&mut Cell<'_>| cell.workload == figures.workload && cell.engine == figures.engine;
        match cells.iter_mut().find(same) {
            Some(cell) => cell.rounds.push(figures),
            None => {
                let after = cells.iter().rposition(|cell| cell.workload == figures.workload);
                let cell =
                    Cell { workload: &figures.workload, engine: &figures.engine, rounds: vec![figures] };
                cells.insert(after.map_or(cells.len(), |after| after + 1), cell);
            }
        }
    }
    cells
}

/// What was run, if the lines tell.
pub(crate) fn run(lines: &[Line]) -> Option<&Run> {
    lines.iter().find_map(|line| if let Line::Run(run) = line { Some(run) } else { None })
}

impl Cell<'_> {
    pub(crate) fn is_peer(&self) -> bool {
        self.rounds.iter().any(|figures| figures.is_peer)
    }

    /// The spread of a figure over the rounds; absent where it is absent from one.
    pub(crate) fn spread(&self, figure: impl Fn(&Figures) -> Option<f64>) -> Option<Spread> {
        let mut figures: Vec<f64> = self.rounds.iter().map(|round| figure(round)).collect::<Option<_>>()?;
        figures.sort_by(f64::total_cmp);
        let (least, most) = (*figures.first()?, *figures.last()?);
        let (lower, upper) = (figures[(figures.len() - 1) / 2], figures[figures.len() / 2]);
        Some(Spread { least, median: (lower + upper) / 2.0, most })
    }

    /// Operations a second.
    pub(crate) fn throughput(&self) -> Spread {
        self.spread(|figures| Some(figures.ops_per_second)).expect("because a cell has a round")
    }
}

impl Spread {
    /// Half of the way from the least to the most, as a share of the median.
    pub(crate) fn noise(&self) -> f64 {
        (self.most - self.least) / 2.0 / self.median.max(f64::MIN_POSITIVE)
    }

    /// Whether no figure of one is within the other.
    pub(crate) fn is_apart_from(&self, other: &Spread) -> bool {
        self.most < other.least || other.most < self.least
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn line(workload: &str, engine: &str, ops_per_second: f64) -> Line {
        let is_peer = !engine.starts_with("lsmkit");
        let (workload, engine) = (workload.to_owned(), engine.to_owned());
        Line::Figures(Box::new(Figures { workload, engine, is_peer, ops_per_second, ..Figures::default() }))
    }

    #[test]
    fn rounds_become_a_median_with_its_spread() {
        let figures = [
            ("a", "x", 3.0),
            ("b", "x", 9.0),
            ("a", "y", 5.0),
            ("a", "x", 1.0),
            ("a", "x", 10.0),
            ("a", "x", 2.0),
        ];
        let lines: Vec<Line> = figures.iter().map(|(w, e, ops)| line(w, e, *ops)).collect();
        let cells = cells(&lines);
        let names: Vec<_> = cells.iter().map(|cell| (cell.workload, cell.engine)).collect();
        assert_eq!(names, [("a", "x"), ("a", "y"), ("b", "x")]);
        assert_eq!(cells[0].throughput(), Spread { least: 1.0, median: 2.5, most: 10.0 });
        assert_eq!(cells[0].spread(|figures| figures.cpu_seconds), None);
    }
}
