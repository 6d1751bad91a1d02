//! `lsmkit tour`: the whole path on real data, every answer compared with the input.

pub(crate) mod child;
mod data;
mod kill;
mod queries;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use lsmkit::Db;

use self::data::DataSet;
use crate::args::Tour;
use crate::commands::write_table;
use crate::exit::{Exit, Failure};
use crate::load::{Plan, load};
use crate::output::{count, counted, per_second, size, stdout, time};
use crate::store::{self, DEFAULT_KEYSPACE, IfMissing};

/// Where the data set is in the repository.
const PLACES: &str = "data/places.tsv.gz";

pub(crate) fn run(args: &Tour) -> Result<(), Failure> {
    let begun = Instant::now();
    let data_path = data_path(args)?;
    // Before any directory is made.
    data::open(&data_path)?;
    let dir = directory(args)?;
    let store_path = dir.join("places");
    let mut out = stdout();

    writeln!(out, "1  Load {}\n", shown(&data_path).display())?;
    if args.data.is_none() {
        writeln!(out, "   Places of the world, from GeoNames (geonames.org), CC BY 4.0")?;
    }
    out.flush()?;
    let db = store::write_or_make(&store_path)?;
    load_all(&mut out, &db, &data_path, args.records)?;
    // Read anew, apart from the store: what every answer is compared with.
    let data = DataSet::read(&data_path, args.records)?;
    out.flush()?;

    writeln!(out, "\n2  Query, every answer compared with the input\n")?;
    queries::run(&mut out, &db, &data)?;
    out.flush()?;

    kill::run(&mut out, &data, &data_path, &dir, args)?;

    writeln!(out, "\n4  What is on disk\n")?;
    let mut table = Vec::new();
    write_table(&mut table, &db.stats(), store::size_on_disk(&store_path))?;
    for line in String::from_utf8_lossy(&table).lines() {
        writeln!(out, "{}", format!("   {line}").trim_end())?;
    }
    let verified = db.verify()?;
    writeln!(out, "   verified: {} of {}", counted(verified.tables, "table"), size(verified.size_bytes))?;
    db.close()?;

    let program = std::env::args().next().unwrap_or_else(|| "lsmkit".to_owned());
    let store = store_path.display();
    writeln!(out, "\nEverything was as promised, in {}. The store remains; try", time(begun.elapsed()))?;
    writeln!(out)?;
    writeln!(out, "   {program} scan {store} --prefix IS/ --limit 5")?;
    writeln!(out, "   {program} export {store} --columns --prefix US/Springfield/ --format csv")?;
    writeln!(out, "   {program} verify {store}")?;
    Ok(out.flush()?)
}

/// Paths below the working directory are shown without it.
fn shown(path: &Path) -> &Path {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path)
}

/// Loads the data set the way `import` does.
fn load_all(out: &mut impl Write, db: &Db, path: &Path, records: Option<u64>) -> Result<(), Failure> {
    let (mut source, counts) = data::open(path)?;
    let keyspace = store::keyspace(db, DEFAULT_KEYSPACE, IfMissing::Make)?;
    let plan = Plan { limit: records, ..Plan::default() };
    let begun = Instant::now();
    let loaded = load(&mut source, db, &keyspace, &plan, |_| Ok(()))?;
    let taken = begun.elapsed();
    data::check_whole(path, loaded.stopped.as_ref())?;
    writeln!(
        out,
        "   {} in {}, decompressed, parsed, logged and synced: {} records/s",
        counted(loaded.records, "record"),
        time(taken),
        count(per_second(loaded.records, taken)),
    )?;
    let begun = Instant::now();
    db.flush()?;
    db.settle()?;
    let tables: u64 =
        db.stats().keyspaces.iter().flat_map(|keyspace| &keyspace.levels).map(|l| l.size_bytes).sum();
    writeln!(
        out,
        "   {} of keys and values ({} of text) written to {} of tables in {}",
        size(loaded.size_bytes),
        size(counts.text_bytes()),
        size(tables),
        time(begun.elapsed()),
    )?;
    Ok(())
}

/// The data set of the repository this was built from, or that the program stands in.
fn data_path(args: &Tour) -> Result<PathBuf, Failure> {
    if let Some(path) = &args.data {
        return Ok(path.clone());
    }
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).join(PLACES);
    let program = std::env::current_exe().unwrap_or_default();
    let beside = program.ancestors().map(|dir| dir.join("cli").join(PLACES));
    std::iter::once(built_from).chain(beside).find(|path| path.is_file()).ok_or_else(|| {
        Failure::usage(format!("the data set cli/{PLACES} is not where this program was built"))
            .next("name it with --data FILE; it is in the repository of lsmkit")
    })
}

fn directory(args: &Tour) -> Result<PathBuf, Failure> {
    let cannot = |path: &Path, e: std::io::Error| {
        Failure::new(Exit::Store, format!("{}: {e}", path.display()))
            .next("name another directory with --dir")
    };
    let Some(dir) = &args.dir else {
        let parent = std::env::temp_dir();
        let made =
            tempfile::Builder::new().prefix("lsmkit-tour-").tempdir().map_err(|e| cannot(&parent, e))?;
        return Ok(made.keep());
    };
    std::fs::create_dir_all(dir).map_err(|e| cannot(dir, e))?;
    if std::fs::read_dir(dir).map_err(|e| cannot(dir, e))?.next().is_some() {
        return Err(Failure::usage(format!("{} is not empty", dir.display()))
            .next("the tour makes fresh stores: name an empty directory, or one that is not there yet"));
    }
    Ok(dir.clone())
}
