//! Who lets go of tables last: never a thread of the user's, which would wait for the file system to take back their blocks.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::sync::{Arc, Mutex};
use std::thread;

use common::{DIR, tiny};
use lsmkit::parts::{FaultFs, MemFs};
use lsmkit::{Background, Db, Standard};
use lsmkit_vfs::Operation;

fn overwrite(db: &Db, generation: u8) {
    for n in 0..200_u32 {
        db.put(n.to_be_bytes(), [generation; 100]).unwrap();
    }
    db.settle().unwrap();
}

#[test]
fn a_reader_that_is_the_last_to_need_tables_does_not_close_them() {
    let closers: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
    let told = Arc::clone(&closers);
    let fs = FaultFs::new(MemFs::new().shared());
    fs.before_each_call(move |call| {
        if call.operation == Operation::Close && call.path.extension().is_some_and(|name| name == "sst") {
            told.lock().unwrap().push(thread::current().name().map(str::to_owned));
        }
    });
    let db = tiny().background(Background::Threads).open_with(Standard, fs.shared(), DIR).unwrap();
    overwrite(&db, 0);

    let mut scan = db.scan(..);
    assert!(scan.next().unwrap().is_ok());
    overwrite(&db, 1);
    db.compact(..).unwrap();
    db.settle().unwrap();
    let before = closers.lock().unwrap().len();
    // It stands within a table that is obsolete by now.
    drop(scan);
    db.settle().unwrap();

    let closers = closers.lock().unwrap();
    let after = &closers[before..];
    assert!(!after.is_empty(), "the scan has kept no table open");
    let in_background = |name: &Option<String>| name.as_ref().is_some_and(|name| name.starts_with("lsmkit-"));
    assert!(after.iter().all(in_background), "tables were closed by {after:?}");
}
