//! The face of a store.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use lsmkit_base::Fault;
use lsmkit_manifest::{Change, Edit};
use lsmkit_wal::{Log, LogHandle};

use crate::batch::DEFAULT_KEYSPACE;
use crate::health::{Work, lock};
use crate::store::{Mode, Store};
use crate::{
    Cursor, Durability, Error, KeyRange, Keyspace, KeyspaceOptions, Options, Parts, Scan, Snapshot, Standard,
    Stats, Value, WriteBatch,
};

/// The store that most users want: an [`Engine`] of [`Standard`] parts.
pub type Db = Engine<Standard>;

/// A key-value store made of parts; see [`Parts`].
///
/// A handle: cheap to clone, usable from any thread. The store is open as long as a handle, a
/// [`Keyspace`] or a [`Snapshot`] of it lives. Reads take no lock and wait for no writer, no flush
/// and no compaction.
pub struct Engine<P: Parts> {
    default: Keyspace<P>,
}

/// What all handles of a store share; the last of them closes it.
pub(crate) struct Handle<P: Parts> {
    store: Arc<Store<P>>,
}

impl<P: Parts> Handle<P> {
    pub(crate) fn store(&self) -> &Arc<Store<P>> {
        &self.store
    }
}

impl<P: Parts> Drop for Handle<P> {
    fn drop(&mut self) {
        // Whoever wants to know of errors calls `close`. Nothing acknowledged depends on it.
        let _ = self.store.close();
    }
}

impl<P: Parts> Clone for Engine<P> {
    fn clone(&self) -> Engine<P> {
        Engine { default: self.default.clone() }
    }
}

impl<P: Parts> fmt::Debug for Engine<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store().fmt(f)
    }
}

impl Db {
    /// Opens the store at `path` with default options; creates it where there is none.
    ///
    /// # Errors
    ///
    /// See [`Options::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Db, Error> {
        Options::new().open(path)
    }
}

impl<P: Parts> Engine<P> {
    pub(crate) fn start(store: Arc<Store<P>>) -> Result<Engine<P>, Error> {
        let tree = Arc::clone(&store.keyspaces.load()[&DEFAULT_KEYSPACE]);
        Ok(Engine { default: Keyspace::new(Arc::new(Handle { store }), tree) })
    }

    fn store(&self) -> &Arc<Store<P>> {
        self.default.handle().store()
    }

    pub(crate) fn default_keyspace(&self) -> &Keyspace<P> {
        &self.default
    }

    /// The value of `key`, or `None`. Takes no lock; reads from disk what is not in memory.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        self.default.get(key)
    }

    /// The values of `keys`, in the order of the keys, all as of one moment; see [`Keyspace::multi_get`].
    ///
    /// ```
    /// # fn main() -> Result<(), lsmkit::Error> {
    /// let db = lsmkit::Options::new().open_in_memory()?;
    /// db.put("a", "1")?;
    /// db.put("c", "3")?;
    /// let values = db.multi_get(&["c", "b", "a"])?;
    /// assert_eq!(values.iter().map(Option::as_deref).collect::<Vec<_>>(), [Some(&b"3"[..]), None, Some(b"1")]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn multi_get<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Value>>, Error> {
        self.default.multi_get(keys)
    }

    /// Shows the value of `key` in place, and returns what `look` made of it; see [`Keyspace::get_with`].
    ///
    /// ```
    /// # fn main() -> Result<(), lsmkit::Error> {
    /// let db = lsmkit::Options::new().open_in_memory()?;
    /// db.put("answer", 42_u64.to_le_bytes())?;
    /// let sum = db.get_with("answer", |value| value.iter().map(|byte| u64::from(*byte)).sum::<u64>())?;
    /// assert_eq!(sum, Some(42));
    /// assert_eq!(db.get_with("question", |_| ())?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_with<T>(
        &self,
        key: impl AsRef<[u8]>,
        look: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, Error> {
        self.default.get_with(key, look)
    }

    /// Sets `key`, as durably as [`Options::durability`] says.
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        self.default.put(key, value)
    }

    /// Sets `key`. When it returns, the write is visible to all and as durable as asked for.
    pub fn put_with(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        durability: Durability,
    ) -> Result<(), Error> {
        self.default.put_with(key, value, durability)
    }

    /// Removes `key`, whether it is there or not.
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<(), Error> {
        self.default.delete(key)
    }

    /// Removes `key`. When it returns, the write is visible to all and as durable as asked for.
    pub fn delete_with(&self, key: impl AsRef<[u8]>, durability: Durability) -> Result<(), Error> {
        self.default.delete_with(key, durability)
    }

    /// Does the writes of a batch together, as durably as [`Options::durability`] says.
    pub fn write(&self, batch: WriteBatch) -> Result<(), Error> {
        self.write_with(batch, self.store().options.durability)
    }

    /// Does the writes of a batch together: at no moment, and after no crash, are some of them there
    /// and others not.
    ///
    /// # Errors
    ///
    /// None of the writes has happened, and readers see none of them; only if a sync failed
    /// ([`Error::ReadOnly`]) they are seen, and whether a crash leaves them, all or none, is unknown.
    pub fn write_with(&self, batch: WriteBatch, durability: Durability) -> Result<(), Error> {
        let store = self.store();
        store.write(batch.into_record(store.serial)?, durability)
    }

    /// The entries of a range of keys, in order, from either end.
    pub fn scan(&self, range: impl KeyRange) -> Scan<P> {
        self.default.scan(range)
    }

    /// The entries whose keys begin with `prefix`.
    pub fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Scan<P> {
        self.default.scan_prefix(prefix)
    }

    /// A cursor over all keys, which shows them and their values in place.
    pub fn cursor(&self) -> Cursor<P> {
        self.default.cursor()
    }

    /// A cursor over a range of keys, outside of which it neither shows nor looks for any.
    pub fn cursor_within(&self, range: impl KeyRange) -> Cursor<P> {
        self.default.cursor_within(range)
    }

    /// The store as it is now, all keyspaces.
    pub fn snapshot(&self) -> Snapshot<P> {
        Snapshot::take(self.default.clone())
    }

    /// The keyspace named `name`; made, durably, where there is none. The options hold for tables
    /// written from now until the store is closed.
    ///
    /// # Errors
    ///
    /// [`Error::KeyspaceName`] for an empty or too long name.
    pub fn keyspace(&self, name: &str, options: KeyspaceOptions) -> Result<Keyspace<P>, Error> {
        let tree = self.store().keyspace(name, &options)?;
        Ok(Keyspace::new(Arc::clone(self.default.handle()), tree))
    }

    /// Drops a keyspace with all it holds, durably; false where there is none. Its disk space comes
    /// back once no iterator reads it.
    ///
    /// # Errors
    ///
    /// [`Error::KeyspaceName`] for the default keyspace.
    pub fn drop_keyspace(&self, name: &str) -> Result<bool, Error> {
        self.store().drop_keyspace(name)
    }

    /// The names of all keyspaces, `default` among them.
    pub fn keyspaces(&self) -> Vec<String> {
        self.store().keyspaces.load().values().map(|keyspace| keyspace.name.to_string()).collect()
    }

    /// Makes all writes so far durable, whatever was asked for when they were made, but for those of
    /// [`Durability::None`]. Blocks on the disk.
    pub fn sync(&self) -> Result<(), Error> {
        match self.store().mode {
            Mode::ReadOnly => self.store().health.check_open(),
            Mode::Writable => self.store().sync(),
        }
    }

    /// Writes what is in memory to tables, all keyspaces. Blocks until all that was written before
    /// the call is in them, durably.
    pub fn flush(&self) -> Result<(), Error> {
        let keyspaces: Vec<_> = self.store().keyspaces.load().values().cloned().collect();
        self.store().flush(&keyspaces)
    }

    /// Merges all versions of the keys of a range of the default keyspace into the deepest level, and
    /// forgets those that nobody can see. Blocks until it is done.
    pub fn compact(&self, range: impl KeyRange) -> Result<(), Error> {
        self.default.compact(range)
    }

    /// About how many bytes of table files hold keys of a range of the default keyspace; see [`Keyspace::size_bytes_within`].
    ///
    /// # Errors
    ///
    /// Where the store is closed.
    pub fn size_bytes_within(&self, range: impl KeyRange) -> Result<u64, Error> {
        self.default.size_bytes_within(range)
    }

    /// Returns when no background work is left: nothing to flush, to compact or to remove. Does not
    /// freeze memtables that still have room.
    pub fn settle(&self) -> Result<(), Error> {
        let store = self.store();
        store.health.check_open()?;
        if store.mode == Mode::ReadOnly {
            return Ok(());
        }
        let _not_later = store.leave_nothing_for_later();
        store.wait_until(&Work::ALL, || {
            // The bin last: what a compaction that has just ended replaced is in it by then.
            let oldest_read = store.snapshots.oldest();
            let now = store.options.now();
            store.keyspaces.load().values().all(|keyspace| keyspace.is_settled(oldest_read, now))
                && store.bin.is_empty()
        })
    }

    /// One step of background work, the most urgent first: a flush, a compaction, a removal. False
    /// where there is none. Meant for [`crate::Background::Steps`].
    pub fn step(&self) -> Result<bool, Error> {
        let store = self.store();
        store.health.check()?;
        if store.mode == Mode::ReadOnly {
            return Ok(false);
        }
        Ok(store.step()?)
    }

    /// What the store has done since it was opened, and what it looks like now.
    pub fn stats(&self) -> Stats {
        self.store().stats()
    }

    /// Reads every byte of every table and checks it: checksums, order, bounds, counts, filters.
    /// Blocks meanwhile; reads and writes go on.
    ///
    /// # Errors
    ///
    /// The first damage found.
    pub fn verify(&self) -> Result<Verified, Error> {
        self.store().verify()
    }

    /// Closes the store: stops background work, writes to tables what is in no log, syncs the log
    /// and marks it as closed. Every other handle fails from now on with [`Error::Closed`].
    ///
    /// A store whose last handle is dropped is closed in the same way, but nobody hears of errors.
    /// Nothing that was acknowledged depends on closing.
    ///
    /// # Errors
    ///
    /// What went wrong in closing, or what turned the store read-only before.
    pub fn close(self) -> Result<(), Error> {
        self.store().close()
    }
}

/// What [`Engine::verify`] has read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Verified {
    /// How many tables.
    pub tables: u64,
    /// Their files' bytes.
    pub size_bytes: u64,
    /// The versions in them.
    pub entries: u64,
}

impl<P: Parts> Store<P> {
    fn verify(&self) -> Result<Verified, Error> {
        self.health.check_open()?;
        let mut verified = Verified::default();
        let keyspaces: Vec<_> = self.keyspaces.load().values().cloned().collect();
        for keyspace in keyspaces {
            // Holding the version keeps its files.
            let state = keyspace.state_owned();
            for table in state.version.tables() {
                self.health.check_open()?;
                lsmkit_sstable::Tables::verify(&*keyspace.tables, &table.meta)?;
                verified.tables += 1;
                verified.size_bytes += table.meta.size_bytes;
                verified.entries += table.meta.entries;
            }
        }
        Ok(verified)
    }

    /// Closes once; later calls find it closed.
    fn close(&self) -> Result<(), Error> {
        if !self.health.close() {
            return Ok(());
        }
        self.signals.stop();
        let closed = match (self.mode, self.health.failed()) {
            (Mode::ReadOnly, _) => Ok(()),
            // What is on disk is left as it is for the next opening to find out about.
            (Mode::Writable, Some(fault)) => Err(Error::ReadOnly(fault)),
            (Mode::Writable, None) => {
                // It may need the room.
                self.log.give_back();
                self.flush_unlogged().map_err(Error::from)
            }
        };
        {
            // Whoever flushes or compacts on a thread of the user's own ends first, and nobody begins:
            // once the lock is gone the files are another's.
            let _no_flush = lock(&self.flushing);
            let _no_compaction = self.compacting.write().unwrap_or_else(PoisonError::into_inner);
            self.health.seal();
        }
        self.jobs.abandon();
        let closed = closed.and_then(|()| match self.mode {
            Mode::ReadOnly => Ok(()),
            Mode::Writable => self.close_files().map_err(Error::from),
        });
        self.bin.close();
        drop(lock(&self.lock).take());
        closed
    }

    fn close_files(&self) -> Result<(), Fault> {
        let _ = self.bin.empty();
        let mut manifest = lock(&self.manifest);
        let mut writer = lock(&self.writer);
        // Without a segment there is no position to come back to.
        let log_end = if writer.log.size_bytes() == 0 { 0 } else { writer.log.position() };
        writer.log.close()?;
        drop(writer);
        // From now on a log that ends before is damaged.
        if manifest.state().log_end != Some(log_end) {
            manifest.commit(&Edit::new().with(Change::LogEnd(log_end)))?;
        }
        manifest.close()
    }

    /// Writes to tables what is in no log.
    fn flush_unlogged(&self) -> Result<(), Fault> {
        let keyspaces: Vec<_> = self.keyspaces.load().values().cloned().collect();
        for keyspace in &keyspaces {
            let mut writer = lock(&self.writer);
            if keyspace.state().active.is_unlogged() {
                self.freeze(&mut writer, keyspace)?;
            }
        }
        let is_left =
            || keyspaces.iter().any(|keyspace| keyspace.state().frozen.iter().any(|slot| slot.is_unlogged()));
        while is_left() && self.step_flush()? {}
        Ok(())
    }
}
