//! The third part of the tour: SIGKILL in the middle of a load, and what is there afterwards.
//!
//! Acknowledged is a record whose batch the store has taken (durability `buffered`) in the process
//! that is killed, and of which its line has come through the pipe. The promise: every acknowledged
//! record is there, and what is there is a prefix of the load that ends between two batches.

use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use lsmkit::Db;

use super::data::{DataSet, broken};
use crate::args::Tour;
use crate::exit::{Exit, Failure};
use crate::output::{count, counted, time};

const BATCH_RECORDS_MAX: usize = 100;
/// A load that ends before it is killed is tried again, so often.
const ATTEMPTS_MAX: u32 = 10;

pub(super) fn run(
    out: &mut impl Write,
    data: &DataSet,
    data_path: &Path,
    dir: &Path,
    args: &Tour,
) -> Result<(), Failure> {
    let batch_records = (data.len() / 200).clamp(1, BATCH_RECORDS_MAX);
    let seed = args.seed.unwrap_or_else(|| RandomState::new().hash_one(0) % 1_000_000);
    let mut random = Random(seed);
    writeln!(
        out,
        "\n3  Kill another process with SIGKILL while it loads the same records (--seed {seed})\n"
    )?;
    writeln!(
        out,
        "   It writes batches of {batch_records} and acknowledges each through a pipe. Its store is opened"
    )?;
    writeln!(out, "   again, all files are verified, and all records compared with the load.\n")?;
    out.flush()?;
    for round in 1..=args.kills {
        let store = dir.join(format!("killed-{round}"));
        let acknowledged = load_and_kill(data, data_path, &store, batch_records, &mut random)?;
        let begun = Instant::now();
        let db = Db::open(&store)?;
        let opened = begun.elapsed();
        let verified = db.verify()?;
        let found = check(&db, data, acknowledged, batch_records)?;
        writeln!(
            out,
            "   {round:>3}  {} acknowledged, {} there: the first of the load, no other; {}, opened in {}",
            count(acknowledged as u64),
            count(found as u64),
            counted(verified.tables, "table"),
            time(opened),
        )?;
        out.flush()?;
        db.close()?;
        remove(&store)?;
    }
    Ok(())
}

/// Compares all there is with the load.
fn check(db: &Db, data: &DataSet, acknowledged: usize, batch_records: usize) -> Result<usize, Failure> {
    let mut found = 0;
    for entry in db.scan(..) {
        entry?;
        found += 1;
    }
    if found < acknowledged {
        return Err(broken(format!("{acknowledged} records were acknowledged, and {found} are there")));
    }
    if found % batch_records != 0 && found != data.len() {
        return Err(broken(format!("{found} records are there: half a batch of {batch_records}")));
    }
    data.check(db, found)?;
    Ok(found)
}

/// Kills a load in its midst; how many records it had acknowledged.
fn load_and_kill(
    data: &DataSet,
    data_path: &Path,
    store: &Path,
    batch_records: usize,
    random: &mut Random,
) -> Result<usize, Failure> {
    for attempt in 0..ATTEMPTS_MAX {
        // Earlier from one attempt to the next: small loads end quickly.
        let least = data.len() as u64 / 20;
        let most = (data.len() as u64 * 9 / 10) >> attempt;
        let kill_at = random.between(least.min(most), most) as usize;
        let pause = Duration::from_micros(random.between(0, 1000 >> attempt));
        let mut child = spawn(data_path, store, data.len(), batch_records)?;
        let outcome = watch_and_kill(&mut child, kill_at, pause);
        if outcome.is_err() {
            // Not one process of ours may be left behind.
            let _ = child.kill();
            let _ = child.wait();
        }
        let (acknowledged, status) = outcome?;
        if was_killed(status) {
            return Ok(acknowledged);
        }
        if !status.success() {
            return Err(Failure::new(Exit::Store, format!("the load in the other process failed: {status}"))
                .next("its error stands above"));
        }
        remove(store)?;
    }
    Err(Failure::usage("the load always ends before it can be killed").next("load more records"))
}

fn spawn(data_path: &Path, store: &Path, records: usize, batch_records: usize) -> Result<Child, Failure> {
    let program = std::env::current_exe();
    let child = program.and_then(|program| {
        Command::new(program)
            .arg("tour-load")
            .args([store, data_path])
            .args([records.to_string(), batch_records.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
    });
    child.map_err(|e| Failure::new(Exit::Store, format!("this program can't be started a second time: {e}")))
}

/// Waits until so many records are acknowledged, and a little longer, and kills. What the pipe still
/// holds then was acknowledged too.
fn watch_and_kill(
    child: &mut Child,
    kill_at: usize,
    pause: Duration,
) -> Result<(usize, ExitStatus), Failure> {
    let failed =
        |e: std::io::Error| Failure::new(Exit::Store, format!("the other process can't be watched: {e}"));
    let pipe = child.stdout.take().expect("because its output was asked for");
    let mut lines = BufReader::new(pipe);
    let mut acknowledged = 0;
    let mut is_killed = false;
    let mut line = String::new();
    loop {
        line.clear();
        lines.read_line(&mut line).map_err(failed)?;
        // A line without its end, like no line, is the end of the pipe.
        let Some(number) = line.strip_suffix('\n') else { break };
        acknowledged = number.parse().map_err(|_| broken(format!("acknowledged {number:?} records")))?;
        if !is_killed && acknowledged >= kill_at {
            std::thread::sleep(pause);
            child.kill().map_err(failed)?;
            is_killed = true;
        }
    }
    Ok((acknowledged, child.wait().map_err(failed)?))
}

#[cfg(unix)]
fn was_killed(status: ExitStatus) -> bool {
    const SIGKILL: i32 = 9;
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(SIGKILL)
}

/// Elsewhere a process that is terminated ends with the code 1, which none of our own errors of a
/// load has.
#[cfg(not(unix))]
fn was_killed(status: ExitStatus) -> bool {
    status.code() == Some(1)
}

fn remove(store: &Path) -> Result<(), Failure> {
    std::fs::remove_dir_all(store).map_err(|e| Failure::new(Exit::Store, format!("{}: {e}", store.display())))
}

/// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Both ends included.
    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }
}
