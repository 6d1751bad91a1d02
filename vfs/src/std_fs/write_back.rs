//! Writing begun before anybody waits for it.
#![allow(unsafe_code, reason = "no library offers the call: docs/unsafe.md")]

use std::fs::File;
use std::os::fd::AsRawFd;

/// Begins to write dirty pages of a range. An error is left for the sync of the file to tell, which asks for all that went wrong.
pub(super) fn begin(file: &File, offset: u64, size_bytes: u64) {
    let (Ok(offset), Ok(size_bytes)) = (offset.try_into(), size_bytes.try_into()) else { return };
    // SAFETY: the call takes numbers only, and the descriptor is open as long as `file`.
    unsafe { libc::sync_file_range(file.as_raw_fd(), offset, size_bytes, libc::SYNC_FILE_RANGE_WRITE) };
}
