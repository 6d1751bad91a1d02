//! What is read of damaged manifests, and how another takes their place.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::path::{Path, PathBuf};

use lsmkit_base::{KeyspaceId, SegmentId, SeqNo, TableId};
use lsmkit_manifest::{Change, Edit, Manifest};
use lsmkit_vfs::{FaultFs, Fs, MemFs};

const DIR: &str = "/store";

fn first() -> Edit {
    Edit::new().with(Change::Comparator("bytewise".to_owned())).with(Change::CreateKeyspace {
        id: KeyspaceId(0),
        name: "default".to_owned(),
        log_floor: SegmentId(1),
    })
}

fn last_seq(n: u64) -> Edit {
    Edit::new().with(Change::LastSeq(SeqNo::new(n).unwrap()))
}

/// A manifest of three edits, closed.
fn disk() -> MemFs {
    let disk = MemFs::new();
    disk.create_dir(Path::new(DIR)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let mut manifest = Manifest::create(disk.shared(), Path::new(DIR), &first()).unwrap();
    for n in [5, 6] {
        manifest.commit(&last_seq(n)).unwrap();
    }
    manifest.close().unwrap();
    disk
}

fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

fn salvaged_seq(disk: &MemFs) -> Option<u64> {
    let state = Manifest::salvage(disk, Path::new(DIR)).unwrap()?;
    assert_eq!(state.keyspaces[&KeyspaceId(0)].name, "default");
    Some(state.last_seq.value())
}

#[test]
fn what_is_before_the_damage_is_read() {
    let sound = disk();
    let bytes = sound.read(path("MANIFEST-000001")).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for at in 64..bytes.len() {
        let disk = sound.kill();
        disk.flip_bit(path("MANIFEST-000001"), at as u64 * 8).unwrap();
        let opened = Manifest::open(disk.shared(), Path::new(DIR));
        let salvaged = salvaged_seq(&disk);
        if let Ok(Some(manifest)) = opened {
            assert_eq!(salvaged, Some(manifest.state().last_seq.value()));
        }
        seen.insert(salvaged);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [None, Some(0), Some(5), Some(6)]);
}

#[test]
fn an_older_manifest_is_better_than_none() {
    let disk = disk();
    assert_eq!(salvaged_seq(&disk), Some(6));
    disk.write(path("MANIFEST-000002"), b"no manifest").unwrap();
    assert_eq!(salvaged_seq(&disk), Some(6));
    disk.remove(&path("CURRENT-000001")).unwrap();
    assert_eq!(salvaged_seq(&disk), Some(6), "a marker does not matter");
    disk.remove(&path("MANIFEST-000001")).unwrap();
    assert_eq!(salvaged_seq(&disk), None);
}

#[test]
fn another_takes_their_place_and_none_is_destroyed() {
    let sound = disk();
    let before = sound.read(path("MANIFEST-000001")).unwrap();
    for nth in 1.. {
        let disk = sound.kill();
        let fs = FaultFs::new(disk.shared());
        fs.power_off_at(nth);
        let replaced = Manifest::replace(fs.shared(), Path::new(DIR), &first());
        for seed in 0..8 {
            let left = disk.crash(nth * 10 + seed);
            // Whatever the moment, one can be read, and another try comes to its end.
            assert!(Manifest::salvage(&left, Path::new(DIR)).unwrap().is_some());
            if replaced.is_err() {
                Manifest::replace(left.shared(), Path::new(DIR), &first()).unwrap();
            }
            let mut manifest = Manifest::open(left.shared(), Path::new(DIR)).unwrap().unwrap();
            assert_eq!(manifest.state().last_seq, SeqNo::ZERO);
            manifest.commit(&last_seq(9)).unwrap();
            let files = left.files().into_iter().map(|path| left.read(path).unwrap());
            assert!(files.into_iter().any(|bytes| bytes == before), "the old bytes are there");
        }
        if let Ok(aside) = replaced {
            assert_eq!(aside, [path("MANIFEST-000001.damaged")]);
            let entries = disk.list(Path::new(DIR)).unwrap().into_iter();
            // The old marker may be left over: the greatest is in force.
            let names: Vec<_> =
                entries.map(|entry| entry.name).filter(|name| name != "CURRENT-000001").collect();
            assert_eq!(names, ["CURRENT-000002", "MANIFEST-000001.damaged", "MANIFEST-000002"]);
            break;
        }
    }
}

#[test]
fn without_a_marker_the_newest_is_opened() {
    let disk = disk();
    let open = || Manifest::open_unmarked(disk.shared(), Path::new(DIR));
    assert!(open().unwrap().is_none(), "there is a marker");
    disk.remove(&path("CURRENT-000001")).unwrap();
    let mut manifest = open().unwrap().unwrap();
    assert_eq!(manifest.state().last_seq, SeqNo::new(6).unwrap());
    manifest.commit(&Edit::new()).unwrap();
    let again = Manifest::open(disk.shared(), Path::new(DIR)).unwrap().unwrap();
    assert_eq!(again.state().last_seq, SeqNo::new(6).unwrap());
    // A number is not used again though only what was set aside has it.
    disk.rename(&path("MANIFEST-000002"), &path("MANIFEST-000009.damaged")).unwrap();
    disk.remove(&path("CURRENT-000002")).unwrap();
    Manifest::replace(disk.shared(), Path::new(DIR), &first()).unwrap();
    assert!(disk.read(path("MANIFEST-000010")).is_ok());
}

#[test]
fn numbers_that_leave_no_next_are_refused() {
    let disk = disk();
    let mut manifest = Manifest::open(disk.shared(), Path::new(DIR)).unwrap().unwrap();
    let keyspace = KeyspaceId(0);
    for change in [
        Change::NextTable(TableId(u64::MAX)),
        Change::NextKeyspace(KeyspaceId(u32::MAX)),
        Change::LogFloor { keyspace, segment: SegmentId(u64::MAX) },
        Change::CreateKeyspace { id: KeyspaceId(u32::MAX), name: "last".to_owned(), log_floor: SegmentId(1) },
        Change::CreateKeyspace { id: KeyspaceId(1), name: "last".to_owned(), log_floor: SegmentId(u64::MAX) },
    ] {
        let refused = manifest.commit(&Edit::new().with(change.clone())).unwrap_err();
        assert!(
            refused.is_corrupt() && refused.to_string().contains("no store gets there"),
            "{change:?}: {refused}"
        );
    }
    manifest.commit(&Edit::new().with(Change::NextTable(TableId(1 << 62)))).unwrap();
}
