//! Measures how fast a log takes and gives back records: `cargo run --release --example rate`.

use std::path::PathBuf;
use std::time::Instant;

use lsmkit_base::Fault;
use lsmkit_vfs::StdFs;
use lsmkit_wal::{Log, LogHandle, SegmentedLog};

const RECORDS: u64 = 2_000_000;
const RECORD: [u8; 128] = [7; 128];

fn main() -> Result<(), Fault> {
    let above = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = above.join(format!("lsmkit-wal-rate-{}", std::process::id()));
    std::fs::create_dir(&dir).expect("a new directory");
    let measured = measure(&dir);
    std::fs::remove_dir_all(&dir).expect("our own directory");
    measured
}

fn measure(dir: &std::path::Path) -> Result<(), Fault> {
    for group in [1, 16, 256] {
        let mut log = SegmentedLog::open(StdFs::shared(), dir)?;
        let from = log.segment();
        log.replay(from, &mut |_, _| Ok(()))?;
        let records = vec![&RECORD[..]; group as usize];
        let start = Instant::now();
        for nth in 0..RECORDS / group {
            log.append(&records)?;
            if nth * group % 500_000 < group {
                log.rotate()?;
            }
        }
        let appended = start.elapsed().as_secs_f64();
        let start = Instant::now();
        log.handle().sync()?;
        let synced = start.elapsed().as_secs_f64();
        drop(log);

        let mut log = SegmentedLog::open(StdFs::shared(), dir)?;
        let start = Instant::now();
        let replay = log.replay(from, &mut |_, _| Ok(()))?;
        let replayed = start.elapsed().as_secs_f64();
        println!(
            "groups of {group:>3}: append {:>5.2} M records/s, sync of {:.0} MB {synced:.2} s, replay {:.0} MB/s",
            RECORDS as f64 / appended / 1e6,
            replay.size_bytes as f64 / 1e6,
            replay.size_bytes as f64 / replayed / 1e6,
        );
        let current = log.segment();
        log.discard_before(current)?.run()?;
    }
    let mut log = SegmentedLog::open(StdFs::shared(), dir)?;
    log.replay(log.segment(), &mut |_, _| Ok(()))?;
    let start = Instant::now();
    for _ in 0..2_000 {
        log.append(&[&RECORD])?;
        log.handle().sync()?;
    }
    println!("append and sync, one by one: {:.0} /s", 2_000.0 / start.elapsed().as_secs_f64());
    Ok(())
}
