//! A batch read before it is written.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::ops::Bound;

use lsmkit::parts::MemFs;
use lsmkit::{
    Db, Error, IndexedBatch, Keyspace, KeyspaceOptions, LastWrite, MAX_KEY_BYTES, MAX_VALUE_BYTES, Options,
    Overlay, OverlayScan, Standard, Value, WriteBatch,
};
use lsmkit_vfs::{Operation, Rule};
use proptest::prelude::*;

type Entry = (Vec<u8>, Vec<u8>);

fn memory() -> Db {
    common::tiny().open_in_memory().unwrap()
}

fn keyspace(db: &Db, name: &str) -> Keyspace {
    db.keyspace(name, KeyspaceOptions::new()).unwrap()
}

fn bytes(value: Option<Value>) -> Option<Vec<u8>> {
    value.map(Vec::from)
}

/// The keys of a scan, as text.
fn keys(scan: impl Iterator<Item = Result<(Value, Value), Error>>) -> Vec<String> {
    scan.map(|entry| entry.unwrap().0.escape_ascii().to_string()).collect()
}

/// A scan that gives one error and ends.
fn refusal(mut scan: OverlayScan<'_>) -> Error {
    let error = scan.next().unwrap().unwrap_err();
    assert!(scan.next().is_none() && scan.next_back().is_none(), "an error ends a scan");
    error
}

// The batch alone.

#[test]
fn the_last_write_of_a_key_counts() {
    let mut batch = IndexedBatch::new();
    batch.put("put twice", "1").delete("deleted, then put").put("put, then deleted", "1");
    batch.put("put twice", "2").put("deleted, then put", "2").delete("put, then deleted");
    assert_eq!(batch.last_write("put twice"), Some(LastWrite::Put(b"2")));
    assert_eq!(batch.last_write("deleted, then put"), Some(LastWrite::Put(b"2")));
    assert_eq!(batch.last_write("put, then deleted"), Some(LastWrite::Delete));
    assert_eq!(batch.last_write("put"), None);
    assert_eq!(batch.len(), 6);
}

#[test]
fn empty_keys_and_values_are_keys_and_values() {
    let db = memory();
    let mut batch = IndexedBatch::new();
    assert_eq!(batch.last_write(""), None);
    batch.put("", "").put("\0", "zero");
    assert_eq!(batch.last_write(""), Some(LastWrite::Put(b"")));
    assert_eq!(batch.over(&db).get("").unwrap().as_deref(), Some(&b""[..]));
    assert_eq!(keys(batch.over(&db).scan(..)), ["", "\\x00"]);
    batch.delete("");
    assert_eq!(batch.last_write(""), Some(LastWrite::Delete));
    assert_eq!(keys(batch.over(&db).scan(..)), ["\\x00"]);
}

#[test]
fn keyspaces_are_apart() {
    let db = memory();
    let (one, other) = (keyspace(&db, "one"), keyspace(&db, "other"));
    let mut batch = IndexedBatch::new();
    batch.put("key", "default").put_in(&one, "key", "one").delete_in(&one, "deleted");
    assert_eq!(batch.last_write("key"), Some(LastWrite::Put(b"default")));
    assert_eq!(batch.last_write_in(&one, "key"), Some(LastWrite::Put(b"one")));
    assert_eq!(batch.last_write_in(&other, "key"), None);
    assert_eq!(batch.last_write_in(&one, "deleted"), Some(LastWrite::Delete));
    assert_eq!(batch.last_write("deleted"), None);
    let over = batch.over(&db);
    assert_eq!(bytes(over.get_in(&one, "key").unwrap()).unwrap(), b"one");
    assert_eq!(over.get_in(&other, "key").unwrap(), None);
    assert_eq!(keys(over.scan_in(&one, ..)), ["key"]);
    assert_eq!(keys(over.scan_in(&other, ..)), [""; 0]);
}

#[test]
fn it_is_the_same_batch_to_the_store() {
    let db = memory();
    let side = keyspace(&db, "side");
    let (mut plain, mut indexed) = (WriteBatch::with_capacity(100), IndexedBatch::with_capacity(100));
    plain.put("a", "1").delete("b").put_in(&side, "a", "2").delete_in(&side, "b");
    indexed.put("a", "1").delete("b").put_in(&side, "a", "2").delete_in(&side, "b");
    assert_eq!((indexed.len(), indexed.is_empty()), (4, false));
    assert_eq!(indexed.size_bytes(), plain.size_bytes());
    assert_eq!(format!("{:?}", WriteBatch::from(indexed)), format!("{plain:?}"));
}

#[test]
fn what_was_cleared_is_forgotten() {
    let db = memory();
    let mut batch = IndexedBatch::new();
    for round in 0..3 {
        assert!(batch.is_empty());
        assert_eq!(keys(batch.over(&db).scan(..)), [""; 0]);
        for n in 0..500 {
            batch.put(format!("round{round} key{n:03}"), "value");
        }
        assert_eq!(batch.over(&db).scan(..).count(), 500);
        batch.clear();
        assert_eq!(batch.last_write(format!("round{round} key000")), None);
    }
    db.write(batch.into()).unwrap();
    assert_eq!(db.scan(..).count(), 0);
}

// Over a store.

#[test]
fn what_the_batch_does_hides_what_the_store_holds() {
    let db = memory();
    for key in ["a", "b", "c", "d"] {
        db.put(key, "stored").unwrap();
    }
    db.flush().unwrap();
    let mut batch = IndexedBatch::new();
    batch.put("b", "new").put("c", "brief").delete("c").delete("e").put("bb", "new");
    let over = batch.over(&db);
    assert_eq!(bytes(over.get("a").unwrap()).unwrap(), b"stored");
    assert_eq!(bytes(over.get("b").unwrap()).unwrap(), b"new");
    assert_eq!(over.get("c").unwrap(), None);
    assert_eq!(keys(over.scan(..)), ["a", "b", "bb", "d"]);
    assert_eq!(keys(over.scan(..).rev()), ["d", "bb", "b", "a"]);
    assert_eq!(keys(over.scan_prefix("b")), ["b", "bb"]);
    assert_eq!(keys(over.scan("bb".."d")), ["bb"]);
    assert_eq!(keys(over.scan((Bound::Excluded("b"), Bound::Included("d")))), ["bb", "d"]);
    assert_eq!(keys(over.scan("d".."b")), [""; 0]);
    assert_eq!(keys(db.scan(..)), ["a", "b", "c", "d"], "nothing was written");
}

#[test]
fn a_scan_shows_the_store_as_it_was_when_it_began() {
    let db = memory();
    db.put("a", "1").unwrap();
    let mut batch = IndexedBatch::new();
    batch.put("b", "2");
    let snapshot = db.snapshot();
    let over = batch.over(&db);
    let scan = over.scan(..);
    db.put("c", "3").unwrap();
    assert_eq!(keys(scan), ["a", "b"]);
    assert_eq!(keys(over.scan(..)), ["a", "b", "c"]);
    let over = batch.over_snapshot(&snapshot);
    assert_eq!(keys(over.scan(..)), ["a", "b"]);
    assert_eq!(over.get("c").unwrap(), None);
}

#[test]
fn a_batch_over_another_store_shows_nothing() {
    let (db, other) = (memory(), memory());
    let (own, foreign) = (keyspace(&db, "own"), keyspace(&other, "foreign"));
    foreign.put("key", "foreign").unwrap();
    let is_of = |error: &Error, named: &str| matches!(error, Error::NoKeyspace(name) if name == named);

    let mut batch = IndexedBatch::new();
    batch.put("key", "value");
    // It names no keyspace yet, and so is anybody's.
    assert!(
        batch.over(&db).get("key").unwrap().is_some() && batch.over(&other).get("key").unwrap().is_some()
    );
    assert!(is_of(&batch.over(&db).get_in(&foreign, "key").unwrap_err(), "foreign"));
    assert!(is_of(&refusal(batch.over(&db).scan_in(&foreign, ..)), "foreign"));

    batch.put_in(&own, "key", "own");
    // Both keyspaces have the same number, each in its store.
    assert_eq!(batch.last_write_in(&foreign, "key"), None);
    assert!(is_of(&batch.over(&other).get("key").unwrap_err(), "own"));
    assert!(is_of(&batch.over(&other).get_in(&foreign, "key").unwrap_err(), "own"));
    assert!(is_of(&refusal(batch.over(&other).scan(..)), "own"));
    assert!(is_of(&refusal(batch.over_snapshot(&other.snapshot()).scan(..)), "own"));

    batch.put_in(&foreign, "key", "mixed").delete_in(&foreign, "other");
    assert_eq!(batch.last_write_in(&own, "key"), Some(LastWrite::Put(b"own")));
    assert_eq!(batch.last_write_in(&own, "other"), None);
    assert_eq!(batch.last_write_in(&foreign, "key"), None);
    assert!(is_of(&batch.over(&db).get("key").unwrap_err(), "foreign"));
    assert!(is_of(&db.write(batch.clone().into()).unwrap_err(), "foreign"));
    batch.clear();
    batch.put_in(&foreign, "key", "new");
    assert_eq!(batch.last_write_in(&foreign, "key"), Some(LastWrite::Put(b"new")));
    other.write(batch.into()).unwrap();
}

#[test]
fn a_write_that_is_refused_is_not_held_and_is_reported_by_every_reading() {
    let db = memory();
    db.put("key", "stored").unwrap();
    let mut batch = IndexedBatch::new();
    batch.put("key", "kept").put("key", vec![0; MAX_VALUE_BYTES + 1]);
    batch.delete(vec![b'k'; MAX_KEY_BYTES + 1]).put("other", "kept");
    assert_eq!(batch.len(), 2);
    assert_eq!(batch.last_write("key"), Some(LastWrite::Put(b"kept")));
    assert_eq!(batch.last_write("other"), Some(LastWrite::Put(b"kept")));
    assert_eq!(batch.last_write(vec![b'k'; MAX_KEY_BYTES + 1]), None);
    let too_long = |error: Error| matches!(error, Error::ValueTooLong { .. });
    assert!(too_long(batch.over(&db).get("key").unwrap_err()));
    assert!(too_long(batch.over(&db).get("untouched").unwrap_err()));
    assert!(too_long(refusal(batch.over(&db).scan(..))));
    assert!(too_long(db.write(batch.into()).unwrap_err()));
}

#[test]
fn what_is_gone_is_not_read_through_either() {
    let db = memory();
    let side = keyspace(&db, "side");
    let snapshot = db.snapshot();
    let mut batch = IndexedBatch::new();
    batch.put("key", "value").put_in(&side, "key", "value");
    db.drop_keyspace("side").unwrap();
    for over in [batch.over(&db), batch.over_snapshot(&snapshot)] {
        assert!(matches!(over.get_in(&side, "key"), Err(Error::NoKeyspace(_))));
        assert!(matches!(over.get_in(&side, "other"), Err(Error::NoKeyspace(_))));
        assert!(matches!(refusal(over.scan_in(&side, ..)), Error::NoKeyspace(_)));
        assert!(over.get("key").unwrap().is_some());
    }
    db.clone().close().unwrap();
    let over = batch.over(&db);
    assert!(matches!(over.get("key"), Err(Error::Closed)));
    assert!(matches!(refusal(over.scan(..)), Error::Closed));
    assert_eq!(batch.last_write("key"), Some(LastWrite::Put(b"value")));
}

/// From either end, also while the batch still has entries to show.
#[test]
fn an_error_of_the_store_ends_a_scan() {
    let fs = common::faulty(&MemFs::new());
    let db = common::tiny().cache_bytes(0).open_with(Standard, fs.shared(), common::DIR).unwrap();
    for n in 0..100 {
        db.put(format!("key{n:02}"), [b'v'; 100]).unwrap();
    }
    db.flush().unwrap();
    let mut batch = IndexedBatch::new();
    batch.put("a", "first").put("key50", "in the middle").put("z", "last");
    for back in [false, true] {
        fs.clear_rules();
        let mut scan = batch.over(&db).scan(..);
        let mut next = || if back { scan.next_back() } else { scan.next() };
        // The first entry is the batch's own, the second comes from a table.
        next().unwrap().unwrap();
        next().unwrap().unwrap();
        fs.add_rule(Rule::nth(1).on(Operation::Read).from_then_on());
        let refused = std::iter::from_fn(next).find_map(Result::err);
        assert!(matches!(refused, Some(Error::Io(_))), "{refused:?}");
        assert!(scan.next().is_none() && scan.next_back().is_none(), "an error ends a scan");
        assert!(matches!(refusal(batch.over(&db).scan(..)), Error::Io(_)), "before anything of the batch");
    }
}

// The law: what is read over a store is what is read from it after the batch was written.

/// A write to the second keyspace or the first, and the value unless it is a delete.
type Write = (bool, Vec<u8>, Option<Vec<u8>>);

fn any_key() -> impl Strategy<Value = Vec<u8>> {
    // Few enough to meet; some differ only behind their first eight bytes.
    let bytes = proptest::collection::vec(prop_oneof![Just(0), Just(b'a'), Just(b'b'), Just(0xff)], 0..4);
    (any::<bool>(), bytes)
        .prop_map(|(long, bytes)| [if long { &b"a prefix"[..] } else { b"" }, &bytes].concat())
}

fn any_write() -> impl Strategy<Value = Write> {
    let value = proptest::option::weighted(0.7, proptest::collection::vec(any::<u8>(), 0..40));
    (any::<bool>(), any_key(), value)
}

fn any_bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![
        Just(Bound::Unbounded),
        any_key().prop_map(Bound::Included),
        any_key().prop_map(Bound::Excluded)
    ]
}

/// What is read before the batch is written, and again after.
#[derive(Clone, Debug)]
struct Reads {
    keys: Vec<Vec<u8>>,
    scans: Vec<Span>,
}

/// Of the second keyspace or the first, from where to where, and which end each entry is taken from.
type Span = (bool, Bound<Vec<u8>>, Bound<Vec<u8>>, u64);

fn any_reads() -> impl Strategy<Value = Reads> {
    let scans = proptest::collection::vec((any::<bool>(), any_bound(), any_bound(), any::<u64>()), 1..12);
    (proptest::collection::vec(any_key(), 0..12), scans).prop_map(|(keys, scans)| Reads { keys, scans })
}

/// What was read.
#[derive(PartialEq, Debug, Default)]
struct Answers {
    values: Vec<Option<Vec<u8>>>,
    scans: Vec<Vec<Entry>>,
}

impl Reads {
    fn over(&self, over: Overlay<'_>, side: &Keyspace) -> Answers {
        let mut answers = Answers::default();
        for key in &self.keys {
            answers.values.push(bytes(over.get(key).unwrap()));
            answers.values.push(bytes(over.get_in(side, key).unwrap()));
        }
        for (in_side, lower, upper, ends) in &self.scans {
            let range = (lower.clone(), upper.clone());
            let scan = if *in_side { over.scan_in(side, range) } else { over.scan(range) };
            answers.scans.push(taken(scan, *ends));
        }
        answers
    }

    fn from(&self, db: &Db, side: &Keyspace) -> Answers {
        let mut answers = Answers::default();
        for key in &self.keys {
            answers.values.push(bytes(db.get(key).unwrap()));
            answers.values.push(bytes(side.get(key).unwrap()));
        }
        for (in_side, lower, upper, ends) in &self.scans {
            let range = (lower.clone(), upper.clone());
            let scan = if *in_side { side.scan(range) } else { db.scan(range) };
            answers.scans.push(taken(scan, *ends));
        }
        answers
    }
}

/// Takes a scan from both ends, in an order that `ends` gives bit by bit, and then asks each once more.
fn taken(
    mut scan: impl DoubleEndedIterator<Item = Result<(Value, Value), Error>>,
    mut ends: u64,
) -> Vec<Entry> {
    let mut entries = Vec::new();
    loop {
        ends = ends.rotate_right(1);
        let next = if ends & 1 == 0 { scan.next() } else { scan.next_back() };
        let Some(entry) = next else { break };
        let (key, value) = entry.unwrap();
        entries.push((key.to_vec(), value.to_vec()));
    }
    assert!(scan.next().is_none() && scan.next_back().is_none(), "what has ended has ended");
    entries
}

fn batch_of(writes: &[Write], side: &Keyspace) -> IndexedBatch {
    let mut batch = IndexedBatch::new();
    for (in_side, key, value) in writes {
        match (in_side, value) {
            (true, Some(value)) => batch.put_in(side, key, value),
            (true, None) => batch.delete_in(side, key),
            (false, Some(value)) => batch.put(key, value),
            (false, None) => batch.delete(key),
        };
    }
    batch
}

proptest! {
    #[test]
    fn what_is_read_through_a_batch_is_what_is_read_after_it(
        stored in proptest::collection::vec(any_write(), 0..120),
        flushed in 0..120_usize,
        writes in proptest::collection::vec(any_write(), 0..250),
        later in proptest::collection::vec(any_write(), 0..10),
        reads in any_reads(),
    ) {
        let db = memory();
        let side = keyspace(&db, "side");
        let (first, second) = stored.split_at(flushed.min(stored.len()));
        db.write(batch_of(first, &side).into()).unwrap();
        db.flush().unwrap();
        db.write(batch_of(second, &side).into()).unwrap();

        let batch = batch_of(&writes, &side);
        let snapshot = db.snapshot();
        let before = reads.over(batch.over(&db), &side);
        let untouched = reads.from(&db, &side);
        prop_assert_eq!(&reads.over(IndexedBatch::new().over(&db), &side), &untouched);

        // A snapshot doesn't see what is written meanwhile; the store itself does.
        db.write(batch_of(&later, &side).into()).unwrap();
        prop_assert_eq!(&reads.over(batch.over_snapshot(&snapshot), &side), &before);
        let newest = reads.over(batch.over(&db), &side);
        drop(snapshot);

        db.write(batch.clone().into()).unwrap();
        prop_assert_eq!(&reads.from(&db, &side), &newest);
        prop_assert_eq!(&reads.over(batch.over(&db), &side), &newest, "writing it again changes nothing");
        if later.is_empty() {
            prop_assert_eq!(&before, &newest);
        }
    }
}

/// The same through thousands of writes, and with keys long enough not to be held in place.
#[test]
fn a_large_batch_is_read_like_a_small_one() {
    let db = Options::new().open_in_memory().unwrap();
    let key = |n: u64| format!("a key that is a little longer than what is held in place {n:05}");
    for n in (0..4000).step_by(2) {
        db.put(key(n), "stored").unwrap();
    }
    let mut batch = IndexedBatch::new();
    for n in 0..20_000_u64 {
        let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 4000;
        match n % 3 {
            0 => batch.delete(key(n)),
            _ => batch.put(key(n), format!("a value that is longer than thirty bytes, number {n}")),
        };
    }
    for ends in [0, u64::MAX, 0x5555_5555_5555_5555, 0x1234_5678_9abc_def0] {
        let through = taken(batch.over(&db).scan(key(7)..key(3900)), ends);
        let other = memory();
        for entry in db.scan(..) {
            let (key, value) = entry.unwrap();
            other.put(key, value).unwrap();
        }
        other.write(batch.clone().into()).unwrap();
        assert_eq!(through, taken(other.scan(key(7)..key(3900)), ends));
    }
}
