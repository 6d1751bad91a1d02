//! The commands, each in a file of its own.

mod compact;
mod export;
mod get;
mod import;
mod keyspaces;
mod repair;
mod scan;
mod stats;
mod verify;
mod write;

pub(crate) use stats::write_table;

use crate::args::Command;
use crate::exit::Failure;
use crate::tour;

/// Does what the command line asks for.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Tour(args) => tour::run(&args),
        Command::TourLoad(args) => tour::child::run(&args),
        Command::Get(args) => get::run(&args),
        Command::Put(args) => write::put(&args),
        Command::Delete(args) => write::delete(&args),
        Command::Scan(args) => scan::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Repair(args) => repair::run(&args),
        Command::Compact(args) => compact::run(&args),
        Command::Keyspaces(args) => keyspaces::run(&args),
    }
}

/// 1 entry, 2 entries
fn entries(n: u64) -> String {
    if n == 1 { "1 entry".to_owned() } else { format!("{} entries", crate::output::count(n)) }
}
