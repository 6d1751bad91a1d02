//! The laws that every file system keeps, as tests.
//!
//! [`conformance!`](crate::conformance) takes an expression that makes a [`Subject`] whenever it is called, and
//! expands to one `#[test]` for each law:
//!
//! ```
//! mod mem_fs {
//!     use lsmkit_vfs::MemFs;
//!     use lsmkit_vfs::testkit::Subject;
//!
//!     lsmkit_vfs::conformance!(|| Subject::new(MemFs::new().shared(), "/"));
//! }
//! ```
//!
//! A file system that lies in a temporary directory keeps it for as long as the test lasts:
//! `Subject::keeping(StdFs::shared(), dir.path().to_owned(), dir)`.

#![allow(clippy::unwrap_used, reason = "the laws are tests: one that isn't kept is a failed test")]

use std::any::Any;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::seeded::Seeded;
use crate::{DirEntry, DirEntryKind, File, Fs, LockKind};

/// A file system to be tested, in a directory that is there and empty.
pub struct Subject {
    fs: Arc<dyn Fs>,
    root: PathBuf,
    _kept: Option<Box<dyn Any>>,
}

impl Subject {
    /// A file system and an empty directory of it.
    pub fn new(fs: Arc<dyn Fs>, root: impl Into<PathBuf>) -> Subject {
        Subject { fs, root: root.into(), _kept: None }
    }

    /// The same, and something to be dropped after the test.
    pub fn keeping(fs: Arc<dyn Fs>, root: impl Into<PathBuf>, kept: impl Any) -> Subject {
        Subject { fs, root: root.into(), _kept: Some(Box::new(kept)) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        let file = self.fs.create(&path).expect("the name is free");
        file.write_at(bytes, 0).expect("a file that was just created can be written");
        path
    }

    fn bytes(&self, path: &Path) -> Vec<u8> {
        all(&*self.fs.open(path).expect("the file is there"))
    }

    fn names(&self) -> Vec<String> {
        let entries = self.fs.list(&self.root).expect("the root can be listed");
        entries.into_iter().map(|entry| entry.name).collect()
    }
}

/// Expands to a `#[test]` for each law of a file system; see [`testkit`](crate::testkit).
#[macro_export]
macro_rules! conformance {
    ($make:expr) => {
        $crate::conformance! { $make;
            a_created_file_is_empty_and_its_name_is_taken
            bytes_are_read_where_they_were_written
            a_gap_reads_as_zeros
            reads_are_short_at_the_end_only
            writing_nothing_changes_nothing
            what_one_handle_writes_another_reads
            threads_write_and_read_one_file
            a_file_opened_for_reading_is_not_written
            what_is_missing_is_not_found
            a_directory_is_not_a_file
            a_file_is_not_a_directory
            directories_are_created_with_those_above
            names_are_listed_in_order
            a_renamed_file_replaces_another
            a_file_renamed_to_itself_stays
            files_move_between_directories
            a_removed_file_stays_open
            everything_can_be_synced
            an_exclusive_lock_excludes_all_others
            shared_locks_exclude_exclusive_ones_only
            an_exclusive_lock_creates_its_file_and_a_shared_one_does_not
            a_lock_leaves_the_file_as_it_is
            allocated_room_reads_as_zeros
        }
    };
    ($make:expr; $($law:ident)*) => {
        $(
            #[test]
            fn $law() {
                $crate::testkit::$law(&($make)());
            }
        )*
    };
}

fn all(file: &dyn File) -> Vec<u8> {
    let size_bytes = file.size_bytes().expect("an open file has a length");
    let mut bytes = vec![0xee; size_bytes as usize];
    file.read_exact_at(&mut bytes, 0).expect("a file can be read up to its length");
    bytes
}

#[track_caller]
fn assert_fails<T>(result: std::io::Result<T>, kind: ErrorKind) {
    match result {
        Ok(_) => panic!("this succeeds, and {kind:?} is due"),
        Err(e) => assert_eq!(e.kind(), kind, "{e}"),
    }
}

/// [`Fs::create`] gives an empty file, once.
pub fn a_created_file_is_empty_and_its_name_is_taken(subject: &Subject) {
    let path = subject.path("new");
    let file = subject.fs.create(&path).unwrap();
    assert_eq!(file.size_bytes().unwrap(), 0);
    assert_eq!(file.read_at(&mut [0; 8], 0).unwrap(), 0);
    file.write_at(b"there", 0).unwrap();

    assert_fails(subject.fs.create(&path), ErrorKind::AlreadyExists);
    assert_eq!(subject.bytes(&path), b"there", "a second creation must leave the file as it is");
    subject.fs.create_dir(&subject.path("dir")).unwrap();
    assert_fails(subject.fs.create(&subject.path("dir")), ErrorKind::AlreadyExists);
}

/// [`File::write_at`] and [`File::read_at`] against a vector of bytes.
pub fn bytes_are_read_where_they_were_written(subject: &Subject) {
    let file = subject.fs.create(&subject.path("file")).unwrap();
    let mut model = Vec::new();
    let mut seeded = Seeded::new(7);
    for _ in 0..400 {
        // Within blocks, across their edges, and over many of them.
        let length_max = [60, 5_000, 30_000][seeded.below(3) as usize];
        let length = 1 + seeded.below(length_max) as usize;
        let offset = seeded.below(model.len() as u64 + 6_000).min(150_000) as usize;
        let bytes: Vec<u8> = (0..length).map(|_| seeded.next_u64() as u8).collect();
        file.write_at(&bytes, offset as u64).unwrap();
        if model.len() < offset + length {
            model.resize(offset + length, 0);
        }
        model[offset..offset + length].copy_from_slice(&bytes);

        let mut read = vec![0xee; 1 + seeded.below(20_000) as usize];
        let offset = seeded.below(model.len() as u64 + 100);
        let there = file.read_at(&mut read, offset).unwrap();
        let expected = &model[model.len().min(offset as usize)..];
        assert_eq!(there, expected.len().min(read.len()));
        assert!(read[..there] == expected[..there], "{there} bytes at {offset}");
        assert!(read[there..].iter().all(|byte| *byte == 0xee), "bytes beyond the answer are left alone");
    }
    assert_eq!(file.size_bytes().unwrap(), model.len() as u64);
    assert!(all(&*file) == model);
}

/// What was never written, before what was, is zero.
pub fn a_gap_reads_as_zeros(subject: &Subject) {
    let path = subject.put("file", b"start");
    let file = subject.fs.open_write(&path).unwrap();
    file.write_at(b"end", 20_000).unwrap();
    let bytes = all(&*file);
    assert_eq!(bytes.len(), 20_003);
    assert_eq!(&bytes[..5], b"start");
    assert!(bytes[5..20_000].iter().all(|byte| *byte == 0));
    assert_eq!(&bytes[20_000..], b"end");
}

/// [`File::read_at`] fills the bytes unless the file ends, and [`File::read_exact_at`] says so then.
pub fn reads_are_short_at_the_end_only(subject: &Subject) {
    let path = subject.put("file", &[5; 10_000]);
    let file = subject.fs.open(&path).unwrap();
    let mut bytes = vec![0; 20_000];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), 10_000);
    assert_eq!(file.read_at(&mut bytes, 9_999).unwrap(), 1);
    assert_eq!(file.read_at(&mut bytes, 10_000).unwrap(), 0);
    assert_eq!(file.read_at(&mut bytes, 1 << 40).unwrap(), 0);
    assert_eq!(file.read_at(&mut [], 0).unwrap(), 0);

    file.read_exact_at(&mut bytes[..10_000], 0).unwrap();
    file.read_exact_at(&mut [], 10_000).unwrap();
    assert_fails(file.read_exact_at(&mut bytes[..10_000], 1), ErrorKind::UnexpectedEof);
    assert_fails(file.read_exact_at(&mut bytes[..1], 10_000), ErrorKind::UnexpectedEof);
}

/// A write of no bytes does not make the file longer.
pub fn writing_nothing_changes_nothing(subject: &Subject) {
    let file = subject.fs.create(&subject.path("file")).unwrap();
    file.write_at(&[], 0).unwrap();
    file.write_at(&[], 5_000).unwrap();
    assert_eq!(file.size_bytes().unwrap(), 0);
}

/// There is one file, however often it is open.
pub fn what_one_handle_writes_another_reads(subject: &Subject) {
    let path = subject.path("file");
    let one = subject.fs.create(&path).unwrap();
    let other = subject.fs.open_write(&path).unwrap();
    let reader = subject.fs.open(&path).unwrap();
    one.write_at(b"one..", 0).unwrap();
    other.write_at(b"other", 3).unwrap();
    assert_eq!(all(&*reader), b"oneother");
    assert_eq!(all(&*one), b"oneother");
}

/// Files may be used from any thread.
pub fn threads_write_and_read_one_file(subject: &Subject) {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 200;
    let file = subject.fs.create(&subject.path("file")).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let file = &file;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let offset = (round * THREADS + thread) * 100;
                    file.write_at(&[thread as u8 + 1; 100], offset).unwrap();
                    let mut bytes = [0; 100];
                    file.read_exact_at(&mut bytes, offset).unwrap();
                    assert_eq!(bytes, [thread as u8 + 1; 100]);
                }
            });
        }
    });
    let bytes = all(&*file);
    assert_eq!(bytes.len() as u64, THREADS * ROUNDS * 100);
    for (n, part) in bytes.chunks(100).enumerate() {
        assert_eq!(part, [(n as u64 % THREADS) as u8 + 1; 100]);
    }
}

/// [`Fs::open`] is for reading.
pub fn a_file_opened_for_reading_is_not_written(subject: &Subject) {
    let path = subject.put("file", b"kept");
    let file = subject.fs.open(&path).unwrap();
    assert!(file.write_at(b"lost", 0).is_err());
    assert_eq!(subject.bytes(&path), b"kept");
}

/// Every operation says `NotFound` of what isn't there.
pub fn what_is_missing_is_not_found(subject: &Subject) {
    let fs = &subject.fs;
    let there = subject.put("there", b"");
    let no_dir = subject.path("none");
    for path in [subject.path("missing"), no_dir.join("missing")] {
        assert_fails(fs.open(&path), ErrorKind::NotFound);
        assert_fails(fs.open_write(&path), ErrorKind::NotFound);
        assert_fails(fs.remove(&path), ErrorKind::NotFound);
        assert_fails(fs.rename(&path, &subject.path("new")), ErrorKind::NotFound);
        assert_fails(fs.lock(&path, LockKind::Shared), ErrorKind::NotFound);
        assert_fails(fs.list(&path), ErrorKind::NotFound);
    }
    assert_fails(fs.create(&no_dir.join("new")), ErrorKind::NotFound);
    assert_fails(fs.rename(&there, &no_dir.join("new")), ErrorKind::NotFound);
    assert_fails(fs.lock(&no_dir.join("new"), LockKind::Exclusive), ErrorKind::NotFound);
    assert_eq!(subject.names(), ["there"]);
}

/// What is for files leaves directories alone.
pub fn a_directory_is_not_a_file(subject: &Subject) {
    let fs = &subject.fs;
    let file = subject.put("file", b"kept");
    let dir = subject.path("dir");
    fs.create_dir(&dir).unwrap();
    assert!(fs.open(&dir).is_err());
    assert!(fs.open_write(&dir).is_err());
    assert!(fs.remove(&dir).is_err());
    assert!(fs.rename(&file, &dir).is_err());
    assert!(fs.lock(&dir, LockKind::Shared).is_err());
    assert!(fs.lock(&dir, LockKind::Exclusive).is_err());
    assert_eq!(subject.names(), ["dir", "file"]);
    assert_eq!(subject.bytes(&file), b"kept");
}

/// Nothing is beneath a file.
pub fn a_file_is_not_a_directory(subject: &Subject) {
    let fs = &subject.fs;
    let file = subject.put("file", b"kept");
    let beneath = file.join("beneath");
    assert_fails(fs.create_dir(&file), ErrorKind::AlreadyExists);
    assert!(fs.create_dir(&beneath).is_err());
    assert!(fs.create(&beneath).is_err());
    assert!(fs.open(&beneath).is_err());
    assert!(fs.list(&file).is_err());
    assert_eq!(subject.names(), ["file"]);
    assert_eq!(subject.bytes(&file), b"kept");
}

/// [`Fs::create_dir`] creates what is missing and leaves what is there.
pub fn directories_are_created_with_those_above(subject: &Subject) {
    let fs = &subject.fs;
    let deep = subject.path("a/b/c");
    fs.create_dir(&deep).unwrap();
    fs.create(&deep.join("file")).unwrap().write_at(b"kept", 0).unwrap();
    fs.create_dir(&deep).unwrap();
    fs.create_dir(&subject.path("a")).unwrap();
    assert_eq!(subject.bytes(&deep.join("file")), b"kept");
    assert_eq!(subject.names(), ["a"]);
}

/// [`Fs::list`] gives names, kinds and lengths, in the order of the names' bytes.
pub fn names_are_listed_in_order(subject: &Subject) {
    let fs = &subject.fs;
    assert_eq!(subject.names(), [""; 0]);
    subject.put("b", b"12345");
    subject.put("a", b"");
    subject.put("ö", b"1");
    subject.put("Z", b"123");
    subject.put("a.1", b"12");
    fs.create_dir(&subject.path("ab")).unwrap();
    fs.create(&subject.path("ab/inner")).unwrap();
    let entry = |name: &str, kind, size_bytes| DirEntry { name: name.into(), kind, size_bytes };
    let expected = [
        entry("Z", DirEntryKind::File, 3),
        entry("a", DirEntryKind::File, 0),
        entry("a.1", DirEntryKind::File, 2),
        entry("ab", DirEntryKind::Dir, 0),
        entry("b", DirEntryKind::File, 5),
        entry("ö", DirEntryKind::File, 1),
    ];
    assert_eq!(fs.list(&subject.root).unwrap(), expected);
    assert_eq!(fs.list(&subject.path("ab")).unwrap(), [entry("inner", DirEntryKind::File, 0)]);
}

/// [`Fs::rename`] replaces; what has either file open keeps it.
pub fn a_renamed_file_replaces_another(subject: &Subject) {
    let fs = &subject.fs;
    let new = subject.put("new", b"new");
    let old = subject.put("old", b"old");
    let new_file = fs.open_write(&new).unwrap();
    let old_file = fs.open(&old).unwrap();
    fs.rename(&new, &old).unwrap();
    assert_eq!(subject.names(), ["old"]);
    assert_eq!(subject.bytes(&old), b"new");
    assert_eq!(all(&*old_file), b"old");
    new_file.write_at(b"er", 3).unwrap();
    assert_eq!(subject.bytes(&old), b"newer");
    // The name that was left is free.
    subject.put("new", b"another");
    assert_eq!(subject.bytes(&old), b"newer");
}

/// [`Fs::rename`] to the same name does nothing.
pub fn a_file_renamed_to_itself_stays(subject: &Subject) {
    let path = subject.put("file", b"kept");
    subject.fs.rename(&path, &path).unwrap();
    assert_eq!(subject.bytes(&path), b"kept");
    assert_eq!(subject.names(), ["file"]);
}

/// [`Fs::rename`] may lead to another directory.
pub fn files_move_between_directories(subject: &Subject) {
    let fs = &subject.fs;
    let from = subject.put("file", b"moved");
    let to = subject.path("dir/file");
    fs.create_dir(&subject.path("dir")).unwrap();
    fs.rename(&from, &to).unwrap();
    assert_fails(fs.open(&from), ErrorKind::NotFound);
    assert_eq!(subject.bytes(&to), b"moved");
}

/// [`Fs::remove`] takes the name, and the file goes with the last who has it open.
pub fn a_removed_file_stays_open(subject: &Subject) {
    let fs = &subject.fs;
    let path = subject.put("file", b"here");
    let file = fs.open_write(&path).unwrap();
    fs.remove(&path).unwrap();
    assert_eq!(subject.names(), [""; 0]);
    assert_fails(fs.open(&path), ErrorKind::NotFound);
    assert_fails(fs.remove(&path), ErrorKind::NotFound);
    file.write_at(b" still", 4).unwrap();
    file.sync().unwrap();
    assert_eq!(all(&*file), b"here still");
    // The name is another file's now.
    subject.put("file", b"other");
    assert_eq!(all(&*file), b"here still");
    assert_eq!(subject.bytes(&path), b"other");
}

/// [`File::sync`] and [`Fs::sync_dir`] succeed, with something to do and without.
pub fn everything_can_be_synced(subject: &Subject) {
    let fs = &subject.fs;
    fs.create_dir(&subject.path("dir")).unwrap();
    let path = subject.put("dir/file", b"bytes");
    let file = fs.open_write(&path).unwrap();
    for _ in 0..2 {
        file.sync().unwrap();
        fs.sync_dir(&subject.path("dir")).unwrap();
        fs.sync_dir(&subject.root).unwrap();
    }
    file.write_at(b"more", 5).unwrap();
    file.sync().unwrap();
    assert_eq!(subject.bytes(&path), b"bytesmore");
}

/// [`LockKind::Exclusive`]: nobody else, until it is dropped.
pub fn an_exclusive_lock_excludes_all_others(subject: &Subject) {
    let fs = &subject.fs;
    let path = subject.path("LOCK");
    let lock = fs.lock(&path, LockKind::Exclusive).unwrap();
    assert_fails(fs.lock(&path, LockKind::Exclusive), ErrorKind::WouldBlock);
    assert_fails(fs.lock(&path, LockKind::Shared), ErrorKind::WouldBlock);
    let elsewhere = fs.lock(&subject.path("OTHER"), LockKind::Exclusive).unwrap();
    drop(lock);
    drop(fs.lock(&path, LockKind::Shared).unwrap());
    drop(fs.lock(&path, LockKind::Exclusive).unwrap());
    drop(elsewhere);
}

/// [`LockKind::Shared`]: others of the kind, and no exclusive one until all are dropped.
pub fn shared_locks_exclude_exclusive_ones_only(subject: &Subject) {
    let fs = &subject.fs;
    let path = subject.put("LOCK", b"");
    let one = fs.lock(&path, LockKind::Shared).unwrap();
    let other = fs.lock(&path, LockKind::Shared).unwrap();
    assert_fails(fs.lock(&path, LockKind::Exclusive), ErrorKind::WouldBlock);
    drop(one);
    assert_fails(fs.lock(&path, LockKind::Exclusive), ErrorKind::WouldBlock);
    drop(other);
    drop(fs.lock(&path, LockKind::Exclusive).unwrap());
}

/// A shared lock changes nothing on disk.
pub fn an_exclusive_lock_creates_its_file_and_a_shared_one_does_not(subject: &Subject) {
    let fs = &subject.fs;
    let path = subject.path("LOCK");
    assert_fails(fs.lock(&path, LockKind::Shared), ErrorKind::NotFound);
    assert_eq!(subject.names(), [""; 0]);
    drop(fs.lock(&path, LockKind::Exclusive).unwrap());
    assert_eq!(subject.names(), ["LOCK"]);
}

/// A lock neither truncates its file nor keeps it from being read.
pub fn a_lock_leaves_the_file_as_it_is(subject: &Subject) {
    let fs = &subject.fs;
    let path = subject.put("LOCK", b"whose");
    let lock = fs.lock(&path, LockKind::Exclusive).unwrap();
    // Where locks bind all (Windows), a locked file can't be read: nobody should need to.
    if cfg!(unix) {
        assert_eq!(subject.bytes(&path), b"whose");
    }
    drop(lock);
    assert_eq!(subject.bytes(&path), b"whose");
}

/// [`File::allocate`] keeps what is there, never makes a file shorter, and adds zeros at most.
pub fn allocated_room_reads_as_zeros(subject: &Subject) {
    let path = subject.put("file", b"start");
    let file = subject.fs.open_write(&path).unwrap();
    file.allocate(0).unwrap();
    file.allocate(3).unwrap();
    assert_eq!(all(&*file), b"start");

    file.allocate(10_000).unwrap();
    let bytes = all(&*file);
    assert!(bytes.len() == 10_000 || bytes.len() == 5, "it does all or nothing: {}", bytes.len());
    assert_eq!(&bytes[..5], b"start");
    assert!(bytes[5..].iter().all(|byte| *byte == 0));

    file.write_at(b"middle", 7_000).unwrap();
    file.allocate(9_000).unwrap();
    let after = all(&*file);
    assert_eq!(after.len(), bytes.len().max(if bytes.len() == 5 { 7_006 } else { 0 }));
    assert_eq!(&after[7_000..7_006], b"middle");
    assert!(after[7_006..].iter().all(|byte| *byte == 0));
    assert!(after[5..7_000].iter().all(|byte| *byte == 0));
}
