//! A file system that keeps a limited number of files open.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwapOption;

use crate::{DirEntry, File, FileLock, Fs, LockKind, Window};

/// A file system that passes every call on to another one, and of the files that were opened for reading keeps no more than so
/// many open there: so a store of any number of tables does with the file descriptors that a process may have.
///
/// Of files that have not been read for longest, more or less, it lets go, and opens them again by their path when they
/// are read; that is when a read may fail as [`Fs::open`] does. Whatever the file system keeps with an open file is begun
/// anew then, such as the map that [`StdFs`](crate::StdFs) reads from.
///
/// A file that is removed or renamed through it stays open for those who have it, as elsewhere, until they let go of it; where
/// it has to be opened for that and can't be, it is not removed. Paths are to be spelt then as they were when the file was opened,
/// and to lead to the same file for as long as it is there: not so those that are relative to a directory that the process
/// leaves. Files opened for writing don't count. Where more threads read different files at once than may be open, or
/// more were removed, there are as many.
#[derive(Clone, Debug)]
pub struct PooledFs {
    fs: Arc<dyn Fs>,
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    open_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// All that were opened and are held by somebody.
    by_path: HashMap<PathBuf, Vec<Weak<PooledFile>>>,
    /// Those that are open and may be closed, the next to be looked at first. Some may be gone.
    ring: VecDeque<Weak<PooledFile>>,
    /// How many are open, or about to be.
    open: usize,
}

/// A file opened for reading.
#[derive(Debug)]
struct PooledFile {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    pool: Arc<Pool>,
    me: Weak<PooledFile>,
    /// Who reads it keeps it open for that long, though it be taken out meanwhile.
    file: ArcSwapOption<Opened>,
    /// Held while it is opened.
    opening: Mutex<()>,
    /// Whether it was read since it was last looked at.
    is_used: AtomicBool,
    /// Whether it can't be opened again by its path. Changed, and looked at before it is closed, behind the pool's lock.
    is_kept: AtomicBool,
}

#[derive(Debug)]
struct Opened(Arc<dyn File>);

impl PooledFs {
    /// `fs`, of which no more than `open_max` files that are read are open at a time; at least one.
    pub fn new(fs: Arc<dyn Fs>, open_max: usize) -> PooledFs {
        PooledFs { fs, pool: Arc::new(Pool { open_max: open_max.max(1), state: Mutex::default() }) }
    }

    /// The file system, ready to be passed on.
    pub fn shared(&self) -> Arc<dyn Fs> {
        Arc::new(self.clone())
    }

    /// How many of the files that were opened for reading are open now.
    pub fn open_files(&self) -> usize {
        self.pool.lock().open
    }

    /// Sees to it that all who have a file of this name open keep it, whatever becomes of the name.
    fn keep(&self, path: &Path) -> io::Result<()> {
        for file in self.mark_kept(path) {
            file.read(|_| Ok(()))?;
        }
        Ok(())
    }

    /// From now on, files of this name that are open are not closed.
    fn mark_kept(&self, path: &Path) -> Vec<Arc<PooledFile>> {
        let state = self.pool.lock();
        let files: Vec<_> = state.by_path.get(path).into_iter().flatten().filter_map(Weak::upgrade).collect();
        files.iter().for_each(|file| file.is_kept.store(true, Relaxed));
        // They may be the last holders, who take the lock.
        drop(state);
        files
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for one more open file, and counts it.
    fn enter(&self) {
        // Let go of behind the lock: the last holder of a file takes it, too, and to close a file takes a while.
        let mut looked_at = Vec::new();
        let mut closed = Vec::new();
        let mut state = self.lock();
        // The first round finds those that were not used of late, and the second some of the others.
        let mut looks = 2 * state.ring.len();
        while state.open >= self.open_max && looks > 0 {
            looks -= 1;
            let Some(next) = state.ring.pop_front() else { break };
            let Some(file) = next.upgrade() else { continue };
            if !file.is_kept.load(Relaxed) {
                if file.is_used.swap(false, Relaxed) {
                    state.ring.push_back(next);
                } else {
                    closed.extend(file.file.swap(None));
                    state.open -= 1;
                }
            }
            looked_at.push(file);
        }
        state.open += 1;
        drop(state);
        drop((closed, looked_at));
    }

    /// Takes back what [`Pool::enter`] has counted.
    fn leave(&self) {
        self.lock().open -= 1;
    }
}

impl PooledFile {
    /// Reads the file, which is opened again if it was closed.
    fn read<T>(&self, read: impl FnOnce(&dyn File) -> io::Result<T>) -> io::Result<T> {
        if let Some(file) = &*self.file.load() {
            // Mostly it is set, and its line stays shared between the cores.
            if !self.is_used.load(Relaxed) {
                self.is_used.store(true, Relaxed);
            }
            return read(&*file.0);
        }
        read(&*self.open_again()?.0)
    }

    /// The file, which was closed.
    #[cold]
    fn open_again(&self) -> io::Result<Arc<Opened>> {
        let _alone = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = self.file.load_full() {
            return Ok(file);
        }
        self.pool.enter();
        let opened = self.fs.open(&self.path).inspect_err(|_| self.pool.leave())?;
        let opened = Arc::new(Opened(opened));
        self.file.store(Some(Arc::clone(&opened)));
        self.is_used.store(true, Relaxed);
        self.pool.lock().ring.push_back(Weak::clone(&self.me));
        Ok(opened)
    }
}

impl Drop for PooledFile {
    fn drop(&mut self) {
        let is_open = self.file.swap(None).is_some();
        let mut state = self.pool.lock();
        state.open -= usize::from(is_open);
        if let Some(files) = state.by_path.get_mut(&self.path) {
            files.retain(|file| file.strong_count() > 0);
            if files.is_empty() {
                state.by_path.remove(&self.path);
            }
        }
        // Else it would grow where files come and go and never fill the pool.
        if state.ring.len() > 2 * self.pool.open_max.min(state.open + 8) {
            state.ring.retain(|file| file.strong_count() > 0);
        }
    }
}

impl File for PooledFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read(|file| file.read_at(bytes, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.read(|file| file.write_at(bytes, offset))
    }

    fn sync(&self) -> io::Result<()> {
        self.read(|file| file.sync())
    }

    fn write_back(&self, offset: u64, size_bytes: u64) {
        // A hint: where the file can't be opened, the next call says so.
        let _ = self.read(|file| {
            file.write_back(offset, size_bytes);
            Ok(())
        });
    }

    fn size_bytes(&self) -> io::Result<u64> {
        self.read(|file| file.size_bytes())
    }

    fn allocate(&self, size_bytes: u64) -> io::Result<()> {
        self.read(|file| file.allocate(size_bytes))
    }

    fn window(&self, offset: u64, size_bytes: usize) -> io::Result<Option<Box<dyn Window>>> {
        self.read(|file| file.window(offset, size_bytes))
    }
}

impl Fs for PooledFs {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.fs.create_dir(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.fs.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = Arc::new_cyclic(|me| PooledFile {
            fs: Arc::clone(&self.fs),
            path: path.to_path_buf(),
            pool: Arc::clone(&self.pool),
            me: Weak::clone(me),
            file: ArcSwapOption::empty(),
            opening: Mutex::new(()),
            is_used: AtomicBool::new(false),
            is_kept: AtomicBool::new(false),
        });
        self.pool.lock().by_path.entry(path.to_path_buf()).or_default().push(Arc::downgrade(&file));
        file.open_again()?;
        Ok(file)
    }

    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.fs.open_write(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.keep(from)?;
        self.keep(to)?;
        self.fs.rename(from, to)?;
        // Who has opened one of them meanwhile.
        drop((self.mark_kept(from), self.mark_kept(to)));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.keep(path)?;
        self.fs.remove(path)?;
        // Who has opened it meanwhile.
        drop(self.mark_kept(path));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.fs.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.fs.sync_dir(dir)
    }

    fn lock(&self, path: &Path, kind: LockKind) -> io::Result<Box<dyn FileLock>> {
        self.fs.lock(path, kind)
    }
}
