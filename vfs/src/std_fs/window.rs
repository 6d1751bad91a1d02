//! Files written through memory.
//!
//! Writing 128 bytes by a call to the system takes a microsecond; copying them into a mapped file takes a
//! fiftieth of that, and they survive the end of the process as well. What it takes away is the error: where the kernel can't
//! give the page that is written to, it sends a signal, for which [`bus_error`](super::bus_error) puts empty memory under
//! the whole window; the window reports the loss after the copy.
//!
//! # Invariants
//!
//! The unsafe code here rests on this, and cites it by number.
//!
//! 1. A window owns the mapping that it made, `size_bytes` from `start` on, from its creation until it is dropped.
//!    Nobody else reads or writes it through a reference.
#![allow(unsafe_code, reason = "memory that stands for a file: docs/unsafe.md")]

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{Ordering, compiler_fence};

use rustix::fs::{self, fadvise};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

use super::bus_error::{self, Mapped};
use crate::Window;

/// So much of a window is asked of the kernel in one call: some tenths of a millisecond, if it does not wait for a journal.
const POPULATED_BYTES: usize = 256 << 10;

/// A part of a file mapped into memory.
#[derive(Debug)]
pub(super) struct MappedWindow {
    start: NonNull<u8>,
    size_bytes: usize,
    entry: &'static Mapped,
}

// SAFETY: invariant 1. It may be dropped and written through by any one thread.
unsafe impl Send for MappedWindow {}
// SAFETY: as above; through a shared reference there is nothing to be done with it.
unsafe impl Sync for MappedWindow {}

impl MappedWindow {
    /// `None` where windows are to be had no more, or not of this file.
    pub(super) fn new(file: &File, offset: u64, size_bytes: usize) -> io::Result<Option<MappedWindow>> {
        let page_bytes = rustix::param::page_size();
        if size_bytes == 0
            || !size_bytes.is_multiple_of(page_bytes)
            || !offset.is_multiple_of(page_bytes as u64)
        {
            return Ok(None);
        }
        if !bus_error::is_handled() {
            return Ok(None);
        }
        let Some(entry) = Mapped::take() else { return Ok(None) };
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a mapping at a place that the kernel chooses disturbs no other memory.
        let mapped = unsafe { mmap(ptr::null_mut(), size_bytes, access, flags, file.as_fd(), offset) };
        let start = match mapped {
            Ok(start) => NonNull::new(start.cast::<u8>()).expect("because no mapping is at null"),
            Err(errno) => {
                entry.give_back();
                // Some file systems can't be mapped for writing.
                return if errno == Errno::NODEV || errno == Errno::ACCESS {
                    Ok(None)
                } else {
                    Err(errno.into())
                };
            }
        };
        let window = MappedWindow { start, size_bytes, entry };
        entry.name(start.as_ptr().addr(), size_bytes);
        // Otherwise the kernel reads ahead into pieces of up to 2 MiB. For each page of such a piece ext4 goes through all of them,
        // in one go: 26 to 44 ms for some windows of 1 MiB, in which the processor does nothing else. Where the advice is refused, it
        // stays at that.
        // SAFETY: invariant 1. The advice changes no byte.
        let _ = unsafe { madvise(start.as_ptr().cast(), size_bytes, Advice::Random) };
        // Many pages at once, which is several times cheaper than one by one when they are written to; and
        // what the kernel can't give shows here, as an error. Not all of them in one call: other threads can't change what is
        // mapped while it runs.
        for at in (0..size_bytes).step_by(POPULATED_BYTES) {
            let len = (size_bytes - at).min(POPULATED_BYTES);
            // A third less work than page by page below. It may be refused as well.
            let _ = fadvise(file, offset + at as u64, NonZeroU64::new(len as u64), fs::Advice::WillNeed);
            // SAFETY: invariant 1: `at` is within the mapping. Populating changes no byte.
            match unsafe { madvise(start.as_ptr().add(at).cast(), len, Advice::LinuxPopulateWrite) } {
                Ok(()) => {}
                // Kernels before 5.14 have no such advice.
                Err(Errno::INVAL) => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(Some(window))
    }
}

impl Window for MappedWindow {
    fn write(&mut self, bytes: &[u8], at: usize) -> io::Result<()> {
        assert!(at <= self.size_bytes && bytes.len() <= self.size_bytes - at, "a window is written within");
        // SAFETY: invariant 1, and the line above. `bytes` can't overlap a mapping that nobody has a
        // reference to.
        unsafe { self.start.add(at).copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
        // A handler runs on this very thread: all that is needed is that the compiler keeps the order.
        compiler_fence(Ordering::SeqCst);
        if self.entry.is_lost() {
            return Err(io::Error::other(
                "the file's pages can't be written: it was made shorter, or its device failed",
            ));
        }
        Ok(())
    }
}

impl Drop for MappedWindow {
    fn drop(&mut self) {
        self.entry.unname();
        // SAFETY: invariant 1. Nobody can write through the window any more.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.size_bytes) };
        debug_assert!(unmapped.is_ok(), "what was mapped can be unmapped");
        self.entry.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// There are only so many windows in a process.
    fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file_of(size_bytes: u64) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(size_bytes).unwrap();
        file
    }

    fn window(file: &File, offset: u64, size_bytes: usize) -> MappedWindow {
        MappedWindow::new(file, offset, size_bytes).unwrap().unwrap()
    }

    #[test]
    fn what_is_written_through_is_in_the_file_and_outlives_the_window() {
        let _alone = alone();
        use std::os::unix::fs::FileExt;
        let page = rustix::param::page_size();
        let file = file_of(4 * page as u64);
        let mut window = window(&file, page as u64, 2 * page);
        window.write(b"across", page - 3).unwrap();
        let mut read = [0; 6];
        file.read_exact_at(&mut read, 2 * page as u64 - 3).unwrap();
        assert_eq!(&read, b"across");
        drop(window);
        file.read_exact_at(&mut read, 2 * page as u64 - 3).unwrap();
        assert_eq!(&read, b"across");
    }

    #[test]
    fn a_file_made_shorter_is_an_error_and_not_the_end_of_the_process() {
        let _alone = alone();
        let page = rustix::param::page_size();
        let file = file_of(4 * page as u64);
        let mut window = window(&file, 0, 4 * page);
        window.write(b"fine", 0).unwrap();
        file.set_len(page as u64).unwrap();
        assert!(window.write(b"lost", 2 * page).is_err());
        assert!(window.write(b"for good", 0).is_err());
        // Another one of the same file is none the worse.
        file.set_len(4 * page as u64).unwrap();
        self::window(&file, 0, 4 * page).write(b"fine again", 2 * page).unwrap();
    }

    #[test]
    fn windows_run_out_without_harm() {
        let _alone = alone();
        let page = rustix::param::page_size();
        let file = file_of(page as u64);
        let all: Vec<_> =
            (0..bus_error::WINDOWS_MAX + 1).map(|_| MappedWindow::new(&file, 0, page).unwrap()).collect();
        assert!(all.iter().any(Option::is_none));
        drop(all);
        window(&file, 0, page);
    }

    #[test]
    #[should_panic(expected = "within")]
    fn nothing_is_written_beside_a_window() {
        let _alone = alone();
        let page = rustix::param::page_size();
        let file = file_of(2 * page as u64);
        let _ = window(&file, 0, page).write(b"ab", page - 1);
    }
}
