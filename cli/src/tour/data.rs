//! The data set in memory: what the stores are compared with.

use std::path::Path;

use lsmkit::Db;

use crate::bytes::Notation;
use crate::exit::{Exit, Failure};
use crate::records::{Columns, Counts, Format, Input, ReadError, Record, Source, ValueColumn};

/// All records in the order they are loaded in, each key once.
pub(super) struct DataSet {
    records: Vec<Record>,
    /// The places of the records, in the order of their keys.
    sorted: Vec<u32>,
}

/// Opens the data set for reading it from the beginning.
pub(super) fn open(path: &Path) -> Result<(Source, Counts), Failure> {
    let Some(format) = Format::of(path) else {
        let what = format!("the name {} does not tell a format", path.display());
        return Err(
            Failure::usage(what).next("the tour takes .tsv, .csv and .ndjson files, compressed or not")
        );
    };
    let input = Input::open(path)?;
    let counts = input.counts();
    let columns = Columns { key: None, value: ValueColumn::Auto, header: true };
    Ok((Source::new(input, format, &columns)?, counts))
}

/// Nothing may have ended the data set before its end.
pub(super) fn check_whole(path: &Path, stopped: Option<&ReadError>) -> Result<(), Failure> {
    match stopped {
        None => Ok(()),
        Some(ReadError::Bad { line, what } | ReadError::Stopped { line, what }) => {
            Err(Failure::bad_record(format!("{}: line {line}: {what}", path.display()))
                .next("the tour needs a data set without bad lines"))
        }
    }
}

impl DataSet {
    /// Reads the first `limit` records, or all.
    pub(super) fn read(path: &Path, limit: Option<u64>) -> Result<DataSet, Failure> {
        let (mut source, _) = open(path)?;
        let mut records = Vec::new();
        let mut record = Record::default();
        while limit.is_none_or(|limit| (records.len() as u64) < limit) {
            match source.next(&mut record) {
                Ok(Some(_)) => records.push(record.clone()),
                Ok(None) => break,
                Err(error) => check_whole(path, Some(&error))?,
            }
        }
        let data = DataSet::new(records);
        if let Some(pair) = data.sorted.windows(2).find(|pair| data.at(pair[0]).key == data.at(pair[1]).key) {
            let key = show(&data.at(pair[0]).key);
            return Err(Failure::bad_record(format!("{}: the key {key} is there twice", path.display()))
                .next("the tour needs a data set in which every key is there once"));
        }
        Ok(data)
    }

    fn new(records: Vec<Record>) -> DataSet {
        let mut sorted: Vec<u32> = (0..records.len() as u32).collect();
        sorted.sort_unstable_by(|a, b| records[*a as usize].key.cmp(&records[*b as usize].key));
        DataSet { records, sorted }
    }

    fn at(&self, place: u32) -> &Record {
        &self.records[place as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The first `n` records of the load, in the order of their keys.
    pub(super) fn in_order(&self, n: usize) -> impl DoubleEndedIterator<Item = &Record> {
        self.sorted.iter().filter(move |place| (**place as usize) < n).map(|place| self.at(*place))
    }

    /// Compares everything in the default keyspace with the first `n` records of the load: these and no
    /// others, with their values, in order.
    pub(super) fn check(&self, db: &Db, n: usize) -> Result<(), Failure> {
        let mut expected = self.in_order(n);
        for entry in db.scan(..) {
            let (key, value) = entry?;
            match expected.next() {
                Some(record) if *record.key == *key && *record.value == *value => {}
                Some(record) if *record.key == *key => {
                    return Err(broken(format!("{} has another value than was put", show(&key))));
                }
                Some(record) if *record.key < *key => {
                    return Err(broken(format!(
                        "{} is missing among the first {n} records",
                        show(&record.key)
                    )));
                }
                _ => {
                    return Err(broken(format!(
                        "{} is there, and is not among the first {n} records",
                        show(&key)
                    )));
                }
            }
        }
        match expected.next() {
            None => Ok(()),
            Some(record) => {
                Err(broken(format!("{} is missing among the first {n} records", show(&record.key))))
            }
        }
    }
}

pub(super) fn show(bytes: &[u8]) -> String {
    Notation::Escaped.show(bytes)
}

/// The store did not do what it promises.
pub(super) fn broken(what: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::BrokenPromise, format!("a promise is broken: {what}"))
        .next("please report it with the directory of the store, which is kept as it is")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsmkit::Options;

    /// The tour is worth what it would find.
    #[test]
    fn what_differs_from_the_load_is_found() {
        let record = |key: &str| Record { key: key.into(), value: b"v".to_vec() };
        let data = DataSet::new(["c", "a", "d", "b"].map(record).to_vec());
        let found = |entries: &[(&str, &str)], n| {
            let db = Options::new().open_in_memory().unwrap();
            entries.iter().for_each(|(key, value)| db.put(key, value).unwrap());
            match data.check(&db, n) {
                Ok(()) => String::new(),
                Err(Failure::Failed { exit, what, .. }) => {
                    assert_eq!(exit, Exit::BrokenPromise);
                    what
                }
                Err(Failure::PipeClosed) => unreachable!("nothing is written"),
            }
        };
        assert_eq!(found(&[], 0), "");
        assert_eq!(found(&[("c", "v"), ("a", "v")], 2), "");
        assert_eq!(found(&[("c", "v"), ("a", "v"), ("d", "v"), ("b", "v")], 4), "");
        assert!(found(&[("c", "v"), ("a", "w")], 2).contains("a has another value"));
        assert!(found(&[("c", "v"), ("b", "v")], 2).contains("a is missing"));
        assert!(found(&[("c", "v"), ("a", "v"), ("b", "v")], 3).contains("b is there, and is not"));
        assert!(found(&[("a", "v"), ("b", "v"), ("c", "v")], 4).contains("d is missing"));
        assert!(found(&[("a", "v"), ("x", "v")], 2).contains("c is missing"));
        assert!(found(&[("a", "v"), ("c", "v"), ("x", "v")], 2).contains("x is there, and is not"));
    }
}
