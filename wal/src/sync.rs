//! What other threads do to a log while it is being appended to: make it durable, above all.

use std::mem;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};

use lsmkit_base::{Fault, FaultContext, SegmentId};
use lsmkit_vfs::{File, Fs};

use crate::ahead::Ahead;
use crate::log::LogHandle;
use crate::next::NextSegment;
use crate::replay::Tail;
use crate::writer::sync_fault;

/// Syncs a [`SegmentedLog`](crate::SegmentedLog), and makes room ahead in it.
///
/// Calls of `sync` at the same time share syncs: while one thread syncs the others wait, and all whose records the sync
/// covered return at once when it ends; one of the others goes on with the next. Appends don't wait.
#[derive(Clone, Debug)]
pub struct SegmentHandle {
    shared: Arc<Shared>,
}

/// What the appending and the syncing side of a log have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) dir: PathBuf,
    /// The position after the last append that succeeded.
    appended: AtomicU64,
    /// The position up to which everything is durable, names included.
    synced: AtomicU64,
    /// The first fault that can't be recovered from.
    fault: OnceLock<Fault>,
    /// Whether some thread is syncing.
    is_syncing: Mutex<bool>,
    /// Told when it no longer is.
    sync_ended: Condvar,
    /// Held for moments only.
    unsynced: Mutex<Unsynced>,
    /// The files of discarded segments that could not be removed.
    unremoved: Mutex<Vec<GivenUp>>,
    /// Room made ahead of the appends.
    pub(crate) ahead: Arc<Ahead>,
    /// The file of the next segment, made ahead too.
    pub(crate) next: NextSegment,
}

/// A segment that is no longer of the log, but whose file is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GivenUp {
    pub(crate) id: SegmentId,
    /// What stands behind its frames, where that is known.
    pub(crate) tail: Option<Tail>,
}

/// What the next sync has to sync.
#[derive(Debug, Default)]
struct Unsynced {
    /// Ascending; the last one may still grow, those before it do not.
    files: Vec<UnsyncedFile>,
    /// Whether a name is new in the directory.
    names: bool,
}

#[derive(Clone, Debug)]
struct UnsyncedFile {
    id: SegmentId,
    path: PathBuf,
    /// `None` for a file that was found on disk and not written to.
    file: Option<Arc<dyn File>>,
}

impl LogHandle for SegmentHandle {
    fn sync(&self) -> Result<(), Fault> {
        self.shared.sync()
    }

    fn prepare(&self) {
        let Shared { fs, dir, ahead, next, .. } = &*self.shared;
        if self.shared.check().is_err() {
            return;
        }
        ahead.make();
        if let Some(room_bytes) = ahead.take_wanted_file() {
            next.make(&**fs, dir, room_bytes);
        }
    }

    fn give_back(&self) {
        self.shared.next.give_up(&*self.shared.fs);
    }
}

impl SegmentHandle {
    pub(crate) fn new(shared: Arc<Shared>) -> SegmentHandle {
        SegmentHandle { shared }
    }
}

impl Shared {
    pub(crate) fn new(fs: Arc<dyn Fs>, dir: &Path) -> Shared {
        Shared {
            fs,
            dir: dir.to_path_buf(),
            appended: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            fault: OnceLock::new(),
            is_syncing: Mutex::new(false),
            sync_ended: Condvar::new(),
            unsynced: Mutex::default(),
            unremoved: Mutex::default(),
            ahead: Arc::default(),
            next: NextSegment::default(),
        }
    }

    /// Takes over what was found on disk: a log that ends at `appended`, in which `files` were
    /// perhaps written by a process that was killed before it could sync them.
    pub(crate) fn recovered(
        &self,
        appended: u64,
        synced: u64,
        files: impl Iterator<Item = (SegmentId, PathBuf)>,
    ) {
        let mut unsynced = self.unsynced();
        unsynced.files = files.map(|(id, path)| UnsyncedFile { id, path, file: None }).collect();
        unsynced.names = !unsynced.files.is_empty();
        self.synced.store(synced, Release);
        self.appended.store(appended, Release);
    }

    /// The position after the last append that succeeded.
    pub(crate) fn appended(&self) -> u64 {
        self.appended.load(Acquire)
    }

    /// The position up to which everything is durable.
    pub(crate) fn synced(&self) -> u64 {
        self.synced.load(Acquire)
    }

    /// Lets the next sync cover a file that was created, before anything is written to it.
    pub(crate) fn created(&self, id: SegmentId, path: &Path, file: &Arc<dyn File>) {
        self.unsynced().names = true;
        self.written(id, path, file);
    }

    /// Lets the next sync cover a file that is the newest with anything in it.
    pub(crate) fn written(&self, id: SegmentId, path: &Path, file: &Arc<dyn File>) {
        let mut unsynced = self.unsynced();
        if unsynced.files.iter().all(|other| other.id != id) {
            let file = UnsyncedFile { id, path: path.to_path_buf(), file: Some(Arc::clone(file)) };
            unsynced.files.push(file);
        }
    }

    /// Moves the end of the log: what is before `position` has been written.
    pub(crate) fn advance(&self, position: u64) {
        self.appended.store(position, Release);
    }

    /// Forgets the files before `keep`, which are about to be removed.
    pub(crate) fn forget_before(&self, keep: SegmentId) {
        self.unsynced().files.retain(|file| file.id >= keep);
    }

    /// The fault that ended this log, if one did.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        self.fault.get().cloned().map_or(Ok(()), Err)
    }

    /// Ends the log with `fault`, or with the one that did before.
    pub(crate) fn poison(&self, fault: Fault) -> Fault {
        self.fault.get_or_init(|| fault).clone()
    }

    /// Makes everything durable that has been appended.
    pub(crate) fn sync(&self) -> Result<(), Fault> {
        let target = self.appended();
        self.check()?;
        if self.synced() >= target {
            return Ok(());
        }
        let mut is_syncing = self.is_syncing();
        loop {
            self.check()?;
            if self.synced() >= target {
                return Ok(());
            }
            if !*is_syncing {
                break;
            }
            is_syncing = self.sync_ended.wait(is_syncing).expect("because nothing panics while it is held");
        }
        *is_syncing = true;
        drop(is_syncing);
        // Also should the file system panic: nobody waits for ever.
        let _ending = Ending(self);
        self.sync_now()
    }

    /// Syncs, whoever else may need it. One thread at a time.
    fn sync_now(&self) -> Result<(), Fault> {
        // The position first: the file that an append grew is in the list before the position is moved.
        let position = self.appended();
        let (files, names) = {
            let mut unsynced = self.unsynced();
            (unsynced.files.clone(), mem::take(&mut unsynced.names))
        };
        self.sync_all(&files, names).map_err(|fault| self.poison(fault))?;
        self.synced.store(position, Release);
        self.retire(&files);
        Ok(())
    }

    fn sync_all(&self, files: &[UnsyncedFile], names: bool) -> Result<(), Fault> {
        for UnsyncedFile { id, path, file } in files {
            let file = match file {
                Some(file) => Arc::clone(file),
                // For writing, as not every system syncs what was opened for reading.
                None => match self.fs.open_write(path).at(path) {
                    Ok(file) => file,
                    // Discarded since the list was made.
                    Err(_) if self.unsynced().files.iter().all(|other| other.id != *id) => continue,
                    Err(fault) => return Err(fault),
                },
            };
            file.sync().map_err(|source| sync_fault(path, source))?;
        }
        if names {
            self.fs.sync_dir(&self.dir).map_err(|source| sync_fault(&self.dir, source))?;
        }
        Ok(())
    }

    /// Takes the files that a sync covered and that do not grow any more off the list.
    fn retire(&self, covered: &[UnsyncedFile]) {
        let Some(newest) = covered.last() else { return };
        let still_grows = |file: &UnsyncedFile| file.id == newest.id && file.file.is_some();
        self.unsynced().files.retain(|file| file.id > newest.id || still_grows(file));
    }

    fn is_syncing(&self) -> MutexGuard<'_, bool> {
        self.is_syncing.lock().expect("because nothing panics while it is held")
    }

    pub(crate) fn unremoved(&self) -> MutexGuard<'_, Vec<GivenUp>> {
        self.unremoved.lock().expect("because nothing panics while it is held")
    }

    fn unsynced(&self) -> MutexGuard<'_, Unsynced> {
        self.unsynced.lock().expect("because nothing panics while it is held")
    }
}

/// Lets the others go on when a sync has ended, however it did.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        *self.0.is_syncing() = false;
        self.0.sync_ended.notify_all();
    }
}
