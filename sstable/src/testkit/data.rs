//! Entries to write, the model to compare with, and a store to do it in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsmkit_base::{Cursor, Entry, Fault, KeyRef, SeqNo, Slice, TableId, TableMeta, ValueKind};
use lsmkit_vfs::{Fs, MemFs};

use crate::{Reading, TablePlace, TableReader, TableWriter, Tables};

/// Makes the tables under test.
pub trait Make<T>: Fn(Arc<dyn Fs>, &Path) -> T {}
impl<T, F: Fn(Arc<dyn Fs>, &Path) -> T> Make<T> for F {}

/// The number of the table that the laws write.
pub(super) const ID: TableId = TableId(7);

pub(super) fn dir() -> PathBuf {
    PathBuf::from("/store")
}

/// A store of its own in memory.
pub(super) struct Store<T> {
    pub(super) disk: MemFs,
    pub(super) tables: T,
}

impl<T: Tables> Store<T> {
    pub(super) fn new(make: &impl Make<T>) -> Store<T> {
        let disk = MemFs::new();
        disk.create_dir(&dir()).expect("because the disk has room");
        let tables = make(disk.shared(), &dir());
        Store { disk, tables }
    }

    /// A store that holds one file, as if it had always been there.
    pub(super) fn with_file(make: &impl Make<T>, path: &Path, bytes: &[u8]) -> Store<T> {
        let store = Store::new(make);
        store.disk.write(path, bytes).expect("because the disk has room");
        store
    }

    pub(super) fn write(&self, entries: &Entries) -> TableMeta {
        self.write_as(ID, entries).expect("because nothing is wrong with the disk")
    }

    pub(super) fn write_as(&self, id: TableId, entries: &Entries) -> Result<TableMeta, Fault> {
        write(&self.tables, id, entries)
    }

    pub(super) fn open(&self, meta: &TableMeta) -> Arc<T::Reader> {
        Arc::new(self.tables.open(meta).expect("because the table is sound"))
    }

    /// The only file there is.
    pub(super) fn file(&self) -> (PathBuf, Vec<u8>) {
        let files = self.disk.files();
        assert_eq!(files.len(), 1, "one table is one file: {files:?}");
        let bytes = self.disk.read(&files[0]).expect("because the file is there");
        (files[0].clone(), bytes)
    }
}

pub(super) fn write<T: Tables>(tables: &T, id: TableId, entries: &Entries) -> Result<TableMeta, Fault> {
    let mut writer = tables.create(id, TablePlace::of_level(0))?;
    for entry in entries.iter() {
        writer.add(entry)?;
    }
    let meta = writer.finish()?;
    tables.sync_names()?;
    Ok(meta)
}

/// Sorted entries: the model of a table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Entries(Vec<Owned>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Owned {
    user_key: Vec<u8>,
    seq: SeqNo,
    kind: ValueKind,
    value: Vec<u8>,
}

impl Owned {
    fn entry(&self) -> Entry<'_> {
        Entry { user_key: &self.user_key, seq: self.seq, kind: self.kind, value: &self.value }
    }
}

pub(super) fn seq(n: u64) -> SeqNo {
    SeqNo::new(n).expect("because the numbers of the kit are small")
}

impl Entries {
    /// Those given, put in order; a version that is there already is replaced.
    pub fn of<'a>(entries: impl IntoIterator<Item = Entry<'a>>) -> Entries {
        let mut sorted = Entries::default();
        for entry in entries {
            sorted.insert(entry);
        }
        sorted
    }

    fn insert(&mut self, entry: Entry<'_>) {
        let at = self.lower_bound(entry.key());
        let owned = Owned {
            user_key: entry.user_key.to_vec(),
            seq: entry.seq,
            kind: entry.kind,
            value: entry.value.to_vec(),
        };
        match self.0.get_mut(at) {
            Some(there) if there.entry().key() == entry.key() => *there = owned,
            _ => self.0.insert(at, owned),
        }
    }

    /// `count` versions or somewhat fewer, in keys of many shapes, from a seed.
    pub fn random(seed: u64, count: usize) -> Entries {
        let mut random = Random(seed);
        let mut entries = Entries::default();
        for _ in 0..count {
            let mut key = match random.below(4) {
                0 => Vec::new(),
                1 => b"user/".to_vec(),
                2 => b"user/0000".to_vec(),
                _ => b"zebra".to_vec(),
            };
            for _ in 0..random.below(4) {
                key.push(*random.pick(&[0, 1, b'a', b'b', b'c', 254, 255]));
            }
            let mut value = vec![b'v'; random.below(60) as usize];
            value.extend(random.next().to_le_bytes());
            let seq = seq(random.below(50));
            entries.insert(match random.below(5) {
                0 => Entry::delete(&key, seq),
                _ => Entry::put(&key, seq, &value),
            });
        }
        entries
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = Entry<'_>> {
        self.0.iter().map(Owned::entry)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn at(&self, i: usize) -> Option<Entry<'_>> {
        self.0.get(i).map(Owned::entry)
    }

    /// The first entry at or after `target`.
    pub(super) fn lower_bound(&self, target: KeyRef<'_>) -> usize {
        self.0.partition_point(|owned| owned.entry().key() < target)
    }

    /// The newest version of a key at or before `at`.
    pub(super) fn get(&self, user_key: &[u8], at: SeqNo) -> Option<Entry<'_>> {
        self.at(self.lower_bound(KeyRef::new(user_key, at))).filter(|entry| entry.user_key == user_key)
    }

    /// Every user key once, and keys right before and after each.
    pub(super) fn keys_and_neighbours(&self) -> Vec<Vec<u8>> {
        let mut keys = vec![Vec::new(), vec![0], vec![255; 12]];
        for entry in self.iter() {
            let key = entry.user_key;
            keys.push(key.to_vec());
            keys.push([key, &[0]].concat());
            keys.push([key, &[255]].concat());
            if let Some((_, cut)) = key.split_last() {
                keys.push(cut.to_vec());
            }
            if let Some((&last, cut)) = key.split_last()
                && last > 0
            {
                keys.push([cut, &[last - 1, 255]].concat());
            }
        }
        keys.sort();
        keys.dedup();
        keys
    }
}

/// A version that a table was asked for.
pub(super) struct Kept {
    pub(super) seq: SeqNo,
    pub(super) kind: ValueKind,
    pub(super) value: Slice,
}

/// The newest version of a key at or before `at`, kept apart from the table.
///
/// # Panics
///
/// Where what is kept is not what was shown.
pub(super) fn kept<R: TableReader>(
    table: &R,
    user_key: &[u8],
    hash: u64,
    at: SeqNo,
) -> Result<Option<Kept>, Fault> {
    table.announce(hash);
    table.get(user_key, hash, at, |found| {
        let value = found.value.keep();
        assert_eq!(*value, *found.value, "what is kept is not what was shown");
        Kept { seq: found.seq, kind: found.kind, value }
    })
}

/// What reading a whole table, by gets and by cursor both ways, gives: an error, or what stands in it.
///
/// # Panics
///
/// Where the two directions, or gets and cursor, differ.
pub(super) fn read_all<R: TableReader>(
    table: &Arc<R>,
    entries: &Entries,
    hash: impl Fn(&[u8]) -> u64,
) -> Result<Entries, Fault> {
    let mut forward = Entries::default();
    let mut cursor = table.cursor(Reading::Scan);
    cursor.seek_first()?;
    while let Some(entry) = cursor.entry() {
        forward.insert(entry);
        cursor.next()?;
    }
    cursor.seek_last()?;
    let mut left = forward.len();
    while let Some(entry) = cursor.entry() {
        left -= 1;
        assert_eq!(Some(entry), forward.at(left), "backward differs from forward");
        cursor.prev()?;
    }
    assert_eq!(left, 0, "backward ends before forward began");
    for entry in entries.iter() {
        let found = kept(&**table, entry.user_key, hash(entry.user_key), entry.seq)?;
        let shown = forward.get(entry.user_key, entry.seq);
        assert_eq!(
            found.as_ref().map(|found| (found.seq, found.kind, &*found.value)),
            shown.map(|shown| (shown.seq, shown.kind, shown.value)),
            "a get differs from the cursor"
        );
    }
    Ok(forward)
}

/// SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn pick<'a, X>(&mut self, from: &'a [X]) -> &'a X {
        &from[self.below(from.len() as u64) as usize]
    }
}
