//! What is run: the options that each engine's process is told.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;

use crate::records::Records;
use crate::settings::{Compression, Durability, Settings};
use crate::workloads::{Shape, Task, Workload};

const RECORDS: u64 = 2_000_000;
const RECORDS_QUICK: u64 = 100_000;
const SECONDS: f64 = 5.0;
const SECONDS_QUICK: f64 = 0.3;

/// Options of a run that hold for each of its processes.
#[derive(Args, Clone, Debug)]
pub struct Load {
    /// How many records [default: 2,000,000; with --quick, 100,000]
    #[arg(long)]
    records: Option<u64>,
    /// Which workloads, in this order, or `grid` for all. `NAME@4` runs one with four threads. One that
    /// reads does so from what the last one before it left [default: the usual few; with --quick, grid]
    #[arg(long, value_delimiter = ',', value_name = "NAME[@THREADS],…", value_parser = tasks)]
    workloads: Vec<Tasks>,
    /// How long each workload goes on that could go on for ever [default: 5; with --quick, 0.3]
    #[arg(long)]
    seconds: Option<f64>,
    /// How long `sustained` goes on
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// After how many seconds a workload is cut short that touches every record once; what it had left
    /// is then done unmeasured
    #[arg(long, default_value_t = 60.0)]
    seconds_max: f64,
    /// How many operations a workload does at most
    #[arg(long)]
    ops: Option<u64>,
    /// How many threads call the engine in workloads that don't say
    #[arg(long, default_value_t = 1)]
    threads: u64,
    /// Begins so many operations a second, whether or not earlier ones have ended, and charges each the
    /// time since it should have begun [default: each thread begins one when its last has ended]
    #[arg(long)]
    rate: Option<f64>,
    /// Writes a second of the writer of `readwhilewriting`
    #[arg(long, default_value_t = 50_000.0)]
    rate_beside: f64,
    #[arg(long, default_value_t = 16)]
    key_bytes: usize,
    #[arg(long, default_value_t = 100)]
    value_bytes: usize,
    /// The share of each value that repeats, from 0 to 1
    #[arg(long, default_value_t = 0.5)]
    compressible: f64,
    #[arg(long, default_value_t = 512)]
    cache_mib: usize,
    #[arg(long, default_value_t = 64)]
    memtable_mib: usize,
    /// A data block before compression
    #[arg(long, default_value_t = 4)]
    block_kib: usize,
    /// Bits of a Bloom filter for each key
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=40))]
    filter_bits: u8,
    #[arg(long, value_enum, default_value_t = Compression::Lz4)]
    compression: Compression,
    /// What a write survives once it has returned; of `fillsync`, always `synced`
    #[arg(long, value_enum, default_value_t = Durability::Buffered)]
    durability: Durability,
    /// Sets keys, values and their order
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// One name that was given: a workload, or all of the grid.
type Tasks = Vec<Task>;

fn tasks(text: &str) -> Result<Tasks, String> {
    match text {
        "grid" => Workload::GRID.split(',').map(str::parse).collect(),
        "usual" => Workload::USUAL.split(',').map(str::parse).collect(),
        _ => Ok(vec![text.parse()?]),
    }
}

impl Load {
    /// The usual load, but for these.
    pub(crate) fn of(records: u64, cache_mib: usize, memtable_mib: usize, seed: u64) -> Load {
        /// Where the defaults of the options stand as numbers.
        #[derive(clap::Parser)]
        struct Defaults {
            #[command(flatten)]
            load: Load,
        }
        let Defaults { load } = clap::Parser::parse_from(["load"]);
        Load { records: Some(records), cache_mib, memtable_mib, seed, ..load }
    }

    /// Fills in what was not chosen, so that every process is told the same.
    pub(crate) fn resolve(&mut self, is_quick: bool) -> Result<()> {
        self.records.get_or_insert(if is_quick { RECORDS_QUICK } else { RECORDS });
        self.seconds.get_or_insert(if is_quick { SECONDS_QUICK } else { SECONDS });
        if self.workloads.is_empty() {
            let named = tasks(if is_quick { "grid" } else { "usual" });
            self.workloads = vec![named.expect("because the names are those of workloads")];
        }
        ensure!((1..=1024).contains(&self.threads), "there must be 1 to 1024 threads");
        ensure!((1..=1024).contains(&self.block_kib), "a block has 1 to 1024 KiB");
        for seconds in [self.seconds(), self.seconds_max, self.minutes] {
            ensure!(seconds > 0.0 && seconds < 1e6, "a time to run must be more than nothing, and end");
        }
        for rate in self.rate.iter().chain([&self.rate_beside]) {
            ensure!((0.001..=1e9).contains(rate), "a rate is from 0.001 to 1,000,000,000 a second");
        }
        self.records().map(drop)
    }

    pub(crate) fn tasks(&self) -> Vec<Task> {
        self.workloads.iter().flatten().copied().collect()
    }

    /// The same with other workloads.
    pub(crate) fn with_tasks(&self, tasks: &[Task]) -> Load {
        Load { workloads: vec![tasks.to_vec()], ..self.clone() }
    }

    /// The same with another number of records.
    pub(crate) fn with_records(&self, records: u64) -> Load {
        Load { records: Some(records), ..self.clone() }
    }

    pub(crate) fn records(&self) -> Result<Records> {
        let count = self.records.unwrap_or(RECORDS);
        Records::new(count, self.key_bytes, self.value_bytes, self.compressible, self.seed)
    }

    pub(crate) fn shape(&self) -> Shape {
        let records = self.records.unwrap_or(RECORDS);
        Shape { records, value_bytes: self.value_bytes, durability: self.durability }
    }

    pub(crate) fn time(&self, workload: Workload) -> Duration {
        let seconds = if workload.is_long() { self.minutes * 60.0 } else { self.seconds() };
        Duration::from_secs_f64(seconds)
    }

    pub(crate) fn time_max(&self) -> Duration {
        Duration::from_secs_f64(self.seconds_max)
    }

    pub(crate) fn ops_max(&self) -> u64 {
        self.ops.unwrap_or(u64::MAX)
    }

    pub(crate) fn threads(&self) -> u64 {
        self.threads
    }

    pub(crate) fn rate(&self) -> Option<f64> {
        self.rate
    }

    pub(crate) fn rate_beside(&self) -> f64 {
        self.rate_beside
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            cache_bytes: self.cache_mib << 20,
            memtable_bytes: self.memtable_mib << 20,
            block_bytes: self.block_kib << 10,
            filter_bits_per_key: self.filter_bits,
            compression: self.compression,
            durability: self.durability,
            ..Settings::default()
        }
    }

    fn seconds(&self) -> f64 {
        self.seconds.unwrap_or(SECONDS)
    }

    /// The options that say the same to another process, by name.
    pub(crate) fn options(&self) -> BTreeMap<String, String> {
        let tasks: Vec<_> = self.tasks().iter().map(Task::to_string).collect();
        let chosen = [
            ("workloads", Some(tasks.join(",")).filter(|tasks| !tasks.is_empty())),
            ("ops", self.ops.map(|ops| ops.to_string())),
            ("rate", self.rate.map(|rate| rate.to_string())),
        ];
        let always = [
            ("records", self.records.unwrap_or(RECORDS).to_string()),
            ("seconds", self.seconds().to_string()),
            ("minutes", self.minutes.to_string()),
            ("seconds-max", self.seconds_max.to_string()),
            ("threads", self.threads.to_string()),
            ("rate-beside", self.rate_beside.to_string()),
            ("key-bytes", self.key_bytes.to_string()),
            ("value-bytes", self.value_bytes.to_string()),
            ("compressible", self.compressible.to_string()),
            ("cache-mib", self.cache_mib.to_string()),
            ("memtable-mib", self.memtable_mib.to_string()),
            ("block-kib", self.block_kib.to_string()),
            ("filter-bits", self.filter_bits.to_string()),
            ("compression", self.compression.to_string()),
            ("durability", self.durability.to_string()),
            ("seed", self.seed.to_string()),
        ];
        let chosen = chosen.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        always.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(chosen).collect()
    }

    /// The same as arguments.
    pub(crate) fn to_args(&self) -> Vec<String> {
        self.options().iter().map(|(name, value)| format!("--{name}={value}")).collect()
    }
}
