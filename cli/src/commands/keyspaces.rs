//! `lsmkit keyspaces`

use std::io::Write;

use crate::args::Keyspaces;
use crate::exit::{Exit, Failure};
use crate::output::stdout;
use crate::store;

pub(super) fn run(args: &Keyspaces) -> Result<(), Failure> {
    if let Some(name) = &args.drop {
        let db = store::write(&args.store)?;
        if !db.drop_keyspace(name)? {
            let what = format!("the store has no keyspace {name:?}");
            return Err(
                Failure::new(Exit::Store, what).next(format!("it has: {}", db.keyspaces().join(", ")))
            );
        }
        return Ok(db.close()?);
    }
    let mut names = store::read(&args.store)?.keyspaces();
    names.sort_unstable();
    let mut out = stdout();
    for name in names {
        // A name may hold line ends and control characters.
        writeln!(out, "{}", crate::bytes::Notation::Escaped.show(name.as_bytes()))?;
    }
    Ok(out.flush()?)
}
