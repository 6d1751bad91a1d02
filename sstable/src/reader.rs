//! Reads a table file.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::ops::{Bound, Range};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, TryLockError};

use lsmkit_base::{Buffer, Fault, FaultContext, KeyRef, SeqNo, Slice, TableMeta, ValueKind};
use lsmkit_blockcache::{Asked, Berths, BlockCache, BlockKey};
use lsmkit_bloom::{Blocked, FilterPolicy};
use lsmkit_vfs::{File, Fs};

use crate::block::{self, Block, Bytes, KeyBuffer};
use crate::cursor::FileCursor;
use crate::damage::Damage;
use crate::filter::{self, Filter};
use crate::footer::{self, FOOTER_BYTES_MAX, Footer, IndexKind};
use crate::guide::{Guide, Parts, Whole};
use crate::handle::{self, Handle};
use crate::index::Index;
use crate::probes::{Outcome, Probes};
use crate::properties::Properties;
use crate::table::{Found, Lookup, Reading, TableParts, TableReader};
use crate::writer;

/// An open table file, with its index and filter in memory, or where their parts are.
pub struct FileReader {
    pub(crate) file: Arc<dyn File>,
    pub(crate) path: PathBuf,
    pub(crate) footer: Footer,
    pub(crate) guide: Guide,
    properties: Properties,
    meta: TableMeta,
    /// Who probes the filter; nobody where the table has none of this policy.
    policy: Option<Arc<dyn FilterPolicy>>,
    /// Where it is counted what comes of asking the filter; nowhere for a table by itself or without one.
    probes: Option<Arc<Probes>>,
    cache: Option<Arc<dyn BlockCache<Buffer>>>,
    /// Where the cache leaves the table's data blocks; none where the index is in parts.
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
    /// Reads the footer, the properties, and the index and the filter or where their parts are; blocks while it does.
    ///
    /// # Errors
    ///
    /// Where the file is missing, damaged in what was read, or of a kind this build can't read.
    pub fn open(fs: &Arc<dyn Fs>, path: &Path) -> Result<FileReader, Fault> {
        let (reader, damaged) = FileReader::open_as_far_as(fs, path)?;
        damaged.map_or(Ok(reader), Err)
    }

    /// Opens a table file of which footer and index are sound; with what else is not, if anything. A filter that can't be read is
    /// none, and properties that can't be read are empty.
    pub(crate) fn open_as_far_as(
        fs: &Arc<dyn Fs>,
        path: &Path,
    ) -> Result<(FileReader, Option<Fault>), Fault> {
        let mut damaged = None;
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
        let properties = load(footer.properties).and_then(|bytes| {
            Properties::decode(&bytes).map_err(|damage| damage.at(path, footer.properties.offset))
        });
        let properties = match properties {
            Err(fault) if fault.is_unsupported() => return Err(fault),
            properties => noting(&mut damaged, properties),
        };
        let index = load(footer.index)?;
        let at_index = |damage: Damage| damage.at(path, footer.index.offset);
        let guide = match footer.kind {
            IndexKind::Whole => {
                let index = Index::parse(index, footer.data()).map_err(at_index)?;
                let load_filter = || Ok(Filter::of(&load(footer.filter)?));
                let has_filter = footer.has_filter() && damaged.is_none();
                let filter = if has_filter { noting(&mut damaged, load_filter()) } else { Filter::default() };
                Guide::Whole(Whole { sample: index.sample(), index, filter })
            }
            IndexKind::Cut => {
                let parts = Parts::parse(index, footer.data().end, footer.index.offset);
                Guide::Cut(parts.map_err(at_index)?)
            }
        };
        let meta = writer::meta(&properties, footer.uid, size_bytes, checksum);
        let reader = FileReader {
            file,
            path: path.to_path_buf(),
            footer,
            guide,
            properties,
            meta,
            policy: None,
            probes: None,
            cache: None,
            berths: Arc::new(Berths::none()),
            loading: Default::default(),
        };
        let reader = match damaged {
            None => reader.with_filter(Arc::new(Blocked::bits_per_key(10.0))),
            Some(_) => reader,
        };
        Ok((reader, damaged))
    }

    /// Probes the table's filter by `policy` if it is of that policy's name; else by none.
    #[must_use]
    pub fn with_filter(mut self, policy: Arc<dyn FilterPolicy>) -> FileReader {
        let has_filter = match &self.guide {
            Guide::Whole(_) => self.footer.has_filter(),
            Guide::Cut(parts) => parts.filter_bytes > 0,
        };
        let probed = has_filter && policy.name() == self.properties.filter;
        self.policy = probed.then_some(policy);
        self.probes = None;
        self
    }

    /// Takes blocks from `cache`, and leaves them there, where they are read for lookups and scans. What it holds
    /// under keys of this table must come from a reader of this table: it was checked before it went there.
    #[must_use]
    pub fn with_cache(mut self, cache: Arc<dyn BlockCache<Buffer>>) -> FileReader {
        match &mut self.guide {
            Guide::Whole(whole) => self.berths = cache.berths(whole.index.len()),
            // Berths for the data would take memory that is to be spared.
            Guide::Cut(parts) => parts.put_into(cache.berths(2 * parts.len())),
        }
        self.cache = Some(cache);
        self
    }

    /// About where in the file `user_key` would be: the block or the part that would have it, or the end of the data.
    fn stretch_of(&self, user_key: &[u8]) -> Range<u64> {
        let (target, end) = (KeyRef::new(user_key, SeqNo::MAX), self.footer.data().end);
        match &self.guide {
            Guide::Whole(whole) => match whole.index.find_by(&whole.sample, target) {
                i if i < whole.index.len() => {
                    let handle = whole.index.handle(i);
                    handle.offset..handle.offset + handle.sealed_bytes() as u64
                }
                _ => end..end,
            },
            Guide::Cut(parts) => parts.find(target).map_or(end..end, |p| parts.data(p)),
        }
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
        size_of::<FileReader>() + self.guide.size_bytes() + self.berths.size_bytes()
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

    /// Who probes the filter, if there is one that somebody can probe.
    pub(crate) fn policy(&self) -> Option<&dyn FilterPolicy> {
        self.policy.as_deref()
    }

    pub(crate) fn cache(&self) -> Option<&dyn BlockCache<Buffer>> {
        self.cache.as_deref()
    }

    /// Whether the table may hold a key with this hash, as its whole filter tells.
    #[inline]
    pub(crate) fn may_contain(&self, whole: &Whole, hash: u64) -> bool {
        self.policy.as_ref().is_none_or(|policy| whole.filter.may_contain(&**policy, hash))
    }

    /// Counts what came of asking the filter, where there is one.
    #[inline]
    pub(crate) fn note(&self, outcome: Outcome) {
        if let Some(probes) = &self.probes {
            probes.note(outcome);
        }
    }

    /// Counts that the filter let a look-up through that has found nothing.
    fn note_in_vain(&self, at: SeqNo) {
        // Before the table's newest write, the key may be there in a version that is too new.
        self.note(if at >= self.meta.seq_max { Outcome::FalsePositive } else { Outcome::Passed });
    }

    /// The data block in which to look for `target`; the number of all where it is after all of them.
    #[inline]
    pub(crate) fn find_block(&self, target: KeyRef<'_>) -> Result<usize, Fault> {
        match &self.guide {
            Guide::Whole(whole) => Ok(whole.index.find_by(&whole.sample, target)),
            Guide::Cut(parts) => self.find_block_by_parts(parts, target),
        }
    }

    /// Where data block `i` is stored.
    #[inline]
    pub(crate) fn handle(&self, i: usize) -> Result<Handle, Fault> {
        match &self.guide {
            Guide::Whole(whole) => Ok(whole.index.handle(i)),
            Guide::Cut(parts) => self.handle_by_parts(parts, i),
        }
    }

    /// The data block in which to look for a version of `user_key` at or before `at`, if it can be in one.
    ///
    /// One block is enough, though versions of a key may straddle blocks: where the target is after the last entry of
    /// the block and not after its separator, the next block begins with another user key, because between versions of
    /// one key the separator is the last entry itself.
    #[inline]
    fn block_of(&self, whole: &Whole, user_key: &[u8], at: SeqNo) -> Option<usize> {
        let i = whole.index.find_by(&whole.sample, KeyRef::new(user_key, at));
        (i < whole.index.len()).then_some(i)
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
            let bytes = block.bytes();
            cache.insert_at(self.key(i), bytes.clone(), block::size_in_cache(bytes), &self.berths, i);
        }
    }

    fn key(&self, i: usize) -> BlockKey {
        BlockKey { table: self.footer.uid, block: i as u64 }
    }

    /// Asks for the berth of data block `i`. There need not be such a block.
    #[inline]
    pub(crate) fn announce_berth(&self, i: usize) {
        self.berths.announce(i);
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
    pub(crate) fn find_without_berth<T>(
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
            Asked::Unwanted => self.load_block(self.handle(i)?, |raw| {
                Ok(self.find_in(&Block::check_all(raw)?, user_key, at, show))
            }),
        }
    }

    #[cold]
    fn block_without_berth(&self, i: usize) -> Result<Buffer, Fault> {
        match self.ask_cache(i) {
            Asked::There(bytes) => Ok(bytes),
            Asked::Wanted => self.block_for_cache(i),
            Asked::Unwanted => {
                Ok(self.load_block(self.handle(i)?, |raw| Block::parse(raw, None))?.into_bytes())
            }
        }
    }

    /// Data block `i`, if it is in the cache, and if it is not, whether it should be.
    pub(crate) fn ask_cache(&self, i: usize) -> Asked<Buffer> {
        self.cache.as_ref().map_or(Asked::Unwanted, |cache| cache.ask(self.key(i)))
    }

    /// Data block `i`, which is not in the cache, from the file and into the cache.
    fn block_for_cache(&self, i: usize) -> Result<Buffer, Fault> {
        let handle = self.handle(i)?;
        self.load_once(self.key(i), &self.berths, i, || {
            Ok(self.load_block(handle, |raw| Block::parse(raw, None))?.into_bytes())
        })
    }

    /// What `load` makes of the file, which is not in the cache, and into the cache: under `key`, in berth `at`. While it
    /// does, others may be waiting for it, so it asks for no other block.
    pub(crate) fn load_once(
        &self,
        key: BlockKey,
        berths: &Arc<Berths<Buffer>>,
        at: usize,
        load: impl FnOnce() -> Result<Buffer, Fault>,
    ) -> Result<Buffer, Fault> {
        // Of those who miss a block at the same time one reads it; the others wait until it has, and find the
        // block. Where they don't, as the cache did not take it, each reads it for itself: nobody waits twice.
        let turn = &self.loading[key.block as usize % LOADING];
        let turn = match turn.try_lock() {
            Err(TryLockError::WouldBlock) => {
                drop(turn.lock());
                None
            }
            turn => Some(turn),
        };
        let found = berths.peek(at).or_else(|| {
            // Who has waited asks by the key as well, as not every block has a berth.
            turn.is_none().then(|| self.cache.as_ref()?.get(key)).flatten()
        });
        if let Some(block) = found {
            return Ok(block);
        }
        let block = load()?;
        if let Some(cache) = &self.cache {
            cache.insert_at(key, block.clone(), block::size_in_cache(&block), berths, at);
        }
        drop(turn);
        Ok(block)
    }

    /// Reads the data block at `handle`, and shows it with its slack where it was read.
    fn load_block<T>(
        &self,
        handle: Handle,
        show: impl FnOnce(&[u8]) -> Result<T, Damage>,
    ) -> Result<T, Fault> {
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
pub(crate) fn load(file: &dyn File, path: &Path, handle: Handle, uid: u64) -> Result<Vec<u8>, Fault> {
    // Room for the slack of a block, so that it need not move for that.
    let mut sealed = Vec::with_capacity(handle.loaded_bytes());
    sealed.resize(handle.sealed_bytes(), 0);
    read(file, path, handle.offset, &mut sealed)?;
    handle::open(sealed, handle, uid).map_err(|damage| damage.at(path, handle.offset))
}

/// What was read, or nothing, and then the fault is noted.
fn noting<T: Default>(damaged: &mut Option<Fault>, read: Result<T, Fault>) -> T {
    read.unwrap_or_else(|fault| {
        damaged.get_or_insert(fault);
        T::default()
    })
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
        let whole = match &self.guide {
            Guide::Whole(whole) => whole,
            Guide::Cut(parts) => return self.get_by_parts(parts, user_key, hash, at, show),
        };
        if !self.may_contain(whole, hash) {
            self.note(Outcome::Denied);
            return Ok(None);
        }
        let Some(i) = self.block_of(whole, user_key, at) else {
            self.note_in_vain(at);
            return Ok(None);
        };
        match self.berths.find(i) {
            Some(bytes) => Ok(self.find_in(&Block::seen(&bytes), user_key, at, show)),
            None => self.find_without_berth(i, user_key, at, show),
        }
    }

    /// In rounds, each of which waits for memory once rather than once for each key: the filter's lines, the index's, the
    /// berths, the blocks, then what is in them.
    fn get_many(
        &self,
        lookups: &[Lookup<'_>],
        at: SeqNo,
        mut show: impl FnMut(usize, Found<'_>),
    ) -> Result<(), Fault> {
        let whole = match &self.guide {
            Guide::Whole(whole) => whole,
            Guide::Cut(parts) => {
                for (place, Lookup { user_key, hash }) in lookups.iter().enumerate() {
                    self.get_by_parts(parts, user_key, *hash, at, |found| show(place, found))?;
                }
                return Ok(());
            }
        };
        // The block that was read last, which its neighbours are in perhaps, whether or not the cache has taken it.
        let mut read: Option<(usize, Buffer)> = None;
        for (round, lookups) in lookups.chunks(AT_ONCE).enumerate() {
            lookups.iter().for_each(|lookup| self.announce(lookup.hash));
            let mut among = [const { None }; AT_ONCE];
            for (lookup, among) in lookups.iter().zip(&mut among) {
                if self.may_contain(whole, lookup.hash) {
                    *among = Some(whole.index.around(&whole.sample, KeyRef::new(lookup.user_key, at)));
                } else {
                    self.note(Outcome::Denied);
                }
            }
            let mut blocks = [None; AT_ONCE];
            for ((lookup, among), block) in lookups.iter().zip(among).zip(&mut blocks) {
                let Some(among) = among else { continue };
                let i = whole.index.find_among(among, KeyRef::new(lookup.user_key, at));
                if i < whole.index.len() {
                    self.announce_berth(i);
                    *block = Some(i);
                } else {
                    self.note_in_vain(at);
                }
            }
            blocks.iter().flatten().for_each(|i| self.announce_block(*i));
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
        if let (Guide::Whole(whole), Some(policy)) = (&self.guide, &self.policy) {
            whole.filter.announce(&**policy, hash);
        }
    }

    /// Asks the filter for what all keys within the bounds begin with, if that is as long as the beginnings in the filter.
    fn may_hold_within(&self, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> bool {
        let Some(prefix) = filter::prefix_of_all(lower, upper, self.properties.filter_prefix_bytes) else {
            return true;
        };
        let hash = lsmkit_bloom::hash(prefix);
        match &self.guide {
            Guide::Whole(whole) => self.may_contain(whole, hash),
            Guide::Cut(parts) => self.parts_may_contain(parts, prefix, hash).unwrap_or(true),
        }
    }

    fn anchors(&self, count: usize) -> Vec<Box<[u8]>> {
        let mut key = KeyBuffer::default();
        let pieces = match &self.guide {
            Guide::Whole(whole) => whole.index.len(),
            Guide::Cut(parts) => parts.len(),
        };
        let count = count.min(pieces.saturating_sub(1));
        let mut anchors: Vec<Box<[u8]>> = (1..=count)
            .map(|n| {
                let last = n * pieces / (count + 1) - 1;
                let separator = match &self.guide {
                    Guide::Whole(whole) => whole.index.separator(last, &mut key),
                    Guide::Cut(parts) => parts.separator(last, &mut key),
                };
                separator.user_key.into()
            })
            .collect();
        // A block may begin in the middle of the versions of a user key, and end there.
        anchors.dedup();
        anchors
    }

    fn size_bytes_within(&self, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Option<u64> {
        let from = match lower {
            Bound::Unbounded => self.footer.data().start,
            Bound::Included(key) | Bound::Excluded(key) => self.stretch_of(key).start,
        };
        let to = match upper {
            Bound::Unbounded => self.footer.data().end,
            Bound::Included(key) | Bound::Excluded(key) => self.stretch_of(key).end,
        };
        // What is not data goes with it in proportion.
        let data_bytes = u128::from(to.saturating_sub(from)) * u128::from(self.meta.size_bytes);
        Some((data_bytes / u128::from(self.footer.data().end.max(1))) as u64)
    }

    fn cursor(self: &Arc<Self>, reading: Reading) -> FileCursor {
        FileCursor::new(self, reading)
    }

    fn parts(&self) -> Option<TableParts> {
        let filter_bytes = match &self.guide {
            Guide::Whole(_) => self.footer.index.offset - self.footer.filter.offset,
            Guide::Cut(parts) => parts.filter_bytes,
        };
        Some(self.footer.parts(self.meta.size_bytes, filter_bytes))
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
