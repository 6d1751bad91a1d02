//! What only the operating system's file system has: links, pipes and modes.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use lsmkit_vfs::{DirEntryKind, Fs, LockKind, StdFs};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn files_and_directories_are_the_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("a/b");
    StdFs::new().create_dir(&deep).unwrap();
    StdFs::new().create(&deep.join("file")).unwrap();
    StdFs::new().lock(&deep.join("LOCK"), LockKind::Exclusive).unwrap();
    assert_eq!(mode(&dir.path().join("a")), 0o700);
    assert_eq!(mode(&deep), 0o700);
    assert_eq!(mode(&deep.join("file")), 0o600);
    assert_eq!(mode(&deep.join("LOCK")), 0o600);
}

#[test]
fn a_symbolic_link_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    std::fs::write(&target, b"kept").unwrap();
    let dangling = dir.path().join("dangling");
    let link = dir.path().join("link");
    symlink(&target, &link).unwrap();
    symlink(dir.path().join("none"), &dangling).unwrap();

    for link in [&link, &dangling] {
        for error in [
            StdFs::new().open(link).unwrap_err(),
            StdFs::new().open_write(link).unwrap_err(),
            StdFs::new().lock(link, LockKind::Shared).unwrap_err(),
            StdFs::new().lock(link, LockKind::Exclusive).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("symbolic link"), "{error}");
        }
        assert_eq!(StdFs::new().create(link).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
    assert!(!dir.path().join("none").exists());

    let kinds: Vec<_> =
        StdFs::new().list(dir.path()).unwrap().into_iter().map(|e| (e.name, e.kind)).collect();
    assert_eq!(
        kinds,
        [
            ("dangling".to_owned(), DirEntryKind::Other),
            ("link".to_owned(), DirEntryKind::Other),
            ("target".to_owned(), DirEntryKind::File),
        ]
    );
    // The link is what is removed, not the file.
    StdFs::new().remove(&link).unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), b"kept");
}

#[test]
fn a_directory_and_a_socket_are_no_files() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(StdFs::new().open(dir.path()).unwrap_err().kind(), ErrorKind::IsADirectory);
    assert_eq!(StdFs::new().lock(dir.path(), LockKind::Shared).unwrap_err().kind(), ErrorKind::IsADirectory);
    let socket = dir.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(StdFs::new().open(&socket).is_err());
    assert_eq!(StdFs::new().list(dir.path()).unwrap()[0].kind, DirEntryKind::Other);
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_and_a_device_are_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    assert_eq!(StdFs::new().open(&pipe).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(StdFs::new().open_write(&pipe).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(StdFs::new().open(Path::new("/dev/null")).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_file_is_not_synced_as_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    StdFs::new().create(&file).unwrap();
    assert_eq!(StdFs::new().sync_dir(&file).unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(StdFs::new().sync_dir(&dir.path().join("none")).unwrap_err().kind(), ErrorKind::NotFound);
}

#[cfg(target_os = "linux")]
#[test]
fn allocated_room_is_taken_from_the_disk() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let file = StdFs::new().create(&path).unwrap();
    file.write_at(b"x", (1 << 20) - 1).unwrap();
    file.allocate(1 << 20).unwrap();
    let meta = std::fs::metadata(&path).unwrap();
    assert_eq!(meta.len(), 1 << 20);
    // A file system without the operation leaves the hole as it is.
    let blocks_bytes = meta.blocks() * 512;
    assert!(blocks_bytes >= 1 << 20 || blocks_bytes <= 64 << 10, "{blocks_bytes}");
}
