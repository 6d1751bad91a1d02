//! What a file system in memory gives beyond the laws: room that ends, and a hand on the bytes.

use std::io::ErrorKind;
use std::path::Path;

use lsmkit_vfs::{Fs, LockKind, MemFs};

const BLOCK_BYTES: u64 = 4096;

fn path(path: &str) -> &Path {
    Path::new(path)
}

#[test]
fn a_full_disk_takes_what_fits_and_says_so() {
    let disk = MemFs::with_capacity_bytes(3 * BLOCK_BYTES + 100);
    let file = disk.create(path("/file")).unwrap();
    let error = file.write_at(&[1; 20_000], 1_000).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(file.size_bytes().unwrap(), 3 * BLOCK_BYTES, "what there was room for is written");
    assert_eq!(disk.used_bytes(), 3 * BLOCK_BYTES);

    // What has its room can be overwritten; names need none.
    file.write_at(&[2; 5_000], 0).unwrap();
    let other = disk.create(path("/other")).unwrap();
    assert_eq!(other.write_at(b"x", 0).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(other.size_bytes().unwrap(), 0);

    disk.set_capacity_bytes(4 * BLOCK_BYTES);
    other.write_at(b"x", 0).unwrap();
    disk.set_capacity_bytes(0);
    other.write_at(b"y", 1).unwrap();
    assert_eq!(other.write_at(b"z", BLOCK_BYTES).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(disk.read("/other").unwrap(), b"xy");
}

#[test]
fn room_is_free_again_once_nobody_has_the_file() {
    let disk = MemFs::new();
    disk.write("/removed", &[1; 10_000]).unwrap();
    disk.write("/replaced", &[1; 10_000]).unwrap();
    disk.write("/new", b"new").unwrap();
    assert_eq!(disk.used_bytes(), 7 * BLOCK_BYTES);

    let open = disk.open(path("/removed")).unwrap();
    let lock = disk.lock(path("/replaced"), LockKind::Shared).unwrap();
    disk.remove(path("/removed")).unwrap();
    disk.rename(path("/new"), path("/replaced")).unwrap();
    assert_eq!(disk.used_bytes(), 7 * BLOCK_BYTES);
    drop(open);
    assert_eq!(disk.used_bytes(), 4 * BLOCK_BYTES);
    drop(lock);
    assert_eq!(disk.used_bytes(), BLOCK_BYTES);
    disk.remove(path("/replaced")).unwrap();
    assert_eq!(disk.used_bytes(), 0);
}

#[test]
fn what_a_crash_leaves_is_counted_anew() {
    let disk = MemFs::with_capacity_bytes(8 * BLOCK_BYTES);
    disk.write("/synced", &[1; 5_000]).unwrap();
    let file = disk.create(path("/unsynced")).unwrap();
    file.write_at(&[1; 10_000], 0).unwrap();
    assert_eq!(disk.used_bytes(), 5 * BLOCK_BYTES);

    let crashed = disk.crash_synced_only();
    assert_eq!(crashed.used_bytes(), 2 * BLOCK_BYTES);
    crashed.write("/fits", &[1; 6 * BLOCK_BYTES as usize]).unwrap();
    assert_eq!(crashed.write("/no", b"x").unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(disk.kill().used_bytes(), 5 * BLOCK_BYTES);

    // A removed file that comes back takes its room, whether there is any or not.
    disk.remove(path("/synced")).unwrap();
    disk.set_capacity_bytes(BLOCK_BYTES);
    assert_eq!(disk.crash_synced_only().used_bytes(), 2 * BLOCK_BYTES);
}

#[test]
fn allocated_room_is_taken_and_need_not_be_looked_for() {
    let disk = MemFs::with_capacity_bytes(4 * BLOCK_BYTES);
    let file = disk.create(path("/file")).unwrap();
    file.write_at(b"x", BLOCK_BYTES).unwrap();
    assert_eq!(file.allocate(5 * BLOCK_BYTES).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(disk.used_bytes(), BLOCK_BYTES, "all of it or nothing");

    file.allocate(3 * BLOCK_BYTES).unwrap();
    assert_eq!((disk.used_bytes(), file.size_bytes().unwrap()), (3 * BLOCK_BYTES, 3 * BLOCK_BYTES));
    disk.write("/other", b"the last block").unwrap();
    file.write_at(&[1; 3 * BLOCK_BYTES as usize], 0).unwrap();
    assert_eq!(disk.used_bytes(), 4 * BLOCK_BYTES);
    disk.remove(path("/file")).unwrap();
    drop(file);
    assert_eq!(disk.used_bytes(), BLOCK_BYTES);
}

#[test]
fn a_hole_takes_no_room() {
    let disk = MemFs::new();
    disk.create(path("/file")).unwrap().write_at(b"x", 1 << 30).unwrap();
    assert_eq!(disk.used_bytes(), BLOCK_BYTES);
}

#[test]
fn a_file_has_an_end() {
    let disk = MemFs::new();
    let file = disk.create(path("/file")).unwrap();
    for offset in [1 << 36, u64::MAX - 1, u64::MAX] {
        assert_eq!(file.write_at(b"xyz", offset).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(file.read_at(&mut [0; 3], offset).unwrap(), 0);
    }
    assert_eq!(file.allocate(u64::MAX).unwrap_err().kind(), ErrorKind::FileTooLarge);
    assert_eq!((file.size_bytes().unwrap(), disk.used_bytes()), (0, 0));
}

#[test]
fn a_written_file_is_durable_and_seen_by_those_who_have_it_open() {
    let disk = MemFs::new();
    disk.write("/deep/down/file", b"first and long").unwrap();
    let open = disk.open(path("/deep/down/file")).unwrap();
    disk.write("/deep/down/file", b"second").unwrap();
    let mut bytes = [0; 6];
    open.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"second");
    assert_eq!(open.size_bytes().unwrap(), 6);
    disk.write("relative/file", b"third").unwrap();
    disk.write("file", b"fourth").unwrap();
    let crashed = disk.crash_synced_only();
    assert_eq!(crashed.files(), ["/deep/down/file", "/file", "/relative/file"].map(Path::new));
    assert_eq!(crashed.read("/deep/down/file").unwrap(), b"second");
    assert_eq!(disk.write("/deep", b"").unwrap_err().kind(), ErrorKind::IsADirectory);
    assert_eq!(disk.write("/file/x", b"").unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(disk.write("/", b"").unwrap_err().kind(), ErrorKind::IsADirectory);
}

#[test]
fn a_flipped_bit_is_flipped_everywhere() {
    let disk = MemFs::new();
    disk.write("/file", &[0; 10_000]).unwrap();
    disk.open_write(path("/file")).unwrap().write_at(&[0xf0; 10], 5_000).unwrap();
    disk.flip_bit("/file", 5_000 * 8 + 1).unwrap();
    disk.flip_bit("/file", 9_999 * 8 + 7).unwrap();
    let bytes = disk.read("/file").unwrap();
    assert_eq!((bytes[5_000], bytes[9_999]), (0xf2, 0x80));
    let bytes = disk.crash_synced_only().read("/file").unwrap();
    assert_eq!((bytes[5_000], bytes[9_999]), (0x02, 0x80));
    assert_eq!(bytes.iter().filter(|byte| **byte != 0).count(), 2);

    assert_eq!(disk.flip_bit("/file", 80_000).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(disk.flip_bit("/none", 0).unwrap_err().kind(), ErrorKind::NotFound);
    // In a hole too.
    disk.create(path("/hole")).unwrap().write_at(b"x", 100_000).unwrap();
    disk.flip_bit("/hole", 3).unwrap();
    assert_eq!(disk.read("/hole").unwrap()[0], 8);
}

#[test]
fn paths_start_at_the_root() {
    let disk = MemFs::new();
    disk.create_dir(path("db")).unwrap();
    disk.write("db/file", b"bytes").unwrap();
    for same in ["/db/file", "./db/file", "/db/../db/./file", "../db/file", "db//file"] {
        assert_eq!(disk.read(same).unwrap(), b"bytes", "{same}");
    }
    assert_eq!(disk.list(path("/")).unwrap().len(), 1);
    assert_eq!(disk.list(path(".")).unwrap().len(), 1);
    disk.create_dir(path("/")).unwrap();
    // As the operating system has it: the parent of "db" is no directory's path.
    assert_eq!(disk.sync_dir(path("")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(disk.create(path("/")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(disk.open(path("/")).unwrap_err().kind(), ErrorKind::IsADirectory);
    assert_eq!(disk.create(path("/db/file/x")).unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(disk.create(path("/db/none/x")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(disk.sync_dir(path("/db/file")).unwrap_err().kind(), ErrorKind::NotADirectory);
}

#[cfg(unix)]
#[test]
fn a_name_that_is_not_utf8_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let name = std::ffi::OsStr::from_bytes(b"/\xff");
    assert_eq!(MemFs::new().create(Path::new(name)).unwrap_err().kind(), ErrorKind::InvalidFilename);
}
