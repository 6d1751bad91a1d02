//! Where a run writes what it found.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::figures::Line;
use crate::html;

/// A directory with `figures.jsonl`, which grows as figures come in, and `report.html`, made at the end.
pub(crate) struct Output {
    dir: PathBuf,
    figures: File,
    lines: Vec<Line>,
}

impl Output {
    /// What an earlier run left there is replaced.
    pub(crate) fn create(dir: &Path) -> Result<Output> {
        fs::create_dir_all(dir).with_context(|| format!("could not make {}", dir.display()))?;
        let path = dir.join("figures.jsonl");
        let figures = File::create(&path).with_context(|| format!("could not make {}", path.display()))?;
        Ok(Output { dir: dir.to_owned(), figures, lines: Vec::new() })
    }

    pub(crate) fn add(&mut self, line: Line) -> Result<()> {
        let json = serde_json::to_string(&line)?;
        writeln!(self.figures, "{json}")
            .with_context(|| format!("could not write to {}", self.dir.display()))?;
        self.lines.push(line);
        Ok(())
    }

    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Makes the report, and says where it is.
    pub(crate) fn finish(&self) -> Result<()> {
        let path = self.dir.join("report.html");
        write_report(&path, &self.lines)?;
        eprintln!("figures: {}", self.dir.join("figures.jsonl").display());
        eprintln!("report:  {}", path.display());
        Ok(())
    }
}

/// Makes the page.
pub(crate) fn write_report(path: &Path, lines: &[Line]) -> Result<()> {
    fs::write(path, html::page(lines)).with_context(|| format!("could not write {}", path.display()))
}

/// The lines of a file of figures, or of the one in a directory.
pub(crate) fn read(path: &Path) -> Result<Vec<Line>> {
    let path = if path.is_dir() { path.join("figures.jsonl") } else { path.to_owned() };
    let text = fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    let lines = text.lines().enumerate().map(|(nth, line)| {
        serde_json::from_str(line).with_context(|| format!("{}, line {}", path.display(), nth + 1))
    });
    lines.collect()
}
