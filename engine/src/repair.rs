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

use lsmkit_base::{
    Fault, FaultContext, FaultKind, KeyspaceId, SegmentId, SeqNo, TableChange, TableId, TableMeta,
};
use lsmkit_manifest::{Change, Edit, Manifest, State};
use lsmkit_sstable::{BlockTables, Tables};
use lsmkit_vfs::{Fs, LockKind, StdFs};

use crate::batch::DEFAULT_KEYSPACE;
use crate::flush::{add_to_level0, only_rising, table_changes};
use crate::recover::{self, DEFAULT_NAME};
use crate::{Error, KeyspaceOptions, Options, Site};

pub use report::{DamagedLog, DamagedTable, Repaired};

/// Makes a damaged store one that opens, with all that can still be read.
///
/// Reads every byte of the store. Where nothing is wrong, nothing changes. Else
///
/// - of a damaged table every block that is sound is kept, in a new table; what is lost is the blocks that are not, and
///   [`Repaired`] tells between which keys they lie. **An older value of a lost key may come to light, or one that had been deleted**: it
///   was in another table, hidden by what is lost.
/// - of a damaged log every record that is whole is kept, in new tables, those behind the damage too. So
///   the store is no longer as it was at any one moment.
/// - where no manifest can be read, one is made anew of all tables and the log, the newest version of each key in any of them. Tables
///   that a compaction had replaced and that were not removed yet are among them: **what had been deleted may be back**.
///   It takes as much room again as the data.
///
/// No file is destroyed that could not be read as a whole: tables and manifests get names that end in `.damaged`, segments of the log names
/// that end in `.torn`, and nothing reads them any more.
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

    /// Writes tables as these options say. How much memory is used they say too: twice that of a memtable, and some 600 KiB for each
    /// run of tables that is merged.
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
    /// later version; [`Error::Full`] and [`Error::Io`] where it can't be read or written for a reason that is no damage. The store is
    /// then as damaged as before.
    pub fn run(self) -> Result<Repaired, Error> {
        let Repair { fs, dir, options, is_dry_run } = self;
        if !rebuild::is_there(&*fs, &dir)? {
            return Err(Error::NoStore(dir));
        }
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
    /// Damaged tables, and the names they are to have.
    to_be_renamed: Vec<(PathBuf, PathBuf)>,
}

/// A table and the keyspace it is of.
type Kept = (KeyspaceId, Arc<TableMeta>);

impl Work {
    fn run(mut self) -> Result<Repaired, Error> {
        let (fs, dir) = (Arc::clone(self.site.fs()), self.site.dir().to_path_buf());
        let no_marker = || Fault::corrupt(&dir, 0, "no CURRENT- file tells which manifest is in force");
        let opened = Manifest::open(fs, &dir).and_then(|manifest| {
            let manifest = manifest.ok_or_else(no_marker)?;
            recover::check_manifest(&self.site, manifest.state())?;
            Ok(manifest)
        });
        match opened {
            Ok(manifest) => self.mend(manifest)?,
            Err(fault) if is_damage(&fault) => {
                self.report.manifest = Some(fault);
                self.rebuild()?;
            }
            Err(fault) => return Err(fault.into()),
        }
        Ok(self.report)
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
        match self.read_log(&state)? {
            None => {
                // The log is as it was.
                changes.extend(state.log_end.map(Change::LogEnd));
            }
            Some(log) => {
                for (id, table) in &log.tables {
                    changes.extend(table_changes(*id, &[add_to_level0(table)]));
                }
                for &id in state.keyspaces.keys() {
                    changes.push(Change::LogFloor { keyspace: id, segment: log.next });
                }
                for (id, table) in &log.tables {
                    changes.push(Change::Flushed { keyspace: *id, seq: table.seq_max });
                }
                changes.push(Change::LastSeq(log.last_seq));
            }
        }
        if self.is_dry_run || self.report.is_sound() {
            return Ok(());
        }
        // First, so that the tables of the edit are below it.
        changes.insert(0, Change::NextTable(self.next_table));
        self.tables(DEFAULT_KEYSPACE, DEFAULT_NAME).sync_names()?;
        self.set_aside()?;
        manifest.commit(&only_rising(Edit { changes }, &state))?;
        manifest.close()?;
        Ok(self.set_segments_aside()?)
    }

    /// Renames the damaged tables, durably.
    fn set_aside(&mut self) -> Result<(), Fault> {
        if self.to_be_renamed.is_empty() {
            return Ok(());
        }
        let (fs, dir) = (self.site.fs(), self.site.dir());
        for (from, to) in self.to_be_renamed.drain(..) {
            fs.rename(&from, &to).at(&from)?;
            self.report.set_aside.push(to);
        }
        fs.sync_dir(dir).at(dir)
    }

    /// Renames the segments of which something could not be read. Only now that what could be is in tables.
    fn set_segments_aside(&mut self) -> Result<(), Fault> {
        let Some(log) = &self.report.log else { return Ok(()) };
        let of_holes = log.holes.iter().map(|hole| hole.segment);
        let damaged: BTreeSet<SegmentId> = of_holes.chain(log.refused.iter().copied()).collect();
        for segment in damaged {
            let aside = lsmkit_wal::set_aside(&**self.site.fs(), self.site.dir(), segment)?;
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

/// Whether a fault tells of damage, and not of something that passes or that a repair should not touch.
fn is_damage(fault: &Fault) -> bool {
    use std::io::ErrorKind;
    /// EIO: the device could not read it.
    const IO_ERROR: i32 = 5;
    match fault.kind() {
        FaultKind::Corrupt { .. } => true,
        FaultKind::Io { source, .. } => {
            matches!(
                source.kind(),
                ErrorKind::NotFound
                    | ErrorKind::UnexpectedEof
                    | ErrorKind::InvalidData
                    | ErrorKind::IsADirectory
            ) || (cfg!(unix) && source.raw_os_error() == Some(IO_ERROR))
        }
        _ => false,
    }
}

/// What a log leaves: tables of what it held, and where the next log begins.
struct SavedLog {
    tables: Vec<Kept>,
    next: SegmentId,
    last_seq: SeqNo,
}

/// What is known of keyspaces before their tables are read.
type Names = BTreeMap<KeyspaceId, String>;

/// Where the log of each keyspace begins, and up to where its tables hold it.
fn is_needed(state: &State, keyspace: KeyspaceId, segment: SegmentId, seq: SeqNo) -> bool {
    state.keyspaces.get(&keyspace).is_some_and(|known| segment >= known.log_floor && seq > known.flushed)
}
