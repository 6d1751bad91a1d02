//! Part 5: a process that writes is killed, and its store opened again.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::{Crash, Recovery, disk};
use crate::engines::{EngineName, lsmkit};
use crate::load::Load;
use crate::records::Records;
use crate::store::Store;
use crate::victim::Victim;

const RECORDS: u64 = 100_000;

/// Kills one process after it has written all records, and the others at random moments.
pub(super) fn measure(dir: &Path, seed: u64, crashes: u64) -> Result<Recovery> {
    let load = Load::of(RECORDS, 64, 64, seed);
    let records = load.records()?;
    let mut random = records.random(seed);
    let moments = (0..crashes).map(|nth| if nth == 0 { RECORDS } else { random.below(RECORDS) });
    let crashes = moments.map(|moment| crash(dir, &load, &records, moment)).collect::<Result<_>>()?;
    Ok(Recovery { crashes })
}

impl Recovery {
    /// # Errors
    ///
    /// Where a record was lost or invented.
    pub(super) fn check(&self) -> Result<()> {
        for crash in &self.crashes {
            ensure!(
                crash.lost == 0,
                "{} of {} acknowledged records were lost",
                crash.lost,
                crash.acknowledged
            );
            ensure!(crash.invented == 0, "{} records were found that nobody put", crash.invented);
        }
        Ok(())
    }
}

fn crash(dir: &Path, load: &Load, records: &Records, moment: u64) -> Result<Crash> {
    fs::create_dir_all(dir)?;
    let acknowledged = Victim::start(EngineName::Lsmkit, dir, load, RECORDS)?.kill_after(moment)?;
    ensure!(acknowledged >= moment, "the process that writes ended by itself");
    let log_bytes = disk::log_bytes(dir)?;

    let begun = Instant::now();
    let db = lsmkit::open_standard(dir, &load.settings())?;
    let open_seconds = begun.elapsed().as_secs_f64();

    let mut expected: HashSet<u64> = (0..acknowledged).map(|at| records.shuffled(at)).collect();
    // The one that it was putting when it was killed may be there or not.
    let under_way = (acknowledged < records.count).then(|| records.shuffled(acknowledged));
    let (mut found, mut invented) = (0, 0);
    Store::scan(&db, None, u64::MAX, &mut |key, value| {
        found += 1;
        let number = records.number(key).filter(|&number| value == records.value(number));
        let is_put = number.is_some_and(|number| expected.remove(&number) || under_way == Some(number));
        invented += u64::from(!is_put);
    })?;
    drop(db);
    fs::remove_dir_all(dir)?;
    Ok(Crash { acknowledged, found, lost: expected.len() as u64, invented, log_bytes, open_seconds })
}
