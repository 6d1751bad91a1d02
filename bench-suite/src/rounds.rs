//! Running the engines in turn, each in a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::engines::EngineName;
use crate::load::Load;
use crate::process;
use crate::report;

/// Options of a run.
#[derive(Args, Debug)]
pub(crate) struct Run {
    #[command(flatten)]
    load: Load,
    /// Which engines. All that are built in by default; with --quick, lsmkit.
    #[arg(long, value_delimiter = ',')]
    engines: Vec<EngineName>,
    /// How often each engine runs; the medians are shown. 3 by default; with --quick, 1.
    #[arg(long)]
    rounds: Option<u32>,
    /// Where the stores are made, and removed again; best on the disk that matters. The system's
    /// temporary directory by default.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Appends to this file a line of JSON for the run, and one for each workload of each engine in each round.
    #[arg(long)]
    json: Option<PathBuf>,
    /// A run that takes seconds: fewer records, one round, lsmkit only.
    #[arg(long)]
    quick: bool,
}

impl Run {
    /// Runs it all and prints the table.
    pub(crate) fn run(mut self) -> Result<()> {
        self.load.resolve(self.quick)?;
        if self.engines.is_empty() {
            self.engines = default_engines(self.quick);
        }
        let rounds = self.rounds.unwrap_or(if self.quick { 1 } else { 3 });
        ensure!(rounds > 0, "there must be at least one round");

        let machine = process::machine();
        println!("{machine}");
        println!("{}", self.load.to_args().join(" "));
        let mut lines = vec![json!({
            "machine": machine,
            "settings": self.load.to_args(),
            "rounds": rounds,
            "lsmkit": env!("CARGO_PKG_VERSION"),
        })];
        let dir = self.dir.clone().unwrap_or_else(std::env::temp_dir);
        // Round by round rather than engine by engine, so that a machine that slows down meanwhile
        // slows down all of them.
        for round in 1..=rounds {
            for &engine in &self.engines {
                eprintln!("round {round} of {rounds}: {engine}");
                for mut line in run_engine(engine, &dir, &self.load)? {
                    line["engine"] = json!(engine.to_string());
                    line["round"] = json!(round);
                    lines.push(line);
                }
            }
        }
        if let Some(path) = &self.json {
            report::append_lines(path, &lines)?;
        }
        print!("{}", report::table(&lines[1..], &self.load.workloads, &self.engines));
        Ok(())
    }
}

fn default_engines(quick: bool) -> Vec<EngineName> {
    use clap::ValueEnum;
    match quick {
        true => vec![EngineName::Lsmkit],
        false => EngineName::value_variants().to_vec(),
    }
}

/// Runs one engine in a process and a directory of its own.
fn run_engine(engine: EngineName, dir: &Path, load: &Load) -> Result<Vec<Value>> {
    let dir = tempfile::Builder::new().prefix("lsmkit-bench-").tempdir_in(dir)?;
    let child = Command::new(std::env::current_exe()?)
        .arg("session")
        .arg(format!("--engine={engine}"))
        .arg("--dir")
        .arg(dir.path())
        .args(load.to_args())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("could not start the process for {engine}"))?;
    ensure!(child.status.success(), "the process for {engine} failed: {}", child.status);
    let output = String::from_utf8(child.stdout)?;
    let lines = output.lines().map(|line| Ok(serde_json::from_str(line)?)).collect::<Result<Vec<Value>>>()?;
    ensure!(lines.len() == load.workloads.len(), "the process for {engine} left out a workload");
    Ok(lines)
}
