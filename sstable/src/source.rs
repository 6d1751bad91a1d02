//! Where a cursor gets its blocks from.

use lsmkit_base::Fault;

use crate::block::Block;
use crate::handle;
use crate::reader::{self, FileReader};
use crate::table::Reading;

/// How much a rewrite reads at once.
const READ_AHEAD_BYTES: usize = 512 << 10;

/// Where a cursor gets its blocks from.
#[derive(Debug)]
pub(crate) enum BlockSource {
    /// The cache, and the file for what it lacks.
    Cached,
    /// The file, in large pieces.
    Ahead(Ahead),
}

/// A stretch of the file in memory.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    bytes: Vec<u8>,
    start: u64,
    /// Memory to open blocks in.
    raw: Vec<u8>,
}

impl BlockSource {
    pub(crate) fn new(reading: Reading) -> BlockSource {
        match reading {
            Reading::Scan => BlockSource::Cached,
            Reading::Rewrite => BlockSource::Ahead(Ahead::default()),
        }
    }

    /// Data block `i` of `table`; may use the memory of `left`, the block that was left for it.
    pub(crate) fn block(
        &mut self,
        table: &FileReader,
        i: usize,
        left: Option<Block>,
    ) -> Result<Block, Fault> {
        match self {
            BlockSource::Cached => table.block(i),
            BlockSource::Ahead(ahead) => ahead.block(table, i, left),
        }
    }

    /// Asks for data block `i` of `table`, if it is in memory. There need not be such a block.
    pub(crate) fn expect(&self, table: &FileReader, i: usize) {
        if let BlockSource::Cached = self {
            table.expect_block(i);
        }
    }
}

impl Ahead {
    fn block(&mut self, table: &FileReader, i: usize, left: Option<Block>) -> Result<Block, Fault> {
        let handle = table.index.handle(i);
        let mut raw = std::mem::take(&mut self.raw);
        let sealed = self.stretch(table, handle.offset, handle.sealed_bytes())?;
        let block = handle::open_into(sealed, handle, table.footer.uid, &mut raw)
            .and_then(|()| Block::parse(&mut raw, left))
            .map_err(|damage| damage.at(&table.path, handle.offset));
        raw.shrink_to(READ_AHEAD_BYTES);
        self.raw = raw;
        block
    }

    /// The `len` bytes of the data at `offset`, read with what lies beyond them in the direction of travel.
    fn stretch(&mut self, table: &FileReader, offset: u64, len: usize) -> Result<&[u8], Fault> {
        let end = offset + len as u64;
        if offset < self.start || end > self.start + self.bytes.len() as u64 {
            let ahead = READ_AHEAD_BYTES as u64;
            let (start, end) = if offset < self.start {
                (end.saturating_sub(ahead).min(offset), end)
            } else {
                (offset, end.max((offset + ahead).min(table.footer.data().end)))
            };
            // Until the read is done there is nothing.
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.resize((end - start) as usize, 0);
            bytes.shrink_to(READ_AHEAD_BYTES);
            reader::read(&*table.file, &table.path, start, &mut bytes)?;
            (self.bytes, self.start) = (bytes, start);
        }
        let at = (offset - self.start) as usize;
        Ok(&self.bytes[at..at + len])
    }
}
