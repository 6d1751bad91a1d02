//! The simulation of `lsmkit-compaction` against an engine that really runs: the same settings have to come to the same
//! bytes written, and the same bytes at rest.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use lsmkit::parts::{BPlusTree, BlockTables, CompactionPicker, Leveled, MemFs, SegmentedLog, Tiered};
use lsmkit::{
    Background, Compression, Durability, Engine, Fault, KeyspaceOptions, Options, Parts, Site, Standard,
};
use lsmkit_compaction::simulate::{Load, Machine, Popularity, Simulation, Workload};

const RECORDS: u64 = 20_000;
const KEY_BYTES: u64 = 16;
const VALUE_BYTES: u64 = 100;
const RECORD_BYTES: u64 = KEY_BYTES + VALUE_BYTES;
/// Overwrites for each record.
const OVERWRITES: u64 = 6;

/// The standard parts, but compacted in tiers.
struct InTiers(Tiered);

impl Parts for InTiers {
    type Log = SegmentedLog;
    type Memtable = BPlusTree;
    type Tables = BlockTables;
    type Picker = Tiered;

    fn log(&self, site: &Site) -> Result<SegmentedLog, Fault> {
        site.log()
    }
    fn tables(&self, site: &Site, keyspace: &KeyspaceOptions) -> BlockTables {
        site.tables(keyspace)
    }
    fn picker(&self, _: &Site, _: &KeyspaceOptions) -> Tiered {
        self.0.clone()
    }
}

/// What an engine came to.
struct Real {
    write_amplification: f64,
    /// Of all tables, after each flush and all that follows from it, on average over the overwrites.
    size_bytes_mean: f64,
    size_bytes_at_rest: u64,
    /// Writes to a flush.
    writes_per_flush: f64,
    /// Bytes of tables for an entry.
    entry_bytes: f64,
}

/// Loads records in random order, overwrites them as `popularity` says, and works off all there is to do after every flush.
fn engine<P: Parts>(parts: P, leveled: Leveled, popularity: Popularity) -> Real {
    let engine: Engine<P> = Options::new()
        .memtable_bytes(64 << 10)
        .cache_bytes(1 << 20)
        .compression(Compression::None)
        .leveled(leveled)
        .background(Background::Steps)
        .durability(Durability::None)
        .uid_seed(1)
        .open_with(parts, MemFs::new().shared(), "/store")
        .unwrap();
    let mut random = Random(7);
    let mut order: Vec<u64> = (0..RECORDS).collect();
    for at in (1..RECORDS).rev() {
        order.swap(at as usize, random.below(at + 1) as usize);
    }
    let draw = popular(popularity);
    let overwrites: Vec<u64> = (0..OVERWRITES * RECORDS).map(|_| draw(&mut random)).collect();

    let mut sizes = Vec::new();
    for (number, key) in order.iter().chain(&overwrites).enumerate() {
        engine.put(format!("{key:016}"), [number as u8; VALUE_BYTES as usize]).unwrap();
        let mut is_flushed = false;
        while engine.step().unwrap() {
            is_flushed = true;
        }
        if number as u64 == RECORDS - 1 {
            // The simulation's memtables have of the load or of the overwrites.
            engine.flush().unwrap();
            while engine.step().unwrap() {}
        } else if is_flushed && number as u64 >= RECORDS {
            sizes.push(size(&engine).0 as f64);
        }
    }
    let writes = (RECORDS + OVERWRITES * RECORDS) as f64;
    let stats = engine.stats();
    let full = stats.flushes.count as f64 - 1.0;
    engine.flush().unwrap();
    while engine.step().unwrap() {}
    let stats = engine.stats();
    let (size_bytes, entries) = size(&engine);
    Real {
        write_amplification: (stats.flushes.written_bytes + stats.compactions.written_bytes) as f64
            / (writes * RECORD_BYTES as f64),
        size_bytes_mean: sizes.iter().sum::<f64>() / sizes.len() as f64,
        size_bytes_at_rest: size_bytes,
        writes_per_flush: writes / full,
        entry_bytes: size_bytes as f64 / entries as f64,
    }
}

/// The bytes and the entries of all tables.
fn size<P: Parts>(engine: &Engine<P>) -> (u64, u64) {
    let stats = engine.stats();
    let levels = stats.keyspaces.iter().flat_map(|keyspace| &keyspace.levels);
    levels.fold((0, 0), |(bytes, entries), level| (bytes + level.size_bytes, entries + level.entries))
}

/// Compares an engine with its simulation, for each popularity.
///
/// A memtable is full by the memory it takes, which is more than its keys and values: the simulation is given as large ones as the
/// engine's turned out to be, and entries of the size that they have in its tables. Steps are taken at leisure.
#[track_caller]
fn agrees(picker: &dyn CompactionPicker, engine: impl Fn(Popularity) -> Real) {
    for popularity in [Popularity::Uniform, Popularity::Zipf(0.99)] {
        let real = engine(popularity);
        let workload = Workload::new(RECORDS)
            .record_bytes(KEY_BYTES, VALUE_BYTES)
            .overhead_bytes(real.entry_bytes - RECORD_BYTES as f64)
            .load(Load::AtRandom)
            .popularity(popularity)
            .overwrites(OVERWRITES as f64);
        let machine = Machine::instantaneous()
            .memtable_bytes((real.writes_per_flush * RECORD_BYTES as f64) as u64)
            .leisure_seconds(0.0);
        let report = Simulation::new(workload, machine).samples(1000).run(picker);
        let written = report.all().write_amplification();
        let size = report.space_amplification_mean * RECORDS as f64 * real.entry_bytes;
        let off = |simulated: f64, real: f64| (simulated / real - 1.0) * 100.0;
        let written_off = off(written, real.write_amplification);
        let size_off = off(size, real.size_bytes_mean);
        let rest_off = off(report.at_rest.size_bytes as f64, real.size_bytes_at_rest as f64);
        println!(
            "{} {popularity:?}: {:.0} writes to a flush, {:.1} bytes an entry; write amplification {written:.2} for {:.2} \
             ({written_off:+.1} %), bytes {size:.0} for {:.0} ({size_off:+.1} %), at rest {} for {} ({rest_off:+.1} %)",
            picker.name(),
            real.writes_per_flush,
            real.entry_bytes,
            real.write_amplification,
            real.size_bytes_mean,
            report.at_rest.size_bytes,
            real.size_bytes_at_rest,
        );
        assert!(written_off.abs() < 10.0 && size_off.abs() < 10.0, "{report}");
        // At rest is one moment: a merge of all that comes a flush earlier or later makes a large difference there.
        assert!(rest_off.abs() < 10.0 || picker.name() == "tiered", "{report}");
    }
}

#[test]
fn leveled_compaction_is_what_is_simulated() {
    let leveled = || Leveled::default().base_bytes(128 << 10).fan_out(4).table_bytes(32 << 10);
    agrees(&leveled(), |popularity| engine(Standard, leveled(), popularity));
}

#[test]
fn tiered_compaction_is_what_is_simulated() {
    let tiered = || Tiered::default().table_bytes(32 << 10);
    agrees(&tiered(), |popularity| engine(InTiers(tiered()), Leveled::default(), popularity));
}

/// Draws records by popularity; popular ones are scattered.
fn popular(popularity: Popularity) -> impl Fn(&mut Random) -> u64 {
    let exponent = if let Popularity::Zipf(exponent) = popularity { exponent } else { 0.0 };
    let mut sums = vec![0.0];
    for rank in 1..=RECORDS {
        sums.push(sums.last().unwrap() + (rank as f64).powf(-exponent));
    }
    move |random| {
        let drawn = random.any() as f64 / u64::MAX as f64 * sums.last().unwrap();
        let rank = sums.partition_point(|sum| *sum <= drawn) as u64 - 1;
        rank.min(RECORDS - 1) * 7919 % RECORDS
    }
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
