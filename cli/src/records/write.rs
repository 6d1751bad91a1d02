//! Writing records, so that reading them gives back the very same.

use std::io::Write;

use super::delimited::{KEY_ESCAPED, VALUE_ESCAPED};
use super::json::{self, Members, write_expanded, write_pair, write_string};
use super::{Format, Record};
use crate::bytes::Notation;
use crate::exit::Failure;

/// What a record becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    /// A key and a value; both in hexadecimal digits where `hex`.
    Pairs { hex: bool },
    /// The members of values that are JSON objects, as columns.
    Table,
}

/// A file being written.
pub(crate) struct Sink<W: Write> {
    out: W,
    format: Format,
    shape: Shape,
    /// The columns beside the key, once the first record has told them.
    columns: Option<Vec<String>>,
    /// One row, to and fro.
    row: Vec<u8>,
}

impl<W: Write> Sink<W> {
    pub(crate) fn new(out: W, format: Format, shape: Shape) -> Sink<W> {
        Sink { out, format, shape, columns: None, row: Vec::new() }
    }

    /// Writes a record; before the first one the header, where the format has one.
    pub(crate) fn write(&mut self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        if self.format == Format::Ndjson {
            return self.write_json(key, value);
        }
        match self.shape {
            Shape::Pairs { hex } => {
                if self.columns.is_none() {
                    self.write_header(hex)?;
                }
                let notation = if hex { Notation::Hex } else { Notation::Escaped };
                self.write_row(&[notation.show(key), notation.show(value)])
            }
            Shape::Table => self.write_table_row(key, value),
        }
    }

    /// Writes what is buffered, and gives the output back.
    pub(crate) fn finish(mut self) -> Result<W, Failure> {
        if self.columns.is_none() && self.format != Format::Ndjson {
            self.write_header(matches!(self.shape, Shape::Pairs { hex: true }))?;
        }
        self.out.flush()?;
        Ok(self.out)
    }

    fn write_json(&mut self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        self.row.clear();
        match self.shape {
            Shape::Pairs { hex } => write_pair(&mut self.row, key, Some(value), hex),
            Shape::Table => {
                // A value that would not return by itself is written as a pair, which always does.
                if !write_expanded(&mut self.row, key, value) {
                    write_pair(&mut self.row, key, Some(value), false);
                }
            }
        }
        self.row.push(b'\n');
        Ok(self.out.write_all(&self.row)?)
    }

    /// The header of pairs.
    fn write_header(&mut self, hex: bool) -> Result<(), Failure> {
        self.columns = Some(Vec::new());
        let names = if hex { [json::KEY_HEX, json::VALUE_HEX] } else { [KEY_ESCAPED, VALUE_ESCAPED] };
        self.write_row(&names.map(str::to_owned))
    }

    fn write_table_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        let shown = Notation::Escaped.show(key);
        let misfit = |what: &str| {
            Failure::bad_record(format!("the record {shown} fits no table: {what}"))
                .next("export without --columns; that takes any keys and values")
        };
        let Some((names, mut row)) = cells(value) else {
            return Err(misfit("its value is no compact JSON object of strings"));
        };
        match &self.columns {
            None => {
                if !is_table(&names) {
                    return Err(misfit("its columns have no names, or names that mean something else"));
                }
                let header: Vec<String> =
                    std::iter::once(json::KEY.to_owned()).chain(names.clone()).collect();
                self.check_cells(&header).map_err(misfit)?;
                self.write_row(&header)?;
                self.columns = Some(names);
            }
            Some(columns) if *columns != names => {
                return Err(misfit("its columns are not those of the first record"));
            }
            Some(_) => {}
        }
        let key = std::str::from_utf8(key).map_err(|_| misfit("its key is no text"))?;
        row.insert(0, key.to_owned());
        self.check_cells(&row).map_err(misfit)?;
        self.write_row(&row)
    }

    /// TSV quotes nothing, so there are cells that it can't hold.
    fn check_cells(&self, row: &[String]) -> Result<(), &'static str> {
        match row.iter().any(|cell| cell.contains(['\t', '\n', '\r'])) && self.format == Format::Tsv {
            true => Err("TSV holds no tabs and line breaks (CSV does)"),
            false => Ok(()),
        }
    }

    fn write_row(&mut self, cells: &[String]) -> Result<(), Failure> {
        self.row.clear();
        for (i, cell) in cells.iter().enumerate() {
            match self.format {
                Format::Csv => {
                    self.row.extend_from_slice(if i > 0 { b"," } else { b"" });
                    push_quoted(&mut self.row, cell);
                }
                _ => {
                    self.row.extend_from_slice(if i > 0 { b"\t" } else { b"" });
                    self.row.extend_from_slice(cell.as_bytes());
                }
            }
        }
        self.row.push(b'\n');
        Ok(self.out.write_all(&self.row)?)
    }
}

fn push_quoted(row: &mut Vec<u8>, cell: &str) {
    if !cell.contains([',', '"', '\n', '\r']) {
        return row.extend_from_slice(cell.as_bytes());
    }
    row.push(b'"');
    row.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
    row.push(b'"');
}

/// The names and texts of an object whose members are all strings; `None` where the importer would
/// not make the very same bytes of them.
fn cells(value: &[u8]) -> Option<(Vec<String>, Vec<String>)> {
    let members = Members::parse(std::str::from_utf8(value).ok()?).ok()?;
    let mut again = Vec::with_capacity(value.len());
    let mut names = Vec::with_capacity(members.0.len());
    let mut texts = Vec::with_capacity(members.0.len());
    again.push(b'{');
    for (i, (name, raw)) in members.0.iter().enumerate() {
        let text: String = serde_json::from_str(raw.get()).ok()?;
        again.extend_from_slice(if i > 0 { b"," } else { b"" });
        write_string(&mut again, name);
        again.push(b':');
        write_string(&mut again, &text);
        names.push(name.to_string());
        texts.push(text);
    }
    again.push(b'}');
    (again == value).then_some((names, texts))
}

/// Whether a header of these names beside the key is read as a table.
fn is_table(names: &[String]) -> bool {
    let means_more = |name: &String| {
        [json::KEY, json::KEY_HEX, KEY_ESCAPED].contains(&name.as_str())
            || (names.len() == 1 && [json::VALUE, json::VALUE_HEX, VALUE_ESCAPED].contains(&name.as_str()))
    };
    !names.is_empty() && !names.iter().any(means_more)
}

impl Record {
    /// The size of key and value.
    pub(crate) fn size_bytes(&self) -> usize {
        self.key.len() + self.value.len()
    }
}
