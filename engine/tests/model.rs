//! The engine against a plain map, from seeds.

use lsmkit::Standard;
use lsmkit::testkit::{Mishaps, model};

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
