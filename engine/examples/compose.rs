//! An engine of other parts: memtables that are B-trees, compaction by tiers.
//!
//! `cargo run --example compose`

use lsmkit::{Engine, Fault, KeyspaceOptions, Options, Parts, Site, parts};

/// The composition: named once, here.
pub(crate) struct TieredBTrees;

impl Parts for TieredBTrees {
    type Log = parts::SegmentedLog;
    type Memtable = parts::BTree;
    type Tables = parts::BlockTables;
    type Picker = parts::Tiered;

    fn log(&self, site: &Site) -> Result<parts::SegmentedLog, Fault> {
        site.log()
    }
    fn tables(&self, site: &Site, keyspace: &KeyspaceOptions) -> parts::BlockTables {
        site.tables(keyspace)
    }
    fn picker(&self, _: &Site, _: &KeyspaceOptions) -> parts::Tiered {
        parts::Tiered::default()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let options = Options::new().memtable_bytes(256 << 10);
    let engine: Engine<TieredBTrees> =
        options.open_with(TieredBTrees, parts::StdFs::shared(), dir.path().join("store"))?;

    for n in 0..20_000_u32 {
        engine.put(format!("key{:05}", n.wrapping_mul(7919) % 20_000), n.to_be_bytes())?;
    }
    engine.flush()?;
    engine.settle()?;
    assert_eq!(engine.scan(..).count(), 20_000);

    for (level, stats) in engine.stats().keyspaces[0].levels.iter().enumerate() {
        println!("level {level}: {} runs, {} tables, {} bytes", stats.runs, stats.tables, stats.size_bytes);
    }
    engine.close()?;
    Ok(())
}
