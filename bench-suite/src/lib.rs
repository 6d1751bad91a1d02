#![doc = include_str!("../README.md")]

mod child;
mod choice;
mod compare;
mod engines;
pub mod figures;
mod html;
mod inside;
mod load;
mod markdown;
mod measure;
mod moment;
mod output;
mod place;
pub mod plan;
mod process;
mod progress;
mod records;
mod rounds;
mod sampler;
mod session;
mod settings;
mod store;
mod summary;
mod table;
mod units;
mod victim;
mod workloads;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

pub use crate::engines::EngineName;
pub use crate::inside::{CacheCounts, Inside, Level, Stalls, Work};
pub use crate::load::Load;
pub use crate::measure::{Bench, Measurement};
pub use crate::records::Records;
pub use crate::settings::{Compression, Durability, Settings};
pub use crate::store::Store;
pub use crate::workloads::{Task, Workload};

/// Measures lsmkit and its peers on this machine.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures lsmkit in five parts: writes, reads, compaction, disk, crash recovery
    Plan(plan::Plan),
    /// Runs workloads on engines in turn, and shows medians and ratios
    Run(rounds::Rounds),
    /// Shows what got faster or slower from one run to another
    Compare(compare::Compare),
    /// Makes the table and the report of a run anew from its figures
    Report {
        /// The figures.jsonl of one run or of several, or their directories
        #[arg(required = true)]
        figures: Vec<PathBuf>,
        /// Where to write the report
        #[arg(long, default_value = "report.html")]
        html: PathBuf,
        /// Prints the table in Markdown, a column for each engine
        #[arg(long)]
        markdown: bool,
    },
    /// Runs workloads on one engine, once, in this process; what `run` starts, and what to profile
    Session {
        #[arg(long, value_enum)]
        engine: EngineName,
        /// A directory to make the store in
        #[arg(long)]
        dir: PathBuf,
        /// Tells the progress as well
        #[arg(long, hide = true)]
        tell: bool,
        #[command(flatten)]
        load: Load,
    },
    /// Writes until it is killed
    #[command(hide = true)]
    Victim {
        #[arg(long, value_enum)]
        engine: EngineName,
        #[arg(long)]
        dir: PathBuf,
        #[command(flatten)]
        load: Load,
    },
}

/// Does what the command line asks for.
///
/// # Errors
///
/// Where something could not be run, or gave a wrong answer.
pub fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Plan(plan) => plan.run(),
        Command::Run(rounds) => rounds.run(),
        Command::Compare(compare) => compare.run(),
        Command::Report { figures, html, markdown } => {
            let lines = figures.iter().map(|path| output::read(path)).collect::<Result<Vec<_>>>()?.concat();
            print!("{}", if markdown { markdown::of(&lines) } else { table::of(&lines) });
            output::write_report(&html, &lines)?;
            eprintln!("report: {}", html.display());
            Ok(())
        }
        Command::Session { engine, dir, tell, mut load } => {
            load.resolve(false)?;
            session::run(engine, &dir, &load, tell)
        }
        Command::Victim { engine, dir, mut load } => {
            load.resolve(false)?;
            victim::run(engine, &dir, &load)
        }
    }
}
