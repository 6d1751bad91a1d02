//! Damaged files: whatever is done to them, the store gives an error or the right answer.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::path::{Path, PathBuf};

use common::DIR;
use common::synced::{KEYS, build, expected, key, options, read, without_last_write};
use lsmkit::parts::MemFs;
use lsmkit::{Durability, Standard};

/// How a store was left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Left {
    Closed,
    /// The process ended without closing it. Nothing on disk proves that the last record was synced, so
    /// damage to it looks like a torn tail: the one loss that goes without an error.
    Killed,
}

#[derive(Default, Debug)]
struct Outcomes {
    errors: u32,
    right: u32,
    last_record_lost: u32,
}

struct Case {
    fs: MemFs,
    left: Left,
    outcomes: Outcomes,
}

impl Case {
    fn new(left: Left) -> Case {
        let fs = MemFs::new();
        let db = build(&fs);
        let fs = match left {
            Left::Closed => {
                db.close().unwrap();
                fs
            }
            Left::Killed => fs.kill(),
        };
        assert_eq!(read(&fs.kill()).unwrap(), expected());
        Case { fs, left, outcomes: Outcomes::default() }
    }

    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let files: Vec<_> =
            self.fs.files().into_iter().map(|path| (path.clone(), self.fs.read(&path).unwrap())).collect();
        let has = |ending: &str| files.iter().any(|(path, _)| path.to_string_lossy().contains(ending));
        assert!(has(".log") && has(".sst") && has("MANIFEST"), "the store has files of each kind");
        files
    }

    /// Checks what a reader makes of the store with `bytes` as the content of `path`.
    fn check(&mut self, path: &Path, bytes: &[u8], what: impl FnOnce() -> String) {
        let fs = self.fs.kill();
        fs.write(path, bytes).unwrap();
        let is_log = path.extension().is_some_and(|ending| ending == "log");
        match read(&fs) {
            Err(_) => self.outcomes.errors += 1,
            Ok(found) if found == expected() => self.outcomes.right += 1,
            Ok(found) if self.left == Left::Killed && is_log && found == without_last_write() => {
                self.outcomes.last_record_lost += 1;
            }
            Ok(_) => panic!("{:?} store, {}: {}: a wrong answer", self.left, path.display(), what()),
        }
    }

    fn report(&self, what: &str) {
        println!("{what}, {:?} store: {:?}", self.left, self.outcomes);
        assert!(self.outcomes.errors > 0, "damage was done");
    }
}

/// One bit of every byte; all bits with `LSMKIT_DEEP`.
fn flip_bits(left: Left) {
    let mut case = Case::new(left);
    let deep = std::env::var_os("LSMKIT_DEEP").is_some();
    for (path, bytes) in case.files() {
        for at in 0..bytes.len() {
            let bits = if deep { 0..8 } else { at % 8..at % 8 + 1 };
            for bit in bits {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                case.check(&path, &damaged, || format!("bit {bit} of byte {at} flipped"));
            }
        }
    }
    case.report("one bit flipped");
}

#[test]
fn a_flipped_bit_in_a_closed_store() {
    flip_bits(Left::Closed);
}

#[test]
fn a_flipped_bit_in_a_killed_store() {
    flip_bits(Left::Killed);
}

/// Cutting the newest log or manifest of a killed store looks like a crash earlier on, so only what
/// is known to be whole is cut: all files of a closed store but the log, whose missing end nothing
/// proves, and all tables.
#[test]
fn a_cut_file() {
    let mut case = Case::new(Left::Closed);
    for (path, bytes) in case.files() {
        if path.extension().is_none_or(|ending| ending != "sst") {
            continue;
        }
        for len in 0..bytes.len() {
            case.check(&path, &bytes[..len], || format!("cut to {len} bytes"));
        }
    }
    case.report("cut");
}

#[test]
fn blocks_zeroed_and_swapped() {
    const BLOCK: usize = 512;
    for left in [Left::Closed, Left::Killed] {
        let mut case = Case::new(left);
        for (path, bytes) in case.files() {
            let blocks = bytes.len() / BLOCK;
            for at in 0..blocks {
                let mut damaged = bytes.clone();
                damaged[at * BLOCK..][..BLOCK].fill(0);
                if left == Left::Closed || path.extension().is_some_and(|ending| ending == "sst") {
                    case.check(&path, &damaged, || format!("block {at} zeroed"));
                }
                for other in at + 1..blocks {
                    let mut damaged = bytes.clone();
                    let (first, second) = damaged.split_at_mut(other * BLOCK);
                    first[at * BLOCK..][..BLOCK].swap_with_slice(&mut second[..BLOCK]);
                    if left == Left::Closed || path.extension().is_some_and(|ending| ending == "sst") {
                        case.check(&path, &damaged, || format!("blocks {at} and {other} swapped"));
                    }
                }
            }
        }
        case.report("blocks");
    }
}

/// A table of the same number from another store, or an older one, is not taken for the right one.
#[test]
fn a_table_of_another_store() {
    let mut case = Case::new(Left::Closed);
    let other = MemFs::new();
    let db = options().uid_seed(2).open_with(Standard, other.shared(), DIR).unwrap();
    for n in 0..KEYS {
        db.put_with(key(n), b"another", Durability::Synced).unwrap();
        while db.step().unwrap() {}
    }
    db.close().unwrap();
    let mut swapped = 0;
    for (path, _) in case.files() {
        if path.extension().is_some_and(|ending| ending == "sst")
            && let Ok(bytes) = other.read(&path)
        {
            case.check(&path, &bytes, || "another store's table".to_owned());
            swapped += 1;
        }
    }
    assert!(swapped > 0 && case.outcomes.errors == swapped);
}
