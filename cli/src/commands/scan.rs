//! `lsmkit scan`

use std::io::Write;

use crate::args::Scan;
use crate::exit::Failure;
use crate::output::stdout;
use crate::records::write_pair;
use crate::store::{self, IfMissing, Span};

pub(super) fn run(args: &Scan) -> Result<(), Failure> {
    let notation = args.bytes.notation();
    let span = Span::of(&args.span, notation)?;
    let db = store::read(&args.store)?;
    let scan = store::keyspace(&db, &args.keyspace.name, IfMissing::Fail)?.scan(span);
    let entries: Box<dyn Iterator<Item = _>> =
        if args.reverse { Box::new(scan.rev()) } else { Box::new(scan) };
    let limit = args.limit.map_or(usize::MAX, |limit| limit as usize);

    let mut out = stdout();
    let (mut text, mut json) = (String::new(), Vec::new());
    for entry in entries.take(limit) {
        let entry = entry.inspect_err(|_| {
            // What was read before the error is right, and is shown.
            let _ = out.flush();
        });
        let (key, value) = entry?;
        let value = (!args.keys_only).then_some(&*value);
        if args.json {
            json.clear();
            write_pair(&mut json, &key, value, args.bytes.hex);
            json.push(b'\n');
            out.write_all(&json)?;
        } else {
            text.clear();
            notation.append(&mut text, &key);
            if let Some(value) = value {
                text.push('\t');
                notation.append(&mut text, value);
            }
            text.push('\n');
            out.write_all(text.as_bytes())?;
        }
    }
    Ok(out.flush()?)
}
