//! fjall 3.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use fjall::config::{
    BlockSizePolicy, BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry,
};
use fjall::{
    AbstractTree, CompressionType, Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode,
};

use crate::inside::{Inside, Level};
use crate::settings::{Compression, Durability, Settings};
use crate::store::Store;

/// Compactions are looked for this often, and taken to be done once none was seen for this long.
const LOOK_EVERY: Duration = Duration::from_millis(10);
const QUIET_FOR: Duration = Duration::from_millis(200);

/// One keyspace. Every write is handed to the kernel before it returns, which is what fjall does
/// unless told otherwise; a synced one is then persisted, as fjall's guide has it.
///
/// What a keyspace was made with stays with it: of a store that is opened again, only the cache, the
/// threads and the durability are as the settings say.
pub(crate) struct Fjall {
    database: Database,
    keyspace: Keyspace,
    durability: Durability,
}

impl Fjall {
    pub(crate) fn open(dir: &Path, settings: &Settings) -> Result<Fjall> {
        let database = Database::builder(dir)
            .cache_size(settings.cache_bytes as u64)
            .worker_threads(settings.background_threads)
            .open()?;
        let keyspace = database.keyspace("default", || keyspace_options(settings))?;
        Ok(Fjall { database, keyspace, durability: settings.durability })
    }

    /// Makes a write as durable as it has to be. Waits for the disk outside the write, so that other
    /// threads' writes get into the journal first and the sync of one finds them there.
    fn persist(&self) -> Result<()> {
        match self.durability {
            Durability::Buffered => Ok(()),
            Durability::Synced => Ok(self.database.persist(PersistMode::SyncData)?),
        }
    }
}

fn keyspace_options(settings: &Settings) -> KeyspaceCreateOptions {
    let bits_per_key = BloomConstructionPolicy::BitsPerKey(f32::from(settings.filter_bits_per_key));
    KeyspaceCreateOptions::default()
        .max_memtable_size(settings.memtable_bytes as u64)
        .data_block_size_policy(BlockSizePolicy::all(settings.block_bytes as u32))
        .filter_policy(FilterPolicy::all(FilterPolicyEntry::Bloom(bits_per_key)))
        .data_block_compression_policy(CompressionPolicy::all(match settings.compression {
            Compression::Lz4 => CompressionType::Lz4,
            Compression::None => CompressionType::None,
        }))
}

impl Store for Fjall {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.keyspace.insert(key, value)?;
        self.persist()
    }

    fn delete(&self, key: &[u8]) -> Result<()> {
        self.keyspace.remove(key)?;
        self.persist()
    }

    fn write(&self, records: &[(&[u8], &[u8])]) -> Result<()> {
        let mut batch = OwnedWriteBatch::with_capacity(self.database.clone(), records.len())
            .durability(Some(PersistMode::Buffer));
        for (key, value) in records {
            batch.insert(&self.keyspace, *key, *value);
        }
        batch.commit()?;
        self.persist()
    }

    fn get(&self, key: &[u8], show: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.keyspace.get(key)?;
        Ok(value.map(|value| show(&value)).is_some())
    }

    fn scan(&self, from: Option<&[u8]>, count_max: u64, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let scan = match from {
            Some(from) => self.keyspace.range(from..),
            None => self.keyspace.iter(),
        };
        for guard in scan.take(count_max as usize) {
            let (key, value) = guard.into_inner()?;
            visit(&key, &value);
        }
        Ok(())
    }

    fn scan_back(&self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        for guard in self.keyspace.iter().rev() {
            let (key, value) = guard.into_inner()?;
            visit(&key, &value);
        }
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        self.keyspace.rotate_memtable_and_wait()?;
        let mut completed = self.database.compactions_completed();
        let mut quiet = Duration::ZERO;
        while quiet < QUIET_FOR {
            sleep(LOOK_EVERY);
            let now = self.database.compactions_completed();
            let busy = self.database.active_compactions() > 0
                || self.database.outstanding_flushes() > 0
                || now != completed;
            completed = now;
            quiet = if busy { Duration::ZERO } else { quiet + LOOK_EVERY };
        }
        Ok(())
    }

    fn inside(&self) -> Inside {
        let version = self.keyspace.tree.current_version();
        let levels = version.iter_levels().map(|level| Level {
            runs: level.run_count() as u64,
            tables: level.table_count() as u64,
            size_bytes: level.size(),
        });
        Inside { levels: levels.collect(), ..Inside::default() }
    }
}
