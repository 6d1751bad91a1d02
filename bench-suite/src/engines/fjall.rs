//! fjall 3.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use fjall::config::{
    BlockSizePolicy, BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry,
};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::settings::{Compression, Settings};
use crate::store::Store;

/// Compactions are looked for this often, and taken to be done once none was seen for this long.
const LOOK_EVERY: Duration = Duration::from_millis(10);
const QUIET_FOR: Duration = Duration::from_millis(200);

/// One keyspace, in which every write is flushed to the operating system before it returns: that is
/// `PersistMode::Buffer`, what fjall does unless told otherwise.
pub(crate) struct Fjall {
    database: Database,
    keyspace: Keyspace,
}

impl Fjall {
    pub(crate) fn open(dir: &Path, settings: &Settings) -> Result<Fjall> {
        let database = Database::builder(dir)
            .cache_size(settings.cache_bytes as u64)
            .worker_threads(settings.background_threads)
            .open()?;
        let keyspace = database.keyspace("default", || keyspace_options(settings))?;
        Ok(Fjall { database, keyspace })
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
        Ok(self.keyspace.insert(key, value)?)
    }

    fn delete(&self, key: &[u8]) -> Result<()> {
        Ok(self.keyspace.remove(key)?)
    }

    fn write(&self, records: &[(Vec<u8>, &[u8])]) -> Result<()> {
        let mut batch = self.database.batch().durability(Some(PersistMode::Buffer));
        for (key, value) in records {
            batch.insert(&self.keyspace, key.as_slice(), *value);
        }
        Ok(batch.commit()?)
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
}
