//! The process that the tour kills: loads, and says what is acknowledged.

use std::io::{self, Write};

use lsmkit::Options;

use super::data;
use crate::args::TourLoad;
use crate::exit::Failure;
use crate::load::{Plan, load};
use crate::store::{DEFAULT_KEYSPACE, IfMissing, keyspace};

/// Small, so that flushes and compactions are among what is killed.
const MEMTABLE_BYTES: usize = 2 << 20;

/// Writes the number of acknowledged records, a line each time the store has taken a batch.
pub(crate) fn run(args: &TourLoad) -> Result<(), Failure> {
    let (mut source, _) = data::open(&args.data)?;
    let db = Options::new().memtable_bytes(MEMTABLE_BYTES).open(&args.store)?;
    let keyspace = keyspace(&db, DEFAULT_KEYSPACE, IfMissing::Make)?;
    let plan = Plan { batch_records: args.batch_records, limit: Some(args.records), ..Plan::default() };
    let mut out = io::stdout().lock();
    let loaded = load(&mut source, &db, &keyspace, &plan, |records| {
        // One write of a whole line: it reaches the pipe before anything else happens, or not at all.
        out.write_all(format!("{records}\n").as_bytes())?;
        Ok(out.flush()?)
    })?;
    data::check_whole(&args.data, loaded.stopped.as_ref())?;
    drop(keyspace);
    Ok(db.close()?)
}
