//! The figures that engines are compared by.

use crate::figures::Figures;
use crate::summary::{Cell, Percentile, Spread};

use super::units;

/// A figure of a workload on an engine.
pub(super) struct Metric {
    /// What a column is headed by.
    pub(super) name: &'static str,
    /// What it says, in a sentence.
    pub(super) meaning: &'static str,
    pub(super) of: fn(&Figures) -> Option<f64>,
    pub(super) show: fn(f64) -> String,
    pub(super) better: Better,
}

/// Which of two figures is the better one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    Higher,
    Lower,
}

impl Better {
    pub(super) fn is_better(self) -> fn(f64, f64) -> bool {
        match self {
            Better::Higher => |a, b| a > b,
            Better::Lower => |a, b| a < b,
        }
    }

    /// How many times better `ours` is than `theirs`; below one, it is worse.
    pub(super) fn ratio(self, ours: f64, theirs: f64) -> Option<f64> {
        let ratio = match self {
            Better::Higher => ours / theirs,
            Better::Lower => theirs / ours,
        };
        (ratio.is_finite() && ratio > 0.0).then_some(ratio)
    }
}

impl Metric {
    pub(super) fn spread(&self, cell: &Cell<'_>) -> Option<Spread> {
        cell.spread(self.of)
    }
}

/// The first one of every comparison.
pub(super) const THROUGHPUT: Metric = Metric {
    name: "ops/s",
    meaning: "Operations a second.",
    of: |f| Some(f.ops_per_second),
    show: units::count,
    better: Better::Higher,
};

/// What the overview compares besides throughput.
pub(super) const COMPARED: [&Metric; 7] = [&P99, &P99_9, &CPU, &MEMORY, &WRITE_AMPLIFICATION, &DISK, &SETTLE];

/// The columns of a workload's first table: how fast it was.
pub(super) const SPEED: [&Metric; 10] =
    [&THROUGHPUT, &BYTES, &P50, &P90, &P99, &P99_9, &P99_99, &MAX, &BESIDE, &BESIDE_P99];

/// The columns of a workload's second table: what it cost.
pub(super) const COST: [&Metric; 10] = [
    &CPU,
    &MEMORY,
    &MEMORY_END,
    &STALLED,
    &SETTLE,
    &WRITTEN,
    &WRITE_AMPLIFICATION,
    &DISK,
    &SPACE_AMPLIFICATION,
    &CACHE_HITS,
];

const BYTES: Metric = Metric {
    name: "bytes/s",
    meaning: "Bytes of keys and values put or got, a second.",
    of: |f| (f.bytes_per_second > 0.0).then_some(f.bytes_per_second),
    show: units::bytes_per_second,
    better: Better::Higher,
};
const P50: Metric = latency("p50", "Half of the operations took no longer.", |f| timed(f, Percentile::P50));
const P90: Metric = latency("p90", "90 % of the operations took no longer.", |f| timed(f, Percentile::P90));
const P99: Metric = latency("p99", "99 % of the operations took no longer.", |f| timed(f, Percentile::P99));
const P99_9: Metric =
    latency("p99.9", "99.9 % of the operations took no longer.", |f| timed(f, Percentile::P99_9));
const P99_99: Metric =
    latency("p99.99", "99.99 % of the operations took no longer.", |f| timed(f, Percentile::P99_99));
const MAX: Metric = latency("max", "The longest operation.", |f| timed(f, Percentile::Max));
const STALLED: Metric = Metric {
    name: "stalled",
    meaning: "For how long the engine held writers up, summed over them.",
    of: stalled_seconds,
    show: units::seconds,
    better: Better::Lower,
};
const SETTLE: Metric = Metric {
    name: "settle",
    meaning: "From the last operation until nothing was left to flush and compact.",
    of: settle_seconds,
    show: units::seconds,
    better: Better::Lower,
};
const CPU: Metric = Metric {
    name: "CPU/M ops",
    meaning: "Seconds that all threads computed for a million operations, settling included.",
    of: |f| f.cpu_seconds.filter(|_| f.ops > 0).map(|seconds| seconds / f.ops as f64 * 1e6),
    show: units::seconds,
    better: Better::Lower,
};
const MEMORY: Metric = Metric {
    name: "memory peak",
    meaning: "The most that the process had in memory of its own; pages of files, mapped or not, are the kernel's.",
    of: |f| f.memory_peak_bytes.map(|bytes| bytes as f64),
    show: units::bytes,
    better: Better::Lower,
};
const MEMORY_END: Metric = Metric {
    name: "memory end",
    meaning: "What the process had in memory of its own at the end.",
    of: |f| f.memory_end_bytes.map(|bytes| bytes as f64),
    show: units::bytes,
    better: Better::Lower,
};
const WRITTEN: Metric = Metric {
    name: "written",
    meaning: "What the process had written to the disk, settling included.",
    of: |f| f.written_bytes.filter(|_| f.user_written_bytes > 0).map(|bytes| bytes as f64),
    show: units::bytes,
    better: Better::Lower,
};
const DISK: Metric = Metric {
    name: "disk",
    meaning: "What the store's files took on disk at the end, settled.",
    of: |f| (f.disk_bytes > 0).then_some(f.disk_bytes as f64),
    show: units::bytes,
    better: Better::Lower,
};
const WRITE_AMPLIFICATION: Metric = Metric {
    name: "write amp.",
    meaning: "Bytes written to the disk for each byte put: log, flushes and compactions.",
    of: |f| f.write_amplification,
    show: units::amplification,
    better: Better::Lower,
};
const SPACE_AMPLIFICATION: Metric = Metric {
    name: "space amp.",
    meaning: "Bytes on disk for each byte of live keys and values; below one where they are compressed.",
    of: |f| f.space_amplification,
    show: units::amplification,
    better: Better::Lower,
};
const CACHE_HITS: Metric = Metric {
    name: "cache hits",
    meaning: "The share of lookups in the block cache that found the block.",
    of: |f| f.inside.cache.and_then(|cache| hit_rate(cache.hits, cache.misses)),
    show: units::percent,
    better: Better::Higher,
};
const BESIDE: Metric = Metric {
    name: "beside/s",
    meaning: "What went on beside the measured operations, a second.",
    of: |f| f.beside.as_ref().map(|beside| beside.ops_per_second),
    show: units::count,
    better: Better::Higher,
};

const BESIDE_P99: Metric = latency("beside p99", "99 % of what went on beside took no longer.", |f| {
    Percentile::P99.of(f.beside.as_ref()?.latency.as_ref()?)
});

/// The share of lookups that found what they looked for, if there were any.
pub(super) fn hit_rate(hits: u64, misses: u64) -> Option<f64> {
    let lookups = hits as f64 + misses as f64;
    (lookups > 0.0).then(|| hits as f64 / lookups)
}

/// Less than a millisecond is what it takes to ask an engine that has nothing to settle.
fn settle_seconds(figures: &Figures) -> Option<f64> {
    figures.settle_seconds.map(|seconds| if seconds < 0.001 { 0.0 } else { seconds })
}

/// Of engines that tell of themselves, where something was put.
fn stalled_seconds(figures: &Figures) -> Option<f64> {
    let tells = !figures.inside.stalls.is_empty() || figures.inside.flushes.is_some();
    (tells && figures.user_written_bytes > 0).then(|| figures.inside.stalled_seconds())
}

const fn latency(name: &'static str, meaning: &'static str, of: fn(&Figures) -> Option<f64>) -> Metric {
    Metric { name, meaning, of, show: units::nanoseconds, better: Better::Lower }
}

fn timed(figures: &Figures, percentile: Percentile) -> Option<f64> {
    percentile.of(figures.latency.as_ref()?)
}
