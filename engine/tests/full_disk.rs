//! A full disk: writes fail and say why, reads go on, opening works, and writing resumes with room.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lsmkit::parts::MemFs;
use lsmkit::{Background, Compression, Db, Durability, Error, Options, Remedy, Standard};

const STORE: &str = "/store";

fn open(fs: &MemFs, background: Background) -> Result<Db, Error> {
    let options = Options::new()
        .memtable_bytes(64 << 10)
        .memtables_max(2)
        .compression(Compression::None)
        .background(background);
    options.open_with(Standard, fs.shared(), STORE)
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Writes until the disk is full; what was acknowledged is in `model`.
fn fill(db: &Db, model: &mut Model, round: u32) -> Error {
    for n in 0..200_000_u32 {
        let (key, value) = (format!("key{round}-{n:06}").into_bytes(), vec![n as u8; 200]);
        match db.put(&key, &value) {
            Ok(()) => model.insert(key, value),
            Err(error) => return error,
        };
    }
    panic!("the disk is never full");
}

fn check(db: &Db, model: &Model) {
    let found: Model = db
        .scan(..)
        .map(|entry| entry.map(|(k, v)| (k.to_vec(), v.to_vec())))
        .collect::<Result<_, _>>()
        .unwrap();
    assert!(found == *model, "the store holds {} keys, the model {}", found.len(), model.len());
}

/// Tries until it works; fails the test after ten seconds.
fn until_ok<T>(what: &str, mut attempt: impl FnMut() -> Result<T, Error>) -> T {
    let begun = Instant::now();
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(error) if error.remedy() == Remedy::Retry && begun.elapsed() < Duration::from_secs(10) => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) => panic!("{what}: {error}"),
        }
    }
}

fn fills_up_and_resumes(background: Background) {
    let fs = MemFs::with_capacity_bytes(2 << 20);
    let mut db = open(&fs, background).unwrap();
    let mut model = Model::new();
    for round in 1..=5 {
        let error = fill(&db, &mut model, round);
        assert!(matches!(error, Error::Full(_)), "round {round}: {error}");
        check(&db, &model);
        assert_eq!(
            db.get(b"key1-000001").unwrap().as_deref(),
            model.get(&b"key1-000001"[..]).map(Vec::as_slice)
        );
        match round {
            // Opened with not a byte free, after a close and after the process was killed.
            2 => {
                let used = fs.used_bytes();
                fs.set_capacity_bytes(used);
                let _ = db.close();
                db = open(&fs, background).unwrap();
                check(&db, &model);
            }
            4 => {
                let killed = fs.kill();
                killed.set_capacity_bytes(killed.used_bytes());
                let other = open(&killed, background).unwrap();
                check(&other, &model);
            }
            _ => {}
        }
        fs.set_capacity_bytes(u64::from(round + 1) * (4 << 20));
        until_ok("a write once there is room", || db.put(b"room", b"again"));
        model.insert(b"room".to_vec(), b"again".to_vec());
        until_ok("a sync once there is room", || db.sync());
        until_ok("a flush once there is room", || db.flush());
        check(&db, &model);
    }
    // A compaction needs room for what it writes, beside what it reads.
    fs.set_capacity_bytes(64 << 20);
    until_ok("settle", || db.settle());
    db.verify().unwrap();
    let left: usize = db.stats().keyspaces[0].levels.iter().map(|level| level.tables as usize).sum();
    let files =
        fs.files().iter().filter(|path| path.extension().is_some_and(|ending| ending == "sst")).count();
    assert_eq!(files, left, "tables that failed jobs had begun are gone");
    db.close().unwrap();
    check(&open(&fs.crash_synced_only(), background).unwrap(), &model);
}

#[test]
fn with_background_threads() {
    fills_up_and_resumes(Background::Threads);
}

#[test]
fn step_by_step() {
    fills_up_and_resumes(Background::Steps);
}

/// A write that failed for want of room is not there later, and no trace of it is in the way.
#[test]
fn a_failed_write_leaves_nothing() {
    let fs = MemFs::with_capacity_bytes(256 << 10);
    let db = open(&fs, Background::Steps).unwrap();
    db.put_with(b"before", b"1", Durability::Synced).unwrap();
    let error = db.put(b"large", vec![7; 1 << 20]).unwrap_err();
    assert!(matches!(error, Error::Full(_)), "{error}");
    assert_eq!(db.get(b"large").unwrap(), None::<lsmkit::Value>);
    db.put_with(b"after", b"2", Durability::Synced).unwrap();
    for fs in [fs.kill(), fs.crash_synced_only()] {
        let db = open(&fs, Background::Steps).unwrap();
        let keys: Vec<_> = db.scan(..).map(|entry| entry.unwrap().0.to_vec()).collect();
        assert_eq!(keys, [b"after".to_vec(), b"before".to_vec()]);
    }
}
