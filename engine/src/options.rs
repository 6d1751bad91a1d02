//! Settings: plain values, each with its default.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lsmkit_base::KeyspaceId;
use lsmkit_compaction::Leveled;
pub use lsmkit_sstable::Compression;
use lsmkit_vfs::{Fs, MemFs, StdFs};

use crate::{BackgroundRate, Db, Engine, Error, Parts, Standard};

/// What a write survives once the call returns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Durability {
    /// Nothing: the write is in memory until its memtable is flushed, at the latest when the store
    /// is closed. A crash may lose it while later, logged writes survive.
    None,
    /// The end of the process, by whatever means. A power failure may lose the newest such writes,
    /// never an older one before a newer one.
    #[default]
    Buffered,
    /// A power failure. Waits for the disk; writers that wait at the same time share one sync.
    Synced,
}

/// Who does the work that writes leave behind: flushes, compactions, removals.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Background {
    /// Threads of the store's own: one that flushes, some that compact, and one that makes room ahead of writers.
    #[default]
    Threads,
    /// The caller, one [`Engine::step`] at a time: the store starts no thread and does nothing that
    /// was not asked for, so that a simulation of it is repeatable. A writer that would have to
    /// wait takes the steps itself.
    Steps,
}

/// How to open a store. Every setting may differ from one opening to the next.
///
/// ```
/// use lsmkit::{Compression, Durability, Options};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("store");
/// let db = Options::new()
///     .memtable_bytes(64 << 20)
///     .cache_bytes(512 << 20)
///     .compression(Compression::Lz4)
///     .durability(Durability::Buffered)
///     .open(&path)?;
/// # db.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) memtable_bytes: usize,
    pub(crate) memtables_max: usize,
    memtables_bytes_max: Option<usize>,
    pub(crate) cache_bytes: usize,
    pub(crate) open_files_max: Option<usize>,
    pub(crate) log_bytes_max: u64,
    pub(crate) durability: Durability,
    pub(crate) sync_every: Option<Duration>,
    pub(crate) background: Background,
    compaction_threads: Option<usize>,
    pub(crate) background_rate: BackgroundRate,
    pub(crate) scrub_rate: Option<u64>,
    pub(crate) create_if_missing: bool,
    pub(crate) leveled: Leveled,
    pub(crate) keyspace: Resolved,
    pub(crate) uid_seed: Option<u64>,
    clock: Option<Clock>,
}

/// The settings of a keyspace's tables, each given.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) compression: Compression,
    pub(crate) block_bytes: usize,
    pub(crate) filter_bits_per_key: f64,
    pub(crate) filter_prefix_bytes: usize,
    pub(crate) pinned_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            memtable_bytes: 64 << 20,
            memtables_max: 3,
            memtables_bytes_max: None,
            cache_bytes: 256 << 20,
            open_files_max: None,
            log_bytes_max: 512 << 20,
            durability: Durability::default(),
            sync_every: None,
            background: Background::default(),
            compaction_threads: None,
            background_rate: BackgroundRate::default(),
            scrub_rate: None,
            create_if_missing: true,
            leveled: Leveled::default(),
            keyspace: Resolved {
                compression: if cfg!(feature = "lz4") { Compression::Lz4 } else { Compression::None },
                block_bytes: 4096,
                filter_bits_per_key: 10.0,
                filter_prefix_bytes: 0,
                pinned_bytes_max: usize::MAX,
            },
            uid_seed: None,
            clock: None,
        }
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Options {
        Options::default()
    }

    /// A keyspace's memtable is frozen and flushed once it holds this much. Default 64 MiB.
    #[must_use]
    pub fn memtable_bytes(mut self, bytes: usize) -> Options {
        self.memtable_bytes = bytes.max(1);
        self
    }

    /// Writers wait while a keyspace has this many full memtables that are not flushed yet. Default
    /// 3, least 1.
    #[must_use]
    pub fn memtables_max(mut self, count: usize) -> Options {
        self.memtables_max = count.max(1);
        self
    }

    /// How much memory the memtables of all keyspaces may take together. Once those that take writes hold half of it, the largest is
    /// flushed though it may not be full; when all of it is held, writers wait for flushes. Up to `memtable_bytes` more that a flush has given back are kept for
    /// memtables to come. Default what one keyspace may take:
    /// `memtable_bytes` times one more than `memtables_max`, 256 MiB unless those are set.
    #[must_use]
    pub fn memtables_bytes_max(mut self, bytes: usize) -> Options {
        self.memtables_bytes_max = Some(bytes);
        self
    }

    /// The cache of table blocks, shared by all keyspaces, its own overhead included. Default 256 MiB.
    #[must_use]
    pub fn cache_bytes(mut self, bytes: usize) -> Options {
        self.cache_bytes = bytes;
        self
    }

    /// How many files of tables are open at a time, more or less. A table whose file is not open costs opening it when a block of
    /// it is read that is not in the cache. Default half of what the system lets the process have open when the store is opened
    /// (`RLIMIT_NOFILE`), or 512 where it does not say.
    #[must_use]
    pub fn open_files_max(mut self, count: usize) -> Options {
        self.open_files_max = Some(count);
        self
    }

    /// Past this size of the log, memtables that hold the oldest records are flushed even though
    /// they are not full, so that an idle keyspace does not keep the log from shrinking. Default 512 MiB.
    #[must_use]
    pub fn log_bytes_max(mut self, bytes: u64) -> Options {
        self.log_bytes_max = bytes;
        self
    }

    /// What a write survives where the call does not say. Default [`Durability::Buffered`].
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Options {
        self.durability = durability;
        self
    }

    /// Syncs the log this often as long as something is written, so that a power failure loses no more than the buffered writes of this
    /// time and of the sync itself. No write waits for it. Should it fail, the store takes no more writes, as after any
    /// failed sync. Default never; nor with [`Background::Steps`], where [`Engine::sync`] is the caller's to call.
    #[must_use]
    pub fn sync_every(mut self, time: Duration) -> Options {
        self.sync_every = Some(time.max(Duration::from_millis(1)));
        self
    }

    /// Who does the background work. Default [`Background::Threads`].
    #[must_use]
    pub fn background(mut self, background: Background) -> Options {
        self.background = background;
        self
    }

    /// How many threads compact. Where there are several, a large compaction is cut into parts by key so that all of them have some
    /// of it. Default as many as there are processors, at most 8. While the store is written to and nobody is held up, half of them
    /// have parts of the same compaction at most; where there are not enough processors for all, the others leave them to the threads that read and write. With [`Background::Steps`] the default is 1, each compaction one step; with more than that
    /// each part is a step.
    #[must_use]
    pub fn compaction_threads(mut self, count: usize) -> Options {
        self.compaction_threads = Some(count.max(1));
        self
    }

    /// How much compactions may write. Default as much as the disk takes. Not with [`Background::Steps`].
    #[must_use]
    pub fn background_rate(mut self, rate: BackgroundRate) -> Options {
        self.background_rate = rate;
        self
    }

    /// Lets a thread read all tables again and again, at so many bytes a second on average, and check every byte of them as [`Engine::verify`]
    /// does, so that damage is found while there is still a backup: [`Stats::scrub`](crate::Stats::scrub) tells. A table is read as fast as it can be, and then
    /// nothing for as long as the rate asks for. Damage that nobody else meets leaves the store as it is. Default none. Not with [`Background::Steps`].
    #[must_use]
    pub fn scrub_rate(mut self, bytes_a_second: u64) -> Options {
        self.scrub_rate = Some(bytes_a_second);
        self
    }

    /// Whether a store that is not there is created. Default true.
    #[must_use]
    pub fn create_if_missing(mut self, create: bool) -> Options {
        self.create_if_missing = create;
        self
    }

    /// The settings of the leveled strategy that [`Standard`] compacts by.
    #[must_use]
    pub fn leveled(mut self, leveled: Leveled) -> Options {
        self.leveled = leveled;
        self
    }

    /// How blocks of tables are compressed, unless a keyspace says otherwise. Default LZ4, or none
    /// where the feature `lz4` is off.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Options {
        self.keyspace.compression = compression;
        self
    }

    /// About how large a block of a table is before compression, from 64 bytes to 1 MiB, unless a
    /// keyspace says otherwise. Default 4 KiB.
    #[must_use]
    pub fn block_bytes(mut self, bytes: usize) -> Options {
        self.keyspace.block_bytes = bytes;
        self
    }

    /// How many bits a key takes in the filters on average, from 1 to 32, unless a keyspace says otherwise; 0
    /// for no filters. Default 10. Small runs of tables get more of them and large ones fewer, as makes
    /// look-ups of keys that are not there cheapest.
    #[must_use]
    pub fn filter_bits_per_key(mut self, bits: f64) -> Options {
        self.keyspace.filter_bits_per_key = bits;
        self
    }

    /// Puts the first so many bytes of each key that is as long into the filters as well, unless a keyspace says otherwise. Then
    /// a scan of a range or a prefix in which all keys begin with the same so many bytes ([`Engine::scan_prefix`],
    /// [`Engine::cursor_within`]) passes over tables that have none of them. Each beginning takes room in the filters
    /// like a key. 0, the default, for none. Tables that were written before are read as they are.
    #[must_use]
    pub fn filter_prefix_bytes(mut self, bytes: usize) -> Options {
        self.keyspace.filter_prefix_bytes = bytes;
        self
    }

    /// How large the index and the filter of one table may be together to be kept in memory for as long as the table is
    /// there, unless a keyspace says otherwise. Those of larger ones are cut into parts of some kilobytes, of which the block cache
    /// has those that are in use: then the cache bounds the memory of a store however large it is, and a get goes through up to
    /// three blocks of the cache rather than one. Default no limit: with blocks of 4 KiB and filters of ten bits a key, records
    /// of 100 bytes take some 2 % of their size in memory. What counts is their length as they are stored, before compression; berths of blocks
    /// are not in it. Tables that were written before are read as they are.
    #[must_use]
    pub fn pinned_bytes_max(mut self, bytes: usize) -> Options {
        self.keyspace.pinned_bytes_max = bytes;
        self
    }

    /// Makes the random numbers in table files repeatable, for simulations.
    #[must_use]
    pub fn uid_seed(mut self, seed: u64) -> Options {
        self.uid_seed = Some(seed);
        self
    }

    /// What time it is, in seconds since the beginning of 1970 in UTC, or 0 where that is not known: strategies that go by the age
    /// of data ask. Default the machine's clock, and always 0 with [`Background::Steps`], so that a run is repeatable.
    #[must_use]
    pub fn clock(mut self, seconds: impl Fn() -> u64 + Send + Sync + 'static) -> Options {
        self.clock = Some(Clock(Arc::new(seconds)));
        self
    }

    /// Opens the store at `path`; creates it where there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] where it is open already; [`Error::Corrupt`] where acknowledged data is damaged.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Db, Error> {
        self.open_with(Standard, StdFs::shared(), path)
    }

    /// Opens the store at `path` for reading. Changes nothing on disk; what the log holds is read
    /// into memory.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] beside a writer; [`Error::NoStore`] where there is none.
    pub fn open_read_only(self, path: impl AsRef<Path>) -> Result<Db, Error> {
        self.open_read_only_with(Standard, StdFs::shared(), path)
    }

    /// A new, empty store in memory: the same engine on the in-memory file system.
    pub fn open_in_memory(self) -> Result<Db, Error> {
        self.open_with(Standard, Arc::new(MemFs::new()), "/store")
    }

    /// Opens the store at `path` of `fs`, made of `parts`.
    pub fn open_with<P: Parts>(
        self,
        parts: P,
        fs: Arc<dyn Fs>,
        path: impl AsRef<Path>,
    ) -> Result<Engine<P>, Error> {
        Engine::start(crate::recover::open(parts, fs, path.as_ref(), self)?)
    }

    /// As [`Options::open_read_only`], with other parts and another file system.
    pub fn open_read_only_with<P: Parts>(
        self,
        parts: P,
        fs: Arc<dyn Fs>,
        path: impl AsRef<Path>,
    ) -> Result<Engine<P>, Error> {
        Engine::start(crate::recover::open_read_only(parts, fs, path.as_ref(), self)?)
    }
}

/// Tells the time, in seconds since the beginning of 1970.
#[derive(Clone)]
struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl Options {
    /// What time it is, in seconds since the beginning of 1970, or 0 where that is not to matter.
    pub(crate) fn now(&self) -> u64 {
        match (&self.clock, self.background) {
            (Some(Clock(seconds)), _) => seconds(),
            (None, Background::Threads) => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
            }
            (None, Background::Steps) => 0,
        }
    }

    pub(crate) fn threads_that_compact(&self) -> usize {
        // One for each processor, but no more than can be of use to one disk.
        let for_this_machine = || thread::available_parallelism().map_or(1, |count| count.get().min(8));
        self.compaction_threads.unwrap_or_else(|| match self.background {
            Background::Threads => for_this_machine(),
            Background::Steps => 1,
        })
    }

    pub(crate) fn limit_of_memtables(&self) -> usize {
        let of_one_keyspace = self.memtable_bytes.saturating_mul(self.memtables_max.saturating_add(1));
        self.memtables_bytes_max.unwrap_or(of_one_keyspace)
    }
}

/// How a keyspace's tables are written. What is not set is as in [`Options`].
#[derive(Clone, Debug, Default)]
pub struct KeyspaceOptions {
    compression: Option<Compression>,
    block_bytes: Option<usize>,
    filter_bits_per_key: Option<f64>,
    filter_prefix_bytes: Option<usize>,
    pinned_bytes_max: Option<usize>,
    /// The keyspace they are of, once it is known.
    home: Option<(KeyspaceId, String)>,
}

impl KeyspaceOptions {
    /// Nothing set.
    pub fn new() -> KeyspaceOptions {
        KeyspaceOptions::default()
    }

    /// See [`Options::compression`].
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> KeyspaceOptions {
        self.compression = Some(compression);
        self
    }

    /// See [`Options::block_bytes`].
    #[must_use]
    pub fn block_bytes(mut self, bytes: usize) -> KeyspaceOptions {
        self.block_bytes = Some(bytes);
        self
    }

    /// See [`Options::filter_bits_per_key`].
    #[must_use]
    pub fn filter_bits_per_key(mut self, bits: f64) -> KeyspaceOptions {
        self.filter_bits_per_key = Some(bits);
        self
    }

    /// See [`Options::filter_prefix_bytes`].
    #[must_use]
    pub fn filter_prefix_bytes(mut self, bytes: usize) -> KeyspaceOptions {
        self.filter_prefix_bytes = Some(bytes);
        self
    }

    /// See [`Options::pinned_bytes_max`].
    #[must_use]
    pub fn pinned_bytes_max(mut self, bytes: usize) -> KeyspaceOptions {
        self.pinned_bytes_max = Some(bytes);
        self
    }

    /// Those of this keyspace.
    pub(crate) fn of(mut self, id: KeyspaceId, name: &str) -> KeyspaceOptions {
        self.home = Some((id, name.to_owned()));
        self
    }

    /// The keyspace they are of.
    pub(crate) fn home(&self) -> Option<(KeyspaceId, &str)> {
        self.home.as_ref().map(|(id, name)| (*id, name.as_str()))
    }

    pub(crate) fn resolve(&self, defaults: &Resolved) -> Resolved {
        Resolved {
            compression: self.compression.unwrap_or(defaults.compression),
            block_bytes: self.block_bytes.unwrap_or(defaults.block_bytes),
            filter_bits_per_key: self.filter_bits_per_key.unwrap_or(defaults.filter_bits_per_key),
            filter_prefix_bytes: self.filter_prefix_bytes.unwrap_or(defaults.filter_prefix_bytes),
            pinned_bytes_max: self.pinned_bytes_max.unwrap_or(defaults.pinned_bytes_max),
        }
    }
}
