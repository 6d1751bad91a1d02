//! The tour, on a part of the data set and on another one.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use common::lsmkit;

#[test]
fn the_tour_keeps_its_promises() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tour");
    let path = path.to_str().unwrap();
    let said = lsmkit(["tour", "--records", "5000", "--kills", "2", "--dir", path]).ok();
    assert!(said.contains("5,000 records in "), "{said}");
    assert_eq!(said.matches(" acknowledged, ").count(), 2, "{said}");
    assert!(said.contains("Everything was as promised"), "{said}");

    let store = format!("{path}/places");
    assert_eq!(lsmkit(["scan", &store, "--keys-only"]).ok().lines().count(), 5000);
    assert_eq!(std::fs::read_dir(path).unwrap().count(), 1, "the killed stores are gone");
    let again = lsmkit(["tour", "--records", "5000", "--dir", path]).fails(2);
    assert!(again.contains("is not empty"), "{again}");
}

#[test]
fn the_tour_takes_other_data() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("other.ndjson");
    let lines: String =
        (0..3000).map(|i| format!("{{\"key\":\"{:04}\",\"n\":{i}}}\n", i * 7 % 3000)).collect();
    std::fs::write(&file, &lines).unwrap();
    let tour = |more: &[&str]| {
        let stores = tempfile::tempdir().unwrap();
        let args = ["tour", "--dir", stores.path().to_str().unwrap(), "--data", file.to_str().unwrap()];
        lsmkit(args.iter().chain(more))
    };
    assert!(tour(&["--kills", "1", "--seed", "7"]).ok().contains("--seed 7"));

    std::fs::write(&file, lines + "{\"key\":\"0007\"}\n").unwrap();
    assert!(tour(&[]).fails(4).contains("0007 is there twice"));
    assert!(lsmkit(["tour", "--data", "/nowhere.tsv", "--kills", "0"]).fails(4).contains("/nowhere.tsv"));
}
