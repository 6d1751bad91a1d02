//! What several test programs share: small stores, and a script whose every outcome can be judged.

#![allow(dead_code, reason = "no test program uses all of it")]

pub(crate) mod synced;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lsmkit::parts::{FaultFs, Fs, Leveled, MemFs};
use lsmkit::{Background, Db, Durability, Error, Keyspace, KeyspaceOptions, Options, Standard, WriteBatch};

/// Where the stores of the tests stand.
pub(crate) const DIR: &str = "/store";

/// So small that a few dozen writes flush and compact, and without threads.
pub(crate) fn tiny() -> Options {
    Options::new()
        .memtable_bytes(2 << 10)
        .log_bytes_max(8 << 10)
        .cache_bytes(64 << 10)
        .block_bytes(512)
        .leveled(Leveled::default().level0_trigger(2).base_bytes(8 << 10).table_bytes(4 << 10))
        .background(Background::Steps)
        .uid_seed(1)
}

/// Opens the store on an in-memory disk.
pub(crate) fn open(fs: &MemFs) -> Db {
    tiny().open_with(Standard, fs.shared(), DIR).expect("the store opens")
}

/// Every key and value of a scan.
pub(crate) fn all(
    scan: impl Iterator<Item = Result<(lsmkit::Value, lsmkit::Value), Error>>,
) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
    scan.map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect()
}

/// Whether longer runs were asked for.
pub(crate) fn is_deep() -> bool {
    std::env::var_os("LSMKIT_DEEP").is_some()
}

/// The first, or the second where longer runs were asked for.
pub(crate) fn shallow_or_deep<T>(shallow: T, deep: T) -> T {
    if is_deep() { deep } else { shallow }
}

/// What became of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// It was acknowledged.
    Acknowledged,
    /// It failed, and may or may not be there later.
    Failed,
}

/// What a script did, as its caller knows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// Each batch that was tried, by its number.
    pub(crate) batches: Vec<Fate>,
    /// The batches below this number that were acknowledged are durable.
    pub(crate) durable: usize,
    /// Whether the second keyspace was made.
    pub(crate) has_side: bool,
    /// Whether the keyspace that is dropped in mid-script was dropped for certain.
    pub(crate) dropped: bool,
    /// The errors, in order.
    pub(crate) errors: Vec<String>,
}

/// The name of the second keyspace.
pub(crate) const SIDE: &str = "side";
/// The name of the keyspace that the script makes and drops.
pub(crate) const BRIEF: &str = "brief";
/// How many batches the script writes.
pub(crate) const BATCHES: usize = 60;

/// The writes of batch `n`: in the keyspace `side` or not, the key, and the value unless it is a delete.
pub(crate) fn writes_of(n: usize) -> Vec<(bool, Vec<u8>, Option<Vec<u8>>)> {
    let mut writes = vec![(false, format!("batch{n:04}").into_bytes(), Some(vec![b'!']))];
    for nth in 0..3 {
        let key = format!("key{:02}", (n * 7 + nth * 5) % 23).into_bytes();
        let value = (!(n + nth).is_multiple_of(4))
            .then(|| format!("{n}-{nth}-").into_bytes().repeat(12 + (n % 5) * 8));
        writes.push((nth == 1, key, value));
    }
    writes
}

/// Runs the script: batches over two keyspaces, some synced, with flushes, compactions, a keyspace that comes
/// and goes, and a closing and reopening in the middle. Goes on after errors. Returns the store if it is open at the end.
pub(crate) fn run_script(fs: &Arc<dyn Fs>, options: &Options, history: &mut History) -> Option<Db> {
    let mut store = open_for_script(fs, options, history)?;
    for n in 0..BATCHES {
        let (db, side) = &store;
        write_batch(db, side, n, history);
        match n {
            5 => note(
                history,
                "make a keyspace",
                db.keyspace(BRIEF, KeyspaceOptions::new()).map(|brief| {
                    brief.put("there", "for a while").ok();
                }),
            ),
            12 | 44 => {
                let synced = db.sync();
                all_durable_if(history, "sync", synced);
            }
            18 | 40 => {
                let flushed = db.flush();
                all_durable_if(history, "flush", flushed);
            }
            20 => {
                let dropped = db.drop_keyspace(BRIEF);
                history.dropped = dropped.is_ok();
                note(history, "drop a keyspace", dropped);
            }
            25 => {
                let compacted = db.compact(..);
                note(history, "compact", compacted);
            }
            30 => {
                let (db, side) = store;
                drop(side);
                let closed = db.close();
                all_durable_if(history, "close", closed);
                store = match open_for_script(fs, options, history) {
                    Some(store) => store,
                    None => open_for_script(fs, options, history)?,
                };
            }
            50 => {
                let settled = db.settle();
                note(history, "settle", settled);
            }
            _ if n % 3 == 0 => {
                let stepped = db.step();
                note(history, "step", stepped);
            }
            _ => {}
        }
    }
    Some(store.0)
}

fn open_for_script(fs: &Arc<dyn Fs>, options: &Options, history: &mut History) -> Option<(Db, Keyspace)> {
    let opened = options.clone().open_with(Standard, Arc::clone(fs), DIR).and_then(|db| {
        let side = db.keyspace(SIDE, KeyspaceOptions::new())?;
        Ok((db, side))
    });
    history.has_side |= opened.is_ok();
    opened.map_err(|e| history.errors.push(format!("open: {e}"))).ok()
}

fn write_batch(db: &Db, side: &Keyspace, n: usize, history: &mut History) {
    let mut batch = WriteBatch::new();
    for (in_side, key, value) in writes_of(n) {
        match (in_side, value) {
            (true, Some(value)) => batch.put_in(side, key, value),
            (true, None) => batch.delete_in(side, key),
            (false, Some(value)) => batch.put(key, value),
            (false, None) => batch.delete(key),
        };
    }
    let durability = if n % 9 == 4 { Durability::Synced } else { Durability::Buffered };
    assert_eq!(history.batches.len(), n);
    let written = db.write_with(batch, durability);
    history.batches.push(if written.is_ok() { Fate::Acknowledged } else { Fate::Failed });
    if written.is_ok() && durability == Durability::Synced {
        history.durable = n + 1;
    }
    note(history, "write", written);
}

fn note<T>(history: &mut History, what: &str, outcome: Result<T, Error>) {
    if let Err(e) = outcome {
        history.errors.push(format!("{what}: {e}"));
    }
}

fn all_durable_if(history: &mut History, what: &str, outcome: Result<(), Error>) {
    if outcome.is_ok() {
        history.durable = history.batches.len();
    }
    note(history, what, outcome);
}

/// How much of what was acknowledged a store has to hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Holds {
    /// All: the process went on, or was killed.
    All,
    /// A prefix with all that is durable: the power failed.
    Prefix,
}

/// Reads everything and checks it against what was acknowledged.
///
/// # Panics
///
/// Where the store holds what it must not or lacks what it must hold; `context` is in the message.
pub(crate) fn check(db: &Db, history: &History, holds: Holds, context: &str) {
    let found = match Found::read(db, history) {
        Ok(found) => found,
        Err(e) => panic!("{context}: reading fails: {e}; {history:?}"),
    };
    if let Err(what) = found.judge(history, holds) {
        panic!("{context}: {what}; {history:?}");
    }
}

/// What a store holds.
pub(crate) struct Found {
    main: BTreeMap<Vec<u8>, Vec<u8>>,
    side: BTreeMap<Vec<u8>, Vec<u8>>,
    keyspaces: Vec<String>,
    /// Keys whose `get` and `scan` disagree.
    disagreement: Option<String>,
}

impl Found {
    /// Reads by scanning forwards, and compares with scanning backwards and with getting each key.
    pub(crate) fn read(db: &Db, history: &History) -> Result<Found, Error> {
        let keyspaces = db.keyspaces();
        let main = all(db.scan(..))?;
        let mut disagreement = None;
        if all(db.scan(..).rev())? != main {
            disagreement = Some("scans forwards and backwards differ".to_owned());
        }
        for n in 0..history.batches.len() {
            for (in_side, key, _) in writes_of(n) {
                if !in_side && db.get(&key)?.as_deref() != main.get(&key).map(Vec::as_slice) {
                    let got = db.get(&key)?;
                    disagreement =
                        Some(format!("get and scan differ in {:?}: {got:?}", key.escape_ascii().to_string()));
                }
            }
        }
        let side = match keyspaces.iter().any(|name| name == SIDE) {
            true => all(db.keyspace(SIDE, KeyspaceOptions::new())?.scan(..))?,
            false => BTreeMap::new(),
        };
        Ok(Found { main, side, keyspaces, disagreement })
    }

    /// Whether it may be what is left after `history`.
    pub(crate) fn judge(&self, history: &History, holds: Holds) -> Result<(), String> {
        if let Some(disagreement) = &self.disagreement {
            return Err(disagreement.clone());
        }
        if history.has_side && !self.keyspaces.iter().any(|name| name == SIDE) {
            return Err("a keyspace is gone".to_owned());
        }
        if history.dropped && self.keyspaces.iter().any(|name| name == BRIEF) {
            return Err("a dropped keyspace is there again".to_owned());
        }
        let there: BTreeSet<usize> = (0..history.batches.len())
            .filter(|n| self.main.contains_key(format!("batch{n:04}").as_bytes()))
            .collect();
        let last = there.last().copied();
        for (n, fate) in history.batches.iter().enumerate() {
            let must = holds == Holds::All || n < history.durable || last.is_some_and(|last| n < last);
            if *fate == Fate::Acknowledged && must && !there.contains(&n) {
                return Err(format!(
                    "batch {n} was acknowledged and is gone, though batch {last:?} is there"
                ));
            }
        }
        let (mut main, mut side) = (BTreeMap::new(), BTreeMap::new());
        for n in there {
            for (in_side, key, value) in writes_of(n) {
                let keyspace = if in_side { &mut side } else { &mut main };
                match value {
                    Some(value) => keyspace.insert(key, value),
                    None => keyspace.remove(&key),
                };
            }
        }
        if main != self.main {
            return Err(format!("the default keyspace differs: {}", difference(&main, &self.main)));
        }
        if side != self.side {
            return Err(format!("the second keyspace differs: {}", difference(&side, &self.side)));
        }
        Ok(())
    }
}

fn difference(expected: &BTreeMap<Vec<u8>, Vec<u8>>, found: &BTreeMap<Vec<u8>, Vec<u8>>) -> String {
    let keys: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let differing = keys.into_iter().find(|key| expected.get(*key) != found.get(*key));
    let show = |bytes: Option<&Vec<u8>>| {
        bytes.map(|b| b.iter().take(12).copied().collect::<Vec<_>>().escape_ascii().to_string())
    };
    differing.map_or_else(String::new, |key| {
        format!(
            "{}: expected {:?}, found {:?}",
            key.escape_ascii(),
            show(expected.get(key)),
            show(found.get(key))
        )
    })
}

/// A faulty file system over an in-memory disk.
pub(crate) fn faulty(disk: &MemFs) -> FaultFs {
    FaultFs::new(disk.shared())
}
