//! `lsmkit verify`

use std::io::Write;
use std::time::Instant;

use lsmkit::{Error, FaultKind, Options};
use serde_json::json;

use crate::args::Verify;
use crate::exit::Failure;
use crate::output::{counted, size, stdout, time};

pub(super) fn run(args: &Verify) -> Result<(), Failure> {
    let begun = Instant::now();
    // Opening reads the manifest and the log, every checksum of them.
    let opened = Options::new().open_read_only(&args.store);
    let checked = opened.and_then(|db| Ok((db.stats().log_bytes, db.verify()?, db)));
    if let (Err(Error::Corrupt(fault)), true) = (&checked, args.json)
        && let FaultKind::Corrupt { path, offset, what } = fault.kind()
    {
        let report =
            json!({ "sound": false, "file": path.to_string_lossy(), "offset": offset, "what": what });
        writeln!(stdout(), "{report}")?;
    }
    let (log_bytes, verified, db) = checked?;
    let taken = begun.elapsed();

    let mut out = stdout();
    if args.json {
        let report = json!({
            "sound": true,
            "tables": verified.tables,
            "table_bytes": verified.size_bytes,
            "table_entries": verified.entries,
            "log_bytes": log_bytes,
            "keyspaces": db.keyspaces().len(),
        });
        writeln!(out, "{report}")?;
    } else {
        writeln!(out, "manifest  sound, {}", counted(db.keyspaces().len() as u64, "keyspace"))?;
        writeln!(out, "log       sound, {}", size(log_bytes))?;
        writeln!(
            out,
            "tables    sound, {} of {} with {}",
            counted(verified.tables, "table"),
            size(verified.size_bytes),
            super::entries(verified.entries),
        )?;
        writeln!(out, "all bytes read and checked in {}", time(taken))?;
    }
    Ok(out.flush()?)
}
