//! Measures lsmkit and its peers; see the README.

mod engines;
mod load;
mod measure;
mod process;
mod records;
mod report;
mod rounds;
mod session;
mod settings;
mod store;
mod workloads;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::engines::EngineName;
use crate::load::Load;
use crate::rounds::Run;

/// Measures lsmkit and its peers on this machine.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs workloads on engines, in turn, and prints medians.
    Run(Run),
    /// Runs the workloads on one engine, once, in this process; what `run` starts, and what to profile.
    Session {
        #[arg(long)]
        engine: EngineName,
        /// A directory to make the store in.
        #[arg(long)]
        dir: PathBuf,
        #[command(flatten)]
        load: Load,
    },
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Run(run) => run.run(),
        Command::Session { engine, dir, mut load } => {
            load.resolve(false)?;
            session::run(engine, &dir, &load)
        }
    }
}
