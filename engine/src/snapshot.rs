//! The store as it was at one moment.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use lsmkit_base::SeqNo;

use crate::background::Signals;
use crate::health::lock;
use crate::range::Prefix;
use crate::{Cursor, Error, KeyRange, Keyspace, Parts, Scan, Standard, Value};

/// The sequence numbers that live snapshots read at.
#[derive(Debug)]
pub(crate) struct Snapshots {
    live: Mutex<BTreeMap<SeqNo, usize>>,
    /// Told when the oldest is gone: what it has kept may be compacted away.
    signals: Arc<Signals>,
}

impl Snapshots {
    pub(crate) fn new(signals: &Arc<Signals>) -> Arc<Snapshots> {
        Arc::new(Snapshots { live: Mutex::default(), signals: Arc::clone(signals) })
    }

    /// The oldest moment that one shows.
    pub(crate) fn oldest(&self) -> Option<SeqNo> {
        lock(&self.live).keys().next().copied()
    }

    /// Registers a snapshot at `visible()`. Read under the lock, so that whoever lists the
    /// snapshots afterwards either sees this one or began after everything it can see was written.
    fn take(self: &Arc<Self>, visible: impl FnOnce() -> SeqNo) -> Pin {
        let mut live = lock(&self.live);
        let at = visible();
        *live.entry(at).or_default() += 1;
        Pin { snapshots: Arc::clone(self), at }
    }

    /// Ascending, each once.
    pub(crate) fn list(&self) -> Vec<SeqNo> {
        lock(&self.live).keys().copied().collect()
    }
}

/// Keeps a sequence number registered.
#[derive(Debug)]
struct Pin {
    snapshots: Arc<Snapshots>,
    at: SeqNo,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut live = lock(&self.snapshots.live);
        if let Some(count) = live.get_mut(&self.at) {
            *count -= 1;
            if *count == 0 {
                let was_oldest = live.keys().next() == Some(&self.at);
                live.remove(&self.at);
                drop(live);
                if was_oldest {
                    self.snapshots.signals.wake();
                }
            }
        }
    }
}

/// The whole store, all keyspaces, as it was when the snapshot was taken. Cheap to take and to
/// clone; while one lives, compaction keeps the versions it sees.
pub struct Snapshot<P: Parts = Standard> {
    default: Keyspace<P>,
    pin: Arc<Pin>,
}

impl<P: Parts> Clone for Snapshot<P> {
    fn clone(&self) -> Snapshot<P> {
        Snapshot { default: self.default.clone(), pin: Arc::clone(&self.pin) }
    }
}

impl<P: Parts> std::fmt::Debug for Snapshot<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("at", &self.pin.at).finish_non_exhaustive()
    }
}

impl<P: Parts> Snapshot<P> {
    pub(crate) fn take(default: Keyspace<P>) -> Snapshot<P> {
        let store = default.handle().store();
        let pin = Arc::new(store.snapshots.take(|| store.visible()));
        Snapshot { default, pin }
    }

    pub(crate) fn default_keyspace(&self) -> &Keyspace<P> {
        &self.default
    }

    pub(crate) fn at(&self) -> SeqNo {
        self.pin.at
    }

    /// The value of `key` in the default keyspace. Takes no lock.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        self.default.get_at(key.as_ref(), Some(self.pin.at))
    }

    /// The values of `keys` in the default keyspace, in the order of the keys; see [`Keyspace::multi_get`].
    pub fn multi_get<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Value>>, Error> {
        self.default.get_many_at(keys, Some(self.pin.at))
    }

    /// Shows the value of `key` in place, and returns what `look` made of it; see [`Keyspace::get_with`].
    pub fn get_with<T>(
        &self,
        key: impl AsRef<[u8]>,
        look: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, Error> {
        self.default.show_at(key.as_ref(), Some(self.pin.at), |value| look(value.bytes()))
    }

    /// The entries of a range of the default keyspace.
    pub fn scan(&self, range: impl KeyRange) -> Scan<P> {
        self.default.scan_at(range, Some(self.pin.at))
    }

    /// The entries of the default keyspace whose keys begin with `prefix`.
    pub fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Scan<P> {
        self.scan(Prefix(prefix.as_ref()))
    }

    /// A cursor over the default keyspace.
    pub fn cursor(&self) -> Cursor<P> {
        self.default.cursor_at(.., Some(self.pin.at))
    }

    /// A cursor over a range of the default keyspace, outside of which it neither shows nor looks for any key.
    pub fn cursor_within(&self, range: impl KeyRange) -> Cursor<P> {
        self.default.cursor_at(range, Some(self.pin.at))
    }

    /// The value of `key` in a keyspace.
    ///
    /// # Errors
    ///
    /// [`Error::NoKeyspace`] where it was dropped since, or is another store's.
    pub fn get_in(&self, keyspace: &Keyspace<P>, key: impl AsRef<[u8]>) -> Result<Option<Value>, Error> {
        keyspace.check_of(self.default.handle())?;
        keyspace.get_at(key.as_ref(), Some(self.pin.at))
    }

    /// Shows the value of `key` in a keyspace in place, and returns what `look` made of it; see [`Keyspace::get_with`].
    ///
    /// # Errors
    ///
    /// As of [`Snapshot::get_in`].
    pub fn get_with_in<T>(
        &self,
        keyspace: &Keyspace<P>,
        key: impl AsRef<[u8]>,
        look: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, Error> {
        keyspace.check_of(self.default.handle())?;
        keyspace.show_at(key.as_ref(), Some(self.pin.at), |value| look(value.bytes()))
    }

    /// The values of `keys` in a keyspace, in the order of the keys; see [`Keyspace::multi_get`].
    ///
    /// # Errors
    ///
    /// As of [`Snapshot::get_in`].
    pub fn multi_get_in<K: AsRef<[u8]>>(
        &self,
        keyspace: &Keyspace<P>,
        keys: &[K],
    ) -> Result<Vec<Option<Value>>, Error> {
        keyspace.check_of(self.default.handle())?;
        keyspace.get_many_at(keys, Some(self.pin.at))
    }

    /// The entries of a range of a keyspace. Gives [`Error::NoKeyspace`] and ends where it was
    /// dropped since, or is another store's.
    pub fn scan_in(&self, keyspace: &Keyspace<P>, range: impl KeyRange) -> Scan<P> {
        match keyspace.check_of(self.default.handle()) {
            Ok(()) => keyspace.scan_at(range, Some(self.pin.at)),
            Err(error) => keyspace.refuse_scan(error),
        }
    }

    /// A cursor over a keyspace. Gives [`Error::NoKeyspace`] where it was dropped since, or is another store's.
    pub fn cursor_in(&self, keyspace: &Keyspace<P>) -> Cursor<P> {
        self.cursor_within_in(keyspace, ..)
    }

    /// As [`Snapshot::cursor_in`], over a range, outside of which it neither shows nor looks for any key.
    pub fn cursor_within_in(&self, keyspace: &Keyspace<P>, range: impl KeyRange) -> Cursor<P> {
        match keyspace.check_of(self.default.handle()) {
            Ok(()) => keyspace.cursor_at(range, Some(self.pin.at)),
            Err(error) => Cursor::refused(error),
        }
    }
}
