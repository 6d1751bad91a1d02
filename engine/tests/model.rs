//! The engine against a plain map, from seeds.

use lsmkit::testkit::{Mishaps, model};
use lsmkit::{Fault, KeyspaceOptions, Parts, Site, Standard};

/// The engine of the example, as it stands there.
#[allow(dead_code, reason = "its main runs as an example")]
#[path = "../examples/compose.rs"]
mod compose;

use compose::TieredBTrees;

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

/// The standard engine, with index and filter of each table in parts, and prefixes of keys in the filters.
struct CutTables;

impl Parts for CutTables {
    type Log = <Standard as Parts>::Log;
    type Memtable = <Standard as Parts>::Memtable;
    type Tables = <Standard as Parts>::Tables;
    type Picker = <Standard as Parts>::Picker;

    fn log(&self, site: &Site) -> Result<Self::Log, Fault> {
        Standard.log(site)
    }

    fn tables(&self, site: &Site, keyspace: &KeyspaceOptions) -> Self::Tables {
        site.tables(&keyspace.clone().pinned_bytes_max(0).filter_prefix_bytes(2).block_bytes(64))
    }

    fn picker(&self, site: &Site, keyspace: &KeyspaceOptions) -> Self::Picker {
        Standard.picker(site, keyspace)
    }
}

#[test]
fn tables_in_parts_survive_power_failures() {
    for seed in seeds(0..30) {
        model(|| CutTables, Mishaps::PowerFailures, seed, 1500);
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
