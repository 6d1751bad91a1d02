use super::*;

/// The head of a run.
pub(crate) fn run(date: &str) -> Line {
    Line::Run(Run {
        date: date.into(),
        machine: "2 cores".into(),
        version: "0.1.0".into(),
        build: String::new(),
        command: String::new(),
        options: Default::default(),
        engines: Vec::new(),
        workloads: Vec::new(),
        rounds: 3,
    })
}

/// A round of a workload on an engine.
pub(crate) fn figures(workload: &str, engine: &str, ops_per_second: f64) -> Figures {
    let is_peer = !engine.starts_with("lsmkit");
    let (workload, engine) = (workload.to_owned(), engine.to_owned());
    Figures { workload, engine, is_peer, ops_per_second, ..Figures::default() }
}

pub(crate) fn line(workload: &str, engine: &str, ops_per_second: f64) -> Line {
    Line::Figures(Box::new(figures(workload, engine, ops_per_second)))
}

/// A round beside which so many of 50,000 writes a second were done.
pub(crate) fn beside(workload: &str, engine: &str, ops_per_second: f64, writes: f64) -> Line {
    let beside = Beside {
        what: "writes".into(),
        ops_per_second: writes,
        asked_per_second: Some(50_000.0),
        latency: None,
    };
    Line::Figures(Box::new(Figures { beside: Some(beside), ..figures(workload, engine, ops_per_second) }))
}

/// A round that was cut short.
pub(crate) fn cut(workload: &str, engine: &str, ops_per_second: f64) -> Line {
    Line::Figures(Box::new(Figures { is_cut: true, ..figures(workload, engine, ops_per_second) }))
}

pub(crate) fn failure(workload: &str, engine: &str) -> Line {
    let (workload, engine) = (workload.to_owned(), engine.to_owned());
    Line::Failure(Failure { workload, engine, round: 1, error: "disk full".into() })
}

#[test]
fn lines_are_grouped_by_workload_and_engine_with_ours_first() {
    let mut lines = vec![line("a", "fjall", 5.0), line("a", "lsmkit", 9.0)];
    lines.extend([3.0, 1.0, 2.0].map(|ops| line("b@2", "fjall", ops)));
    lines.push(failure("b@2,c", "lsmkit"));
    let groups = groups(&lines);
    assert_eq!(groups.len(), 1);
    let group = &groups[0];
    assert_eq!(group.engines.iter().map(|engine| engine.name).collect::<Vec<_>>(), ["lsmkit", "fjall"]);
    assert_eq!(group.rows.iter().map(|row| row.workload).collect::<Vec<_>>(), ["a", "b@2", "c"]);
    assert_eq!(group.rows[1].cells[0].failures.len(), 1);
    let cell = &group.rows[1].cells[1];
    let spread = cell.throughput().unwrap();
    assert_eq!((spread.least, spread.median, spread.most), (1.0, 2.0, 3.0));
    assert_eq!(cell.typical().map(|figures| figures.ops_per_second), Some(2.0));
    assert_eq!(group.rows[2].cells[0].failures.len(), 1);
    assert!(group.rows[2].is_known());
}

#[test]
fn runs_in_one_file_are_not_mixed_and_an_engine_keeps_its_place() {
    let lines = vec![
        run("1"),
        line("a", "redb", 1.0),
        line("a", "fjall", 1.0),
        run("2"),
        line("a", "fjall", 2.0),
        line("a", "lsmkit", 2.0),
    ];
    let groups = groups(&lines);
    assert_eq!(groups.len(), 2);
    assert_eq!(groups[1].rows[0].cells[1].throughput().unwrap().median, 2.0);
    assert_eq!(groups[1].heading(), "2, 0.1.0");
    let places =
        |group: &Group<'_>| group.engines.iter().map(|e| (e.name.to_owned(), e.place)).collect::<Vec<_>>();
    assert_eq!(places(&groups[0]), [("redb".into(), 0), ("fjall".into(), 1)]);
    assert_eq!(places(&groups[1]), [("lsmkit".into(), 2), ("fjall".into(), 1)]);
}

#[test]
fn a_figure_that_a_round_lacks_is_that_of_the_others() {
    let mut known = figures("a", "lsmkit", 1.0);
    known.cpu_seconds = Some(4.0);
    let lines = [Line::Figures(Box::new(known)), line("a", "lsmkit", 2.0)];
    let groups = groups(&lines);
    let cell = &groups[0].rows[0].cells[0];
    let spread = cell.spread(|figures| figures.cpu_seconds).unwrap();
    assert_eq!((spread.median, spread.rounds), (4.0, 1));
    assert_eq!(cell.spread(|figures| figures.settle_seconds), None);
}

#[test]
fn what_has_less_beside_it_is_not_comparable() {
    let lines = [
        beside("a", "lsmkit", 5.0, 50_000.0),
        beside("a", "fjall", 5.0, 48_000.0),
        beside("a", "lmdb", 5.0, 12_400.0),
        // Two rounds of three kept up.
        beside("a", "redb", 5.0, 50_000.0),
        beside("a", "redb", 5.0, 10_000.0),
        beside("a", "redb", 5.0, 50_000.0),
    ];
    let groups = groups(&lines);
    let row = &groups[0].rows[0];
    assert_eq!([1, 2, 3].map(|other| row.is_comparable(0, other)), [true, false, true]);
    assert!(!row.is_comparable(2, 0));
    let company = row.cells[2].company().unwrap();
    assert_eq!((company.what, company.per_second, company.kept_up), ("writes", 12_400.0, false));
}
