//! What `PooledFs` promises beyond the laws: how many files are open, and that nobody notices.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use lsmkit_vfs::{FaultFs, File, Fs, MemFs, Operation, PooledFs, Rule};

fn path(n: usize) -> PathBuf {
    format!("/{n:03}").into()
}

/// So many files, each full of its number, and all of them opened.
fn files(fs: &PooledFs, count: usize) -> Vec<Arc<dyn File>> {
    (0..count)
        .map(|n| {
            fs.create(&path(n)).unwrap().write_at(&[n as u8; 64], 0).unwrap();
            fs.open(&path(n)).unwrap()
        })
        .collect()
}

fn byte(file: &dyn File) -> usize {
    let mut byte = [0];
    file.read_exact_at(&mut byte, 63).unwrap();
    usize::from(byte[0])
}

#[test]
fn no_more_are_open_than_may_be_and_all_are_read() {
    let fs = PooledFs::new(MemFs::new().shared(), 10);
    let files = files(&fs, 100);
    assert_eq!(fs.open_files(), 10);
    for _ in 0..3 {
        for (n, file) in files.iter().enumerate() {
            assert_eq!(byte(&**file), n);
            assert_eq!(file.size_bytes().unwrap(), 64);
            assert_eq!(fs.open_files(), 10);
        }
    }
    drop(files);
    assert_eq!(fs.open_files(), 0);
}

/// What is read all the time stays open.
#[test]
fn what_is_used_is_not_closed() {
    let counted = FaultFs::new(MemFs::new().shared());
    let fs = PooledFs::new(counted.shared(), 10);
    let files = files(&fs, 50);
    counted.start_trace();
    for round in 0..200 {
        (0..5).for_each(|n| assert_eq!(byte(&*files[n]), n));
        let n = 5 + round % 45;
        assert_eq!(byte(&*files[n]), n);
    }
    let of_used = |(call, _): &&(lsmkit_vfs::Call, lsmkit_vfs::Outcome)| {
        call.operation == Operation::Open && *call.path < *path(5)
    };
    let opened = counted.trace().iter().filter(of_used).count();
    assert!(opened <= 20, "the five that are used were opened {opened} times in 200 rounds");
}

#[test]
fn what_is_removed_or_renamed_is_read_on() {
    for name in [3, 97] {
        let fs = PooledFs::new(MemFs::new().shared(), 4);
        let files = files(&fs, 100);
        fs.remove(&path(name)).unwrap();
        fs.rename(&path(50), &path(51)).unwrap();
        for _ in 0..2 {
            for (n, file) in files.iter().enumerate() {
                assert_eq!(byte(&**file), n);
            }
        }
        assert!(fs.open(&path(name)).is_err());
        assert_eq!(byte(&*fs.open(&path(51)).unwrap()), 50);
    }
}

/// The error is that of opening, the next read may do better, and the count is right.
#[test]
fn what_cannot_be_opened_again_is_an_error_of_the_read() {
    let faulty = FaultFs::new(MemFs::new().shared());
    let fs = PooledFs::new(faulty.shared(), 1);
    let files = files(&fs, 3);
    faulty.add_rule(Rule::nth(1).on(Operation::Open));
    assert!(files[0].read_exact_at(&mut [0], 0).is_err());
    assert_eq!(byte(&*files[0]), 0);
    assert_eq!(fs.open_files(), 1);
    drop(files);
    assert_eq!(fs.open_files(), 0);
}

#[test]
fn threads_read_more_files_than_may_be_open() {
    let fs = PooledFs::new(MemFs::new().shared(), 3);
    let files = files(&fs, 40);
    thread::scope(|scope| {
        for thread in 0..4 {
            let (files, fs) = (&files, &fs);
            scope.spawn(move || {
                for i in 0..5_000 {
                    let n = (i * 7 + thread * 11) % files.len();
                    assert_eq!(byte(&*files[n]), n);
                    if i % 100 == 0 {
                        let again = fs.open(Path::new(&path(n))).unwrap();
                        assert_eq!(byte(&*again), n);
                    }
                }
            });
        }
    });
    assert!(fs.open_files() <= 3 + 4, "{} are open", fs.open_files());
    drop(files);
    assert_eq!(fs.open_files(), 0);
}
