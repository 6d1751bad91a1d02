//! A compaction strategy of one's own: everything becomes one run once there are so many of them.
//!
//! `cargo run --example picker`

use lsmkit::{Engine, Fault, KeyspaceOptions, Options, Parts, Site, parts};
use lsmkit_base::Tree;
use lsmkit_compaction::{Busy, Cause, CompactionPicker, Job, JobKind, Pressure};

/// Good for a store that is filled now and then and read for long.
struct OneRun {
    /// So many runs are merged.
    runs: usize,
}

impl CompactionPicker for OneRun {
    fn name(&self) -> &str {
        "one run"
    }

    fn pick(&self, tree: &Tree, busy: &Busy) -> Option<Job> {
        let runs = || tree.levels.iter().flat_map(|level| &level.runs);
        // With leisure there is no need to wait for more.
        let wanted = if busy.at_leisure { 2 } else { self.runs };
        if runs().count() < wanted || !tree.tables().all(|table| busy.is_idle(table)) {
            return None;
        }
        Some(Job {
            inputs: tree.tables().map(|table| table.id).collect(),
            level: 1,
            // The merge takes the place of the run that is there, or is named after the newest of its inputs.
            run: tree.levels.get(1).and_then(|level| level.runs.first()).or(runs().next())?.id,
            kind: JobKind::Merge,
            table_bytes: 16 << 20,
            cause: Cause::Runs,
        })
    }

    fn pressure(&self, tree: &Tree) -> Pressure {
        let runs = tree.levels.iter().map(|level| level.runs.len()).sum();
        let debt_bytes = if runs >= self.runs { tree.size_bytes() } else { 0 };
        Pressure { runs, runs_slow: 3 * self.runs, runs_stop: 5 * self.runs, debt_bytes }
    }
}

/// The standard parts, but for the strategy.
struct InOneRun;

impl Parts for InOneRun {
    type Log = parts::SegmentedLog;
    type Memtable = parts::BPlusTree;
    type Tables = parts::BlockTables;
    type Picker = OneRun;

    fn log(&self, site: &Site) -> Result<parts::SegmentedLog, Fault> {
        site.log()
    }
    fn tables(&self, site: &Site, keyspace: &KeyspaceOptions) -> parts::BlockTables {
        site.tables(keyspace)
    }
    fn picker(&self, _: &Site, _: &KeyspaceOptions) -> OneRun {
        OneRun { runs: 4 }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let options = Options::new().memtable_bytes(256 << 10);
    let engine: Engine<InOneRun> =
        options.open_with(InOneRun, parts::StdFs::shared(), dir.path().join("store"))?;
    for n in 0..50_000_u32 {
        engine.put(format!("key{:05}", n.wrapping_mul(7919) % 20_000), n.to_be_bytes())?;
    }
    engine.flush()?;
    engine.settle()?;

    let stats = engine.stats();
    for past in &stats.history {
        println!(
            "{:?}: {} tables, {} bytes -> {} bytes",
            past.cause, past.tables, past.size_bytes, past.written_bytes
        );
    }
    let runs: u64 = stats.keyspaces[0].levels.iter().map(|level| level.runs).sum();
    assert_eq!((runs, engine.scan(..).count()), (1, 20_000));
    engine.close()?;
    Ok(())
}
