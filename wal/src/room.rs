//! Room in a segment file ahead of its records.
//!
//! A call to the system for each record costs more than all else that is done for it, and a sync of a file that has
//! grown, or was written where it had not been before, costs two writes to the device: the data, and the
//! file system's own notes. So room is made ahead, in one of two ways. Where nobody waits for a sync, the file is
//! mapped, and a record costs a copy. Where somebody does, zeros are written ahead, so that the record
//! overwrites what is there, and its sync is one write.
//!
//! Both leave zeros behind the records, which a replay takes for the end (`docs/formats/log.md`).

use std::io;
use std::sync::Arc;

use lsmkit_vfs::File;

use crate::ahead::{Ahead, Place, View};
use crate::log::Next;
use crate::options::LogOptions;

/// How much is seen through a window that an append opens itself. It waits until that is done, some 0.2 ms.
const WINDOW_BYTES: u64 = 256 << 10;
/// How much is filled with zeros at a time, at most.
const FILLED_BYTES_MAX: u64 = 256 << 10;
/// The file of the next segment is not made ahead before this one has this many times as much as is needed for room: 1 MiB.
const NEXT_FILE_FACTOR: u64 = 16;
/// The longest group of records that is copied through a window. To show a page of 4 KiB through one costs some three
/// microseconds, so that from two thousand bytes on a call is cheaper.
const COPIED_BYTES_MAX: usize = 2 << 10;

/// The room in a segment file, and the way its records are written.
#[derive(Debug)]
pub(crate) struct Room {
    /// Before this many bytes are in the segment, no room is made.
    from_bytes: u64,
    /// Once this many bytes are in the segment, it is time to ask whether the file of the next is to be made.
    next_file_from_bytes: u64,
    /// The first so many bytes of the file have been written, as far as there was room.
    filled_bytes: u64,
    view: Option<View>,
    /// The first so many bytes of the file have been set aside, and perhaps more.
    allocated_bytes: u64,
    /// No window is to be had before this place in the file.
    blind_until: u64,
    ahead: Arc<Ahead>,
}

impl Room {
    pub(crate) fn new(options: &LogOptions, ahead: Arc<Ahead>) -> Room {
        let LogOptions { room_from_bytes: from_bytes, windows } = *options;
        let blind_until = if windows { 0 } else { u64::MAX };
        Room {
            from_bytes,
            next_file_from_bytes: from_bytes.saturating_mul(NEXT_FILE_FACTOR),
            filled_bytes: 0,
            view: None,
            allocated_bytes: 0,
            blind_until,
            ahead,
        }
    }

    /// The room of a file that was made ahead, with `first` to show its beginning.
    pub(crate) fn begun(options: &LogOptions, ahead: Arc<Ahead>, first: View) -> Room {
        let allocated_bytes = first.allocated_bytes();
        ahead.begin(first);
        Room { from_bytes: 0, allocated_bytes, ..Room::new(options, ahead) }
    }

    /// Writes `bytes` at `offset`, behind which there is nothing in the file but room.
    pub(crate) fn write(
        &mut self,
        file: &Arc<dyn File>,
        bytes: &[u8],
        offset: u64,
        next: Next,
    ) -> io::Result<()> {
        if offset >= self.from_bytes && bytes.len() <= FILLED_BYTES_MAX as usize {
            match next {
                Next::Append if bytes.len() > COPIED_BYTES_MAX => {}
                Next::Append => {
                    if let Some(view) = self.view_of(file, offset, bytes.len() as u64) {
                        return view.write(bytes, offset);
                    }
                }
                Next::Sync => self.fill(&**file, offset, bytes.len() as u64)?,
            }
        }
        file.write_at(bytes, offset)
    }

    /// Takes note that `written_bytes` are in the segment.
    #[inline]
    pub(crate) fn note_written(&mut self, written_bytes: u64) {
        if written_bytes >= self.next_file_from_bytes {
            self.next_file_from_bytes = self.ahead.want_file(written_bytes);
        }
    }

    /// Nothing more is written for now, where `written_bytes` have been.
    pub(crate) fn rest(&mut self, written_bytes: u64) {
        self.ahead.rest(self.view.take(), written_bytes);
    }

    /// The view that shows `len` bytes from `offset` on, opened if need be.
    #[inline]
    fn view_of(&mut self, file: &Arc<dyn File>, offset: u64, len: u64) -> Option<&mut View> {
        if !self.view.as_ref().is_some_and(|view| view.shows(offset, len)) {
            self.move_view(file, offset, len);
        }
        self.view.as_mut()
    }

    #[cold]
    fn move_view(&mut self, file: &Arc<dyn File>, offset: u64, len: u64) {
        let spent = self.view.take();
        if offset < self.blind_until {
            return;
        }
        self.view = self.ahead.take(file, offset, len).or_else(|| self.open(file, offset));
        if let Some(view) = &self.view {
            self.allocated_bytes = self.allocated_bytes.max(view.allocated_bytes());
            self.ahead.want_after(view, spent);
        }
    }

    fn open(&mut self, file: &Arc<dyn File>, offset: u64) -> Option<View> {
        let (step_bytes, allocated_bytes) = self.ahead.allocation(offset);
        let place = Place {
            file: Arc::clone(file),
            offset,
            size_bytes: WINDOW_BYTES,
            allocated_bytes: allocated_bytes.max(self.allocated_bytes),
        };
        match View::open(&place, step_bytes) {
            Ok(Some(view)) => return Some(view),
            Ok(None) => self.blind_until = u64::MAX,
            // There may be room enough for the record itself, which is then written by a call; or the call tells
            // why not. A little later there may be more.
            Err(_) => self.blind_until = offset + WINDOW_BYTES,
        }
        None
    }

    /// Writes zeros behind `offset` where nothing has been written yet, some way ahead.
    fn fill(&mut self, file: &dyn File, offset: u64, len: u64) -> io::Result<()> {
        let end = offset + len;
        if end <= self.filled_bytes {
            return Ok(());
        }
        let wanted = end + offset.min(FILLED_BYTES_MAX);
        let zeros = vec![0; (wanted - offset) as usize];
        match file.write_at(&zeros, offset) {
            Ok(()) => {}
            // There may be room enough for the record itself; not to be asked for each one anew.
            Err(e) if matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {}
            Err(e) => return Err(e),
        }
        self.filled_bytes = wanted;
        Ok(())
    }
}
