//! Scrubbing: damage is found by nobody's reading.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::thread;
use std::time::{Duration, Instant};

use common::{DIR, tiny};
use lsmkit::parts::MemFs;
use lsmkit::{Background, Db, Options, Scrub, Standard};

fn options() -> Options {
    tiny().memtable_bytes(1 << 20).background(Background::Threads)
}

/// A store of several tables.
fn filled(options: Options) -> (MemFs, Db) {
    let fs = MemFs::new();
    let db = options.open_with(Standard, fs.shared(), DIR).unwrap();
    for n in 0..500 {
        db.put(format!("key{n:04}"), "a value").unwrap();
    }
    db.compact(..).unwrap();
    assert!(db.stats().keyspaces[0].levels.iter().map(|level| level.tables).sum::<u64>() > 1);
    (fs, db)
}

fn wait_until(db: &Db, what: &str, reached: impl Fn(&Scrub) -> bool) -> Scrub {
    let begun = Instant::now();
    loop {
        let scrub = db.stats().scrub;
        if reached(&scrub) {
            return scrub;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}: {scrub:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn damage_is_found_and_forgotten_with_its_table() {
    let (fs, db) = filled(options().scrub_rate(u64::MAX));
    let scrub = wait_until(&db, "a round", |scrub| scrub.rounds > 0 && scrub.tables > 1);
    assert!(scrub.damaged.is_empty() && scrub.read_bytes > 0, "{scrub:?}");

    let table = fs.files().into_iter().find(|path| path.extension().is_some_and(|end| end == "sst")).unwrap();
    fs.flip_bit(&table, 80).unwrap();
    let scrub = wait_until(&db, "the damage", |scrub| !scrub.damaged.is_empty());
    let (path, what) = scrub.damaged.first_key_value().unwrap();
    assert_eq!((path, scrub.damaged.len()), (&table, 1));
    assert!(what.contains("corrupt at byte"), "{what}");
    // The store goes on, and whoever reads what is damaged is told.
    db.put("another", "value").unwrap();
    assert!(db.verify().is_err());

    fs.flip_bit(&table, 80).unwrap();
    let rounds = db.stats().scrub.rounds;
    let scrub = wait_until(&db, "two more rounds", |scrub| scrub.rounds >= rounds + 2);
    assert!(scrub.damaged.is_empty(), "{scrub:?}");
    db.close().unwrap();
}

#[test]
fn it_keeps_to_its_rate_and_ends_with_the_store() {
    let (_, db) = filled(options().scrub_rate(1));
    wait_until(&db, "the first table", |scrub| scrub.tables == 1);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(db.stats().scrub.tables, 1, "the next table has hours to wait");
    let begun = Instant::now();
    db.close().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn nobody_scrubs_unless_asked() {
    let (_, db) = filled(options());
    thread::sleep(Duration::from_millis(50));
    assert_eq!(db.stats().scrub, Scrub::default());
}
