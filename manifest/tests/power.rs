//! Power fails at every call that changes the disk, while a manifest is made, written to, and switched.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::path::Path;

use lsmkit_base::{Fault, KeyspaceId, SegmentId, SeqNo};
use lsmkit_manifest::{Change, Edit, Manifest};
use lsmkit_vfs::{FaultFs, Fs, MemFs};

const DIR: &str = "/store";

fn last_seq(n: u64) -> Edit {
    Edit::new().with(Change::LastSeq(SeqNo::new(n).unwrap()))
}

fn first() -> Edit {
    let keyspace =
        Change::CreateKeyspace { id: KeyspaceId(0), name: "default".to_owned(), log_floor: SegmentId(1) };
    last_seq(1).with(Change::Comparator("bytewise".to_owned())).with(keyspace)
}

/// Two lives of a manifest: the second begins a new file. What is acknowledged is counted in `acknowledged`.
fn two_lives(fs: &FaultFs, acknowledged: &mut u64) -> Result<(), Fault> {
    let mut manifest = Manifest::create(fs.shared(), Path::new(DIR), &first())?;
    *acknowledged = 1;
    for n in 2..=5 {
        if n == 4 {
            manifest = Manifest::open(fs.shared(), Path::new(DIR))?.unwrap();
        }
        manifest.commit(&last_seq(n))?;
        *acknowledged = n;
    }
    manifest.close()
}

#[test]
fn what_was_acknowledged_is_there() {
    for nth in 1.. {
        let disk = MemFs::new();
        disk.create_dir(Path::new(DIR)).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let fs = FaultFs::new(disk.shared());
        fs.power_off_at(nth);
        let mut acknowledged = 0;
        let ended = two_lives(&fs, &mut acknowledged);
        for seed in 0..32 {
            let left = disk.crash(nth * 100 + seed);
            let opened = Manifest::open(left.shared(), Path::new(DIR));
            let opened = opened.unwrap_or_else(|e| panic!("power off at {nth}, seed {seed}: {e}"));
            let found = opened.map_or(0, |manifest| manifest.state().last_seq.value());
            // What was under way may have been done.
            assert!(
                (acknowledged..=acknowledged + 1).contains(&found),
                "power off at {nth}, seed {seed}: {found}"
            );
        }
        if ended.is_ok() {
            assert!(nth > 15, "{nth} calls");
            return;
        }
    }
}
