//! A crate depends only on crates of floors below its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

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

/// From the manifests of the workspace, without what only tests and benches need.
fn inner_dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut crates = BTreeMap::new();
    for entry in fs::read_dir(root).expect("because the workspace is there") {
        let manifest = entry.expect("because it can be listed").path().join("Cargo.toml");
        let Ok(manifest) = fs::read_to_string(manifest) else { continue };
        let (mut name, mut section, mut below) = (String::new(), "", BTreeSet::new());
        for line in manifest.lines() {
            let key = line.split(['.', ' ', '=']).next().unwrap_or_default();
            match section {
                _ if line.starts_with('[') => section = line,
                "[package]" if key == "name" => name = line.split('"').nth(1).unwrap_or_default().to_owned(),
                "[dependencies]" | "[build-dependencies]" if key.starts_with("lsmkit") => {
                    below.insert(key.to_owned());
                }
                _ => {}
            }
        }
        crates.insert(name, below);
    }
    crates
}
