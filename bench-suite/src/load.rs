//! What is run: the part of a plan that each engine's process is told.

use anyhow::{Result, ensure};
use clap::Args;

use crate::records::Records;
use crate::settings::{Compression, Settings};
use crate::workloads::Workload;

const RECORDS: u64 = 2_000_000;
const RECORDS_QUICK: u64 = 1_000_000;

/// Options of a run that hold for each of its processes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Load {
    /// How many records. 2,000,000 unless it has to be quick.
    #[arg(long)]
    records: Option<u64>,
    /// How many operations a workload does that need not touch every record; seekrandom a tenth of
    /// it. Half the records by default.
    #[arg(long)]
    ops: Option<u64>,
    /// Which workloads, in this order. One that reads does so from what the last one before it left.
    #[arg(long, value_delimiter = ',', default_values_t = Workload::USUAL)]
    pub(crate) workloads: Vec<Workload>,
    #[arg(long, default_value_t = 16)]
    key_bytes: usize,
    #[arg(long, default_value_t = 100)]
    value_bytes: usize,
    /// The share of each value that repeats, from 0 to 1.
    #[arg(long, default_value_t = 0.5)]
    compressible: f64,
    /// How many threads call the engine.
    #[arg(long, default_value_t = 1)]
    threads: u64,
    #[arg(long, default_value_t = 512)]
    cache_mib: usize,
    #[arg(long, default_value_t = 64)]
    memtable_mib: usize,
    #[arg(long, value_enum, default_value_t = Compression::Lz4)]
    compression: Compression,
    /// Sets keys, values and their order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Load {
    /// Fills in what was not chosen, so that every process is told the same.
    pub(crate) fn resolve(&mut self, quick: bool) -> Result<()> {
        let records = *self.records.get_or_insert(if quick { RECORDS_QUICK } else { RECORDS });
        self.ops.get_or_insert(records.div_ceil(2));
        ensure!((1..=1024).contains(&self.threads), "there must be 1 to 1024 threads");
        ensure!(!self.workloads.is_empty(), "there must be a workload");
        self.records().map(drop)
    }

    pub(crate) fn records(&self) -> Result<Records> {
        let count = self.records.unwrap_or(RECORDS);
        Records::new(count, self.key_bytes, self.value_bytes, self.compressible, self.seed)
    }

    pub(crate) fn ops(&self) -> u64 {
        self.ops.unwrap_or(RECORDS / 2)
    }

    pub(crate) fn threads(&self) -> u64 {
        self.threads
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            cache_bytes: self.cache_mib << 20,
            memtable_bytes: self.memtable_mib << 20,
            compression: self.compression,
            ..Settings::default()
        }
    }

    /// The options that say the same to another process.
    pub(crate) fn to_args(&self) -> Vec<String> {
        let workloads: Vec<_> = self.workloads.iter().map(Workload::to_string).collect();
        [
            ("records", self.records.unwrap_or(RECORDS).to_string()),
            ("ops", self.ops().to_string()),
            ("workloads", workloads.join(",")),
            ("key-bytes", self.key_bytes.to_string()),
            ("value-bytes", self.value_bytes.to_string()),
            ("compressible", self.compressible.to_string()),
            ("threads", self.threads.to_string()),
            ("cache-mib", self.cache_mib.to_string()),
            ("memtable-mib", self.memtable_mib.to_string()),
            ("compression", self.compression.to_string()),
            ("seed", self.seed.to_string()),
        ]
        .map(|(name, value)| format!("--{name}={value}"))
        .to_vec()
    }
}
