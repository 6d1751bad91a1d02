//! The largest keys and values, on a real disk.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use lsmkit::{Db, Error, MAX_KEY_BYTES, MAX_VALUE_BYTES, Options};

fn value(size_bytes: usize) -> Vec<u8> {
    (0..size_bytes).map(|n| (n ^ (n >> 11)) as u8).collect()
}

#[test]
#[ignore = "takes some gigabytes of memory and of disk: `just large`"]
fn the_largest_value_is_written_flushed_compacted_and_read() {
    let dir = tempfile::tempdir().unwrap();
    let (key, largest) = (vec![0xfe; MAX_KEY_BYTES], value(MAX_VALUE_BYTES));
    let db = Db::open(dir.path().join("store")).unwrap();
    db.put(&key, &largest).unwrap();
    assert!(db.get(&key).unwrap().unwrap() == largest);
    let db = {
        db.close().unwrap();
        // Replayed from the log.
        Options::new().open(dir.path().join("store")).unwrap()
    };
    assert!(db.get(&key).unwrap().unwrap() == largest);
    db.flush().unwrap();
    db.put("beside", "it").unwrap();
    db.compact(..).unwrap();
    assert!(db.get(&key).unwrap().unwrap() == largest);
    let (_, scanned) = db.scan_prefix([0xfe]).next().unwrap().unwrap();
    assert!(scanned == largest);
    db.verify().unwrap();

    let mut longer = largest;
    longer.push(0);
    assert!(matches!(db.put(&key, &longer), Err(Error::ValueTooLong { .. })));
    db.close().unwrap();
}
