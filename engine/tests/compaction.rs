//! Compaction as a store does it: in parts, by several threads, by strategies that drop data, at a limited rate; and what is told of it.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lsmkit::parts::{
    BPlusTree, BlockTables, CompactionPicker, FaultFs, Fifo, Leveled, MemFs, SegmentedLog, TimeWindow,
};
use lsmkit::{
    Background, BackgroundRate, CompactionCause, CompactionKind, Compression, Db, Engine, Error, Fault,
    KeyspaceOptions, Options, Parts, Site, Standard,
};

use common::{DIR, all, tiny};
use lsmkit_vfs::Operation;

/// The standard parts with another strategy.
#[derive(Clone)]
struct With<C>(C);

impl<C: CompactionPicker + Clone> Parts for With<C> {
    type Log = SegmentedLog;
    type Memtable = BPlusTree;
    type Tables = BlockTables;
    type Picker = C;

    fn log(&self, site: &Site) -> Result<SegmentedLog, Fault> {
        site.log()
    }
    fn tables(&self, site: &Site, keyspace: &KeyspaceOptions) -> BlockTables {
        site.tables(keyspace)
    }
    fn picker(&self, _: &Site, _: &KeyspaceOptions) -> C {
        self.0.clone()
    }
}

fn key(n: u64) -> Vec<u8> {
    format!("key{n:05}").into_bytes()
}

fn value(n: u64, round: u64) -> Vec<u8> {
    format!("{round}:{n}:").into_bytes().repeat(6)
}

/// Writes `count` keys, scattered, `rounds` times, and flushes each time.
fn fill<P: Parts>(db: &Engine<P>, count: u64, rounds: u64) {
    for round in 0..rounds {
        for n in 0..count {
            let n = n * 7919 % count;
            db.put(key(n), value(n, round)).unwrap();
        }
        db.flush().unwrap();
    }
}

#[track_caller]
fn check_filled<P: Parts>(db: &Engine<P>, count: u64, round: u64) {
    let found = all(db.scan(..)).unwrap();
    assert_eq!(found.len() as u64, count);
    for n in 0..count {
        assert_eq!(found[&key(n)], value(n, round));
    }
}

/// Level 0 gathers, so that there is much to do at once, by hand.
fn gathering() -> Leveled {
    Leveled::default().level0_trigger(1000).level0_batch(1000).runs_limits(1000, 2000).table_bytes(4 << 10)
}

fn table_files(fs: &MemFs) -> u64 {
    let is_table = |entry: &&lsmkit_vfs::DirEntry| entry.name.ends_with(".sst");
    lsmkit::parts::Fs::list(fs, DIR.as_ref()).unwrap().iter().filter(is_table).count() as u64
}

/// A flush for each round, and then one job in several parts.
fn in_parts() -> Options {
    let leveled = Leveled::default().level0_trigger(3).table_bytes(4 << 10);
    tiny().memtable_bytes(1 << 20).leveled(leveled).compaction_threads(2).compression(Compression::None)
}

// ---- parts

#[test]
fn a_job_in_parts_is_the_same_as_one_as_a_whole() {
    let compacted = |threads| {
        let fs = MemFs::new();
        let options = tiny().leveled(gathering()).compaction_threads(threads);
        let db = options.open_with(Standard, fs.shared(), DIR).unwrap();
        fill(&db, 500, 3);
        db.compact(..).unwrap();
        check_filled(&db, 500, 2);
        let stats = db.stats();
        let level = *stats.keyspaces[0].levels.last().unwrap();
        assert_eq!((level.entries, level.tombstones, level.runs), (500, 0, 1));
        db.verify().unwrap();
        (stats.compactions.count, stats.compactions.read_bytes, level.raw_bytes)
    };
    assert_eq!(compacted(1), compacted(4));
}

#[test]
fn with_steps_each_part_is_one_and_what_runs_is_told() {
    let fs = MemFs::new();
    let db = in_parts().open_with(Standard, fs.shared(), DIR).unwrap();
    fill(&db, 300, 3);
    assert!(db.stats().running.is_empty());

    let (mut parts, mut merged) = (0, 0);
    while db.step().unwrap() {
        if let Some(running) = db.stats().running.first() {
            parts = running.parts;
            assert_eq!(running.kind, CompactionKind::Merge);
            assert_eq!(running.cause, CompactionCause::Level0);
            assert!(running.merged_bytes > merged && running.merged_bytes < running.raw_bytes, "{running:?}");
            merged = running.merged_bytes;
        }
    }
    assert!(parts >= 3, "in {parts} parts");
    let stats = db.stats();
    assert!(stats.running.is_empty());
    let merges = stats.history.iter().filter(|past| past.kind == CompactionKind::Merge);
    let (mut count, mut read, mut written) = (0, 0, 0);
    for past in merges {
        count += 1;
        read += past.size_bytes;
        written += past.written_bytes;
        assert!(past.written_tables > 0 && past.tables > 0 && past.keyspace == "default", "{past:?}");
    }
    let work = stats.compactions;
    assert_eq!((count, read, written), (work.count, work.read_bytes, work.written_bytes));
    assert_eq!(stats.causes.values().map(|work| work.written_bytes).sum::<u64>(), written);
    check_filled(&db, 300, 2);
}

#[test]
fn a_store_that_closes_or_is_killed_in_mid_job_has_nothing_left_over() {
    for is_killed in [false, true] {
        let fs = MemFs::new();
        let db = in_parts().open_with(Standard, fs.shared(), DIR).unwrap();
        fill(&db, 300, 3);
        while db.stats().running.is_empty() {
            assert!(db.step().unwrap(), "no job has parts");
        }
        let tables =
            |db: &Db| -> u64 { db.stats().keyspaces[0].levels.iter().map(|level| level.tables).sum() };
        let there = tables(&db);
        if is_killed {
            fs.kill();
            drop(db);
        } else {
            db.close().unwrap();
        }
        let db = in_parts().open_with(Standard, fs.shared(), DIR).unwrap();
        assert_eq!((tables(&db), table_files(&fs)), (there, there), "killed: {is_killed}");
        db.settle().unwrap();
        check_filled(&db, 300, 2);
    }
}

#[test]
fn several_threads_compact_beside_writers_readers_and_hands() {
    let fs = MemFs::new();
    let options = tiny()
        .memtable_bytes(16 << 10)
        .leveled(
            Leveled::default().level0_trigger(2).level0_batch(4).base_bytes(32 << 10).table_bytes(8 << 10),
        )
        .background(Background::Threads)
        .compaction_threads(3);
    let db = Arc::new(options.open_with(Standard, fs.shared(), DIR).unwrap());
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                db.compact((Bound::Included(key(100)), Bound::Excluded(key(700)))).unwrap();
            }
        });
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let found = all(db.scan(..)).unwrap();
                assert!(found.iter().all(|(key, value)| value.ends_with(b":") && key.starts_with(b"key")));
            }
        });
        fill(&db, 1000, 12);
        stop.store(true, Ordering::Relaxed);
    });
    db.settle().unwrap();
    check_filled(&db, 1000, 11);
    let stats = db.stats();
    assert!(
        stats.causes.contains_key(&CompactionCause::Manual) && stats.causes.len() > 1,
        "{:?}",
        stats.causes
    );
    assert!(stats.running.is_empty() && stats.fault.is_none());
    db.verify().unwrap();
}

#[test]
fn a_keyspace_that_is_dropped_between_parts_ends_its_job() {
    let fs = MemFs::new();
    let db = in_parts().open_with(Standard, fs.shared(), DIR).unwrap();
    let side = db.keyspace("side", KeyspaceOptions::new()).unwrap();
    for round in 0..3 {
        for n in 0..300 {
            side.put(key(n * 7919 % 300), value(n, round)).unwrap();
        }
        side.flush().unwrap();
    }
    while db.stats().running.is_empty() {
        assert!(db.step().unwrap(), "no job has parts");
    }
    drop(side);
    assert!(db.drop_keyspace("side").unwrap());
    // Steps go on until there is nothing left.
    while db.step().unwrap() {}
    assert!(db.stats().running.is_empty());
    db.settle().unwrap();
    assert_eq!(table_files(&fs), 0);
}

#[test]
fn a_compaction_that_lacks_room_says_so_and_goes_on_with_it() {
    let fs = MemFs::with_capacity_bytes(16 << 20);
    let options = tiny()
        .memtable_bytes(1 << 20)
        .log_bytes_max(1 << 20)
        .leveled(gathering())
        .compression(Compression::None)
        .background(Background::Threads)
        .compaction_threads(3);
    let db = options.open_with(Standard, fs.shared(), DIR).unwrap();
    fill(&db, 3000, 4);
    let tables = table_files(&fs);
    fs.set_capacity_bytes(fs.used_bytes() + (40 << 10));
    let error = db.compact(..).unwrap_err();
    assert!(matches!(error, Error::Full(_)), "{error}");
    assert_eq!(table_files(&fs), tables, "what could not be ended is left over");
    assert!(db.stats().running.is_empty());
    check_filled(&db, 3000, 3);
    fs.set_capacity_bytes(16 << 20);
    db.compact(..).unwrap();
    db.settle().unwrap();
    check_filled(&db, 3000, 3);
    assert_eq!(db.stats().keyspaces[0].levels.iter().map(|level| level.entries).sum::<u64>(), 3000);
}

// ---- leisure

#[test]
fn what_can_wait_is_done_once_nothing_is_written() {
    let fs = MemFs::new();
    let leveled = Leveled::default().level0_trigger(2).level0_batch(1000).runs_limits(1000, 2000);
    let options = tiny().leveled(leveled).background(Background::Threads);
    let db = options.open_with(Standard, fs.shared(), DIR).unwrap();
    fill(&db, 2000, 1);
    db.settle().unwrap();
    // Small beside what is there.
    let merges = db.stats().compactions.count;
    let runs = || db.stats().keyspaces[0].levels[0].runs;
    let left = runs();
    for n in 0..3 {
        db.put(key(0), value(0, n)).unwrap();
        db.put(key(1999), value(1999, n)).unwrap();
        db.flush().unwrap();
    }
    assert_eq!((runs(), db.stats().compactions.count), (left + 3, merges));
    let begun = Instant::now();
    while runs() > 1 {
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody finds the time");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(begun.elapsed() > Duration::from_millis(500), "no time was given to writers");
}

#[test]
fn what_is_done_at_leisure_ends_when_writers_come_back() {
    let fs = MemFs::new();
    let leveled = Leveled::default().level0_trigger(2).level0_batch(1000).runs_limits(1000, 2000);
    let options = tiny().leveled(leveled).background(Background::Threads);
    let db = options.open_with(Standard, fs.shared(), DIR).unwrap();
    fill(&db, 2000, 1);
    db.settle().unwrap();
    let touch = || {
        db.put(key(0), value(0, 1)).unwrap();
        db.put(key(1999), value(1999, 1)).unwrap();
        db.flush().unwrap();
    };
    (0..2).for_each(|_| touch());
    let merges = || db.stats().compactions.count;
    let before = merges();
    let begun = Instant::now();
    while merges() == before {
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody finds the time");
        thread::sleep(Duration::from_millis(5));
    }
    // Now they write again, without a pause.
    let after = merges();
    let mut longest = Duration::ZERO;
    for _ in 0..40 {
        let begun = Instant::now();
        touch();
        longest = longest.max(begun.elapsed());
    }
    // On a machine so slow that a flush takes as long, there was leisure.
    assert!(
        merges() <= after + 1 || longest > Duration::from_millis(900),
        "level 0 is merged as if nobody wrote"
    );
}

#[test]
fn many_hands_help_one() {
    let fs = MemFs::new();
    let options = tiny()
        .memtable_bytes(1 << 20)
        .leveled(gathering())
        .background(Background::Threads)
        .background_rate(BackgroundRate::Fixed(400 << 10))
        .compaction_threads(3);
    let db = options.open_with(Standard, fs.shared(), DIR).unwrap();
    fill(&db, 4000, 2);
    let most = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            db.compact(..).unwrap();
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            let running = db.stats().running;
            most.fetch_max(running.iter().map(|job| job.parts_running).max().unwrap_or(0), Ordering::Relaxed);
            thread::sleep(Duration::from_millis(1));
        }
    });
    assert!(most.load(Ordering::Relaxed) > 1, "the caller did all by itself");
    check_filled(&db, 4000, 1);
}

#[test]
fn closing_ends_a_compaction_by_hand() {
    for round in 0..20 {
        let fs = MemFs::new();
        let options = || {
            tiny()
                .memtable_bytes(1 << 20)
                .leveled(gathering())
                .background(Background::Threads)
                .compaction_threads(2)
        };
        let db = options().open_with(Standard, fs.shared(), DIR).unwrap();
        fill(&db, 1000, 2);
        let keyspace = db.keyspace("default", KeyspaceOptions::new()).unwrap();
        thread::scope(|scope| {
            let by_hand = scope.spawn(move || {
                loop {
                    match keyspace.compact(..) {
                        Ok(()) => {}
                        Err(Error::Closed) => return,
                        Err(e) => panic!("{e}"),
                    }
                }
            });
            thread::sleep(Duration::from_micros(700 * round));
            db.close().unwrap();
            // The files are another's now.
            let db = options().open_with(Standard, fs.shared(), DIR).unwrap();
            fill(&db, 1000, 3);
            by_hand.join().unwrap();
            db.settle().unwrap();
            check_filled(&db, 1000, 2);
            db.verify().unwrap();
        });
    }
}

#[test]
fn a_panic_in_a_part_ends_the_store_and_harms_nothing() {
    let fs = MemFs::new();
    let options = || {
        tiny()
            .memtable_bytes(8 << 20)
            .log_bytes_max(1 << 30)
            .background(Background::Threads)
            .compaction_threads(2)
    };
    let armed = Arc::new(AtomicBool::new(false));
    let is_armed = Arc::clone(&armed);
    let watched = FaultFs::new(fs.shared());
    watched.before_each_call(move |call| {
        let is_compaction = thread::current().name().is_some_and(|name| name.starts_with("lsmkit-compact"));
        assert!(
            call.operation != Operation::Create || !is_compaction || !is_armed.load(Ordering::Relaxed),
            "this panic is a part of the test"
        );
    });
    let db = options().open_with(Standard, watched.shared(), DIR).unwrap();
    fill(&db, 4000, 1);
    armed.store(true, Ordering::Relaxed);
    for n in 0..4000 {
        db.put(key(n), value(n, 1)).unwrap();
    }
    // From the second run on there is something to merge.
    let _ = db.flush();
    let settled = db.settle();
    assert!(matches!(settled, Err(Error::ReadOnly(_))), "{settled:?}");
    assert!(db.stats().fault.is_some_and(|fault| fault.contains("panicked")));
    // The other thread may still be within its own part.
    let asked = Instant::now();
    while !db.stats().running.is_empty() {
        assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", db.stats().running);
        thread::sleep(Duration::from_millis(1));
    }
    assert!(matches!(db.put("after", "it"), Err(Error::ReadOnly(_))));
    // Reads go on.
    check_filled(&db, 4000, 1);
    let begun = Instant::now();
    let _ = db.close();
    assert!(begun.elapsed() < Duration::from_secs(5), "closing took {:?}", begun.elapsed());

    let db = options().open_with(Standard, fs.shared(), DIR).unwrap();
    check_filled(&db, 4000, 1);
    db.compact(..).unwrap();
    db.verify().unwrap();
    db.settle().unwrap();
    assert_eq!(
        table_files(&fs),
        db.stats().keyspaces[0].levels.iter().map(|level| level.tables).sum::<u64>()
    );
}

// ---- strategies that drop

#[test]
fn fifo_keeps_what_is_new_and_gives_room_back() {
    let fs = MemFs::new();
    let parts = With(Fifo::new().bytes_max(20 << 10));
    let open = || tiny().compression(Compression::None).open_with(parts.clone(), fs.shared(), DIR).unwrap();
    let db = open();
    for n in 0..1000 {
        db.put(key(n), value(n, 0)).unwrap();
    }
    db.flush().unwrap();
    let scan = db.scan(..);
    db.settle().unwrap();
    let stats = db.stats();
    assert!(stats.drops > 0 && stats.compactions.count == 0 && stats.moves == 0);
    assert!(stats.causes.contains_key(&CompactionCause::Space));
    let bytes = stats.keyspaces[0].levels[0].size_bytes;
    assert!((10 << 10..=20 << 10).contains(&bytes), "{bytes} bytes");

    let check = |db: &Engine<With<Fifo>>| {
        let left = all(db.scan(..)).unwrap();
        assert!(left.len() > 100 && left.len() < 900);
        assert_eq!(left.keys().next().unwrap(), &key(1000 - left.len() as u64), "the newest are left");
        assert_eq!(db.get(key(0)).unwrap(), None);
    };
    check(&db);
    // Whoever began before keeps what was there.
    assert_eq!(all(scan).unwrap().len(), 1000);
    // Neither the log nor a file brings it back.
    drop(db);
    fs.kill();
    check(&open());
}

#[test]
fn time_windows_pass_and_expire() {
    let fs = MemFs::new();
    let now = Arc::new(AtomicU64::new(1_000_000));
    let clock = Arc::clone(&now);
    let keep = Fifo::new().age_max_seconds(300);
    let parts = With(TimeWindow::default().window_seconds(100).runs_per_merge(3).keep(keep));
    let db = tiny().clock(move || clock.load(Ordering::Relaxed)).open_with(parts, fs.shared(), DIR).unwrap();
    let runs = || db.stats().keyspaces[0].levels.first().map_or(0, |level| level.runs);
    // Six windows of two flushes each, which are merged when their window has passed.
    for window in 0..6 {
        for half in 0..2 {
            db.put(key(window), value(window, half)).unwrap();
            db.put(key(100 + window * 2 + half), value(0, 0)).unwrap();
            db.flush().unwrap();
            db.settle().unwrap();
            now.fetch_add(50, Ordering::Relaxed);
        }
    }
    db.settle().unwrap();
    // What is older than three windows is gone, and the rest one run a window.
    assert_eq!(runs(), 3);
    for window in 0..6 {
        let expected = (window >= 3).then(|| value(window, 1));
        assert_eq!(db.get(key(window)).unwrap().map(|value| value.to_vec()), expected, "window {window}");
    }
    assert!(db.stats().causes.contains_key(&CompactionCause::Age));
    // Time alone does the rest.
    now.fetch_add(1000, Ordering::Relaxed);
    db.settle().unwrap();
    assert_eq!((runs(), all(db.scan(..)).unwrap().len()), (0, 0));
}

/// A store in which data is old after a minute, and its clock.
fn aging() -> (Db, Arc<AtomicU64>) {
    let now = Arc::new(AtomicU64::new(1_000_000));
    let clock = Arc::clone(&now);
    let options =
        tiny().leveled(gathering().age_max_seconds(60)).clock(move || clock.load(Ordering::Relaxed));
    (options.open_with(Standard, MemFs::new().shared(), DIR).unwrap(), now)
}

#[test]
fn what_is_old_stays_as_long_as_a_snapshot_shows_it() {
    let (db, now) = aging();
    db.put("secret", "until it is deleted").unwrap();
    db.flush().unwrap();
    let snapshot = db.snapshot();
    db.delete("secret").unwrap();
    db.flush().unwrap();
    now.fetch_add(60, Ordering::Relaxed);
    db.settle().unwrap();
    assert!(snapshot.get("secret").unwrap().is_some());
    drop(snapshot);
    db.settle().unwrap();
    let entries: u64 = db.stats().keyspaces[0].levels.iter().map(|level| level.entries).sum();
    assert_eq!(entries, 0, "what was deleted is there for good");
}

#[test]
fn what_is_old_goes_down_by_itself() {
    let (db, now) = aging();
    db.put("secret", "until it is deleted").unwrap();
    db.put("other", "stays").unwrap();
    db.flush().unwrap();
    db.delete("secret").unwrap();
    db.flush().unwrap();
    db.settle().unwrap();
    let entries = || db.stats().keyspaces[0].levels.iter().map(|level| level.entries).sum::<u64>();
    assert_eq!(entries(), 3);
    now.fetch_add(60, Ordering::Relaxed);
    db.settle().unwrap();
    assert_eq!(entries(), 1, "what was deleted is still in a table");
    assert!(db.stats().causes.contains_key(&CompactionCause::Age));
}

// ---- rates and estimates

#[test]
fn background_work_keeps_to_its_rate() {
    let compact = |rate| {
        let fs = MemFs::new();
        let options = tiny()
            .memtable_bytes(1 << 20)
            .leveled(gathering())
            .compression(Compression::None)
            .background(Background::Threads)
            .background_rate(rate);
        let db = options.open_with(Standard, fs.shared(), DIR).unwrap();
        fill(&db, 4_000, 2);
        // What flushes have used up.
        thread::sleep(Duration::from_millis(400));
        let begun = Instant::now();
        db.compact(..).unwrap();
        (begun.elapsed(), db.stats().compactions.written_bytes)
    };
    let rate = 512 << 10;
    let (time, bytes) = compact(BackgroundRate::Fixed(rate));
    let least = Duration::from_secs_f64(bytes as f64 / rate as f64) - Duration::from_millis(50);
    assert!(time >= least, "{bytes} bytes in {time:?}");
    let (unlimited, _) = compact(BackgroundRate::Unlimited);
    assert!(unlimited < time, "{unlimited:?} without a limit");
}

#[test]
fn the_size_of_a_range_is_told_to_the_block() {
    for pinned_bytes_max in [usize::MAX, 0] {
        let fs = MemFs::new();
        let options = tiny().compression(Compression::None).pinned_bytes_max(pinned_bytes_max);
        let db = options.open_with(Standard, fs.shared(), DIR).unwrap();
        assert_eq!(db.size_bytes_within(..).unwrap(), 0);
        fill(&db, 2000, 1);
        db.settle().unwrap();
        let levels = &db.stats().keyspaces[0].levels;
        let total: u64 = levels.iter().map(|level| level.size_bytes).sum();
        assert_eq!(db.size_bytes_within(..).unwrap(), total);
        let within = |from, to| db.size_bytes_within(key(from)..key(to)).unwrap();
        let (quarter, half, rest) = (within(0, 500), within(500, 1500), within(1500, 2000));
        // Each run may count a block or a part at either end twice.
        let slack = levels.iter().map(|level| level.runs).sum::<u64>() * 2 * 4096;
        assert!(quarter + half + rest >= total - slack / 2 && quarter + half + rest <= total + slack);
        assert!(
            half.abs_diff(total / 2) <= slack && quarter.abs_diff(total / 4) <= slack,
            "{half} of {total}"
        );
        assert_eq!((within(700, 700), within(900, 100)), (0, 0));
        assert!(within(700, 701) <= slack);
        assert!(db.size_bytes_within("z"..).unwrap() == 0);
    }
}

#[test]
fn amplifications_are_what_was_written_and_what_is_there() {
    let fs = MemFs::new();
    let options = tiny().memtable_bytes(1 << 20).leveled(gathering()).compression(Compression::None);
    let db = options.open_with(Standard, fs.shared(), DIR).unwrap();
    assert_eq!((db.stats().write_amplification(), db.stats().space_amplification()), (None, None));
    fill(&db, 500, 1);
    db.compact(..).unwrap();
    let stats = db.stats();
    let user_bytes: u64 = (0..500).map(|n| (key(n).len() + value(n, 0).len()) as u64).sum();
    assert_eq!(stats.user_bytes, user_bytes);
    let written = stats.log_written_bytes + stats.flushes.written_bytes + stats.compactions.written_bytes;
    assert_eq!(stats.write_amplification(), Some(written as f64 / user_bytes as f64));
    assert_eq!(stats.space_amplification(), Some(1.0));
    fill(&db, 500, 1);
    let space = db.stats().space_amplification().unwrap();
    assert!((1.9..2.2).contains(&space), "{space}");
}

#[test]
fn options_take_threads_from_the_machine_only_where_there_are_any() {
    // The same steps on every machine.
    let fs = MemFs::new();
    let db = Options::new().background(Background::Steps).open_with(Standard, fs.shared(), DIR).unwrap();
    fill(&db, 100, 2);
    db.compact(..).unwrap();
    assert_eq!(db.stats().history.len(), 1);
}
