//! The `lsmkit` command: a store from the command line.

#![forbid(unsafe_code)]

mod args;
mod bytes;
mod commands;
mod exit;
mod load;
mod output;
mod records;
mod store;
mod tour;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    exit::code(commands::run(args::Args::parse().command))
}
