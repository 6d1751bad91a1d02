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
        let kept = self.keep_of(tables, Some(keyspace), &path, fault, Some(meta), opened, level)?;
        if was_there {
            self.to_be_renamed.push((path, aside));
        }
        Ok(Some(kept))
    }

    /// Writes what can be read of a damaged table to a new one, and reports what can't.
    #[allow(
        clippy::too_many_arguments,
        reason = "what is known of a damaged table comes from several places"
    )]
    pub(super) fn keep_of(
        &mut self,
        tables: &Arc<BlockTables>,
        keyspace: Option<&str>,
        path: &Path,
        fault: Fault,
        meta: Option<&TableMeta>,
        opened: Result<Salvage, Fault>,
        level: u32,
    ) -> Result<Option<TableMeta>, Error> {
        let mut damaged = DamagedTable {
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
                let is_dry_run = self.is_dry_run;
                damaged.lost = salvage.show(&mut |entry| {
                    damaged.entries_kept += 1;
                    if is_dry_run {
                        return Ok(());
                    }
                    match &mut writer {
                        Some(writer) => TableWriter::add(writer, entry),
                        None => writer.insert(tables.create(self.new_table(), place)?).add(entry),
                    }
                })?;
                damaged.entries_lost = all.map(|all| all.saturating_sub(damaged.entries_kept));
            }
            Err(unopened) if is_damage(&unopened) => damaged.lost.extend(meta.map(|meta| LostKeys {
                smallest: meta.smallest.clone(),
                largest: meta.largest.clone(),
                fault: unopened,
            })),
            Err(fault) => return Err(fault.into()),
        }
        self.report.tables.push(damaged);
        Ok(writer.map(TableWriter::finish).transpose()?)
    }
}

/// The name of a damaged file.
pub(super) fn aside(path: &Path) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".damaged");
    name.into()
}
