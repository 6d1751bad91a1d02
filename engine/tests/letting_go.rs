//! Who lets go of tables last: never a thread of the user's, which would wait for the file system to take back their blocks.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use lsmkit::parts::{Leveled, MemFs};
use lsmkit::{Db, Options, Standard};
use lsmkit_vfs::{DirEntry, File, FileLock, Fs, LockKind};

/// The names of the threads that have closed tables.
type Closers = Arc<Mutex<Vec<Option<String>>>>;

/// Takes note of who closes files that were opened for reading.
#[derive(Debug)]
struct Watched {
    inner: Arc<dyn Fs>,
    closers: Closers,
}

#[derive(Debug)]
struct WatchedFile {
    inner: Arc<dyn File>,
    closers: Closers,
}

impl Drop for WatchedFile {
    fn drop(&mut self) {
        self.closers.lock().unwrap().push(thread::current().name().map(str::to_owned));
    }
}

impl Fs for Watched {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.inner.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let inner = self.inner.open(path)?;
        if path.extension().is_none_or(|extension| extension != "sst") {
            return Ok(inner);
        }
        Ok(Arc::new(WatchedFile { inner, closers: Arc::clone(&self.closers) }))
    }

    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.inner.open_write(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.inner.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }

    fn lock(&self, path: &Path, kind: LockKind) -> io::Result<Box<dyn FileLock>> {
        self.inner.lock(path, kind)
    }
}

impl File for WatchedFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.inner.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }

    fn size_bytes(&self) -> io::Result<u64> {
        self.inner.size_bytes()
    }

    fn allocate(&self, size_bytes: u64) -> io::Result<()> {
        self.inner.allocate(size_bytes)
    }
}

fn overwrite(db: &Db, generation: u8) {
    for n in 0..2_000_u32 {
        db.put(n.to_be_bytes(), [generation; 100]).unwrap();
    }
    db.settle().unwrap();
}

#[test]
fn a_reader_that_is_the_last_to_need_tables_does_not_close_them() {
    let closers = Closers::default();
    let fs = Watched { inner: MemFs::new().shared(), closers: Arc::clone(&closers) };
    let options = Options::new()
        .memtable_bytes(64 << 10)
        .leveled(Leveled::default().level0_trigger(2).base_bytes(128 << 10).table_bytes(32 << 10));
    let db = options.open_with(Standard, Arc::new(fs), "/store").unwrap();
    overwrite(&db, 0);

    let mut scan = db.scan(..);
    assert!(scan.next().unwrap().is_ok());
    overwrite(&db, 1);
    db.compact(..).unwrap();
    let before = closers.lock().unwrap().len();
    // It stands within a table that is obsolete by now.
    drop(scan);
    db.settle().unwrap();

    let closers = closers.lock().unwrap();
    let after = &closers[before..];
    assert!(!after.is_empty(), "the scan has kept no table open");
    let in_background = |name: &Option<String>| name.as_ref().is_some_and(|name| name.starts_with("lsmkit-"));
    assert!(after.iter().all(in_background), "tables were closed by {after:?}");
}
