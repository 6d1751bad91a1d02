//! A file system in memory that knows what a power failure would leave of it.

mod content;
mod crash;
mod fate;
mod inode;
mod names;
mod space;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLockReadGuard};

use self::content::Content;
use self::fate::Fate;
use self::inode::{Access, Inode, MemFile, MemLock, Naming, State, freeze};
use self::names::{Names, Node, files, place};
use self::space::Space;
use crate::seeded::Seeded;
use crate::{DirEntry, DirEntryKind, File, FileLock, Fs, LockKind};

/// A file system in memory that knows what a power failure would leave of it.
///
/// A clone is the same file system. Paths start at its root, relative ones too; a name that is not
/// UTF-8 is refused. There are no symbolic links. [`Fs::rename`] is for files only. A file is at most
/// 64 GiB long.
///
/// # What a crash leaves
///
/// [`MemFs::crash`] gives a new file system that holds what a disk might hold after a power failure at
/// this instant. What [`Fs`] promises is always there. Of the rest, the seed decides:
///
/// - Each block of 4 KiB that was written since the file was last synced is as it was then, or as it
///   is now, or as it was at some time in between, or torn: its first sectors of 512 bytes are new,
///   the others old.
/// - A length that grew since is as it was, or as it is, or anything in between; where it survived
///   without its blocks, zeros stand in their place.
/// - Each creation, rename and removal in a directory since the last [`Fs::sync_dir`] happened or
///   did not, not necessarily in order. A rename is one step: the file has the old name or the new
///   one. A removed file may be there again, with what was synced of it.
/// - Contents and names are apart: a file whose bytes were synced may have lost its name, and a file
///   whose name is durable may be empty.
/// - A directory's own name belongs to the directory above. Where that was not synced after
///   [`Fs::create_dir`], the directory may be gone with all that was in it, synced or not.
///
/// A rename from one directory to another is durable here once either of them is synced, as journals have
/// it; [`Fs::sync_dir`] promises less.
///
/// A removed file takes up memory until its directory is synced, since it may come back.
///
/// # Example
///
/// ```
/// use std::path::Path;
/// use lsmkit_vfs::{Fs, MemFs};
///
/// # fn main() -> std::io::Result<()> {
/// let disk = MemFs::new();
/// disk.create(Path::new("/synced"))?.write_at(b"kept", 0)?;
/// disk.open_write(Path::new("/synced"))?.sync()?;
/// disk.sync_dir(Path::new("/"))?;
/// disk.create(Path::new("/careless"))?.write_at(b"lost?", 0)?;
///
/// for seed in 0..100 {
///     assert_eq!(disk.crash(seed).read("/synced")?, b"kept");
/// }
/// assert_eq!(disk.crash_synced_only().files(), [Path::new("/synced")]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemFs {
    disk: Arc<Disk>,
}

struct Disk {
    names: Mutex<Names>,
    space: Arc<Space>,
    next_inode: AtomicU64,
}

impl MemFs {
    /// An empty file system without a limit.
    pub fn new() -> MemFs {
        MemFs::of(Names::new(), Arc::new(Space::new(u64::MAX)), 0)
    }

    /// An empty file system with room for `capacity_bytes`, rounded down to whole blocks of 4 KiB.
    ///
    /// A write or an allocation that needs more fails with [`io::ErrorKind::StorageFull`]; a write puts
    /// down what there is room for first. Names take no room.
    pub fn with_capacity_bytes(capacity_bytes: u64) -> MemFs {
        let disk = MemFs::new();
        disk.set_capacity_bytes(capacity_bytes);
        disk
    }

    fn of(names: Names, space: Arc<Space>, next_inode: u64) -> MemFs {
        MemFs { disk: Arc::new(Disk { names: Mutex::new(names), space, next_inode: next_inode.into() }) }
    }

    /// The file system, ready to be passed on.
    pub fn shared(&self) -> Arc<dyn Fs> {
        Arc::new(self.clone())
    }

    /// Changes how much there is room for. Where more is used already, nothing is lost, and nothing
    /// can be added.
    pub fn set_capacity_bytes(&self, capacity_bytes: u64) {
        self.disk.space.set_capacity_bytes(capacity_bytes);
    }

    /// The room that files take, in whole blocks of 4 KiB, with those that have no name any more
    /// but are open.
    pub fn used_bytes(&self) -> u64 {
        self.disk.space.used_bytes()
    }

    /// What a disk might hold after a power failure at this instant; see [`MemFs`]. The same operations
    /// and the same seed give the same disk.
    ///
    /// This file system and what is open in it go on as if nothing had happened, apart from the new
    /// one. All that the new one holds is durable, and nothing in it is locked. Costs a few
    /// nanoseconds for each unsynced block and for each block of a file that has unsynced ones; files
    /// that were synced share their blocks with the new file system.
    pub fn crash(&self, seed: u64) -> MemFs {
        let mut seeded = Seeded::new(seed);
        self.crash_by(&mut seeded, Fate::draw)
    }

    /// What is durable at this instant and nothing else: the least that a power failure can leave.
    pub fn crash_synced_only(&self) -> MemFs {
        self.crash_by(&mut Seeded::new(0), |_| Fate::Lost)
    }

    fn crash_by(&self, seeded: &mut Seeded, draw: impl Fn(&mut Seeded) -> Fate) -> MemFs {
        let names = self.names();
        let frozen = freeze(names.inodes());
        let fate = draw(seeded);
        let mut now = crash::surviving(&names, fate, seeded);
        let space = Arc::new(Space::new(self.disk.space.capacity_blocks()));
        for node in now.values_mut().flat_map(|names| names.values_mut()) {
            if let Node::File(file) = node {
                let fate = draw(seeded);
                let content = frozen[&file.id].content.after_crash(fate, seeded);
                *file = Inode::existing(file.id, content, Naming::Named, &space);
            }
        }
        let durable = now.clone();
        MemFs::of(Names { now, durable, pending: Vec::new() }, space, self.disk.next_inode.load(Relaxed))
    }

    /// What is there after the process is killed at this instant: everything, and what was not
    /// synced can still be lost by a later power failure. Nothing is locked or open.
    ///
    /// This file system and what is open in it go on, apart from the new one.
    pub fn kill(&self) -> MemFs {
        let names = self.names();
        let frozen = freeze(names.inodes());
        let space = Arc::new(Space::new(self.disk.space.capacity_blocks()));
        let named: HashSet<u64> = files(&names.now).map(|(_, file)| file.id).collect();
        let copy = |(id, state): (&u64, &RwLockReadGuard<'_, State>)| {
            let naming = if named.contains(id) { Naming::Named } else { Naming::Nameless };
            (*id, Inode::existing(*id, state.content.clone(), naming, &space))
        };
        let copies: HashMap<u64, Arc<Inode>> = frozen.iter().map(copy).collect();
        let names = names.copied(|file| Arc::clone(&copies[&file.id]));
        MemFs::of(names, space, self.disk.next_inode.load(Relaxed))
    }

    /// Where all files are, ascending.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut paths: Vec<_> = files(&self.names().now).map(|(place, _)| place.path().into()).collect();
        paths.sort_unstable();
        paths
    }

    /// All bytes of a file.
    ///
    /// # Errors
    ///
    /// `NotFound` and `IsADirectory`, as [`Fs::open`].
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let file = self.open(path.as_ref())?;
        let mut bytes = vec![0; file.size_bytes()? as usize];
        let there = file.read_at(&mut bytes, 0)?;
        bytes.truncate(there);
        Ok(bytes)
    }

    /// Puts `bytes` in the place of all that a file holds, as if they had always been there: durable,
    /// name and all. What has the file open sees them.
    ///
    /// Creates the file and the directories above it where they are missing; the names beside a new
    /// file become durable with it.
    ///
    /// # Errors
    ///
    /// `IsADirectory`, `NotADirectory` and `StorageFull`.
    pub fn write(&self, path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        let path = path.as_ref();
        let file = self.names().file(path).cloned();
        let file = match file {
            Err(e) if e.kind() == io::ErrorKind::NotFound => self.create_durably(path)?,
            file => file?,
        };
        file.replace(bytes)
    }

    fn create_durably(&self, path: &Path) -> io::Result<Arc<Inode>> {
        let Some(above) = path.parent() else { return Err(io::ErrorKind::IsADirectory.into()) };
        let mut names = self.names();
        if !above.as_os_str().is_empty() {
            names.create_dir(above)?;
        }
        let file = self.create_in(&mut names, path)?;
        for dir in path.ancestors().skip(1) {
            // Where a relative path starts.
            let dir = if dir.as_os_str().is_empty() { Path::new("/") } else { dir };
            names.sync_dir(dir)?;
        }
        Ok(file)
    }

    /// Turns over the bit `bit` of a file, counted from the lowest of the first byte on, in what is
    /// there and in what is durable: what the disk holds has rotted.
    ///
    /// # Errors
    ///
    /// `InvalidInput` where the file is too short to have the bit; `NotFound` and `IsADirectory`.
    pub fn flip_bit(&self, path: impl AsRef<Path>, bit: u64) -> io::Result<()> {
        let file = self.names().file(path.as_ref())?.clone();
        match file.change(|content, space| content.flip(bit, space))? {
            true => Ok(()),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "the file has no such bit")),
        }
    }

    /// Leaves a file as a failed sync does on Linux: what is unsynced now can still be read, but the
    /// kernel takes it for written, and a later [`File::sync`] passes over it and succeeds. Only blocks
    /// that are written to again are; the length is durable after that sync all the same.
    ///
    /// A test calls it when it has let a sync fail (see [`FaultFs::before_each_call`]), so as to catch a
    /// program that syncs the same file once more and believes it.
    ///
    /// [`FaultFs::before_each_call`]: crate::FaultFs::before_each_call
    ///
    /// # Errors
    ///
    /// `NotFound` and `IsADirectory`.
    pub fn strand_unsynced(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let file = self.names().file(path.as_ref())?.clone();
        file.change(|content, _| content.strand());
        Ok(())
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.disk.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn create_in(&self, names: &mut Names, path: &Path) -> io::Result<Arc<Inode>> {
        // The root is there.
        let Some(at) = place(path)? else { return Err(io::ErrorKind::AlreadyExists.into()) };
        let id = self.disk.next_inode.fetch_add(1, Relaxed);
        let file = Inode::existing(id, Content::new(id), Naming::Named, &self.disk.space);
        names.create(at, Arc::clone(&file))?;
        Ok(file)
    }
}

impl Default for MemFs {
    fn default() -> MemFs {
        MemFs::new()
    }
}

impl fmt::Debug for MemFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemFs").field("used_bytes", &self.used_bytes()).finish_non_exhaustive()
    }
}

impl Fs for MemFs {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.names().create_dir(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut names = self.names();
        let file = self.create_in(&mut names, path)?;
        // Opened while the names are held: nobody can remove the file before.
        Ok(Arc::new(MemFile::new(file, Access::ReadWrite)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let names = self.names();
        Ok(Arc::new(MemFile::new(names.file(path)?.clone(), Access::Read)))
    }

    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let names = self.names();
        Ok(Arc::new(MemFile::new(names.file(path)?.clone(), Access::ReadWrite)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if let Some(replaced) = self.names().rename(from, to)? {
            replaced.unname();
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.names().remove(path)?.unname();
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let names = self.names();
        let entry = |(name, node): (&Arc<str>, &Node)| {
            let (kind, size_bytes) = match node {
                Node::File(file) => (DirEntryKind::File, file.read().content.size_bytes()),
                Node::Dir => (DirEntryKind::Dir, 0),
            };
            DirEntry { name: name.to_string(), kind, size_bytes }
        };
        Ok(names.list(dir)?.iter().map(entry).collect())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.names().sync_dir(dir)
    }

    fn lock(&self, path: &Path, kind: LockKind) -> io::Result<Box<dyn FileLock>> {
        let mut names = self.names();
        let file = match names.file(path).cloned() {
            Err(e) if e.kind() == io::ErrorKind::NotFound && kind == LockKind::Exclusive => {
                self.create_in(&mut names, path)?
            }
            file => file?,
        };
        Ok(Box::new(MemLock::new(file, kind)?))
    }
}
