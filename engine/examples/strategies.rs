//! What each strategy costs: a store on the disk that is overwritten as fast as one thread can, beside the simulation of it.
//!
//! ```console
//! $ cargo run --release -p lsmkit --example strategies
//! ```
//!
//! A million records of 16 + 100 bytes in random order, then three times as many overwrites, uniformly or by Zipf (0.99). Memtables and
//! tables of 4 MiB, so that the store has as many of them as one of 16 times its size with the default settings.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use lsmkit::parts::{
    BPlusTree, BlockTables, CompactionPicker, Fifo, Leveled, SegmentedLog, StdFs, Tiered, TimeWindow,
};
use lsmkit::{Compression, Engine, Fault, KeyspaceOptions, Options, Parts, Site};
use lsmkit_compaction::simulate::{Load, Machine, Popularity, Simulation, Workload};

const RECORDS: u64 = 1_000_000;
const OVERWRITES: u64 = 3 * RECORDS;
const KEY_BYTES: u64 = 16;
const VALUE_BYTES: u64 = 100;
const RECORD_BYTES: u64 = KEY_BYTES + VALUE_BYTES;
const TABLE_BYTES: u64 = 4 << 20;
/// So many are written in a second of the clock that strategies see, which is not that of the machine.
const WRITES_PER_SECOND: u64 = 1_000;
/// Space is looked at this often.
const SAMPLE_EVERY: u64 = 20_000;

/// A strategy by name, to be made as often as it is needed.
type Strategy = (&'static str, fn() -> Box<dyn CompactionPicker>);

/// From the one that rewrites most to the one that rewrites nothing.
const STRATEGIES: [Strategy; 6] = [
    ("leveled, fan-out 10", || Box::new(leveled())),
    ("leveled, fan-out 4", || Box::new(leveled().fan_out(4))),
    ("tiered, space limit 0.25", || Box::new(tiered().space_limit(0.25))),
    ("tiered, space limit 1", || Box::new(tiered())),
    ("time windows, eight in all", || Box::new(windows())),
    ("first in, first out, twice the data", || Box::new(Fifo::new().bytes_max(2 * RECORDS * RECORD_BYTES))),
];

fn leveled() -> Leveled {
    Leveled::default().base_bytes(4 * TABLE_BYTES).table_bytes(TABLE_BYTES)
}

fn tiered() -> Tiered {
    Tiered::default().table_bytes(TABLE_BYTES)
}

fn windows() -> TimeWindow {
    let window_seconds = (RECORDS + OVERWRITES) / WRITES_PER_SECOND / 8;
    TimeWindow::default().window_seconds(window_seconds).table_bytes(TABLE_BYTES)
}

/// The standard parts, but compacted in some way.
struct Compacted(fn() -> Box<dyn CompactionPicker>);

impl Parts for Compacted {
    type Log = SegmentedLog;
    type Memtable = BPlusTree;
    type Tables = BlockTables;
    type Picker = Box<dyn CompactionPicker>;

    fn log(&self, site: &Site) -> Result<SegmentedLog, Fault> {
        site.log()
    }
    fn tables(&self, site: &Site, keyspace: &KeyspaceOptions) -> BlockTables {
        site.tables(keyspace)
    }
    fn picker(&self, _: &Site, _: &KeyspaceOptions) -> Box<dyn CompactionPicker> {
        (self.0)()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "| overwrites | strategy | written | simulated | space | simulated | at rest: runs | space | puts/s | gets/s | scans/s |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for (popularity, how) in [(Popularity::Uniform, "uniform"), (Popularity::Zipf(0.99), "Zipf 0.99")] {
        let drawn = draw(popularity);
        for (name, picker) in STRATEGIES {
            let real = run(picker, &drawn)?;
            let simulated = simulate(&*picker(), popularity, &real);
            println!(
                "| {how} | {name} | {:.1} | {:.1} | {:.2} | {:.2} | {} | {:.2} | {:.0} k | {:.0} k | {:.1} k |",
                real.write_amplification,
                simulated.0,
                real.space_amplification,
                simulated.1,
                real.runs_at_rest,
                real.space_at_rest,
                real.puts_per_second / 1e3,
                real.gets_per_second / 1e3,
                real.scans_per_second / 1e3,
            );
        }
    }
    Ok(())
}

/// What a store came to.
struct Real {
    /// Bytes of tables written for each byte of keys and values, until nothing was left to do.
    write_amplification: f64,
    /// Bytes of tables for each byte that one entry of each key takes, on average over the overwrites.
    space_amplification: f64,
    space_at_rest: f64,
    runs_at_rest: u64,
    puts_per_second: f64,
    /// At rest, random keys.
    gets_per_second: f64,
    /// At rest, of 100 records from a random key on.
    scans_per_second: f64,
    /// For the simulation.
    writes_per_flush: f64,
    entry_bytes: f64,
}

fn run(
    picker: fn() -> Box<dyn CompactionPicker>,
    overwrites: &[u64],
) -> Result<Real, Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir_in(".")?;
    let written = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&written);
    let options = Options::new()
        .memtable_bytes(TABLE_BYTES as usize)
        .cache_bytes(256 << 20)
        .compression(Compression::None)
        .clock(move || 1 + clock.load(Ordering::Relaxed) / WRITES_PER_SECOND);
    let engine: Engine<Compacted> =
        options.open_with(Compacted(picker), StdFs::shared(), dir.path().join("store"))?;

    let mut random = Random(7);
    let mut order: Vec<u64> = (0..RECORDS).collect();
    for at in (1..RECORDS).rev() {
        order.swap(at as usize, random.below(at + 1) as usize);
    }
    let begun = Instant::now();
    let mut sizes = Vec::new();
    let mut value = [0; VALUE_BYTES as usize];
    for (number, record) in (0_u64..).zip(order.iter().chain(overwrites)) {
        value[..8].copy_from_slice(&number.to_le_bytes());
        engine.put(key(*record), value)?;
        written.store(number, Ordering::Relaxed);
        if number >= RECORDS && number % SAMPLE_EVERY == 0 {
            sizes.push(size(&engine).0 as f64);
        }
    }
    let puts_per_second = (RECORDS + OVERWRITES) as f64 / begun.elapsed().as_secs_f64();
    engine.flush()?;
    engine.settle()?;

    let stats = engine.stats();
    let (size_bytes, entries) = size(&engine);
    let entry_bytes = size_bytes as f64 / entries as f64;
    let one_of_each = RECORDS as f64 * entry_bytes;
    let writes = (RECORDS + OVERWRITES) as f64;
    Ok(Real {
        write_amplification: (stats.flushes.written_bytes + stats.compactions.written_bytes) as f64
            / (writes * RECORD_BYTES as f64),
        space_amplification: sizes.iter().sum::<f64>() / sizes.len() as f64 / one_of_each,
        space_at_rest: size_bytes as f64 / one_of_each,
        runs_at_rest: stats.keyspaces[0].levels.iter().map(|level| level.runs).sum(),
        puts_per_second,
        gets_per_second: rate(300_000, || {
            engine.get_with(key(random.below(RECORDS)), |value| value[0]).map(drop)
        })?,
        scans_per_second: rate(20_000, || {
            let mut cursor = engine.cursor();
            let mut entry = cursor.seek(key(random.below(RECORDS)))?;
            let mut left = 100;
            while entry.is_some() && left > 0 {
                entry = cursor.next()?;
                left -= 1;
            }
            Ok(())
        })?,
        writes_per_flush: writes / stats.flushes.count as f64,
        entry_bytes,
    })
}

/// How often a second `act` can be done.
fn rate(times: u32, mut act: impl FnMut() -> Result<(), lsmkit::Error>) -> Result<f64, lsmkit::Error> {
    let begun = Instant::now();
    (0..times).try_for_each(|_| act())?;
    Ok(f64::from(times) / begun.elapsed().as_secs_f64())
}

/// The bytes and the entries of all tables.
fn size(engine: &Engine<Compacted>) -> (u64, u64) {
    let stats = engine.stats();
    let levels = stats.keyspaces.iter().flat_map(|keyspace| &keyspace.levels);
    levels.fold((0, 0), |(bytes, entries), level| (bytes + level.size_bytes, entries + level.entries))
}

/// Write and space amplification of the same, simulated: memtables and entries are as large as the store's turned out to be,
/// and background work takes no time.
fn simulate(picker: &dyn CompactionPicker, popularity: Popularity, real: &Real) -> (f64, f64) {
    let workload = Workload::new(RECORDS)
        .record_bytes(KEY_BYTES, VALUE_BYTES)
        .overhead_bytes(real.entry_bytes - RECORD_BYTES as f64)
        .load(Load::AtRandom)
        .popularity(popularity)
        .overwrites(OVERWRITES as f64 / RECORDS as f64);
    let machine = Machine::instantaneous()
        .memtable_bytes((real.writes_per_flush * RECORD_BYTES as f64) as u64)
        .offered_bytes_per_second((WRITES_PER_SECOND * RECORD_BYTES) as f64);
    let report = Simulation::new(workload, machine).samples(1000).run(picker);
    (report.all().write_amplification(), report.space_amplification_mean)
}

/// The records that are overwritten, one after another; popular ones are scattered.
fn draw(popularity: Popularity) -> Vec<u64> {
    let exponent = if let Popularity::Zipf(exponent) = popularity { exponent } else { 0.0 };
    let mut sums = vec![0.0];
    for rank in 1..=RECORDS {
        sums.push(sums.last().copied().unwrap_or(0.0) + (rank as f64).powf(-exponent));
    }
    let all = sums.last().copied().unwrap_or(0.0);
    let mut random = Random(11);
    let mut one = || {
        let drawn = random.any() as f64 / u64::MAX as f64 * all;
        let rank = sums.partition_point(|sum| *sum <= drawn) as u64 - 1;
        rank.min(RECORDS - 1) * 7919 % RECORDS
    };
    (0..OVERWRITES).map(|_| one()).collect()
}

fn key(record: u64) -> [u8; KEY_BYTES as usize] {
    let mut key = *b"0000000000000000";
    let mut left = record;
    for digit in key.iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
    }
    key
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.any() % end.max(1)
    }
}
