//! `lsmkit compact`

use std::io::Write;
use std::time::Instant;

use crate::args::Compact;
use crate::exit::Failure;
use crate::output::{counted, size, stdout, time};
use crate::store::{self, DEFAULT_KEYSPACE, IfMissing, Span};

pub(super) fn run(args: &Compact) -> Result<(), Failure> {
    let span = Span::of(&args.span, args.bytes.notation())?;
    let is_range = args.span.prefix.is_some() || args.span.from.is_some() || args.span.to.is_some();
    let db = store::write(&args.store)?;
    let names = match &args.keyspace {
        Some(name) => vec![name.clone()],
        None if is_range => vec![DEFAULT_KEYSPACE.to_owned()],
        None => db.keyspaces(),
    };
    let tables = |db: &lsmkit::Db| {
        let stats = db.stats();
        let sums =
            stats.keyspaces.iter().filter(|keyspace| names.contains(&keyspace.name)).map(super::stats::sums);
        let (bytes, tables, entries) = sums.fold((0, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2));
        format!("{} of {}, {}", counted(tables, "table"), size(bytes), super::entries(entries))
    };
    let begun = Instant::now();
    let keyspaces: Vec<_> =
        names.iter().map(|name| store::keyspace(&db, name, IfMissing::Fail)).collect::<Result<_, _>>()?;
    // What is in memory first, so that what is told of before and after is the same data.
    db.flush()?;
    let before = tables(&db);
    for keyspace in keyspaces {
        keyspace.compact(span.clone())?;
    }
    let after = tables(&db);
    db.close()?;

    let mut out = stdout();
    writeln!(out, "before  {before}")?;
    writeln!(out, "after   {after}")?;
    writeln!(out, "compacted {} in {}", names.join(", "), time(begun.elapsed()))?;
    Ok(out.flush()?)
}
