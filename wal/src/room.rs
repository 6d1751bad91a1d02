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

use lsmkit_vfs::{File, Window};

use crate::log::Next;
use crate::options::LogOptions;

/// How much is set aside for windows at a time, at most.
const ALLOCATED_BYTES_MAX: u64 = 4 << 20;
/// How much is seen through a window at a time. One of the appends has to wait until it is open, which takes some 0.2 ms.
const WINDOW_BYTES: u64 = 256 << 10;
/// How much is filled with zeros at a time, at most.
const FILLED_BYTES_MAX: u64 = 256 << 10;
/// The longest group of records that is copied through a window. To show a page of 4 KiB through one costs some three
/// microseconds, so that from two thousand bytes on a call is cheaper.
const COPIED_BYTES_MAX: usize = 2 << 10;
/// What windows begin and end at, whatever the machine: the largest size of a page.
const PAGE_BYTES: u64 = 64 << 10;

/// The room in a segment file, and the way its records are written.
#[derive(Debug)]
pub(crate) struct Room {
    /// Before this many bytes are in the segment, no room is made.
    from_bytes: u64,
    /// The first so many bytes of the file have been set aside.
    allocated_bytes: u64,
    /// The first so many bytes of the file have been written, as far as there was room.
    filled_bytes: u64,
    window: Option<View>,
    /// No window is to be had before this place in the file.
    blind_until: u64,
}

#[derive(Debug)]
struct View {
    offset: u64,
    window: Box<dyn Window>,
}

impl Room {
    pub(crate) fn new(options: &LogOptions) -> Room {
        let LogOptions { room_from_bytes: from_bytes, windows } = *options;
        let blind_until = if windows { 0 } else { u64::MAX };
        Room { from_bytes, allocated_bytes: 0, filled_bytes: 0, window: None, blind_until }
    }

    /// Writes `bytes` at `offset`, behind which there is nothing in the file but room.
    pub(crate) fn write(&mut self, file: &dyn File, bytes: &[u8], offset: u64, next: Next) -> io::Result<()> {
        if offset >= self.from_bytes && bytes.len() <= FILLED_BYTES_MAX as usize {
            match next {
                Next::Append if bytes.len() > COPIED_BYTES_MAX => {}
                Next::Append => {
                    if let Some(view) = self.view_of(file, offset, bytes.len() as u64) {
                        return view.window.write(bytes, (offset - view.offset) as usize);
                    }
                }
                Next::Sync => self.fill(file, offset, bytes.len() as u64)?,
            }
        }
        file.write_at(bytes, offset)
    }

    pub(crate) fn close_window(&mut self) {
        self.window = None;
    }

    /// The window that shows `len` bytes from `offset` on, opened if need be.
    #[inline]
    fn view_of(&mut self, file: &dyn File, offset: u64, len: u64) -> Option<&mut View> {
        let shows = |view: &View| offset >= view.offset && offset + len <= view.offset + WINDOW_BYTES;
        if !self.window.as_ref().is_some_and(shows) {
            self.open_window(file, offset, len);
        }
        self.window.as_mut()
    }

    #[cold]
    fn open_window(&mut self, file: &dyn File, offset: u64, len: u64) {
        self.window = None;
        if offset < self.blind_until {
            return;
        }
        let start = offset - offset % PAGE_BYTES;
        let end = start + WINDOW_BYTES;
        debug_assert!(offset + len <= end, "what is copied is much shorter than a window");
        if end > self.allocated_bytes {
            // No more than is there already, so that a small log stays small.
            let wanted = end.max(start + (start - start % WINDOW_BYTES).min(ALLOCATED_BYTES_MAX));
            if file.allocate(wanted).is_err() {
                // There may be room enough for the record itself, which is then written by a call; or the call tells
                // why not. A little later there may be more.
                self.blind_until = end;
                return;
            }
            self.allocated_bytes = wanted;
        }
        match file.window(start, WINDOW_BYTES as usize) {
            Ok(Some(window)) => self.window = Some(View { offset: start, window }),
            Ok(None) => self.blind_until = u64::MAX,
            Err(_) => self.blind_until = end,
        }
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
