//! What leads to the block that a key is in, and tells of keys that are in none.
//!
//! As a rule index and filter are in memory for as long as a table is open. Of a table of which they would be larger than
//! is wanted ([`TableOptions::pinned_bytes_max`](crate::TableOptions::pinned_bytes_max)) they are cut into parts, each an index
//! of some data blocks and a filter of the keys in them, which are read when they are needed and kept in the cache. In
//! memory is then only where the parts are. Specified in `docs/formats/table.md`, section "Parts".

use std::ops::Range;
use std::sync::Arc;

use lsmkit_base::{Buffer, Fault, KeyRef, SeqNo, ValueKind, buffer};
use lsmkit_blockcache::{Berths, BlockKey};

use crate::block::{Block, BlockBuilder, KeyBuffer, SLACK_BYTES, Sample, tag};
use crate::damage::Damage;
use crate::filter::Filter;
use crate::handle::Handle;
use crate::index::Index;
use crate::probes::Outcome;
use crate::reader::{self, FileReader};
use crate::table::Found;

/// What leads to the block that a key is in.
#[derive(Debug)]
pub(crate) enum Guide {
    /// In memory as a whole.
    Whole(Whole),
    /// In parts, of which the cache has some.
    Cut(Parts),
}

#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) index: Index,
    pub(crate) sample: Sample,
    pub(crate) filter: Filter,
}

/// Where the parts are: a block whose entries have the last separator of a part as key.
#[derive(Debug)]
pub(crate) struct Parts {
    top: Block,
    /// Of each part the number of its first data block, and behind the last part that of all data blocks.
    first_blocks: Box<[u32]>,
    /// Where the data ends.
    data_end: u64,
    /// The bytes of all filters in the file, with their seals.
    pub(crate) filter_bytes: u64,
    /// For the filter and then the index of each part.
    berths: Arc<Berths<Buffer>>,
}

/// Where a part is and what it is of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    /// All zero but the offset where there is no filter.
    pub(crate) filter: Handle,
    pub(crate) index: Handle,
    /// Where the data blocks begin.
    pub(crate) data_start: u64,
    /// How many data blocks there are.
    pub(crate) blocks: u32,
}

impl Part {
    const BYTES: usize = 2 * Handle::BYTES + 12;

    fn encode(&self) -> [u8; Part::BYTES] {
        let mut bytes = [0; Part::BYTES];
        bytes[..16].copy_from_slice(&self.filter.encode());
        bytes[16..32].copy_from_slice(&self.index.encode());
        bytes[32..40].copy_from_slice(&self.data_start.to_le_bytes());
        bytes[40..].copy_from_slice(&self.blocks.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Part> {
        let (filter, rest) = bytes.split_first_chunk()?;
        let (index, rest) = rest.split_first_chunk()?;
        let (data_start, rest) = rest.split_first_chunk()?;
        Some(Part {
            filter: Handle::from_bytes(filter),
            index: Handle::from_bytes(index),
            data_start: u64::from_le_bytes(*data_start),
            blocks: u32::from_le_bytes(rest.try_into().ok()?),
        })
    }

    pub(crate) fn has_filter(&self) -> bool {
        self.filter.stored_bytes != 0
    }
}

impl Guide {
    /// The number of data blocks.
    #[inline]
    pub(crate) fn blocks(&self) -> usize {
        match self {
            Guide::Whole(whole) => whole.index.len(),
            Guide::Cut(parts) => parts.first_blocks[parts.len()] as usize,
        }
    }

    /// The memory it holds, what is in the cache apart.
    pub(crate) fn size_bytes(&self) -> usize {
        match self {
            Guide::Whole(Whole { index, sample, filter }) => {
                index.size_bytes() + sample.size_bytes() + filter.size_bytes()
            }
            Guide::Cut(parts) => {
                parts.top.size_bytes() + size_of_val(&*parts.first_blocks) + parts.berths.size_bytes()
            }
        }
    }
}

impl Parts {
    /// Takes `bytes` as what tells of the parts of a table with data in `0..data_end`; they fill the file from there up to
    /// `parts_end`.
    pub(crate) fn parse(mut bytes: Vec<u8>, data_end: u64, parts_end: u64) -> Result<Parts, Damage> {
        bytes.resize(bytes.len() + SLACK_BYTES, 0);
        let top = Block::parse(&bytes, None)?;
        let (mut end, mut data_start, mut blocks, mut filter_bytes) = (data_end, 0, 0u32, 0);
        let mut first_blocks = Vec::with_capacity(top.len() + 1);
        for i in 0..top.len() {
            let Some(part) = Part::decode(top.value(top.shown(i))) else {
                return Err(Damage::corrupt("an entry of the top index is not a part"));
            };
            let filter_end = if part.has_filter() { part.filter.end() } else { Some(part.filter.offset) };
            if part.filter.offset != end || filter_end != Some(part.index.offset) {
                return Err(Damage::corrupt("the parts of the index do not follow one another"));
            }
            filter_bytes += part.index.offset - part.filter.offset;
            match part.index.end() {
                Some(index_end) if index_end <= parts_end => end = index_end,
                _ => return Err(Damage::corrupt("a part of the index is longer than it can be")),
            }
            // The first begins with the data; each of the others has something before it.
            let is_in_order = if i == 0 {
                part.data_start == 0
            } else {
                (data_start + 1..data_end).contains(&part.data_start)
            };
            let all_blocks = blocks.checked_add(part.blocks).filter(|_| part.blocks > 0 && is_in_order);
            let Some(all_blocks) = all_blocks else {
                return Err(Damage::corrupt("a part of the index is not of the data blocks behind the last"));
            };
            first_blocks.push(blocks);
            (data_start, blocks) = (part.data_start, all_blocks);
        }
        if end != parts_end {
            return Err(Damage::corrupt("the parts of the index do not end where the top index begins"));
        }
        first_blocks.push(blocks);
        let berths = Arc::new(Berths::none());
        Ok(Parts { top, first_blocks: first_blocks.into_boxed_slice(), data_end, filter_bytes, berths })
    }

    /// The number of parts.
    pub(crate) fn len(&self) -> usize {
        self.top.len()
    }

    /// The part in which to look for `target`, unless it is after all.
    pub(crate) fn find(&self, target: KeyRef<'_>) -> Option<usize> {
        Some(self.top.lower_bound(target)).filter(|part| *part < self.len())
    }

    /// The part that data block `i` is of, and the number of that part's first data block.
    pub(crate) fn of_block(&self, i: usize) -> (usize, usize) {
        let part = self.first_blocks.partition_point(|first| *first as usize <= i) - 1;
        (part, self.first_blocks[part] as usize)
    }

    pub(crate) fn part(&self, p: usize) -> Part {
        Part::decode(self.top.value(self.top.shown(p)))
            .expect("because each was decoded when the top index was read")
    }

    /// Where the data blocks of part `p` lie.
    pub(crate) fn data(&self, p: usize) -> Range<u64> {
        let end = if p + 1 < self.len() { self.part(p + 1).data_start } else { self.data_end };
        self.part(p).data_start..end
    }

    /// The separator after part `p`; `key` holds its user key.
    pub(crate) fn separator<'k>(&self, p: usize, key: &'k mut KeyBuffer) -> KeyRef<'k> {
        key.begin(&self.top);
        let shown = self.top.show(p, key);
        KeyRef::new(key.key(), shown.seq())
    }

    /// From now on the parts are left in these berths.
    pub(crate) fn put_into(&mut self, berths: Arc<Berths<Buffer>>) {
        self.berths = berths;
    }
}

/// What of a part is asked for.
#[derive(Clone, Copy)]
enum Half {
    Filter = 0,
    Index = 1,
}

impl FileReader {
    /// As [`TableReader::get`](crate::TableReader::get), where the guide is in parts.
    #[inline(never)]
    pub(crate) fn get_by_parts<T>(
        &self,
        parts: &Parts,
        user_key: &[u8],
        hash: u64,
        at: SeqNo,
        show: impl FnOnce(Found<'_>) -> T,
    ) -> Result<Option<T>, Fault> {
        let target = KeyRef::new(user_key, at);
        let Some(p) = parts.find(target) else {
            // After the last part, so that no filter need be asked.
            self.note(Outcome::Denied);
            return Ok(None);
        };
        if !self.part_may_contain(parts, p, hash)? {
            self.note(Outcome::Denied);
            return Ok(None);
        }
        self.find_without_berth(self.find_block_in_part(parts, p, target)?, user_key, at, show)
    }

    /// As [`FileReader::find_block`], where the guide is in parts.
    #[inline(never)]
    pub(crate) fn find_block_by_parts(&self, parts: &Parts, target: KeyRef<'_>) -> Result<usize, Fault> {
        match parts.find(target) {
            Some(p) => self.find_block_in_part(parts, p, target),
            None => Ok(self.guide.blocks()),
        }
    }

    /// The data block in which to look for `target`, which is not after the part's last separator.
    fn find_block_in_part(&self, parts: &Parts, p: usize, target: KeyRef<'_>) -> Result<usize, Fault> {
        // Whatever the order of its separators, the last is not before the target.
        let place = self.look_at_index(parts, p, |index| index.find(target).min(index.len() - 1))?;
        Ok(parts.first_blocks[p] as usize + place)
    }

    /// As [`FileReader::handle`], where the guide is in parts.
    #[inline(never)]
    pub(crate) fn handle_by_parts(&self, parts: &Parts, i: usize) -> Result<Handle, Fault> {
        let (p, first) = parts.of_block(i);
        self.look_at_index(parts, p, |index| index.handle(i - first))
    }

    /// Whether the part may contain a key with this hash.
    pub(crate) fn part_may_contain(&self, parts: &Parts, p: usize, hash: u64) -> Result<bool, Fault> {
        let part = parts.part(p);
        let Some(policy) = self.policy().filter(|_| part.has_filter()) else { return Ok(true) };
        let load = || Ok(buffer(&reader::load(&*self.file, &self.path, part.filter, self.footer.uid)?));
        self.look_at(parts, p, Half::Filter, load, |filter| policy.may_contain(&filter.slice, hash))
    }

    /// Whether there may be a key with this prefix, which has this hash.
    pub(crate) fn parts_may_contain(&self, parts: &Parts, prefix: &[u8], hash: u64) -> Result<bool, Fault> {
        let Some(p) = parts.find(KeyRef::first_of(prefix)) else { return Ok(false) };
        // The first of them, if there is any, is in that part, or right behind its end: a separator is no key.
        Ok(self.part_may_contain(parts, p, hash)?
            || (p + 1 < parts.len() && self.part_may_contain(parts, p + 1, hash)?))
    }

    /// Shows the index of part `p`, from the cache or else from the file and into the cache.
    fn look_at_index<T>(
        &self,
        parts: &Parts,
        p: usize,
        look: impl FnOnce(Index<&Buffer>) -> T,
    ) -> Result<T, Fault> {
        let load = || Ok(self.load_index(parts, p)?.bytes().clone());
        self.look_at(parts, p, Half::Index, load, |bytes| look(Index::seen(bytes)))
    }

    /// The index of part `p`, from the file: of as many data blocks as the top index says, up to the same separator.
    pub(crate) fn load_index(&self, parts: &Parts, p: usize) -> Result<Index, Fault> {
        let Part { index: handle, blocks, .. } = parts.part(p);
        let index = reader::load(&*self.file, &self.path, handle, self.footer.uid)?;
        let index =
            Index::parse(index, parts.data(p)).map_err(|damage| damage.at(&self.path, handle.offset))?;
        let (mut top, mut last) = (KeyBuffer::default(), KeyBuffer::default());
        let agree = index.len() == blocks as usize
            && parts.separator(p, &mut top) == index.separator(index.len() - 1, &mut last);
        if agree {
            return Ok(index);
        }
        let what = "a part of the index does not end as the top index says";
        Err(Fault::corrupt(&self.path, handle.offset, what))
    }

    /// Shows the filter or the index of part `p`, where it is.
    fn look_at<T>(
        &self,
        parts: &Parts,
        p: usize,
        half: Half,
        load: impl FnOnce() -> Result<Buffer, Fault>,
        look: impl FnOnce(&Buffer) -> T,
    ) -> Result<T, Fault> {
        let berth = 2 * p + half as usize;
        if let Some(bytes) = parts.berths.find(berth) {
            return Ok(look(&bytes));
        }
        let key = BlockKey { table: self.footer.uid, block: (self.guide.blocks() + berth) as u64 };
        if let Some(bytes) = self.cache().and_then(|cache| cache.get(key)) {
            return Ok(look(&bytes));
        }
        // Welcome or not: a part is asked for much more often than a data block.
        Ok(look(&self.load_once(key, &parts.berths, berth, load)?))
    }
}

/// How many data blocks and keys a part has at most, more or less, and how long its separators are together: so that index and
/// filter of one are some kilobytes.
const PART_BLOCKS: usize = 128;
const PART_HASHES: usize = 8192;
const PART_KEYS_BYTES: usize = 32 << 10;

/// Where the parts of a table that is being written end.
#[derive(Debug, Default)]
pub(crate) struct PartEnds {
    ends: Vec<PartEnd>,
}

/// How many data blocks, hashes and bytes of separators there are up to the end of a part.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct PartEnd {
    pub(crate) blocks: usize,
    pub(crate) hashes: usize,
    pub(crate) keys_bytes: usize,
}

impl PartEnds {
    /// Ends a part here, between two data blocks, if it is long enough; whether it did.
    pub(crate) fn end_if_long(&mut self, here: PartEnd) -> bool {
        let last = self.ends.last().copied().unwrap_or_default();
        let is_long = here.blocks - last.blocks >= PART_BLOCKS
            || here.hashes - last.hashes >= PART_HASHES
            || here.keys_bytes - last.keys_bytes >= PART_KEYS_BYTES;
        if is_long {
            self.ends.push(here);
        }
        is_long
    }

    /// All parts, the last of which ends here.
    pub(crate) fn parts(&self, here: PartEnd) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let last = self.ends.last().copied().unwrap_or_default();
        let open = (last.blocks < here.blocks).then_some(here);
        let mut start = PartEnd::default();
        self.ends.iter().copied().chain(open).map(move |end| {
            let part = (start.blocks..end.blocks, start.hashes..end.hashes);
            start = end;
            part
        })
    }
}

/// Puts a top index together.
#[derive(Debug, Default)]
pub(crate) struct TopBuilder {
    block: BlockBuilder,
}

impl TopBuilder {
    /// Adds a part that ends with `separator`.
    pub(crate) fn add(&mut self, separator: KeyRef<'_>, part: &Part) {
        self.block.add(separator.user_key, tag(separator.seq, ValueKind::Put), &part.encode());
    }

    pub(crate) fn build(mut self, out: &mut Vec<u8>) {
        self.block.finish(out);
    }
}
