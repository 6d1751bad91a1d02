//! `lsmkit get`

use std::io::Write;

use crate::args::Get;
use crate::exit::{Exit, Failure};
use crate::output::stdout;
use crate::records::write_pair;
use crate::store::{self, IfMissing};

pub(super) fn run(args: &Get) -> Result<(), Failure> {
    let notation = args.bytes.notation();
    let key = notation.argument(&args.key)?;
    let db = store::read(&args.store)?;
    let keyspace = store::keyspace(&db, &args.keyspace.name, IfMissing::Fail)?;
    let Some(value) = keyspace.get(&key)? else {
        let what = format!("there is no key {} in the keyspace {:?}", notation.show(&key), keyspace.name());
        return Err(Failure::new(Exit::NotFound, what)
            .next("`lsmkit scan STORE --prefix KEY` shows the keys that begin with some bytes"));
    };
    let mut out = stdout();
    if args.raw {
        out.write_all(&value)?;
    } else if args.json {
        let mut line = Vec::new();
        write_pair(&mut line, &key, Some(&value), args.bytes.hex);
        line.push(b'\n');
        out.write_all(&line)?;
    } else {
        writeln!(out, "{}", notation.show(&value))?;
    }
    Ok(out.flush()?)
}
