//! One engine's process: runs workloads one after the other on stores in one directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;

use crate::engines::EngineName;
use crate::figures::{Beside, Figures, Latency};
use crate::load::Load;
use crate::measure::{Bench, Measurement};
use crate::moment::Moment;
use crate::process;
use crate::progress::{Beat, Told};
use crate::records::Records;
use crate::settings::Settings;
use crate::store::Store;
use crate::victim::Victim;
use crate::workloads::{self, Contents, Shape, Task, Workload};

/// Runs all workloads of `load` on `engine` in `dir`, which holds nothing yet, and prints a line of
/// JSON for each. If it `is_heard`, it tells its progress as well.
pub(crate) fn run(engine: EngineName, dir: &Path, load: &Load, is_heard: bool) -> Result<()> {
    let dir = dir.join("store");
    // What stands there is removed as workloads come and go; somebody else's must not be.
    ensure!(!dir.exists(), "{} exists already", dir.display());
    let beat = is_heard.then(|| Beat::new(|progress| Told::Progress(progress).print()));
    let mut session = Session { engine, dir, load, beat, held: None };
    for (stream, &task) in load.tasks().iter().enumerate() {
        if is_heard {
            Told::Begun { workload: task.to_string() }.print();
        }
        let figures = session.run(task, stream as u64 + 1).with_context(|| format!("{engine}: {task}"))?;
        Told::Ended(Box::new(figures)).print();
    }
    Ok(())
}

struct Session<'a> {
    engine: EngineName,
    dir: PathBuf,
    load: &'a Load,
    beat: Option<Beat>,
    held: Option<Held>,
}

/// A store that is open.
struct Held {
    store: Box<dyn Store>,
    contents: Contents,
    shape: Shape,
    records: Records,
    is_warm: bool,
}

impl Session<'_> {
    fn run(&mut self, task: Task, stream: u64) -> Result<Figures> {
        let workload = task.workload;
        let usual = self.load.records()?;
        let shape = workload.shape(&self.load.shape(), &usual, self.load.settings().memtable_bytes);
        if workload == Workload::OpenLog {
            return self.open_log(task, &shape, &usual);
        }
        let mut held = self.prepared(workload, shape, &usual)?;
        let bench = self.bench(&held, task, stream);
        if !workload.writes() && workload != Workload::SeekDeleted && !held.is_warm {
            warm(&bench, self.load.settings().block_bytes as u64)?;
        }

        process::sync(&self.dir)?;
        process::reset_peak_memory();
        let before = Moment::now(&*held.store, &self.dir)?;
        let measurement = workload.run(&bench)?;
        let settle_seconds = if workload.settles() { Some(settle(&*held.store)?) } else { None };
        if workload.writes() {
            process::sync(&self.dir)?;
        }
        let after = Moment::now(&*held.store, &self.dir)?;
        let figures = Figures {
            engine: self.engine.to_string(),
            is_peer: self.engine.is_peer(),
            workload: task.to_string(),
            settle_seconds,
            user_live_bytes: live_bytes(workload, &held.records, &measurement),
            ..figures(&measurement, self.threads(task))
        };
        let figures = after.since(&before).added_to(figures, workload);
        complete(workload, &bench, &measurement)?;

        held.contents = workload.leaves();
        held.is_warm = !workload.writes();
        self.held = (held.contents != Contents::Unknown).then_some(held);
        Ok(figures)
    }

    /// A store that holds what the workload needs: the last workload's, or a new one.
    fn prepared(&mut self, workload: Workload, shape: Shape, usual: &Records) -> Result<Held> {
        let needs = workload.needs();
        if needs != Contents::Nothing
            && let Some(held) = self.held.take_if(|held| held.contents == needs && held.shape == shape)
        {
            return Ok(held);
        }
        self.empty_dir()?;
        let settings = Settings { durability: shape.durability, ..self.load.settings() };
        let store = self.engine.open(&self.dir, &settings)?;
        let records = usual.resized(shape.records, shape.value_bytes)?;
        let held = Held { store, contents: needs, shape, records, is_warm: false };
        let bench = self.unbound(&held);
        if needs != Contents::Nothing {
            workloads::load(&bench)?;
            held.store.settle()?;
        }
        if needs == Contents::Tenth {
            Workload::DeleteSeq.run(&bench)?;
        }
        Ok(held)
    }

    /// Closes the store, if one is open, and makes room for another.
    fn empty_dir(&mut self) -> Result<()> {
        self.held = None;
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => fs::create_dir_all(&self.dir)?,
        }
        Ok(())
    }

    fn bench<'b>(&'b self, held: &'b Held, task: Task, stream: u64) -> Bench<'b> {
        Bench {
            threads: self.threads(task),
            stream,
            time: self.load.time(task.workload),
            time_max: self.load.time_max(),
            ops_max: self.load.ops_max(),
            rate: self.load.rate(),
            rate_beside: self.load.rate_beside(),
            ..self.unbound(held)
        }
    }

    fn unbound<'b>(&'b self, held: &'b Held) -> Bench<'b> {
        Bench { beat: self.beat.as_ref(), ..Bench::on(&*held.store, &held.records) }
    }

    fn threads(&self, task: Task) -> u64 {
        task.threads.unwrap_or(self.load.threads())
    }

    /// Times opening a store whose log was filled by a process that was then killed.
    fn open_log(&mut self, task: Task, shape: &Shape, usual: &Records) -> Result<Figures> {
        self.empty_dir()?;
        let records = usual.resized(shape.records, shape.value_bytes)?;
        let acknowledged =
            Victim::start(self.engine, &self.dir, self.load, records.count)?.kill_after(records.count)?;
        ensure!(acknowledged == records.count, "the process that writes ended after {acknowledged} records");

        process::sync(&self.dir)?;
        process::reset_peak_memory();
        let cpu_before = process::cpu_seconds();
        let begun = Instant::now();
        let store = self.engine.open(&self.dir, &self.load.settings())?;
        let elapsed = begun.elapsed();
        let cpu_seconds = process::cpu_seconds().zip(cpu_before).map(|(after, before)| after - before);
        let mut found = 0;
        store.scan(None, u64::MAX, &mut |key, value| {
            let is_right = records.number(key).is_some_and(|number| records.value(number) == value);
            found += u64::from(is_right);
        })?;
        ensure!(found == records.count, "of {acknowledged} acknowledged records, {found} were found");
        let seconds = elapsed.as_secs_f64();
        Ok(Figures {
            engine: self.engine.to_string(),
            is_peer: self.engine.is_peer(),
            workload: task.to_string(),
            threads: 1,
            ops: found,
            seconds,
            ops_per_second: found as f64 / seconds.max(1e-9),
            bytes_per_second: records.size_bytes() as f64 / seconds.max(1e-9),
            cpu_seconds,
            memory_peak_bytes: process::peak_memory_bytes(),
            memory_end_bytes: process::memory_bytes(),
            disk_bytes: process::disk_bytes(&self.dir)?,
            user_live_bytes: Some(records.size_bytes()),
            inside: store.inside(),
            ..Figures::default()
        })
    }
}

/// Gets records at random until nearly every block has been met, so that the first workload that reads does
/// not pay for filling the cache.
fn warm(bench: &Bench<'_>, block_bytes: u64) -> Result<()> {
    // Of so many times as many draws as there are blocks, one block in twenty is left out.
    const DRAWS_PER_BLOCK: u64 = 3;
    let blocks = bench.records.size_bytes().div_ceil(block_bytes).min(bench.records.count);
    let ops_max = (bench.records.count / 4).max(DRAWS_PER_BLOCK * blocks);
    // A stream that no workload has, so that it does not get the very keys that are measured.
    Workload::ReadRandom
        .run(&Bench { ops_max, time: WARM_TIME_MAX, rate: None, stream: 0, ..*bench })
        .map(drop)
}

const WARM_TIME_MAX: Duration = Duration::from_secs(30);

/// Does what a workload that was cut short had left, for those that come after it: puts all records, those
/// that are there once more, a hundred at a time; or deletes all that are to be deleted.
fn complete(workload: Workload, bench: &Bench<'_>, measurement: &Measurement) -> Result<()> {
    let unbound = Bench { time_max: Duration::MAX, ops_max: u64::MAX, threads: 1, rate: None, ..*bench };
    match (measurement.is_cut, workload.needs(), workload.leaves()) {
        (true, Contents::Nothing, Contents::All) => {
            workloads::load(&unbound)?;
            bench.store.settle()
        }
        (true, _, _) if workload == Workload::DeleteSeq => workload.run(&unbound).map(drop),
        _ => Ok(()),
    }
}

fn settle(store: &dyn Store) -> Result<f64> {
    let begun = Instant::now();
    store.settle()?;
    Ok(begun.elapsed().as_secs_f64())
}

fn live_bytes(workload: Workload, records: &Records, measurement: &Measurement) -> Option<u64> {
    match workload.leaves() {
        Contents::All if measurement.is_cut && workload.needs() == Contents::Nothing => {
            Some(measurement.put_bytes)
        }
        _ if measurement.is_cut => None,
        Contents::All => Some(records.size_bytes()),
        Contents::Tenth => Some((records.count - workloads::first_left(records)) * records.record_bytes()),
        Contents::Unknown if workload == Workload::FillSync => Some(measurement.put_bytes),
        Contents::Nothing | Contents::Unknown => None,
    }
}

/// What a measurement says by itself.
pub(crate) fn figures(measurement: &Measurement, threads: u64) -> Figures {
    let seconds = measurement.elapsed.as_secs_f64().max(1e-9);
    Figures {
        threads,
        ops: measurement.ops,
        seconds,
        ops_per_second: measurement.ops as f64 / seconds,
        bytes_per_second: (measurement.put_bytes + measurement.got_bytes) as f64 / seconds,
        latency: latency(&measurement.latencies),
        series: measurement.series.clone(),
        beside: measurement.beside.as_ref().map(|(what, rate, beside)| Beside {
            what: (*what).to_owned(),
            ops_per_second: beside.ops as f64 / beside.elapsed.as_secs_f64().max(1e-9),
            asked_per_second: *rate,
            latency: latency(&beside.latencies),
        }),
        is_cut: measurement.is_cut,
        user_written_bytes: measurement.put_bytes
            + measurement.beside.as_ref().map_or(0, |(_, _, beside)| beside.put_bytes),
        ..Figures::default()
    }
}

fn latency(latencies: &Histogram<u64>) -> Option<Latency> {
    /// Points of the curve for each factor of ten in what is left of the operations, and factors.
    const POINTS_PER_DECADE: i32 = 8;
    const DECADES: i32 = 5;
    let at = |quantile| latencies.value_at_quantile(quantile);
    let curve = (0..=POINTS_PER_DECADE * DECADES)
        .map(|point| 1.0 - 10_f64.powf(-f64::from(point) / f64::from(POINTS_PER_DECADE)))
        .chain([1.0])
        .map(|quantile| (quantile, at(quantile)))
        .collect();
    (!latencies.is_empty()).then(|| Latency {
        count: latencies.len(),
        mean: latencies.mean(),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p99_9: at(0.999),
        p99_99: at(0.9999),
        max: latencies.max(),
        curve,
    })
}
