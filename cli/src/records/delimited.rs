//! TSV and CSV: rows of fields, with or without a header.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::ops::Range;
use std::rc::Rc;

use super::json::{self, write_string};
use super::lines::{LINE_BYTES_MAX, Lines};
use super::{Columns, ReadError, Record, ValueColumn};
use crate::bytes::{Notation, quoted};

pub(super) const KEY_ESCAPED: &str = "key_escaped";
pub(super) const VALUE_ESCAPED: &str = "value_escaped";

/// Reads records of a file.
pub(crate) struct Reader {
    rows: Rows,
    /// None where the file is empty.
    layout: Option<Layout>,
    /// The first row, where it is no header and not given yet.
    first: Option<u64>,
}

impl Reader {
    pub(super) fn tsv(reader: Box<dyn BufRead>, columns: &Columns) -> Result<Reader, String> {
        Reader::new(Rows::Tsv { lines: Lines::new(reader), row: Vec::new(), fields: Vec::new() }, columns)
    }

    pub(super) fn csv(reader: Box<dyn BufRead>, columns: &Columns) -> Result<Reader, String> {
        let budget = Rc::new(Cell::new(0));
        let limited = Limited { inner: reader, budget: Rc::clone(&budget) };
        let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(limited);
        Reader::new(Rows::Csv { reader: Box::new(reader), row: csv::ByteRecord::new(), budget }, columns)
    }

    fn new(mut rows: Rows, columns: &Columns) -> Result<Reader, String> {
        let first = rows.next().map_err(|e| match e {
            ReadError::Bad { line, what } | ReadError::Stopped { line, what } => {
                format!("line {line}: {what}")
            }
        })?;
        let Some(line) = first else { return Ok(Reader { rows, layout: None, first: None }) };
        let names: Vec<String> = match columns.header {
            false => (1..=rows.len()).map(|place| place.to_string()).collect(),
            true => (0..rows.len())
                .map(|i| String::from_utf8(rows.field(i).to_vec()))
                .collect::<Result<_, _>>()
                .map_err(|_| "the header is not UTF-8".to_owned())?,
        };
        let layout = Layout::new(names, columns)?;
        Ok(Reader { rows, layout: Some(layout), first: (!columns.header).then_some(line) })
    }

    pub(super) fn next(&mut self, record: &mut Record) -> Result<Option<u64>, ReadError> {
        let Some(layout) = &self.layout else { return Ok(None) };
        let line = match self.first.take() {
            Some(line) => line,
            None => match self.rows.next()? {
                Some(line) => line,
                None => return Ok(None),
            },
        };
        layout.read(&self.rows, record).map_err(|what| ReadError::Bad { line, what })?;
        Ok(Some(line))
    }
}

/// The rows of a file, one at a time.
enum Rows {
    Tsv { lines: Lines, row: Vec<u8>, fields: Vec<Range<usize>> },
    Csv { reader: Box<csv::Reader<Limited>>, row: csv::ByteRecord, budget: Rc<Cell<usize>> },
}

impl Rows {
    /// Moves to the next row; the number of its first line.
    fn next(&mut self) -> Result<Option<u64>, ReadError> {
        match self {
            Rows::Tsv { lines, row, fields } => {
                let Some((number, line)) = lines.next()? else { return Ok(None) };
                row.clear();
                row.extend_from_slice(line);
                fields.clear();
                let mut start = 0;
                for end in line.iter().enumerate().filter(|(_, byte)| **byte == b'\t').map(|(i, _)| i) {
                    fields.push(start..end);
                    start = end + 1;
                }
                fields.push(start..line.len());
                Ok(Some(number))
            }
            Rows::Csv { reader, row, budget } => {
                budget.set(LINE_BYTES_MAX);
                let line = reader.position().line();
                match reader.read_byte_record(row) {
                    Ok(true) => Ok(Some(row.position().map_or(line, csv::Position::line))),
                    Ok(false) => Ok(None),
                    Err(e) => Err(ReadError::Stopped { line, what: e.to_string() }),
                }
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Rows::Tsv { fields, .. } => fields.len(),
            Rows::Csv { row, .. } => row.len(),
        }
    }

    fn field(&self, i: usize) -> &[u8] {
        match self {
            Rows::Tsv { row, fields, .. } => &row[fields[i].clone()],
            Rows::Csv { row, .. } => &row[i],
        }
    }
}

/// Fails once it has given more than the budget: a quote that is never closed must not bring the
/// whole file into memory.
struct Limited {
    inner: Box<dyn BufRead>,
    budget: Rc<Cell<usize>>,
}

impl Read for Limited {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        let left = self.budget.get().checked_sub(n).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a record of more than {LINE_BYTES_MAX} bytes; perhaps a quote is not closed"),
            )
        })?;
        self.budget.set(left);
        Ok(n)
    }
}

/// Which fields make up the key and the value.
struct Layout {
    names: Vec<String>,
    key: (usize, Form),
    value: ValueFrom,
}

enum ValueFrom {
    Field(usize, Form),
    /// The other fields, each with what goes before it in the JSON object: `,"name":`.
    Rest(Vec<(usize, Vec<u8>)>),
}

/// How a field stands for bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Plain,
    In(Notation),
}

impl Form {
    fn of(name: &str) -> Form {
        match name {
            json::KEY_HEX | json::VALUE_HEX => Form::In(Notation::Hex),
            KEY_ESCAPED | VALUE_ESCAPED => Form::In(Notation::Escaped),
            _ => Form::Plain,
        }
    }
}

impl Layout {
    fn new(names: Vec<String>, columns: &Columns) -> Result<Layout, String> {
        let key = match &columns.key {
            Some(wanted) => find(&names, wanted)?,
            None if !columns.header => 0,
            None => {
                let is_key = |name: &str| [json::KEY, json::KEY_HEX, KEY_ESCAPED].contains(&name);
                let mut keys = (0..names.len()).filter(|&i| is_key(&names[i]));
                match (keys.next(), keys.next()) {
                    (Some(key), None) => key,
                    (None, _) => {
                        return Err(format!(
                            "no column is called \"key\" ({}); --key names another",
                            list(&names)
                        ));
                    }
                    (Some(_), Some(_)) => {
                        return Err(format!("several columns are keys ({}); --key names one", list(&names)));
                    }
                }
            }
        };
        let others: Vec<usize> = (0..names.len()).filter(|&i| i != key).collect();
        let is_value = |name: &str| [json::VALUE, json::VALUE_HEX, VALUE_ESCAPED].contains(&name);
        let value = match (&columns.value, &others[..]) {
            (ValueColumn::Named(wanted), _) => {
                let value = find(&names, wanted)?;
                ValueFrom::Field(value, Form::of(&names[value]))
            }
            (ValueColumn::Auto, &[value]) if !columns.header || is_value(&names[value]) => {
                ValueFrom::Field(value, Form::of(&names[value]))
            }
            _ => ValueFrom::Rest(rest(&names, &others)?),
        };
        Ok(Layout { key: (key, Form::of(&names[key])), value, names })
    }

    /// Puts what the row holds into `record`.
    fn read(&self, rows: &Rows, record: &mut Record) -> Result<(), String> {
        if rows.len() != self.names.len() {
            let (found, expected) = (rows.len(), self.names.len());
            return Err(match rows {
                Rows::Csv { .. } if found < expected => {
                    format!("{found} of {expected} columns; perhaps a quote is not closed")
                }
                _ => format!("{found} columns, where the first line has {expected}"),
            });
        }
        self.take(rows, self.key, &mut record.key)?;
        match &self.value {
            ValueFrom::Field(field, form) => self.take(rows, (*field, *form), &mut record.value),
            ValueFrom::Rest(fields) => {
                record.value.push(b'{');
                for (field, name) in fields {
                    let text = std::str::from_utf8(rows.field(*field))
                        .map_err(|_| format!("the column {} is not UTF-8", quoted(&self.names[*field])))?;
                    record.value.extend_from_slice(name);
                    write_string(&mut record.value, text);
                }
                record.value.push(b'}');
                Ok(())
            }
        }
    }

    fn take(&self, rows: &Rows, (field, form): (usize, Form), bytes: &mut Vec<u8>) -> Result<(), String> {
        let text = rows.field(field);
        match form {
            Form::Plain => bytes.extend_from_slice(text),
            Form::In(notation) => {
                let name = quoted(&self.names[field]);
                *bytes = notation.read(text).map_err(|what| format!("the column {name}: {what}"))?;
            }
        }
        Ok(())
    }
}

/// What goes before each of the other fields in the JSON object.
fn rest(names: &[String], others: &[usize]) -> Result<Vec<(usize, Vec<u8>)>, String> {
    let mut fields: Vec<(usize, Vec<u8>)> = Vec::with_capacity(others.len());
    for &i in others {
        if others.iter().any(|&other| other < i && names[other] == names[i]) {
            return Err(format!(
                "two columns are called {}; --value names the only one to take",
                quoted(&names[i])
            ));
        }
        let mut before = if fields.is_empty() { Vec::new() } else { b",".to_vec() };
        write_string(&mut before, &names[i]);
        before.push(b':');
        fields.push((i, before));
    }
    Ok(fields)
}

/// A column by its name, or else by its place from one.
fn find(names: &[String], wanted: &str) -> Result<usize, String> {
    if let Some(i) = names.iter().position(|name| name == wanted) {
        return Ok(i);
    }
    let place = wanted.parse::<usize>().ok().and_then(|place| place.checked_sub(1));
    place
        .filter(|i| *i < names.len())
        .ok_or_else(|| format!("no column {wanted:?}; there are {}", list(names)))
}

/// The first of the names, for a message.
fn list(names: &[String]) -> String {
    const NAMES_MAX: usize = 12;
    let more = if names.len() > NAMES_MAX { ", …" } else { "" };
    let first: Vec<String> = names.iter().take(NAMES_MAX).map(|name| quoted(name)).collect();
    first.join(", ") + more
}
