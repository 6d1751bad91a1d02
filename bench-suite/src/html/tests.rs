//! The page as a whole.

use crate::figures::{Failure, Figures, Latency, Line, Run, Second};

use super::page;

const HOSTILE: &str = "<script src=\"https://evil.example/x.js\">&'";

fn run(engines: &[&str]) -> Line {
    Line::Run(Run {
        date: "2026-01-01T00:00:00Z".into(),
        machine: "2 cores".into(),
        version: "0.1.0".into(),
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
        series: vec![Second { ops: 100, longest_ns: 9_000, stalled_seconds: Some(0.5), rss_bytes: None }; 30],
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
    for round in 1..=2 {
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
    // The rounds of readrandom@2 mix.
    assert!(page.contains("≈ 0.75×"));
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
