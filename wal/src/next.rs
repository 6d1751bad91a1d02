//! The file of the next segment, made before it is needed.
//!
//! To create a file, and to set aside the first room in it, takes the file system's journal and its maps of free blocks. Where the
//! device is busy either may take most of a second, and the append that comes first in a segment would wait for it, and all
//! behind that one. So while a segment fills, whoever has the time ([`LogHandle::prepare`](crate::LogHandle::prepare)) makes the file of
//! the next, with some room: what it makes is all zeros, which a replay takes for nothing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lsmkit_base::SegmentId;
use lsmkit_vfs::{File, Fs};

use crate::ahead::View;
use crate::names::segment_path;

/// The file of the next segment, where it has been made.
///
/// Its lock is held while it is being made: whoever needs the file then waits for no longer than it would take to make it.
#[derive(Debug, Default)]
pub(crate) struct NextSegment {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The segment whose file may be made.
    id: Option<SegmentId>,
    made: Option<Made>,
}

/// A file that holds nothing yet.
#[derive(Debug)]
pub(crate) struct Made {
    id: SegmentId,
    path: PathBuf,
    pub(crate) file: Arc<dyn File>,
    /// Its beginning, where there are windows.
    pub(crate) view: Option<View>,
}

impl NextSegment {
    /// The file of segment `id`, if it has been made; from now on it may be that of the one after.
    pub(crate) fn take(&self, id: SegmentId) -> Option<Made> {
        let mut state = self.state();
        state.id = Some(SegmentId(id.0 + 1));
        state.made.take().filter(|made| made.id == id)
    }

    /// Makes the file, if it may be, with room for `size_bytes`. What fails here is met again by whoever needs it.
    pub(crate) fn make(&self, fs: &dyn Fs, dir: &Path, size_bytes: u64) {
        let mut state = self.state();
        if state.made.is_some() {
            return;
        }
        let Some(id) = state.id.take() else { return };
        let path = segment_path(dir, id);
        let Ok(file) = fs.create(&path) else { return };
        match View::first(&file, size_bytes) {
            Ok(view) => state.made = Some(Made { id, path, file, view }),
            // Rather none than one that takes the room that others could do with.
            Err(_) => drop(fs.remove(&path)),
        }
    }

    /// Removes the file if it has been made, and lets none be made before the next segment is begun.
    pub(crate) fn give_up(&self, fs: &dyn Fs) {
        let mut state = self.state();
        state.id = None;
        if let Some(Made { path, file, view, .. }) = state.made.take() {
            // They would keep its blocks.
            drop((file, view));
            // Where it can't be removed, whoever opens the log next does.
            let _ = fs.remove(&path);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Should the file system have panicked, nothing has been made.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
