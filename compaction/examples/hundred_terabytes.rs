//! Which strategy for how much data? What four of them cost on a hundred gigabytes and on a hundred terabytes that are
//! overwritten, uniformly and as popularity has it; and how fast writers are that do not rest.
//!
//! ```console
//! $ cargo run --release -p lsmkit-compaction --features simulate --example hundred_terabytes
//! ```
//!
//! With `-- --reports` the whole report of each goes to standard error.

use std::time::Instant;

use lsmkit_compaction::simulate::{Load, Machine, Popularity, Report, Simulation, Workload};
use lsmkit_compaction::{CompactionPicker, Leveled, Tiered};

/// A store of some size, and the settings that suit it.
struct Store {
    name: &'static str,
    data_bytes: u64,
    memtable_bytes: u64,
    table_bytes: u64,
    /// So many that four runs at the last but one are about as large as the data.
    tiers: u32,
    /// How many threads compact where time passes.
    threads: &'static [usize],
}

const STORES: [Store; 2] = [
    Store {
        name: "100 GB",
        data_bytes: 100_000_000_000,
        memtable_bytes: 64 << 20,
        table_bytes: 64 << 20,
        tiers: 7,
        threads: &[2, 8],
    },
    Store {
        name: "100 TB",
        data_bytes: 100_000_000_000_000,
        memtable_bytes: 4 << 30,
        table_bytes: 16 << 30,
        tiers: 9,
        threads: &[8],
    },
];

/// A strategy, and its last level.
struct Strategy {
    name: &'static str,
    picker: Box<dyn CompactionPicker>,
    last: u32,
}

/// What each thread reads and writes in a second.
const THREAD_BYTES_PER_SECOND: f64 = 400e6;

impl Store {
    fn strategies(&self) -> Vec<Strategy> {
        // The base level takes what level 0 gathers before it is merged.
        let leveled = Leveled::default().base_bytes(4 * self.memtable_bytes).table_bytes(self.table_bytes);
        let tiered = Tiered::default().table_bytes(self.table_bytes).levels(self.tiers);
        let leveled = |name, fan_out| Strategy {
            name,
            picker: Box::new(leveled.clone().fan_out(fan_out)),
            last: leveled.levels - 1,
        };
        let tiered = |name, limit| Strategy {
            name,
            picker: Box::new(tiered.clone().space_limit(limit)),
            last: tiered.levels - 1,
        };
        vec![
            leveled("leveled, fan-out 10", 10),
            leveled("leveled, fan-out 4", 4),
            tiered("tiered, space limit 1", 1.0),
            tiered("tiered, space limit 0.25", 0.25),
        ]
    }

    /// Values of a kilobyte, compressed by half, that are overwritten until the tree has found its shape and then `times` more.
    fn simulate(&self, strategy: &Strategy, popularity: Popularity, times: f64, machine: Machine) -> Report {
        let workload = Workload::new(1)
            .record_bytes(24, 1000)
            .compression(0.5)
            .data_bytes(self.data_bytes)
            .load(Load::Standing(strategy.last))
            .popularity(popularity)
            .warm_up(2.0)
            .overwrites(times);
        let machine = machine.memtable_bytes(self.memtable_bytes);
        Simulation::new(workload, machine)
            .standing_table_bytes(self.table_bytes)
            .run(strategy.picker.as_ref())
    }
}

fn main() {
    let begun = Instant::now();
    let is_verbose = std::env::args().any(|argument| argument == "--reports");
    let tell = |report: &Report, begun: Instant| {
        if is_verbose {
            eprintln!("{report}took {:.1} s", begun.elapsed().as_secs_f64());
        }
    };

    println!("| data | overwrites | strategy | written | with log | space | at most | get | scan | jobs |");
    println!("|---|---|---|---:|---:|---:|---:|---:|---:|---:|");
    for store in STORES {
        for (popularity, how) in [(Popularity::Uniform, "uniform"), (Popularity::Zipf(0.99), "Zipf 0.99")] {
            for strategy in store.strategies() {
                let begun = Instant::now();
                let report = store.simulate(&strategy, popularity, 3.0, Machine::instantaneous());
                println!(
                    "| {} | {how} | {} | {:.1} | {:.1} | {:.2} | {:.2} | {:.2} | {:.1} | {} |",
                    store.name,
                    strategy.name,
                    report.run.write_amplification(),
                    report.run.write_amplification_with_log(),
                    report.space_amplification_mean,
                    report.space_amplification_max,
                    report.runs_per_get_mean(),
                    report.runs_per_scan_mean(),
                    report.run.merges.values().sum::<u64>(),
                );
                tell(&report, begun);
            }
        }
    }

    println!(
        "\n| data | threads | strategy | offered | written a second | for each byte | slowed | stopped | debt |"
    );
    println!("|---|---:|---|---:|---:|---:|---:|---:|---:|");
    for store in STORES {
        for (&threads, strategy) in
            store.threads.iter().flat_map(|threads| store.strategies().into_iter().map(move |s| (threads, s)))
        {
            for (offered, what) in [(50e6, "50 MB"), (f64::INFINITY, "all they can")] {
                let begun = Instant::now();
                let machine =
                    Machine::with_threads(threads, THREAD_BYTES_PER_SECOND).offered_bytes_per_second(offered);
                let report = store.simulate(&strategy, Popularity::Uniform, 1.0, machine);
                let run = &report.run;
                println!(
                    "| {} | {threads} | {} | {what} | {:.0} MB | {:.1} | {:.0} % | {:.0} % | {:.0} % |",
                    store.name,
                    strategy.name,
                    run.user_bytes / run.seconds / 1e6,
                    run.write_amplification(),
                    100.0 * run.slowed_seconds / run.seconds,
                    100.0 * run.stopped_seconds / run.seconds,
                    100.0 * report.debt_bytes_max() as f64 / report.at_rest.live_bytes,
                );
                tell(&report, begun);
            }
        }
    }
    eprintln!("{:.1} s", begun.elapsed().as_secs_f64());
}
