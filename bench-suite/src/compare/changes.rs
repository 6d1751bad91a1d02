//! What two runs have in common, and what only one of them has.

use crate::summary::{Cell, Group, Spread};
use crate::units;

use super::verdict::{Better, Threshold, Verdict};
use crate::summary::Percentile;

/// A workload on an engine, before and after.
pub(super) struct Change<'a> {
    pub(super) workload: &'a str,
    pub(super) engine: &'a str,
    pub(super) is_peer: bool,
    pub(super) before: &'a Cell<'a>,
    pub(super) after: &'a Cell<'a>,
}

/// What can't be compared.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Apart {
    /// What it is, but for the engines.
    what: String,
    engines: Vec<String>,
    /// How many of them were there before, and are no more.
    pub(super) broken: usize,
}

/// All of it.
pub(super) struct Changes<'a> {
    pub(super) compared: Vec<Change<'a>>,
    pub(super) apart: Vec<Apart>,
}

static NOTHING: Cell<'static> = Cell { rounds: Vec::new(), failures: Vec::new() };

impl<'a> Changes<'a> {
    /// In the order of the run before; then what only the one after has.
    pub(super) fn between(before: &'a Group<'a>, after: &'a Group<'a>) -> Changes<'a> {
        let (mut compared, mut apart) = (Vec::new(), Vec::new());
        for (row, engine, was) in before.cells() {
            let is = cell(after, row.workload, engine.name).unwrap_or(&NOTHING);
            let (workload, is_peer) = (row.workload, engine.is_peer);
            let change = Change { workload, engine: engine.name, is_peer, before: was, after: is };
            change.apart().into_iter().for_each(|new| push(&mut apart, new));
            if change.has_both() && change.kept_up() == [true, true] {
                compared.push(change);
            }
        }
        for (row, engine, is) in after.cells() {
            if cell(before, row.workload, engine.name).is_none() {
                let (workload, is_peer) = (row.workload, engine.is_peer);
                let change = Change { workload, engine: engine.name, is_peer, before: &NOTHING, after: is };
                change.apart().into_iter().for_each(|new| push(&mut apart, new));
            }
        }
        Changes { compared, apart }
    }

    /// The median of how the throughput changed, as a share, of those that `which` picks, and how many they
    /// are: where everything moved alike, it was the machine that did.
    pub(super) fn drift(&self, which: impl Fn(&Change<'_>) -> bool) -> Option<(f64, usize)> {
        let changes = self.compared.iter().filter(|change| which(change)).filter_map(Change::throughput);
        Spread::of(changes).map(|spread| (spread.median, spread.rounds))
    }
}

impl Apart {
    /// A line.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.what, self.engines.join("; "))
    }
}

impl Change<'_> {
    /// How much more operations a second there were after, as a share.
    pub(super) fn throughput(&self) -> Option<f64> {
        Some(self.after.throughput()?.median / self.before.throughput()?.median - 1.0)
    }

    /// What became of the throughput.
    pub(super) fn speed(&self, threshold: &Threshold) -> Verdict {
        verdict(threshold, self.before.throughput(), self.after.throughput(), Better::Higher)
    }

    /// What became of the p99, where it is known of both.
    pub(super) fn tail(&self, threshold: &Threshold) -> Verdict {
        let [before, after] = [self.before, self.after].map(|cell| cell.latency(Percentile::P99));
        verdict(threshold, before, after, Better::Lower)
    }

    fn has_both(&self) -> bool {
        !self.before.rounds.is_empty() && !self.after.rounds.is_empty()
    }

    /// Whether what went on beside did what it was asked for.
    fn kept_up(&self) -> [bool; 2] {
        [self.before, self.after].map(|cell| cell.company().is_none_or(|company| company.kept_up))
    }

    fn apart(&self) -> Option<Apart> {
        let [was_there, is_there] = [self.before, self.after].map(|cell| !cell.rounds.is_empty());
        let failed = |when: &str, (round, error): (u32, &str), is_broken| {
            let told = format!("{}, round {round}: {error}", self.engine);
            Some(self.told(&format!("failed {when}"), told, is_broken))
        };
        let only = |when: &str, is_broken| {
            Some(self.told(&format!("only {when}"), self.engine.to_owned(), is_broken))
        };
        match (error(self.before), error(self.after)) {
            (None, Some(error)) => failed("after", error, was_there),
            (Some(_), Some(error)) => failed("before and after", error, was_there && !is_there),
            (Some(error), None) => failed("before", error, was_there && !is_there),
            (None, None) => match (was_there, is_there) {
                (true, false) => only("before", true),
                (false, true) => only("after", false),
                (true, true) => self.unequal(),
                (false, false) => None,
            },
        }
    }

    /// Where less went on beside than was asked for, more of what is measured gets done.
    fn unequal(&self) -> Option<Apart> {
        let is_broken = match self.kept_up() {
            [true, true] => return None,
            [was_up, is_up] => was_up && !is_up,
        };
        let [before, after] = [self.before, self.after].map(|cell| cell.company());
        let (before, after) = (before?, after?);
        let asked = after.asked_per_second.or(before.asked_per_second)?;
        let told = format!(
            "{}, which did {} of {} {} a second beside it before, {} after",
            self.engine,
            units::count(before.per_second),
            units::count(asked),
            after.what,
            units::count(after.per_second)
        );
        Some(self.told("did not keep up", told, is_broken))
    }

    fn told(&self, what: &str, engine: String, is_broken: bool) -> Apart {
        let what = format!("{what}: {} on", self.workload);
        Apart { what, engines: vec![engine], broken: usize::from(is_broken) }
    }
}

/// Engines of which the same is to be told of the same workload share a line.
fn push(apart: &mut Vec<Apart>, new: Apart) {
    match apart.last_mut() {
        Some(last) if last.what == new.what => {
            last.engines.extend(new.engines);
            last.broken += new.broken;
        }
        _ => apart.push(new),
    }
}

/// The first, with its round.
fn error<'a>(cell: &Cell<'a>) -> Option<(u32, &'a str)> {
    cell.failures.first().map(|failure| (failure.round, &*failure.error))
}

/// If the run has both the workload and the engine.
fn cell<'a>(group: &'a Group<'a>, workload: &str, engine: &str) -> Option<&'a Cell<'a>> {
    let at = group.engines.iter().position(|other| other.name == engine)?;
    let row = group.rows.iter().find(|row| row.workload == workload)?;
    Some(&row.cells[at])
}

fn verdict(threshold: &Threshold, before: Option<Spread>, after: Option<Spread>, better: Better) -> Verdict {
    before.zip(after).map_or(Verdict::Same, |(before, after)| threshold.verdict(&before, &after, better))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Line;
    use crate::summary::groups;
    use crate::summary::tests::{beside, failure, line};

    /// What is compared, and what is apart.
    fn between(before: &[Line], after: &[Line]) -> (Vec<String>, Vec<(String, usize)>) {
        let (before, after) = (groups(before), groups(after));
        let changes = Changes::between(&before[0], &after[0]);
        let apart = changes.apart.iter().map(|apart| (apart.line(), apart.broken)).collect();
        (changes.compared.iter().map(|change| change.workload.to_owned()).collect(), apart)
    }

    #[test]
    fn what_only_one_run_has_is_told() {
        let before = [
            line("a", "x", 1.0),
            line("b", "x", 1.0),
            line("b", "y", 1.0),
            failure("c", "x"),
            line("e", "x", 1.0),
        ];
        let after = [line("a", "x", 1.0), line("c", "x", 1.0), line("d", "x", 1.0), failure("e,f", "x")];
        let (compared, apart) = between(&before, &after);
        assert_eq!(compared, ["a"]);
        let apart: Vec<_> = apart.iter().map(|(told, broken)| (&**told, *broken)).collect();
        assert_eq!(
            apart,
            [
                ("only before: b on x; y", 2),
                ("failed after: e on x, round 1: disk full", 1),
                ("failed before: c on x, round 1: disk full", 0),
                ("only after: d on x", 0),
                ("failed after: f on x, round 1: disk full", 0),
            ]
        );
    }

    #[test]
    fn a_round_that_fails_after_is_told_although_others_did_not() {
        let before = [line("a", "x", 1.0), line("a", "x", 1.0)];
        let after = [line("a", "x", 1.0), failure("a", "x")];
        let (compared, apart) = between(&before, &after);
        assert_eq!((compared.len(), apart.len(), apart[0].1), (1, 1, 1));
        let (_, apart) = between(&after, &after);
        assert_eq!(apart[0].1, 0, "it failed before as well");
    }

    #[test]
    fn who_had_less_beside_is_not_compared() {
        let (up, behind) = ([beside("a", "x", 9.0, 50_000.0)], [beside("a", "x", 9.0, 12_400.0)]);
        let (compared, apart) = between(&up, &behind);
        assert!(compared.is_empty());
        let told = "did not keep up: a on x, which did 50.0 k of 50.0 k writes a second beside it before, 12.4 k after";
        assert_eq!(apart, [(told.to_owned(), 1)]);
        assert!(between(&behind, &up).1.iter().all(|(_, broken)| *broken == 0));
        assert_eq!(between(&up, &up), (vec!["a".to_owned()], vec![]));
    }

    #[test]
    fn the_median_change_is_that_of_the_machine() {
        let lines = |by: &[f64]| -> Vec<Line> {
            ["a", "b", "c"].iter().zip(by).map(|(workload, by)| line(workload, "x", 100.0 * by)).collect()
        };
        let (before, after) = (lines(&[1.0, 1.0, 1.0]), lines(&[0.9, 0.8, 2.0]));
        let (before, after) = (groups(&before), groups(&after));
        let (median, count) = Changes::between(&before[0], &after[0]).drift(|_| true).unwrap();
        assert!((median + 0.1).abs() < 1e-9);
        assert_eq!(count, 3);
        assert_eq!(Changes::between(&before[0], &after[0]).drift(|_| false), None);
    }
}
