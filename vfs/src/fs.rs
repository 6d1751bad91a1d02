//! The traits of a file system.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What a storage engine needs of a file system: a dozen operations, each with its contract.
///
/// Object-safe and used as `Arc<dyn Fs>`: an operation costs a system call or more, next to which
/// a virtual call is nothing, and no crate above has to be generic over its files.
///
/// # What survives a power failure
///
/// The bytes of a file that were written before its last [`File::sync`] returned; the names in a
/// directory as they were when its last [`Fs::sync_dir`] returned. Anything later may survive in
/// whole, in part, or not at all, in any order.
pub trait Fs: Send + Sync + fmt::Debug + 'static {
    /// Creates the directory and those above it that are missing, accessible to the owner only
    /// (mode 0700). A directory that is there already is left as it is.
    ///
    /// The name of each is durable once the directory above it was synced.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` where something else has the name.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Creates a file for reading and writing, accessible to the owner only (mode 0600).
    ///
    /// # Errors
    ///
    /// `AlreadyExists` where the name is taken, by whatever it may be.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// `NotFound`; `IsADirectory` for a directory, `InvalidInput` for a symbolic link and for
    /// whatever else isn't a file.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    ///
    /// As [`Fs::open`].
    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Gives a file another name in one step; a file that has the new name is replaced. Whoever has
    /// either of them open keeps it. Not for directories.
    ///
    /// # Errors
    ///
    /// `NotFound`; some other error where the new name is a directory's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes a file's name away. Whoever has it open can still read and write it.
    ///
    /// # Errors
    ///
    /// `NotFound`; some other error for a directory.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// What stands in a directory, by name, in the order of the names' bytes. Names that are not UTF-8
    /// are left out: no file of ours has one.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Makes the names in a directory durable: creations, renames and removals. Blocks until the device
    /// says so. A rename between two directories needs both to be synced.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Locks a file until the returned guard is dropped or the process ends.
    ///
    /// An exclusive lock creates the file where it is missing. A shared lock does not, so that
    /// taking it changes nothing on disk.
    ///
    /// # Errors
    ///
    /// `WouldBlock` where another holder, in this or another process, stands in the way; at once.
    /// Otherwise as [`Fs::open`].
    fn lock(&self, path: &Path, kind: LockKind) -> io::Result<Box<dyn FileLock>>;
}

/// An open file, read and written at given places. Every method may be called from any thread.
pub trait File: Send + Sync + fmt::Debug + 'static {
    /// Reads up to `bytes.len()` bytes from `offset` on; returns how many. Fewer than asked only at
    /// the end of the file.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`; a gap before it reads as zeros.
    ///
    /// # Errors
    ///
    /// `StorageFull` where there is no room; some error where the file was opened by [`Fs::open`]. Any
    /// part of the bytes may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes all that was written durable (`fdatasync`), the file's length included, but not its
    /// name; see [`Fs::sync_dir`]. Blocks until the device says so.
    ///
    /// # Errors
    ///
    /// After an error the state on disk is unknown and stays so: the kernel may have dropped the
    /// pages, and a second call may succeed without having written them. Don't call it again.
    fn sync(&self) -> io::Result<()>;

    /// Begins to bring to the device what was written to `size_bytes` bytes from `offset` on, as a rule without waiting for it. A hint: it makes nothing durable and
    /// reports nothing, but leaves less for [`sync`](File::sync) to do, and for the syncs of other files to wait for.
    fn write_back(&self, offset: u64, size_bytes: u64) {
        let _ = (offset, size_bytes);
    }

    /// The length in bytes.
    fn size_bytes(&self) -> io::Result<u64>;

    /// Sets aside room so that the first `size_bytes` bytes can be written without running out of
    /// space; the length grows to `size_bytes` if it was less, and what is added reads as zeros. A
    /// file system that can't do so may do nothing.
    ///
    /// # Errors
    ///
    /// `StorageFull`; part of the room may have been set aside.
    fn allocate(&self, size_bytes: u64) -> io::Result<()>;

    /// A window onto `size_bytes` bytes from `offset` on, through which they are written without a call to the
    /// system; `None` where there is no such thing, and then [`write_at`](File::write_at) is the way.
    ///
    /// The bytes are within the file and set aside ([`allocate`](File::allocate)); the file is not made
    /// shorter as long as the window is there. What is written through it is seen by reads at once, survives the end of the
    /// process, and is made durable by [`sync`](File::sync), as if it had been written by `write_at`.
    ///
    /// # Errors
    ///
    /// Where the window would be of no use: the next call may be of more.
    fn window(&self, offset: u64, size_bytes: usize) -> io::Result<Option<Box<dyn Window>>> {
        let _ = (offset, size_bytes);
        Ok(None)
    }

    /// Reads exactly `bytes.len()` bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` where the file ends before.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        if self.read_at(bytes, offset)? == bytes.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

/// A part of a file that can be written at the cost of a copy; see [`File::window`].
pub trait Window: Send + Sync + fmt::Debug {
    /// Writes all of `bytes`, `at` bytes from where the window begins.
    ///
    /// # Errors
    ///
    /// Where the file can't be written any more: the device failed, or another process made the file shorter. Any part
    /// of the bytes may have been written, and the window is of no further use.
    ///
    /// # Panics
    ///
    /// Where the bytes don't lie within the window.
    fn write(&mut self, bytes: &[u8], at: usize) -> io::Result<()>;
}

/// A held lock; dropping it lets go.
pub trait FileLock: Send + Sync + fmt::Debug {}

/// Who else may hold a lock at the same time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockKind {
    /// Other shared holders.
    Shared,
    /// Nobody.
    Exclusive,
}

/// One name in a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirEntry {
    /// The name, without the directory.
    pub name: String,
    /// What it names.
    pub kind: DirEntryKind,
    /// The length in bytes, of a file; zero of anything else.
    pub size_bytes: u64,
}

/// What a name in a directory stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DirEntryKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link, a socket, a device: nothing of ours.
    Other,
}
