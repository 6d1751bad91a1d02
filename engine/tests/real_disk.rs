//! Real file systems and system calls that fail: recipes, as they need a small file system, or `strace`.
//!
//! `just small-disk` and `just strace` run them.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lsmkit::{Compression, Db, Durability, Error, Options, Remedy};

/// So small that flushes and compactions go on all the time.
fn options() -> Options {
    Options::new().memtable_bytes(1 << 20).log_bytes_max(4 << 20).compression(Compression::None)
}

// ---- a small file system

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn small_disk() -> PathBuf {
    std::env::var_os("LSMKIT_SMALL_DISK")
        .expect("`just small-disk` says where the small file system is")
        .into()
}

/// Writes until there is no room; what was acknowledged is in `model`.
fn fill(db: &Db, model: &mut Model, round: u64) -> Error {
    for n in 0..10_000_000_u64 {
        let (key, value) = (format!("{:05}", (n * 7919 + round) % 20_000).into_bytes(), vec![n as u8; 1000]);
        match db.put(&key, &value) {
            Ok(()) => _ = model.insert(key, value),
            Err(error) => return error,
        }
    }
    panic!("the file system is never full");
}

fn check(db: &Db, model: &Model) {
    let found: Model =
        db.scan(..).map(|entry| entry.map(|(k, v)| (k.to_vec(), v.to_vec())).unwrap()).collect();
    assert!(found == *model, "the store holds {} keys, the model {}", found.len(), model.len());
}

/// Tries until it works, for ten seconds.
fn until_ok(mut attempt: impl FnMut() -> Result<(), Error>) {
    let begun = Instant::now();
    while let Err(error) = attempt() {
        assert!(error.remedy() == Remedy::Retry && begun.elapsed() < Duration::from_secs(10), "{error}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Takes all the room there is left.
fn take_the_rest(path: &Path) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    for size in [1 << 20, 4096, 1] {
        while file.write(&vec![1; size]).is_ok_and(|written| written > 0) {}
    }
}

#[test]
#[ignore = "needs a small file system: just small-disk"]
fn a_full_file_system() {
    let disk = small_disk();
    let (store, ballast, reserve) = (disk.join("store"), disk.join("ballast"), disk.join("reserve"));
    let rounds = std::env::var("LSMKIT_ROUNDS").map_or(5, |rounds| rounds.parse().unwrap());
    let mut model = Model::new();
    for round in 0..rounds {
        fs::write(&ballast, vec![1; 16 << 20]).unwrap();
        fs::write(&reserve, vec![1; 12 << 20]).unwrap();
        let db = options().open(&store).unwrap();
        let error = fill(&db, &mut model, round);
        assert!(matches!(error, Error::Full(_)) && error.remedy() == Remedy::Retry, "{error}");
        check(&db, &model);
        // Room: writing goes on by itself.
        fs::remove_file(&ballast).unwrap();
        until_ok(|| db.put("again", round.to_le_bytes()));
        model.insert(b"again".to_vec(), round.to_le_bytes().to_vec());
        let error = fill(&db, &mut model, round + 100);
        assert!(matches!(error, Error::Full(_)), "{error}");
        check(&db, &model);
        drop(db);
        // Not a byte is free, and it opens.
        take_the_rest(&ballast);
        let db = options().open(&store).unwrap();
        check(&db, &model);
        drop(db);
        // What it takes to delete, and to compact what was deleted.
        fs::remove_file(&ballast).unwrap();
        fs::remove_file(&reserve).unwrap();
        let db = options().open(&store).unwrap();
        let keys: Vec<_> = model.keys().cloned().collect();
        for key in keys {
            until_ok(|| db.delete(&key));
            model.remove(&key);
        }
        until_ok(|| db.compact(..));
        db.verify().unwrap();
        db.close().unwrap();
        println!("round {round}: full twice, then opened without a free byte");
    }
}

// ---- system calls that fail

const CHILD: &str = "LSMKIT_STRACE_DIR";

/// The process whose calls fail: writes synced, and says so of each, until an error.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let db = options().memtable_bytes(256 << 10).open(PathBuf::from(dir)).unwrap();
    for n in 0..400_u32 {
        let durability = if n % 3 == 0 { Durability::Synced } else { Durability::Buffered };
        if db.put_with(n.to_be_bytes(), vec![n as u8; 1000], durability).is_err() {
            println!("stopped {n}");
            return;
        }
        println!("acknowledged {n}");
    }
    let _ = db.close();
}

/// Runs the child with the nth of a kind of call tampered with; what it acknowledged, and whether there was such a call.
fn run_with(inject: &str, dir: &Path) -> (u32, bool) {
    let trace = dir.with_extension("trace");
    let run = Command::new("strace")
        .args(["-f", "-qq", "-e", inject, "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, dir)
        .stdin(Stdio::null())
        .output()
        .expect("strace is installed");
    let said = String::from_utf8_lossy(&run.stdout);
    let acknowledged =
        said.lines().filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u32>().ok());
    let is_killed = !run.status.success();
    let is_tampered_with = is_killed || fs::read_to_string(&trace).unwrap().contains("INJECTED");
    let _ = fs::remove_file(&trace);
    (acknowledged.max().map_or(0, |last| last + 1), is_tampered_with)
}

fn check_acknowledged(dir: &Path, acknowledged: u32, context: &str) {
    let db = Db::open(dir).unwrap_or_else(|e| panic!("{context}: does not open: {e}"));
    for n in 0..acknowledged {
        let found = db.get(n.to_be_bytes()).unwrap();
        assert!(
            found.is_some_and(|value| *value == vec![n as u8; 1000]),
            "{context}: {n} was acknowledged and is gone"
        );
    }
    db.put("after", "it").unwrap();
    db.verify().unwrap();
    db.close().unwrap();
}

fn tamper_with_each(calls: &[&str], how: &str, at_most: u32) {
    for call in calls {
        let mut tampered = 0;
        for nth in 1..=at_most {
            let dir = tempfile::tempdir().unwrap();
            let (acknowledged, is_tampered_with) =
                run_with(&format!("inject={call}:{how}:when={nth}"), dir.path());
            // The process lives on, or is gone; the kernel has all that it was given.
            let context = format!("{call} {nth}, {how}");
            if dir.path().join("LOCK").exists() {
                check_acknowledged(dir.path(), acknowledged, &context);
            } else {
                assert_eq!(acknowledged, 0, "{context}");
            }
            if !is_tampered_with {
                break;
            }
            tampered += 1;
        }
        println!("{call}: {how}: {tampered} times");
        assert!(tampered > 0, "{call} is never called");
    }
}

#[test]
#[ignore = "needs strace: just strace"]
fn a_sync_that_fails() {
    tamper_with_each(&["fdatasync"], "error=EIO", 60);
    tamper_with_each(&["fsync"], "error=EIO", 20);
}

#[test]
#[ignore = "needs strace: just strace"]
fn writes_that_fail() {
    tamper_with_each(&["pwrite64"], "error=ENOSPC", 60);
    tamper_with_each(&["pwrite64"], "error=EIO", 60);
    tamper_with_each(&["fallocate"], "error=ENOSPC", 20);
}

#[test]
#[ignore = "needs strace: just strace"]
fn a_kill_at_each_call() {
    tamper_with_each(
        &["pwrite64", "fdatasync", "fsync", "fallocate", "openat", "unlink,unlinkat"],
        "signal=KILL",
        60,
    );
}
