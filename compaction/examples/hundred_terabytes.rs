//! Which strategy for how much data? What four of them cost on a hundred gigabytes and on a hundred terabytes that are
//! overwritten, uniformly and as popularity has it.
//!
//! ```console
//! $ cargo run --release -p lsmkit-compaction --features simulate --example hundred_terabytes
//! ```

use std::time::Instant;

use lsmkit_compaction::simulate::{Machine, Popularity, Report, Simulation, Workload};
use lsmkit_compaction::{CompactionPicker, Leveled, Tiered};

/// A store of some size, and the settings that suit it.
struct Store {
    name: &'static str,
    data_bytes: u64,
    memtable_bytes: u64,
    table_bytes: u64,
    warm_up: f64,
    overwrites: f64,
}

const STORES: [Store; 2] = [
    Store {
        name: "100 GB",
        data_bytes: 100_000_000_000,
        memtable_bytes: 64 << 20,
        table_bytes: 64 << 20,
        warm_up: 1.0,
        overwrites: 3.0,
    },
    Store {
        name: "100 TB",
        data_bytes: 100_000_000_000_000,
        memtable_bytes: 4 << 30,
        table_bytes: 16 << 30,
        warm_up: 0.5,
        overwrites: 2.0,
    },
];

impl Store {
    fn strategies(&self) -> [(&'static str, Box<dyn CompactionPicker>); 4] {
        // The base level takes what level 0 gathers before it is merged.
        let leveled = || Leveled::default().base_bytes(4 * self.memtable_bytes).table_bytes(self.table_bytes);
        let tiered = || Tiered::default().table_bytes(self.table_bytes);
        [
            ("leveled, fan-out 10", Box::new(leveled())),
            ("leveled, fan-out 4", Box::new(leveled().fan_out(4))),
            ("tiered, space limit 1", Box::new(tiered())),
            ("tiered, space limit 0.25", Box::new(tiered().space_limit(0.25))),
        ]
    }

    fn simulate(&self, popularity: Popularity, picker: &dyn CompactionPicker) -> Report {
        // Values of a kilobyte, compressed by half.
        let workload = Workload::new(1)
            .record_bytes(24, 1000)
            .compression(0.5)
            .data_bytes(self.data_bytes)
            .popularity(popularity)
            .warm_up(self.warm_up)
            .overwrites(self.overwrites);
        let machine = Machine::instantaneous().memtable_bytes(self.memtable_bytes);
        Simulation::new(workload, machine).standing_table_bytes(self.table_bytes).run(picker)
    }
}

fn main() {
    println!("| data | overwrites | strategy | written | and log | space | most | get | scan | merges |");
    println!("|---|---|---|---:|---:|---:|---:|---:|---:|---:|");
    let begun = Instant::now();
    let is_verbose = std::env::args().any(|argument| argument == "--reports");
    for store in STORES {
        for (popularity, how) in [(Popularity::Uniform, "uniform"), (Popularity::Zipf(0.99), "Zipf 0.99")] {
            for (name, picker) in store.strategies() {
                let begun = Instant::now();
                let report = store.simulate(popularity, picker.as_ref());
                println!(
                    "| {} | {how} | {name} | {:.1} | {:.1} | {:.2} | {:.2} | {:.2} | {:.1} | {} |",
                    store.name,
                    report.run.write_amplification(),
                    report.run.write_amplification_with_log(),
                    report.space_amplification_mean,
                    report.space_amplification_max,
                    report.runs_per_get_mean(),
                    report.runs_per_scan_mean(),
                    report.run.merges.values().sum::<u64>(),
                );
                if is_verbose {
                    eprintln!("{report}{:.1} s", begun.elapsed().as_secs_f64());
                }
            }
        }
    }
    eprintln!("{:.1} s", begun.elapsed().as_secs_f64());
}
