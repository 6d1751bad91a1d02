//! The plan: lsmkit alone, in five parts that end in one report.

mod compaction;
mod disk;
pub(crate) mod found;
mod print;
mod reads;
mod recovery;
mod writes;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use lsmkit::Db;

pub use self::found::{
    CachedReads, Compaction, Crash, Disk, Found, LevelWork, Missing, Range, Reads, Recovery,
};
use crate::engines::{EngineName, lsmkit as adapter};
use crate::figures::{Figures, Line, Run};
use crate::inside::Inside;
use crate::load::Load;
use crate::measure::{Bench, Measurement};
use crate::place::Place;
use crate::process;
use crate::progress::{Beat, Display};
use crate::records::Records;
use crate::session;
use crate::store::Store;

/// How the plan is carried out.
#[derive(Args, Debug)]
pub(crate) struct Plan {
    /// How many records are written, 16 + 100 bytes each [default: 1,000,000; with --quick, 100,000]
    #[arg(long)]
    records: Option<u64>,
    /// How long each kind of reading goes on [default: 5; with --quick, 0.3]
    #[arg(long)]
    seconds: Option<f64>,
    /// The block cache: about half of what the records take on disk, so that it has something to choose
    #[arg(long, default_value_t = 32)]
    cache_mib: usize,
    /// A memtable: small, so that a million records make a tree with levels
    #[arg(long, default_value_t = 8)]
    memtable_mib: usize,
    /// How often the process that writes is killed [default: 6; with --quick, 2]
    #[arg(long)]
    crashes: Option<u64>,
    /// Sets keys, values and their order
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    place: Place,
    /// A run of seconds that shows that everything works, and not how fast it is
    #[arg(long)]
    quick: bool,
}

impl Plan {
    /// Runs the five parts, shows what they found, and writes the report.
    pub(crate) fn run(&self) -> Result<()> {
        let mut load = Load::of(self.record_count(), self.cache_mib, self.memtable_mib, self.seed);
        load.resolve(self.quick)?;
        ensure!((0.0..1e6).contains(&self.seconds()), "a time to read must not be negative, and end");
        let parent = self.place.stores()?;
        let mut output = self.place.output()?;
        let head = self.head(&parent);
        output.add(Line::Run(head.clone()))?;
        let dir = tempfile::Builder::new().prefix("lsmkit-plan-").tempdir_in(parent)?;
        let found = self.carry_out(&load, dir.path())?;
        print!("{}", print::of(&head, &found));
        let recovery = found.recovery.clone();
        output.add(Line::Plan(Box::new(found)))?;
        output.finish()?;
        recovery.check()
    }

    fn carry_out(&self, load: &Load, dir: &Path) -> Result<Found> {
        let display = Display::new(5);
        let shown = display.clone();
        let store_dir = dir.join("store");
        fs::create_dir_all(&store_dir)?;
        let part = Part {
            db: adapter::open_standard(&store_dir, &load.settings())?,
            dir: store_dir,
            records: load.records()?,
            time: Duration::from_secs_f64(self.seconds()),
            beat: Beat::new(move |progress| shown.show(progress)),
        };
        display.begin("1 of 5: writes");
        let writes = writes::measure(&part)?;
        display.end();
        display.begin("2 of 5: reads");
        let reads = reads::measure(&part)?;
        display.end();
        display.begin("3 of 5: compaction");
        let compaction = compaction::measure(&part)?;
        display.end();
        display.begin("4 of 5: disk");
        let disk = disk::measure(&part)?;
        display.end();
        drop(part);
        display.begin("5 of 5: crash recovery");
        let recovery = recovery::measure(&dir.join("crashes"), self.seed, self.crashes())?;
        display.end();
        display.finish();
        Ok(Found { writes, reads, compaction, disk, recovery })
    }

    fn record_count(&self) -> u64 {
        self.records.unwrap_or(if self.quick { 100_000 } else { 1_000_000 })
    }

    fn seconds(&self) -> f64 {
        self.seconds.unwrap_or(if self.quick { 0.3 } else { 5.0 })
    }

    fn crashes(&self) -> u64 {
        self.crashes.unwrap_or(if self.quick { 2 } else { 6 })
    }

    fn head(&self, dir: &Path) -> Run {
        let options = [
            ("records", self.record_count().to_string()),
            ("seconds", self.seconds().to_string()),
            ("crashes", self.crashes().to_string()),
            ("cache-mib", self.cache_mib.to_string()),
            ("memtable-mib", self.memtable_mib.to_string()),
            ("seed", self.seed.to_string()),
        ];
        let args: String = options.iter().map(|(name, value)| format!(" --{name}={value}")).collect();
        Run {
            date: process::date(),
            machine: process::machine(dir),
            version: process::version(),
            build: process::build(),
            command: format!("{}cargo run --release -p lsmkit-bench-suite -- plan{args}", process::flags()),
            options: options
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<BTreeMap<_, _>>(),
            engines: vec![EngineName::Lsmkit.to_string()],
            workloads: Vec::new(),
            rounds: 1,
        }
    }
}

/// What the first four parts work with.
struct Part {
    db: Db,
    dir: PathBuf,
    records: Records,
    /// How long something goes on that could go on for ever.
    time: Duration,
    beat: Beat,
}

impl Part {
    /// `stream` sets the random numbers of one measurement apart from those of the next.
    fn bench(&self, stream: u64) -> Bench<'_> {
        Bench { stream, time: self.time, beat: Some(&self.beat), ..Bench::on(&self.db, &self.records) }
    }

    /// Measures, and adds what it cost and what the engine tells.
    fn figures(&self, name: &str, measure: impl FnOnce() -> Result<Measurement>) -> Result<Figures> {
        process::reset_peak_memory();
        let cpu_before = process::cpu_seconds();
        let before: Inside = self.db.inside();
        let measurement = measure()?;
        Ok(Figures {
            engine: EngineName::Lsmkit.to_string(),
            workload: name.to_owned(),
            round: 1,
            cpu_seconds: process::cpu_seconds().zip(cpu_before).map(|(now, then)| now - then),
            memory_peak_bytes: process::peak_memory_bytes(),
            memory_end_bytes: process::memory_bytes(),
            inside: self.db.inside().since(&before),
            ..session::figures(&measurement, 1)
        })
    }
}
