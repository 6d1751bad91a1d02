//! Reads a table file.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, TryLockError};

use lsmkit_base::{Buffer, Fault, FaultContext, KeyRef, SeqNo, Slice, TableMeta, ValueKind};
use lsmkit_blockcache::{Asked, Berths, BlockCache, BlockKey};
use lsmkit_bloom::{Blocked, FilterPolicy};
use lsmkit_vfs::{File, Fs};

use crate::block::{self, Block, Bytes};
use crate::cursor::FileCursor;
use crate::damage::Damage;
use crate::filter::Filter;
use crate::footer::{self, FOOTER_BYTES_MAX, Footer};
use crate::handle::{self, Handle};
use crate::index::Index;
use crate::probes::{Outcome, Probes};
use crate::properties::Properties;
use crate::table::{Found, Lookup, Reading, TableParts, TableReader};
use crate::writer;

/// An open table file, with its index and filter in memory.
pub struct FileReader {
    pub(crate) file: Arc<dyn File>,
    pub(crate) path: PathBuf,
    pub(crate) footer: Footer,
    pub(crate) index: Index,
    properties: Properties,
    meta: TableMeta,
    filter: Filter,
    /// Who probes the filter; nobody where the table has none of this policy.
    policy: Option<Arc<dyn FilterPolicy>>,
    /// Where it is counted what comes of asking the filter; nowhere for a table by itself or without one.
    probes: Option<Arc<Probes>>,
    cache: Option<Arc<dyn BlockCache<Buffer>>>,
    /// Where the cache leaves the table's data blocks.
    berths: Arc<Berths<Buffer>>,
    /// Held while a block is read for the cache; which of them, the number of the block tells.
    loading: [Mutex<()>; LOADING],
}

/// How many blocks of a table can be read for the cache at once, those apart that a scan reads ahead.
const LOADING: usize = 16;

/// How many keys are looked up at once. A thread can look at eight blocks at a time without counting itself among their
/// holders, but these are only asked for; and a processor waits for no more than some twenty lines of memory.
const AT_ONCE: usize = 16;

impl FileReader {
    /// Opens a table file by itself, outside any store: without a cache, probing filters of [`Blocked`].
    ///
    /// Reads the footer, the properties, the index and the filter; blocks while it does.
    ///
    /// # Errors
    ///
    /// Where the file is missing, damaged in what was read, or of a kind this build can't read.
    pub fn open(fs: &Arc<dyn Fs>, path: &Path) -> Result<FileReader, Fault> {
        let file = fs.open(path).at(path)?;
        let size_bytes = file.size_bytes().at(path)?;

        let tail_bytes = size_bytes.min(FOOTER_BYTES_MAX as u64);
        let mut tail = vec![0; tail_bytes as usize];
        read(&*file, path, size_bytes - tail_bytes, &mut tail)?;
        let footer =
            Footer::decode(&tail, size_bytes).map_err(|damage| damage.at(path, size_bytes - tail_bytes))?;
        let footer_bytes = &tail[tail.len() - Footer::BYTES..];
        let checksum = footer::file_checksum(footer.body_checksum, footer_bytes);

        let load = |handle: Handle| load(&*file, path, handle, footer.uid);
        let properties = load(footer.properties)?;
        let properties =
            Properties::decode(&properties).map_err(|damage| damage.at(path, footer.properties.offset))?;
        let index = load(footer.index)?;
        let index =
            Index::parse(index, footer.data().end).map_err(|damage| damage.at(path, footer.index.offset))?;
        let filter = if footer.has_filter() { Filter::of(&load(footer.filter)?) } else { Filter::default() };
        let meta = writer::meta(&properties, footer.uid, size_bytes, checksum);
        let reader = FileReader {
            file,
            path: path.to_path_buf(),
            footer,
            index,
            properties,
            meta,
            filter,
            policy: None,
            probes: None,
            cache: None,
            berths: Arc::new(Berths::none()),
            loading: Default::default(),
        };
        Ok(reader.with_filter(Arc::new(Blocked::bits_per_key(10.0))))
    }

    /// Probes the table's filter by `policy` if it is of that policy's name; else by none.
    #[must_use]
    pub fn with_filter(mut self, policy: Arc<dyn FilterPolicy>) -> FileReader {
        let probed = self.footer.has_filter() && policy.name() == self.properties.filter;
        self.policy = probed.then_some(policy);
        self.probes = None;
        self
    }

    /// Takes blocks from `cache`, and leaves them there, where they are read for lookups and scans. What it holds
    /// under keys of this table must come from a reader of this table: it was checked before it went there.
    #[must_use]
    pub fn with_cache(mut self, cache: Arc<dyn BlockCache<Buffer>>) -> FileReader {
        self.berths = cache.berths(self.index.len());
        self.cache = Some(cache);
        self
    }

    /// Counts in `probes` what comes of asking the filter in look-ups, until another policy probes it.
    pub(crate) fn with_probes(mut self, probes: Arc<Probes>) -> FileReader {
        self.probes = self.policy.is_some().then_some(probes);
        self
    }

    /// What a tree knows of the table.
    pub fn meta(&self) -> &TableMeta {
        &self.meta
    }

    /// What the table says of itself.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// The memory the reader holds for as long as it is open, blocks in the cache apart.
    pub fn size_bytes(&self) -> usize {
        size_of::<FileReader>()
            + self.index.size_bytes()
            + self.filter.size_bytes()
            + self.berths.size_bytes()
    }

    /// The value of `key`, for tables without history: that of the newest version.
    pub fn value(&self, key: &[u8]) -> Result<Option<Slice>, Fault> {
        let show = |found: Found<'_>| (found.kind == ValueKind::Put).then(|| found.value.keep());
        Ok(self.get(key, lsmkit_bloom::hash(key), SeqNo::MAX, show)?.flatten())
    }

    /// Refuses a file that is sound but not the table that `meta` tells of.
    pub(crate) fn check_meta(&self, meta: &TableMeta) -> Result<(), Fault> {
        if self.meta == *meta {
            return Ok(());
        }
        let is = &self.meta;
        let what = format!(
            "not the table expected: number {}, {} bytes, uid {:016x}, checksum {:08x}, {} entries; \
             expected number {}, {} bytes, uid {:016x}, checksum {:08x}, {} entries",
            is.id,
            is.size_bytes,
            is.uid,
            is.checksum,
            is.entries,
            meta.id,
            meta.size_bytes,
            meta.uid,
            meta.checksum,
            meta.entries,
        );
        Err(Fault::corrupt(&self.path, self.footer.data().end, what))
    }

    /// Whether the table may hold a key with this hash.
    #[inline]
    pub(crate) fn may_contain(&self, hash: u64) -> bool {
        self.policy.as_ref().is_none_or(|policy| self.filter.may_contain(&**policy, hash))
    }

    /// Counts what came of asking the filter, where there is one.
    #[inline]
    fn note(&self, outcome: Outcome) {
        if let Some(probes) = &self.probes {
            probes.note(outcome);
        }
    }

    /// Counts that the filter let a look-up through that has found nothing.
    fn note_in_vain(&self, at: SeqNo) {
        // Before the table's newest write, the key may be there in a version that is too new.
        self.note(if at >= self.meta.seq_max { Outcome::FalsePositive } else { Outcome::Passed });
    }

    /// The data block in which to look for a version of `user_key` at or before `at`, if it can be in one.
    ///
    /// One block is enough, though versions of a key may straddle blocks: where the target is after the last entry of
    /// the block and not after its separator, the next block begins with another user key, because between versions of
    /// one key the separator is the last entry itself.
    #[inline]
    fn block_of(&self, user_key: &[u8], at: SeqNo) -> Option<usize> {
        let i = self.index.find(KeyRef::new(user_key, at));
        (i < self.index.len()).then_some(i)
    }

    /// Shows the newest version of `user_key` at or before `at` in the block that can hold it, and counts what came of
    /// asking the filter.
    #[inline]
    fn find_in<T>(
        &self,
        block: &Block<impl Bytes>,
        user_key: &[u8],
        at: SeqNo,
        show: impl FnOnce(Found<'_>) -> T,
    ) -> Option<T> {
        let Some(place) = block.find(user_key, at) else {
            self.note_in_vain(at);
            return None;
        };
        self.note(Outcome::Passed);
        let shown = block.shown(place);
        Some(show(Found { seq: shown.seq(), kind: shown.kind(), value: block.lent_value(shown) }))
    }

    /// Data block `i`, if it is in its berth.
    #[inline]
    pub(crate) fn block_in_berth(&self, i: usize) -> Option<Block> {
        self.berths.find(i).map(|bytes| Block::sharing(&bytes))
    }

    /// Data block `i`, which is not in its berth, from the cache or else from the file and into the cache.
    pub(crate) fn block(&self, i: usize) -> Result<Block, Fault> {
        Ok(Block::sharing(&self.block_without_berth(i)?))
    }

    /// Leaves data block `i`, which was read, in the cache, if there is one.
    pub(crate) fn leave_in_cache(&self, i: usize, block: &Block) {
        if let Some(cache) = &self.cache {
            cache.insert_at(self.key(i), block.bytes().clone(), block.size_bytes(), &self.berths, i);
        }
    }

    fn key(&self, i: usize) -> BlockKey {
        BlockKey { table: self.footer.uid, offset: self.index.handle(i).offset }
    }

    /// Asks for data block `i`, if it is in memory. There need not be such a block.
    #[inline]
    pub(crate) fn announce_block(&self, i: usize) {
        self.berths.look(i, block::announce);
    }

    /// As [`FileReader::announce_block`], for all that is in it, if it is small.
    pub(crate) fn announce_all_of(&self, i: usize) {
        self.berths.look(i, block::announce_all);
    }

    /// As [`FileReader::find_in`], for data block `i`, which is not in its berth.
    #[cold]
    fn find_without_berth<T>(
        &self,
        i: usize,
        user_key: &[u8],
        at: SeqNo,
        show: impl FnOnce(Found<'_>) -> T,
    ) -> Result<Option<T>, Fault> {
        match self.ask_cache(i) {
            Asked::There(bytes) => Ok(self.find_in(&Block::seen(&bytes), user_key, at, show)),
            Asked::Wanted => {
                let bytes = self.block_for_cache(i)?;
                Ok(self.find_in(&Block::seen(&bytes), user_key, at, show))
            }
            // It is looked at where it was read, and nothing is left of it.
            Asked::Unwanted => {
                self.load_block(i, |raw| Ok(self.find_in(&Block::check_all(raw)?, user_key, at, show)))
            }
        }
    }

    #[cold]
    fn block_without_berth(&self, i: usize) -> Result<Buffer, Fault> {
        match self.ask_cache(i) {
            Asked::There(bytes) => Ok(bytes),
            Asked::Wanted => self.block_for_cache(i),
            Asked::Unwanted => Ok(self.load_block(i, |raw| Block::parse(raw, None))?.into_bytes()),
        }
    }

    /// Data block `i`, if it is in the cache, and if it is not, whether it should be.
    pub(crate) fn ask_cache(&self, i: usize) -> Asked<Buffer> {
        self.cache.as_ref().map_or(Asked::Unwanted, |cache| cache.ask(self.key(i)))
    }

    /// Data block `i`, which is not in the cache, from the file and into the cache.
    fn block_for_cache(&self, i: usize) -> Result<Buffer, Fault> {
        // Of those who miss a block at the same time one reads it; the others wait until it has, and find the
        // block. Where they don't, as the cache did not take it, each reads it for itself: nobody waits twice.
        let turn = &self.loading[i % LOADING];
        let turn = match turn.try_lock() {
            Err(TryLockError::WouldBlock) => {
                drop(turn.lock());
                None
            }
            turn => Some(turn),
        };
        if let Some(block) = self.berths.peek(i) {
            return Ok(block);
        }
        let block = self.load_block(i, |raw| Block::parse(raw, None))?;
        self.leave_in_cache(i, &block);
        drop(turn);
        Ok(block.into_bytes())
    }

    /// Reads data block `i`, and shows it with its slack where it was read.
    fn load_block<T>(&self, i: usize, show: impl FnOnce(&[u8]) -> Result<T, Damage>) -> Result<T, Fault> {
        let handle = self.index.handle(i);
        // Taken out while it is used: a file system may itself read tables, and so may whoever is shown the block.
        let mut scratch = SCRATCH.try_with(RefCell::take).unwrap_or_default();
        let shown = self
            .load_block_in(&mut scratch, handle)
            .and_then(|raw| show(raw).map_err(|damage| damage.at(&self.path, handle.offset)));
        scratch.limit();
        // A thread that ends has none left.
        let _ = SCRATCH.try_with(|left| left.replace(scratch));
        shown
    }

    fn load_block_in<'s>(&self, scratch: &'s mut Scratch, handle: Handle) -> Result<&'s [u8], Fault> {
        let Scratch { sealed, raw } = scratch;
        sealed.resize(handle.loaded_bytes(), 0);
        read(&*self.file, &self.path, handle.offset, &mut sealed[..handle.sealed_bytes()])?;
        handle::open_within(sealed, handle, self.footer.uid, raw)
            .map_err(|damage| damage.at(&self.path, handle.offset))
    }
}

/// Memory that blocks are read into before there is a buffer for them; one for each thread that reads.
#[derive(Default)]
struct Scratch {
    sealed: Vec<u8>,
    raw: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Scratch {
    /// How much of it a thread keeps.
    const BYTES_MAX: usize = 64 << 10;

    /// Lets go of what a large block has left.
    fn limit(&mut self) {
        for bytes in [&mut self.sealed, &mut self.raw] {
            if bytes.capacity() > Self::BYTES_MAX {
                *bytes = Vec::new();
            }
        }
    }
}

/// Reads what is at `handle`, which lies within the file, and checks and decompresses it.
fn load(file: &dyn File, path: &Path, handle: Handle, uid: u64) -> Result<Vec<u8>, Fault> {
    // Room for the slack of a block, so that it need not move for that.
    let mut sealed = Vec::with_capacity(handle.loaded_bytes());
    sealed.resize(handle.sealed_bytes(), 0);
    read(file, path, handle.offset, &mut sealed)?;
    handle::open(sealed, handle, uid).map_err(|damage| damage.at(path, handle.offset))
}

/// Reads exactly; a file that ends too early has lost something since it was opened.
pub(crate) fn read(file: &dyn File, path: &Path, offset: u64, bytes: &mut [u8]) -> Result<(), Fault> {
    match file.read_exact_at(bytes, offset) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            Err(Fault::corrupt(path, offset, format!("the file ends within {} bytes", bytes.len())))
        }
        result => result.at(path),
    }
}

impl TableReader for FileReader {
    type Cursor = FileCursor;

    #[inline]
    fn get<T>(
        &self,
        user_key: &[u8],
        hash: u64,
        at: SeqNo,
        show: impl FnOnce(Found<'_>) -> T,
    ) -> Result<Option<T>, Fault> {
        if !self.may_contain(hash) {
            self.note(Outcome::Denied);
            return Ok(None);
        }
        let Some(i) = self.block_of(user_key, at) else {
            self.note_in_vain(at);
            return Ok(None);
        };
        match self.berths.find(i) {
            Some(bytes) => Ok(self.find_in(&Block::seen(&bytes), user_key, at, show)),
            None => self.find_without_berth(i, user_key, at, show),
        }
    }

    /// In rounds, each of which waits for memory once rather than once for each key: the filter's lines, then the
    /// blocks', then what is in them.
    fn get_many(
        &self,
        lookups: &[Lookup<'_>],
        at: SeqNo,
        mut show: impl FnMut(usize, Found<'_>),
    ) -> Result<(), Fault> {
        // The block that was read last, which its neighbours are in perhaps, whether or not the cache has taken it.
        let mut read: Option<(usize, Buffer)> = None;
        for (round, lookups) in lookups.chunks(AT_ONCE).enumerate() {
            lookups.iter().for_each(|lookup| self.announce(lookup.hash));
            let mut blocks = [None; AT_ONCE];
            for (lookup, block) in lookups.iter().zip(&mut blocks) {
                if !self.may_contain(lookup.hash) {
                    self.note(Outcome::Denied);
                    continue;
                }
                *block = self.block_of(lookup.user_key, at);
                match *block {
                    Some(i) => self.announce_block(i),
                    None => self.note_in_vain(at),
                }
            }
            for (place, (lookup, block)) in lookups.iter().zip(blocks).enumerate() {
                let Some(i) = block else { continue };
                let show = |found: Found<'_>| show(round * AT_ONCE + place, found);
                if let Some(bytes) = self.berths.find(i) {
                    self.find_in(&Block::seen(&bytes), lookup.user_key, at, show);
                    continue;
                }
                let bytes = match read.take() {
                    Some((there, bytes)) if there == i => bytes,
                    _ => self.block_without_berth(i)?,
                };
                self.find_in(&Block::seen(&bytes), lookup.user_key, at, show);
                read = Some((i, bytes));
            }
        }
        Ok(())
    }

    #[inline]
    fn announce(&self, hash: u64) {
        if let Some(policy) = &self.policy {
            self.filter.announce(&**policy, hash);
        }
    }

    fn cursor(self: &Arc<Self>, reading: Reading) -> FileCursor {
        FileCursor::new(self, reading)
    }

    fn parts(&self) -> Option<TableParts> {
        Some(self.footer.parts(self.meta.size_bytes))
    }
}

impl fmt::Debug for FileReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileReader")
            .field("path", &self.path)
            .field("meta", &self.meta)
            .finish_non_exhaustive()
    }
}
