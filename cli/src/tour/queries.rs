//! The second part of the tour: questions to the store, and the answers.

use std::io::Write;
use std::time::{Duration, Instant};

use lsmkit::{Db, WriteBatch};

use super::data::{DataSet, broken, show};
use crate::exit::Failure;
use crate::output::{count, counted, per_second, time};
use crate::records::Record;

/// How many records of an answer are shown, and how much of a line.
const SHOWN_MAX: usize = 3;
const LINE_CHARS_MAX: usize = 94;

const TOKYO: &str = "JP/Tokyo/1850147";

pub(super) fn run(out: &mut impl Write, db: &Db, data: &DataSet) -> Result<(), Failure> {
    get(out, db, data, TOKYO)?;
    prefix(out, db, data, "DE/Ber")?;
    prefix(out, db, data, "US/Springfield/")?;
    reverse(out, db, data, "FR/Saint-")?;
    everything(out, db, data)?;
    snapshot(out, db, data)
}

fn get(out: &mut impl Write, db: &Db, data: &DataSet, key: &str) -> Result<(), Failure> {
    let begun = Instant::now();
    let value = db.get(key)?;
    let taken = begun.elapsed();
    let expected = data.in_order(data.len()).find(|record| record.key == key.as_bytes());
    if value.as_deref() != expected.map(|record| &*record.value) {
        return Err(broken(format!("get {key} did not give what was put")));
    }
    head(out, &format!("get {key}"), if value.is_some() { "found" } else { "no such key" }, taken)?;
    match value {
        Some(value) => line(out, &show(&value)),
        None => Ok(()),
    }
}

fn prefix(out: &mut impl Write, db: &Db, data: &DataSet, prefix: &str) -> Result<(), Failure> {
    let begun = Instant::now();
    let found = db.scan_prefix(prefix).collect::<Result<Vec<_>, _>>()?;
    let taken = begun.elapsed();
    let found = records(found);
    let expected = data.in_order(data.len()).filter(|record| record.key.starts_with(prefix.as_bytes()));
    answer(out, &format!("scan --prefix {prefix}"), &found, expected, taken)
}

fn reverse(out: &mut impl Write, db: &Db, data: &DataSet, prefix: &str) -> Result<(), Failure> {
    let begun = Instant::now();
    let found = db.scan_prefix(prefix).rev().collect::<Result<Vec<_>, _>>()?;
    let taken = begun.elapsed();
    let found = records(found);
    let expected = data.in_order(data.len()).rev().filter(|record| record.key.starts_with(prefix.as_bytes()));
    answer(out, &format!("scan --prefix {prefix} --reverse"), &found, expected, taken)
}

fn everything(out: &mut impl Write, db: &Db, data: &DataSet) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut found = 0;
    for entry in db.scan(..) {
        entry?;
        found += 1;
    }
    let taken = begun.elapsed();
    data.check(db, data.len())?;
    head(out, "scan", &format!("{}, equal to the input", counted(found, "record")), taken)?;
    line(out, &format!("{} records/s", count(per_second(found, taken))))
}

/// A snapshot reads on as if nothing had been written since.
fn snapshot(out: &mut impl Write, db: &Db, data: &DataSet) -> Result<(), Failure> {
    let springfields = || data.in_order(data.len()).filter(|record| record.key.starts_with(b"US/"));
    let mut batch = WriteBatch::new();
    springfields().for_each(|record| {
        batch.delete(&record.key);
    });
    batch.put(TOKYO, "moved");

    let deleted = springfields().count();
    let snapshot = db.snapshot();
    let begun = Instant::now();
    db.write(batch)?;
    let taken = begun.elapsed();
    let now = db.scan_prefix("US/").count();
    let then = snapshot.scan_prefix("US/").collect::<Result<Vec<_>, _>>()?;
    let then_is_right = records(then).iter().eq(springfields());
    let tokyo = data.in_order(data.len()).find(|record| record.key == TOKYO.as_bytes());
    let tokyo_is_right = snapshot.get(TOKYO)?.as_deref() == tokyo.map(|record| &*record.value);
    if now != 0 || !then_is_right || !tokyo_is_right || db.get(TOKYO)?.as_deref() != Some(b"moved") {
        return Err(broken("a snapshot and the store do not each show what they should"));
    }
    head(out, "a snapshot beside a write", "sees the store as it was", taken)?;
    line(
        out,
        &format!(
            "{} deleted and Tokyo overwritten, in one atomic batch",
            counted(deleted as u64, "US record")
        ),
    )?;
    line(out, &format!("the store reads {now} of them, the snapshot still {}", count(deleted as u64)))?;

    // As it was, for whoever tries the store afterwards.
    let mut batch = WriteBatch::new();
    for record in springfields().chain(tokyo) {
        batch.put(&record.key, &record.value);
    }
    if tokyo.is_none() {
        batch.delete(TOKYO);
    }
    db.write(batch)?;
    data.check(db, data.len())
}

fn answer<'a>(
    out: &mut impl Write,
    query: &str,
    found: &[Record],
    expected: impl Iterator<Item = &'a Record>,
    taken: Duration,
) -> Result<(), Failure> {
    if !found.iter().eq(expected) {
        return Err(broken(format!("{query} did not give what was put")));
    }
    head(out, query, &counted(found.len() as u64, "record"), taken)?;
    for record in found.iter().take(SHOWN_MAX) {
        line(out, &format!("{}  {}", show(&record.key), show(&record.value)))?;
    }
    if found.len() > SHOWN_MAX { line(out, "…") } else { Ok(()) }
}

fn records(entries: Vec<(lsmkit::Value, lsmkit::Value)>) -> Vec<Record> {
    entries.into_iter().map(|(key, value)| Record { key: key.into(), value: value.into() }).collect()
}

fn head(out: &mut impl Write, query: &str, result: &str, taken: Duration) -> Result<(), Failure> {
    Ok(writeln!(out, "   {query}: {result}, {}", time(taken))?)
}

fn line(out: &mut impl Write, text: &str) -> Result<(), Failure> {
    let mut shown: String = text.chars().take(LINE_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    Ok(writeln!(out, "      {shown}")?)
}
