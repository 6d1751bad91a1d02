//! Makes a manifest of the tables and the log that are there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use lsmkit_base::{Cursor, Fault, FaultContext, KeyspaceId, RunId, SeqNo, TableChange, TableId, TableMeta};
use lsmkit_compaction::{Merge, Retain};
use lsmkit_manifest::{Change, Edit, Manifest, State};
use lsmkit_sstable::{
    BlockTables, FileReader, FileWriter, LostKeys, Properties, Reading, Salvage, TablePlace, TableWriter,
    Tables,
};
use lsmkit_vfs::{DirEntry, DirEntryKind, Fs};

use super::tables::{self, Damaged};
use super::{DamagedTable, KEYSPACES_MAX, Kept, MayLack, Names, Work};
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

/// Refuses a directory that holds no file of a store, by names and by what they begin or end with: `000012.sst` may be another's.
pub(super) fn check_is_store(fs: &dyn Fs, dir: &Path) -> Result<(), Error> {
    let entries = match fs.list(dir).at(dir) {
        Err(fault) if fault.is_not_found() => return Err(Error::NoStore(dir.to_path_buf())),
        entries => entries?,
    };
    let files: Vec<_> = entries.into_iter().filter(|entry| entry.kind == DirEntryKind::File).collect();
    for file in &files {
        if is_ours(fs, dir, file)? {
            return Ok(());
        }
    }
    match files.into_iter().next() {
        Some(file) => Err(Error::NotAStore { dir: dir.to_path_buf(), file: file.name }),
        None => Err(Error::NoStore(dir.to_path_buf())),
    }
}

fn is_ours(fs: &dyn Fs, dir: &Path, file: &DirEntry) -> Result<bool, Fault> {
    let is_number = |digits: &str| digits.len() >= 6 && digits.bytes().all(|digit| digit.is_ascii_digit());
    let (magic, offset) = if file.name.strip_suffix(".log").is_some_and(is_number) {
        (b"lsmkitLG", Some(0))
    } else if file.name.strip_prefix("MANIFEST-").is_some_and(is_number) {
        (b"lsmkitMF", Some(0))
    } else if BlockTables::parse_name(&file.name).is_some() {
        (b"LSMTABLE", file.size_bytes.checked_sub(8))
    } else {
        return Ok(file.name.strip_prefix("CURRENT-").is_some_and(is_number));
    };
    let Some(offset) = offset else { return Ok(false) };
    let (path, mut bytes) = (dir.join(&file.name), [0; 8]);
    match fs.open(&path).and_then(|file| file.read_at(&mut bytes, offset)).at(&path) {
        Err(fault) if !fault.is_damage() => Err(fault),
        read => Ok(read.is_ok() && bytes == *magic),
    }
}

/// A number greater than that of any table, whether it was set aside or not.
pub(super) fn next_table(fs: &dyn Fs, dir: &Path) -> Result<TableId, Fault> {
    let entries = fs.list(dir).at(dir)?;
    let greatest = entries.iter().filter_map(|entry| tables::parse_name(&entry.name)).max();
    Ok(greatest.map_or(TableId(1), |greatest| TableId(greatest.0.saturating_add(1))))
}

impl Work {
    /// Makes a manifest anew of all that is there, with the help of one that is not in force, or is not the newest.
    pub(super) fn rebuild(&mut self, known: &State, may_lack: MayLack) -> Result<(), Error> {
        let (fs, dir) = (Arc::clone(self.site.fs()), self.site.dir().to_path_buf());
        self.report.is_rebuilt = true;
        self.next_table = self.next_table.max(known.next_table);
        let mut names: Names = known.keyspaces.iter().map(|(id, known)| (*id, known.name.clone())).collect();
        names.entry(DEFAULT_KEYSPACE).or_insert_with(|| DEFAULT_NAME.to_owned());
        let mut kept = self.read_tables(known, &mut names)?;
        if may_lack == MayLack::ItsLastEdit {
            self.report_missing(known)?;
        }
        self.log = self.look_at_log(None)?;
        // From the first that is there: which of them are needed only the manifest told. What is in a table as well is merged with it.
        let log = self.save_log(None, &names, &|_, _, _| true)?;
        kept.extend(log.tables);
        self.name_the_nameless(&mut names);
        let last_seq =
            kept.iter().map(|(_, table)| table.seq_max).fold(log.last_seq.max(known.last_seq), SeqNo::max);
        if self.is_dry_run {
            return Ok(());
        }
        let mut runs = Vec::new();
        for (&id, name) in &names {
            let of_keyspace = kept.iter().filter(|(keyspace, _)| *keyspace == id);
            let tables = self.tables(id, name);
            runs.push((id, self.merge(&tables, of_keyspace.map(|(_, table)| Arc::clone(table)).collect())?));
        }
        let mut changes = vec![
            Change::Comparator(COMPARATOR.to_owned()),
            Change::NextTable(self.next_table),
            Change::LastSeq(last_seq),
        ];
        for (id, name) in names {
            changes.push(Change::CreateKeyspace { id, name, log_floor: log.next });
        }
        changes.push(Change::NextKeyspace(next_keyspace(known.next_keyspace, &runs)));
        for (id, run) in &runs {
            changes.push(Change::Flushed { keyspace: *id, seq: last_seq });
            let newest = RunId(run.iter().map(|table| table.id.0).max().unwrap_or_default());
            let add =
                |table: &Arc<TableMeta>| TableChange::Add { level: 0, run: newest, table: Arc::clone(table) };
            let adds: Vec<_> = run.iter().map(add).collect();
            changes.extend(table_changes(*id, &adds));
        }
        self.make_durable()?;
        // Should one of the next two fail, all that was kept of them is in tables that the next repair finds.
        self.set_tables_aside()?;
        self.report.set_aside.extend(Manifest::replace(fs, &dir, &Edit { changes })?);
        Ok(())
    }

    /// Reads all tables in the directory; adds the names of keyspaces that they tell of.
    fn read_tables(&mut self, known: &State, names: &mut Names) -> Result<Vec<Kept>, Error> {
        let fs = Arc::clone(self.site.fs());
        let any = self.tables(DEFAULT_KEYSPACE, DEFAULT_NAME);
        let mut ids = any.list()?;
        ids.sort_unstable();
        let mut kept = Vec::new();
        let mut damaged = Vec::new();
        for id in ids {
            match read_whole(&fs, &any.path(id), id) {
                Ok((meta, said)) => {
                    self.report.tables_sound += 1;
                    let keyspace = said.keyspace.unwrap_or(DEFAULT_KEYSPACE);
                    note_name(names, keyspace, said.keyspace_name.as_deref());
                    self.seen.insert(keyspace);
                    kept.push((keyspace, Arc::new(meta)));
                }
                Err(fault) if fault.is_damage() => damaged.push((id, fault)),
                Err(fault) => return Err(fault.into()),
            }
        }
        // After all others, which may tell the name of the keyspace.
        for (id, fault) in damaged {
            kept.extend(self.keep_of_unnamed(&any.path(id), id, fault, known, names)?);
        }
        Ok(kept)
    }

    /// Keeps what can be read of a damaged table, of which `known` may tell or not.
    fn keep_of_unnamed(
        &mut self,
        path: &Path,
        id: TableId,
        fault: Fault,
        known: &State,
        names: &mut Names,
    ) -> Result<Option<Kept>, Error> {
        self.to_be_renamed.push((path.to_path_buf(), tables::free_name(&**self.site.fs(), path)));
        let opened = Salvage::open(self.site.fs(), path);
        let uid = opened.as_ref().ok().map(Salvage::uid);
        let is_it = |meta: &TableMeta| meta.id == id && uid.is_none_or(|uid| meta.uid == uid);
        let named = known.keyspaces.iter().find_map(|(keyspace, state)| {
            let meta = state.tree.tables().find(|meta| is_it(meta))?;
            Some((*keyspace, Arc::clone(meta)))
        });
        let mut home = named.as_ref().map(|(home, _)| *home);
        let said = opened.as_ref().ok().and_then(Salvage::properties);
        if let Some(said) = said.filter(|said| said.keyspace.is_none_or(|id| id.0 < KEYSPACES_MAX)) {
            let said_home = said.keyspace.unwrap_or(DEFAULT_KEYSPACE);
            note_name(names, said_home, said.keyspace_name.as_deref());
            home.get_or_insert(said_home);
        }
        // Where nobody knows whose its entries are, nothing of it is of use.
        let opened = if home.is_some() { opened } else { Err(fault.clone()) };
        let name = home.and_then(|home| names.get(&home).cloned());
        let home = home.unwrap_or(DEFAULT_KEYSPACE);
        let tables = self.tables(home, name.as_deref().unwrap_or_default());
        let meta = named.as_ref().map(|(_, meta)| &**meta);
        let damaged = Damaged { tables: &tables, keyspace: name.as_deref(), path, fault, meta, level: 0 };
        let kept = self.keep_of(damaged, opened)?;
        if self.report.tables.last().is_some_and(|table| table.entries_kept > 0) {
            self.seen.insert(home);
        }
        Ok(kept.map(|kept| (home, Arc::new(kept))))
    }

    /// Reports tables that a manifest names and that are not there. What was in them may be in others, which took their place.
    fn report_missing(&mut self, known: &State) -> Result<(), Fault> {
        let any = self.tables(DEFAULT_KEYSPACE, DEFAULT_NAME);
        let there: BTreeSet<_> = any.list()?.into_iter().collect();
        for state in known.keyspaces.values() {
            for meta in state.tree.tables().filter(|meta| !there.contains(&meta.id)) {
                let path = any.path(meta.id);
                let fault = Fault::io(&path, std::io::ErrorKind::NotFound.into());
                self.report.tables.push(DamagedTable {
                    path,
                    keyspace: Some(state.name.clone()),
                    fault: fault.clone(),
                    entries_kept: 0,
                    entries_lost: None,
                    lost: vec![LostKeys::new(&meta.smallest, &meta.largest, fault)],
                });
            }
        }
        Ok(())
    }

    /// Gives names to keyspaces of which only the number is known.
    fn name_the_nameless(&mut self, names: &mut Names) {
        for id in std::mem::take(&mut self.seen) {
            if names.contains_key(&id) {
                continue;
            }
            let mut name = format!("keyspace-{}", id.0);
            while names.values().any(|taken| *taken == name) {
                name.push('_');
            }
            self.report.named_anew.push(name.clone());
            names.insert(id, name);
        }
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
                    written.push(self.finish(tables, full)?);
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
        if let Some(last) = writer {
            written.push(self.finish(tables, last)?);
        }
        Ok(written)
    }

    fn finish(&mut self, tables: &Arc<BlockTables>, writer: FileWriter) -> Result<Arc<TableMeta>, Fault> {
        let meta = writer.finish()?;
        self.written.push(tables, &meta);
        Ok(Arc::new(meta))
    }
}

/// A number that no keyspace has had, as far as anything tells.
fn next_keyspace(known: KeyspaceId, runs: &[(KeyspaceId, Vec<Arc<TableMeta>>)]) -> KeyspaceId {
    let greatest = runs.iter().map(|(id, _)| id.0).max().unwrap_or_default();
    known.max(KeyspaceId(greatest.saturating_add(1)))
}

/// Reads all of a table and checks it; what is known of it, and what it says of itself.
fn read_whole(fs: &Arc<dyn Fs>, path: &Path, id: TableId) -> Result<(TableMeta, Properties), Fault> {
    let table = FileReader::open(fs, path)?;
    let said = table.properties();
    if said.id != id {
        return Err(Fault::corrupt(path, 0, format!("the table {} by another name", said.id)));
    }
    if said.keyspace.is_some_and(|keyspace| keyspace.0 >= KEYSPACES_MAX) {
        return Err(Fault::corrupt(path, 0, "of a keyspace that no store comes to"));
    }
    table.verify()?;
    Ok((table.meta().clone(), said.clone()))
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
