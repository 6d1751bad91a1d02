//! A crate depends only on crates of floors below its own.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Each crate with the inner crates it may depend on; `docs/architecture.md` draws the same.
const HOUSE: &[(&str, &[&str])] = &[
    ("lsmkit-base", &[]),
    ("lsmkit-vfs", &[]),
    ("lsmkit-bloom", &[]),
    ("lsmkit-blockcache", &["lsmkit-base"]),
    ("lsmkit-wal", &["lsmkit-base", "lsmkit-vfs"]),
    ("lsmkit-memtable", &["lsmkit-base"]),
    ("lsmkit-sstable", &["lsmkit-base", "lsmkit-blockcache", "lsmkit-bloom", "lsmkit-vfs"]),
    ("lsmkit-manifest", &["lsmkit-base", "lsmkit-vfs", "lsmkit-wal"]),
    ("lsmkit-compaction", &["lsmkit-base"]),
    (
        "lsmkit",
        &[
            "lsmkit-base",
            "lsmkit-blockcache",
            "lsmkit-bloom",
            "lsmkit-compaction",
            "lsmkit-manifest",
            "lsmkit-memtable",
            "lsmkit-sstable",
            "lsmkit-vfs",
            "lsmkit-wal",
        ],
    ),
    ("lsmkit-cli", &["lsmkit"]),
    ("lsmkit-bench-suite", &["lsmkit"]),
    (
        "lsmkit-fuzz",
        &[
            "lsmkit",
            "lsmkit-base",
            "lsmkit-bloom",
            "lsmkit-manifest",
            "lsmkit-sstable",
            "lsmkit-vfs",
            "lsmkit-wal",
        ],
    ),
];

#[test]
fn crates_depend_only_on_floors_below() {
    let found = inner_dependencies();
    let drawn: BTreeMap<_, _> = HOUSE
        .iter()
        .map(|(name, below)| (name.to_string(), below.iter().map(|d| d.to_string()).collect::<BTreeSet<_>>()))
        .collect();
    assert_eq!(found, drawn);
}

/// From `cargo tree`, without what only tests and benches need.
fn inner_dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--all-features", "--edges", "normal,build", "--offline"])
        .args(["--depth", "1", "--no-dedupe", "--prefix", "depth", "--format", " {p}"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("because cargo runs this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut crates: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut parent = String::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some((depth, package)) = line.split_once(' ') else { continue };
        let name = package.split(' ').next().unwrap_or_default().to_owned();
        if depth == "0" {
            parent.clone_from(&name);
            crates.entry(name).or_default();
        } else if name.starts_with("lsmkit") {
            crates.entry(parent.clone()).or_default().insert(name);
        }
    }
    crates
}
