//! The tables of a keyspace, in one directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lsmkit_base::{Buffer, Fault, FaultContext, TableId, TableMeta};
use lsmkit_blockcache::BlockCache;
use lsmkit_vfs::{DirEntryKind, Fs};

use crate::options::TableOptions;
use crate::probes::{FilterUsage, Probes};
use crate::reader::FileReader;
use crate::table::{TablePlace, Tables};
use crate::writer::{self, FileWriter};

/// Tables of blocks that are searched in place: files named by their numbers (`000012.sst`) in one directory.
pub struct BlockTables {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    options: TableOptions,
    cache: Arc<dyn BlockCache<Buffer>>,
    /// How many tables were begun. Goes into their unique numbers, so that a number whose file was
    /// abandoned can be used again.
    begun: AtomicU64,
    /// Of all tables opened.
    probes: Arc<Probes>,
}

impl BlockTables {
    /// Tables in `dir`, which must be there, written as `options` say, their blocks in `cache`, which
    /// may be shared with other directories.
    pub fn new(
        fs: Arc<dyn Fs>,
        dir: PathBuf,
        options: TableOptions,
        cache: Arc<dyn BlockCache<Buffer>>,
    ) -> BlockTables {
        BlockTables { fs, dir, options, cache, begun: AtomicU64::new(0), probes: Arc::default() }
    }

    /// Where the table `id` is.
    pub fn path(&self, id: TableId) -> PathBuf {
        self.dir.join(format!("{id}.sst"))
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The table's number, if `name` is the name of a table file, written as [`BlockTables::path`] does. A number so great that no store comes to it
    /// is none.
    pub fn parse_name(name: &str) -> Option<TableId> {
        let id = TableId(name.strip_suffix(".sst")?.parse().ok()?);
        (id.0 < 1 << 62 && format!("{id}.sst") == name).then_some(id)
    }
}

impl Tables for BlockTables {
    type Writer = FileWriter;
    type Reader = FileReader;

    #[inline]
    fn hash(&self, user_key: &[u8]) -> u64 {
        lsmkit_bloom::hash(user_key)
    }

    fn create(&self, id: TableId, place: TablePlace) -> Result<FileWriter, Fault> {
        // The number only has to differ from call to call.
        let ordinal = self.begun.fetch_add(1, Ordering::Relaxed);
        let uid = writer::uid(self.options.uid_seed, id, ordinal);
        FileWriter::begin(&self.fs, &self.path(id), &self.options, id, uid, place)
    }

    fn sync_names(&self) -> Result<(), Fault> {
        self.fs.sync_dir(&self.dir).at(&self.dir)
    }

    fn open(&self, meta: &TableMeta) -> Result<FileReader, Fault> {
        let reader = FileReader::open(&self.fs, &self.path(meta.id))?;
        reader.check_meta(meta)?;
        let reader = reader.with_filter(Arc::clone(&self.options.filter));
        Ok(reader.with_probes(Arc::clone(&self.probes)).with_cache(Arc::clone(&self.cache)))
    }

    fn list(&self) -> Result<Vec<TableId>, Fault> {
        let entries = self.fs.list(&self.dir).at(&self.dir)?;
        let files = entries.iter().filter(|entry| entry.kind == DirEntryKind::File);
        Ok(files.filter_map(|entry| BlockTables::parse_name(&entry.name)).collect())
    }

    fn remove(&self, id: TableId) -> Result<(), Fault> {
        let path = self.path(id);
        self.fs.remove(&path).at(&path)
    }

    fn verify(&self, meta: &TableMeta) -> Result<(), Fault> {
        self.open(meta)?.verify()
    }

    fn filter_usage(&self) -> FilterUsage {
        self.probes.usage()
    }
}

impl std::fmt::Debug for BlockTables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockTables")
            .field("dir", &self.dir)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_only_as_they_are_written() {
        assert_eq!(BlockTables::parse_name("000012.sst"), Some(TableId(12)));
        assert_eq!(BlockTables::parse_name("12345678.sst"), Some(TableId(12_345_678)));
        for name in [
            "12.sst",
            "000012.log",
            "000012",
            "-00012.sst",
            "+00012.sst",
            "0000012.sst",
            ".sst",
            "x.sst",
            "18446744073709551615.sst",
        ] {
            assert_eq!(BlockTables::parse_name(name), None, "{name}");
        }
    }
}
