//! The workloads, by the names they have had since LevelDB's `db_bench` and YCSB.

mod fill;
mod mixed;
mod read;
mod scan;
mod ycsb;

use std::fmt;
use std::str::FromStr;

use anyhow::Result;
use clap::ValueEnum;

pub(crate) use self::read::get;
pub(crate) use self::scan::SCAN_RECORDS;
use crate::measure::{Bench, Measurement};
use crate::records::Records;
use crate::settings::Durability;

/// A workload by name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, ValueEnum)]
#[value(rename_all = "lowercase")]
pub enum Workload {
    /// Puts all records into an empty store, in order.
    FillSeq,
    /// Puts all records into an empty store, each once, in random order.
    FillRandom,
    /// As fillrandom, a hundred records at a time, atomically. An operation is a record.
    FillBatch,
    /// Puts records in random order into an empty store, each synced to the disk before the next.
    FillSync,
    /// Puts records that are there already, at random.
    Overwrite,
    /// Gets a random record and puts it.
    UpdateRandom,
    /// Deletes all records, in random order.
    DeleteRandom,
    /// Deletes the first nine tenths of the records, in order.
    DeleteSeq,
    /// Seeks to a random record of those that deleteseq has just deleted, and reads the one that follows.
    SeekDeleted,
    /// Gets records at random.
    ReadRandom,
    /// Gets a hundred records at random at once. An operation is a record.
    MultiGet100,
    /// Puts half of as many records as there are, at random, and then, measured, gets records at random, whatever the
    /// engine still has to do.
    ReadFresh,
    /// Gets keys that are not there, but lie between those that are.
    ReadMissing,
    /// Gets records at random out of the first hundredth.
    ReadHot,
    /// Seeks to a random record and reads one.
    SeekRandom1,
    /// Seeks to a random record and reads ten from there.
    SeekRandom10,
    /// Seeks to a random record and reads a hundred from there.
    SeekRandom100,
    /// Seeks to a random record and reads 100,000 from there. An operation is a record.
    Scan100k,
    /// Reads all records in order, over and over. An operation is a record.
    ReadSeq,
    /// Reads all records in reverse order, over and over. An operation is a record.
    ReadReverse,
    /// Gets records at random while another thread puts some at a fixed rate.
    ReadWhileWriting,
    /// Gets records at random while another thread reads all of them in order, over and over.
    ReadWhileScanning,
    /// YCSB A: half gets, half puts, by Zipf.
    YcsbA,
    /// YCSB B: 95 % gets, 5 % puts, by Zipf.
    YcsbB,
    /// YCSB C: gets, by Zipf.
    YcsbC,
    /// YCSB D: 95 % gets of the latest records, 5 % new ones.
    YcsbD,
    /// YCSB E: 95 % scans of 1 to 100 records from one chosen by Zipf, 5 % new records.
    YcsbE,
    /// YCSB F: half gets, half gets that are followed by a put of the same record, by Zipf.
    YcsbF,
    /// Puts records of 4 KiB into an empty store, in random order.
    Fill4k,
    /// Gets them at random.
    Read4k,
    /// Puts records of 64 KiB into an empty store, in random order.
    Fill64k,
    /// Gets them at random.
    Read64k,
    /// Puts records of 1 MiB into an empty store, in random order.
    Fill1m,
    /// Gets them at random.
    Read1m,
    /// Opens a store after the process that filled its log was killed. An operation is a record that it had put.
    OpenLog,
    /// Puts records that are there already, at random, while another thread gets some, for minutes.
    Sustained,
    /// As sustained, by Zipf.
    SustainedZipf,
}

/// A workload and the number of threads it is asked for with: `readrandom@2`. Without, those of the load.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Task {
    /// What is done.
    pub workload: Workload,
    /// By how many threads.
    pub threads: Option<u64>,
}

/// What a workload finds in the store, and what it leaves there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Contents {
    /// Nothing, in a directory that is empty.
    Nothing,
    /// All records.
    All,
    /// The last tenth of the records, and what tells that the others were deleted.
    Tenth,
    /// What no other workload can begin with.
    Unknown,
}

/// What sets a workload's store apart from the others'.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    pub(crate) records: u64,
    pub(crate) value_bytes: usize,
    pub(crate) durability: Durability,
}

impl Workload {
    /// The workloads of the whole grid, with their threads. Those that have two are what an
    /// application with two threads would see.
    pub const GRID: &str = "fillseq,fillbatch,deleterandom,fillrandom@2,\
        fillrandom,readrandom,readrandom@2,multiget100,readmissing,readhot,seekrandom1,seekrandom10,seekrandom100,scan100k,\
        readseq,readreverse,readwhilewriting,readwhilescanning,readfresh,overwrite,updaterandom,\
        ycsba@2,ycsbb@2,ycsbc@2,ycsbf@2,ycsbd@2,ycsbe@2,deleteseq,seekdeleted,\
        fillsync,fillsync@4,fillsync@8,fillsync@16,fill4k,read4k,fill64k,read64k,fill1m,read1m,openlog";

    /// What runs where nobody chose.
    pub const USUAL: &str =
        "fillseq,fillrandom,readrandom,readmissing,readhot,seekrandom10,readseq,readreverse";

    /// What it does, in a sentence.
    pub(crate) fn about(self) -> String {
        let value = self.to_possible_value().expect("because no workload is hidden");
        value.get_help().map(ToString::to_string).unwrap_or_default()
    }

    /// What the store has to hold before.
    pub(crate) fn needs(self) -> Contents {
        use Workload::*;
        match self {
            FillSeq | FillRandom | FillBatch | FillSync | Fill4k | Fill64k | Fill1m | OpenLog => {
                Contents::Nothing
            }
            SeekDeleted => Contents::Tenth,
            _ => Contents::All,
        }
    }

    /// What the store holds after.
    pub(crate) fn leaves(self) -> Contents {
        use Workload::*;
        match self {
            DeleteSeq | SeekDeleted => Contents::Tenth,
            DeleteRandom | FillSync | YcsbD | YcsbE | OpenLog => Contents::Unknown,
            _ => Contents::All,
        }
    }

    /// Whether it writes, so that there is something to flush and compact after it.
    pub(crate) fn writes(self) -> bool {
        use Workload::*;
        !matches!(
            self,
            ReadRandom
                | MultiGet100
                | ReadMissing
                | ReadHot
                | SeekRandom1
                | SeekRandom10
                | SeekRandom100
                | SeekDeleted
                | Scan100k
                | ReadSeq
                | ReadReverse
                | ReadWhileScanning
                | YcsbC
                | Read4k
                | Read64k
                | Read1m
        )
    }

    /// Whether what it leaves is flushed and compacted before the next. It isn't where that would remove
    /// what the next is about.
    pub(crate) fn settles(self) -> bool {
        self.writes() && self != Workload::DeleteSeq
    }

    /// Whether it ends with its records rather than with a time, so that bytes written for each byte put
    /// say something; or goes on for so long that they do.
    pub(crate) fn amplifies(self) -> bool {
        use Workload::*;
        let is_fill = self.needs() == Contents::Nothing && !matches!(self, FillSync | OpenLog);
        is_fill || self.is_long() || matches!(self, Overwrite | DeleteRandom)
    }

    /// Whether it goes on for the minutes that were asked for rather than the seconds.
    pub(crate) fn is_long(self) -> bool {
        matches!(self, Workload::Sustained | Workload::SustainedZipf)
    }

    /// The store it works on, where that is not of the usual records.
    pub(crate) fn shape(self, usual: &Shape, records: &Records, memtable_bytes: usize) -> Shape {
        use Workload::*;
        let large = |value_bytes: usize| {
            let records = (records.size_bytes() * LARGE_TIMES / value_bytes as u64).max(1);
            Shape { records, value_bytes, ..*usual }
        };
        match self {
            Fill4k | Read4k => large(4 << 10),
            Fill64k | Read64k => large(64 << 10),
            Fill1m | Read1m => large(1 << 20),
            FillSync => Shape { durability: Durability::Synced, ..*usual },
            OpenLog => {
                let in_memtable = memtable_bytes as u64 / (OPEN_LOG_MEMTABLE_SHARE * records.record_bytes());
                Shape { records: usual.records.div_ceil(OPEN_LOG_DIVISOR).min(in_memtable.max(1)), ..*usual }
            }
            _ => *usual,
        }
    }

    /// Does and times it.
    ///
    /// # Errors
    ///
    /// Those of the engine, and a wrong answer: what is read is checked, since a store may be
    /// arbitrarily fast at giving wrong answers.
    ///
    /// # Panics
    ///
    /// On [`Workload::OpenLog`], which is about a process and not about an open store.
    pub fn run(self, bench: &Bench<'_>) -> Result<Measurement> {
        use Workload::*;
        match self {
            FillSeq => fill::fillseq(bench),
            FillRandom | Fill4k | Fill64k | Fill1m => fill::fillrandom(bench),
            FillBatch => fill::fillbatch(bench),
            FillSync => fill::fillsync(bench),
            Overwrite => fill::overwrite(bench),
            UpdateRandom => mixed::updaterandom(bench),
            DeleteRandom => fill::deleterandom(bench),
            DeleteSeq => fill::deleteseq(bench),
            SeekDeleted => scan::seekdeleted(bench),
            ReadRandom | Read4k | Read64k | Read1m => read::readrandom(bench),
            MultiGet100 => read::multiget100(bench),
            ReadFresh => mixed::readfresh(bench),
            ReadMissing => read::readmissing(bench),
            ReadHot => read::readhot(bench),
            SeekRandom1 => scan::seekrandom(bench, 1),
            SeekRandom10 => scan::seekrandom(bench, 10),
            SeekRandom100 => scan::seekrandom(bench, 100),
            Scan100k => scan::scan100k(bench),
            ReadSeq => scan::readseq(bench),
            ReadReverse => scan::readreverse(bench),
            ReadWhileWriting => mixed::readwhilewriting(bench),
            ReadWhileScanning => mixed::readwhilescanning(bench),
            YcsbA => ycsb::run(bench, ycsb::Mix::A),
            YcsbB => ycsb::run(bench, ycsb::Mix::B),
            YcsbC => ycsb::run(bench, ycsb::Mix::C),
            YcsbD => ycsb::run(bench, ycsb::Mix::D),
            YcsbE => ycsb::run(bench, ycsb::Mix::E),
            YcsbF => ycsb::run(bench, ycsb::Mix::F),
            OpenLog => panic!("openlog is about a process, not about an open store"),
            Sustained => mixed::sustained(bench),
            SustainedZipf => mixed::sustainedzipf(bench),
        }
    }
}

/// The first record that `deleteseq` leaves.
pub(crate) fn first_left(records: &Records) -> u64 {
    records.count - records.count.div_ceil(10)
}

/// Puts all records, a hundred at a time; not measured. Those that are there already stay the same.
pub(crate) fn load(bench: &Bench<'_>) -> Result<()> {
    fill::fillbatch(bench).map(drop)
}

/// A store of large values holds so many times the bytes of the usual one.
const LARGE_TIMES: u64 = 4;
/// `openlog` is about so many times fewer records.
const OPEN_LOG_DIVISOR: u64 = 10;
/// And about no more than fill this part of a memtable with their bytes, so that none of them was flushed.
const OPEN_LOG_MEMTABLE_SHARE: u64 = 2;

impl FromStr for Task {
    type Err = String;

    fn from_str(text: &str) -> Result<Task, String> {
        let (name, threads) = match text.split_once('@') {
            Some((name, threads)) => (name, Some(threads)),
            None => (text, None),
        };
        let workload = Workload::from_str(name, true).map_err(|_| {
            let names: Vec<_> = Workload::value_variants().iter().map(Workload::to_string).collect();
            format!("there is no workload `{name}`; there are {}", names.join(", "))
        })?;
        let threads = threads
            .map(|threads| threads.parse().ok().filter(|threads| (1..=1024).contains(threads)))
            .map(|threads| threads.ok_or("`@` stands before a number of threads, 1 to 1024"))
            .transpose()?;
        Ok(Task { workload, threads })
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.threads {
            Some(threads) => write!(f, "{}@{threads}", self.workload),
            None => self.workload.fmt(f),
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().expect("because no workload is hidden").get_name())
    }
}
