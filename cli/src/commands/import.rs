//! `lsmkit import`

use std::io::Write;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use crate::args::{Header, Import};
use crate::exit::Failure;
use crate::load::{Loaded, OnBad, Plan, load};
use crate::output::{count, counted, note, per_second, size, stdout, time};
use crate::records::{Columns, Format, Input, ReadError, Source, ValueColumn};
use crate::store::{self, IfMissing};

/// A longer log is written to tables at the end, because every later command would read it anew.
const LOG_BYTES_LEFT_MAX: u64 = 1 << 20;

pub(super) fn run(args: &Import) -> Result<(), Failure> {
    let Some(format) = args.format.or_else(|| Format::of(&args.file)) else {
        let what = format!("the name {} does not tell a format", args.file.display());
        return Err(Failure::usage(what).next("say --format ndjson, tsv or csv"));
    };
    // The input first: where it can't be read, no store is made.
    let input = Input::open(&args.file)?;
    let (name, counts) = (input.name().to_owned(), input.counts());
    let progress = progress_bar(input.size_bytes());
    let mut source = Source::new(input, format, &columns(args))?;
    let db = store::write_or_make(&args.store)?;
    let keyspace = store::keyspace(&db, &args.keyspace.name, IfMissing::Make)?;
    let plan = Plan {
        durability: args.durability.into(),
        on_bad: if args.skip_bad { OnBad::Skip } else { OnBad::Stop },
        limit: args.limit,
        ..Plan::default()
    };
    let begun = Instant::now();
    let loaded = load(&mut source, &db, &keyspace, &plan, |_| {
        progress.set_position(counts.stored_bytes());
        Ok(())
    })?;
    if db.stats().log_bytes > LOG_BYTES_LEFT_MAX {
        db.flush()?;
    }
    let taken = begun.elapsed();
    progress.finish_and_clear();
    drop(keyspace);
    db.close()?;

    for (line, what) in &loaded.reported {
        note(format_args!("{name}: line {line}: {what}"));
    }
    let passed_over = match loaded.bad {
        0 => String::new(),
        bad => format!("; {} passed over", counted(bad, "bad record")),
    };
    let mut out = stdout();
    writeln!(
        out,
        "imported {} ({} of {format}) in {}: {} records/s, {}/s{passed_over}",
        counted(loaded.records, "record"),
        size(counts.text_bytes()),
        time(taken),
        count(per_second(loaded.records, taken)),
        size(per_second(counts.text_bytes(), taken)),
    )?;
    out.flush()?;
    match &loaded.stopped {
        None => Ok(()),
        Some(error) => Err(stopped(&name, &loaded, error)),
    }
}

fn columns(args: &Import) -> Columns {
    let value = match &args.value {
        Some(name) => ValueColumn::Named(name.clone()),
        None if args.rest => ValueColumn::Rest,
        None => ValueColumn::Auto,
    };
    Columns { key: args.key.clone(), value, header: args.header == Header::Yes }
}

fn stopped(name: &str, loaded: &Loaded, error: &ReadError) -> Failure {
    let kept = format!(
        "the {} before it {} kept and durable; nothing after it was read",
        counted(loaded.records, "record"),
        if loaded.records == 1 { "is" } else { "are" },
    );
    match error {
        ReadError::Bad { line, what } => {
            Failure::bad_record(format!("{name}: line {line}: {what}\n  {kept}"))
                .next("mend the line and import again, or pass over bad records with --skip-bad")
        }
        ReadError::Stopped { line, what } => Failure::bad_record(format!(
            "{name}: from line {line} on the input can't be read: {what}\n  {kept}"
        ))
        .next("get the input whole and import again"),
    }
}

/// Drawn on standard error, and only where that is a terminal.
fn progress_bar(size_bytes: Option<u64>) -> ProgressBar {
    let (bar, template) = match size_bytes {
        Some(size) => (ProgressBar::new(size), "{wide_bar} {percent:>3} %  {bytes_per_sec}  {eta} left"),
        None => (ProgressBar::no_length(), "{spinner} {bytes} read, {bytes_per_sec}"),
    };
    let style = ProgressStyle::with_template(template).expect("because the template is one of the two above");
    bar.with_style(style)
}
