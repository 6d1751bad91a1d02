//! The engine against a plain map, from seeds.

use lsmkit::testkit::{Mishaps, model};
use lsmkit::{Fault, KeyspaceOptions, Parts, Site, Standard, parts};

struct TieredBTrees;

impl Parts for TieredBTrees {
    type Log = parts::SegmentedLog;
    type Memtable = parts::BTree;
    type Tables = parts::BlockTables;
    type Picker = parts::Tiered;

    fn log(&self, site: &Site) -> Result<parts::SegmentedLog, Fault> {
        site.log()
    }
    fn tables(&self, site: &Site, keyspace: &KeyspaceOptions) -> parts::BlockTables {
        site.tables(keyspace)
    }
    fn picker(&self, _: &Site, _: &KeyspaceOptions) -> parts::Tiered {
        parts::Tiered::default()
    }
}

/// Seeds from `LSMKIT_SEEDS` (`100..200`), for long runs; the given ones otherwise.
fn seeds(default: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let Ok(given) = std::env::var("LSMKIT_SEEDS") else { return default };
    let (from, to) = given.split_once("..").expect("LSMKIT_SEEDS is a range such as 100..200");
    let number = |text: &str| text.parse().expect("LSMKIT_SEEDS is a range of numbers");
    number(from)..number(to)
}

#[test]
fn standard_parts_survive_power_failures() {
    for seed in seeds(0..60) {
        model(|| Standard, Mishaps::PowerFailures, seed, 1500);
    }
}

#[test]
fn other_parts_survive_power_failures() {
    for seed in seeds(0..30) {
        model(|| TieredBTrees, Mishaps::PowerFailures, seed, 1500);
    }
}

#[test]
fn engines_of_different_parts_have_equal_histories() {
    for seed in seeds(1000..1020) {
        let standard = model(|| Standard, Mishaps::Kills, seed, 1500);
        let other = model(|| TieredBTrees, Mishaps::Kills, seed, 1500);
        assert_eq!(standard, other, "seed {seed}");
    }
}
