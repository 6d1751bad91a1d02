//! The binary runs every workload, checks what it reads, and says what it found.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;
use std::process::{Command, Output};

use lsmkit_bench_suite::figures::{Figures, Line};

fn bench(args: &[&str], dir: &Path) -> Output {
    let run = Command::new(env!("CARGO_BIN_EXE_lsmkit-bench-suite"))
        .args(args)
        .arg("--dir")
        .arg(dir.join("stores"))
        .arg("--out")
        .arg(dir.join("out"))
        .output()
        .unwrap();
    let left = std::fs::read_dir(dir.join("stores")).unwrap().count();
    assert_eq!(left, 0, "the stores are removed");
    run
}

fn lines(dir: &Path) -> Vec<Line> {
    let lines = std::fs::read_to_string(dir.join("out/figures.jsonl")).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn figures(lines: &[Line]) -> Vec<&Figures> {
    let figures =
        lines.iter().filter_map(|line| if let Line::Figures(figures) = line { Some(figures) } else { None });
    figures.map(|figures| &**figures).collect()
}

fn assert_success(run: &Output) {
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn the_whole_grid_on_engines_of_swapped_parts() {
    let dir = tempfile::tempdir().unwrap();
    let run = bench(
        &[
            "run",
            "--quick",
            "--records=3000",
            "--seconds=0.02",
            "--rounds=2",
            "--engines=lsmkit,lsmkit-tiered-btree",
        ],
        dir.path(),
    );
    assert_success(&run);

    let lines = lines(dir.path());
    let Line::Run(head) = &lines[0] else { panic!("the first line says what was run") };
    let figures = figures(&lines);
    assert_eq!(figures.len(), 2 * 2 * head.workloads.len());
    let table = String::from_utf8(run.stdout).unwrap();
    for workload in &head.workloads {
        let of: Vec<_> = figures.iter().filter(|figures| figures.workload == *workload).collect();
        let turns: Vec<_> = of.iter().map(|figures| (figures.round, &*figures.engine)).collect();
        let in_turn = [(1, "lsmkit"), (1, "lsmkit-tiered-btree"), (2, "lsmkit"), (2, "lsmkit-tiered-btree")];
        assert_eq!(turns, in_turn);
        assert!(of.iter().all(|figures| figures.ops > 0 && figures.ops_per_second > 0.0), "{workload}");
        let rows = table.lines().filter(|line| line.split_whitespace().next() == Some(workload));
        assert_eq!(rows.count(), 2, "{workload}");
    }
    let page = std::fs::read_to_string(dir.path().join("out/report.html")).unwrap();
    assert!(head.workloads.iter().all(|workload| page.contains(&**workload)));
}

#[test]
fn reads_alone_are_given_a_store_to_read() {
    let dir = tempfile::tempdir().unwrap();
    let workloads = "--workloads=readreverse,deleterandom,readrandom,seekdeleted,read4k";
    let run = bench(&["run", "--quick", "--records=500", "--seconds=0.01", workloads], dir.path());
    assert_success(&run);
    assert_eq!(figures(&lines(dir.path())).len(), 5);
}

#[test]
fn what_was_cut_short_is_marked_and_completed_for_what_comes_next() {
    let dir = tempfile::tempdir().unwrap();
    let workloads = "--workloads=fillrandom,readseq,deleteseq,seekdeleted";
    let run = |limit: &str| {
        assert_success(&bench(
            &["run", "--quick", "--records=20000", "--seconds=0.01", workloads, limit],
            dir.path(),
        ));
        let lines = lines(dir.path());
        figures(&lines).iter().map(|figures| (figures.is_cut, figures.ops)).collect::<Vec<_>>()
    };
    let by_ops = run("--ops=1000");
    assert_eq!((by_ops[0], by_ops[2]), ((true, 1000), (true, 1000)));
    // A scan is one operation.
    assert!(!by_ops[1].0 && by_ops[1].1.is_multiple_of(20_000));
    let by_time = run("--seconds-max=0.001");
    assert!(by_time[0].0 && by_time[0].1 < 20_000);
    let whole = run("--seconds-max=60");
    assert_eq!((whole[0], whole[2]), ((false, 20_000), (false, 18_000)));
}

#[test]
fn a_session_leaves_a_store_that_is_there_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("store")).unwrap();
    let mut session = Command::new(env!("CARGO_BIN_EXE_lsmkit-bench-suite"));
    let session = session.args(["session", "--engine=lsmkit", "--dir"]).arg(dir.path()).output().unwrap();
    assert!(!session.status.success());
    assert!(String::from_utf8_lossy(&session.stderr).contains("exists already"));
}

#[test]
fn sustained_writes_have_a_series_with_readers_beside() {
    let dir = tempfile::tempdir().unwrap();
    let run = bench(
        &["run", "--quick", "--records=2000", "--minutes=0.025", "--workloads=sustained,sustainedzipf"],
        dir.path(),
    );
    assert_success(&run);
    let lines = lines(dir.path());
    for figures in figures(&lines) {
        assert!((1.5..4.0).contains(&figures.seconds), "{}", figures.seconds);
        assert_eq!(figures.series.len(), figures.seconds as usize + 1);
        assert_eq!(figures.series.iter().map(|second| second.ops).sum::<u64>(), figures.ops);
        let beside = figures.beside.as_ref().unwrap();
        assert!(beside.what == "reads" && beside.ops_per_second > 0.0);
    }
}

#[test]
fn an_operation_that_waits_for_a_late_one_is_charged_the_wait() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["run", "--quick", "--records=2000", "--seconds=0.5", "--workloads=readrandom"];
    let at_rate = |rate: &str| {
        let args: Vec<_> = args.iter().copied().chain([rate]).collect();
        assert_success(&bench(&args, dir.path()));
        figures(&lines(dir.path()))[0].clone()
    };
    // Less than it can do: as many as were asked for.
    let slow = at_rate("--rate=1000");
    assert!((400..=502).contains(&slow.ops), "{}", slow.ops);
    // More than it can do: by the end, an operation is late by nearly the whole run.
    let fast = at_rate("--rate=1000000000");
    assert!(fast.latency.unwrap().max > 300_000_000);
}

#[test]
fn the_plan_finds_five_things() {
    let dir = tempfile::tempdir().unwrap();
    let run = bench(&["plan", "--quick", "--records=20000", "--seconds=0.05"], dir.path());
    assert_success(&run);
    let lines = lines(dir.path());
    let Line::Plan(found) = &lines[1] else { panic!("the second line is what the plan found") };

    assert_eq!(found.writes.ops, 20_000);
    assert!(found.reads.hot_key.cache.hits > 0 && found.reads.hot_key.cache.misses == 0);
    assert_eq!(found.reads.range.figures.ops, found.reads.range.scans * found.reads.range.records);
    assert!(found.reads.range.tables >= 1.0 && found.reads.range.memtables == 0.0);
    let missing = &found.reads.missing;
    assert_eq!(missing.filters_asked, missing.filters_said_no + missing.filters_false_positive);
    // All but those that lie between two tables.
    assert!(missing.filters_asked >= missing.figures.ops * 9 / 10);

    let compaction = &found.compaction;
    assert_eq!(compaction.user_bytes, 3 * 20_000 * 116);
    let written: u64 = compaction.levels.iter().map(|level| level.written_bytes).sum();
    assert_eq!(written, compaction.flushes.written_bytes + compaction.compactions.written_bytes);
    assert!(compaction.write_amplification_with_log > compaction.write_amplification);
    let tables: u64 = compaction.levels.iter().map(|level| level.level.size_bytes).sum();
    let disk = &found.disk;
    assert_eq!(tables, disk.data_bytes + disk.filter_bytes + disk.index_bytes + disk.table_rest_bytes);

    let crashes = &found.recovery.crashes;
    assert_eq!(crashes[0].found, 100_000);
    assert!(
        crashes
            .iter()
            .all(|crash| crash.lost == 0 && crash.invented == 0 && crash.found >= crash.acknowledged)
    );
    let text = String::from_utf8(run.stdout).unwrap();
    for part in ["1. Writes", "2. Reads", "3. Compaction", "4. Disk", "5. Crash recovery"] {
        assert!(text.contains(part));
    }
}

#[test]
fn a_slower_run_is_told_and_a_file_that_is_none_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let figures = |ops_per_second: f64| {
        let figures = Figures {
            workload: "readrandom".into(),
            engine: "lsmkit".into(),
            ops_per_second,
            ..Figures::default()
        };
        serde_json::to_string(&Line::Figures(Box::new(figures))).unwrap()
    };
    std::fs::write(dir.path().join("a.jsonl"), figures(100e3)).unwrap();
    std::fs::write(dir.path().join("b.jsonl"), figures(50e3)).unwrap();
    std::fs::write(dir.path().join("c.jsonl"), "{}\n").unwrap();
    let compare = |args: &[&str]| {
        let mut compare = Command::new(env!("CARGO_BIN_EXE_lsmkit-bench-suite"));
        compare.current_dir(dir.path()).arg("compare").args(args).output().unwrap()
    };
    let told = compare(&["a.jsonl", "b.jsonl"]);
    assert!(told.status.success());
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(text.contains("SLOWER") && text.contains("-50.0%"), "{text}");
    assert!(!compare(&["a.jsonl", "b.jsonl", "--fail-if-slower"]).status.success());
    let error = compare(&["a.jsonl", "c.jsonl"]);
    assert!(String::from_utf8_lossy(&error.stderr).contains("c.jsonl, line 1"));
}
