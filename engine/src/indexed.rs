//! A batch that can be read before it is written.

use std::fmt;

use lsmkit_base::{KeyspaceId, ValueKind};

use crate::batch::DEFAULT_KEYSPACE;
use crate::batch_index::BatchIndex;
use crate::{Engine, Keyspace, Overlay, Parts, Snapshot, WriteBatch};

/// A [`WriteBatch`] whose writes can be read before they are written: by themselves
/// ([`IndexedBatch::last_write`]), or as they would be found in a store ([`IndexedBatch::over`]).
///
/// The index beside the batch holds no keys and no values, but 16 to 32 bytes for each key, in pieces of
/// a kilobyte. With keys of 16 bytes and values of 100, a write to a plain batch takes some 20 ns; the
/// index adds 30 to 60 where keys come in order, otherwise 70 in a batch of 100 and 250 in one of
/// 100,000, and two to four times that where the first eight bytes of all keys are the same
/// (`engine/benches/batch.rs`). Where nothing is read before it is written, take the plain one.
///
/// A write that a store would refuse, because the key or the value is too long, the batch too large, or
/// the keyspace of another store than the first the batch names, is not held by it. It is reported when
/// the batch is written, and by every reading over a store before.
///
/// ```
/// # fn main() -> Result<(), lsmkit::Error> {
/// use lsmkit::{IndexedBatch, LastWrite};
///
/// let db = lsmkit::Options::new().open_in_memory()?;
/// db.put("apples", "5")?;
/// db.put("pears", "3")?;
///
/// let mut batch = IndexedBatch::new();
/// batch.put("plums", "8").delete("pears");
/// assert_eq!(batch.last_write("plums"), Some(LastWrite::Put(b"8")));
/// assert_eq!(batch.last_write("pears"), Some(LastWrite::Delete));
/// assert_eq!(batch.last_write("apples"), None);
///
/// let over = batch.over(&db);
/// assert_eq!(over.get("apples")?.as_deref(), Some(&b"5"[..]));
/// assert_eq!(over.get("pears")?, None);
/// let fruit: Result<Vec<_>, _> = over.scan(..).map(|entry| entry.map(|(fruit, _)| fruit)).collect();
/// assert_eq!(fruit?, ["apples", "plums"]);
/// assert_eq!(db.get("plums")?, None);
///
/// db.write(batch.into())?;
/// assert_eq!(db.get("plums")?.as_deref(), Some(&b"8"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct IndexedBatch {
    batch: WriteBatch,
    index: BatchIndex,
}

/// What a batch last does to a key; see [`IndexedBatch::last_write`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastWrite<'a> {
    /// It sets the key to this value.
    Put(&'a [u8]),
    /// It removes the key.
    Delete,
}

impl IndexedBatch {
    /// An empty batch.
    pub fn new() -> IndexedBatch {
        IndexedBatch::default()
    }

    /// An empty batch with room for keys and values of `size_bytes` in all. The index grows as it must.
    pub fn with_capacity(size_bytes: usize) -> IndexedBatch {
        IndexedBatch { batch: WriteBatch::with_capacity(size_bytes), index: BatchIndex::default() }
    }

    /// Sets `key` in the default keyspace; see [`WriteBatch::put`].
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut IndexedBatch {
        self.add(|batch| batch.put(key, value))
    }

    /// Removes `key` from the default keyspace.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> &mut IndexedBatch {
        self.add(|batch| batch.delete(key))
    }

    /// Sets `key` in a keyspace.
    pub fn put_in<P: Parts>(
        &mut self,
        keyspace: &Keyspace<P>,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> &mut IndexedBatch {
        self.add_in(keyspace, |batch| batch.put_in(keyspace, key, value))
    }

    /// Removes `key` from a keyspace.
    pub fn delete_in<P: Parts>(
        &mut self,
        keyspace: &Keyspace<P>,
        key: impl AsRef<[u8]>,
    ) -> &mut IndexedBatch {
        self.add_in(keyspace, |batch| batch.delete_in(keyspace, key))
    }

    /// How many puts and deletes it holds; each write to a key counts, not the last alone.
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// The exact size of its log record. The index is not part of that.
    pub fn size_bytes(&self) -> usize {
        self.batch.size_bytes()
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.batch.clear();
        self.index.clear();
    }

    /// What the batch last does to `key` of the default keyspace, in place; `None` where it does nothing.
    pub fn last_write(&self, key: impl AsRef<[u8]>) -> Option<LastWrite<'_>> {
        self.last_write_of(DEFAULT_KEYSPACE, key.as_ref())
    }

    /// What the batch last does to `key` of a keyspace, in place; `None` where it does nothing, as to
    /// every keyspace of another store than the first it names.
    pub fn last_write_in<P: Parts>(
        &self,
        keyspace: &Keyspace<P>,
        key: impl AsRef<[u8]>,
    ) -> Option<LastWrite<'_>> {
        let is_of_store = self.batch.begins_in(keyspace.store_serial());
        is_of_store.then(|| self.last_write_of(keyspace.id(), key.as_ref())).flatten()
    }

    /// The store as it would be with the batch written.
    pub fn over<'a, P: Parts>(&'a self, store: &'a Engine<P>) -> Overlay<'a, P> {
        Overlay::new(self, store.default_keyspace(), None)
    }

    /// The store as it was when the snapshot was taken, with the batch written.
    pub fn over_snapshot<'a, P: Parts>(&'a self, snapshot: &'a Snapshot<P>) -> Overlay<'a, P> {
        Overlay::new(self, snapshot.default_keyspace(), Some(snapshot.at()))
    }

    pub(crate) fn last_write_of(&self, keyspace: KeyspaceId, key: &[u8]) -> Option<LastWrite<'_>> {
        let at = self.index.find(self.batch.record(), keyspace, key)?;
        Some(self.write_at(at).1)
    }

    /// The key and the rest of the write that begins at byte `at` of the record.
    pub(crate) fn write_at(&self, at: usize) -> (&[u8], LastWrite<'_>) {
        let entry = self.batch.record().write_at(at).entry;
        let write = match entry.kind {
            ValueKind::Put => LastWrite::Put(entry.value),
            ValueKind::Delete => LastWrite::Delete,
        };
        (entry.user_key, write)
    }

    pub(crate) fn batch(&self) -> &WriteBatch {
        &self.batch
    }

    pub(crate) fn index(&self) -> &BatchIndex {
        &self.index
    }

    fn add(&mut self, write: impl FnOnce(&mut WriteBatch) -> &mut WriteBatch) -> &mut IndexedBatch {
        let (count, at) = (self.batch.len(), self.batch.size_bytes());
        write(&mut self.batch);
        // One that was refused has left nothing behind.
        if self.batch.len() > count {
            self.index.insert(self.batch.record(), at);
        }
        self
    }

    fn add_in<P: Parts>(
        &mut self,
        keyspace: &Keyspace<P>,
        write: impl FnOnce(&mut WriteBatch) -> &mut WriteBatch,
    ) -> &mut IndexedBatch {
        if self.batch.begins_in(keyspace.store_serial()) {
            return self.add(write);
        }
        // Its number may be that of another keyspace in the store that the batch is of.
        write(&mut self.batch);
        self
    }
}

/// The batch without the index. Copies nothing.
impl From<IndexedBatch> for WriteBatch {
    fn from(indexed: IndexedBatch) -> WriteBatch {
        indexed.batch
    }
}

impl fmt::Debug for IndexedBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexedBatch").field("batch", &self.batch).finish_non_exhaustive()
    }
}
