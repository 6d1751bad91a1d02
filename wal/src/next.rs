//! The file of the next segment, made before it is needed.
//!
//! To create a file, and to set aside the first room in it, takes the file system's journal and its maps of free blocks. Where the
//! device is busy either may take most of a second, and the append that comes first in a segment would wait for it, and all
//! behind that one. So while a segment fills, whoever has the time ([`LogHandle::prepare`](crate::LogHandle::prepare)) makes the file of
//! the next, with some room: what it makes is all zeros, which a replay takes for nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lsmkit_base::SegmentId;
use lsmkit_vfs::{File, Fs};

use crate::ahead::View;
use crate::names::segment_path;

/// The file of the next segment, where it has been made.
///
/// Its lock is held while the file is being made: an append that needs it meanwhile waits, rather than find half of it.
#[derive(Debug, Default)]
pub(crate) struct NextSegment {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The segment whose file may be made. Tried once.
    id: Option<SegmentId>,
    made: Option<Made>,
}

/// A file that holds nothing yet.
#[derive(Debug)]
pub(crate) struct Made {
    id: SegmentId,
    path: PathBuf,
    pub(crate) file: Arc<dyn File>,
    /// Its beginning, where it has room.
    pub(crate) view: Option<View>,
}

impl NextSegment {
    /// The file of segment `id`, if it has been made. From now on none is, until [`NextSegment::allow`].
    pub(crate) fn take(&self, id: SegmentId) -> Option<Made> {
        let mut state = self.state();
        state.id = None;
        state.made.take_if(|made| made.id == id)
    }

    /// Lets the file of segment `id` be made, as that of the segment before is there.
    pub(crate) fn allow(&self, id: SegmentId) {
        self.state().id = Some(id);
    }

    /// Makes the file, if it may be, with `room_bytes` of room for windows. What fails here is met again by whoever needs it.
    pub(crate) fn make(&self, fs: &dyn Fs, dir: &Path, room_bytes: u64) {
        let mut state = self.state();
        let Some(id) = state.id.take() else { return };
        let path = segment_path(dir, id);
        let file = match fs.create(&path) {
            Ok(file) => file,
            Err(error) => {
                if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                    // Should it be there all the same, it would be in the way.
                    let _ = fs.remove(&path);
                }
                return;
            }
        };
        let view = if room_bytes > 0 { View::first(&file, room_bytes) } else { Ok(None) };
        let has_failed = view.is_err();
        state.made = Some(Made { id, path, file, view: view.unwrap_or_default() });
        if has_failed {
            // It may have taken room that others could do with.
            state.remove(fs);
        }
    }

    /// Removes the file if it has been made, and lets none be made before the next segment is begun.
    pub(crate) fn give_up(&self, fs: &dyn Fs) {
        let mut state = self.state();
        state.id = None;
        state.remove(fs);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Should the file system have panicked, no file is known of; one that is there all the same shows when it is to be created.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remove(&mut self, fs: &dyn Fs) {
        let Some(made) = &mut self.made else { return };
        // A window would keep its blocks, and so does the file itself.
        made.view = None;
        // Where it is there all the same, the segment is begun in it, or whoever opens the log next removes it. A call that has failed may
        // have removed it; what is written to it then would be lost.
        let is_left = fs.remove(&made.path).is_err() && fs.open(&made.path).is_ok();
        if !is_left {
            self.made = None;
        }
    }
}
