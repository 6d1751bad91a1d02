//! Records as files hold them: NDJSON, TSV and CSV, read and written as streams.
//!
//! A file is either of *pairs*, a key and a value a record, or a *table*, whose other columns become
//! one value: a compact JSON object of them, in their order. One rule decides, for all formats: it is a
//! pair where the only column beside the key is called `value`.
//!
//! Bytes that are no text have columns of their own, so that no file needs to be told from another:
//! `key_hex` and `value_hex` in hexadecimal digits and, in TSV and CSV, `key_escaped` and
//! `value_escaped` in the notation of `bytes`. Every other column is taken as it is.

mod delimited;
mod input;
mod json;
mod lines;
mod write;

pub(crate) use input::{Counts, Input};
pub(crate) use json::write_pair;
pub(crate) use write::{Shape, Sink};

use std::fmt;
use std::path::Path;

use lsmkit::{MAX_KEY_BYTES, MAX_VALUE_BYTES};

use crate::exit::Failure;

/// A key and its value.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Record {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// How records are written in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Format {
    /// A JSON object a line.
    Ndjson,
    /// Fields between tabs, a record a line, nothing quoted.
    Tsv,
    /// Fields between commas, quoted where need be (RFC 4180).
    Csv,
}

impl Format {
    /// By the end of a file's name, a `.gz` aside.
    pub(crate) fn of(path: &Path) -> Option<Format> {
        let path = if is_gzip_name(path) { path.with_extension("") } else { path.to_path_buf() };
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "ndjson" | "jsonl" => Some(Format::Ndjson),
            "tsv" | "tab" => Some(Format::Tsv),
            "csv" => Some(Format::Csv),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Ndjson => "NDJSON",
            Format::Tsv => "TSV",
            Format::Csv => "CSV",
        })
    }
}

pub(crate) fn is_gzip_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"))
}

/// Which columns make up a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Columns {
    /// The key's, by name or by place; `None` for the one that is called `key`.
    pub(crate) key: Option<String>,
    pub(crate) value: ValueColumn,
    /// Whether the first line of TSV or CSV names the columns.
    pub(crate) header: bool,
}

/// What becomes the value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ValueColumn {
    /// The column `value` where it is the only other one, else the rest.
    Auto,
    /// One column, by name or by place.
    Named(String),
    /// All columns but the key's, as a JSON object.
    Rest,
}

/// Why there is no next record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ReadError {
    /// This one can't be read; the next perhaps can.
    Bad { line: u64, what: String },
    /// The input itself can't be read any further than this line.
    Stopped { line: u64, what: String },
}

/// A stream of records. Holds one of them at a time.
pub(crate) enum Source {
    Json(json::Reader),
    Delimited(delimited::Reader),
}

impl Source {
    /// Begins to read; takes the header, where there is one.
    pub(crate) fn new(input: Input, format: Format, columns: &Columns) -> Result<Source, Failure> {
        let name = input.name().to_owned();
        let reader = input.into_reader();
        let source = match format {
            Format::Ndjson => Ok(Source::Json(json::Reader::new(reader, columns))),
            Format::Tsv => delimited::Reader::tsv(reader, columns).map(Source::Delimited),
            Format::Csv => delimited::Reader::csv(reader, columns).map(Source::Delimited),
        };
        source.map_err(|what| {
            Failure::bad_record(format!("{name}: {what}"))
                .next("`lsmkit import --help` tells how columns are chosen; nothing was imported")
        })
    }

    /// Puts the next record into `record`; `None` at the end, else the number of its (first) line.
    pub(crate) fn next(&mut self, record: &mut Record) -> Result<Option<u64>, ReadError> {
        record.key.clear();
        record.value.clear();
        let line = match self {
            Source::Json(reader) => reader.next(record)?,
            Source::Delimited(reader) => reader.next(record)?,
        };
        let Some(line) = line else { return Ok(None) };
        // The store would refuse the whole batch.
        let fits = |what: &str, len: usize, max: usize| match len <= max {
            true => Ok(()),
            false => {
                Err(ReadError::Bad { line, what: format!("a {what} of {len} bytes; the longest has {max}") })
            }
        };
        fits("key", record.key.len(), MAX_KEY_BYTES)?;
        fits("value", record.value.len(), MAX_VALUE_BYTES)?;
        Ok(Some(line))
    }
}
