//! Looks at each table, and reads out of damaged ones what can be read.

use std::path::Path;
use std::sync::Arc;

use lsmkit_base::{Fault, TableMeta};
use lsmkit_sstable::{BlockTables, LostKeys, Salvage, TablePlace, TableWriter, Tables};

use super::{DamagedTable, Work, is_damage};
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
            Err(fault) if is_damage(&fault) => fault,
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
            Err(unopened) if is_damage(&unopened) => report.lost.extend(meta.map(|meta| LostKeys {
                smallest: meta.smallest.clone(),
                largest: meta.largest.clone(),
                fault: unopened,
            })),
            Err(fault) => return Err(fault.into()),
        }
        self.report.tables.push(report);
        Ok(writer.map(TableWriter::finish).transpose()?)
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

/// The name of a damaged file.
pub(super) fn aside(path: &Path) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".damaged");
    name.into()
}
