//! A small store of which every acknowledged write was synced, to be damaged.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;

use lsmkit::parts::MemFs;
use lsmkit::{Background, Db, Durability, Error, Options, Standard};

use super::DIR;

/// How many keys it is made of.
pub(crate) const KEYS: usize = 200;

pub(crate) fn options() -> Options {
    Options::new().memtable_bytes(5 << 10).block_bytes(512).background(Background::Steps).uid_seed(1)
}

pub(crate) fn key(n: usize) -> Vec<u8> {
    format!("key{n:04}").into_bytes()
}

pub(crate) fn value(n: usize) -> Vec<u8> {
    format!("value {n} {}", "x".repeat(n % 60)).into_bytes()
}

/// A store of [`KEYS`] synced keys in tables, manifest and log; some were overwritten and deleted.
pub(crate) fn build(fs: &MemFs) -> Db {
    let db = options().open_with(Standard, fs.shared(), DIR).unwrap();
    for n in 0..KEYS {
        if n % 7 == 0 {
            db.put_with(key(n), b"old", Durability::Synced).unwrap();
        }
        db.put_with(key(n), value(n), Durability::Synced).unwrap();
        if n % 11 == 5 {
            db.delete_with(key(n), Durability::Synced).unwrap();
        }
        while db.step().unwrap() {}
    }
    db
}

pub(crate) fn expected() -> BTreeMap<Vec<u8>, Vec<u8>> {
    (0..KEYS).filter(|n| n % 11 != 5).map(|n| (key(n), value(n))).collect()
}

/// What a reader of the store gets: everything, or the first error.
pub(crate) fn read(fs: &MemFs) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
    let db = options().open_read_only_with(Standard, fs.shared(), DIR)?;
    let mut found = BTreeMap::new();
    for n in 0..KEYS {
        if let Some(value) = db.get(key(n))? {
            found.insert(key(n), value.to_vec());
        }
    }
    let scanned: BTreeMap<_, _> = db
        .scan(..)
        .map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())))
        .collect::<Result<_, _>>()?;
    assert_eq!(scanned, found, "a scan and gets differ");
    Ok(found)
}

/// The last write of all is the put of the last key.
pub(crate) fn without_last_write() -> BTreeMap<Vec<u8>, Vec<u8>> {
    const { assert!((KEYS - 1) % 11 != 5) };
    let mut all = expected();
    all.remove(&key(KEYS - 1));
    all
}
