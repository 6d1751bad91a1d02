//! The page as a whole.

use crate::figures::{Failure, Figures, Latency, Line, Run, Second};
use crate::inside::{Inside, Stalls};
use crate::summary::tests::{beside, cut};

use super::page;

const HOSTILE: &str = "<script src=\"https://evil.example/x.js\">&'";

fn run(engines: &[&str]) -> Line {
    Line::Run(Run {
        date: "2026-01-01T00:00:00Z".into(),
        machine: "2 cores".into(),
        version: "0.1.0".into(),
        build: "release, target-cpu=native".into(),
        command: "lsmkit-bench-suite run".into(),
        options: [("durability".to_owned(), "buffered".to_owned())].into(),
        engines: engines.iter().map(|engine| (*engine).into()).collect(),
        workloads: vec!["fillrandom".into(), "readrandom@2".into()],
        rounds: 2,
    })
}

fn figures(engine: &str, workload: &str, round: u32, ops_per_second: f64) -> Line {
    let curve = (0..40).map(|n| (1.0 - 0.7f64.powi(n), 1_000 + 100 * n as u64)).collect();
    Line::Figures(Box::new(Figures {
        engine: engine.into(),
        is_peer: engine != "lsmkit",
        round,
        workload: workload.into(),
        threads: 1,
        ops: 1_000_000,
        ops_per_second,
        latency: Some(Latency { p50: 1_000, p99: 2_000, max: 9_000, curve, ..Latency::default() }),
        series: vec![
            Second { ops: 100, longest_ns: 9_000, stalled_seconds: Some(0.5), memory_bytes: None };
            30
        ],
        ..Figures::default()
    }))
}

fn failure(engine: &str, error: &str) -> Line {
    Line::Failure(Failure {
        engine: engine.into(),
        round: 1,
        workload: "fillrandom".into(),
        error: error.into(),
    })
}

/// What every page must be, whatever it holds.
fn check(page: &str) {
    assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"));
    assert!(page.contains("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"));
    assert!(page.ends_with("</html>"));
    assert!(!page.contains("<script"), "there is a script");
    for loads in ["src=", "url(", "@import", "href=\"http", "href=\"//", "NaN", "inf%"] {
        let outside: String = page.replace("src=&quot;", "");
        assert!(!outside.contains(loads), "the page has {loads}");
    }
    // What is linked to is there.
    for link in page.split("href=\"#").skip(1) {
        let id = &link[..link.find('"').unwrap()];
        assert!(page.contains(&format!("id=\"{id}\"")), "there is no {id}");
    }
    let mut last = 0;
    for heading in page.match_indices("<h").filter_map(|(at, _)| page[at + 2..].chars().next()?.to_digit(10))
    {
        assert!(heading <= last + 1, "h{heading} follows h{last}");
        last = heading;
    }
}

#[test]
fn a_page_without_lines_says_so() {
    let page = page(&[]);
    check(&page);
    assert!(page.contains("There are no figures"));
}

#[test]
fn a_run_shows_figures_and_ratios() {
    let mut lines = vec![run(&["fjall", "lsmkit"])];
    for round in 1..=3 {
        lines.push(figures("fjall", "fillrandom", round, 100_000.0 + f64::from(round)));
        lines.push(figures("lsmkit", "fillrandom", round, 450_000.0 + f64::from(round)));
        lines.push(figures("fjall", "readrandom@2", round, 200_000.0 * f64::from(round)));
        lines.push(figures("lsmkit", "readrandom@2", round, 150_000.0 * f64::from(round)));
    }
    let page = page(&lines);
    check(&page);
    for shown in ["450\u{a0}k", "4.5×", "id=\"w-readrandom-2\"", "survives the end of the process", "ahead3"]
    {
        assert!(page.contains(shown), "the page lacks {shown}");
    }
    // The rounds of readrandom@2 mix; those of fillrandom are three and don't.
    assert!(page.contains("≈\u{a0}0.75×"));
    assert!(!page.contains("≈\u{a0}4.5×") && !page.contains("Fewer than 3 rounds"));
    assert!(page.contains("release, target-cpu=native"));
}

#[test]
fn of_fewer_than_three_rounds_no_ratio_is_sure() {
    let rounds = |count| {
        let rounds = (1..=count).flat_map(|round| {
            [figures("fjall", "fillrandom", round, 100e3), figures("lsmkit", "fillrandom", round, 450e3)]
        });
        page(&rounds.collect::<Vec<_>>())
    };
    for few in [1, 2] {
        let page = rounds(few);
        check(&page);
        assert!(page.contains("≈\u{a0}4.5×") && page.contains("ahead3"));
        assert_eq!(page.matches("Fewer than 3 rounds").count(), 1);
    }
    assert!(!rounds(3).contains("≈\u{a0}4.5×"));
}

#[test]
fn what_was_cut_short_is_marked_wherever_it_stands() {
    let page = page(&[cut("fillsync", "redb", 100.0), figures("lsmkit", "fillsync", 1, 200.0)]);
    check(&page);
    // In the overview, at the bar, in the card's table; then two sentences.
    assert_eq!(page.matches("<span class=\"cut\"").count(), 3);
    assert!(page.contains("* Cut: its time") && page.contains("* <b>redb</b>: cut"));
}

#[test]
fn who_had_less_beside_is_not_compared() {
    let mut lines = Vec::new();
    for _ in 0..3 {
        lines.push(beside("readwhilewriting", "lsmkit", 300.0, 50_000.0));
        lines.push(beside("readwhilewriting", "lmdb", 900.0, 12_400.0));
        lines.push(beside("readwhilewriting", "fjall", 100.0, 50_000.0));
    }
    let page = page(&lines);
    check(&page);
    assert!(page.contains("did not keep up: 12.4\u{a0}k of 50.0\u{a0}k writes/s"));
    assert!(page.contains("the best peer, fjall"));
    assert!(page.contains("3.0×") && !page.contains("0.33×"));
}

#[test]
fn few_calls_have_no_far_percentile() {
    let timed = |count| {
        let Line::Figures(mut line) = figures("lsmkit", "fillrandom", 1, 5.0) else { unreachable!() };
        line.latency = Some(Latency { count, p99: 77_000, p99_9: 88_000, max: 99_000, ..Latency::default() });
        page(&[Line::Figures(line)])
    };
    let shows = |page: &str| ["77.0\u{a0}µs", "88.0\u{a0}µs", "99.0\u{a0}µs"].map(|time| page.contains(time));
    assert_eq!(shows(&timed(99)), [false, false, true]);
    assert_eq!(shows(&timed(100)), [true, false, true]);
    assert_eq!(shows(&timed(1_000)), [true, true, true]);
    assert_eq!(shows(&timed(0)), [true, true, true]);
}

#[test]
fn stalls_are_told_by_cause_and_the_longest_where_it_is_known() {
    let stalled = |longest_seconds| {
        let Line::Figures(mut line) = figures("lsmkit", "fillrandom", 1, 5.0) else { unreachable!() };
        let stalls = Stalls { count: 7, seconds: 3.0, longest_seconds };
        line.inside = Inside { stalls: [("l0-files".to_owned(), stalls)].into(), ..Inside::default() };
        let page = page(&[Line::Figures(line)]);
        check(&page);
        let at = page.find("l0-files").expect("because it is told");
        page[at..at + 90].to_owned()
    };
    assert!(stalled(Some(0.5)).contains("<td>500\u{a0}ms</td>"));
    assert!(stalled(None).contains("<td>–</td>"));
}

#[test]
fn names_and_errors_are_text() {
    let lines = [run(&[HOSTILE]), figures(HOSTILE, HOSTILE, 1, 5.0), failure(HOSTILE, HOSTILE)];
    check(&page(&lines));
}

#[test]
fn a_page_of_nothing_but_a_failure_shows_its_error() {
    for lines in [vec![failure("fjall", "disk full")], vec![run(&["lsmkit"]), failure("lsmkit", "disk full")]]
    {
        let page = page(&lines);
        check(&page);
        assert!(page.contains("disk full"));
    }
}

#[test]
fn figures_that_say_nothing_still_make_a_page() {
    for ops_per_second in [0.0, f64::NAN, f64::INFINITY] {
        check(&page(&[
            figures("lsmkit", "fillrandom", 1, ops_per_second),
            figures("fjall", "fillrandom", 1, 0.0),
        ]));
    }
    check(&page(&[Line::Figures(Box::default())]));
}

#[test]
fn runs_in_one_file_have_links_of_their_own() {
    let one = || [run(&["lsmkit"]), figures("lsmkit", "fillrandom", 1, 5.0)];
    let page = page(&one().into_iter().chain(one()).collect::<Vec<_>>());
    check(&page);
    for id in ["id=\"w-fillrandom\"", "id=\"w2-fillrandom\"", "id=\"overview\"", "id=\"overview-2\""] {
        assert_eq!(page.matches(id).count(), 1);
    }
}
