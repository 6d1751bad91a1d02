//! The model test, for engines of any parts: random operations against a plain map, with reopening, killing
//! and power failures, on an in-memory file system and without a thread, so that a seed repeats it.
//!
//! ```
//! use lsmkit::{Standard, testkit};
//!
//! testkit::model(|| Standard, testkit::Mishaps::PowerFailures, 7, 300);
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Bound;

use lsmkit_vfs::MemFs;

use crate::{
    Background, Durability, Engine, Error, Keyspace, KeyspaceOptions, Options, Parts, Snapshot, Value,
    WriteBatch,
};

/// What happens to the store beside being used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mishaps {
    /// It is closed and opened, and its process is killed: nothing may be lost.
    Kills,
    /// Power fails as well: what was not synced may be lost, newest first.
    PowerFailures,
}

/// Runs `steps` random operations drawn from `seed` on an engine of the parts that `make` gives, and
/// checks every answer against a map.
///
/// After every power failure the store must hold a prefix of the batches that were acknowledged,
/// each whole, with at least all that were synced. Returns a digest of all answers: without
/// power failures engines of different parts give the same.
///
/// # Panics
///
/// Where the engine differs from the map; the message holds seed and step.
pub fn model<P: Parts>(make: impl Fn() -> P, mishaps: Mishaps, seed: u64, steps: u64) -> u64 {
    let random = Random::Seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut run = Run::new(make, mishaps, seed, random);
    for step in 0..steps {
        run.step = step;
        run.take_step();
    }
    run.end()
}

/// As [`model`], with the operations drawn from `bytes` until they are used up, for a fuzzer.
///
/// # Panics
///
/// Where the engine differs from the map; the message holds the step.
pub fn model_of_bytes<P: Parts>(make: impl Fn() -> P, mishaps: Mishaps, bytes: &[u8]) -> u64 {
    let mut run = Run::new(make, mishaps, 0, Random::Bytes(bytes.iter().copied().collect()));
    while !run.random.is_used_up() {
        run.take_step();
        run.step += 1;
    }
    run.end()
}

/// What the store holds: by keyspace.
type Content = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// A write of a batch: keyspace, key, and value unless it is a delete.
type ModelWrite = (String, Vec<u8>, Option<Vec<u8>>);

struct Run<P: Parts, F: Fn() -> P> {
    make: F,
    mishaps: Mishaps,
    seed: u64,
    step: u64,
    random: Random,
    fs: MemFs,
    engine: Option<Engine<P>>,
    keyspaces: BTreeMap<String, Keyspace<P>>,
    now: Content,
    /// What is durable for certain, and every batch acknowledged since.
    durable: Content,
    since: Vec<Vec<ModelWrite>>,
    snapshots: Vec<(Snapshot<P>, Content)>,
    digest: DefaultHasher,
}

const DEFAULT: &str = "default";

impl<P: Parts, F: Fn() -> P> Run<P, F> {
    fn new(make: F, mishaps: Mishaps, seed: u64, random: Random) -> Run<P, F> {
        let content = Content::from([(DEFAULT.to_owned(), BTreeMap::new())]);
        let mut run = Run {
            make,
            mishaps,
            seed,
            step: 0,
            random,
            fs: MemFs::new(),
            engine: None,
            keyspaces: BTreeMap::new(),
            now: content.clone(),
            durable: content,
            since: Vec::new(),
            snapshots: Vec::new(),
            digest: DefaultHasher::new(),
        };
        run.open();
        run
    }

    /// With compactions in as many parts as for so many threads.
    fn options(threads: usize) -> Options {
        // Small enough that a few hundred writes flush, compact and fill several levels.
        Options::new()
            .memtable_bytes(6 << 10)
            .log_bytes_max(24 << 10)
            .cache_bytes(64 << 10)
            .block_bytes(512)
            .leveled(lsmkit_compaction::Leveled::default().base_bytes(16 << 10).table_bytes(4 << 10))
            .background(Background::Steps)
            .compaction_threads(threads)
            .uid_seed(1)
    }

    fn open(&mut self) {
        let threads = 1 + (self.seed % 3) as usize;
        let engine = Run::<P, F>::options(threads).open_with((self.make)(), self.fs.shared(), "/store");
        let engine = engine.unwrap_or_else(|e| self.fail(&format!("does not open: {e}")));
        self.keyspaces.clear();
        for name in self.now.keys().filter(|name| *name != DEFAULT) {
            let keyspace = engine.keyspace(name, KeyspaceOptions::default());
            let keyspace = keyspace.unwrap_or_else(|e| self.fail(&format!("keyspace {name}: {e}")));
            self.keyspaces.insert(name.clone(), keyspace);
        }
        self.engine = Some(engine);
    }

    fn fail(&self, what: &str) -> ! {
        panic!("seed {} step {} ({:?}): {what}", self.seed, self.step, self.mishaps)
    }

    fn ok<T>(&self, what: &str, outcome: Result<T, Error>) -> T {
        outcome.unwrap_or_else(|e| self.fail(&format!("{what}: {e}")))
    }

    fn engine(&self) -> &Engine<P> {
        self.engine.as_ref().expect("because it is open between two steps")
    }

    /// A last look at everything; the digest of all answers.
    fn end(mut self) -> u64 {
        self.reopen(|fs| fs.kill());
        self.check_everything();
        self.digest.finish()
    }

    fn take_step(&mut self) {
        match self.random.below(1000) {
            0..500 => self.write(),
            500..660 => self.get(),
            660..700 => self.multi_get(),
            700..740 => self.scan(),
            740..780 => self.walk(),
            780..820 => self.take_or_drop_snapshot(),
            820..850 => self.read_snapshot(),
            850..920 => {
                let stepped = self.engine().step();
                self.ok("step", stepped);
            }
            920..940 => self.sync(),
            940..955 => self.flush(),
            955..965 => self.compact(),
            965..978 => self.change_keyspaces(),
            978..985 => {
                let settled = self.engine().settle();
                self.ok("settle", settled);
            }
            985..990 => self.close_and_open(),
            990..995 => self.reopen(|fs| fs.kill()),
            _ if self.mishaps == Mishaps::PowerFailures => self.power_failure(),
            _ => self.check_everything(),
        }
    }

    fn key(&mut self) -> Vec<u8> {
        // Few enough keys that they are overwritten; some empty, some prefixes of others.
        let n = self.random.below(120);
        match n {
            0 => Vec::new(),
            1..20 => vec![b'k'; n as usize],
            _ => format!("key{:03}", n % 90).into_bytes(),
        }
    }

    fn keyspace_name(&mut self) -> String {
        let at = self.random.below(self.now.len() as u64 * 2) as usize;
        self.now.keys().nth(at).cloned().unwrap_or_else(|| DEFAULT.to_owned())
    }

    fn write(&mut self) {
        let size = if self.random.below(4) == 0 { self.random.below(12) } else { 1 };
        let mut batch = WriteBatch::new();
        let mut writes: Vec<ModelWrite> = Vec::new();
        for _ in 0..size {
            let (name, key) = (self.keyspace_name(), self.key());
            let value = (self.random.below(5) > 0).then(|| {
                let len = if self.random.below(40) == 0 { 3000 } else { self.random.below(60) };
                vec![self.step as u8; len as usize]
            });
            match (&value, self.keyspaces.get(&name)) {
                (Some(value), None) => batch.put(&key, value),
                (None, None) => batch.delete(&key),
                (Some(value), Some(keyspace)) => batch.put_in(keyspace, &key, value),
                (None, Some(keyspace)) => batch.delete_in(keyspace, &key),
            };
            writes.push((name, key, value));
        }
        let durability = if self.random.below(10) == 0 { Durability::Synced } else { Durability::Buffered };
        let written = self.engine().write_with(batch, durability);
        self.ok("write", written);
        apply(&mut self.now, &writes);
        self.since.push(writes);
        if durability == Durability::Synced {
            self.all_durable();
        }
    }

    fn all_durable(&mut self) {
        self.durable.clone_from(&self.now);
        self.since.clear();
    }

    fn get(&mut self) {
        let (name, key) = (self.keyspace_name(), self.key());
        let found = match self.keyspaces.get(&name) {
            Some(keyspace) => keyspace.get(&key),
            None => self.engine().get(&key),
        };
        let found = self.ok("get", found);
        let expected = self.now[&name].get(&key);
        if found.as_deref() != expected.map(Vec::as_slice) {
            self.fail(&format!("get {name} {key:?} gives {found:?}, not {expected:?}"));
        }
        found.as_deref().hash(&mut self.digest);
    }

    /// As `get`, for some keys at once, each in place too.
    fn multi_get(&mut self) {
        let name = self.keyspace_name();
        let keys: Vec<Vec<u8>> = (0..self.random.below(24)).map(|_| self.key()).collect();
        let found = match self.keyspaces.get(&name) {
            Some(keyspace) => keyspace.multi_get(&keys),
            None => self.engine().multi_get(&keys),
        };
        let found = self.ok("multi_get", found);
        for (key, found) in keys.iter().zip(&found) {
            let expected = self.now[&name].get(key);
            if found.as_deref() != expected.map(Vec::as_slice) {
                self.fail(&format!("multi_get {name} {key:?} gives {found:?}, not {expected:?}"));
            }
            let looked_at = match self.keyspaces.get(&name) {
                Some(keyspace) => keyspace.get_with(key, <[u8]>::to_vec),
                None => self.engine().get_with(key, <[u8]>::to_vec),
            };
            if self.ok("get_with", looked_at).as_ref() != expected {
                self.fail(&format!("get_with {name} {key:?} does not show {expected:?}"));
            }
        }
        if found.len() != keys.len() {
            self.fail(&format!("multi_get of {} keys gives {} values", keys.len(), found.len()));
        }
    }

    fn scan(&mut self) {
        let name = self.keyspace_name();
        let bounds = (self.bound(), self.bound());
        let order = self.random.below(3);
        let found = match self.keyspaces.get(&name) {
            Some(keyspace) => keyspace.scan(bounds.clone()),
            None => self.engine().scan(bounds.clone()),
        };
        let found = self.collect(found, order);
        let expected = in_order(within(&self.now[&name], &bounds), order);
        if found != expected {
            self.fail(&format!("scan {name} {bounds:?} order {order} gives {found:?}, not {expected:?}"));
        }
        found.hash(&mut self.digest);
    }

    /// Moves a cursor about, while writes go on that it must not see.
    fn walk(&mut self) {
        let name = self.keyspace_name();
        let bounds = if self.random.below(2) == 0 {
            (Bound::Unbounded, Bound::Unbounded)
        } else {
            (self.bound(), self.bound())
        };
        let mut cursor = match self.keyspaces.get(&name) {
            Some(keyspace) => keyspace.cursor_within(bounds.clone()),
            None => self.engine().cursor_within(bounds.clone()),
        };
        let then: BTreeMap<Vec<u8>, Vec<u8>> =
            within(&self.now[&name], &bounds).map(|(key, value)| (key.clone(), value.clone())).collect();
        let mut at: Option<Vec<u8>> = None;
        for _ in 0..self.random.below(24) {
            let key = self.key();
            let (to, moved) = match self.random.below(12) {
                0 => (then.keys().next(), cursor.seek_first()),
                1 => (then.keys().next_back(), cursor.seek_last()),
                2 => (then.range(key.clone()..).next().map(|(key, _)| key), cursor.seek(&key)),
                3 => (then.range(..key.clone()).next_back().map(|(key, _)| key), cursor.seek_before(&key)),
                4..8 => {
                    let after = |at| then.range((Bound::Excluded(at), Bound::Unbounded)).next();
                    (at.take().and_then(after).map(|(key, _)| key), cursor.next())
                }
                8..11 => {
                    (at.take().and_then(|at| then.range(..at).next_back()).map(|(key, _)| key), cursor.prev())
                }
                _ => {
                    self.write();
                    continue;
                }
            };
            let found = self.ok("walk", moved).map(|(key, value)| (key.to_vec(), value.to_vec()));
            let expected = to.map(|key| (key.clone(), then[key].clone()));
            if found != expected {
                self.fail(&format!(
                    "a walk of {name} within {bounds:?} comes to {found:?}, not {expected:?}"
                ));
            }
            if cursor.value().as_deref() != expected.as_ref().map(|(_, value)| &**value) {
                self.fail(&format!("the value that a walk of {name} stands on is not that of its entry"));
            }
            found.hash(&mut self.digest);
            at = to.cloned();
        }
    }

    fn bound(&mut self) -> Bound<Vec<u8>> {
        match self.random.below(3) {
            0 => Bound::Unbounded,
            1 => Bound::Included(self.key()),
            _ => Bound::Excluded(self.key()),
        }
    }

    /// Reads a scan from the front, from the back, or from both ends by turns.
    fn collect(
        &self,
        mut scan: impl DoubleEndedIterator<Item = Result<(Value, Value), Error>>,
        order: u64,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        loop {
            let next = if takes_front(order, found.len()) { scan.next() } else { scan.next_back() };
            let Some(next) = next else { return found };
            let (key, value) = self.ok("scan", next);
            found.push((key.to_vec(), value.to_vec()));
        }
    }

    fn take_or_drop_snapshot(&mut self) {
        if self.snapshots.len() < 4 && self.random.below(2) == 0 {
            self.snapshots.push((self.engine().snapshot(), self.now.clone()));
        } else if !self.snapshots.is_empty() {
            let at = self.random.below(self.snapshots.len() as u64) as usize;
            self.snapshots.swap_remove(at);
        }
    }

    fn read_snapshot(&mut self) {
        if self.snapshots.is_empty() {
            return;
        }
        let at = self.random.below(self.snapshots.len() as u64) as usize;
        let order = self.random.below(3);
        let (snapshot, then) = &self.snapshots[at];
        let found = self.collect(snapshot.scan(..), order);
        if found != in_order(then[DEFAULT].iter(), order) {
            self.fail("a snapshot has changed");
        }
        let then = then[DEFAULT].clone();
        let keys: Vec<Vec<u8>> = (0..8).map(|_| self.key()).collect();
        let bounds = (self.bound(), self.bound());
        let snapshot = &self.snapshots[at].0;
        let values = self.ok("multi_get", snapshot.multi_get(&keys));
        for (key, value) in keys.iter().zip(values) {
            let looked_at = self.ok("get_with", snapshot.get_with(key, <[u8]>::to_vec));
            if looked_at.as_ref() != then.get(key) || value.as_deref() != then.get(key).map(Vec::as_slice) {
                self.fail(&format!("a snapshot shows {key:?} otherwise"));
            }
        }
        let mut cursor = snapshot.cursor_within(bounds.clone());
        let mut shown = Vec::new();
        let mut entry = self.ok("walk", cursor.seek_last());
        while let Some((key, value)) = entry {
            shown.push((key.to_vec(), value.to_vec()));
            entry = self.ok("walk", cursor.prev());
        }
        shown.reverse();
        if shown != in_order(within(&then, &bounds), 0) {
            self.fail(&format!("a snapshot within {bounds:?} shows {shown:?}"));
        }
    }

    fn sync(&mut self) {
        let synced = self.engine().sync();
        self.ok("sync", synced);
        self.all_durable();
    }

    fn flush(&mut self) {
        let flushed = self.engine().flush();
        self.ok("flush", flushed);
        self.all_durable();
    }

    fn compact(&mut self) {
        let range = (self.bound(), self.bound());
        let compacted = self.engine().compact(range);
        self.ok("compact", compacted);
    }

    fn change_keyspaces(&mut self) {
        let name = format!("space{}", self.random.below(3));
        if self.keyspaces.remove(&name).is_some() {
            let dropped = self.engine().drop_keyspace(&name);
            self.ok("drop a keyspace", dropped);
            self.now.remove(&name);
            self.durable.remove(&name);
            // One of the same name, made later, has nothing of it.
            self.since.iter_mut().for_each(|batch| batch.retain(|write| write.0 != name));
        } else {
            let made = self.engine().keyspace(&name, KeyspaceOptions::default());
            let made = self.ok("make a keyspace", made);
            self.keyspaces.insert(name.clone(), made);
            self.now.insert(name.clone(), BTreeMap::new());
            self.durable.insert(name, BTreeMap::new());
        }
    }

    fn close_and_open(&mut self) {
        self.snapshots.clear();
        self.keyspaces.clear();
        let engine = self.engine.take().expect("because it is open between two steps");
        self.ok("close", engine.close());
        self.all_durable();
        self.open();
    }

    /// The process ends without notice; `mishap` says what the disk then holds.
    fn reopen(&mut self, mishap: impl FnOnce(&MemFs) -> MemFs) {
        let fs = mishap(&self.fs);
        // What the old process still does reaches only its own file system.
        self.snapshots.clear();
        self.keyspaces.clear();
        self.engine = None;
        self.fs = fs;
        self.open();
    }

    fn power_failure(&mut self) {
        let seed = self.random.next();
        self.reopen(|fs| fs.crash(seed));
        let found = self.read_everything();
        let mut candidate = self.durable.clone();
        let mut survived = 0;
        let since = std::mem::take(&mut self.since);
        while candidate != found {
            let Some(batch) = since.get(survived) else {
                self.fail(&format!("after a power failure, {found:?} is no prefix of what was acknowledged"));
            };
            apply(&mut candidate, batch);
            survived += 1;
        }
        // What survived is not known to be durable for that: another failure may take more of it.
        self.since = since[..survived].to_vec();
        self.now = found;
    }

    fn check_everything(&mut self) {
        if self.read_everything() != self.now {
            self.fail("the store differs from the map");
        }
        let verified = self.engine().verify();
        self.ok("verify", verified);
        let names: BTreeSet<_> = self.engine().keyspaces().into_iter().collect();
        if names != self.now.keys().cloned().collect() {
            self.fail(&format!("keyspaces {names:?}"));
        }
    }

    fn read_everything(&self) -> Content {
        let all = |scan| self.collect(scan, 0).into_iter().collect();
        let mut content = Content::from([(DEFAULT.to_owned(), all(self.engine().scan(..)))]);
        for (name, keyspace) in &self.keyspaces {
            content.insert(name.clone(), all(keyspace.scan(..)));
        }
        content
    }
}

/// Writes to keyspaces that are gone have no effect.
fn apply(content: &mut Content, writes: &[ModelWrite]) {
    for (name, key, value) in writes {
        let Some(keyspace) = content.get_mut(name) else { continue };
        match value {
            Some(value) => keyspace.insert(key.clone(), value.clone()),
            None => keyspace.remove(key),
        };
    }
}

fn within<'a>(
    keyspace: &'a BTreeMap<Vec<u8>, Vec<u8>>,
    bounds: &'a (Bound<Vec<u8>>, Bound<Vec<u8>>),
) -> impl Iterator<Item = (&'a Vec<u8>, &'a Vec<u8>)> {
    // Not by `range`, which panics on ranges that are empty the wrong way round.
    keyspace.iter().filter(move |(key, _)| std::ops::RangeBounds::contains(bounds, *key))
}

/// The entries in the order in which [`Run::collect`] takes them.
fn in_order<'a>(
    entries: impl Iterator<Item = (&'a Vec<u8>, &'a Vec<u8>)>,
    order: u64,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut left: VecDeque<_> = entries.collect();
    let mut taken = Vec::new();
    loop {
        let next = if takes_front(order, taken.len()) { left.pop_front() } else { left.pop_back() };
        let Some((key, value)) = next else { return taken };
        taken.push((key.clone(), value.clone()));
    }
}

fn takes_front(order: u64, taken: usize) -> bool {
    match order {
        0 => true,
        1 => false,
        _ => taken % 3 != 1,
    }
}

/// What operations are drawn from.
enum Random {
    /// xorshift64* (Vigna 2016): small, repeatable, good enough.
    Seed(u64),
    /// As many of these as it takes.
    Bytes(VecDeque<u8>),
}

impl Random {
    fn next(&mut self) -> u64 {
        match self {
            Random::Seed(state) => {
                *state ^= *state >> 12;
                *state ^= *state << 25;
                *state ^= *state >> 27;
                state.wrapping_mul(0x2545_f491_4f6c_dd1d)
            }
            Random::Bytes(_) => self.take(8),
        }
    }

    fn below(&mut self, limit: u64) -> u64 {
        let drawn = match (&self, limit) {
            (Random::Bytes(_), ..=0x100) => self.take(1),
            (Random::Bytes(_), _) => self.take(2),
            (Random::Seed(_), _) => self.next(),
        };
        drawn % limit.max(1)
    }

    fn take(&mut self, count: usize) -> u64 {
        let Random::Bytes(bytes) = self else { return 0 };
        bytes.drain(..count.min(bytes.len())).fold(0, |number, byte| number << 8 | u64::from(byte))
    }

    fn is_used_up(&self) -> bool {
        matches!(self, Random::Bytes(bytes) if bytes.is_empty())
    }
}
