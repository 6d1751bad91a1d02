//! Loading: from a stream of records to batches in a keyspace. What `import` does, and the tour.

use lsmkit::{Db, Durability, Keyspace, WriteBatch};

use crate::exit::Failure;
use crate::records::{ReadError, Record, Source};

/// How many bad records are reported one by one.
const REPORTED_MAX: usize = 10;

/// How to load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Plan {
    /// A batch is written once it holds this many records …
    pub(crate) batch_records: usize,
    /// … or this many bytes.
    pub(crate) batch_bytes: usize,
    pub(crate) durability: Durability,
    pub(crate) on_bad: OnBad,
    /// Stop after so many records.
    pub(crate) limit: Option<u64>,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            batch_records: 1000,
            batch_bytes: 1 << 20,
            durability: Durability::Buffered,
            on_bad: OnBad::Stop,
            limit: None,
        }
    }
}

/// What to do about a record that can't be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OnBad {
    Stop,
    Skip,
}

/// What was loaded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) records: u64,
    /// The bytes of their keys and values.
    pub(crate) size_bytes: u64,
    /// How many records were passed over.
    pub(crate) bad: u64,
    /// The first of those: line, and what is wrong with it.
    pub(crate) reported: Vec<(u64, String)>,
    /// What ended the load before the end of the input.
    pub(crate) stopped: Option<ReadError>,
}

/// Loads all records of `source` and makes them durable. After every batch, which the store has then
/// taken, `acknowledged` is told how many records that makes.
///
/// # Errors
///
/// Those of the store and of `acknowledged`. A bad record, or an input that ends in an error, is no
/// error here: all before it is durable, and [`Loaded::stopped`] tells.
pub(crate) fn load(
    source: &mut Source,
    db: &Db,
    keyspace: &Keyspace,
    plan: &Plan,
    mut acknowledged: impl FnMut(u64) -> Result<(), Failure>,
) -> Result<Loaded, Failure> {
    let mut loaded = Loaded::default();
    let mut batch = WriteBatch::new();
    let mut record = Record::default();
    while plan.limit.is_none_or(|limit| loaded.records + (batch.len() as u64) < limit) {
        match source.next(&mut record) {
            Ok(None) => break,
            Ok(Some(_)) => {
                batch.put_in(keyspace, &record.key, &record.value);
                loaded.size_bytes += record.size_bytes() as u64;
            }
            Err(ReadError::Bad { line, what }) if plan.on_bad == OnBad::Skip => {
                loaded.bad += 1;
                if loaded.reported.len() < REPORTED_MAX {
                    loaded.reported.push((line, what));
                }
            }
            Err(error) => {
                loaded.stopped = Some(error);
                break;
            }
        }
        if batch.len() >= plan.batch_records || batch.size_bytes() >= plan.batch_bytes {
            write(db, &mut batch, plan, &mut loaded)?;
            acknowledged(loaded.records)?;
        }
    }
    if !batch.is_empty() {
        write(db, &mut batch, plan, &mut loaded)?;
        acknowledged(loaded.records)?;
    }
    match plan.durability {
        // What is in no log becomes durable in tables.
        Durability::None => db.flush()?,
        Durability::Buffered | Durability::Synced => db.sync()?,
    }
    Ok(loaded)
}

fn write(db: &Db, batch: &mut WriteBatch, plan: &Plan, loaded: &mut Loaded) -> Result<(), Failure> {
    let (records, room) = (batch.len() as u64, batch.size_bytes());
    let full = std::mem::replace(batch, WriteBatch::with_capacity(room));
    db.write_with(full, plan.durability).map_err(|error| {
        let kept = crate::output::counted(loaded.records, "record");
        Failure::from(error).after(format_args!("after {kept} that are kept: "))
    })?;
    loaded.records += records;
    Ok(())
}
