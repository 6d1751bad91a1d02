//! redb.

use std::fs::OpenOptions;
use std::io;
use std::ops::Bound;
use std::path::Path;

use anyhow::Result;
use redb::backends::FileBackend;
use redb::{
    BackendError, Builder, Database, ReadOnlyTable, ReadableDatabase, ReadableTable, StorageBackend, Table,
    TableDefinition,
};

use crate::settings::{Durability, Settings};
use crate::store::Store;

const TABLE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("default");

/// One table, in which every write is a transaction of its own, and so is every get, as it has to see
/// the newest write.
pub(crate) struct Redb {
    database: Database,
}

impl Redb {
    pub(crate) fn open(dir: &Path, settings: &Settings) -> Result<Redb> {
        let path = dir.join("store.redb");
        let mut builder = Builder::new();
        builder.set_cache_size(settings.cache_bytes);
        let database = match settings.durability {
            Durability::Buffered => builder.create_with_backend(Unsynced::open(&path)?)?,
            Durability::Synced => builder.create(&path)?,
        };
        let redb = Redb { database };
        // A table is there to be read from its first writer on.
        redb.commit(|_| Ok(()))?;
        Ok(redb)
    }

    /// As durable as `redb::Durability::Immediate`, the default, and the backend make it.
    fn commit(
        &self,
        change: impl FnOnce(&mut Table<&'static [u8], &'static [u8]>) -> Result<(), redb::Error>,
    ) -> Result<()> {
        let transaction = self.database.begin_write()?;
        change(&mut transaction.open_table(TABLE)?)?;
        Ok(transaction.commit()?)
    }

    fn table(&self) -> Result<ReadOnlyTable<&'static [u8], &'static [u8]>> {
        Ok(self.database.begin_read()?.open_table(TABLE)?)
    }
}

impl Store for Redb {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.commit(|table| {
            table.insert(key, value)?;
            Ok(())
        })
    }

    fn delete(&self, key: &[u8]) -> Result<()> {
        self.commit(|table| {
            table.remove(key)?;
            Ok(())
        })
    }

    fn write(&self, records: &[(&[u8], &[u8])]) -> Result<()> {
        self.commit(|table| {
            for (key, value) in records {
                table.insert(*key, *value)?;
            }
            Ok(())
        })
    }

    fn get(&self, key: &[u8], show: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.table()?.get(key)?;
        Ok(value.map(|value| show(value.value())).is_some())
    }

    fn scan(&self, from: Option<&[u8]>, count_max: u64, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let range = (from.map_or(Bound::Unbounded, Bound::Included), Bound::Unbounded);
        for record in self.table()?.range::<&[u8]>(range)?.take(count_max as usize) {
            let (key, value) = record?;
            visit(key.value(), value.value());
        }
        Ok(())
    }

    fn scan_back(&self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        for record in self.table()?.iter()?.rev() {
            let (key, value) = record?;
            visit(key.value(), value.value());
        }
        Ok(())
    }

    /// A B+-tree in one file: nothing is left to do after a commit.
    fn settle(&self) -> Result<()> {
        Ok(())
    }
}

/// redb's own file backend but for one thing: it never syncs.
///
/// redb has no durability between "in this process's memory" and "synced". With this one, a commit
/// writes all its pages to the file and leaves them to the kernel: it survives a killed process.
#[derive(Debug)]
struct Unsynced(FileBackend);

impl Unsynced {
    fn open(path: &Path) -> Result<Unsynced> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        Ok(Unsynced(FileBackend::new(file)?))
    }
}

impl StorageBackend for Unsynced {
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.query_lock_range(start, end)
    }
}
