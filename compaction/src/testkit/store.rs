//! A store in memory that runs jobs as an engine would, but for the I/O.

use std::collections::BTreeMap;
use std::sync::Arc;

use lsmkit_base::{
    Entry, Fault, KeyRef, RunId, SeqNo, TableChange, TableId, TableMeta, Tree, ValueKind, Written,
};

use super::{Rng, VecCursor};
use crate::{Busy, Job, JobKind, Output, Rewritten};

/// One version of one key, without a value: the sequence number stands for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// The user key.
    pub user_key: Box<[u8]>,
    /// The number of the write.
    pub seq: SeqNo,
    /// A value or a tombstone.
    pub kind: ValueKind,
}

impl Version {
    /// Its place in the order.
    #[inline]
    pub fn key(&self) -> KeyRef<'_> {
        KeyRef::new(&self.user_key, self.seq)
    }

    /// It as an entry with an empty value.
    #[inline]
    pub fn entry(&self) -> Entry<'_> {
        Entry { user_key: &self.user_key, seq: self.seq, kind: self.kind, value: &[] }
    }
}

/// A job between its start and its end.
#[derive(Clone, Debug)]
struct Running {
    job: Job,
    outputs: Vec<(Arc<TableMeta>, Arc<[Version]>)>,
    held: Busy,
}

/// A tree with what its tables hold, to run jobs on.
///
/// Panics where a job can't run: it is for tests.
#[derive(Clone, Debug)]
pub struct ModelStore {
    /// The tables.
    pub tree: Tree,
    /// How many bytes an entry counts for.
    pub entry_bytes: u64,
    /// Merges go in parts of this many bytes or more; as a whole unless set.
    pub part_bytes: u64,
    /// Whether nothing has been written for a while; true unless set.
    pub at_leisure: bool,
    /// What time it is, in seconds; 0, not known, unless set.
    pub now: u64,
    /// Bytes written by flushes.
    pub flushed_bytes: u64,
    /// Bytes written by merges that have ended.
    pub merged_bytes: u64,
    contents: BTreeMap<TableId, Arc<[Version]>>,
    running: Vec<Running>,
    next_table: u64,
    next_run: u64,
    next_seq: u64,
}

impl ModelStore {
    /// An empty store whose entries count for `entry_bytes` each.
    pub fn new(entry_bytes: u64) -> ModelStore {
        ModelStore {
            tree: Tree::default(),
            entry_bytes,
            part_bytes: u64::MAX,
            at_leisure: true,
            now: 0,
            flushed_bytes: 0,
            merged_bytes: 0,
            contents: BTreeMap::new(),
            running: Vec::new(),
            next_table: 1,
            next_run: 1,
            next_seq: 1,
        }
    }

    /// A store of any sound shape, whichever strategy might have left it: up to seven levels of up
    /// to a few runs of disjoint tables, with keys of two bytes.
    pub fn random(rng: &mut Rng, entry_bytes: u64) -> ModelStore {
        let mut store = ModelStore::new(entry_bytes);
        let levels = rng.below(8) as u32;
        let keys = 1 + rng.below(200);
        let leveled = rng.once_in(2);
        for level in (0..levels).rev() {
            let runs = match level {
                0 => rng.below(10),
                _ if leveled => rng.below(2),
                _ => rng.below(5),
            };
            // Runs of different levels may have any numbers, as long as later flushes get greater ones.
            let mut run = 1 + rng.below(8);
            for _ in 0..runs {
                let share = 1 + rng.below(6);
                let mut versions: Vec<Version> = Vec::new();
                for key in (0..keys).filter(|_| rng.once_in(share)).collect::<Vec<_>>() {
                    let seq = store.take_seq();
                    versions.push(version(key, seq, rng.once_in(4)));
                }
                let per_table = 1 + rng.below(30) as usize;
                for part in versions.chunks(per_table).filter(|_| !rng.once_in(8)) {
                    let table = store.table(part);
                    store.install(&[TableChange::Add { level, run: RunId(run), table }]);
                }
                run += 1 + rng.below(3);
                store.next_run = store.next_run.max(run);
            }
        }
        store
    }

    /// The number of the last write.
    pub fn last_seq(&self) -> SeqNo {
        SeqNo::new(self.next_seq - 1).expect("because a model makes few writes")
    }

    /// The number of the next write, taken.
    pub fn take_seq(&mut self) -> SeqNo {
        self.next_seq += 1;
        self.last_seq()
    }

    /// Writes `versions`, with numbers from [`ModelStore::take_seq`], as one table in a new run of level 0.
    pub fn flush(&mut self, mut versions: Vec<Version>) {
        if versions.is_empty() {
            return;
        }
        versions.sort_by(|a, b| a.key().cmp(&b.key()));
        let table = self.table(&versions);
        self.flushed_bytes += table.size_bytes;
        let run = RunId(self.next_run);
        self.next_run += 1;
        self.install(&[TableChange::Add { level: 0, run, table }]);
    }

    /// Flushes `count` versions of keys of two bytes, of which there are `keys`, one in four of them
    /// a tombstone. Now and then the keys are neighbours.
    pub fn flush_random(&mut self, rng: &mut Rng, count: u64, keys: u64) {
        let first = rng.below(keys);
        let neighbours = rng.once_in(3);
        let versions = (0..count).map(|index| {
            let key = if neighbours { (first + index) % keys } else { rng.below(keys) };
            version(key, self.take_seq(), rng.once_in(4))
        });
        let versions = versions.collect();
        self.flush(versions);
    }

    /// What running jobs hold.
    pub fn busy(&self) -> Busy {
        let mut busy = Busy { at_leisure: self.at_leisure, now: self.now, ..Busy::default() };
        for running in &self.running {
            busy.tables.extend(&running.held.tables);
            busy.outputs.extend(running.held.outputs.iter().cloned());
        }
        busy
    }

    /// How many jobs run.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Begins `job`: its inputs are read now, as an engine does over time. With `snapshots`, what
    /// neither they nor the present can see is forgotten; without, every version is kept.
    ///
    /// # Panics
    ///
    /// Where the job must not run: [`Job::check`].
    pub fn start(&mut self, job: Job, snapshots: Option<&[SeqNo]>) {
        if let Err(unsound) = job.check(&self.tree, &self.busy()) {
            panic!("{unsound}: {job:?}\n{}", self.picture());
        }
        let outputs = match job.kind {
            JobKind::Move | JobKind::Drop => Vec::new(),
            JobKind::Merge => self.merge(&job, snapshots),
        };
        let held = Busy::of(&self.tree, [&job]);
        self.running.push(Running { job, outputs, held });
    }

    /// Ends the running job number `index` of those that run.
    ///
    /// # Panics
    ///
    /// Where there is none, or its change does not apply.
    pub fn finish(&mut self, index: usize) {
        let Running { job, outputs, .. } = self.running.remove(index);
        let metas: Vec<_> = outputs.iter().map(|(meta, _)| Arc::clone(meta)).collect();
        let changes = job.changes(&self.tree, &metas);
        self.merged_bytes += metas.iter().map(|meta| meta.size_bytes).sum::<u64>();
        for (meta, versions) in outputs {
            self.contents.insert(meta.id, versions);
        }
        self.install(&changes);
        let tree = &self.tree;
        self.contents.retain(|id, _| tree.tables().any(|table| table.id == *id));
    }

    /// Begins `job` and ends it.
    pub fn run(&mut self, job: Job, snapshots: Option<&[SeqNo]>) {
        self.start(job, snapshots);
        self.finish(self.running.len() - 1);
    }

    /// The number of the value that a reader at `at` finds for `user_key`, looking from the newest
    /// run to the oldest and believing the first that knows the key.
    pub fn read(&self, user_key: &[u8], at: SeqNo) -> Option<SeqNo> {
        for run in self.tree.levels.iter().flat_map(|level| &level.runs) {
            for table in run.overlapping(user_key, user_key) {
                let versions = &self.contents[&table.id];
                let target = KeyRef::new(user_key, at);
                let found = versions.get(versions.partition_point(|version| version.key() < target));
                if let Some(version) = found.filter(|version| *version.user_key == *user_key) {
                    return (version.kind == ValueKind::Put).then_some(version.seq);
                }
            }
        }
        None
    }

    /// All versions, by run from the newest to the oldest.
    pub fn versions(&self) -> impl Iterator<Item = &Version> {
        self.tree.tables().flat_map(|table| &*self.contents[&table.id])
    }

    /// The versions that one table holds.
    pub fn versions_of(&self, table: TableId) -> &[Version] {
        &self.contents[&table]
    }

    /// Checks that whoever reads from the newest run to the oldest meets the versions of each key in
    /// that order.
    ///
    /// # Panics
    ///
    /// Where not.
    pub fn assert_order_of_ages(&self) {
        let mut oldest: BTreeMap<&[u8], SeqNo> = BTreeMap::new();
        for version in self.versions() {
            if let Some(newer) = oldest.insert(&version.user_key, version.seq) {
                let key = version.user_key.escape_ascii();
                assert!(newer > version.seq, "{key} {newer} hides {}\n{}", version.seq, self.picture());
            }
        }
    }

    /// The tree, one run a line.
    pub fn picture(&self) -> String {
        let mut lines = String::new();
        for (level, runs) in self.tree.levels.iter().enumerate() {
            for run in &runs.runs {
                lines += &format!("L{level} r{}:", run.id.0);
                for table in &run.tables {
                    let (from, to) = (table.smallest.escape_ascii(), table.largest.escape_ascii());
                    lines += &format!(" {}[{from}-{to}]{}", table.id.0, table.size_bytes);
                }
                lines += "\n";
            }
        }
        lines
    }

    fn merge(&mut self, job: &Job, snapshots: Option<&[SeqNo]>) -> Vec<(Arc<TableMeta>, Arc<[Version]>)> {
        let sources: Vec<Vec<Version>> = job
            .sources(&self.tree)
            .iter()
            .map(|source| source.tables.iter().flat_map(|table| self.contents[&table.id].to_vec()).collect())
            .collect();
        let anchors = |table: &Arc<TableMeta>| {
            let mut keys: Vec<_> =
                self.contents[&table.id].iter().map(|version| version.user_key.clone()).collect();
            keys.dedup();
            keys.into_iter().skip(1).step_by(2).collect()
        };
        let inputs = || job.sources(&self.tree).into_iter().flat_map(|source| source.tables);
        let written = inputs().map(|table| table.written).fold(Written::default(), Written::join);
        let mut output = Tables { entry_bytes: self.entry_bytes, tables: vec![Vec::new()] };
        for part in job.parts(&self.tree, self.part_bytes, anchors) {
            let children = sources.iter().map(|versions| VecCursor::new(versions)).collect();
            let rewritten = job.rewrite(&self.tree, &part, children, snapshots, &mut output);
            assert_eq!(rewritten.expect("because memory does not fail"), Rewritten::Whole);
        }
        let tables = output.tables.into_iter().filter(|table| !table.is_empty());
        tables.map(|table| (self.meta(&table, written), table.into())).collect()
    }

    fn table(&mut self, versions: &[Version]) -> Arc<TableMeta> {
        let meta = self.meta(versions, Written::at(self.now));
        self.contents.insert(meta.id, versions.into());
        meta
    }

    fn meta(&mut self, versions: &[Version], written: Written) -> Arc<TableMeta> {
        let id = TableId(self.next_table);
        self.next_table += 1;
        let size_bytes = versions.len() as u64 * self.entry_bytes;
        let tombstones = versions.iter().filter(|version| version.kind == ValueKind::Delete).count();
        Arc::new(TableMeta {
            id,
            size_bytes,
            raw_bytes: size_bytes,
            entries: versions.len() as u64,
            tombstones: tombstones as u64,
            smallest: versions.first().map(|version| version.user_key.clone()).unwrap_or_default(),
            largest: versions.last().map(|version| version.user_key.clone()).unwrap_or_default(),
            seq_min: versions.iter().map(|version| version.seq).min().unwrap_or_default(),
            seq_max: versions.iter().map(|version| version.seq).max().unwrap_or_default(),
            written,
            ..TableMeta::default()
        })
    }

    fn install(&mut self, changes: &[TableChange]) {
        match self.tree.apply(changes) {
            Ok(tree) => self.tree = tree,
            Err(error) => panic!("{error}: {changes:?}\n{}", self.picture()),
        }
    }
}

/// The output of a merge.
struct Tables {
    entry_bytes: u64,
    /// The last is the one that was begun, if it is not empty.
    tables: Vec<Vec<Version>>,
}

impl Tables {
    fn last(&mut self) -> &mut Vec<Version> {
        self.tables.last_mut().expect("because there is one from the start")
    }
}

impl Output for Tables {
    fn table_bytes(&self) -> u64 {
        self.tables.last().map_or(0, |table| table.len() as u64 * self.entry_bytes)
    }

    fn add(&mut self, entry: Entry<'_>) -> Result<(), Fault> {
        let version = Version { user_key: entry.user_key.into(), seq: entry.seq, kind: entry.kind };
        self.last().push(version);
        Ok(())
    }

    fn cut(&mut self) -> Result<(), Fault> {
        if !self.last().is_empty() {
            self.tables.push(Vec::new());
        }
        Ok(())
    }
}

fn version(key: u64, seq: SeqNo, tombstone: bool) -> Version {
    let kind = if tombstone { ValueKind::Delete } else { ValueKind::Put };
    Version { user_key: (key as u16).to_be_bytes().into(), seq, kind }
}
