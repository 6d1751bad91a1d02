//! A keyspace's face.

use std::fmt;
use std::sync::Arc;

use lsmkit_base::{KeyspaceId, Lent, SeqNo};

use crate::batch::Record;
use crate::db::Handle;
use crate::health::{Work, lock};
use crate::range::{Bounds, Prefix};
use crate::state::ReadState;
use crate::tree::KeyspaceTree;
use crate::{Cursor, Durability, Error, KeyRange, Parts, Scan, Standard, Value};

/// A set of keys of its own within a store: its own tree, its own settings, one log with the others,
/// so that a batch over several keyspaces is atomic.
///
/// Cheap to clone, usable from any thread; keeps the store open.
pub struct Keyspace<P: Parts = Standard> {
    handle: Arc<Handle<P>>,
    tree: Arc<KeyspaceTree<P>>,
}

impl<P: Parts> Clone for Keyspace<P> {
    fn clone(&self) -> Keyspace<P> {
        Keyspace { handle: Arc::clone(&self.handle), tree: Arc::clone(&self.tree) }
    }
}

impl<P: Parts> fmt::Debug for Keyspace<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyspace").field("name", &self.tree.name).finish_non_exhaustive()
    }
}

impl<P: Parts> Keyspace<P> {
    pub(crate) fn new(handle: Arc<Handle<P>>, tree: Arc<KeyspaceTree<P>>) -> Keyspace<P> {
        Keyspace { handle, tree }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.tree.name
    }

    /// The value of `key`, or `None`. Takes no lock; reads from disk what is not in memory.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        self.get_at(key.as_ref(), None)
    }

    /// Shows the value of `key` in place, and returns what `look` made of it; `None` where the key has no value. Nothing
    /// is copied, and no block is kept, so this is the cheapest way to a value that is only looked at. Takes no lock.
    ///
    /// While `look` runs, a memtable or a block can't be freed: it should be brief. It may use the store.
    pub fn get_with<T>(
        &self,
        key: impl AsRef<[u8]>,
        look: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, Error> {
        self.show_at(key.as_ref(), None, |value| look(value.bytes()))
    }

    /// Sets `key`, as durably as [`crate::Options::durability`] says.
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), Error> {
        self.put_with(key, value, self.handle.store().options.durability)
    }

    /// Sets `key`. When it returns, the write is visible to all and as durable as asked for.
    pub fn put_with(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        durability: Durability,
    ) -> Result<(), Error> {
        let (key, value) = (key.as_ref(), value.as_ref());
        // What does not fit is refused before memory is taken for it.
        let room = if value.len() > lsmkit_base::MAX_VALUE_BYTES { 0 } else { key.len() + value.len() + 16 };
        let mut record = Record::with_capacity(room);
        record.name_keyspace(self.tree.id, &self.tree.name);
        record.put(self.tree.id, key, value);
        self.handle.store().write(record, durability)
    }

    /// Removes `key`, whether it is there or not.
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<(), Error> {
        self.delete_with(key, self.handle.store().options.durability)
    }

    /// Removes `key`. When it returns, the write is visible to all and as durable as asked for.
    pub fn delete_with(&self, key: impl AsRef<[u8]>, durability: Durability) -> Result<(), Error> {
        let key = key.as_ref();
        let mut record = Record::with_capacity(key.len() + 16);
        record.name_keyspace(self.tree.id, &self.tree.name);
        record.delete(self.tree.id, key);
        self.handle.store().write(record, durability)
    }

    /// The entries of a range, in order, from either end.
    pub fn scan(&self, range: impl KeyRange) -> Scan<P> {
        self.scan_at(range, None)
    }

    /// The entries whose keys begin with `prefix`.
    pub fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Scan<P> {
        self.scan(Prefix(prefix.as_ref()))
    }

    /// A cursor over all keys, which shows them and their values in place. See [`Cursor`].
    pub fn cursor(&self) -> Cursor<P> {
        self.cursor_at(.., None)
    }

    /// A cursor over a range of keys, outside of which it neither shows nor looks for any.
    pub fn cursor_within(&self, range: impl KeyRange) -> Cursor<P> {
        self.cursor_at(range, None)
    }

    /// Writes what is in memory to tables. Blocks until all that was written before the call is in them.
    pub fn flush(&self) -> Result<(), Error> {
        self.tree.check_live()?;
        self.handle.store().flush(std::slice::from_ref(&self.tree))
    }

    /// Merges all versions of the keys of a range into the deepest level, and forgets those that
    /// nobody can see. Blocks until it is done.
    pub fn compact(&self, range: impl KeyRange) -> Result<(), Error> {
        self.flush()?;
        self.handle.store().compact_by_hand(&self.tree, range)
    }

    /// About how many bytes of table files hold keys of a range, superseded versions included; what is only in memory does not
    /// count. Each table is right to a block at each end of the range, or to a part where its index
    /// is in parts. Takes no lock and reads no file.
    ///
    /// # Errors
    ///
    /// Where the store is closed or the keyspace dropped.
    pub fn size_bytes_within(&self, range: impl KeyRange) -> Result<u64, Error> {
        self.check_readable()?;
        Ok(self.tree.state().version.size_bytes_within(&Bounds::of(range)))
    }

    /// The values of `keys`, in the order of the keys, all as of one moment. Takes no lock.
    ///
    /// For many keys this is faster than a get of each: what they need from memory comes at the same time, and a block
    /// that several of them are in is read once. Not worth its while for one or two.
    ///
    /// # Errors
    ///
    /// Where a part of what it needs can't be read; nothing is returned then.
    pub fn multi_get<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Value>>, Error> {
        self.get_many_at(keys, None)
    }

    pub(crate) fn get_many_at<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        at: Option<SeqNo>,
    ) -> Result<Vec<Option<Value>>, Error> {
        self.check_readable()?;
        // First the state, then the moment; see `ReadState`.
        let state = self.tree.state_owned();
        let at = at.unwrap_or_else(|| self.handle.store().visible());
        let values = state.get_many(&self.tree.tables, keys, at)?;
        if values.iter().any(Option::is_none) {
            // Dropped since, perhaps, and then nothing is known of the keys.
            self.tree.check_live()?;
        }
        Ok(values)
    }

    pub(crate) fn get_at(&self, key: &[u8], at: Option<SeqNo>) -> Result<Option<Value>, Error> {
        self.show_at(key, at, Value::keeping)
    }

    pub(crate) fn show_at<T>(
        &self,
        key: &[u8],
        at: Option<SeqNo>,
        show: impl FnOnce(Lent<'_>) -> T,
    ) -> Result<Option<T>, Error> {
        self.check_readable()?;
        let store = self.handle.store();
        // First the state, then the moment; see `ReadState`.
        let state = self.tree.state();
        let at = at.unwrap_or_else(|| store.visible());
        let found = state.get(&self.tree.tables, key, at, show)?;
        if found.is_none() {
            // Dropped since, perhaps, and then nothing is known of the key.
            self.tree.check_live()?;
        }
        Ok(found)
    }

    pub(crate) fn scan_at(&self, range: impl KeyRange, at: Option<SeqNo>) -> Scan<P> {
        match self.state_at(at) {
            (state, Ok(at)) => Scan::new(state, at, range),
            (state, Err(error)) => Scan::refused(state, error),
        }
    }

    pub(crate) fn cursor_at(&self, range: impl KeyRange, at: Option<SeqNo>) -> Cursor<P> {
        match self.state_at(at) {
            (state, Ok(at)) => Cursor::new(&state, Bounds::of(range), at),
            (_, Err(error)) => Cursor::refused(error),
        }
    }

    /// What to read from, and up to which number, or why not at all.
    fn state_at(&self, at: Option<SeqNo>) -> (Arc<ReadState<P>>, Result<SeqNo, Error>) {
        let state = self.tree.state_owned();
        // After the state was taken: what a drop has emptied is not shown as empty.
        let live = self.check_readable();
        let at = at.unwrap_or_else(|| self.handle.store().visible());
        (state, live.map(|()| at))
    }

    /// # Errors
    ///
    /// [`Error::Closed`], or [`Error::NoKeyspace`] where it was dropped.
    pub(crate) fn check_readable(&self) -> Result<(), Error> {
        self.handle.store().health.check_open()?;
        self.tree.check_live()
    }

    pub(crate) fn refuse_scan(&self, error: Error) -> Scan<P> {
        Scan::refused(self.tree.state_owned(), error)
    }

    pub(crate) fn handle(&self) -> &Arc<Handle<P>> {
        &self.handle
    }

    pub(crate) fn id(&self) -> KeyspaceId {
        self.tree.id
    }

    pub(crate) fn shared_name(&self) -> &Arc<str> {
        &self.tree.name
    }

    pub(crate) fn store_serial(&self) -> u64 {
        self.handle.store().serial
    }

    /// # Errors
    ///
    /// [`Error::NoKeyspace`] where it is not one of that store's.
    pub(crate) fn check_of(&self, handle: &Arc<Handle<P>>) -> Result<(), Error> {
        if Arc::ptr_eq(&self.handle, handle) {
            Ok(())
        } else {
            Err(Error::NoKeyspace(self.name().to_owned()))
        }
    }
}

impl<P: Parts> crate::store::Store<P> {
    /// Freezes the memtables of `keyspaces` and waits until all frozen ones are tables.
    pub(crate) fn flush(&self, keyspaces: &[Arc<KeyspaceTree<P>>]) -> Result<(), Error> {
        self.health.check_open()?;
        if self.mode == crate::store::Mode::ReadOnly {
            return Err(Error::OpenedReadOnly);
        }
        self.health.check()?;
        let mut newest = Vec::new();
        {
            let mut writer = lock(&self.writer);
            self.health.check()?;
            for keyspace in keyspaces {
                self.freeze(&mut writer, keyspace).inspect_err(|fault| self.health.note_write(fault))?;
                newest.extend(
                    keyspace.state().frozen.first().map(|slot| (Arc::clone(keyspace), Arc::clone(slot))),
                );
            }
        }
        self.signals.wake();
        // The newest is flushed last; memtables frozen after the call are not waited for.
        self.wait_until(&[Work::Flush], || {
            newest.iter().all(|(keyspace, slot)| {
                !keyspace.state().frozen.iter().any(|waiting| Arc::ptr_eq(waiting, slot))
            })
        })
    }
}
