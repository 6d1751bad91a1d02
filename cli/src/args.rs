//! The command line. What stands here is what `--help` says.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand, ValueEnum};

use crate::bytes::Notation;
use crate::records::Format;
use crate::store::DEFAULT_KEYSPACE;

const MANUAL: &str = r"Keys and values:
  Any bytes. What is printable UTF-8 is shown, and given, as it is; a backslash begins the rest:
  \\ a backslash, \t tab, \n line feed, \r carriage return, \xNN any byte. What is shown can be given
  back. With --hex keys and values are shown, and given, in hexadecimal digits, two a byte.

Reading and writing:
  get, scan, export, stats, verify, repair --dry-run and keyspaces open the store for reading and change nothing; any
  number of them may run at once. The others, and keyspaces --drop, have the store to themselves
  while they run, and close it before they end, which makes durable all they wrote.

Exit codes:
  0  done; also where whoever read the output closed the pipe
  1  get: there is no such key
  2  the command line makes no sense
  3  the store can't be opened, or the system refused an operation on it
  4  a record to import or export does not fit, or the input can't be read
  5  bytes of the store are damaged; the error names file and offset (`lsmkit repair`)
  6  tour: a promise was broken";

/// A key-value store on the command line.
#[derive(Parser, Debug)]
#[command(name = "lsmkit", version, after_help = "`lsmkit --help` tells of keys, values and exit codes.", after_long_help = MANUAL)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Tour(Tour),
    Get(Get),
    Put(Put),
    Delete(Delete),
    Scan(Scan),
    Import(Import),
    Export(Export),
    Stats(Stats),
    Verify(Verify),
    Repair(Repair),
    Compact(Compact),
    Keyspaces(Keyspaces),
    #[command(hide = true)]
    TourLoad(TourLoad),
}

/// Which keyspace.
#[derive(Group, Debug)]
pub(crate) struct InKeyspace {
    /// The keyspace
    #[arg(long = "keyspace", value_name = "NAME", default_value = DEFAULT_KEYSPACE)]
    pub(crate) name: String,
}

/// How keys and values are given and shown.
#[derive(Group, Clone, Copy, Debug)]
pub(crate) struct Bytes {
    /// Give and show keys and values in hexadecimal digits
    #[arg(long)]
    pub(crate) hex: bool,
}

impl Bytes {
    pub(crate) fn notation(self) -> Notation {
        if self.hex { Notation::Hex } else { Notation::Escaped }
    }
}

/// Which keys.
#[derive(Group, Debug)]
pub(crate) struct Span {
    /// Only keys that begin with this
    #[arg(long, value_name = "KEY", conflicts_with_all = ["from", "to"])]
    pub(crate) prefix: Option<OsString>,
    /// Only keys from this one on
    #[arg(long, value_name = "KEY")]
    pub(crate) from: Option<OsString>,
    /// Only keys before this one
    #[arg(long, value_name = "KEY")]
    pub(crate) to: Option<OsString>,
}

/// What a write survives once the store has taken it.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Durability {
    /// Nothing, until the command ends
    None,
    /// The death of the process
    Buffered,
    /// A power failure
    Synced,
}

/// Load a data set, query it, kill a load with SIGKILL, and check that nothing acknowledged is lost
///
/// Loads 234,908 places of the world and queries them; then, several times, has another process
/// load them again, kills it at a random moment, opens its store and compares all it holds with
/// what was acknowledged. Ends with 6 where a promise is broken. The store remains, to be tried.
#[derive(Parser, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Tour {
    /// Make the stores in this directory, which must be empty or missing [default: a new temporary one]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Load only the first N records
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(100..))]
    pub(crate) records: Option<u64>,
    /// How many loads to kill
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) kills: u32,
    /// Another data set: TSV, CSV or NDJSON with a column `key`, every key once
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
    /// Make the moments of the kills repeatable, as far as the machine lets them be
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

/// The child of the tour: loads, and says on standard output what is acknowledged.
#[derive(Parser, Debug)]
pub(crate) struct TourLoad {
    pub(crate) store: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) records: u64,
    pub(crate) batch_records: usize,
}

/// Show the value of a key
#[derive(Parser, Debug)]
pub(crate) struct Get {
    /// The directory of the store
    pub(crate) store: PathBuf,
    /// The key
    #[arg(allow_hyphen_values = true)]
    pub(crate) key: OsString,
    #[command(flatten)]
    pub(crate) keyspace: InKeyspace,
    #[command(flatten)]
    pub(crate) bytes: Bytes,
    /// Show {"key":…,"value":…}, with `_hex` names for what is no text
    #[arg(long, conflicts_with = "raw")]
    pub(crate) json: bool,
    /// Write the bytes of the value as they are, without a line end
    #[arg(long)]
    pub(crate) raw: bool,
}

/// Set a key; makes the store and the keyspace where there are none
#[derive(Parser, Debug)]
pub(crate) struct Put {
    /// The directory of the store
    pub(crate) store: PathBuf,
    /// The key
    #[arg(allow_hyphen_values = true)]
    pub(crate) key: OsString,
    /// The value; left out, standard input is the value, as it is
    #[arg(allow_hyphen_values = true)]
    pub(crate) value: Option<OsString>,
    #[command(flatten)]
    pub(crate) keyspace: InKeyspace,
    #[command(flatten)]
    pub(crate) bytes: Bytes,
    /// What the write survives as soon as the store has taken it
    #[arg(long, value_enum, default_value_t = Durability::Buffered)]
    pub(crate) durability: Durability,
}

/// Remove a key, whether it is there or not
#[derive(Parser, Debug)]
pub(crate) struct Delete {
    /// The directory of the store
    pub(crate) store: PathBuf,
    /// The key
    #[arg(allow_hyphen_values = true)]
    pub(crate) key: OsString,
    #[command(flatten)]
    pub(crate) keyspace: InKeyspace,
    #[command(flatten)]
    pub(crate) bytes: Bytes,
    /// What the write survives as soon as the store has taken it
    #[arg(long, value_enum, default_value_t = Durability::Buffered)]
    pub(crate) durability: Durability,
}

/// Show keys and values in order: key, tab, value
#[derive(Parser, Debug)]
pub(crate) struct Scan {
    /// The directory of the store
    pub(crate) store: PathBuf,
    #[command(flatten)]
    pub(crate) span: Span,
    /// From the last key to the first
    #[arg(long)]
    pub(crate) reverse: bool,
    /// Show at most this many
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Show the keys alone
    #[arg(long)]
    pub(crate) keys_only: bool,
    #[command(flatten)]
    pub(crate) keyspace: InKeyspace,
    #[command(flatten)]
    pub(crate) bytes: Bytes,
    /// Show an object a line, {"key":…,"value":…}, with `_hex` names for what is no text
    #[arg(long)]
    pub(crate) json: bool,
}

const IMPORT_MANUAL: &str = r#"Columns:
  The key is the column `key`, or what --key names; without a header the first. Where the only other
  column is `value` (without a header: where there are two columns), that is the value. Else the value
  is a compact JSON object of all other columns, in their order: strings in TSV and CSV, the members
  as they were written in NDJSON. Columns `key_hex`, `value_hex`, and in TSV and CSV `key_escaped`,
  `value_escaped`, give bytes as `lsmkit --help` tells; all others are taken as they are. In NDJSON
  `value` may be any JSON: of a string its text is taken, of all else the JSON. So whatever `export`
  writes, `import` reads back as the same store.

What is kept:
  Records are written in batches of 1,000 or 1 MiB. A bad record ends the import with exit code 4: all
  records before it are kept and durable, none after it is read. With --skip-bad it is reported and
  passed over. At its end, well or not, an import syncs: what it reports is safe from a power failure.
  Where the log then holds more than 1 MiB it is written to tables, which later commands open faster.
  A later record of the same key replaces an earlier one, so an import can simply be repeated."#;

/// Load records from a file; makes the store and the keyspace where there are none
///
/// Reads as a stream, in little memory. Gzip is recognised and decompressed on the way.
#[derive(Parser, Debug)]
#[command(after_long_help = IMPORT_MANUAL, after_help = "`lsmkit import --help` tells which columns make up a record.")]
pub(crate) struct Import {
    /// The directory of the store
    pub(crate) store: PathBuf,
    /// The file; `-` is standard input
    pub(crate) file: PathBuf,
    /// The format [default: by the end of the file's name, .gz aside]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// The column of the key, by name or by place from 1
    #[arg(long, value_name = "COLUMN")]
    pub(crate) key: Option<String>,
    /// Take this column alone as the value, by name or by place from 1
    #[arg(long, value_name = "COLUMN", conflicts_with = "rest")]
    pub(crate) value: Option<String>,
    /// Make an object of the other columns even where the only one is called `value`
    #[arg(long)]
    pub(crate) rest: bool,
    /// Whether the first line of TSV or CSV names the columns
    #[arg(long, value_enum, default_value_t = Header::Yes)]
    pub(crate) header: Header,
    /// Pass over records that can't be read, and report the first ten
    #[arg(long)]
    pub(crate) skip_bad: bool,
    /// Stop after this many records
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    #[command(flatten)]
    pub(crate) keyspace: InKeyspace,
    /// What a batch survives as soon as the store has taken it
    #[arg(long, value_enum, default_value_t = Durability::Buffered)]
    pub(crate) durability: Durability,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Header {
    /// It does
    Yes,
    /// It is a record; columns are called 1, 2, 3, …
    No,
}

const EXPORT_MANUAL: &str = r#"Formats:
  ndjson  {"key":…,"value":…}, with `key_hex` or `value_hex` for bytes that are no text
  tsv     columns `key_escaped` and `value_escaped`, in the notation of `lsmkit --help`
  csv     the same, quoted where need be
  With --hex the columns are `key_hex` and `value_hex` in every format. The names tell `import` how to
  read them: the same store comes back.

Tables:
  With --columns the members of values that are JSON objects (as `import` makes them) become columns.
  In NDJSON a value that would not return as it is stays in `value`. In TSV and CSV the first record
  sets the columns, and a record that does not fit ends the export with exit code 4."#;

/// Write records to a file or to standard output
///
/// Reads one moment of the store as a stream, in little memory.
#[derive(Parser, Debug)]
#[command(after_long_help = EXPORT_MANUAL, after_help = "`lsmkit export --help` tells what the formats look like.")]
pub(crate) struct Export {
    /// The directory of the store
    pub(crate) store: PathBuf,
    /// Write to this file, which appears when it is whole; compressed if it ends in .gz
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The format [default: by the end of the file's name, else ndjson]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// Make columns of values that are JSON objects
    #[arg(long, conflicts_with = "hex")]
    pub(crate) columns: bool,
    #[command(flatten)]
    pub(crate) span: Span,
    #[command(flatten)]
    pub(crate) keyspace: InKeyspace,
    #[command(flatten)]
    pub(crate) bytes: Bytes,
}

/// Show what a store holds and how it is laid out
#[derive(Parser, Debug)]
pub(crate) struct Stats {
    /// The directory of the store
    pub(crate) store: PathBuf,
    /// Show it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Read every byte of a store and check it: checksums, order, bounds, counts, filters
///
/// The first damage ends it with exit code 5 and is named by file and offset.
#[derive(Parser, Debug)]
pub(crate) struct Verify {
    /// The directory of the store
    pub(crate) store: PathBuf,
    /// Show it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Make a damaged store one that opens, with all that can still be read
///
/// Copy the directory first, if you can, and prefer a backup, if there is one.
///
/// Of a damaged table every block that is sound is kept; what is lost is told by its keys. An older value of such a key may come to light, or one
/// that had been deleted. Of a damaged log every record that is whole is kept, those behind the damage too. Where no manifest can be read,
/// one is made anew of all tables and the log; what had been deleted may then be back. What could not be read is not
/// destroyed: such files get names that end in .damaged, or, segments of the log, in .torn.
#[derive(Parser, Debug)]
pub(crate) struct Repair {
    /// The directory of the store
    pub(crate) store: PathBuf,
    /// Only tell what is damaged and what would be kept, with exit code 5 where something is
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Show it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Merge all versions of the keys, and forget those that nobody can see
///
/// The whole store, or with --keyspace that keyspace alone. A range is one of the default keyspace,
/// where --keyspace names no other.
#[derive(Parser, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Compact {
    /// The directory of the store
    pub(crate) store: PathBuf,
    #[command(flatten)]
    pub(crate) span: Span,
    /// The keyspace
    #[arg(long, value_name = "NAME")]
    pub(crate) keyspace: Option<String>,
    #[command(flatten)]
    pub(crate) bytes: Bytes,
}

/// List the keyspaces, or drop one
#[derive(Parser, Debug)]
pub(crate) struct Keyspaces {
    /// The directory of the store
    pub(crate) store: PathBuf,
    /// Drop this keyspace with all it holds
    #[arg(long, value_name = "NAME")]
    pub(crate) drop: Option<String>,
}
