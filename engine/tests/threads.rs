//! Real threads over a store so small that it flushes and compacts all the time.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use lsmkit::parts::{Leveled, MemFs};
use lsmkit::{
    Background, Db, Durability, Error, Keyspace, KeyspaceOptions, Options, Scan, Standard, Value, WriteBatch,
};

/// Where the stores of the tests stand.
const DIR: &str = "/store";
/// Longer than anything takes that does not hang.
const PATIENCE: Duration = Duration::from_secs(60);

fn tiny() -> Options {
    Options::new()
        .memtable_bytes(64 << 10)
        .log_bytes_max(256 << 10)
        .cache_bytes(256 << 10)
        .block_bytes(1 << 10)
        .leveled(Leveled::default().level0_trigger(2).base_bytes(128 << 10).table_bytes(32 << 10))
}

fn open(fs: &MemFs) -> Db {
    tiny().open_with(Standard, fs.shared(), DIR).unwrap()
}

fn keyspace(db: &Db, name: &str) -> Keyspace {
    db.keyspace(name, KeyspaceOptions::new()).unwrap()
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn all(scan: impl Iterator<Item = Result<(Value, Value), Error>>) -> Result<Model, Error> {
    scan.map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect()
}

/// A key's number, big-endian so that keys are in the order of numbers.
fn key(n: u64) -> [u8; 8] {
    n.to_be_bytes()
}

/// A number, made long so that memtables fill up.
fn padded(n: i64) -> Vec<u8> {
    let mut value = n.to_le_bytes().to_vec();
    value.extend((0..200).map(|at| (n as u8).wrapping_mul(31).wrapping_add(at)));
    value
}

fn number(value: &[u8]) -> i64 {
    let n = i64::from_le_bytes(value[..8].try_into().unwrap());
    assert_eq!(value, padded(n), "a value is mixed up");
    n
}

/// Runs a test that must not hang: fails, and says where it stood, where it does.
fn watched(test: impl FnOnce(&Stage) + Send + 'static) {
    let stage = Stage::default();
    let (ended, end) = mpsc::channel::<()>();
    let running = {
        let stage = stage.clone();
        thread::spawn(move || {
            let _ended = ended;
            test(&stage);
        })
    };
    // Nothing is ever sent: the channel closes when the test ends, by a panic as well.
    if end.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("hangs for {PATIENCE:?}: {}", stage.0.lock().unwrap());
    }
    if let Err(panic) = running.join() {
        std::panic::resume_unwind(panic);
    }
}

/// What a watched test is about to do.
#[derive(Clone, Default)]
struct Stage(Arc<Mutex<String>>);

impl Stage {
    fn is(&self, what: impl Into<String>) {
        *self.0.lock().unwrap() = what.into();
    }
}

/// Set when it goes out of scope, by a panic as well, so that a thread that fails does not leave
/// others running for ever.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Flushes and compactions went on meanwhile; otherwise a test would have shown little.
fn assert_was_busy(db: &Db, flushes: u64, compactions: u64) {
    let stats = db.stats();
    assert_eq!(stats.fault, None);
    assert!(stats.flushes.count >= flushes && stats.compactions.count >= compactions, "{stats:?}");
}

/// Accounts of each writer in each keyspace, and what is in each at the beginning.
const ACCOUNTS: u64 = 60;
const BALANCE: i64 = 1000;
const WRITERS: u64 = 3;

/// Money goes from one keyspace to another, and within a third: no snapshot sees it missing or twice.
#[test]
fn transfers_never_change_the_sum() {
    watched(|stage| {
        let fs = MemFs::new();
        let db = open(&fs);
        let (side, inner) = (keyspace(&db, "side"), keyspace(&db, "inner"));
        let mut batch = WriteBatch::new();
        for account in 0..WRITERS * ACCOUNTS {
            batch.put(key(account), padded(BALANCE));
            batch.put_in(&side, key(account), padded(BALANCE));
            batch.put_in(&inner, key(account), padded(BALANCE));
        }
        db.write(batch).unwrap();
        let writing = AtomicU64::new(WRITERS);
        stage.is("transferring");
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (db, side, inner, writing) = (&db, &side, &inner, &writing);
                scope.spawn(move || {
                    transfer(db, side, inner, writer, 6000);
                    writing.fetch_sub(1, Ordering::Release);
                });
            }
            for _ in 0..2 {
                scope.spawn(|| watch_sums(&db, &side, &inner, &writing));
            }
        });
        assert_was_busy(&db, 50, 10);
        stage.is("reopening");
        let found = [all(db.scan(..)).unwrap(), all(side.scan(..)).unwrap(), all(inner.scan(..)).unwrap()];
        drop((side, inner));
        db.close().unwrap();
        let db = open(&fs);
        let (side, inner) = (keyspace(&db, "side"), keyspace(&db, "inner"));
        assert_eq!([all(db.scan(..)), all(side.scan(..)), all(inner.scan(..))].map(Result::unwrap), found);
        db.verify().unwrap();
    });
}

/// Each writer has accounts of its own, so that it knows what is in them.
fn transfer(db: &Db, side: &Keyspace, inner: &Keyspace, writer: u64, transfers: u64) {
    let mut balances = [[BALANCE; ACCOUNTS as usize]; 3];
    let account = |nth: u64| key(writer * ACCOUNTS + nth);
    for n in 1..=transfers {
        let (from, to, amount) = (n * 7 % ACCOUNTS, n * 11 % ACCOUNTS, (n % 17) as i64);
        let (here, there) = if n.is_multiple_of(2) { (0, 1) } else { (1, 0) };
        balances[here][from as usize] -= amount;
        balances[there][to as usize] += amount;
        // From an account to itself as well: the later write of a batch wins.
        balances[2][from as usize] -= amount;
        let taken = balances[2][from as usize];
        balances[2][to as usize] += amount;
        let mut batch = WriteBatch::new();
        let accounts = [(here, from), (there, to)];
        for (keyspace, nth) in accounts {
            match keyspace {
                0 => batch.put(account(nth), padded(balances[0][nth as usize])),
                _ => batch.put_in(side, account(nth), padded(balances[1][nth as usize])),
            };
        }
        batch.put_in(inner, account(from), padded(taken));
        batch.put_in(inner, account(to), padded(balances[2][to as usize]));
        batch.put(format!("count of {writer}"), padded(n as i64));
        db.write(batch).unwrap();
        // Who writes sees what he wrote.
        if n.is_multiple_of(16) {
            let seen = side.get(account(to)).unwrap().unwrap();
            assert_eq!(number(&seen), balances[1][to as usize]);
            assert_eq!(number(&db.get(format!("count of {writer}")).unwrap().unwrap()), n as i64);
        }
    }
}

fn watch_sums(db: &Db, side: &Keyspace, inner: &Keyspace, writing: &AtomicU64) {
    let sum = |scan: &mut dyn Iterator<Item = Result<(Value, Value), Error>>| {
        let (mut sum, mut accounts) = (0, 0);
        for entry in scan {
            let (key, value) = entry.unwrap();
            if key.len() == 8 {
                (sum, accounts) = (sum + number(&value), accounts + 1);
            }
        }
        assert_eq!(accounts, WRITERS * ACCOUNTS);
        sum
    };
    let total = (WRITERS * ACCOUNTS) as i64 * BALANCE;
    let mut counters = [0; WRITERS as usize];
    loop {
        let is_over = writing.load(Ordering::Acquire) == 0 || thread::panicking();
        for (writer, seen) in counters.iter_mut().enumerate() {
            let counter = format!("count of {writer}");
            let snapshot = db.snapshot();
            let ways = [db.get(&counter), snapshot.get(&counter)];
            let values = ways.map(|value| value.unwrap().map_or(0, |value| number(&value)));
            assert!(*seen <= values[1] && *seen <= values[0], "counter {writer} was {seen}, is {values:?}");
            let scanned = db.scan_prefix(&counter).next();
            *seen = scanned.map_or(0, |entry| number(&entry.unwrap().1));
            assert!(values[0].max(values[1]) <= *seen, "counter {writer} was {values:?}, is {seen}");
        }
        let snapshot = db.snapshot();
        let both = sum(&mut snapshot.scan(..)) + sum(&mut snapshot.scan_in(side, ..).rev());
        assert_eq!(both, 2 * total, "of a snapshot");
        assert_eq!(sum(&mut inner.scan(..)), total, "of a scan");
        assert_eq!(sum(&mut inner.scan(..).rev()), total, "of a scan backwards");
        if is_over {
            break;
        }
    }
}

/// The files of tables.
fn tables(fs: &MemFs) -> BTreeSet<PathBuf> {
    fs.files().into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "sst")).collect()
}

/// Overwrites and deletes what is there, with values of a generation.
fn overwrite(db: &Db, generation: u64, keys: u64) {
    for n in 0..keys {
        let n = n * 7 % keys;
        match (n + generation) % 5 {
            0 => db.delete(key(n)).unwrap(),
            _ => db.put(key(n), padded((generation * keys + n) as i64)).unwrap(),
        }
    }
}

#[test]
fn a_scan_ends_with_what_it_began_with_though_its_tables_are_replaced() {
    watched(|stage| {
        const KEYS: u64 = 2000;
        let fs = MemFs::new();
        let db = open(&fs);
        overwrite(&db, 0, KEYS);
        for generation in 1..4 {
            stage.is(format!("generation {generation}"));
            db.flush().unwrap();
            db.settle().unwrap();
            // Some of it is in memory.
            for n in 0..50 {
                db.put(key(n * 31), padded(-(n as i64))).unwrap();
            }
            let expected = all(db.scan(..)).unwrap();
            let replaced = tables(&fs);
            // One that has read nothing, and others in the middle: from the front, from the back, from both.
            let mut scans: [Scan; 4] = std::array::from_fn(|_| db.scan(..));
            let mut read: [Model; 4] = Default::default();
            for (nth, scan) in scans.iter_mut().enumerate() {
                let front = all(scan.by_ref().take([0, 300, 0, 200][nth])).unwrap();
                let back = all(scan.by_ref().rev().take([0, 0, 300, 200][nth])).unwrap();
                read[nth] = front.into_iter().chain(back).collect();
            }
            thread::scope(|scope| {
                // One goes on while it happens, the others once it has.
                let [first, ..] = &mut scans;
                scope.spawn(|| {
                    for entry in first {
                        let (key, value) = entry.unwrap();
                        read[0].insert(key.to_vec(), value.to_vec());
                        thread::sleep(Duration::from_micros(20));
                    }
                });
                overwrite(&db, generation, KEYS);
                db.compact(..).unwrap();
            });
            assert!(replaced.is_subset(&tables(&fs)), "the files of scans are there");
            for (nth, scan) in scans.into_iter().enumerate() {
                let rest = if nth % 2 == 0 { all(scan.rev()) } else { all(scan) };
                read[nth].extend(rest.unwrap());
                assert!(read[nth] == expected, "scan {nth} of generation {generation} is not what it was");
            }
            stage.is("waiting for the replaced files to go");
            db.settle().unwrap();
            assert!(replaced.is_disjoint(&tables(&fs)), "files that nobody reads are gone");
        }
        assert_was_busy(&db, 10, 5);
    });
}

#[test]
fn a_snapshot_keeps_while_everything_is_overwritten_and_compacted() {
    watched(|stage| {
        const KEYS: u64 = 1000;
        let fs = MemFs::new();
        let db = open(&fs);
        let side = keyspace(&db, "side");
        overwrite(&db, 0, KEYS);
        for n in 0..KEYS {
            side.put(key(n), padded(n as i64)).unwrap();
        }
        let snapshot = db.snapshot();
        let expected = [all(snapshot.scan(..)).unwrap(), all(snapshot.scan_in(&side, ..)).unwrap()];
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                let (snapshot, expected, side, is_over) = (snapshot.clone(), &expected, &side, &is_over);
                scope.spawn(move || {
                    for round in 0.. {
                        assert!(all(snapshot.scan(..)).unwrap() == expected[0], "round {round}");
                        assert!(
                            all(snapshot.scan_in(side, ..).rev()).unwrap() == expected[1],
                            "round {round}"
                        );
                        for n in (round % 13..KEYS).step_by(13) {
                            let (found, value) =
                                (snapshot.get(key(n)).unwrap(), expected[0].get(&key(n)[..]));
                            assert_eq!(found.as_deref(), value.map(|value| &value[..]));
                            let found = snapshot.get_in(side, key(n)).unwrap();
                            assert_eq!(found.as_deref(), Some(&expected[1][&key(n)[..]][..]));
                        }
                        if is_over.load(Ordering::Acquire) {
                            break;
                        }
                    }
                });
            }
            let _over = SetAtEnd(&is_over);
            for generation in 1..6 {
                stage.is(format!("generation {generation}"));
                overwrite(&db, generation, KEYS);
                for n in 0..KEYS {
                    side.delete(key(n)).unwrap();
                }
                db.compact(..).unwrap();
                side.compact(..).unwrap();
            }
        });
        assert_eq!(db.stats().snapshots, 1);
        drop(snapshot);
        assert_was_busy(&db, 10, 5);
        // Nobody sees any of it any more.
        side.put(key(0), "last").unwrap();
        side.compact(..).unwrap();
        let stats = db.stats();
        let side = stats.keyspaces.iter().find(|keyspace| keyspace.name == "side").unwrap();
        assert_eq!(side.levels.iter().map(|level| level.entries).sum::<u64>(), 1, "{stats:?}");
    });
}

#[test]
fn a_keyspace_is_dropped_beside_its_writers_and_made_again() {
    watched(|stage| {
        const THERE: u64 = 300;
        let fs = MemFs::new();
        let db = open(&fs);
        let mut acknowledged = Vec::new();
        for round in 0..30_u64 {
            stage.is(format!("round {round}"));
            let brief = keyspace(&db, "brief");
            assert_eq!(brief.scan(..).count(), 0, "round {round}: a new keyspace is empty");
            for n in 0..THERE {
                brief.put(key(n), padded(n as i64)).unwrap();
            }
            let written: Vec<u64> = thread::scope(|scope| {
                let writers: Vec<_> = (0..2)
                    .map(|writer| {
                        let (db, brief) = (&db, &brief);
                        scope.spawn(move || write_until_dropped(db, brief, round * 2 + writer))
                    })
                    .collect();
                scope.spawn(|| read_until_dropped(&db, &brief, THERE));
                thread::sleep(Duration::from_millis(2 + round % 7));
                assert!(db.drop_keyspace("brief").unwrap());
                writers.into_iter().map(|writer| writer.join().unwrap()).collect()
            });
            acknowledged.extend(written);
            assert!(!db.drop_keyspace("brief").unwrap());
            // The handle is of the keyspace that was dropped, also when there is one of that name again.
            let again = keyspace(&db, "brief");
            for result in [brief.put("k", "v"), brief.delete("k"), brief.flush(), brief.compact(..)] {
                assert!(matches!(result, Err(Error::NoKeyspace(_))), "{result:?}");
            }
            assert!(matches!(brief.get(key(0)), Err(Error::NoKeyspace(_))));
            assert!(matches!(brief.scan(..).next(), Some(Err(Error::NoKeyspace(_)))));
            assert_eq!(again.get(key(0)).unwrap(), None::<Value>);
            again.put("again", "there").unwrap();
            if round % 3 == 0 {
                again.flush().unwrap();
            }
            assert_eq!(again.scan(..).count(), 1);
            assert!(db.drop_keyspace("brief").unwrap());
        }
        assert_was_busy(&db, 10, 1);
        let check = |db: &Db| {
            for (writer, acknowledged) in acknowledged.iter().enumerate() {
                let of_writer = all(db.scan_prefix(key(writer as u64))).unwrap();
                assert_eq!(of_writer.len() as u64, *acknowledged, "writer {writer}");
            }
            assert_eq!(db.keyspaces(), ["default"]);
        };
        check(&db);
        stage.is("reopening after a kill");
        check(&open(&fs.kill()));
        stage.is("reopening after a close");
        db.close().unwrap();
        let db = open(&fs);
        check(&db);
        db.settle().unwrap();
        let live: u64 = db.stats().keyspaces.iter().flat_map(|k| &k.levels).map(|level| level.tables).sum();
        assert_eq!(tables(&fs).len() as u64, live, "the files of dropped keyspaces are gone");
    });
}

/// Writes batches to the default keyspace and to `brief` until that is gone; how many were acknowledged.
fn write_until_dropped(db: &Db, brief: &Keyspace, writer: u64) -> u64 {
    for n in 0_u64.. {
        let mut batch = WriteBatch::new();
        batch.put([key(writer), key(n)].concat(), padded(n as i64));
        batch.put_in(brief, [b"beside", &key(writer)[..], &key(n % 100)].concat(), padded(n as i64));
        match db.write(batch) {
            Ok(()) => {}
            Err(Error::NoKeyspace(name)) => {
                assert_eq!(name, "brief");
                // It is not one that comes back.
                assert!(matches!(brief.put(key(n), "late"), Err(Error::NoKeyspace(_))));
                return n;
            }
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("the keyspace is dropped")
}

/// A reader finds all that is there, or no keyspace; never a part.
fn read_until_dropped(db: &Db, brief: &Keyspace, there: u64) {
    for round in 0_u64.. {
        let n = round % there;
        let got = brief.get(key(n)).map(|value| assert_eq!(number(&value.unwrap()), n as i64));
        let scanned =
            all(brief.scan(..key(there))).map(|all| assert_eq!(all.len() as u64, there, "of a scan"));
        let seen = all(db.snapshot().scan_in(brief, ..key(there)));
        let seen = seen.map(|all| assert_eq!(all.len() as u64, there, "of a snapshot"));
        for result in [got, scanned, seen] {
            match result {
                Ok(()) => {}
                Err(Error::NoKeyspace(_)) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn closing_beside_writers_and_readers_keeps_what_was_acknowledged() {
    watched(|stage| {
        let fs = MemFs::new();
        let mut expected = Model::new();
        for round in 0..30_u64 {
            stage.is(format!("round {round}: opening"));
            let db = open(&fs);
            if round == 0 {
                db.put("round", "first").unwrap();
                db.flush().unwrap();
            }
            let side = keyspace(&db, "side");
            let there = all(side.scan(..)).unwrap();
            for (key, value) in &expected {
                assert_eq!(there.get(key), Some(value), "round {round}: {key:?} was acknowledged");
            }
            // What was refused while the store was closed may be there, one write a writer.
            assert!(there.len() - expected.len() <= 4, "round {round}");
            expected = there;
            stage.is(format!("round {round}: closing"));
            let written: Vec<Model> = thread::scope(|scope| {
                let durabilities =
                    [Durability::Buffered, Durability::None, Durability::Synced, Durability::None];
                let writers: Vec<_> = (0..4)
                    .map(|writer| {
                        let (side, durability) = (&side, durabilities[writer as usize]);
                        scope.spawn(move || write_until_closed(side, durability, round * 4 + writer))
                    })
                    .collect();
                scope.spawn(|| read_until_closed(&db, &side));
                if round % 2 == 0 {
                    scope.spawn(|| until_closed(|| db.verify().and_then(|_| db.settle())));
                }
                thread::sleep(Duration::from_micros(200 + round * 400));
                db.clone().close().unwrap();
                writers.into_iter().map(|writer| writer.join().unwrap()).collect()
            });
            expected.extend(written.into_iter().flatten());
            stage.is(format!("round {round}: calling what is closed"));
            assert_is_closed(&db, &side);
            if round % 5 == 0 {
                // Long after, and once more: nothing happens.
                db.clone().close().unwrap();
            }
        }
        let db = open(&fs);
        db.settle().unwrap();
        db.verify().unwrap();
        let side = keyspace(&db, "side");
        let there = all(side.scan(..)).unwrap();
        assert!(expected.iter().all(|(key, value)| there.get(key) == Some(value)));
    });
}

fn write_until_closed(side: &Keyspace, durability: Durability, writer: u64) -> Model {
    let mut written = Model::new();
    for n in 0_u64.. {
        let (key, value) = ([key(writer), key(n)].concat(), padded(n as i64));
        match side.put_with(&key, &value, durability) {
            Ok(()) => drop(written.insert(key, value)),
            Err(Error::Closed) => break,
            Err(error) => panic!("{durability:?}: {error}"),
        }
    }
    written
}

fn read_until_closed(db: &Db, side: &Keyspace) {
    until_closed(|| {
        let mut before = 0;
        for entry in side.scan(..) {
            number(&entry?.1);
            before += 1;
        }
        // Nothing is ever removed.
        assert!(
            db.snapshot()
                .scan_in(side, ..)
                .map(|entry| entry.map(drop))
                .collect::<Result<Vec<_>, _>>()?
                .len()
                >= before
        );
        side.get(key(0)).map(drop)
    });
}

fn until_closed(mut call: impl FnMut() -> Result<(), Error>) {
    loop {
        match call() {
            Ok(()) => {}
            Err(Error::Closed) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

fn assert_is_closed(db: &Db, side: &Keyspace) {
    let mut batch = WriteBatch::new();
    batch.put("k", "v").put_in(side, "k", "v");
    let outcomes = [
        ("put", db.put("k", "v")),
        ("put_with", side.put_with("k", "v", Durability::None)),
        ("delete", side.delete("k")),
        ("write", db.write(batch)),
        ("get", db.get("k").map(drop)),
        ("get in a keyspace", side.get("k").map(drop)),
        ("get in a snapshot", db.snapshot().get_in(side, "k").map(drop)),
        ("scan", all(side.scan(..)).map(drop)),
        ("scan in a snapshot", all(db.snapshot().scan(..).rev()).map(drop)),
        ("keyspace", db.keyspace("side", KeyspaceOptions::new()).map(drop)),
        ("new keyspace", db.keyspace("new", KeyspaceOptions::new()).map(drop)),
        ("drop_keyspace", db.drop_keyspace("side").map(drop)),
        ("sync", db.sync()),
        ("flush", db.flush()),
        ("flush of a keyspace", side.flush()),
        ("compact", db.compact(..)),
        ("settle", db.settle()),
        ("step", db.step().map(drop)),
        ("verify", db.verify().map(drop)),
    ];
    for (call, outcome) in outcomes {
        assert!(matches!(outcome, Err(Error::Closed)), "{call} of a closed store: {outcome:?}");
    }
}

/// Power fails again and again under writers who ask for a sync beside others who don't.
#[test]
fn synced_writes_survive_power_failures_beside_buffered_ones() {
    watched(|stage| {
        let fs = MemFs::new();
        let db = open(&fs);
        let side = keyspace(&db, "side");
        let is_over = AtomicBool::new(false);
        // How many writes of each writer were acknowledged; the first two writers sync each.
        let acknowledged: [AtomicU64; 4] = Default::default();
        thread::scope(|scope| {
            for (writer, acknowledged) in acknowledged.iter().enumerate() {
                let (side, is_over) = (&side, &is_over);
                scope.spawn(move || {
                    let durability = if writer < 2 { Durability::Synced } else { Durability::Buffered };
                    for n in 0_u64.. {
                        let key = [key(writer as u64), key(n)].concat();
                        side.put_with(key, padded(n as i64), durability).unwrap();
                        acknowledged.store(n + 1, Ordering::Release);
                        if n.is_multiple_of(8) {
                            // A store that grew faster would only take longer to check.
                            thread::sleep(Duration::from_micros(200));
                        }
                        if is_over.load(Ordering::Acquire) {
                            break;
                        }
                    }
                });
            }
            let _over = SetAtEnd(&is_over);
            for failure in 0..20 {
                stage.is(format!("power failure {failure}"));
                thread::sleep(Duration::from_millis(5));
                let synced: Vec<u64> =
                    acknowledged[..2].iter().map(|count| count.load(Ordering::Acquire)).collect();
                let crashed = if failure % 2 == 0 { fs.crash_synced_only() } else { fs.crash(failure) };
                let after = open(&crashed);
                let after = keyspace(&after, "side");
                for writer in 0..4 {
                    let keys = all(after.scan_prefix(key(writer))).unwrap();
                    let there = keys.len() as u64;
                    // None before one that is there is gone.
                    let last = keys.last_key_value().map(|(last, _)| last[8..].to_vec());
                    assert_eq!(last, there.checked_sub(1).map(|n| key(n).to_vec()), "writer {writer}");
                    if let Some(synced) = synced.get(writer as usize) {
                        assert!(
                            there >= *synced,
                            "writer {writer}: {synced} writes were synced, {there} are there"
                        );
                    }
                }
            }
        });
        assert_was_busy(&db, 10, 2);
        for (writer, acknowledged) in acknowledged.iter().enumerate() {
            let there = side.scan_prefix(key(writer as u64)).count() as u64;
            assert_eq!(there, acknowledged.load(Ordering::Acquire), "writer {writer}");
        }
    });
}

#[test]
fn an_idle_keyspace_does_not_keep_the_log_from_shrinking() {
    watched(|stage| {
        const LOG_BYTES_MAX: u64 = 256 << 10;
        let fs = MemFs::new();
        let db = open(&fs);
        let (idle, busy) = (keyspace(&db, "idle"), keyspace(&db, "busy"));
        idle.put("alone", "for long").unwrap();
        let is_over = AtomicBool::new(false);
        let most = thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut most = 0;
                while !is_over.load(Ordering::Acquire) {
                    most = most.max(db.stats().log_bytes);
                    thread::sleep(Duration::from_millis(1));
                }
                most
            });
            let _over = SetAtEnd(&is_over);
            stage.is("writing");
            thread::scope(|scope| {
                scope.spawn(|| overwrite_for_log(&busy));
                for n in 0..20_000_u64 {
                    db.put(key(n % 3000), padded(n as i64)).unwrap();
                }
            });
            drop(_over);
            watcher.join().unwrap()
        });
        // Beyond the limit there are the memtables that wait to be flushed, of three keyspaces.
        let waiting = 3 * (3 + 1) * (64 << 10);
        assert!(db.stats().log_written_bytes > 6 << 20, "otherwise there is little to bound");
        assert!(most <= LOG_BYTES_MAX + waiting, "the log has held {most} bytes");
        stage.is("settling");
        db.settle().unwrap();
        let left = db.stats().log_bytes;
        // The limit is looked at when a memtable is full: until the next is, both busy ones fill up.
        assert!(left <= LOG_BYTES_MAX + 2 * (64 << 10), "the log holds {left} bytes");
        assert_was_busy(&db, 20, 5);
        // It was flushed for the log's sake, and is there.
        let tables = db.stats().keyspaces.iter().find(|k| k.name == "idle").map(|k| k.levels[0].tables);
        assert_eq!(tables, Some(1));
        assert_eq!(idle.get("alone").unwrap().as_deref(), Some(&b"for long"[..]));
        let killed = open(&fs.kill());
        assert_eq!(keyspace(&killed, "idle").get("alone").unwrap().as_deref(), Some(&b"for long"[..]));
    });
}

fn overwrite_for_log(busy: &Keyspace) {
    for n in 0..20_000_u64 {
        busy.put(key(n * 7 % 2000), padded(n as i64)).unwrap();
    }
}

/// Threads that let go of handles last, in any order, close the store once.
#[test]
fn the_last_handle_closes_the_store_wherever_it_is_dropped() {
    watched(|stage| {
        let fs = MemFs::new();
        for round in 0..50_u64 {
            stage.is(format!("round {round}"));
            let db = open(&fs);
            let side = keyspace(&db, "side");
            assert_eq!(side.scan(..).count() as u64, round * 4);
            let begun = Instant::now();
            thread::scope(|scope| {
                for writer in 0..4 {
                    let (side, db) = (side.clone(), db.clone());
                    scope.spawn(move || {
                        let snapshot = db.snapshot();
                        let durability =
                            if writer % 2 == 0 { Durability::None } else { Durability::Buffered };
                        side.put_with(key(round * 4 + writer), padded(7), durability).unwrap();
                        drop((side, db));
                        assert!(snapshot.get("k").unwrap().is_none());
                    });
                }
                drop((side, db));
            });
            assert!(begun.elapsed() < PATIENCE);
        }
    });
}

#[test]
fn memtables_of_many_keyspaces_stay_within_their_memory() {
    const MAX_BYTES: u64 = 1 << 20;
    for background in [Background::Threads, Background::Steps] {
        let fs = MemFs::new();
        let options = Options::new().memtable_bytes(1 << 20).memtables_bytes_max(MAX_BYTES as usize);
        let db = options.background(background).open_with(Standard, fs.shared(), DIR).unwrap();
        let keyspaces: Vec<Keyspace> = (0..20).map(|n| keyspace(&db, &format!("k{n}"))).collect();
        let value = |n: usize, round: usize| vec![(n * 7 + round) as u8; 1000];
        let rounds = 200;
        for round in 0..rounds {
            for (n, keyspace) in keyspaces.iter().enumerate() {
                keyspace.put(format!("{round:04}"), value(n, round)).unwrap();
            }
            let held = db.stats().memtable_bytes;
            assert!(
                held <= MAX_BYTES + (64 << 10),
                "{held} bytes of memtables in round {round}, {background:?}"
            );
        }
        // No memtable was ever full: each keyspace was given a fifth of what one may hold.
        assert!(db.stats().flushes.count >= 3, "{:?}", db.stats().flushes);
        for (n, keyspace) in keyspaces.iter().enumerate() {
            let found = (0..rounds).all(|round| {
                keyspace.get(format!("{round:04}")).unwrap().as_deref() == Some(&value(n, round)[..])
            });
            assert!(found, "keyspace {n}");
        }
        // What a dropped keyspace held is given back as well.
        db.flush().unwrap();
        keyspaces[0].put("k", vec![0; 600 << 10]).unwrap();
        db.drop_keyspace("k0").unwrap();
        keyspaces[1].put("k", vec![0; 600 << 10]).unwrap();
        keyspaces[1].put("l", b"v").unwrap();
        db.close().unwrap();
    }
}
