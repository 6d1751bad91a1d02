//! Looks at each table, and reads out of damaged ones what can be read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsmkit_base::{Fault, TableId, TableMeta};
use lsmkit_sstable::{BlockTables, LostKeys, Salvage, TablePlace, TableWriter, Tables};
use lsmkit_vfs::Fs;

use super::{DamagedTable, Work};
use crate::Error;

impl Work {
    /// Reads all of a table. `None` where it is sound; else what was kept of it, if anything, as a new table.
    pub(super) fn check_table(
        &mut self,
        tables: &Arc<BlockTables>,
        keyspace: &str,
        meta: &TableMeta,
        level: u32,
    ) -> Result<Option<Option<TableMeta>>, Error> {
        let fault = match tables.verify(meta) {
            Ok(()) => {
                self.report.tables_sound += 1;
                return Ok(None);
            }
            Err(fault) if fault.is_damage() => fault,
            Err(fault) => return Err(fault.into()),
        };
        let path = tables.path(meta.id);
        let aside = aside(&path);
        // An earlier repair has set it aside, and was stopped before it was in the manifest.
        let is_aside = fault.is_not_found() && self.site.fs().open(&aside).is_ok();
        let opened = Salvage::open(self.site.fs(), if is_aside { &aside } else { &path });
        let opened = opened.and_then(|salvage| match salvage.uid() == meta.uid {
            true => Ok(salvage),
            false => Err(Fault::corrupt(&path, 0, "another table than the manifest names")),
        });
        let was_there = !fault.is_not_found();
        let damaged =
            Damaged { tables, keyspace: Some(keyspace), path: &path, fault, meta: Some(meta), level };
        let kept = self.keep_of(damaged, opened)?;
        if was_there {
            let aside = free_name(&**self.site.fs(), &path);
            self.to_be_renamed.push((path, aside));
        }
        Ok(Some(kept))
    }

    /// Writes what can be read of a damaged table to a new one, and reports what can't.
    pub(super) fn keep_of(
        &mut self,
        damaged: Damaged<'_>,
        opened: Result<Salvage, Fault>,
    ) -> Result<Option<TableMeta>, Error> {
        let Damaged { tables, keyspace, path, fault, meta, level } = damaged;
        let mut report = DamagedTable {
            path: path.to_path_buf(),
            keyspace: keyspace.map(str::to_owned),
            fault,
            entries_kept: 0,
            entries_lost: meta.map(|meta| meta.entries),
            lost: Vec::new(),
        };
        let mut writer = None;
        match opened {
            Ok(salvage) => {
                let said = salvage.properties();
                let all = meta.map(|meta| meta.entries).or(said.map(|said| said.entries));
                let written =
                    meta.map(|meta| meta.written).or(said.map(|said| said.written)).unwrap_or_default();
                let place = TablePlace { written, ..TablePlace::of_level(level) };
                report.lost = salvage.show(&mut |entry| {
                    report.entries_kept += 1;
                    if self.is_dry_run {
                        return Ok(());
                    }
                    match &mut writer {
                        Some(writer) => TableWriter::add(writer, entry),
                        None => writer.insert(tables.create(self.new_table(), place)?).add(entry),
                    }
                })?;
                report.entries_lost = all.map(|all| all.saturating_sub(report.entries_kept));
            }
            Err(unopened) if unopened.is_damage() => {
                report.lost.extend(meta.map(|meta| LostKeys::new(&meta.smallest, &meta.largest, unopened)));
            }
            Err(fault) => return Err(fault.into()),
        }
        self.report.tables.push(report);
        let kept = writer.map(TableWriter::finish).transpose()?;
        if let Some(kept) = &kept {
            self.written.push(tables, kept);
        }
        Ok(kept)
    }
}

/// A damaged table, and what is known of it without reading it.
pub(super) struct Damaged<'a> {
    /// Where what can be read of it goes.
    pub(super) tables: &'a Arc<BlockTables>,
    pub(super) keyspace: Option<&'a str>,
    pub(super) path: &'a Path,
    /// What is wrong with it.
    pub(super) fault: Fault,
    /// What the manifest tells.
    pub(super) meta: Option<&'a TableMeta>,
    pub(super) level: u32,
}

/// What is behind the name of a damaged table.
const DAMAGED: &str = ".damaged";

/// The name of a damaged table.
pub(super) fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(DAMAGED);
    name.into()
}

/// The same, with something behind it where there is such a file: that of an earlier repair is not to be overwritten.
pub(super) fn free_name(fs: &dyn Fs, path: &Path) -> PathBuf {
    let mut name = aside(path);
    while fs.open(&name).is_ok() {
        let mut longer = name.into_os_string();
        longer.push("+");
        name = longer.into();
    }
    name
}

/// The number of a table, whether it was set aside or not.
pub(super) fn parse_name(name: &str) -> Option<TableId> {
    let whole = name.trim_end_matches('+').strip_suffix(DAMAGED);
    BlockTables::parse_name(whole.unwrap_or(name))
}
