//! Writes the first inputs of the corpus, from which a fuzzer goes on: bytes that do something from the first run on.
//!
//! ```text
//! cargo run -p lsmkit-fuzz --example seeds
//! ```

#![allow(clippy::unwrap_used, reason = "a seed that can't be made is to be seen")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use lsmkit::{Background, KeyspaceOptions, Options, Standard, WriteBatch};
use lsmkit_base::{KeyspaceId, RunId, SegmentId, SeqNo, TableChange, TableId, TableMeta};
use lsmkit_manifest::{Change, Edit};
use lsmkit_vfs::MemFs;
use lsmkit_wal::{Log, SegmentedLog};

fn main() {
    for n in 0..8_u8 {
        write("coding", n, &(0..40_u8).map(|at| at.wrapping_mul(n + 1)).collect::<Vec<u8>>());
        write("filter", n, &(0..120).map(|at| at ^ (n * 3)).collect::<Vec<u8>>());
        write("operations", n, &bytes(u64::from(n) + 1, 600));
        write("crashes", n, &bytes(u64::from(n) + 100, 600));
        write("table", n, &bytes(u64::from(n) + 200, 8 * (1 + usize::from(n))));
        write("block", n, &[vec![n % 5, 200, 0], bytes(u64::from(n) + 300, 60)].concat());
        write("log", n, &log(n));
    }
    let edits = edits();
    let batches = batches();
    for n in 1..=edits.len() {
        write("manifest", n as u8, &with_lengths(&edits[..n]));
    }
    for n in 1..=batches.len() {
        write("batch", n as u8, &with_lengths(&batches[..n]));
    }
}

fn write(target: &str, n: u8, bytes: &[u8]) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(format!("seed-{n:02}")), bytes).unwrap();
}

/// Each with its length before it, as the targets take them.
fn with_lengths(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.iter().flat_map(|part| [&[u8::try_from(part.len()).unwrap()], &part[..]].concat()).collect()
}

/// Bytes in no order (SplitMix64).
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// A chain of segments of one record each, told to `fuzz/src/log.rs`.
fn log(n: u8) -> Vec<u8> {
    const FRAME_BYTES: u8 = 21;
    let mut bytes = vec![1, n % 4];
    let mut base = 0;
    for id in 1..=n % 4 + 1 {
        // The shape of the header, what it says of the one before it, and of itself.
        if id == 1 {
            bytes.extend([id, 1, base, 0]);
        } else {
            bytes.extend([id, 3, id - 1, base - FRAME_BYTES, base, n % 2 * base]);
        }
        // One frame with a record, and its lag.
        bytes.extend([1, 3, 5]);
        bytes.extend(b"first");
        bytes.push(base);
        base += FRAME_BYTES;
    }
    bytes
}

fn edits() -> Vec<Vec<u8>> {
    let table = |id: u64| {
        Arc::new(TableMeta {
            id: TableId(id),
            uid: 7 * id,
            size_bytes: 300,
            entries: 3,
            smallest: [b'a' + id as u8].into(),
            largest: [b'b' + id as u8].into(),
            seq_max: SeqNo::new(id).unwrap(),
            ..TableMeta::default()
        })
    };
    let add = |level, run, id| Change::Table {
        keyspace: KeyspaceId(0),
        change: TableChange::Add { level, run: RunId(run), table: table(id) },
    };
    let remove =
        |id| Change::Table { keyspace: KeyspaceId(0), change: TableChange::Remove { table: TableId(id) } };
    let keyspace = |id, name: &str| Change::CreateKeyspace {
        id: KeyspaceId(id),
        name: name.to_owned(),
        log_floor: SegmentId(1),
    };
    let floor = Change::LogFloor { keyspace: KeyspaceId(0), segment: SegmentId(2) };
    let edits = [
        Edit::new()
            .with(Change::Comparator("bytewise".to_owned()))
            .with(Change::NextTable(TableId(9)))
            .with(keyspace(0, "default")),
        Edit::new().with(add(0, 1, 1)).with(Change::LastSeq(SeqNo::new(5).unwrap())),
        Edit::new().with(add(0, 2, 2)).with(floor),
        Edit::new().with(remove(1)).with(remove(2)).with(add(1, 3, 3)).with(add(1, 3, 6)),
        Edit::new().with(keyspace(1, "other")).with(Change::NextKeyspace(KeyspaceId(2))),
        Edit::new().with(Change::Flushed { keyspace: KeyspaceId(1), seq: SeqNo::new(9).unwrap() }),
        Edit::new().with(Change::DropKeyspace(KeyspaceId(1))).with(Change::LogEnd(900)),
    ];
    let encoded = |edit: &Edit| {
        let mut bytes = Vec::new();
        edit.encode(&mut bytes);
        bytes
    };
    edits.iter().map(encoded).collect()
}

/// Records as a store writes them.
fn batches() -> Vec<Vec<u8>> {
    let disk = MemFs::new();
    let db =
        Options::new().background(Background::Steps).open_with(Standard, disk.shared(), "/store").unwrap();
    let other = db.keyspace("other", KeyspaceOptions::new()).unwrap();
    for n in 0..8_u8 {
        let mut batch = WriteBatch::new();
        batch.put([b'k', n], vec![n; usize::from(n)]).delete([b'k', n / 2]);
        if n % 3 == 0 {
            batch.put_in(&other, "key", "value").put([], "of the empty key");
        }
        db.write(batch).unwrap();
    }
    let mut log = SegmentedLog::open(disk.kill().shared(), Path::new("/store")).unwrap();
    let mut records = Vec::new();
    log.replay(SegmentId(0), &mut |_, record| {
        records.push(record.to_vec());
        Ok(())
    })
    .unwrap();
    records
}
