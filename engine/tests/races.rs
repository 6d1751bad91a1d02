//! Races that were lost once: each test is named after what must hold. `LSMKIT_DEEP=1` for many more rounds.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use std::sync::{Arc, Barrier};
use std::thread;

use lsmkit::parts::MemFs;
use lsmkit::{Background, Db, Durability, Error, KeyspaceOptions, Options, Standard};

/// How many rounds of a race that takes `deep` to be lost for certain.
fn rounds(deep: u64) -> std::ops::Range<u64> {
    let deep_run = std::env::var_os("LSMKIT_DEEP").is_some();
    0..if deep_run { deep } else { deep / 10 }
}

fn open(fs: &MemFs) -> Result<Db, Error> {
    Options::new().memtable_bytes(64 << 10).cache_bytes(64 << 10).open_with(Standard, fs.shared(), "/store")
}

/// A drop between the look at whether the keyspace lives and the taking of its state gave an empty scan.
#[test]
fn a_scan_beside_a_drop_is_whole_or_refused() {
    let db = open(&MemFs::new()).unwrap();
    for round in rounds(2000) {
        let brief = db.keyspace("brief", KeyspaceOptions::new()).unwrap();
        brief.put("k", "v").unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                loop {
                    match brief.scan(..).next() {
                        Some(Ok(_)) => {}
                        Some(Err(_)) => return,
                        None => {
                            panic!("round {round}: a scan finds nothing, not even that the keyspace is gone")
                        }
                    }
                }
            });
            thread::yield_now();
            db.drop_keyspace("brief").unwrap();
        });
    }
}

/// Closing looked for unlogged writes without the writer's lock, beside a commit that had passed its check.
#[test]
fn an_unlogged_write_beside_close_is_kept_or_refused() {
    for round in rounds(40_000) {
        let fs = MemFs::new();
        let db = open(&fs).unwrap();
        let begin = Barrier::new(2);
        let is_ok = thread::scope(|scope| {
            let writer = scope.spawn(|| {
                begin.wait();
                (0..round % 40 * 20).for_each(|_| std::hint::spin_loop());
                db.put_with("k", vec![7; 20_000], Durability::None).is_ok()
            });
            begin.wait();
            db.clone().close().unwrap();
            writer.join().unwrap()
        });
        let there = open(&fs).unwrap().get("k").unwrap().is_some();
        assert!(there || !is_ok, "round {round}: acknowledged, then closed, then gone");
    }
}

/// The loser found the winner's new files before it found the lock, and took them for somebody else's.
#[test]
fn who_loses_the_race_to_make_a_store_is_told_that_it_is_locked() {
    for round in rounds(5000) {
        let fs = MemFs::new();
        let both = Barrier::new(2);
        let outcomes: Vec<_> = thread::scope(|scope| {
            let openers: Vec<_> = (0..2)
                .map(|nth| {
                    let (fs, both) = (&fs, &both);
                    scope.spawn(move || {
                        both.wait();
                        (0..nth * (round % 100) * 20).for_each(|_| std::hint::spin_loop());
                        let opened = open(fs);
                        let outcome = opened.as_ref().map(drop).map_err(Error::clone);
                        both.wait();
                        outcome
                    })
                })
                .collect();
            openers.into_iter().map(|opener| opener.join().unwrap()).collect()
        });
        let lost: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
        assert!(matches!(lost[..], [Error::Locked(_)]), "round {round}: {lost:?}");
    }
}

/// The store's health was asked for only once a table.
#[test]
fn verify_of_a_closed_empty_store_is_refused() {
    let db = open(&MemFs::new()).unwrap();
    db.clone().close().unwrap();
    assert!(matches!(db.verify(), Err(Error::Closed)));
}

/// A read-only store was settled without a look at whether it was closed.
#[test]
fn settle_of_a_closed_read_only_store_is_refused() {
    let fs = MemFs::new();
    open(&fs).unwrap().close().unwrap();
    let db = Options::new().open_read_only_with(Standard, Arc::clone(&fs.shared()), "/store").unwrap();
    db.clone().close().unwrap();
    assert!(matches!(db.settle(), Err(Error::Closed)));
}

/// The log was looked at only when a memtable was full.
#[test]
fn the_log_is_bounded_though_no_memtable_is_full() {
    let options = Options::new().memtable_bytes(64 << 10).log_bytes_max(128 << 10);
    let db = options.background(Background::Steps).open_in_memory().unwrap();
    let keyspaces: Vec<_> =
        (0..40).map(|n| db.keyspace(&format!("k{n}"), KeyspaceOptions::new()).unwrap()).collect();
    let mut most = 0;
    for n in 0..200_u64 {
        for keyspace in &keyspaces {
            keyspace.put(n.to_be_bytes(), [7; 200]).unwrap();
        }
        most = most.max(db.stats().log_bytes);
        while db.step().unwrap() {}
    }
    assert!(most < (128 << 10) + (32 << 10), "log_bytes_max is {}, the log held {most}", 128 << 10);
}

/// A close between the look at health and the writer's lock let a flush fail on the closed log.
#[test]
fn a_flush_beside_close_is_done_or_refused() {
    for round in rounds(3000) {
        let db = open(&MemFs::new()).unwrap();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| while db.put("k", vec![7; 100]).is_ok() {});
                scope.spawn(|| {
                    loop {
                        match db.flush() {
                            Ok(()) => {}
                            Err(Error::Closed) => return,
                            Err(error) => panic!("round {round}: {error:?}"),
                        }
                    }
                });
            }
            thread::sleep(std::time::Duration::from_micros(200 + round % 10 * 50));
            db.clone().close().unwrap();
        });
    }
}

/// A process that another thread was starting held a copy of the lock's descriptor after the store was closed.
#[test]
fn a_closed_store_opens_again_beside_threads_that_start_processes() {
    let temp = std::env::temp_dir().join(format!("lsmkit-lock-{}", std::process::id()));
    let over = std::sync::atomic::AtomicBool::new(false);
    let mut outcome = Ok(());
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                std::process::Command::new("true").status().unwrap();
            }
        });
        for _ in rounds(1000) {
            match Options::new().cache_bytes(64 << 10).memtable_bytes(64 << 10).open(&temp) {
                Ok(db) => db.close().unwrap(),
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    std::fs::remove_dir_all(&temp).unwrap();
    assert!(outcome.is_ok(), "{outcome:?}");
}

/// A store looked settled while a compaction that had just ended still held the tables it had replaced, and
/// while their files were being removed.
#[test]
fn a_settled_store_has_no_files_but_those_of_its_tables() {
    let dir = tempfile::tempdir().unwrap();
    let db = Options::new().memtable_bytes(256 << 10).open(dir.path()).unwrap();
    for round in rounds(1000) {
        // Large enough for a merge in most rounds.
        for n in 0..600_u64 {
            db.put((n * 7919 + round).to_be_bytes(), [round as u8; 1000]).unwrap();
        }
        db.flush().unwrap();
        db.settle().unwrap();
        let files = std::fs::read_dir(dir.path()).unwrap();
        let extension =
            |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().path().extension().map(|e| e == "sst");
        let files = files.filter_map(extension).filter(|is_table| *is_table).count() as u64;
        let tables: u64 = db.stats().keyspaces[0].levels.iter().map(|level| level.tables).sum();
        assert_eq!(files, tables, "round {round}");
    }
}
