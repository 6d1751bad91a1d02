use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use lsmkit::{Background, Db, Error, Options, Repair, Standard};
use lsmkit_base::SegmentId;
use lsmkit_vfs::MemFs;
use lsmkit_wal::{Purpose, SegmentHeader, SegmentWriter};

use crate::draw::Draw;

const DIR: &str = "/store";

/// Batches: whole records of any bytes in the log of a store. It opens and is a store like any other, or it is refused; and then a repair makes it one.
pub fn batch(data: &[u8]) {
    let mut draw = Draw::new(data);
    let disk = new_store().kill();
    let header = SegmentHeader { purpose: Purpose::Log, id: SegmentId(1), prev: None, base: 0, synced: 0 };
    let mut segment = SegmentWriter::create(&disk, &Path::new(DIR).join("000001.log"), header).unwrap();
    while !draw.is_used_up() {
        segment.append(&[draw.bytes()], 0).unwrap();
    }
    let db = match open(&disk) {
        Ok(db) => db,
        Err(Error::Corrupt(_)) => {
            let repaired = Repair::new(DIR).on(disk.shared()).options(options()).run().unwrap();
            assert!(!repaired.is_sound());
            open(&disk).unwrap()
        }
        Err(Error::Exhausted) => return,
        Err(e) => panic!("{e}"),
    };
    let before = all(&db);
    match db.put("after", "all") {
        Err(Error::Exhausted) => return,
        put => put.unwrap(),
    }
    db.flush().unwrap();
    db.verify().unwrap();
    db.delete("after").unwrap();
    db.close().unwrap();
    let mut after = all(&open(&disk).unwrap());
    after.remove(&b"after"[..]);
    let mut before = before;
    before.remove(&b"after"[..]);
    assert_eq!(after, before, "a store holds something else once its log is in a table");
}

fn options() -> Options {
    Options::new().memtable_bytes(4 << 10).background(Background::Steps).uid_seed(1)
}

fn open(disk: &MemFs) -> Result<Db, Error> {
    options().open_with(Standard, disk.shared(), DIR)
}

fn all(db: &Db) -> BTreeMap<Vec<u8>, Vec<u8>> {
    db.scan(..).map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())).unwrap()).collect()
}

/// The disk of a store that nothing was written to.
fn new_store() -> &'static MemFs {
    static NEW: OnceLock<MemFs> = OnceLock::new();
    NEW.get_or_init(|| {
        let disk = MemFs::new();
        open(&disk).unwrap().close().unwrap();
        disk
    })
}
