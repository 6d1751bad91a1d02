use super::*;
use crate::figures::{Figures, Latency};
use crate::summary::tests::{cut, failure, figures, line, run};

fn report(before: &[Line], after: &[Line]) -> Result<(String, Counts)> {
    let compare = Compare {
        before: "".into(),
        after: "".into(),
        percent: 3.0,
        percent_single: 15.0,
        fail_if_slower: false,
    };
    compare.report(before, after)
}

fn rounds(ops_per_second: [f64; 3], p99: u64) -> Vec<Line> {
    let round = |ops: f64| {
        let latency = Some(Latency { count: 1_000, p99, ..Latency::default() });
        Line::Figures(Box::new(Figures { latency, ..figures("readrandom", "lsmkit", ops) }))
    };
    ops_per_second.map(round).into()
}

#[test]
fn a_longer_tail_is_counted_apart_from_what_got_slower() {
    let before = rounds([100.0, 101.0, 102.0], 1_000);
    let (told, counts) = report(&before, &rounds([100.0, 101.0, 102.0], 2_000)).unwrap();
    assert_eq!(counts, Counts { same: 1, longer_tail: 1, ..Counts::default() });
    assert!(counts.check().is_ok());
    assert!(told.contains("1 with a longer tail") && told.contains("LONGER TAIL"));
    let (told, counts) = report(&before, &rounds([50.0, 51.0, 52.0], 2_000)).unwrap();
    assert_eq!(counts, Counts { slower: 1, longer_tail: 1, ..Counts::default() });
    assert!(told.contains("SLOWER, LONGER TAIL"));
    assert!(counts.check().is_err());
    let (_, counts) = report(&before, &rounds([200.0, 201.0, 202.0], 500)).unwrap();
    assert_eq!(counts, Counts { faster: 1, shorter_tail: 1, ..Counts::default() });
}

#[test]
fn a_tail_of_few_calls_is_none() {
    let few = |p99| {
        let mut lines = rounds([100.0, 101.0, 102.0], p99);
        for line in &mut lines {
            let Line::Figures(figures) = line else { unreachable!() };
            figures.latency.as_mut().unwrap().count = 99;
        }
        lines
    };
    let (_, counts) = report(&few(1_000), &few(9_000)).unwrap();
    assert_eq!(counts, Counts { same: 1, ..Counts::default() });
}

#[test]
fn what_is_missing_or_failed_after_counts_as_broken() {
    let before = [line("a", "lsmkit", 1.0), line("b", "lsmkit", 1.0), line("c", "lsmkit", 1.0)];
    let (told, counts) = report(&before, &[line("a", "lsmkit", 1.0), failure("c", "lsmkit")]).unwrap();
    assert_eq!(counts.broken, 2);
    assert!(counts.check().unwrap_err().to_string().contains("2 failed, are missing"));
    assert!(told.contains("\nonly before: b on lsmkit\n"));
    assert!(told.contains("\nfailed after: c on lsmkit, round 1: disk full\n"));
    let (_, counts) = report(&before[..1], &before).unwrap();
    assert!(counts.check().is_ok());
}

#[test]
fn nothing_in_common_is_an_error() {
    let error = report(&[line("a", "lsmkit", 1.0)], &[line("b", "lsmkit", 1.0)]).unwrap_err().to_string();
    assert!(error.contains("nothing in common") && error.contains("only after: b on lsmkit"));
    assert!(report(&[], &[line("b", "lsmkit", 1.0)]).is_err());
}

#[test]
fn what_moves_all_alike_is_told() {
    let lines =
        |by: f64| [line("a", "lsmkit", 100.0 * by), line("a", "fjall", 10.0), line("b", "fjall", 5.0 * by)];
    let (told, _) = report(&lines(1.0), &lines(0.9)).unwrap();
    assert!(told.contains("all moved by -10.0% (median of 3); the peers -5.0% (median of 2)"), "{told}");
}

#[test]
fn of_several_runs_in_a_file_the_last_is_compared() {
    let before = [run("1"), line("a", "lsmkit", 1.0), run("2"), line("a", "lsmkit", 100.0)];
    let (told, counts) = report(&before, &[run("3"), cut("a", "lsmkit", 200.0)]).unwrap();
    assert_eq!(counts.faster, 1);
    assert!(told.contains("before: 0.1.0, 2, 2 cores (run 2 of its file)\n"), "{told}");
    assert!(told.contains("+100.0%") && told.contains("200*") && told.contains("\n* cut: "));
}

#[test]
fn another_build_is_told() {
    let built = |build: &str| {
        let Line::Run(run) = run("1") else { unreachable!() };
        [Line::Run(Run { build: build.into(), ..run }), line("a", "lsmkit", 1.0)]
    };
    let (told, _) = report(&built("release"), &built("dev")).unwrap();
    assert!(told.contains("not the same: build was release, is dev\n"));
}
