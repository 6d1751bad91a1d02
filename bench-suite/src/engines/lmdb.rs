//! LMDB, through heed.
//!
//! The `unsafe` here is opening the file; it rests on these invariants:
//!
//! 1. The directory was made for this engine: no other process maps the file, nobody changes it but
//!    LMDB, and it stands on a local file system.
//! 2. `NO_SYNC` changes when the kernel writes to the disk, not what this or any later process reads
//!    from it. Only after a power failure may the file be damaged; what is measured doesn't outlive one.
#![allow(unsafe_code, reason = "LMDB maps its file, and heed can't know who else changes it")]

use std::ops::Bound;
use std::path::Path;

use anyhow::Result;
use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, RwTxn, WithTls};

use crate::settings::{Durability, Settings};
use crate::store::Store;

/// The most the file can grow to. Address space only; the file grows as it is written.
const MAP_BYTES: usize = 64 << 30;
/// Threads that read at the same time: as many as a run may have, and one beside them.
const READERS_MAX: u32 = 1025;

/// The unnamed database of an environment, in which every write is a transaction of its own.
///
/// A commit hands its pages to the kernel with `write`, so that it survives a killed process whether
/// it is synced or not. A get is a transaction of its own too, as it has to see the newest write; with
/// thread-local readers, LMDB's default, a thread keeps its slot in the table of readers. One thread
/// can't have two of them at once: a visitor must not read.
pub(crate) struct Lmdb {
    database: Database<'static, Bytes, Bytes>,
    env: Env<WithTls>,
}

impl Lmdb {
    pub(crate) fn open(dir: &Path, settings: &Settings) -> Result<Lmdb> {
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_BYTES).max_readers(READERS_MAX);
        if settings.durability == Durability::Buffered {
            // SAFETY: by invariant 2.
            unsafe { options.flags(EnvFlags::NO_SYNC) };
        }
        // SAFETY: by invariant 1.
        let env = unsafe { options.open(dir)? };
        let database = env
            .create_databases_and_commit(env.write_txn()?, |opener, transaction| {
                opener.create_database(transaction, None).map(CommitOrAbort::<_, ()>::Commit)
            })?
            .unwrap_commit();
        Ok(Lmdb { database, env })
    }

    fn commit(&self, change: impl FnOnce(&mut RwTxn) -> heed::Result<()>) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        change(&mut transaction)?;
        Ok(transaction.commit()?)
    }
}

impl Store for Lmdb {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.commit(|transaction| self.database.put(transaction, key, value))
    }

    fn delete(&self, key: &[u8]) -> Result<()> {
        self.commit(|transaction| self.database.delete(transaction, key).map(|_| ()))
    }

    fn write(&self, records: &[(&[u8], &[u8])]) -> Result<()> {
        self.commit(|transaction| {
            records.iter().try_for_each(|(key, value)| self.database.put(transaction, key, value))
        })
    }

    fn get(&self, key: &[u8], show: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let transaction = self.env.read_txn()?;
        let value = self.database.get(&transaction, key)?;
        Ok(value.map(show).is_some())
    }

    fn get_many(&self, keys: &[&[u8]], show: &mut dyn FnMut(usize, &[u8])) -> Result<usize> {
        let transaction = self.env.read_txn()?;
        let mut found = 0;
        for (place, key) in keys.iter().enumerate() {
            if let Some(value) = self.database.get(&transaction, key)? {
                show(place, value);
                found += 1;
            }
        }
        Ok(found)
    }

    fn scan(&self, from: Option<&[u8]>, count_max: u64, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let transaction = self.env.read_txn()?;
        let range = (from.map_or(Bound::Unbounded, Bound::Included), Bound::Unbounded);
        for record in self.database.range(&transaction, &range)?.take(count_max as usize) {
            let (key, value) = record?;
            visit(key, value);
        }
        Ok(())
    }

    fn scan_back(&self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let transaction = self.env.read_txn()?;
        for record in self.database.rev_iter(&transaction)? {
            let (key, value) = record?;
            visit(key, value);
        }
        Ok(())
    }

    /// A B+-tree in one file: nothing is left to do after a commit.
    fn settle(&self) -> Result<()> {
        Ok(())
    }
}
