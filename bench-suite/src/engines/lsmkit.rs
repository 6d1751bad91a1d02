//! lsmkit, as it comes and composed of other parts.

use std::marker::PhantomData;
use std::path::Path;

use anyhow::{Result, ensure};
use lsmkit::parts::{self, CompactionPicker, Memtable};
use lsmkit::{Db, Engine, Fault, KeyspaceOptions, Options, Parts, Site, StallCause, Standard, WriteBatch};

use crate::inside::{CacheCounts, Inside, Level, Stalls, Work};
use crate::settings::{Compression, Durability, Settings};
use crate::store::Store;

/// The parts nobody has to choose.
pub(crate) fn open_standard(dir: &Path, settings: &Settings) -> Result<Db> {
    Ok(options(settings)?.open(dir)?)
}

/// Memtables that are skiplists, the rest as it comes.
pub(crate) fn open_skiplist(dir: &Path, settings: &Settings) -> Result<Engine<impl Parts>> {
    let parts = Swapped::<parts::SkipList, _>::with_picker(leveled);
    Ok(options(settings)?.open_with(parts, parts::StdFs::shared(), dir)?)
}

/// Memtables that are B-trees behind a lock, the rest as it comes.
pub(crate) fn open_btree(dir: &Path, settings: &Settings) -> Result<Engine<impl Parts>> {
    let parts = Swapped::<parts::BTree, _>::with_picker(leveled);
    Ok(options(settings)?.open_with(parts, parts::StdFs::shared(), dir)?)
}

/// Memtables that are such B-trees, compaction by tiers.
pub(crate) fn open_tiered_btree(dir: &Path, settings: &Settings) -> Result<Engine<impl Parts>> {
    let parts = Swapped::<parts::BTree, _>::with_picker(|_, _| parts::Tiered::default());
    Ok(options(settings)?.open_with(parts, parts::StdFs::shared(), dir)?)
}

/// One that flushes and one that compacts; a store has no others.
const BACKGROUND_THREADS: usize = 2;

fn options(settings: &Settings) -> Result<Options> {
    ensure!(settings.background_threads == BACKGROUND_THREADS, "lsmkit has {BACKGROUND_THREADS} threads");
    let options = Options::new()
        .cache_bytes(settings.cache_bytes)
        .memtable_bytes(settings.memtable_bytes)
        .block_bytes(settings.block_bytes)
        .filter_bits_per_key(f64::from(settings.filter_bits_per_key))
        .compression(match settings.compression {
            Compression::Lz4 => lsmkit::Compression::Lz4,
            Compression::None => lsmkit::Compression::None,
        })
        .durability(match settings.durability {
            Durability::Buffered => lsmkit::Durability::Buffered,
            Durability::Synced => lsmkit::Durability::Synced,
        });
    Ok(options)
}

/// The standard log and tables, with another memtable or compaction strategy.
pub(crate) struct Swapped<M, K> {
    picker: fn(&Site, &KeyspaceOptions) -> K,
    memtable: PhantomData<fn() -> M>,
}

impl<M, K> Swapped<M, K> {
    fn with_picker(picker: fn(&Site, &KeyspaceOptions) -> K) -> Swapped<M, K> {
        Swapped { picker, memtable: PhantomData }
    }
}

impl<M: Memtable, K: CompactionPicker> Parts for Swapped<M, K> {
    type Log = parts::SegmentedLog;
    type Memtable = M;
    type Tables = parts::BlockTables;
    type Picker = K;

    fn log(&self, site: &Site) -> Result<parts::SegmentedLog, Fault> {
        site.log()
    }

    fn tables(&self, site: &Site, keyspace: &KeyspaceOptions) -> parts::BlockTables {
        site.tables(keyspace)
    }

    fn picker(&self, site: &Site, keyspace: &KeyspaceOptions) -> K {
        (self.picker)(site, keyspace)
    }
}

fn leveled(site: &Site, keyspace: &KeyspaceOptions) -> parts::Leveled {
    Standard.picker(site, keyspace)
}

impl<P: Parts> Store for Engine<P> {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(Engine::put(self, key, value)?)
    }

    fn delete(&self, key: &[u8]) -> Result<()> {
        Ok(Engine::delete(self, key)?)
    }

    fn write(&self, records: &[(&[u8], &[u8])]) -> Result<()> {
        let size_bytes = records.iter().map(|(key, value)| key.len() + value.len()).sum();
        let mut batch = WriteBatch::with_capacity(size_bytes);
        for (key, value) in records {
            batch.put(key, value);
        }
        Ok(Engine::write(self, batch)?)
    }

    fn get(&self, key: &[u8], show: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.get_with(key, show)?.is_some())
    }

    fn get_many(&self, keys: &[&[u8]], show: &mut dyn FnMut(usize, &[u8])) -> Result<usize> {
        let values = self.multi_get(keys)?;
        let found = values.iter().enumerate().filter_map(|(place, value)| Some((place, value.as_ref()?)));
        Ok(found.inspect(|(place, value)| show(*place, value)).count())
    }

    fn scan(&self, from: Option<&[u8]>, count_max: u64, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let mut cursor = self.cursor();
        let mut entry = match from {
            Some(from) => cursor.seek(from)?,
            None => cursor.seek_first()?,
        };
        let mut left = count_max;
        while let Some((key, value)) = entry.filter(|_| left > 0) {
            visit(key, value);
            left -= 1;
            entry = if left > 0 { cursor.next()? } else { None };
        }
        Ok(())
    }

    fn scan_back(&self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let mut cursor = self.cursor();
        let mut entry = cursor.seek_last()?;
        while let Some((key, value)) = entry {
            visit(key, value);
            entry = cursor.prev()?;
        }
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        self.flush()?;
        Ok(Engine::settle(self)?)
    }

    fn inside(&self) -> Inside {
        let stats = self.stats();
        let levels = stats.keyspaces.iter().flat_map(|keyspace| &keyspace.levels).map(|level| Level {
            runs: level.runs,
            tables: level.tables,
            size_bytes: level.size_bytes,
        });
        let stalls = StallCause::ALL.map(|cause| {
            let stalls = stats.stalls.get(&cause).copied().unwrap_or_default();
            let seconds = stalls.time.as_secs_f64();
            let longest_seconds = (stalls.count > 0).then_some(stalls.longest.as_secs_f64());
            (cause_name(cause), Stalls { count: stalls.count, seconds, longest_seconds })
        });
        Inside {
            levels: levels.collect(),
            flushes: Some(work(&stats.flushes)),
            compactions: Some(work(&stats.compactions)),
            stalls: stalls.into_iter().collect(),
            cache: Some(CacheCounts { hits: stats.cache.hits, misses: stats.cache.misses }),
        }
    }
}

pub(crate) fn work(work: &lsmkit::Work) -> Work {
    Work {
        count: work.count,
        seconds: work.time.as_secs_f64(),
        read_bytes: work.read_bytes,
        written_bytes: work.written_bytes,
    }
}

fn cause_name(cause: StallCause) -> String {
    match cause {
        StallCause::Memtables => "memtables full".to_owned(),
        StallCause::MemtablesSlow => "memtables slow".to_owned(),
        StallCause::Level0Slow => "level 0 slow".to_owned(),
        StallCause::Level0Stop => "level 0 stop".to_owned(),
        StallCause::Memory => "memory of memtables".to_owned(),
        other => format!("{other:?}"),
    }
}
