//! What a crash leaves, case by case.

#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::collections::BTreeSet;
use std::path::Path;

use lsmkit_vfs::{File, Fs, LockKind, MemFs};

const SEEDS: std::ops::Range<u64> = 0..400;

fn path(path: &str) -> &Path {
    Path::new(path)
}

/// A disk with one durable file.
fn disk_with(name: &str, bytes: &[u8]) -> MemFs {
    let disk = MemFs::new();
    disk.write(name, bytes).unwrap();
    disk
}

/// What the seeds make of a disk, each outcome once.
fn outcomes<T: Ord>(disk: &MemFs, look: impl Fn(&MemFs) -> T) -> BTreeSet<T> {
    SEEDS.map(|seed| look(&disk.crash(seed))).collect()
}

#[test]
fn what_was_synced_survives_every_seed() {
    let disk = MemFs::new();
    disk.create_dir(path("/db")).unwrap();
    disk.sync_dir(path("/")).unwrap();
    let file = disk.create(path("/db/file")).unwrap();
    file.write_at(&[1; 10_000], 0).unwrap();
    file.sync().unwrap();
    disk.sync_dir(path("/db")).unwrap();
    for seed in SEEDS {
        assert_eq!(disk.crash(seed).read("/db/file").unwrap(), [1; 10_000]);
    }
}

#[test]
fn an_unsynced_block_is_old_or_new_or_torn_at_a_sector() {
    let disk = disk_with("/file", &[1; 4096]);
    disk.open_write(path("/file")).unwrap().write_at(&[2; 4096], 0).unwrap();
    let edges = outcomes(&disk, |crashed| {
        let bytes = crashed.read("/file").unwrap();
        let edge = bytes.iter().position(|byte| *byte == 1).unwrap_or(4096);
        assert!(bytes[..edge].iter().all(|byte| *byte == 2));
        assert!(bytes[edge..].iter().all(|byte| *byte == 1));
        edge
    });
    assert_eq!(edges, (0..=8).map(|sector| sector * 512).collect());
}

#[test]
fn unsynced_blocks_survive_apart_from_each_other() {
    let disk = disk_with("/file", &[0; 3 * 4096]);
    let file = disk.open_write(path("/file")).unwrap();
    file.write_at(&[1; 3 * 4096], 0).unwrap();
    let firsts = outcomes(&disk, |crashed| {
        let bytes = crashed.read("/file").unwrap();
        [bytes[4095], bytes[2 * 4096 - 1], bytes[3 * 4096 - 1]]
    });
    assert_eq!(firsts.len(), 8, "{firsts:?}");
}

#[test]
fn a_block_may_show_what_it_was_between_two_syncs() {
    let disk = disk_with("/file", &[0; 8]);
    let file = disk.open_write(path("/file")).unwrap();
    for n in 1..=200 {
        file.write_at(&[n; 8], 0).unwrap();
    }
    let values = outcomes(&disk, |crashed| crashed.read("/file").unwrap()[0]);
    assert!(values.contains(&0) && values.contains(&200), "{values:?}");
    assert!(values.len() > 2, "{values:?}");
}

#[test]
fn a_length_that_grew_is_lost_or_kept_or_in_between() {
    let disk = disk_with("/file", &[1; 100]);
    let file = disk.open_write(path("/file")).unwrap();
    file.write_at(&[2; 20_000], 100).unwrap();
    let lengths = outcomes(&disk, |crashed| {
        let bytes = crashed.read("/file").unwrap();
        assert_eq!(bytes[..100], [1; 100], "what was synced stays");
        assert!(bytes[100..].iter().all(|byte| [0, 2].contains(byte)));
        bytes.len()
    });
    assert!(lengths.contains(&100) && lengths.contains(&20_100) && lengths.len() > 10);
    assert!(lengths.iter().all(|length| (100..=20_100).contains(length)));

    let some_zeros = outcomes(&disk, |crashed| {
        let bytes = crashed.read("/file").unwrap();
        bytes.len() == 20_100 && bytes[100..].contains(&0)
    });
    assert!(some_zeros.contains(&true), "the length may survive without the bytes");
}

#[test]
fn what_lay_beyond_a_lost_end_is_not_seen_again() {
    let disk = disk_with("/file", &[1; 10]);
    disk.open_write(path("/file")).unwrap().write_at(&[2; 6_000], 10).unwrap();
    for seed in SEEDS {
        let crashed = disk.crash(seed);
        let length = crashed.read("/file").unwrap().len();
        crashed.open_write(path("/file")).unwrap().write_at(&[3], 8_000).unwrap();
        let bytes = crashed.read("/file").unwrap();
        assert!(bytes[length..8_000].iter().all(|byte| *byte == 0), "seed {seed}");
    }
}

#[test]
fn a_synced_file_without_a_synced_name_may_vanish() {
    let disk = MemFs::new();
    let file = disk.create(path("/file")).unwrap();
    file.write_at(b"bytes", 0).unwrap();
    file.sync().unwrap();
    let found = outcomes(&disk, |crashed| crashed.read("/file").ok());
    assert_eq!(found, BTreeSet::from([None, Some(b"bytes".to_vec())]));
    assert_eq!(disk.crash_synced_only().files(), [""; 0].map(Path::new));
}

#[test]
fn a_durable_name_may_stand_for_an_empty_file() {
    let disk = MemFs::new();
    let file = disk.create(path("/file")).unwrap();
    file.write_at(b"bytes", 0).unwrap();
    disk.sync_dir(path("/")).unwrap();
    let found = outcomes(&disk, |crashed| crashed.read("/file").unwrap());
    assert!(found.contains(&b""[..]) && found.contains(&b"bytes"[..]) && found.contains(&[0; 5][..]));
    assert_eq!(disk.crash_synced_only().read("/file").unwrap(), b"");
}

#[test]
fn a_rename_happened_or_did_not() {
    let disk = disk_with("/old", b"old");
    let file = disk.create(path("/new")).unwrap();
    file.write_at(b"new", 0).unwrap();
    file.sync().unwrap();
    disk.sync_dir(path("/")).unwrap();
    disk.rename(path("/new"), path("/old")).unwrap();

    let found = outcomes(&disk, |crashed| (crashed.read("/new").ok(), crashed.read("/old").unwrap()));
    let before = (Some(b"new".to_vec()), b"old".to_vec());
    let after = (None, b"new".to_vec());
    assert_eq!(found, BTreeSet::from([before, after.clone()]));

    disk.sync_dir(path("/")).unwrap();
    assert_eq!(
        outcomes(&disk, |crashed| (crashed.read("/new").ok(), crashed.read("/old").unwrap())),
        [after].into()
    );
}

#[test]
fn a_file_is_never_lost_by_being_renamed() {
    let disk = disk_with("/a", b"precious");
    disk.rename(path("/a"), path("/b")).unwrap();
    // The old name is others' now, more than once.
    disk.create(path("/a")).unwrap();
    disk.rename(path("/a"), path("/c")).unwrap();
    disk.create(path("/a")).unwrap();
    let places = outcomes(&disk, |crashed| {
        let is_there = |name: &&str| crashed.read(name).is_ok_and(|bytes| bytes == b"precious");
        ["/a", "/b", "/c"].into_iter().filter(is_there).collect::<Vec<_>>()
    });
    assert_eq!(places, BTreeSet::from([vec!["/a"], vec!["/b"]]));
}

#[test]
fn a_rename_between_directories_is_one_change_of_both() {
    for synced in ["/from", "/to"] {
        let disk = disk_with("/from/file", b"bytes");
        disk.write("/to/other", b"").unwrap();
        disk.rename(path("/from/file"), path("/to/file")).unwrap();
        let places = outcomes(&disk, |crashed| crashed.files());
        assert_eq!(
            places,
            BTreeSet::from([
                vec!["/from/file".into(), "/to/other".into()],
                vec!["/to/file".into(), "/to/other".into()],
            ])
        );
        disk.sync_dir(path(synced)).unwrap();
        assert_eq!(disk.crash_synced_only().read("/to/file").unwrap(), b"bytes");
        assert_eq!(disk.crash_synced_only().files().len(), 2);
    }
}

#[test]
fn syncing_a_directory_keeps_the_order_of_changes_that_hang_together() {
    let disk = disk_with("/a/file", b"first");
    disk.write("/b/x", b"").unwrap();
    disk.write("/c/x", b"").unwrap();
    // The way of the file leads through "/b", which is never synced itself.
    disk.rename(path("/a/file"), path("/b/file")).unwrap();
    disk.rename(path("/b/file"), path("/c/file")).unwrap();
    disk.create(path("/b/later")).unwrap();
    disk.sync_dir(path("/c")).unwrap();
    let found = outcomes(&disk, |crashed| crashed.files());
    let always = ["/b/x", "/c/file", "/c/x"].map(Into::into).to_vec();
    let later = ["/b/later", "/b/x", "/c/file", "/c/x"].map(Into::into).to_vec();
    assert_eq!(found, BTreeSet::from([always, later]));
}

#[test]
fn a_removed_file_may_come_back() {
    let disk = disk_with("/file", b"bytes");
    disk.remove(path("/file")).unwrap();
    let found = outcomes(&disk, |crashed| crashed.read("/file").ok());
    assert_eq!(found, BTreeSet::from([None, Some(b"bytes".to_vec())]));
    disk.sync_dir(path("/")).unwrap();
    assert_eq!(outcomes(&disk, |crashed| crashed.files().len()), BTreeSet::from([0]));
}

#[test]
fn names_survive_in_any_order() {
    let disk = MemFs::new();
    for name in ["/1", "/2", "/3"] {
        disk.create(path(name)).unwrap();
    }
    assert_eq!(outcomes(&disk, |crashed| crashed.files()).len(), 8);
}

#[test]
fn an_unsynced_directory_takes_all_that_is_in_it_along() {
    let disk = MemFs::new();
    disk.create_dir(path("/db/inner")).unwrap();
    let file = disk.create(path("/db/inner/file")).unwrap();
    file.sync().unwrap();
    disk.sync_dir(path("/db/inner")).unwrap();
    disk.sync_dir(path("/db")).unwrap();
    assert_eq!(outcomes(&disk, |crashed| crashed.files().len()), BTreeSet::from([0, 1]));
    for seed in SEEDS {
        // What is left can be worked with.
        let crashed = disk.crash(seed);
        crashed.create_dir(path("/db/inner")).unwrap();
        let _ = crashed.create(path("/db/inner/file"));
        assert_eq!(crashed.files(), [path("/db/inner/file")]);
    }
    disk.sync_dir(path("/")).unwrap();
    assert_eq!(outcomes(&disk, |crashed| crashed.files().len()), BTreeSet::from([1]));
}

#[test]
fn an_allocation_is_lost_or_kept() {
    let disk = disk_with("/file", b"bytes");
    let file = disk.open_write(path("/file")).unwrap();
    file.allocate(8_192).unwrap();
    let lengths = outcomes(&disk, |crashed| crashed.read("/file").unwrap().len());
    assert!(lengths.contains(&5) && lengths.contains(&8_192), "{lengths:?}");
    file.sync().unwrap();
    for seed in SEEDS {
        let crashed = disk.crash(seed);
        assert_eq!((crashed.read("/file").unwrap().len(), crashed.used_bytes()), (8_192, 8_192));
    }
}

#[test]
fn a_seed_gives_the_same_disk_again() {
    let disk = disk_with("/file", &[1; 40_000]);
    disk.open_write(path("/file")).unwrap().write_at(&[2; 60_000], 10_000).unwrap();
    disk.create(path("/other")).unwrap();
    for seed in SEEDS {
        let (one, other) = (disk.crash(seed), disk.crash(seed));
        assert_eq!(one.files(), other.files());
        assert!(one.read("/file").unwrap() == other.read("/file").unwrap());
    }
}

#[test]
fn the_disk_before_and_the_disk_after_are_apart() {
    let disk = disk_with("/file", &[1; 10_000]);
    let before = disk.open_write(path("/file")).unwrap();
    for copy in [disk.crash(1), disk.crash_synced_only(), disk.kill()] {
        let after = copy.open_write(path("/file")).unwrap();
        before.write_at(&[2; 5_000], 100).unwrap();
        before.sync().unwrap();
        assert_eq!(copy.read("/file").unwrap(), [1; 10_000]);
        after.write_at(&[3; 5_000], 3_000).unwrap();
        assert_eq!(&disk.read("/file").unwrap()[100..5_100], [2; 5_000]);
        assert_eq!(&disk.read("/file").unwrap()[5_100..], [1; 4_900]);
        copy.remove(path("/file")).unwrap();
        before.write_at(&[1; 5_000], 100).unwrap();
        before.sync().unwrap();
        assert_eq!(disk.read("/file").unwrap(), [1; 10_000]);
    }
}

#[test]
fn a_killed_process_loses_its_locks_and_nothing_else() {
    let disk = disk_with("/file", b"synced");
    let file = disk.open_write(path("/file")).unwrap();
    file.write_at(b" and not", 6).unwrap();
    disk.create(path("/new")).unwrap();
    let lock = disk.lock(path("/LOCK"), LockKind::Exclusive).unwrap();

    let killed = disk.kill();
    assert_eq!(killed.read("/file").unwrap(), b"synced and not");
    assert_eq!(killed.files(), ["/LOCK", "/file", "/new"].map(Path::new));
    killed.lock(path("/LOCK"), LockKind::Exclusive).unwrap();
    disk.lock(path("/LOCK"), LockKind::Exclusive).expect_err("the process that lives on has it");
    drop(lock);

    // What was not durable is no more so.
    let lost = killed.crash_synced_only();
    assert_eq!(lost.files(), [path("/file")]);
    assert_eq!(lost.read("/file").unwrap(), b"synced");
    for seed in SEEDS {
        assert_eq!(disk.crash(seed).files(), killed.crash(seed).files());
        assert_eq!(disk.crash(seed).read("/file").unwrap(), killed.crash(seed).read("/file").unwrap());
    }
}

#[test]
fn a_removed_file_comes_back_after_a_kill_too() {
    let disk = disk_with("/file", b"bytes");
    disk.remove(path("/file")).unwrap();
    let killed = disk.kill();
    assert_eq!((killed.files().len(), killed.used_bytes()), (0, 0));
    let back = killed.crash_synced_only();
    assert_eq!((back.read("/file").unwrap(), back.used_bytes()), (b"bytes".to_vec(), 4096));
}

#[test]
fn a_stranded_block_is_not_written_by_a_later_sync() {
    let disk = disk_with("/file", &[1; 8_192]);
    let file = disk.open_write(path("/file")).unwrap();
    file.write_at(&[2; 8_192], 0).unwrap();
    disk.strand_unsynced("/file").unwrap();
    file.sync().unwrap();
    assert_eq!(disk.read("/file").unwrap(), [2; 8_192]);
    assert_eq!(disk.crash_synced_only().read("/file").unwrap(), [1; 8_192]);
    // Written again, it is.
    file.write_at(&[3; 10], 4_096).unwrap();
    file.sync().unwrap();
    let bytes = disk.crash_synced_only().read("/file").unwrap();
    assert_eq!(bytes[..4_096], [1; 4_096]);
    assert_eq!((bytes[4_096], bytes[4_106]), (3, 2));
}

#[test]
fn a_crash_sees_all_files_at_one_instant() {
    let disk = MemFs::new();
    disk.write("/first", &[0; 8]).unwrap();
    disk.write("/second", &[0; 8]).unwrap();
    let number = |disk: &MemFs, name: &str| u64::from_le_bytes(disk.read(name).unwrap().try_into().unwrap());
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let files = ["/first", "/second"].map(|name| disk.open_write(path(name)).unwrap());
            for n in 1..3_000_u64 {
                for file in &files {
                    file.write_at(&n.to_le_bytes(), 0).unwrap();
                    file.sync().unwrap();
                }
            }
        });
        while !writer.is_finished() {
            let crashed = disk.crash_synced_only();
            let (first, second) = (number(&crashed, "/first"), number(&crashed, "/second"));
            assert!(first == second || first == second + 1, "{first} {second}");
        }
    });
}

/// Every seed of every crash below a real use: a log of records, each synced before it counts.
#[test]
fn a_log_keeps_what_it_has_synced() {
    for seed in SEEDS {
        let disk = disk_with("/log", b"");
        let log = disk.open_write(path("/log")).unwrap();
        append(&*log, 0, 40);
        log.sync().unwrap();
        append(&*log, 40, 30);
        let bytes = disk.crash(seed).read("/log").unwrap();
        assert!(bytes.len() >= 40 * 100);
        for (n, record) in bytes.chunks(100).take(40).enumerate() {
            assert_eq!(record, [n as u8 + 1; 100], "seed {seed}");
        }
    }
}

fn append(log: &dyn File, from: u8, count: u8) {
    for n in from..from + count {
        log.write_at(&[n + 1; 100], u64::from(n) * 100).unwrap();
    }
}
