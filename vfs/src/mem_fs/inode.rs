//! A file, whatever its name is or whether it has one.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::content::Content;
use super::space::Space;
use crate::{File, FileLock, LockKind, Window};

/// Lock order: the names of the file system, then an inode's `state`. Nobody but
/// [`freeze`] holds the states of two inodes at once.
#[derive(Debug)]
pub(super) struct Inode {
    /// Given out once in a file system; the order in which files were created.
    pub(super) id: u64,
    space: Arc<Space>,
    state: RwLock<State>,
    lock: Mutex<Lock>,
}

#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) content: Content,
    naming: Naming,
    handles: u64,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Naming {
    Named,
    /// Removed or replaced: there for those who have it open, or because that isn't durable.
    Nameless,
}

#[derive(Debug, PartialEq)]
enum Lock {
    Free,
    Shared { holders: u64 },
    Exclusive,
}

impl Inode {
    /// A file that nobody has open; one with a name takes up the space of its content, whether there
    /// is room or not.
    pub(super) fn existing(id: u64, content: Content, naming: Naming, space: &Arc<Space>) -> Arc<Inode> {
        if naming == Naming::Named {
            space.take_used(content.charged_blocks());
        }
        let state = State { content, naming, handles: 0 };
        Arc::new(Inode {
            id,
            space: Arc::clone(space),
            state: RwLock::new(state),
            lock: Mutex::new(Lock::Free),
        })
    }

    /// A thread that panics while it holds a state has met a mistake of this module; the bytes are
    /// still there to be looked at.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies `change` to the content.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut Content, &Space) -> R) -> R {
        change(&mut self.write().content, &self.space)
    }

    /// Puts durable bytes in the place of all that was there.
    pub(super) fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        self.change(|content, space| {
            space.give_back(content.charged_blocks());
            *content = Content::new(self.id);
            let written = content.write(bytes, 0, space);
            content.sync();
            written
        })
    }

    /// Its name was taken away. Its space is free once nobody has it open.
    pub(super) fn unname(&self) {
        let mut state = self.write();
        state.naming = Naming::Nameless;
        self.give_back_if_gone(&state);
    }

    fn give_back_if_gone(&self, state: &State) {
        if state.naming == Naming::Nameless && state.handles == 0 {
            self.space.give_back(state.content.charged_blocks());
        }
    }

    fn lock_state(&self) -> MutexGuard<'_, Lock> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds all of the files still at one instant, so that what is seen of one fits what is seen of
/// another.
pub(super) fn freeze<'a>(
    inodes: impl Iterator<Item = &'a Arc<Inode>>,
) -> BTreeMap<u64, RwLockReadGuard<'a, State>> {
    let mut frozen = BTreeMap::new();
    for inode in inodes {
        // Never twice: a writer that waits between the two would make it a deadlock.
        frozen.entry(inode.id).or_insert_with(|| inode.read());
    }
    frozen
}

/// A file that somebody has open.
#[derive(Debug)]
struct Handle(Arc<Inode>);

impl Handle {
    fn new(inode: Arc<Inode>) -> Handle {
        inode.write().handles += 1;
        Handle(inode)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.0.write();
        state.handles -= 1;
        self.0.give_back_if_gone(&state);
    }
}

/// How a file was opened.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Access {
    Read,
    ReadWrite,
}

#[derive(Debug)]
pub(super) struct MemFile {
    handle: Handle,
    access: Access,
}

impl MemFile {
    pub(super) fn new(inode: Arc<Inode>, access: Access) -> MemFile {
        MemFile { handle: Handle::new(inode), access }
    }

    fn for_writing(&self) -> io::Result<&Inode> {
        match self.access {
            Access::ReadWrite => Ok(&self.handle.0),
            Access::Read => Err(io::Error::new(io::ErrorKind::PermissionDenied, "opened for reading only")),
        }
    }
}

impl File for MemFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(self.handle.0.read().content.read(bytes, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.for_writing()?.change(|content, space| content.write(bytes, offset, space))
    }

    fn sync(&self) -> io::Result<()> {
        self.handle.0.change(|content, _| content.sync());
        Ok(())
    }

    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.handle.0.read().content.size_bytes())
    }

    fn allocate(&self, size_bytes: u64) -> io::Result<()> {
        self.for_writing()?.change(|content, space| content.allocate(size_bytes, space))
    }

    fn window(&self, offset: u64, size_bytes: usize) -> io::Result<Option<Box<dyn Window>>> {
        self.for_writing()?;
        let handle = Handle::new(Arc::clone(&self.handle.0));
        Ok(Some(Box::new(MemWindow { handle, offset, size_bytes })))
    }
}

#[derive(Debug)]
struct MemWindow {
    handle: Handle,
    offset: u64,
    size_bytes: usize,
}

impl Window for MemWindow {
    fn write(&mut self, bytes: &[u8], at: usize) -> io::Result<()> {
        assert!(at + bytes.len() <= self.size_bytes, "a window is written within");
        self.handle.0.change(|content, space| content.write(bytes, self.offset + at as u64, space))
    }
}

/// A lock belongs to the file, not to its name, and goes with this value.
#[derive(Debug)]
pub(super) struct MemLock {
    handle: Handle,
}

impl MemLock {
    pub(super) fn new(inode: Arc<Inode>, kind: LockKind) -> io::Result<MemLock> {
        let mut lock = inode.lock_state();
        match (&mut *lock, kind) {
            (Lock::Free, LockKind::Exclusive) => *lock = Lock::Exclusive,
            (Lock::Free, LockKind::Shared) => *lock = Lock::Shared { holders: 1 },
            (Lock::Shared { holders }, LockKind::Shared) => *holders += 1,
            _ => return Err(io::ErrorKind::WouldBlock.into()),
        }
        drop(lock);
        Ok(MemLock { handle: Handle::new(inode) })
    }
}

impl Drop for MemLock {
    fn drop(&mut self) {
        let mut lock = self.handle.0.lock_state();
        *lock = match *lock {
            Lock::Shared { holders } if holders > 1 => Lock::Shared { holders: holders - 1 },
            _ => Lock::Free,
        };
    }
}

impl FileLock for MemLock {}
