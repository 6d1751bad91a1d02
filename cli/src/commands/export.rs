//! `lsmkit export`

use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use lsmkit::Scan;
use tempfile::NamedTempFile;

use crate::args::Export;
use crate::exit::{Exit, Failure};
use crate::output::{counted, note, stdout};
use crate::records::{Format, Shape, Sink, is_gzip_name};
use crate::store::{self, IfMissing, Span};

pub(super) fn run(args: &Export) -> Result<(), Failure> {
    let span = Span::of(&args.span, args.bytes.notation())?;
    let format = match (args.format, &args.output) {
        (Some(format), _) => format,
        (None, None) => Format::Ndjson,
        (None, Some(path)) => Format::of(path).ok_or_else(|| {
            Failure::usage(format!("the name {} does not tell a format", path.display()))
                .next("say --format ndjson, tsv or csv")
        })?,
    };
    let shape = if args.columns { Shape::Table } else { Shape::Pairs { hex: args.bytes.hex } };
    let db = store::read(&args.store)?;
    let scan = store::keyspace(&db, &args.keyspace.name, IfMissing::Fail)?.scan(span);
    match &args.output {
        None => {
            copy(scan, Sink::new(stdout(), format, shape))?;
            Ok(())
        }
        Some(path) => to_file(scan, path, format, shape),
    }
}

/// Writes beside the file and renames at the end, so that nobody takes half an export for a whole one.
fn to_file(scan: Scan, path: &Path, format: Format, shape: Shape) -> Result<(), Failure> {
    let cannot = |e: io::Error| {
        Failure::new(Exit::Store, format!("{} can't be written: {e}", path.display()))
            .next("check the path and the room on the file system, then export again")
    };
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = NamedTempFile::new_in(dir).map_err(cannot)?;
    let out = BufWriter::with_capacity(128 << 10, file);
    let (written, out) = if is_gzip_name(path) {
        let (written, out) =
            copy(scan, Sink::new(GzEncoder::new(out, Compression::default()), format, shape))?;
        (written, out.finish().map_err(cannot)?)
    } else {
        copy(scan, Sink::new(out, format, shape))?
    };
    let file = out.into_inner().map_err(|e| cannot(e.into_error()))?;
    file.as_file().sync_all().map_err(cannot)?;
    file.persist(path).map_err(|e| cannot(e.error))?;
    note(format_args!("exported {} to {}", counted(written, "record"), path.display()));
    Ok(())
}

fn copy<W: Write>(scan: Scan, mut sink: Sink<W>) -> Result<(u64, W), Failure> {
    let mut written = 0;
    for entry in scan {
        let (key, value) = entry?;
        sink.write(&key, &value)?;
        written += 1;
    }
    Ok((written, sink.finish()?))
}
