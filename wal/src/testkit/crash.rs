//! Laws of a log whose machine or process stops.

use std::path::Path;
use std::sync::Arc;

use lsmkit_base::Fault;
use lsmkit_vfs::{FaultFs, Fs, MemFs};

use super::model::{Draw, Model, disk};
use crate::Log;

/// After a killed process, everything that was appended is there, synced or not.
pub fn a_killed_process_loses_nothing<L: Log>(open: impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>) {
    for seed in 0..20 {
        let mut draw = Draw::new(seed);
        let (mut disk, mut model) = (disk(), Model::default());
        for life in 0..6 {
            let context = format!("seed {seed}, life {life}");
            let (mut log, replay) = model.reopen(&open, disk.shared(), &context);
            assert_eq!(replay.torn, None, "{context}");
            work(&mut log, &mut model, &mut draw).unwrap();
            // Not synced, and yet it must be there.
            model.synced = model.appended.len();
            disk = disk.kill();
        }
    }
}

/// After each of many power failures and kills, one upon the other, replay gives a prefix of what was
/// appended that holds all that was synced.
pub fn a_crash_leaves_a_prefix_with_all_that_was_synced<L: Log>(
    open: impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>,
) {
    for seed in 0..150 {
        let mut draw = Draw::new(1_000 + seed);
        let (mut disk, mut model) = (disk(), Model::default());
        for life in 0..8 {
            let context = format!("seed {seed}, life {life}");
            let (mut log, _) = model.reopen(&open, disk.shared(), &context);
            work(&mut log, &mut model, &mut draw).unwrap();
            disk = crash(&disk, &mut draw);
        }
    }
}

/// The power fails at each operation of a scripted life in turn.
pub fn a_crash_at_any_operation_leaves_a_prefix<L: Log>(
    open: impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>,
) {
    for nth in 1.. {
        let (disk, model, ended) = life_until(&open, nth);
        for seed in 0..6 {
            let context = format!("power off at {nth}, seed {seed}");
            let crashed = disk.crash(seed);
            let mut model = model.clone();
            let (mut log, _) = model.reopen(&open, crashed.shared(), &context);
            work(&mut log, &mut model, &mut Draw::new(seed)).unwrap();
            let _ = model.reopen(&open, crashed.crash(seed).shared(), &context);
        }
        if ended {
            return;
        }
    }
}

/// The power fails at each operation of a scripted life, and again at each operation of what follows.
pub fn a_crash_in_the_recovery_from_a_crash_leaves_a_prefix<L: Log>(
    open: impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>,
) {
    for nth in 1.. {
        let (disk, model, ended) = life_until(&open, nth);
        for seed in 0..3 {
            let crashed = disk.crash(seed);
            for again in 1.. {
                let context = format!("power off at {nth}, then at {again}, seed {seed}");
                let second = crashed.kill();
                let faults = FaultFs::new(second.shared());
                let mut model = model.clone();
                let (mut log, _) = model.reopen(&open, faults.shared(), &context);
                faults.power_off_at(again);
                let recovered = recovery(&mut log, &mut model);
                let _ = model.reopen(&open, second.crash(seed + again).shared(), &context);
                if recovered.is_ok() {
                    break;
                }
            }
        }
        if ended {
            return;
        }
    }
}

fn life_until<L: Log>(
    open: &impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>,
    nth: u64,
) -> (MemFs, Model, bool) {
    let (disk, mut model) = (disk(), Model::default());
    let faults = FaultFs::new(disk.shared());
    faults.power_off_at(nth);
    let (mut log, _) = model.reopen(open, faults.shared(), "a new log");
    let lived = life(&mut log, &mut model);
    (disk, model, lived.is_ok())
}

fn life(log: &mut impl Log, model: &mut Model) -> Result<(), Fault> {
    model.append(log, &[b"1"])?;
    model.append(log, &[b"2", &[2; 9_000], b"4"])?;
    model.sync(log)?;
    model.append(log, &[&[5; 5_000]])?;
    let second = log.rotate()?;
    model.append(log, &[b"6", b"7"])?;
    log.rotate()?;
    model.append(log, &[&[8; 9_000]])?;
    model.append(log, &[b"9"])?;
    model.sync(log)?;
    model.discard(log, second)?;
    model.append(log, &[b"10"])?;
    log.rotate()?;
    model.close(log)
}

fn recovery(log: &mut impl Log, model: &mut Model) -> Result<(), Fault> {
    model.append(log, &[b"again"])?;
    let keep = log.rotate()?;
    model.append(log, &[&[1; 5_000]])?;
    model.sync(log)?;
    model.append(log, &[b"and again"])?;
    model.discard(log, keep)?;
    model.close(log)
}

/// A few operations, drawn.
fn work(log: &mut impl Log, model: &mut Model, draw: &mut Draw) -> Result<(), Fault> {
    for _ in 0..draw.below(25) {
        match draw.below(12) {
            0..7 => {
                let records: Vec<_> = (0..=draw.below(3)).map(|_| model.record(draw)).collect();
                model.append(log, &records.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
            }
            7..9 => model.sync(log)?,
            9..11 => {
                log.rotate()?;
            }
            _ => {
                let from = model.from.max(model.appended.first().map_or(model.from, |(id, _)| *id));
                let span = log.segment().0.saturating_sub(from.0);
                model.discard(log, lsmkit_base::SegmentId(from.0 + draw.below(span + 1)))?;
            }
        }
    }
    if draw.below(4) == 0 { model.close(log) } else { Ok(()) }
}

/// A power failure, a kill, or one after the other.
fn crash(disk: &MemFs, draw: &mut Draw) -> MemFs {
    match draw.below(4) {
        0 => disk.kill(),
        1 => disk.crash_synced_only(),
        _ => disk.crash(draw.below(u64::MAX)),
    }
}
