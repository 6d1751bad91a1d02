//! Laws of a log whose disk fails it.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::thread;

use lsmkit_base::Fault;
use lsmkit_vfs::{FaultFs, Fs, Operation, Rule};

use super::model::{Model, disk, open_all};
use crate::{Log, LogHandle};

/// On a full disk appends fail, what was appended stays, and as soon as there is room the log goes on.
/// Nothing of a failed append is ever seen.
pub fn a_full_disk_passes<L: Log>(open: impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>) {
    for record_bytes in [100, 3_000, 20_000] {
        let (disk, mut model) = (disk(), Model::default());
        let (mut log, _) = model.reopen(&open, disk.shared(), "a new log");
        let record = |round: u8, nth: u8| [&[round, nth][..], &vec![0xa5; record_bytes]].concat();
        for round in 1..6_u8 {
            disk.set_capacity_bytes(disk.used_bytes() + 30_000);
            let mut failed = 0;
            for nth in 0..=255 {
                // Of one length all of them: what a failed one left would fit where the next one ends.
                let group = [record(round, nth), record(round, nth)];
                match model.append(&mut log, &[&group[0], &group[1]]) {
                    Ok(()) => {}
                    Err(fault) => {
                        assert!(fault.is_full_disk(), "{fault}");
                        model.in_flight.clear();
                        failed += 1;
                        if failed == 3 {
                            break;
                        }
                    }
                }
            }
            if failed > 0 {
                model.sync(&log).unwrap();
            }
            let context = format!("{record_bytes} bytes, round {round}");
            for seed in 0..4 {
                let _ = model.clone().reopen(&open, disk.crash(seed).shared(), &context);
            }
            let _ = model.clone().reopen(&open, disk.kill().shared(), &context);
            disk.set_capacity_bytes(u64::MAX);
            let one = record(round, 0);
            model.append(&mut log, &[&one]).unwrap();
            if round % 2 == 0 {
                log.rotate().unwrap();
            }
            let _ = model.clone().reopen(&open, disk.kill().shared(), &context);
        }
        model.close(&mut log).unwrap();
        let (_, replay) = model.reopen(&open, disk.crash_synced_only().shared(), "closed");
        assert_eq!(replay.torn, None);
    }
}

/// Where a write fails, before, in the middle of or after its effect, its group does not count. A
/// full disk passes; any other fault is repeated by every further call.
pub fn a_failed_append_leaves_nothing<L: Log>(open: impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>) {
    let rules = [Rule::nth(1), Rule::nth(1).after_bytes(40), Rule::nth(1).after_effect()];
    for (kind, first) in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::Other]
        .into_iter()
        .flat_map(|kind| [(kind, true), (kind, false)])
    {
        for (nth, rule) in rules.iter().enumerate() {
            let context = format!("{kind:?}, rule {nth}, first append: {first}");
            let (disk, mut model) = (disk(), Model::default());
            let faults = FaultFs::new(disk.shared());
            let (mut log, _) = model.reopen(&open, faults.shared(), &context);
            if !first {
                model.append(&mut log, &[b"before"]).unwrap();
                model.sync(&log).unwrap();
            }
            faults.add_rule(rule.clone().on(Operation::Write).error(kind));
            let Err(fault) = model.append(&mut log, &[b"lost 1", b"lost 2"]) else {
                // What failed was no more than making room, and the log has found another way.
                assert_ne!(kind, ErrorKind::Other, "{context}");
                let _ = model.reopen(&open, disk.kill().shared(), &context);
                continue;
            };
            model.in_flight.clear();
            assert_eq!(faults.faults(), 1, "{context}");
            let _ = model.clone().reopen(&open, disk.kill().shared(), &context);
            if fault.is_full_disk() {
                model.append(&mut log, &[b"after!"]).unwrap();
                let _ = model.clone().reopen(&open, disk.kill().shared(), &context);
                for seed in 0..8 {
                    let _ = model.clone().reopen(&open, disk.crash(seed).shared(), &context);
                }
                model.sync(&log).unwrap();
            } else {
                let message = fault.to_string();
                let again = log.append(&[b"after!"]).unwrap_err();
                assert_eq!(again.to_string(), message, "{context}");
                assert_eq!(log.handle().sync().unwrap_err().to_string(), message, "{context}");
                assert_eq!(log.rotate().unwrap_err().to_string(), message, "{context}");
                assert_eq!(log.close().unwrap_err().to_string(), message, "{context}");
            }
            for seed in 0..4 {
                let _ = model.clone().reopen(&open, disk.crash(seed).shared(), &context);
            }
        }
    }
}

/// After a failed sync everything fails with the same fault, and nothing is synced again. What had
/// been synced before is there.
pub fn a_failed_sync_ends_the_log<L: Log>(open: impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>) {
    for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
        for rule in [Rule::nth(1), Rule::nth(1).after_effect()] {
            let (disk, mut model) = (disk(), Model::default());
            let faults = FaultFs::new(disk.shared());
            let (mut log, _) = model.reopen(&open, faults.shared(), "a new log");
            model.append(&mut log, &[b"one"]).unwrap();
            model.sync(&log).unwrap();
            model.append(&mut log, &[b"two"]).unwrap();
            faults.add_rule(rule.on(Operation::Sync).error(kind));
            let fault = log.handle().sync().unwrap_err();
            assert!(!fault.is_full_disk(), "a failed sync does not pass by itself");
            faults.start_trace();
            let message = fault.to_string();
            assert_eq!(log.append(&[b"three"]).unwrap_err().to_string(), message);
            assert_eq!(log.handle().sync().unwrap_err().to_string(), message);
            assert_eq!(log.close().unwrap_err().to_string(), message);
            assert!(faults.trace().is_empty(), "the disk was used after a failed sync");
            for seed in 0..8 {
                let _ = model.clone().reopen(&open, disk.crash(seed).shared(), "after a failed sync");
            }
        }
    }
}

/// Of many threads that wait for a sync that fails, none is told that it succeeded.
pub fn a_failed_sync_reaches_all_who_wait<L: Log>(open: impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>) {
    let disk = disk();
    let faults = FaultFs::new(disk.shared());
    let (mut log, _) = open_all(&open, faults.shared());
    log.append(&[b"one"]).unwrap();
    faults.add_rule(Rule::nth(1).on(Operation::Sync));
    let start = Barrier::new(8);
    let messages: Vec<String> = thread::scope(|scope| {
        let waiting: Vec<_> = (0..8)
            .map(|_| {
                let (handle, start) = (log.handle(), &start);
                scope.spawn(move || {
                    start.wait();
                    handle.sync().unwrap_err().to_string()
                })
            })
            .collect();
        waiting.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(messages.iter().all(|message| *message == messages[0]), "{messages:?}");
    assert_eq!(log.append(&[b"two"]).unwrap_err().to_string(), messages[0]);
    assert_eq!(faults.faults(), 1);
}
