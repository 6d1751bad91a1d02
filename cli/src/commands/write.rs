//! `lsmkit put` and `lsmkit delete`

use std::io::Read;

use lsmkit::MAX_VALUE_BYTES;

use crate::args::{Delete, Put};
use crate::exit::{Exit, Failure};
use crate::store::{self, IfMissing};

pub(super) fn put(args: &Put) -> Result<(), Failure> {
    let notation = args.bytes.notation();
    let key = notation.argument(&args.key)?;
    // Before the store is opened: nobody else can use it while somebody types.
    let value = match &args.value {
        Some(value) => notation.argument(value)?,
        None => value_from_stdin()?,
    };
    let db = store::write_or_make(&args.store)?;
    let keyspace = store::keyspace(&db, &args.keyspace.name, IfMissing::Make)?;
    keyspace.put_with(key, value, args.durability.into())?;
    Ok(db.close()?)
}

pub(super) fn delete(args: &Delete) -> Result<(), Failure> {
    let key = args.bytes.notation().argument(&args.key)?;
    let db = store::write(&args.store)?;
    let keyspace = store::keyspace(&db, &args.keyspace.name, IfMissing::Fail)?;
    keyspace.delete_with(key, args.durability.into())?;
    Ok(db.close()?)
}

/// One byte more than a value may have is enough to tell that it is too long.
fn value_from_stdin() -> Result<Vec<u8>, Failure> {
    let mut value = Vec::new();
    std::io::stdin()
        .lock()
        .take(MAX_VALUE_BYTES as u64 + 1)
        .read_to_end(&mut value)
        .map_err(|e| Failure::new(Exit::BadRecord, format!("standard input can't be read: {e}")))?;
    Ok(value)
}
