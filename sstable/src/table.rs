//! The traits of a table format.

use std::ops::{AddAssign, Bound};
use std::sync::Arc;

use lsmkit_base::{Cursor, Entry, Fault, Lent, SeqNo, TableId, TableMeta, ValueKind, Written};

use crate::FilterUsage;

/// Creates, opens and removes the tables of one keyspace.
pub trait Tables: Send + Sync + 'static {
    /// Writes one table.
    type Writer: TableWriter;
    /// Reads one table.
    type Reader: TableReader;

    /// The hash that [`TableReader::get`] wants of a key: computed once a lookup, used for every table.
    fn hash(&self, user_key: &[u8]) -> u64;

    /// Begins the table `id`.
    ///
    /// # Errors
    ///
    /// Where the file exists already or can't be created.
    fn create(&self, id: TableId, place: TablePlace) -> Result<Self::Writer, Fault>;

    /// Makes the names of all tables finished so far durable. Blocks.
    fn sync_names(&self) -> Result<(), Fault>;

    /// Opens a table that was finished.
    ///
    /// # Errors
    ///
    /// Where it is missing, damaged, or not the table that `meta` tells of.
    fn open(&self, meta: &TableMeta) -> Result<Self::Reader, Fault>;

    /// The tables whose files are there, whether or not anything names them.
    fn list(&self) -> Result<Vec<TableId>, Fault>;

    /// Removes the file of a table. Readers that have it open go on.
    fn remove(&self, id: TableId) -> Result<(), Fault>;

    /// Reads the whole file of a table and checks every byte of it: checksums, order, bounds, counts
    /// and the filter, against the file itself and against `meta`.
    fn verify(&self, meta: &TableMeta) -> Result<(), Fault>;

    /// What came of asking the filters of all tables opened so far, for statistics. Nothing, unless
    /// the format counts it.
    fn filter_usage(&self) -> FilterUsage {
        FilterUsage::default()
    }
}

/// The place in a tree that a table is meant for, in space and in time, which tells how it is best written.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct TablePlace {
    /// The level.
    pub level: u32,
    /// How many bits a key its filter should have more than the usual, or fewer where negative: small runs deserve more
    /// than large ones. See [`lsmkit_bloom::bits_beside`].
    pub more_filter_bits: f64,
    /// When what it will hold was flushed.
    pub written: Written,
}

impl TablePlace {
    /// A level, with the usual filter.
    pub fn of_level(level: u32) -> TablePlace {
        TablePlace { level, ..TablePlace::default() }
    }
}

/// Writes one table, entry by entry. A writer that is dropped unfinished removes its file.
pub trait TableWriter: Send {
    /// Adds the next entry.
    ///
    /// # Panics
    ///
    /// Where the entry is not after the one before it, in the order of [`lsmkit_base::KeyRef`].
    fn add(&mut self, entry: Entry<'_>) -> Result<(), Fault>;

    /// About how large the file would be if it were finished now.
    fn size_bytes(&self) -> u64;

    /// Ends the table. When it returns, the content of the file is durable, its name not yet:
    /// [`Tables::sync_names`].
    ///
    /// # Panics
    ///
    /// Where no entry was added.
    fn finish(self) -> Result<TableMeta, Fault>;
}

/// An open table. Reading it needs no lock, but for those of a cache and of a file system that keeps few files open.
pub trait TableReader: Send + Sync + 'static {
    /// Shows the entries in order; keeps the table open.
    type Cursor: Cursor + Send;

    /// Shows the newest version of `user_key` at or before `at`, tombstones included; `None` where there is none.
    ///
    /// `hash` is that of [`Tables::hash`]. No lock is held while `show` runs: it may be a user's, and read and write the
    /// store.
    fn get<T>(
        &self,
        user_key: &[u8],
        hash: u64,
        at: SeqNo,
        show: impl FnOnce(Found<'_>) -> T,
    ) -> Result<Option<T>, Fault>;

    /// As [`TableReader::get`], for several keys in order: shows each version that there is with the place of its key
    /// among `lookups`. What comes from memory or from the file comes for many of them at once, as far as the format
    /// can do that.
    ///
    /// # Errors
    ///
    /// Of what could not be read nothing is shown, and of what comes after it perhaps neither.
    fn get_many(
        &self,
        lookups: &[Lookup<'_>],
        at: SeqNo,
        mut show: impl FnMut(usize, Found<'_>),
    ) -> Result<(), Fault> {
        for (place, lookup) in lookups.iter().enumerate() {
            self.get(lookup.user_key, lookup.hash, at, |found| show(place, found))?;
        }
        Ok(())
    }

    /// Tells that a key with this hash may be asked for soon. Reads no file, and may do nothing.
    ///
    /// Whoever looks a key up in several tables tells all of them first, so that what they will look at comes from
    /// memory at the same time.
    fn announce(&self, hash: u64) {
        let _ = hash;
    }

    /// Whether there may be a key within these bounds; `false` is certain. So that a scan need not look into tables that have
    /// nothing for it, as far as the format can tell. What can't be read says yes.
    fn may_hold_within(&self, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> bool {
        let _ = (lower, upper);
        true
    }

    /// At most `count` user keys, ascending, that cut the table into pieces of about equal length: one is no less than the keys
    /// before it, and no greater than the keys from it on. Reads no file. None, unless the format can tell.
    fn anchors(&self, count: usize) -> Vec<Box<[u8]>> {
        let _ = count;
        Vec::new()
    }

    /// About how many bytes of the file serve keys within these bounds. Reads no file. `None`, unless the format can tell.
    fn size_bytes_within(&self, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Option<u64> {
        let _ = (lower, upper);
        None
    }

    /// A cursor over all entries, off the end. `reading` tells what the blocks are read for.
    fn cursor(self: &Arc<Self>, reading: Reading) -> Self::Cursor;

    /// What the bytes of the file are for, for statistics. `None`, unless the format tells.
    fn parts(&self) -> Option<TableParts> {
        None
    }
}

/// What a cursor's blocks are read for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// A user's scan: blocks come from the cache and go to it. Those that are not there are read ahead, further the
    /// longer the scan.
    Scan,
    /// A rewrite of the whole table: blocks bypass the cache and are read ahead in large pieces.
    Rewrite,
}

/// A version found in a table, where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The version.
    pub seq: SeqNo,
    /// What it says.
    pub kind: ValueKind,
    /// The value; empty for a tombstone.
    pub value: Lent<'a>,
}

/// A key to be looked up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lookup<'k> {
    /// The key.
    pub user_key: &'k [u8],
    /// Its hash, by [`Tables::hash`].
    pub hash: u64,
}

/// What the bytes of a table's file are for; together all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TableParts {
    /// Keys and values, as they are stored.
    pub data_bytes: u64,
    /// What tells where among the data a key is.
    pub index_bytes: u64,
    /// What tells that a key is not among the data.
    pub filter_bytes: u64,
    /// All else: what the table says of itself, and the ends of the file.
    pub other_bytes: u64,
}

impl TableParts {
    /// All parts together.
    pub fn size_bytes(&self) -> u64 {
        self.data_bytes + self.index_bytes + self.filter_bytes + self.other_bytes
    }
}

impl AddAssign for TableParts {
    fn add_assign(&mut self, other: TableParts) {
        self.data_bytes += other.data_bytes;
        self.index_bytes += other.index_bytes;
        self.filter_bytes += other.filter_bytes;
        self.other_bytes += other.other_bytes;
    }
}
