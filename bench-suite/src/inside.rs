//! What an engine tells of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What an engine tells of itself since it was opened. What it doesn't tell is absent or empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Inside {
    /// The tree, the newest level first.
    pub levels: Vec<Level>,
    /// Memtables written to tables.
    pub flushes: Option<Work>,
    /// Tables merged into others.
    pub compactions: Option<Work>,
    /// Times that writers were held up, by the engine's own name of the cause; all that it tells of,
    /// also those that never came.
    pub stalls: BTreeMap<String, Stalls>,
    /// Lookups in the block cache.
    pub cache: Option<CacheCounts>,
}

/// A level of the tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Sorted runs.
    pub runs: u64,
    /// Tables.
    pub tables: u64,
    /// Bytes of its files.
    pub size_bytes: u64,
}

/// Background work of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// How many times.
    pub count: u64,
    /// How long in all.
    pub seconds: f64,
    /// Bytes of table files read.
    pub read_bytes: u64,
    /// Bytes of table files written.
    pub written_bytes: u64,
}

/// Times that writers were held up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stalls {
    /// How many times.
    pub count: u64,
    /// How long in all.
    pub seconds: f64,
    /// The longest, where it is known.
    pub longest_seconds: Option<f64>,
}

/// Lookups in the block cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CacheCounts {
    /// That found the block.
    pub hits: u64,
    /// That didn't.
    pub misses: u64,
}

impl Inside {
    /// How long writers were held up in all, for whatever cause.
    pub fn stalled_seconds(&self) -> f64 {
        self.stalls.values().map(|stalls| stalls.seconds).sum()
    }

    /// What happened since `before`; the tree as it is now.
    pub fn since(&self, before: &Inside) -> Inside {
        let stalls = self.stalls.iter().map(|(cause, now)| {
            let then = before.stalls.get(cause).copied().unwrap_or_default();
            // Not known where one before was as long.
            let longest_seconds = now.longest_seconds.filter(|_| now.longest_seconds != then.longest_seconds);
            let (count, seconds) = (now.count - then.count, now.seconds - then.seconds);
            (cause.clone(), Stalls { count, seconds, longest_seconds })
        });
        Inside {
            levels: self.levels.clone(),
            flushes: self.flushes.map(|work| work.since(before.flushes)),
            compactions: self.compactions.map(|work| work.since(before.compactions)),
            stalls: stalls.collect(),
            cache: self.cache.map(|now| {
                let then = before.cache.unwrap_or_default();
                CacheCounts { hits: now.hits - then.hits, misses: now.misses - then.misses }
            }),
        }
    }
}

impl Work {
    fn since(self, before: Option<Work>) -> Work {
        let before = before.unwrap_or_default();
        Work {
            count: self.count - before.count,
            seconds: self.seconds - before.seconds,
            read_bytes: self.read_bytes - before.read_bytes,
            written_bytes: self.written_bytes - before.written_bytes,
        }
    }
}
