//! The operating system's file system.

#[cfg(target_os = "linux")]
mod bus_error;
#[cfg(target_os = "linux")]
mod mapped_reads;
#[cfg(target_os = "linux")]
mod window;
#[cfg(target_os = "linux")]
mod write_back;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::{DirEntry, DirEntryKind, File, FileLock, Fs, LockKind};

/// The operating system's file system.
///
/// Nothing but regular files is ever opened: a symbolic link, a device or a pipe under the name of a
/// file is refused with `InvalidInput`, a directory with `IsADirectory`. Links among the directories
/// above the file are followed.
///
/// A lock is one of `flock` on Unix, of `LockFileEx` on Windows. Where a directory can't be synced
/// (Windows), [`Fs::sync_dir`] does nothing; where room can't be set aside (elsewhere than on Linux, and on some
/// file systems of Linux), [`File::allocate`] does nothing.
///
/// On Linux, files are mapped into memory where that is faster than calls: for [`File::window`], and for small reads of a
/// file that was opened by [`Fs::open`] and is read often. What the kernel can't read or write there comes as the signal SIGBUS,
/// for which a handler is installed that turns it into an error of the call; other such signals it passes on to
/// the handler that was there before; who puts another in its place later has to pass them on likewise. A file that another
/// process makes shorter, but by less than a page, may read as if it went on with zeros. Mapped files count in the resident
/// memory that the system shows for a process (`RssFile`), though they are the kernel's cache. [`StdFs::by_calls`] maps
/// nothing and installs no handler.
#[derive(Clone, Copy, Debug, Default)]
pub struct StdFs {
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "elsewhere there are only calls"))]
    by_calls: bool,
}

impl StdFs {
    /// The file system.
    pub fn new() -> StdFs {
        StdFs::default()
    }

    /// The file system, read and written by calls only: no file is mapped, and no signal handler installed. Logs are then
    /// written at several times the cost.
    pub fn by_calls() -> StdFs {
        StdFs { by_calls: true }
    }

    /// The file system, ready to be passed on.
    pub fn shared() -> Arc<dyn Fs> {
        Arc::new(StdFs::new())
    }
}

impl Fs for StdFs {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = options().read(true).write(true).create_new(true).open(path)?;
        Ok(Arc::new(self.file(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = self.file(open_regular(options().read(true), path)?);
        #[cfg(target_os = "linux")]
        let file = StdFile { mapped_reads: (!self.by_calls).then(Default::default), ..file };
        Ok(Arc::new(file))
    }

    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(self.file(open_regular(options().read(true).write(true), path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = uninterrupted(|| entries_of(dir))?;
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    #[cfg(unix)]
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        // A file under that name would be synced without complaint.
        let flags = OFlags::DIRECTORY.bits() as i32;
        fs::OpenOptions::new().read(true).custom_flags(flags).open(dir)?.sync_all()
    }

    /// Elsewhere than on Unix a directory can't be synced; its names are the file system's business.
    #[cfg(not(unix))]
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path, kind: LockKind) -> io::Result<Box<dyn FileLock>> {
        let mut options = options();
        options.read(true);
        if kind == LockKind::Exclusive {
            // Some file systems on a network ask for a file that can be written.
            options.write(true).create(true).truncate(false);
        }
        let file = open_regular(&options, path)?;
        uninterrupted(|| {
            let locked = match kind {
                LockKind::Exclusive => file.try_lock(),
                LockKind::Shared => file.try_lock_shared(),
            };
            locked.map_err(io::Error::from)
        })?;
        Ok(Box::new(StdLock { file }))
    }
}

/// Files are the owner's alone, and a symbolic link is never followed.
fn options() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        // Opening a pipe would wait for its other end.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits() as i32);
    }
    #[cfg(windows)]
    {
        use std::os::windows::fs::OpenOptionsExt;
        const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
        options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT);
    }
    options
}

/// Opens a file that may be there already, and refuses what isn't a file.
fn open_regular(options: &fs::OpenOptions, path: &Path) -> io::Result<fs::File> {
    let file = match options.open(path) {
        Ok(file) => file,
        // Systems disagree on the error for a link that isn't followed, and none names the link.
        Err(_) if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink()) => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a symbolic link stands in place of the file",
            ));
        }
        Err(e) => return Err(e),
    };
    // Asked of what was opened, not of the path: that may lead elsewhere by now.
    let kind = uninterrupted(|| file.metadata())?.file_type();
    if kind.is_file() {
        Ok(file)
    } else if kind.is_dir() {
        Err(io::ErrorKind::IsADirectory.into())
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "something other than a regular file stands in its place",
        ))
    }
}

/// What stands in a directory, in no order.
fn entries_of(dir: &Path) -> io::Result<Vec<DirEntry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // Of a link itself, not of what it points to.
        let meta = match entry.metadata() {
            Ok(meta) => meta,
            // Removed since the directory was read.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        let (kind, size_bytes) = if meta.is_file() {
            (DirEntryKind::File, meta.len())
        } else if meta.is_dir() {
            (DirEntryKind::Dir, 0)
        } else {
            (DirEntryKind::Other, 0)
        };
        entries.push(DirEntry { name, kind, size_bytes });
    }
    Ok(entries)
}

/// Asks again where a signal came between. The standard library does so in opening, reading, writing and
/// syncing, and not elsewhere. Renaming and removing are not for this: asked again after they took
/// effect, they would fail.
fn uninterrupted<T>(mut ask: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match ask() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}

/// How many files the system lets this process have open at a time (`RLIMIT_NOFILE`); `None` where it does not say.
pub fn open_files_limit() -> Option<usize> {
    #[cfg(unix)]
    {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        // None is no limit.
        Some(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX))
    }
    #[cfg(not(unix))]
    None
}

#[derive(Debug)]
struct StdFile {
    file: fs::File,
    #[cfg(target_os = "linux")]
    by_calls: bool,
    /// For files that are only read.
    #[cfg(target_os = "linux")]
    mapped_reads: Option<mapped_reads::MappedReads>,
}

impl StdFs {
    fn file(self, file: fs::File) -> StdFile {
        StdFile {
            file,
            #[cfg(target_os = "linux")]
            by_calls: self.by_calls,
            #[cfg(target_os = "linux")]
            mapped_reads: None,
        }
    }
}

impl File for StdFile {
    #[cfg(unix)]
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        use std::os::unix::fs::FileExt;
        #[cfg(target_os = "linux")]
        if let Some(mapped_reads) = &self.mapped_reads
            && mapped_reads.read(&self.file, bytes, offset)
        {
            return Ok(bytes.len());
        }
        read_fully(bytes, offset, |part, at| self.file.read_at(part, at))
    }

    #[cfg(windows)]
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        use std::os::windows::fs::FileExt;
        read_fully(bytes, offset, |part, at| self.file.seek_read(part, at))
    }

    #[cfg(unix)]
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, offset)
    }

    #[cfg(windows)]
    fn write_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        use std::os::windows::fs::FileExt;
        while !bytes.is_empty() {
            match self.file.seek_write(bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    offset += written as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    #[cfg(target_os = "linux")]
    fn write_back(&self, offset: u64, size_bytes: u64) {
        write_back::begin(&self.file, offset, size_bytes);
    }

    fn size_bytes(&self) -> io::Result<u64> {
        Ok(uninterrupted(|| self.file.metadata())?.len())
    }

    #[cfg(target_os = "linux")]
    fn allocate(&self, size_bytes: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::{Errno, retry_on_intr};
        // The system refuses to allocate nothing.
        if size_bytes == 0 {
            return Ok(());
        }
        // Also where the file is as long already: it may have holes.
        match retry_on_intr(|| fallocate(&self.file, FallocateFlags::empty(), 0, size_bytes)) {
            // The file system has no such operation: writing finds out whether there is room.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn allocate(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    #[cfg(target_os = "linux")]
    fn window(&self, offset: u64, size_bytes: usize) -> io::Result<Option<Box<dyn crate::Window>>> {
        if self.by_calls {
            return Ok(None);
        }
        let window = window::MappedWindow::new(&self.file, offset, size_bytes)?;
        Ok(window.map(|window| Box::new(window) as Box<dyn crate::Window>))
    }
}

/// Reads until `bytes` is full or the file ends: the system may return less than asked anywhere.
fn read_fully(
    bytes: &mut [u8],
    offset: u64,
    mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match read(&mut bytes[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// The lock belongs to the open file and goes with it.
#[derive(Debug)]
struct StdLock {
    file: fs::File,
}

impl FileLock for StdLock {}

impl Drop for StdLock {
    /// Closing the file would not do: a child process that another thread is starting right now holds a
    /// copy of its descriptor until it runs its own program.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}
