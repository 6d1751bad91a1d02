//! What a simulation tells.

use std::collections::BTreeMap;
use std::fmt;

use crate::Cause;

/// What was written, and what for.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Work {
    /// Keys and values that the user wrote; as many bytes went to the log, but for its framing.
    pub user_bytes: f64,
    /// Bytes of tables that flushes wrote.
    pub flushed_bytes: u64,
    /// Bytes of tables that merges wrote.
    pub compacted_bytes: u64,
    /// Bytes of tables that merges read.
    pub read_bytes: u64,
    /// Bytes of tables that were moved without being rewritten.
    pub moved_bytes: u64,
    /// Bytes of tables that were dropped with what was in them.
    pub dropped_bytes: u64,
    /// How many flushes.
    pub flushes: u64,
    /// How many merges, by why they were picked.
    pub merges: BTreeMap<Cause, u64>,
    /// How many moves.
    pub moves: u64,
    /// The time it took, in seconds.
    pub seconds: f64,
    /// Of that, the time in which writers went slower than they would have.
    pub slowed_seconds: f64,
    /// The time in which they stood.
    pub stopped_seconds: f64,
}

impl Work {
    /// Bytes of tables written for each byte that the user wrote; 0 where that is none.
    pub fn write_amplification(&self) -> f64 {
        if self.user_bytes > 0.0 {
            (self.flushed_bytes + self.compacted_bytes) as f64 / self.user_bytes
        } else {
            0.0
        }
    }

    /// As [`Work::write_amplification`], with what the log writes.
    pub fn write_amplification_with_log(&self) -> f64 {
        if self.user_bytes > 0.0 { self.write_amplification() + 1.0 } else { 0.0 }
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Work) -> Work {
        let mut sum = self.clone();
        sum.user_bytes += other.user_bytes;
        sum.flushed_bytes += other.flushed_bytes;
        sum.compacted_bytes += other.compacted_bytes;
        sum.read_bytes += other.read_bytes;
        sum.moved_bytes += other.moved_bytes;
        sum.dropped_bytes += other.dropped_bytes;
        sum.flushes += other.flushes;
        other.merges.iter().for_each(|(cause, count)| *sum.merges.entry(*cause).or_default() += count);
        sum.moves += other.moves;
        sum.seconds += other.seconds;
        sum.slowed_seconds += other.slowed_seconds;
        sum.stopped_seconds += other.stopped_seconds;
        sum
    }
}

/// The store at one moment.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Sample {
    /// Seconds since the beginning.
    pub seconds: f64,
    /// What the user had written since the beginning, in bytes of keys and values.
    pub user_bytes: f64,
    /// The bytes of all tables of the tree.
    pub size_bytes: u64,
    /// The bytes that the live data would take in tables that hold nothing else: of what has been flushed.
    pub live_bytes: f64,
    /// [`Pressure::debt_bytes`](crate::Pressure::debt_bytes).
    pub debt_bytes: u64,
    /// The levels.
    pub levels: Vec<LevelSample>,
    /// How many runs a get of a key that is there looks into until it finds it, on average, keys as popular with readers as with
    /// writers. Runs whose filter spares that do not count; memtables neither.
    pub runs_per_get: f64,
    /// How many runs have a table where a key is, on average: what a scan opens before it can begin.
    pub runs_per_scan: f64,
}

impl Sample {
    /// Bytes of tables for each byte of live data; 0 where there is none.
    pub fn space_amplification(&self) -> f64 {
        if self.live_bytes > 0.0 { self.size_bytes as f64 / self.live_bytes } else { 0.0 }
    }
}

/// A level at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct LevelSample {
    /// How many runs.
    pub runs: usize,
    /// How many tables.
    pub tables: usize,
    /// The bytes of these.
    pub size_bytes: u64,
}

/// What came of a simulation.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// [`CompactionPicker::name`](crate::CompactionPicker::name).
    pub picker: String,
    /// Loading and warming up.
    pub before: Work,
    /// The writes that count, with the compactions that the strategy wants as long as the store is written to.
    pub run: Work,
    /// What the strategy does in addition at leisure, once all is written.
    pub settling: Work,
    /// The mean over the run of the bytes of tables on disk for each byte of live data; those that a merge has written so far are on disk
    /// as well as its inputs. Over time, or over what is written where no time passes.
    pub space_amplification_mean: f64,
    /// The greatest of these.
    pub space_amplification_max: f64,
    /// The store at regular times of the run, by what is written.
    pub samples: Vec<Sample>,
    /// The store once nothing is left to do.
    pub at_rest: Sample,
}

impl Report {
    /// All work, with loading and settling.
    pub fn all(&self) -> Work {
        self.before.plus(&self.run).plus(&self.settling)
    }

    /// The mean of [`Sample::runs_per_get`] over the run.
    pub fn runs_per_get_mean(&self) -> f64 {
        self.mean(|sample| sample.runs_per_get)
    }

    /// The greatest [`Sample::runs_per_get`] of the run.
    pub fn runs_per_get_max(&self) -> f64 {
        self.samples.iter().map(|sample| sample.runs_per_get).fold(0.0, f64::max)
    }

    /// The mean of [`Sample::runs_per_scan`] over the run.
    pub fn runs_per_scan_mean(&self) -> f64 {
        self.mean(|sample| sample.runs_per_scan)
    }

    /// The greatest debt of the run, in bytes, of those that were sampled.
    pub fn debt_bytes_max(&self) -> u64 {
        self.samples.iter().map(|sample| sample.debt_bytes).max().unwrap_or(0)
    }

    fn mean(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        self.samples.iter().map(of).sum::<f64>() / self.samples.len().max(1) as f64
    }
}

impl fmt::Display for Report {
    /// A table of the totals, and one of the levels over time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<10} {:>10} {:>10} {:>10} {:>10} {:>7} {:>7} {:>8} {:>7}",
            self.picker, "user", "flushed", "compacted", "moved", "w-amp", "+ log", "merges", "moves"
        )?;
        for (name, work) in [("before", &self.before), ("run", &self.run), ("settling", &self.settling)] {
            writeln!(
                f,
                "{name:<10} {:>10} {:>10} {:>10} {:>10} {:>7.2} {:>7.2} {:>8} {:>7}",
                Bytes(work.user_bytes),
                Bytes(work.flushed_bytes as f64),
                Bytes(work.compacted_bytes as f64),
                Bytes(work.moved_bytes as f64),
                work.write_amplification(),
                work.write_amplification_with_log(),
                work.merges.values().sum::<u64>(),
                work.moves,
            )?;
        }
        let causes: Vec<_> =
            self.all().merges.iter().map(|(cause, count)| format!("{cause:?} {count}")).collect();
        writeln!(f, "merges     {}", causes.join(", "))?;
        writeln!(
            f,
            "space      mean {:.2}, most {:.2}, at rest {:.2}",
            self.space_amplification_mean,
            self.space_amplification_max,
            self.at_rest.space_amplification()
        )?;
        writeln!(
            f,
            "runs       a get {:.2}, at most {:.2}, at rest {:.2}; a scan {:.2}, at rest {:.2}",
            self.runs_per_get_mean(),
            self.runs_per_get_max(),
            self.at_rest.runs_per_get,
            self.runs_per_scan_mean(),
            self.at_rest.runs_per_scan
        )?;
        let Work { seconds, slowed_seconds, stopped_seconds, .. } = self.run;
        writeln!(
            f,
            "run        {seconds:.0} s, writers slowed {slowed_seconds:.0} s, stopped {stopped_seconds:.0} s"
        )?;
        let lines = 8.min(self.samples.len());
        let some = (1..=lines).map(|line| &self.samples[line * self.samples.len() / lines - 1]);
        for sample in some.chain([&self.at_rest]) {
            write!(
                f,
                "{:>10} written, debt {:>10}",
                Bytes(sample.user_bytes),
                Bytes(sample.debt_bytes as f64)
            )?;
            for (number, level) in sample.levels.iter().enumerate().filter(|(_, level)| level.runs > 0) {
                write!(f, "  L{number} {}×{}", level.runs, Bytes(level.size_bytes as f64))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Bytes with a unit: `1.5 TiB`.
pub(super) struct Bytes(pub(super) f64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let (mut bytes, mut unit) = (self.0, 0);
        while bytes >= 1000.0 && unit + 1 < units.len() {
            bytes /= 1024.0;
            unit += 1;
        }
        let digits = if unit == 0 || bytes >= 99.95 { 0 } else { 1 };
        f.pad(&format!("{bytes:.digits$} {}", units[unit]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_unit_that_suits_them() {
        let texts: Vec<_> =
            [0.0, 999.0, 1536.0, 1e15].into_iter().map(|bytes| Bytes(bytes).to_string()).collect();
        assert_eq!(texts, ["0 B", "999 B", "1.5 KiB", "909 TiB"]);
    }
}
