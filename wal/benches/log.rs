//! What a record of 128 bytes costs: appended alone and in groups, synced or not, and replayed.
//!
//! ```text
//! cargo bench -p lsmkit-wal --bench log
//! ```
//!
//! On the disk that holds the build's target directory, and on a file system in memory, which leaves what the log
//! itself costs. *Buffered* appends are not synced: each group has been handed to the file system when the call
//! returns, and survives the end of the process, not yet that of the machine.

#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails is a failed benchmark")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use lsmkit_base::SegmentId;
use lsmkit_vfs::{Fs, MemFs, StdFs};
use lsmkit_wal::{Log, LogHandle, Replay, SegmentedLog};

const RECORD: [u8; 128] = [7; 128];
const GROUP: u64 = 100;

/// Segments are thrown away at this size, so that the log takes neither the disk nor the memory up.
const SEGMENT_BYTES: u64 = 32 << 20;

/// What is replayed: some 77 MB in ten segments.
const REPLAYED_RECORDS: u64 = 500_000;

type Group<'a> = BenchmarkGroup<'a, criterion::measurement::WallTime>;

#[derive(Clone, Copy)]
enum Durability {
    Buffered,
    Synced,
}

/// A directory for logs.
struct Place {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
}

impl Place {
    fn empty_log(&self) -> SegmentedLog {
        for entry in self.fs.list(&self.dir).unwrap() {
            self.fs.remove(&self.dir.join(entry.name)).unwrap();
        }
        let (log, replay) = self.replayed();
        assert_eq!(replay, Replay::default());
        log
    }

    /// Opens the log that is there and reads it.
    fn replayed(&self) -> (SegmentedLog, Replay) {
        let mut log = SegmentedLog::open(Arc::clone(&self.fs), &self.dir).unwrap();
        let mut right = 0;
        let replay = log.replay(SegmentId(1), &mut |_, record| {
            right += u64::from(record.len() == RECORD.len() && record[127] == 7);
            Ok(())
        });
        let replay = replay.unwrap();
        assert_eq!(right, replay.records);
        (log, replay)
    }

    /// Ends the segment and throws it away with all before it.
    fn clear(&self, log: &mut SegmentedLog) {
        let next = log.rotate().unwrap();
        log.discard_before(next).unwrap().run().unwrap();
        // A file removed from the memory's file system stays there until this.
        self.fs.sync_dir(&self.dir).unwrap();
    }
}

fn append(c: &mut Criterion) {
    on_each(|name, place| {
        let mut group = c.benchmark_group(format!("append/{name}"));
        for (records, durability) in [
            (1, Durability::Buffered),
            (GROUP, Durability::Buffered),
            (1, Durability::Synced),
            (GROUP, Durability::Synced),
        ] {
            bench_append(&mut group, place, records, durability);
        }
        group.finish();
    });
}

fn bench_append(group: &mut Group<'_>, place: &Place, records: u64, durability: Durability) {
    check_append(place, records, durability);
    group.warm_up_time(Duration::from_millis(300));
    let name = match durability {
        Durability::Buffered => {
            group.sample_size(50).measurement_time(Duration::from_secs(2));
            "buffered"
        }
        // Each waits for the disk, the times of which scatter more than more samples would tell.
        Durability::Synced => {
            group.sample_size(20).measurement_time(Duration::from_secs(3));
            "synced"
        }
    };
    group.sampling_mode(SamplingMode::Flat);
    let bytes = records * RECORD.len() as u64;
    group.throughput(Throughput::ElementsAndBytes { elements: records, bytes });
    let mut log = place.empty_log();
    let gathered = vec![&RECORD[..]; records as usize];
    group.bench_function(format!("{name}, {records} a group"), |b| {
        b.iter_custom(|groups| timed_appends(place, &mut log, &gathered, durability, groups));
    });
}

/// What is appended is there.
fn check_append(place: &Place, records: u64, durability: Durability) {
    const GROUPS: u64 = 20;
    let mut log = place.empty_log();
    timed_appends(place, &mut log, &vec![&RECORD[..]; records as usize], durability, GROUPS);
    drop(log);
    assert_eq!(place.replayed().1.records, GROUPS * records);
}

/// The time of so many appends, without that of throwing segments away.
fn timed_appends(
    place: &Place,
    log: &mut SegmentedLog,
    gathered: &[&[u8]],
    durability: Durability,
    groups: u64,
) -> Duration {
    let handle = log.handle();
    let stretch_groups = SEGMENT_BYTES / (gathered.len() * RECORD.len()) as u64;
    let mut taken = Duration::ZERO;
    let mut left = groups;
    while left > 0 {
        if log.size_bytes() > SEGMENT_BYTES {
            place.clear(log);
        }
        let stretch = left.min(stretch_groups);
        let started = Instant::now();
        for _ in 0..stretch {
            log.append(gathered).unwrap();
            if let Durability::Synced = durability {
                handle.sync().unwrap();
            }
        }
        taken += started.elapsed();
        left -= stretch;
    }
    taken
}

/// From opening the directory to the last record, the file system's cache being warm. Bytes are those of
/// the log, with its frames.
fn replay(c: &mut Criterion) {
    on_each(|name, place| {
        let mut group = c.benchmark_group(format!("replay/{name}"));
        group.sampling_mode(SamplingMode::Flat).sample_size(10);
        group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
        for records in [1, GROUP] {
            let mut log = place.empty_log();
            let gathered = vec![&RECORD[..]; records as usize];
            for nth in 0..REPLAYED_RECORDS / records {
                if nth > 0 && nth % (REPLAYED_RECORDS / records / 10) == 0 {
                    log.rotate().unwrap();
                }
                log.append(&gathered).unwrap();
            }
            log.handle().sync().unwrap();
            drop(log);
            let (_, whole) = place.replayed();
            assert_eq!((whole.records, &whole.torn), (REPLAYED_RECORDS, &None));
            group.throughput(Throughput::ElementsAndBytes {
                elements: REPLAYED_RECORDS,
                bytes: whole.size_bytes,
            });
            group.bench_function(format!("{records} a group"), |b| b.iter(|| place.replayed().1));
        }
        group.finish();
    });
}

fn on_each(mut bench: impl FnMut(&str, &Place)) {
    // Not the system's directory for such things, which is often in memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    bench("StdFs", &Place { fs: StdFs::shared(), dir: dir.path().to_path_buf() });
    let disk = MemFs::new();
    let dir = Path::new("/log");
    disk.create_dir(dir).unwrap();
    bench("MemFs", &Place { fs: disk.shared(), dir: dir.to_path_buf() });
}

criterion_group!(benches, append, replay);
criterion_main!(benches);
