//! The binary runs, checks what it reads, and says what it found.

use std::process::Command;

#[test]
fn a_quick_run_of_every_workload() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("figures.jsonl");
    let workloads = "fillseq,fillrandom,fillbatch,overwrite,readrandom,readmissing,readhot,seekrandom,readseq,\
                     readreverse,deleterandom";
    let run = Command::new(env!("CARGO_BIN_EXE_lsmkit-bench-suite"))
        .args(["run", "--quick", "--records=3000", "--rounds=2", "--threads=2"])
        .arg(format!("--workloads={workloads}"))
        .arg("--engines=lsmkit,lsmkit-tiered-btree")
        .arg("--dir")
        .arg(dir.path())
        .arg("--json")
        .arg(&json)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));

    let table = String::from_utf8(run.stdout).unwrap();
    for workload in workloads.split(',') {
        assert_eq!(table.lines().filter(|line| line.starts_with(&format!("{workload} "))).count(), 2);
    }
    let lines = std::fs::read_to_string(&json).unwrap();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1 + 2 * 2 * 11);
    assert!(lines[1..].iter().all(|line| line["ops_per_second"].as_f64().unwrap() > 0.0));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "the stores are removed");
}

#[test]
fn reads_alone_are_given_a_store_to_read() {
    let dir = tempfile::tempdir().unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_lsmkit-bench-suite"))
        .args(["run", "--quick", "--records=500", "--workloads=readreverse,deleterandom,readrandom"])
        .arg("--dir")
        .arg(dir.path())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}
