//! The workloads, by the names they have had since LevelDB's `db_bench`.

mod fill;
mod read;
mod scan;

use std::fmt;

use anyhow::Result;
use clap::ValueEnum;

use crate::measure::{Bench, Measurement};

/// A workload by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
#[value(rename_all = "lowercase")]
pub(crate) enum Workload {
    /// Puts all records into an empty store, in order.
    FillSeq,
    /// Puts all records into an empty store, each once, in random order.
    FillRandom,
    /// As fillrandom, a hundred records at a time, atomically. An operation is a record.
    FillBatch,
    /// Puts records that are there already, at random.
    Overwrite,
    /// Deletes all records, in random order.
    DeleteRandom,
    /// Gets records at random.
    ReadRandom,
    /// Gets keys that are not there, but lie between those that are.
    ReadMissing,
    /// Gets records at random out of the first hundredth.
    ReadHot,
    /// Seeks to a random record and reads ten from there.
    SeekRandom,
    /// Reads all records in order. An operation is a record.
    ReadSeq,
    /// Reads all records in reverse order. An operation is a record.
    ReadReverse,
}

/// What a workload needs of the store and leaves of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    /// Takes an empty store and leaves all records in it.
    Fills,
    /// Takes all records and leaves all, though written anew.
    Rewrites,
    /// Takes all records and leaves none.
    Empties,
    /// Takes all records and changes nothing.
    Reads,
}

impl Workload {
    /// What runs where nobody chose.
    pub(crate) const USUAL: [Workload; 8] = [
        Workload::FillSeq,
        Workload::FillRandom,
        Workload::ReadRandom,
        Workload::ReadMissing,
        Workload::ReadHot,
        Workload::SeekRandom,
        Workload::ReadSeq,
        Workload::ReadReverse,
    ];

    pub(crate) fn effect(self) -> Effect {
        match self {
            Workload::FillSeq | Workload::FillRandom | Workload::FillBatch => Effect::Fills,
            Workload::Overwrite => Effect::Rewrites,
            Workload::DeleteRandom => Effect::Empties,
            Workload::ReadRandom
            | Workload::ReadMissing
            | Workload::ReadHot
            | Workload::SeekRandom
            | Workload::ReadSeq
            | Workload::ReadReverse => Effect::Reads,
        }
    }

    /// Does and times it.
    ///
    /// # Errors
    ///
    /// Those of the engine, and a wrong answer: what is read is checked, since a store may be
    /// arbitrarily fast at giving wrong answers.
    pub(crate) fn run(self, bench: &Bench<'_>) -> Result<Measurement> {
        match self {
            Workload::FillSeq => fill::fillseq(bench),
            Workload::FillRandom => fill::fillrandom(bench),
            Workload::FillBatch => fill::fillbatch(bench),
            Workload::Overwrite => fill::overwrite(bench),
            Workload::DeleteRandom => fill::deleterandom(bench),
            Workload::ReadRandom => read::readrandom(bench),
            Workload::ReadMissing => read::readmissing(bench),
            Workload::ReadHot => read::readhot(bench),
            Workload::SeekRandom => scan::seekrandom(bench),
            Workload::ReadSeq => scan::readseq(bench),
            Workload::ReadReverse => scan::readreverse(bench),
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().expect("because no workload is hidden").get_name())
    }
}
