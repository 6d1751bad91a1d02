//! The bytes of a file: what they are now, and what of them a power failure can't take.
//!
//! 1. Bytes of the last block beyond `size_bytes` are zero, so that a file that grows shows zeros.
//! 2. A page is dirty if and only if `unsynced` holds its row, at the index the page names.
//! 3. Of a page that isn't dirty, `now` is what is durable: nothing has to be copied to sync.
//! 4. `charged_blocks` blocks of the space are taken: those with content and those set aside.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::fate::{Fate, SECTOR_BYTES, Survival};
use super::space::Space;
use crate::seeded::Seeded;

/// What a disk's cache and the kernel write back at a time.
pub(super) const BLOCK_BYTES: usize = 4096;

/// A sparse file costs 16 bytes of memory a block even where it is empty, so there has to be an end.
const FILE_BYTES_MAX: u64 = 1 << 36;

/// Of writes to a block that is dirty already, one in this many leaves behind what was there before,
/// as if the kernel had written the block back just then.
const WRITE_BACK_ONE_IN: u64 = 16;

type Block = Arc<[u8; BLOCK_BYTES]>;

const ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];

#[derive(Clone, Debug)]
pub(super) struct Content {
    /// Shared between a file system and those made from it by a crash, until one of them writes.
    pages: Arc<Vec<Page>>,
    unsynced: Vec<Unsynced>,
    size_bytes: u64,
    synced_size_bytes: u64,
    /// The blocks below this one are set aside, with content or without.
    reserved_blocks: u64,
    synced_reserved_blocks: u64,
    charged_blocks: u64,
    writes: Seeded,
}

#[derive(Clone, Debug)]
struct Page {
    /// `None` is a hole: zeros that take no space.
    now: Option<Block>,
    /// Where in `unsynced` its row is, or `CLEAN`.
    row: u32,
}

const CLEAN: u32 = u32::MAX;

#[derive(Clone, Debug)]
struct Unsynced {
    index: usize,
    /// What is durable.
    synced: Option<Block>,
    /// What stood there at some time between the last sync and now.
    between: Option<Block>,
    /// A sync failed: the kernel takes the block for clean, and no later sync writes it.
    stranded: bool,
}

impl Content {
    pub(super) fn new(identity: u64) -> Content {
        Content {
            pages: Arc::default(),
            unsynced: Vec::new(),
            size_bytes: 0,
            synced_size_bytes: 0,
            reserved_blocks: 0,
            synced_reserved_blocks: 0,
            charged_blocks: 0,
            writes: Seeded::new(identity),
        }
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    pub(super) fn charged_blocks(&self) -> u64 {
        self.charged_blocks
    }

    pub(super) fn read(&self, bytes: &mut [u8], offset: u64) -> usize {
        let there = self.size_bytes.saturating_sub(offset).min(bytes.len() as u64) as usize;
        let mut rest = &mut bytes[..there];
        for (index, within) in blocks_of(offset, there) {
            let (part, after) = rest.split_at_mut(within.len());
            match self.pages.get(index).and_then(|page| page.now.as_ref()) {
                Some(block) => part.copy_from_slice(&block[within]),
                None => part.fill(0),
            }
            rest = after;
        }
        there
    }

    /// Writes as much as there is space for, in order, then fails.
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64, space: &Space) -> io::Result<()> {
        offset
            .checked_add(bytes.len() as u64)
            .filter(|end| *end <= FILE_BYTES_MAX)
            .ok_or(io::ErrorKind::FileTooLarge)?;
        let mut rest = bytes;
        let mut at = offset;
        for (index, within) in blocks_of(offset, bytes.len()) {
            let (part, after) = rest.split_at(within.len());
            self.charge(index, space)?;
            self.write_block(index, within, part);
            at += part.len() as u64;
            self.size_bytes = self.size_bytes.max(at);
            rest = after;
        }
        Ok(())
    }

    fn charge(&mut self, index: usize, space: &Space) -> io::Result<()> {
        let is_charged = (index as u64) < self.reserved_blocks
            || self.pages.get(index).is_some_and(|page| page.now.is_some());
        if !is_charged {
            space.take(1)?;
            self.charged_blocks += 1;
        }
        Ok(())
    }

    fn write_block(&mut self, index: usize, within: Range<usize>, part: &[u8]) {
        let pages = Arc::make_mut(&mut self.pages);
        if index >= pages.len() {
            pages.resize(index + 1, Page { now: None, row: CLEAN });
        }
        let page = &mut pages[index];
        if page.row == CLEAN {
            page.row = u32::try_from(self.unsynced.len()).expect("FILE_BYTES_MAX bounds the blocks");
            self.unsynced.push(Unsynced { index, synced: page.now.clone(), between: None, stranded: false });
        } else {
            let row = &mut self.unsynced[page.row as usize];
            row.stranded = false;
            if self.writes.below(WRITE_BACK_ONE_IN) == 0 {
                row.between = page.now.clone();
            }
        }
        match &mut page.now {
            // The block is copied first where someone else holds it: the durable state, or another
            // file system that came from this one.
            Some(block) if part.len() < BLOCK_BYTES => {
                Arc::make_mut(block)[within].copy_from_slice(part);
            }
            now => {
                let mut block = new_block(if part.len() == BLOCK_BYTES { part } else { &ZEROS });
                if part.len() < BLOCK_BYTES {
                    Arc::make_mut(&mut block)[within].copy_from_slice(part);
                }
                *now = Some(block);
            }
        }
    }

    /// Sets aside the blocks of the first `size_bytes` bytes, all of them or none.
    pub(super) fn allocate(&mut self, size_bytes: u64, space: &Space) -> io::Result<()> {
        if size_bytes > FILE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let reserved_blocks = size_bytes.div_ceil(BLOCK_BYTES as u64);
        if reserved_blocks > self.reserved_blocks {
            let added = self.reserved_blocks as usize..reserved_blocks as usize;
            let with_content = self.pages_in(added).filter(|page| page.now.is_some()).count() as u64;
            let missing = reserved_blocks - self.reserved_blocks - with_content;
            space.take(missing)?;
            self.charged_blocks += missing;
            self.reserved_blocks = reserved_blocks;
        }
        self.size_bytes = self.size_bytes.max(size_bytes);
        Ok(())
    }

    fn pages_in(&self, range: Range<usize>) -> impl Iterator<Item = &Page> {
        self.pages.iter().take(range.end).skip(range.start)
    }

    /// Costs in proportion to what was written since the last time.
    pub(super) fn sync(&mut self) {
        // With nothing to do, pages that are shared stay so.
        if !self.unsynced.is_empty() {
            let pages = Arc::make_mut(&mut self.pages);
            for row in &self.unsynced {
                pages[row.index].row = CLEAN;
            }
            self.unsynced.retain(|row| row.stranded);
            for (n, row) in self.unsynced.iter().enumerate() {
                pages[row.index].row = n as u32;
            }
        }
        self.synced_size_bytes = self.size_bytes;
        self.synced_reserved_blocks = self.reserved_blocks;
    }

    /// As after a failed sync: later syncs pass over what is unsynced now.
    pub(super) fn strand(&mut self) {
        for row in &mut self.unsynced {
            row.stranded = true;
        }
    }

    /// Turns a bit over, in what is there and in what is durable.
    ///
    /// Returns whether the file is long enough to have that bit.
    pub(super) fn flip(&mut self, bit: u64, space: &Space) -> io::Result<bool> {
        let byte = bit / 8;
        if byte >= self.size_bytes {
            return Ok(false);
        }
        let index = (byte / BLOCK_BYTES as u64) as usize;
        let within = (byte % BLOCK_BYTES as u64) as usize;
        self.charge(index, space)?;
        let pages = Arc::make_mut(&mut self.pages);
        if index >= pages.len() {
            pages.resize(index + 1, Page { now: None, row: CLEAN });
        }
        let page = &mut pages[index];
        let mut versions = vec![&mut page.now];
        if page.row != CLEAN {
            let row = &mut self.unsynced[page.row as usize];
            if byte < self.synced_size_bytes {
                versions.push(&mut row.synced);
            }
            if row.between.is_some() {
                versions.push(&mut row.between);
            }
        }
        for version in versions {
            let block = version.get_or_insert_with(|| new_block(&ZEROS));
            Arc::make_mut(block)[within] ^= 1 << (bit % 8);
        }
        Ok(true)
    }

    fn is_synced(&self) -> bool {
        self.unsynced.is_empty()
            && self.size_bytes == self.synced_size_bytes
            && self.reserved_blocks == self.synced_reserved_blocks
    }

    /// What a disk shows after a power failure; all of it is durable then.
    pub(super) fn after_crash(&self, fate: Fate, seeded: &mut Seeded) -> Content {
        if self.is_synced() {
            return self.clone();
        }
        let (mut pages, size_bytes) = match fate {
            Fate::Kept => (self.pages.to_vec(), self.size_bytes),
            Fate::Lost => (self.crashed_pages(|_| Survival::Old), self.synced_size_bytes),
            Fate::Prefix => self.crashed_prefix(seeded),
            Fate::Mixed => {
                let pages = self.crashed_pages(|_| Survival::draw(seeded));
                let size_bytes = match seeded.below(4) {
                    0 => self.synced_size_bytes,
                    1 => self.size_bytes,
                    // A length on a block's edge is what a kernel mostly leaves, any other one is
                    // what it had at some time in between.
                    2 => self.size_between(seeded).next_multiple_of(BLOCK_BYTES as u64).min(self.size_bytes),
                    _ => self.size_between(seeded),
                };
                (pages, size_bytes)
            }
        };
        for row in &self.unsynced {
            pages[row.index].row = CLEAN;
        }
        let reserved_blocks = match fate {
            Fate::Kept => self.reserved_blocks,
            Fate::Mixed if seeded.below(2) == 0 => self.reserved_blocks,
            _ => self.synced_reserved_blocks,
        };
        Content::durable(pages, size_bytes, reserved_blocks, self.writes.clone())
    }

    /// Blocks are written in the order of their places, and the last of them is torn.
    fn crashed_prefix(&self, seeded: &mut Seeded) -> (Vec<Page>, u64) {
        let mut indexes: Vec<usize> = self.unsynced.iter().map(|row| row.index).collect();
        indexes.sort_unstable();
        let torn =
            indexes.get(seeded.below(indexes.len() as u64 + 1) as usize).copied().unwrap_or(usize::MAX);
        let pages = self.crashed_pages(|index| match index.cmp(&torn) {
            std::cmp::Ordering::Less => Survival::New,
            std::cmp::Ordering::Equal => Survival::draw(seeded),
            std::cmp::Ordering::Greater => Survival::Old,
        });
        let end = match (torn as u64).checked_mul(BLOCK_BYTES as u64) {
            Some(start) => start + seeded.below(BLOCK_BYTES as u64 + 1),
            None => self.size_bytes,
        };
        let size_bytes = match seeded.below(2) {
            // The length goes with the blocks.
            0 => end.clamp(self.synced_size_bytes, self.size_bytes),
            // The length was written first: zeros stand where blocks are missing.
            _ => self.size_bytes,
        };
        (pages, size_bytes)
    }

    fn size_between(&self, seeded: &mut Seeded) -> u64 {
        self.synced_size_bytes + seeded.below(self.size_bytes - self.synced_size_bytes + 1)
    }

    fn crashed_pages(&self, mut survival: impl FnMut(usize) -> Survival) -> Vec<Page> {
        let mut pages = self.pages.to_vec();
        for row in &self.unsynced {
            let now = &mut pages[row.index].now;
            match survival(row.index) {
                Survival::New => {}
                Survival::Old => *now = row.synced.clone(),
                Survival::Between if row.between.is_some() => *now = row.between.clone(),
                Survival::Between => *now = row.synced.clone(),
                Survival::Torn { sectors } => *now = Some(torn(now, &row.synced, sectors)),
            }
        }
        pages
    }

    fn durable(mut pages: Vec<Page>, size_bytes: u64, reserved_blocks: u64, writes: Seeded) -> Content {
        pages.truncate(size_bytes.div_ceil(BLOCK_BYTES as u64) as usize);
        let tail = (size_bytes % BLOCK_BYTES as u64) as usize;
        let last = (size_bytes / BLOCK_BYTES as u64) as usize;
        if let Some(Page { now: Some(block), .. }) = pages.get_mut(last)
            && block[tail..] != ZEROS[tail..]
        {
            Arc::make_mut(block)[tail..].fill(0);
        }
        let reserved_blocks = reserved_blocks.min(size_bytes.div_ceil(BLOCK_BYTES as u64));
        let beyond = pages.iter().skip(reserved_blocks as usize).filter(|page| page.now.is_some()).count();
        Content {
            pages: Arc::new(pages),
            unsynced: Vec::new(),
            size_bytes,
            synced_size_bytes: size_bytes,
            reserved_blocks,
            synced_reserved_blocks: reserved_blocks,
            charged_blocks: reserved_blocks + beyond as u64,
            writes,
        }
    }
}

/// The first sectors of the new block, the rest of the old.
fn torn(new: &Option<Block>, old: &Option<Block>, sectors: usize) -> Block {
    let edge = sectors * SECTOR_BYTES;
    let mut block = new_block(old.as_ref().map_or(&ZEROS[..], |block| &block[..]));
    let new = new.as_ref().map_or(&ZEROS[..], |block| &block[..]);
    Arc::make_mut(&mut block)[..edge].copy_from_slice(&new[..edge]);
    block
}

/// A block from exactly as many bytes, copied once.
fn new_block(bytes: &[u8]) -> Block {
    Arc::<[u8]>::from(bytes).try_into().expect("callers pass the bytes of one block")
}

/// The blocks that `length` bytes from `offset` on touch, with the part of each.
fn blocks_of(offset: u64, length: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    let mut at = offset;
    let end = offset.saturating_add(length as u64);
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let index = (at / BLOCK_BYTES as u64) as usize;
        let start = (at % BLOCK_BYTES as u64) as usize;
        let part = ((end - at) as usize).min(BLOCK_BYTES - start);
        at += part as u64;
        Some((index, start..start + part))
    })
}
