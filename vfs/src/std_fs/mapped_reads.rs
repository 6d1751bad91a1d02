//! Small reads out of a mapped file.
//!
//! A read of 2.4 KiB that the kernel has in its page cache takes 0.7 µs by a call and 0.3 µs out of a map, one of 64 KiB
//! the same by either. What a map can't do is to bring several pages from the device at once, or to say whether it
//! would have to; and to map a file costs a fault for every 64 KiB of it. So a file is mapped once it was
//! read as often as that, and where a copy took as long as a device takes, the next reads of that file are made by calls.
//!
//! # Invariants
//!
//! The unsafe code here rests on this, and cites it by number.
//!
//! 1. A map owns the mapping that it made, `size_bytes` from `start` on, from its creation until it is dropped. It is read
//!    by copying only, so nobody minds if another process writes the file meanwhile: the bytes are those of
//!    before or of after, as they would be by calls.
#![allow(unsafe_code, reason = "memory that stands for a file: docs/unsafe.md")]

use std::cell::Cell;
use std::fs::File;
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

use super::bus_error;

/// Longer reads are made by calls, which are not slower then.
const READ_BYTES_MAX: usize = 16 << 10;
/// So much of a file the kernel maps at one fault, if it has it in memory.
const FAULT_BYTES: u64 = 64 << 10;
/// No device is as fast, and no memory as slow.
const SLOW: Duration = Duration::from_micros(20);
/// One of so many copies is timed: the clock costs a sixth of a copy.
const TIMED_EVERY: u32 = 8;
/// How many reads of a file are made by calls after a copy that was slow. The eight or so that are slow until one is
/// timed may each have cost a second wait for the device: one in a hundred.
const CALLS_AFTER_SLOW: u32 = 1024;

/// How many maps there are in the process, and may be: by default the system lets a process have four times as many mappings of all
/// kinds, and without any left it can't start a thread.
static MAPS: AtomicUsize = AtomicUsize::new(0);
const MAPS_MAX: usize = 16 << 10;

/// Whether and how a file that is only read is read through memory.
#[derive(Debug, Default)]
pub(super) struct MappedReads {
    /// The small reads before there was a map.
    reads: AtomicU32,
    /// `None` inside where the file can't be mapped.
    map: OnceLock<Option<Map>>,
    /// How many reads are to be made by calls before the map is tried again.
    calls_left: AtomicU32,
}

impl MappedReads {
    /// Fills `bytes` with what is in `file` at `offset`. False where it can't, or where a call is likely to do better; then
    /// `bytes` may hold anything.
    #[inline]
    pub(super) fn read(&self, file: &File, bytes: &mut [u8], offset: u64) -> bool {
        if bytes.len() > READ_BYTES_MAX {
            return false;
        }
        let map = match self.map.get() {
            Some(map) => map,
            None if self.is_worth_it(file) => self.map.get_or_init(|| Map::new(file)),
            None => return false,
        };
        let Some(map) = map else { return false };
        // Two threads may count one read: the number is a rough one.
        let calls_left = self.calls_left.load(Ordering::Relaxed);
        if calls_left > 0 {
            self.calls_left.store(calls_left - 1, Ordering::Relaxed);
            return false;
        }
        if !is_timed() {
            return map.copy(bytes, offset);
        }
        let begun = Instant::now();
        let copied = map.copy(bytes, offset);
        if begun.elapsed() >= SLOW {
            self.calls_left.store(CALLS_AFTER_SLOW, Ordering::Relaxed);
        }
        copied
    }

    /// Whether the file was read as often as a map of it would cost faults.
    #[cold]
    fn is_worth_it(&self, file: &File) -> bool {
        let reads = self.reads.fetch_add(1, Ordering::Relaxed);
        // Asked now and then, as it takes a call.
        reads % 64 == 63 && file.metadata().is_ok_and(|meta| u64::from(reads) >= meta.len() / FAULT_BYTES)
    }
}

/// Whether it is the turn of this copy to be timed.
#[inline]
fn is_timed() -> bool {
    thread_local! {
        static COPIES: Cell<u32> = const { Cell::new(0) };
    }
    COPIES.with(|copies| {
        copies.set(copies.get().wrapping_add(1));
        copies.get() % TIMED_EVERY == 0
    })
}

/// A whole file, mapped for reading.
#[derive(Debug)]
struct Map {
    start: NonNull<u8>,
    size_bytes: usize,
    /// Whether a page of it could not be had, because the device failed or the file was made shorter.
    is_lost: AtomicBool,
}

// SAFETY: invariant 1. Nothing but `copy` uses the mapping, and `drop`, which is alone.
unsafe impl Send for Map {}
// SAFETY: as above; any number of threads may copy.
unsafe impl Sync for Map {}

impl Map {
    fn new(file: &File) -> Option<Map> {
        let size_bytes = usize::try_from(file.metadata().ok()?.len()).ok()?;
        // Of the addresses of 32 bits, tables are not to take most.
        if size_bytes == 0 || cfg!(target_pointer_width = "32") || !bus_error::is_handled_still() {
            return None;
        }
        if MAPS.fetch_add(1, Ordering::Relaxed) >= MAPS_MAX {
            MAPS.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let (access, flags) = (ProtFlags::READ, MapFlags::SHARED);
        // SAFETY: a mapping at a place that the kernel chooses disturbs no other memory.
        let start = unsafe { mmap(ptr::null_mut(), size_bytes, access, flags, file.as_fd(), 0) };
        let start = start.inspect_err(|_| _ = MAPS.fetch_sub(1, Ordering::Relaxed)).ok()?;
        let start = NonNull::new(start.cast::<u8>()).expect("because no mapping is at null");
        let map = Map { start, size_bytes, is_lost: AtomicBool::new(false) };
        // Otherwise a fault reads much more than the page that it is for.
        // SAFETY: invariant 1. The advice changes no byte.
        let _ = unsafe { madvise(start.as_ptr().cast(), size_bytes, Advice::Random) };
        Some(map)
    }

    /// Fills `bytes` with what is at `offset`; false where it is not all there.
    #[inline]
    fn copy(&self, bytes: &mut [u8], offset: u64) -> bool {
        let Some(at) = usize::try_from(offset).ok().filter(|at| *at <= self.size_bytes) else { return false };
        if bytes.len() > self.size_bytes - at || self.is_lost.load(Ordering::Relaxed) {
            return false;
        }
        // SAFETY: invariant 1, and the lines above.
        let from = unsafe { self.start.add(at) };
        bus_error::reading(from.as_ptr().addr(), bytes.len(), &self.is_lost, || {
            // SAFETY: invariant 1. `bytes` can't overlap a mapping that nobody has a reference to.
            unsafe { from.copy_to_nonoverlapping(NonNull::from(&mut *bytes).cast(), bytes.len()) }
        })
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: invariant 1. Nobody can read through it any more.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.size_bytes) };
        debug_assert!(unmapped.is_ok(), "what was mapped can be unmapped");
        MAPS.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;
    use std::sync::Barrier;
    use std::thread;

    fn file_of(pages: usize) -> (File, Vec<u8>) {
        let bytes: Vec<u8> = (0..pages * rustix::param::page_size()).map(|i| (i / 7 % 251) as u8).collect();
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        (file, bytes)
    }

    fn read(reads: &MappedReads, file: &File, len: usize, offset: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0xee; len];
        reads.read(file, &mut bytes, offset).then_some(bytes)
    }

    /// Reads that are past their first, which are made by calls.
    fn mapped(file: &File) -> MappedReads {
        let reads = MappedReads::default();
        let of_map = (0..1000).find(|_| read(&reads, file, 1, 0).is_some());
        assert!(
            of_map.is_some_and(|calls| calls > 10),
            "the first reads are made by calls, then there is a map"
        );
        reads
    }

    /// What it reads though it was slow a moment ago, as may be on a busy machine.
    fn read_soon(reads: &MappedReads, file: &File, len: usize, offset: u64) -> Option<Vec<u8>> {
        reads.calls_left.store(0, Ordering::Relaxed);
        read(reads, file, len, offset)
    }

    #[test]
    fn reads_what_is_there_and_nothing_beside() {
        let (file, bytes) = file_of(5);
        let reads = mapped(&file);
        for (len, offset) in [(1, 0), (5000, 3), (4096, 4096), (100, bytes.len() - 100), (0, bytes.len())] {
            assert_eq!(read_soon(&reads, &file, len, offset as u64).unwrap(), bytes[offset..offset + len]);
        }
        assert_eq!(read_soon(&reads, &file, 101, bytes.len() as u64 - 100), None);
        assert_eq!(read_soon(&reads, &file, 0, bytes.len() as u64 + 1), None);
        assert_eq!(read_soon(&reads, &file, 1, u64::MAX), None);
        assert_eq!(read_soon(&reads, &file, READ_BYTES_MAX + 1, 0), None, "long reads are made by calls");
    }

    #[test]
    fn large_files_are_mapped_later() {
        let (file, _) = file_of(1);
        file.set_len(200 * FAULT_BYTES).unwrap();
        let reads = MappedReads::default();
        let by_calls = (0..1000).take_while(|_| read(&reads, &file, 1, 0).is_none()).count();
        assert!((200..300).contains(&by_calls), "{by_calls} reads by calls");
    }

    #[test]
    fn after_a_slow_copy_come_calls_for_a_while() {
        let (file, _) = file_of(1);
        let reads = mapped(&file);
        reads.calls_left.store(CALLS_AFTER_SLOW, Ordering::Relaxed);
        for _ in 0..CALLS_AFTER_SLOW {
            assert_eq!(read(&reads, &file, 1, 0), None);
        }
        assert!(read(&reads, &file, 1, 0).is_some());
    }

    #[test]
    fn a_file_made_shorter_is_told_and_not_the_end_of_the_process() {
        let (file, bytes) = file_of(4);
        let page = rustix::param::page_size();
        let reads = mapped(&file);
        file.set_len(page as u64).unwrap();
        assert_eq!(read_soon(&reads, &file, 2 * page, page as u64 / 2), None);
        // For good, as pages of zeros may be in it.
        assert_eq!(read_soon(&reads, &file, 1, 0), None);
        assert_eq!(read_soon(&self::mapped(&file), &file, 10, 0).unwrap(), bytes[..10]);
    }

    /// Where one thread finds a page gone, no other takes the empty page for the file's.
    #[test]
    fn no_thread_reads_zeros_for_what_is_lost() {
        let page = rustix::param::page_size();
        for _ in 0..50 {
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(&vec![7; 4 * page], 0).unwrap();
            let reads = mapped(&file);
            let reading = Barrier::new(3);
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        assert!(read_soon(&reads, &file, page, 0).is_some());
                        reading.wait();
                        let is_lost = || match reads.map.get() {
                            Some(Some(map)) => map.is_lost.load(Ordering::Relaxed),
                            _ => panic!("there is a map"),
                        };
                        while !is_lost() {
                            // The other may have been slow, and then this one reads by calls.
                            let Some(bytes) = read_soon(&reads, &file, 2 * page, page as u64) else {
                                continue;
                            };
                            assert!(bytes.iter().all(|byte| *byte == 7), "zeros");
                        }
                    });
                }
                scope.spawn(|| {
                    reading.wait();
                    file.set_len(0).unwrap();
                });
            });
        }
    }
}
