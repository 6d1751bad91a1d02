//! The largest value a store takes. Needs two gigabytes of memory:
//!
//! ```text
//! cargo test -p lsmkit-memtable --release --test large -- --ignored
//! ```

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::sync::Arc;

use lsmkit_base::{Cursor, Entry, MAX_KEY_BYTES, MAX_VALUE_BYTES, SeqNo};
use lsmkit_memtable::{BTree, Memtable, SkipList};

fn takes_the_largest<M: Memtable>() {
    let table = Arc::new(M::with_budget(1 << 20));
    let key = vec![0xff; MAX_KEY_BYTES];
    let mut value = vec![1; MAX_VALUE_BYTES];
    value[MAX_VALUE_BYTES - 1] = 2;
    table.insert(Entry::put(b"before", SeqNo::ZERO, b"1"));
    table.insert(Entry::put(&key, SeqNo::MAX, &value));
    table.insert(Entry::put(b"between", SeqNo::ZERO, b"3"));
    assert_eq!(table.get(&key, SeqNo::MAX, |entry| entry.value == value), Some(true));
    let mut cursor = table.cursor();
    cursor.seek_last().unwrap();
    assert_eq!(cursor.entry().map(|entry| entry.value.len()), Some(MAX_VALUE_BYTES));
    cursor.prev().unwrap();
    assert_eq!(cursor.entry().map(|entry| entry.value), Some(&b"3"[..]));
    // It is held once, and no chunk is rounded up to the next power of two for it.
    assert!((MAX_VALUE_BYTES..MAX_VALUE_BYTES + (1 << 20)).contains(&table.size_bytes()));
}

#[test]
#[ignore = "takes two gigabytes of memory"]
fn skiplist_takes_the_largest() {
    takes_the_largest::<SkipList>();
}

#[test]
#[ignore = "takes two gigabytes of memory"]
fn btree_takes_the_largest() {
    takes_the_largest::<BTree>();
}
