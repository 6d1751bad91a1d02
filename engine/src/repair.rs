//! Makes a damaged store one that opens, with all that can still be read.
//!
//! Everything new is durable before anything takes its place: first tables with what was read out of damaged ones and of the log,
//! then the names under which the damaged tables are set aside, then the manifest. Stopped on any line, a repair can be run again and
//! comes to the same end.

mod log;
mod rebuild;
mod report;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsmkit_base::{Fault, FaultContext, KeyspaceId, SegmentId, SeqNo, TableChange, TableId, TableMeta};
use lsmkit_manifest::{Change, Edit, Manifest, State};
use lsmkit_sstable::{BlockTables, Tables};
use lsmkit_vfs::{Fs, LockKind, StdFs};

use self::log::LogLook;
use crate::batch::DEFAULT_KEYSPACE;
use crate::cleanup::Unnamed;
use crate::flush::{add_to_level0, only_rising, table_changes};
use crate::recover::{self, DEFAULT_NAME};
use crate::{Error, KeyspaceOptions, Options, Site};

pub use report::{DamagedLog, DamagedTable, Repaired};

/// Makes a damaged store one that opens, with all that can still be read.
///
/// Reads every byte of the store. Where nothing is wrong, nothing changes. Else
///
/// - of a damaged table every block that is sound is kept, in a new table, where the table's footer and index can be read; what is lost is the blocks that are
///   not, and [`Repaired`] tells between which keys they lie. **An older value of a lost key may come to light, or one that had been deleted**: it
///   was in another table, hidden by what is lost.
/// - of a damaged log every record that is whole is kept, in new tables, those behind the damage too. So
///   the store is no longer as it was at any one moment.
/// - where no manifest can be read, one is made anew of all tables and the log, the newest version of each key in any of them. Tables
///   that a compaction had replaced and that were not removed yet are among them: **what had been deleted may be back**.
///   It takes as much room again as the data. So it is, too, where the manifest names tables that are gone, or does not know what the log writes to: then its end is lost.
///
/// No file is destroyed that could not be read as a whole: tables and manifests get names that end in `.damaged`, and nothing reads them any more; of segments
/// of the log there are copies with names that end in `.torn`.
///
/// A repair that is stopped, by a crash or an error, is to be run again, and comes to the same end.
///
/// Copy the directory first, if you can, and if there is a backup, prefer it.
///
/// For stores of [`SegmentedLog`](crate::parts::SegmentedLog) and [`BlockTables`], whatever memtables and strategy they use.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("store");
/// # lsmkit::Db::open(&path)?.close()?;
/// let repaired = lsmkit::Repair::new(&path).run()?;
/// assert!(repaired.is_sound());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Repair {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    options: Options,
    is_dry_run: bool,
}

impl Repair {
    /// Of the store at `path`.
    pub fn new(path: impl AsRef<Path>) -> Repair {
        let dir = path.as_ref().to_path_buf();
        Repair { fs: StdFs::shared(), dir, options: Options::new(), is_dry_run: false }
    }

    /// On another file system.
    #[must_use]
    pub fn on(mut self, fs: Arc<dyn Fs>) -> Repair {
        self.fs = fs;
        self
    }

    /// Writes tables as these options say. How much memory is used they say too: that of a memtable for each keyspace; beside it a segment of the log
    /// takes memory, and where a manifest is made anew, the index and the filter of each table, and some 600 KiB for each run that is merged.
    #[must_use]
    pub fn options(mut self, options: Options) -> Repair {
        self.options = options;
        self
    }

    /// Changes nothing on disk, and only tells what is damaged and what would be kept.
    #[must_use]
    pub fn dry_run(mut self, is_dry_run: bool) -> Repair {
        self.is_dry_run = is_dry_run;
        self
    }

    /// Repairs the store. Blocks until what it did is durable.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] where the store is open; [`Error::NoStore`] where there is none; [`Error::Unsupported`] where it was written by a
    /// later version; [`Error::NotAStore`] where the directory holds files and none of them is of a store; [`Error::Full`] and [`Error::Io`]
    /// where it can't be read or written for a reason that is no damage. After a full disk the store is as damaged as before; after another error of
    /// writing it may open only once it was repaired again.
    pub fn run(self) -> Result<Repaired, Error> {
        let Repair { fs, dir, options, is_dry_run } = self;
        rebuild::check_is_store(&*fs, &dir)?;
        let kind = if is_dry_run { LockKind::Shared } else { LockKind::Exclusive };
        let _lock = match recover::take_lock(&*fs, &dir, kind) {
            Ok(lock) => Some(lock),
            // A copy without its lock file has no writer.
            Err(Error::NoStore(_)) if is_dry_run => None,
            Err(error) => return Err(error),
        };
        let work = Work {
            next_table: rebuild::next_table(&*fs, &dir)?,
            site: Site::new(fs, &dir, options),
            is_dry_run,
            report: Repaired::default(),
            log: LogLook::default(),
            seen: BTreeSet::new(),
            written: Unnamed::new(),
            to_be_renamed: Vec::new(),
        };
        work.run()
    }
}

/// A repair under way.
struct Work {
    site: Site,
    is_dry_run: bool,
    /// No file has this number or a greater one.
    next_table: TableId,
    report: Repaired,
    /// What a first look at the log has shown.
    log: LogLook,
    /// The keyspaces of which something is kept.
    seen: BTreeSet<KeyspaceId>,
    /// New tables, until all of them are durable.
    written: Unnamed<BlockTables>,
    /// Damaged tables, and the names they are to have.
    to_be_renamed: Vec<(PathBuf, PathBuf)>,
}

/// No manifest takes as many keyspaces; `docs/formats/manifest.md`.
const KEYSPACES_MAX: u32 = 1 << 31;

/// A table and the keyspace it is of.
type Kept = (KeyspaceId, Arc<TableMeta>);

impl Work {
    fn run(mut self) -> Result<Repaired, Error> {
        match self.open_manifest() {
            Ok(manifest) if self.tells_all(manifest.state())? => self.mend(manifest)?,
            Ok(manifest) => {
                let what =
                    "the newest edit is gone: tables or records are there, or are not, that it would tell of";
                self.report.manifest.get_or_insert(Fault::corrupt(self.site.dir(), 0, what));
                self.rebuild(manifest.state(), MayLack::ItsLastEdit)?;
            }
            Err(fault) if fault.is_damage() => {
                self.report.manifest = Some(fault);
                let known = Manifest::salvage(&**self.site.fs(), self.site.dir())?;
                self.rebuild(&known.unwrap_or_default(), MayLack::Much)?;
            }
            Err(fault) => return Err(fault.into()),
        }
        Ok(self.report)
    }

    fn open_manifest(&mut self) -> Result<Manifest, Fault> {
        let (fs, dir) = (self.site.fs(), self.site.dir());
        let manifest = match Manifest::open(Arc::clone(fs), dir)? {
            Some(manifest) => manifest,
            None => {
                let no_marker = Fault::corrupt(dir, 0, "no CURRENT- file tells which manifest is in force");
                let newest =
                    Manifest::open_unmarked(Arc::clone(fs), dir)?.ok_or_else(|| no_marker.clone())?;
                self.report.manifest = Some(no_marker);
                newest
            }
        };
        recover::check_manifest(&self.site, manifest.state())?;
        Ok(manifest)
    }

    /// Whether what is on disk can be what the manifest tells, damage apart.
    ///
    /// An edit at its end that is damaged passes for torn, and then it is one edit behind: it names tables that a compaction has
    /// removed, and does not name those that took their place; or a flush has put in a table what the log does not have any more.
    fn tells_all(&mut self, state: &State) -> Result<bool, Error> {
        let tables = self.tables(DEFAULT_KEYSPACE, DEFAULT_NAME);
        let on_disk: BTreeSet<_> = tables.list()?.into_iter().collect();
        let is_there = |table: &TableMeta| {
            on_disk.contains(&table.id) || self.site.fs().open(&tables::aside(&tables.path(table.id))).is_ok()
        };
        if !state.keyspaces.values().flat_map(|keyspace| keyspace.tree.tables()).all(|table| is_there(table))
        {
            return Ok(false);
        }
        self.log = self.look_at_log(Some(state))?;
        Ok(self.log.is_of(state))
    }

    /// Replaces what is damaged, where the manifest tells what belongs where.
    fn mend(&mut self, mut manifest: Manifest) -> Result<(), Error> {
        let state = manifest.state().clone();
        self.next_table = self.next_table.max(state.next_table);
        let mut changes = Vec::new();
        for (&id, keyspace) in &state.keyspaces {
            let tables = self.tables(id, &keyspace.name);
            for (level, runs) in (0..).zip(&keyspace.tree.levels) {
                for run in &runs.runs {
                    for table in &run.tables {
                        let Some(kept) = self.check_table(&tables, &keyspace.name, table, level)? else {
                            continue;
                        };
                        let removed = TableChange::Remove { table: table.id };
                        let added =
                            kept.map(|kept| TableChange::Add { level, run: run.id, table: Arc::new(kept) });
                        let change: Vec<_> = std::iter::once(removed).chain(added).collect();
                        changes.extend(table_changes(id, &change));
                    }
                }
            }
        }
        if self.log.fault.is_none() {
            // It stays as it is.
            changes.extend(state.log_end.map(Change::LogEnd));
        } else {
            let names = state.keyspaces.iter().map(|(id, known)| (*id, known.name.clone())).collect();
            let is_needed = |keyspace, segment, seq| is_needed(&state, keyspace, segment, seq);
            let log = self.save_log(Some(state.log_floor()), &names, &is_needed)?;
            for (id, table) in &log.tables {
                changes.extend(table_changes(*id, &[add_to_level0(table)]));
                changes.push(Change::Flushed { keyspace: *id, seq: table.seq_max });
            }
            for &id in state.keyspaces.keys() {
                changes.push(Change::LogFloor { keyspace: id, segment: log.next });
            }
            changes.push(Change::LastSeq(log.last_seq.max(state.last_seq)));
        }
        if self.is_dry_run || self.report.is_sound() {
            return Ok(());
        }
        // First, so that the tables of the edit are below it.
        changes.insert(0, Change::NextTable(self.next_table));
        let edit = only_rising(Edit { changes }, &state);
        self.make_durable()?;
        let renamed = self.set_tables_aside()?;
        if let Err(fault) = manifest.commit(&edit) {
            if manifest.failed().is_none() {
                // It is not in force: as before, whoever opens the store is to find the tables.
                self.take_back(&renamed)?;
            }
            return Err(fault.into());
        }
        // It is in force, and whoever opens the store next begins another anyway.
        let _ = manifest.close();
        Ok(())
    }

    /// Makes all that was kept durable, under names that outlive this repair: another one finds them, and a store that opens sweeps
    /// those that nothing names.
    fn make_durable(&mut self) -> Result<(), Fault> {
        self.tables(DEFAULT_KEYSPACE, DEFAULT_NAME).sync_names()?;
        self.written.release();
        self.copy_segments_aside()
    }

    /// Renames the damaged tables, durably; all of them or none, as far as that can be.
    fn set_tables_aside(&mut self) -> Result<Vec<(PathBuf, PathBuf)>, Fault> {
        let renaming = std::mem::take(&mut self.to_be_renamed);
        let mut renamed = Vec::new();
        for (from, to) in renaming {
            if let Err(fault) = self.site.fs().rename(&from, &to).at(&from) {
                self.take_back(&renamed)?;
                return Err(fault);
            }
            self.report.set_aside.push(to.clone());
            renamed.push((from, to));
        }
        if !renamed.is_empty() {
            let dir = self.site.dir();
            if let Err(fault) = self.site.fs().sync_dir(dir).at(dir) {
                self.take_back(&renamed)?;
                return Err(fault);
            }
        }
        Ok(renamed)
    }

    /// Gives tables their names back.
    fn take_back(&self, renamed: &[(PathBuf, PathBuf)]) -> Result<(), Fault> {
        let (fs, dir) = (self.site.fs(), self.site.dir());
        for (from, to) in renamed {
            fs.rename(to, from).at(to)?;
        }
        fs.sync_dir(dir).at(dir)
    }

    /// Copies the segments of which something could not be read: the store will discard its log.
    fn copy_segments_aside(&mut self) -> Result<(), Fault> {
        let Some(log) = &self.report.log else { return Ok(()) };
        let of_holes = log.holes.iter().map(|hole| hole.segment);
        let damaged: BTreeSet<SegmentId> = of_holes.chain(log.refused.iter().copied()).collect();
        for segment in damaged {
            let aside = lsmkit_wal::set_segment_aside(&**self.site.fs(), self.site.dir(), segment)?;
            self.report.set_aside.extend(aside);
        }
        Ok(())
    }

    fn tables(&self, id: KeyspaceId, name: &str) -> Arc<BlockTables> {
        Arc::new(self.site.tables(&KeyspaceOptions::default().of(id, name)))
    }

    fn new_table(&mut self) -> TableId {
        let id = self.next_table;
        self.next_table = TableId(id.0 + 1);
        id
    }
}

/// What a log leaves: tables of what it held, and where the next log begins.
struct SavedLog {
    tables: Vec<Kept>,
    next: SegmentId,
    last_seq: SeqNo,
}

/// How far behind a manifest may be that is not in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum MayLack {
    ItsLastEdit,
    Much,
}

/// What is known of keyspaces before their tables are read.
type Names = BTreeMap<KeyspaceId, String>;

/// Whether no table has a write of the log yet.
fn is_needed(state: &State, keyspace: KeyspaceId, segment: SegmentId, seq: SeqNo) -> bool {
    state.keyspaces.get(&keyspace).is_some_and(|known| segment >= known.log_floor && seq > known.flushed)
}
