//! Makes a manifest of the tables and the log that are there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use lsmkit_base::{Cursor, Fault, FaultContext, KeyspaceId, RunId, SeqNo, TableChange, TableId, TableMeta};
use lsmkit_compaction::{Merge, Retain};
use lsmkit_manifest::{Change, Edit, Manifest};
use lsmkit_sstable::{
    BlockTables, FileReader, FileWriter, Reading, Salvage, TablePlace, TableWriter, Tables,
};
use lsmkit_vfs::{DirEntryKind, Fs};

use super::tables::{self, Damaged};
use super::{Kept, Names, Work, is_damage};
use crate::background::Signals;
use crate::batch::DEFAULT_KEYSPACE;
use crate::cleanup::Bin;
use crate::flush::table_changes;
use crate::recover::{COMPARATOR, DEFAULT_NAME};
use crate::source::RunCursor;
use crate::version::Table;
use crate::{Error, Standard};

/// The length at which the tables of a rebuilt store are cut.
const TABLE_BYTES: u64 = 64 << 20;

/// Whether the directory holds anything of a store.
pub(super) fn is_there(fs: &dyn Fs, dir: &Path) -> Result<bool, Fault> {
    let entries = match fs.list(dir).at(dir) {
        Err(fault) if fault.is_not_found() => return Ok(false),
        entries => entries?,
    };
    let is_ours = |name: &str| {
        let is_log = name.strip_suffix(".log").is_some_and(|digits| digits.parse::<u64>().is_ok());
        BlockTables::parse_name(name).is_some()
            || is_log
            || name.starts_with("CURRENT-")
            || name.starts_with("MANIFEST-")
    };
    Ok(entries.iter().any(|entry| entry.kind == DirEntryKind::File && is_ours(&entry.name)))
}

/// A number greater than that of any table, whether it was set aside or not.
pub(super) fn next_table(fs: &dyn Fs, dir: &Path) -> Result<TableId, Fault> {
    let entries = fs.list(dir).at(dir)?;
    let name =
        |entry: &lsmkit_vfs::DirEntry| BlockTables::parse_name(entry.name.trim_end_matches(".damaged"));
    let greatest = entries.iter().filter_map(name).max();
    Ok(greatest.map_or(TableId(1), |greatest| TableId(greatest.0.saturating_add(1))))
}

impl Work {
    /// Makes a manifest anew of all that is there.
    pub(super) fn rebuild(&mut self) -> Result<(), Error> {
        let (fs, dir) = (Arc::clone(self.site.fs()), self.site.dir().to_path_buf());
        let known = Manifest::salvage(&*fs, &dir)?.unwrap_or_default();
        self.next_table = self.next_table.max(known.next_table);
        let mut names: Names = known.keyspaces.iter().map(|(id, known)| (*id, known.name.clone())).collect();
        names.entry(DEFAULT_KEYSPACE).or_insert_with(|| DEFAULT_NAME.to_owned());
        let mut kept = self.read_tables(&mut names)?;
        // From the first that is there: which of them are needed only the manifest told. What is in a table as well is merged with it.
        let log = self.save_log(None, &names, known.last_seq, &|_, _, _| true, None)?;
        kept.extend(log.tables);
        if self.is_dry_run {
            return Ok(());
        }
        let last_seq = kept.iter().map(|(_, table)| table.seq_max).fold(log.last_seq, SeqNo::max);
        self.name_the_nameless(&kept, &mut names);
        let mut runs = Vec::new();
        for (&id, name) in &names {
            let of_keyspace =
                kept.iter().filter(|(keyspace, _)| *keyspace == id).map(|(_, table)| Arc::clone(table));
            let tables = self.tables(id, name);
            runs.push((id, self.merge(&tables, of_keyspace.collect())?));
        }
        self.tables(DEFAULT_KEYSPACE, DEFAULT_NAME).sync_names()?;
        self.set_aside()?;
        let mut changes = vec![
            Change::Comparator(COMPARATOR.to_owned()),
            Change::NextTable(self.next_table),
            Change::LastSeq(last_seq),
        ];
        for (id, name) in names {
            changes.push(Change::CreateKeyspace { id, name, log_floor: log.next });
        }
        changes.push(Change::NextKeyspace(self.next_keyspace(known.next_keyspace, &runs)));
        for (id, run) in &runs {
            changes.push(Change::Flushed { keyspace: *id, seq: last_seq });
            let newest = RunId(run.iter().map(|table| table.id.0).max().unwrap_or_default());
            let add =
                |table: &Arc<TableMeta>| TableChange::Add { level: 0, run: newest, table: Arc::clone(table) };
            let adds: Vec<_> = run.iter().map(add).collect();
            changes.extend(table_changes(*id, &adds));
        }
        self.report.set_aside.extend(Manifest::replace(fs, &dir, &Edit { changes })?);
        Ok(self.set_segments_aside()?)
    }

    /// Reads all tables in the directory; adds the names of keyspaces that they tell of.
    fn read_tables(&mut self, names: &mut Names) -> Result<Vec<Kept>, Error> {
        let fs = Arc::clone(self.site.fs());
        let any = self.tables(DEFAULT_KEYSPACE, DEFAULT_NAME);
        let mut ids = any.list()?;
        ids.sort_unstable();
        let mut kept = Vec::new();
        let mut damaged = Vec::new();
        for id in ids {
            let path = any.path(id);
            let read = FileReader::open(&fs, &path).and_then(|table| {
                if table.properties().id != id {
                    return Err(Fault::corrupt(
                        &path,
                        0,
                        format!("the table {} by another name", table.properties().id),
                    ));
                }
                table.verify().map(|()| table)
            });
            match read {
                Ok(table) => {
                    self.report.tables_sound += 1;
                    let said = table.properties();
                    let keyspace = said.keyspace.unwrap_or(DEFAULT_KEYSPACE);
                    note_name(names, keyspace, said.keyspace_name.as_deref());
                    kept.push((keyspace, Arc::new(table.meta().clone())));
                }
                Err(fault) if is_damage(&fault) => damaged.push((path, fault)),
                Err(fault) => return Err(fault.into()),
            }
        }
        // After all others, which may tell the name of the keyspace.
        for (path, fault) in damaged {
            let opened = Salvage::open(&fs, &path).and_then(|salvage| match salvage.properties() {
                Some(_) => Ok(salvage),
                None => Err(fault.clone()),
            });
            let said = opened.as_ref().ok().and_then(Salvage::properties);
            let keyspace = said.map(|said| said.keyspace.unwrap_or(DEFAULT_KEYSPACE));
            if let (Some(keyspace), Some(said)) = (keyspace, said) {
                note_name(names, keyspace, said.keyspace_name.as_deref());
            }
            let name = keyspace.and_then(|keyspace| names.get(&keyspace).cloned());
            let home = keyspace.unwrap_or(DEFAULT_KEYSPACE);
            let tables = self.tables(home, name.as_deref().unwrap_or_default());
            let damaged = Damaged {
                tables: &tables,
                keyspace: name.as_deref(),
                path: &path,
                fault,
                meta: None,
                level: 0,
            };
            let table = self.keep_of(damaged, opened)?;
            kept.extend(table.map(|table| (home, Arc::new(table))));
            self.to_be_renamed.push((path.clone(), tables::aside(&path)));
        }
        Ok(kept)
    }

    /// Gives names to keyspaces of which only the number is known.
    fn name_the_nameless(&mut self, kept: &[Kept], names: &mut Names) {
        let taken: BTreeSet<String> = names.values().cloned().collect();
        for (id, _) in kept {
            names.entry(*id).or_insert_with(|| {
                let mut name = format!("keyspace-{}", id.0);
                while taken.contains(&name) {
                    name.push('_');
                }
                self.report.named_anew.push(name.clone());
                name
            });
        }
    }

    /// A number that no keyspace has had, as far as anything tells.
    fn next_keyspace(&self, known: KeyspaceId, runs: &[(KeyspaceId, Vec<Arc<TableMeta>>)]) -> KeyspaceId {
        let greatest = runs.iter().map(|(id, _)| id.0).max().unwrap_or_default();
        known.max(KeyspaceId(greatest.saturating_add(1)))
    }

    /// Merges tables of one keyspace to one run, the newest version of each key. As they are, where none is over another.
    fn merge(
        &mut self,
        tables: &Arc<BlockTables>,
        metas: Vec<Arc<TableMeta>>,
    ) -> Result<Vec<Arc<TableMeta>>, Error> {
        let mut runs = disjoint(metas);
        if runs.len() <= 1 {
            return Ok(runs.pop().unwrap_or_default());
        }
        let bin = Bin::<Standard>::new(&Arc::new(Signals::default()));
        let mut cursors = Vec::new();
        for run in runs {
            let open = |meta: &Arc<TableMeta>| Table::<Standard>::open(tables, &bin, meta);
            let opened: Result<_, Fault> = run.iter().map(open).collect();
            cursors.push(RunCursor::new(opened?, Reading::Rewrite));
        }
        let mut merge = Merge::new(cursors);
        merge.seek_first()?;
        let mut retain = Retain::new(&[]);
        let (mut writer, mut written) = (None::<FileWriter>, Vec::new());
        while let Some(entry) = merge.entry() {
            // All versions that there are take part, so that nothing older is anywhere else.
            if retain.keep(entry, |_| false) {
                if let Some(full) = writer.take_if(|writer| writer.size_bytes() >= TABLE_BYTES) {
                    written.push(Arc::new(full.finish()?));
                }
                match &mut writer {
                    Some(writer) => writer.add(entry)?,
                    None => {
                        writer.insert(tables.create(self.new_table(), TablePlace::default())?).add(entry)?
                    }
                }
            }
            merge.next()?;
        }
        written.extend(writer.map(TableWriter::finish).transpose()?.map(Arc::new));
        Ok(written)
    }
}

/// Takes a name that a table tells, unless a manifest has told one or another keyspace has it.
fn note_name(names: &mut Names, keyspace: KeyspaceId, name: Option<&str>) {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return };
    if !names.values().any(|taken| taken == name) {
        names.entry(keyspace).or_insert_with(|| name.to_owned());
    }
}

/// Parts tables into runs in which none is over another: as few as there can be.
fn disjoint(mut tables: Vec<Arc<TableMeta>>) -> Vec<Vec<Arc<TableMeta>>> {
    tables.sort_by(|a, b| a.smallest.cmp(&b.smallest));
    let mut runs: Vec<Vec<Arc<TableMeta>>> = Vec::new();
    // By the last key of each.
    let mut ends: BTreeMap<Box<[u8]>, Vec<usize>> = BTreeMap::new();
    for table in tables {
        let ended = ends.range(..table.smallest.clone()).next_back().map(|(end, _)| end.clone());
        let run = ended.and_then(|end| {
            let waiting = ends.get_mut(&end)?;
            let run = waiting.pop();
            if waiting.is_empty() {
                ends.remove(&end);
            }
            run
        });
        let run = run.unwrap_or_else(|| {
            runs.push(Vec::new());
            runs.len() - 1
        });
        ends.entry(table.largest.clone()).or_default().push(run);
        runs[run].push(table);
    }
    runs
}
