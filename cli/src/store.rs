//! Opening stores and keyspaces for the commands, with errors that help.

use std::ffi::OsStr;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use lsmkit::{Db, Durability, Error, KeyRange, Keyspace, KeyspaceOptions, Options};

use crate::args;
use crate::exit::{Exit, Failure};

/// The name of the keyspace that every store has.
pub(crate) const DEFAULT_KEYSPACE: &str = "default";

/// Opens a store for reading, which changes nothing on disk.
pub(crate) fn read(path: &Path) -> Result<Db, Failure> {
    Ok(Options::new().open_read_only(path)?)
}

/// Opens a store for writing; fails where there is none.
pub(crate) fn write(path: &Path) -> Result<Db, Failure> {
    if !holds_store(path) {
        return Err(Error::NoStore(path.to_path_buf()).into());
    }
    Ok(Options::new().create_if_missing(false).open(path)?)
}

/// Opens a store for writing; makes one where there is nothing.
pub(crate) fn write_or_make(path: &Path) -> Result<Db, Failure> {
    // A mistyped path must not strew a store's files among somebody's own.
    let is_empty = std::fs::read_dir(path).map_or(true, |mut entries| entries.next().is_none());
    if !is_empty && !holds_store(path) {
        let what = format!("{} holds files, but no store", path.display());
        return Err(
            Failure::new(Exit::Store, what).next("name an empty directory, or one that is not there yet")
        );
    }
    Ok(Options::new().open(path)?)
}

/// Whether a store, or the beginning of one, is in the directory. Its lock is the first file that is
/// made; `CURRENT-…` is there even in a copy without the lock.
fn holds_store(path: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(path) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        name == "LOCK" || name.as_encoded_bytes().starts_with(b"CURRENT-")
    })
}

/// What to do about a keyspace that is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum IfMissing {
    Fail,
    Make,
}

/// The keyspace of that name.
pub(crate) fn keyspace(db: &Db, name: &str, if_missing: IfMissing) -> Result<Keyspace, Failure> {
    if if_missing == IfMissing::Fail {
        let names = db.keyspaces();
        if !names.iter().any(|known| known == name) {
            let what = format!("the store has no keyspace {name:?}");
            return Err(Failure::new(Exit::Store, what).next(format!("it has: {}", names.join(", "))));
        }
    }
    Ok(db.keyspace(name, KeyspaceOptions::default())?)
}

/// The keys a command is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Span {
    Prefix(Vec<u8>),
    Between(Bound<Vec<u8>>, Bound<Vec<u8>>),
}

impl Span {
    /// From the options of the command line.
    pub(crate) fn of(span: &args::Span, notation: crate::bytes::Notation) -> Result<Span, Failure> {
        let read = |text: &Option<std::ffi::OsString>| {
            text.as_deref().map(|text: &OsStr| notation.argument(text)).transpose()
        };
        if let Some(prefix) = read(&span.prefix)? {
            return Ok(Span::Prefix(prefix));
        }
        let from = read(&span.from)?.map_or(Bound::Unbounded, Bound::Included);
        let to = read(&span.to)?.map_or(Bound::Unbounded, Bound::Excluded);
        if let (Bound::Included(from), Bound::Excluded(to)) = (&from, &to)
            && from > to
        {
            return Err(Failure::usage("--from is after --to")
                .next("keys are in the order of their bytes; --reverse turns the output round"));
        }
        Ok(Span::Between(from, to))
    }
}

impl KeyRange for Span {
    fn into_bounds(self) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        match self {
            Span::Between(from, to) => (from, to),
            Span::Prefix(prefix) => {
                let end = end_of_prefix(&prefix);
                (Bound::Included(prefix), end)
            }
        }
    }
}

/// The prefix without its trailing 0xff bytes, its last byte one greater, comes after every key that
/// begins with the prefix and after no other that comes after those.
fn end_of_prefix(prefix: &[u8]) -> Bound<Vec<u8>> {
    let Some(last) = prefix.iter().rposition(|byte| *byte != 0xff) else { return Bound::Unbounded };
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Bound::Excluded(end)
}

impl From<args::Durability> for Durability {
    fn from(durability: args::Durability) -> Durability {
        match durability {
            args::Durability::None => Durability::None,
            args::Durability::Buffered => Durability::Buffered,
            args::Durability::Synced => Durability::Synced,
        }
    }
}

/// What the files of a store take on disk. What disappears meanwhile counts nothing.
pub(crate) fn size_on_disk(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    let paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths
        .iter()
        .filter_map(|path| std::fs::symlink_metadata(path).ok())
        .filter(std::fs::Metadata::is_file)
        .map(|meta| meta.len())
        .sum()
}
