//! Damaged stores: said plainly, with file and offset, and never taken for the data.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::path::{Path, PathBuf};

use common::{lsmkit, store};

/// The largest file that ends so.
fn largest(dir: &Path, end: &str) -> PathBuf {
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.to_str().unwrap().ends_with(end))
        .max_by_key(|path| std::fs::metadata(path).unwrap().len())
        .unwrap()
}

fn flip(path: &Path, offset: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[offset] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

fn filled(dir: &Path) {
    let many: Vec<_> =
        (0..5000).map(|i| (format!("{i:06}").into_bytes(), i.to_string().into_bytes())).collect();
    store(dir, &many);
}

#[test]
fn a_damaged_table_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    filled(dir.path());
    lsmkit(["compact", path]).ok();
    assert!(lsmkit(["verify", path]).ok().contains("with 5,000 entries"));

    let table = largest(dir.path(), ".sst");
    let middle = std::fs::metadata(&table).unwrap().len() as usize / 2;
    flip(&table, middle);
    let said = lsmkit(["verify", path]).fails(5);
    assert!(said.contains(table.to_str().unwrap()) && said.contains("corrupt at byte "), "{said}");
    assert!(said.contains("next: copy the whole directory"), "{said}");

    let run = lsmkit(["verify", path, "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&run.out).unwrap();
    assert_eq!((run.code, &report["sound"]), (5, &false.into()));
    assert_eq!(report["file"], table.to_str().unwrap());
    assert!((report["offset"].as_u64().unwrap() as usize) <= middle);

    // What is shown before the damage is right; then comes the error, and nothing after it.
    let scan = lsmkit(["scan", path]);
    assert_eq!(scan.code, 5);
    let shown = String::from_utf8(scan.out).unwrap();
    assert!(shown.lines().enumerate().all(|(i, line)| line == format!("{i:06}\t{i}")));
    assert!((1..5000).contains(&shown.lines().count()));
    assert_eq!(lsmkit(["get", path, "000000"]).ok(), "0\n");
}

#[test]
fn a_damaged_log_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    filled(dir.path());
    let log = largest(dir.path(), ".log");
    flip(&log, 5000);
    for command in ["verify", "scan", "stats"] {
        let said = lsmkit([command, path]).fails(5);
        assert!(said.contains(log.to_str().unwrap()) && said.contains("corrupt at byte "), "{said}");
    }
}

#[test]
fn a_damaged_store_is_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    filled(dir.path());
    lsmkit(["compact", path]).ok();
    assert!(lsmkit(["repair", path]).ok().contains("nothing is damaged"));

    let table = largest(dir.path(), ".sst");
    flip(&table, std::fs::metadata(&table).unwrap().len() as usize / 2);
    let files = || std::fs::read_dir(dir.path()).unwrap().count();
    let before = files();
    let run = lsmkit(["repair", path, "--dry-run"]);
    assert_eq!((run.code, files()), (5, before));
    let said = String::from_utf8(run.out).unwrap();
    assert!(
        said.contains("1 damaged") && said.contains("lost: keys from 0") && said.contains("corrupt at byte"),
        "{said}"
    );

    let report: serde_json::Value = serde_json::from_str(&lsmkit(["repair", path, "--json"]).ok()).unwrap();
    let damaged = &report["tables"][0];
    assert_eq!((&report["sound"], &damaged["keyspace"]), (&false.into(), &"default".into()));
    let lost = damaged["entries_lost"].as_u64().unwrap();
    assert!((1..1000).contains(&lost));
    assert_eq!(lsmkit(["scan", path]).ok().lines().count() as u64, 5000 - lost);
    assert!(Path::new(report["set_aside"][0].as_str().unwrap()).exists());
    lsmkit(["verify", path]).ok();

    // The marker goes, and with it the way to the manifest.
    let marker = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let marker = marker.filter(|path| path.to_str().unwrap().contains("CURRENT-")).last().unwrap();
    std::fs::remove_file(marker).unwrap();
    assert!(lsmkit(["get", path, "000000"]).fails(3).contains("lsmkit repair"), "the error says what helps");
    assert!(lsmkit(["repair", path]).ok().contains("no CURRENT- file"));
    assert_eq!(lsmkit(["get", path, "000000"]).ok(), "0\n");
}
