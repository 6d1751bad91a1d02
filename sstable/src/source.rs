//! Where a cursor gets its blocks from.

use lsmkit_base::Fault;
use lsmkit_blockcache::Asked;

use crate::block::{Block, SLACK_BYTES};
use crate::guide::Guide;
use crate::handle::{self, Handle};
use crate::index::Index;
use crate::reader::{self, FileReader};
use crate::table::Reading;

/// How much a rewrite reads at once.
const REWRITE_BYTES: u64 = 512 << 10;

/// How much a scan reads at once, once it has read [`SCAN_STREAK`] blocks side by side; from then on twice as much
/// each time, up to the greatest. A short scan reads nothing in vain, and a long one makes few calls.
const SCAN_BYTES: u64 = 8 << 10;
const SCAN_BYTES_MAX: u64 = 256 << 10;
const SCAN_STREAK: u32 = 2;

/// Where a cursor gets its blocks from.
#[derive(Debug)]
pub(crate) enum BlockSource {
    /// The cache, and the file for what it lacks.
    Cached(Scan),
    /// The file, in large pieces.
    Ahead(Ahead),
}

/// How a scan reads what the cache lacks.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The block that was entered last, and whether it was entered going backward.
    last: Option<usize>,
    is_backward: bool,
    /// How many blocks were read, side by side in one direction, up to that one.
    streak: u32,
    /// There only for those that read many.
    ahead: Option<Box<Growing>>,
}

/// A stretch that is longer each time.
#[derive(Debug)]
struct Growing {
    bytes: u64,
    ahead: Ahead,
}

/// A stretch of the file in memory.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    bytes: Vec<u8>,
    start: u64,
    /// Memory to open blocks in.
    raw: Vec<u8>,
    /// The part of the index that was looked at last, where the index is in parts, and its number.
    part: Option<(usize, Index)>,
}

impl BlockSource {
    pub(crate) fn new(reading: Reading) -> BlockSource {
        match reading {
            Reading::Scan => BlockSource::Cached(Scan::default()),
            Reading::Rewrite => BlockSource::Ahead(Ahead::default()),
        }
    }

    /// Data block `i` of `table`; may use the memory of `left`, the block that was left for it.
    #[inline]
    pub(crate) fn block(
        &mut self,
        table: &FileReader,
        i: usize,
        left: Option<Block>,
    ) -> Result<Block, Fault> {
        match self {
            BlockSource::Cached(scan) => match table.block_in_berth(i) {
                Some(block) => {
                    scan.last = Some(i);
                    Ok(block)
                }
                None => scan.read(table, i),
            },
            BlockSource::Ahead(ahead) => ahead.block(table, i, left, REWRITE_BYTES, false),
        }
    }

    /// Data block `i` of `table`, if it is in memory. There need not be such a block.
    pub(crate) fn block_in_memory(&mut self, table: &FileReader, i: usize) -> Option<Block> {
        let BlockSource::Cached(scan) = self else { return None };
        let block = table.block_in_berth(i)?;
        scan.last = Some(i);
        Some(block)
    }

    /// Asks for data block `i` of `table`, if it is in memory. There need not be such a block.
    pub(crate) fn announce(&self, table: &FileReader, i: usize) {
        if let BlockSource::Cached(_) = self {
            table.announce_block(i);
        }
    }

    /// Asks for all of data block `i` of `table`, if it is in memory, for a scan that will soon come to it.
    pub(crate) fn announce_all_of(&self, table: &FileReader, i: Option<usize>) {
        if let (BlockSource::Cached(_), Some(i)) = (self, i) {
            table.announce_all_of(i);
        }
    }
}

impl Scan {
    #[cold]
    fn read(&mut self, table: &FileReader, i: usize) -> Result<Block, Fault> {
        let is_backward = self.last.is_some_and(|last| i < last);
        let goes_on = self.last.is_some_and(|last| last.abs_diff(i) == 1)
            && (is_backward == self.is_backward || self.streak < 2);
        (self.last, self.is_backward) = (Some(i), is_backward);
        self.streak = if goes_on { self.streak.saturating_add(1) } else { 1 };
        if self.streak <= SCAN_STREAK {
            self.ahead = None;
            return table.block(i);
        }
        let asked = table.ask_cache(i);
        if let Asked::There(bytes) = &asked {
            return Ok(Block::sharing(bytes));
        }
        let Growing { bytes, ahead } = &mut **self
            .ahead
            .get_or_insert_with(|| Box::new(Growing { bytes: SCAN_BYTES / 2, ahead: Ahead::default() }));
        let handle = ahead.handle(table, i)?;
        if !ahead.holds(handle) {
            *bytes = (*bytes * 2).min(SCAN_BYTES_MAX);
        }
        let block = ahead.block(table, i, None, *bytes, is_backward)?;
        if matches!(asked, Asked::Wanted) {
            table.leave_in_cache(i, &block);
        }
        Ok(block)
    }
}

impl Ahead {
    fn block(
        &mut self,
        table: &FileReader,
        i: usize,
        left: Option<Block>,
        ahead_bytes: u64,
        is_backward: bool,
    ) -> Result<Block, Fault> {
        let handle = self.handle(table, i)?;
        let mut raw = std::mem::take(&mut self.raw);
        let sealed = self.stretch(table, handle, ahead_bytes, is_backward)?;
        let block = handle::open_within(sealed, handle, table.footer.uid, &mut raw)
            .and_then(|raw| Block::parse(raw, left))
            .map_err(|damage| damage.at(&table.path, handle.offset));
        if raw.capacity() <= REWRITE_BYTES as usize {
            self.raw = raw;
        }
        block
    }

    /// Where block `i` is stored; without the cache, which is for what is asked for again.
    fn handle(&mut self, table: &FileReader, i: usize) -> Result<Handle, Fault> {
        let Guide::Cut(parts) = &table.guide else { return table.handle(i) };
        let (p, first) = parts.of_block(i);
        let part = match self.part.take() {
            Some(part) if part.0 == p => part,
            _ => (p, table.load_index(parts, p)?),
        };
        Ok(self.part.insert(part).1.handle(i - first))
    }

    /// Whether the block at `handle` has been read.
    fn holds(&self, handle: Handle) -> bool {
        let end = handle.offset + handle.sealed_bytes() as u64;
        handle.offset >= self.start && end <= self.start + self.bytes.len().saturating_sub(SLACK_BYTES) as u64
    }

    /// The block at `handle` as it is stored, and something behind it, read with what lies beyond it in the direction of travel.
    fn stretch(
        &mut self,
        table: &FileReader,
        handle: Handle,
        ahead_bytes: u64,
        is_backward: bool,
    ) -> Result<&[u8], Fault> {
        let offset = handle.offset;
        if !self.holds(handle) {
            let end = offset + handle.sealed_bytes() as u64;
            let (start, end) = if is_backward {
                (end.saturating_sub(ahead_bytes).min(offset), end)
            } else {
                (offset, end.max((offset + ahead_bytes).min(table.footer.data().end)))
            };
            // Until the read is done there is nothing.
            let mut bytes = std::mem::take(&mut self.bytes);
            let len = (end - start) as usize;
            bytes.resize(len + SLACK_BYTES, 0);
            bytes.shrink_to(REWRITE_BYTES as usize);
            reader::read(&*table.file, &table.path, start, &mut bytes[..len])?;
            (self.bytes, self.start) = (bytes, start);
        }
        let at = (offset - self.start) as usize;
        Ok(&self.bytes[at..at + handle.loaded_bytes()])
    }
}
