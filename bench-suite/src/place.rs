//! Where a run makes its stores, and where it writes what it found.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::output::Output;

/// The directories of a run.
#[derive(Args, Debug)]
pub(crate) struct Place {
    /// Where the stores are made, and removed again; best on the disk that matters [default: the
    /// system's temporary directory]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// A directory for figures.jsonl and report.html
    #[arg(long, default_value = "bench-report")]
    out: PathBuf,
}

impl Place {
    /// The directory to make stores in; made, if it is not there yet.
    pub(crate) fn stores(&self) -> Result<PathBuf> {
        let dir = self.dir.clone().unwrap_or_else(std::env::temp_dir);
        fs::create_dir_all(&dir).with_context(|| format!("could not make {}", dir.display()))?;
        Ok(dir)
    }

    /// Begins to write down what is found.
    pub(crate) fn output(&self) -> Result<Output> {
        Output::create(&self.out)
    }
}
