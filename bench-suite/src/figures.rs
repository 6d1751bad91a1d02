//! What a run found, as lines of JSON. This module is their schema; every field that an engine or
//! the system can't tell is absent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::inside::Inside;

/// A line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum Line {
    /// What was run, on what; the first line of a file.
    Run(Run),
    /// What one workload on one engine in one round came to.
    Figures(Box<Figures>),
    /// A workload that an engine did not get through.
    Failure(Failure),
    /// What the plan found.
    Plan(Box<crate::plan::Found>),
}

/// What was run, on what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// When it began, UTC, RFC 3339.
    pub date: String,
    /// Cores, processor, system.
    pub machine: String,
    /// The version of lsmkit, and the commit if one is checked out.
    pub version: String,
    /// How all engines were built: the profile, and the processor's features that were taken for granted.
    #[serde(default)]
    pub build: String,
    /// The command line that repeats it, without what names this machine's directories.
    pub command: String,
    /// The options of the load by name, defaults included.
    pub options: BTreeMap<String, String>,
    /// The engines in the order in which they took turns.
    pub engines: Vec<String>,
    /// The workloads in the order in which they ran.
    pub workloads: Vec<String>,
    /// How often each engine ran.
    pub rounds: u32,
}

/// What one workload on one engine in one round came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// The engine's name.
    pub engine: String,
    /// Whether it is somebody else's, and so what ours is measured against.
    pub is_peer: bool,
    /// The round, from 1.
    pub round: u32,
    /// The workload, with its threads where it names them: `readrandom@2`.
    pub workload: String,
    /// How many threads called the engine.
    pub threads: u64,
    /// Operations of all threads. Of scans and batches: records.
    pub ops: u64,
    /// Whether the time was over before every record was touched. Then the store was smaller than
    /// that of an engine which got to the end.
    pub is_cut: bool,
    /// From the first operation's begin to the last one's end.
    pub seconds: f64,
    /// Operations a second.
    pub ops_per_second: f64,
    /// Bytes of keys and values that were put or got, a second.
    pub bytes_per_second: f64,
    /// How long calls took; absent where there was none but the one that was timed as a whole.
    pub latency: Option<Latency>,
    /// Second by second.
    pub series: Vec<Second>,
    /// What went on beside the measured operations, if anything.
    pub beside: Option<Beside>,
    /// From the last operation until nothing was left to flush and compact; of workloads that write.
    pub settle_seconds: Option<f64>,
    /// Seconds that all threads of the process computed, settling included.
    pub cpu_seconds: Option<f64>,
    /// The most that the process had in memory of its own meanwhile.
    pub memory_peak_bytes: Option<u64>,
    /// What the process had in memory at the end.
    pub memory_end_bytes: Option<u64>,
    /// What the process had written to the disk, settling included.
    pub written_bytes: Option<u64>,
    /// What the store's files took on disk at the end; settled, where it settles.
    pub disk_bytes: u64,
    /// Bytes of keys and values put.
    pub user_written_bytes: u64,
    /// Bytes of keys and values that the store held at the end.
    pub user_live_bytes: Option<u64>,
    /// `written_bytes / user_written_bytes`: log, flushes and compactions. Absent of what ends with a time
    /// rather than with its records: how much a settling store rewrites doesn't depend on that time.
    pub write_amplification: Option<f64>,
    /// `disk_bytes / user_live_bytes`.
    pub space_amplification: Option<f64>,
    /// What the engine tells of itself about that time.
    pub inside: Inside,
}

/// How long calls took, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// How many calls: a percentile says something where some of them are beyond it.
    pub count: u64,
    /// The mean.
    pub mean: f64,
    /// Half of them took no longer.
    pub p50: u64,
    /// 90 % took no longer.
    pub p90: u64,
    /// 99 % took no longer.
    pub p99: u64,
    /// 99.9 % took no longer.
    pub p99_9: u64,
    /// 99.99 % took no longer.
    pub p99_99: u64,
    /// The longest.
    pub max: u64,
    /// The whole curve: pairs of a quantile (0 to 1) and the time that so many took at most, rising,
    /// closer together towards 1.
    pub curve: Vec<(f64, u64)>,
}

/// One second of a workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Operations that ended in it.
    pub ops: u64,
    /// The longest of them, in nanoseconds.
    pub longest_ns: u64,
    /// For how long the engine held writers up in it, summed over them; absent where it doesn't tell.
    pub stalled_seconds: Option<f64>,
    /// What the process had in memory at its end.
    pub memory_bytes: Option<u64>,
}

impl Beside {
    /// Whether it did about as much as it was asked for. Where it didn't, what was measured beside it
    /// had it easier than on an engine where it did.
    pub fn kept_up(&self) -> bool {
        self.asked_per_second.is_none_or(|asked| self.ops_per_second >= 0.95 * asked)
    }
}

/// What went on beside the measured operations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// What it did: `writes`, `scanned records`, `reads`.
    pub what: String,
    /// How many a second.
    pub ops_per_second: f64,
    /// How many a second were asked for; as many as possible where absent.
    #[serde(default)]
    pub asked_per_second: Option<f64>,
    /// How long each took.
    pub latency: Option<Latency>,
}

/// A workload that an engine did not get through.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// The engine's name.
    pub engine: String,
    /// The round, from 1.
    pub round: u32,
    /// The workload, or those of its process that had not ended.
    pub workload: String,
    /// The error.
    pub error: String,
}
