//! One engine's process: runs the workloads and prints a line of JSON for each.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::engines::EngineName;
use crate::load::Load;
use crate::measure::{Bench, Measurement};
use crate::process;
use crate::records::Records;
use crate::store::Store;
use crate::workloads::{Effect, Workload};

/// Runs all workloads of `load` on `engine` in `dir`, which holds nothing yet.
pub(crate) fn run(engine: EngineName, dir: &Path, load: &Load) -> Result<()> {
    let records = load.records()?;
    let mut session = Session { engine, dir: dir.join("store"), load, records, store: None, is_warm: false };
    for (stream, &workload) in load.workloads.iter().enumerate() {
        let line = session.run(workload, stream as u64).with_context(|| format!("{engine}: {workload}"))?;
        println!("{line}");
    }
    Ok(())
}

struct Session<'a> {
    engine: EngineName,
    dir: PathBuf,
    load: &'a Load,
    records: Records,
    /// Open, with all records in it, or absent.
    store: Option<Box<dyn Store>>,
    is_warm: bool,
}

impl Session<'_> {
    fn run(&mut self, workload: Workload, stream: u64) -> Result<Value> {
        let effect = workload.effect();
        let store = match effect {
            Effect::Fills => self.open_empty()?,
            Effect::Rewrites | Effect::Empties | Effect::Reads => self.filled()?,
        };
        if effect == Effect::Reads && !self.is_warm {
            warm(&self.bench(&*store, stream))?;
            self.is_warm = true;
        }

        process::reset_peak_rss();
        let cpu_before = process::cpu_seconds();
        let written_before = process::written_bytes();
        let measurement = workload.run(&self.bench(&*store, stream))?;
        let mut line = figures(&measurement);
        line["workload"] = json!(workload.to_string());
        if effect != Effect::Reads {
            let begun = Instant::now();
            store.settle()?;
            line["settle_seconds"] = json!(begun.elapsed().as_secs_f64());
            line["written_bytes"] = json!(difference(written_before, process::written_bytes()));
            self.is_warm = false;
        }
        let cpu = process::cpu_seconds().zip(cpu_before).map(|(after, before)| after - before);
        line["cpu_seconds"] = json!(cpu);
        line["peak_rss_bytes"] = json!(process::peak_rss_bytes());
        line["disk_bytes"] = json!(process::disk_bytes(&self.dir)?);
        if effect != Effect::Empties {
            self.store = Some(store);
        }
        Ok(line)
    }

    fn bench<'b>(&'b self, store: &'b dyn Store, stream: u64) -> Bench<'b> {
        Bench { store, records: &self.records, ops: self.load.ops(), threads: self.load.threads(), stream }
    }

    fn open_empty(&mut self) -> Result<Box<dyn Store>> {
        // Closes it, if it was open, before its files go.
        self.store = None;
        if self.dir.exists() {
            fs::remove_dir_all(&self.dir)?;
        }
        fs::create_dir_all(&self.dir)?;
        self.engine.open(&self.dir, &self.load.settings())
    }

    /// The store as the last workload left it, or filled at random without being measured.
    fn filled(&mut self) -> Result<Box<dyn Store>> {
        if let Some(store) = self.store.take() {
            return Ok(store);
        }
        let store = self.open_empty()?;
        Workload::FillRandom.run(&self.bench(&*store, 0))?;
        store.settle()?;
        self.is_warm = false;
        Ok(store)
    }
}

/// Gets enough records to have met nearly every block, so that the first workload that reads does
/// not pay for filling the cache.
fn warm(bench: &Bench<'_>) -> Result<()> {
    let ops = bench.records.count.div_ceil(4);
    // A stream that no workload has, so that it does not get the very keys that are measured.
    Workload::ReadRandom.run(&Bench { ops, stream: u64::from(u32::MAX), ..*bench })?;
    Ok(())
}

fn figures(measurement: &Measurement) -> Value {
    let seconds = measurement.elapsed.as_secs_f64();
    let latency_ns = measurement.latencies.as_ref().map(|latencies| {
        json!({
            "p50": latencies.value_at_quantile(0.5),
            "p99": latencies.value_at_quantile(0.99),
            "p99_9": latencies.value_at_quantile(0.999),
            "max": latencies.max(),
        })
    });
    json!({
        "ops": measurement.ops,
        "seconds": seconds,
        "ops_per_second": measurement.ops as f64 / seconds.max(1e-9),
        "latency_ns": latency_ns,
    })
}

fn difference(before: Option<u64>, after: Option<u64>) -> Option<u64> {
    Some(after?.saturating_sub(before?))
}
