//! Walks a table file, both ways.

use std::mem;
use std::ops::Range;
use std::sync::Arc;

use lsmkit_base::{Cursor, Entry, Fault, KeyRef, Slice};

use crate::block::{Block, KeyBuffer, Shown};
use crate::guide::Guide;
use crate::reader::FileReader;
use crate::source::BlockSource;
use crate::table::Reading;

/// A cursor over the entries of a table file; keeps the file open.
#[derive(Debug)]
pub struct FileCursor {
    table: Arc<FileReader>,
    /// The block the cursor stands in. Kept when the cursor goes off the end, for its memory.
    block: Option<Block>,
    /// Which data block that is.
    block_at: usize,
    announced: Announced,
    /// Where in the block the cursor stands, if it stands on an entry.
    at: Option<usize>,
    shown: Shown,
    key: KeyBuffer,
    /// What the last move failed with.
    fault: Option<Fault>,
    source: BlockSource,
}

/// What is known of the next move, a seek.
#[derive(Debug, Default)]
enum Announced {
    #[default]
    Nothing,
    /// It leads to one of these data blocks.
    Among(Range<usize>),
    /// It leads to this data block, if there is one, of which the berth was asked for; and then the block itself.
    Berth(usize),
    Block(usize),
    /// It leads to this place of the block that the cursor stands in, which is neither its first nor its end.
    Place(usize),
}

impl FileCursor {
    pub(crate) fn new(table: &Arc<FileReader>, reading: Reading) -> FileCursor {
        FileCursor {
            table: Arc::clone(table),
            block: None,
            block_at: 0,
            announced: Announced::Nothing,
            at: None,
            shown: Shown::default(),
            key: KeyBuffer::default(),
            fault: None,
            source: BlockSource::new(reading),
        }
    }

    /// Stands on the entry at `place` of the block that is there.
    #[inline]
    fn stand(&mut self, place: usize) {
        let block = self.block.as_ref().expect("because a cursor stands only in a block it entered");
        self.shown = block.show(place, &mut self.key);
        self.at = Some(place);
    }

    /// Makes data block `i` the cursor's.
    fn enter(&mut self, i: usize) -> Result<&Block, Fault> {
        let left = self.block.take();
        let block = match left {
            // The one it was in already, as when seeks are near each other.
            Some(block) if self.block_at == i => block,
            left => {
                let block = self.source.block(&self.table, i, left)?;
                self.key.begin(&block);
                block
            }
        };
        self.block_at = i;
        Ok(self.block.insert(block))
    }

    /// The first entry at or after `target` in the block that was announced, if there is one there and one before it, so
    /// that it is the first in the table: whatever was announced, no index is needed to know that.
    fn announced_place(&mut self, target: KeyRef<'_>) -> Result<Option<usize>, Fault> {
        match mem::take(&mut self.announced) {
            Announced::Place(place) => {
                Ok(self.block.as_ref().and_then(|block| block.is_lower_bound(place, target).then_some(place)))
            }
            Announced::Berth(i) | Announced::Block(i) if i < self.table.guide.blocks() => {
                Ok(place_in(self.enter(i)?, target))
            }
            _ => Ok(None),
        }
    }

    /// Finds the place of `target` in data block `i`, if that is in memory, and asks for the entry there.
    fn aim(&mut self, i: usize, target: KeyRef<'_>) -> Announced {
        let Some(block) = self.source.block_in_memory(&self.table, i) else { return Announced::Block(i) };
        self.key.begin(&block);
        self.at = None;
        self.block_at = i;
        let block = self.block.insert(block);
        match place_in(block, target) {
            Some(place) => {
                block.announce_entry(place);
                Announced::Place(place)
            }
            None => Announced::Block(i),
        }
    }

    /// Runs a move: it begins off the end, and a fault is kept.
    fn moving(&mut self, step: impl FnOnce(&mut FileCursor) -> Result<(), Fault>) -> Result<(), Fault> {
        self.at = None;
        self.fault = None;
        let moved = step(self);
        if let Err(fault) = &moved {
            self.at = None;
            self.fault = Some(fault.clone());
        }
        moved
    }

    fn stay(&self) -> Result<(), Fault> {
        self.fault.clone().map_or(Ok(()), Err)
    }

    /// Stands on the first entry of block `i`, if there is such a block.
    fn stand_first_of(&mut self, i: usize) -> Result<(), Fault> {
        if i < self.table.guide.blocks() {
            self.enter(i)?;
            self.stand(0);
        }
        Ok(())
    }

    /// Stands on the last entry of the block before block `i`, if there is one.
    fn stand_last_before(&mut self, i: usize) -> Result<(), Fault> {
        if let Some(i) = i.checked_sub(1) {
            let last = self.enter(i)?.len() - 1;
            self.stand(last);
        }
        Ok(())
    }
}

/// The first entry at or after `target` in the block, if there is one there and one before it.
fn place_in(block: &Block, target: KeyRef<'_>) -> Option<usize> {
    let place = block.lower_bound(target);
    (0 < place && place < block.len()).then_some(place)
}

impl Cursor for FileCursor {
    fn seek_first(&mut self) -> Result<(), Fault> {
        self.announced = Announced::Nothing;
        self.moving(|cursor| cursor.stand_first_of(0))
    }

    fn seek_last(&mut self) -> Result<(), Fault> {
        self.announced = Announced::Nothing;
        self.moving(|cursor| cursor.stand_last_before(cursor.table.guide.blocks()))
    }

    fn seek(&mut self, target: KeyRef<'_>) -> Result<(), Fault> {
        self.moving(|cursor| {
            if let Some(place) = cursor.announced_place(target)? {
                cursor.stand(place);
                return Ok(());
            }
            let i = cursor.table.find_block(target)?;
            if i == cursor.table.guide.blocks() {
                return Ok(());
            }
            let block = cursor.enter(i)?;
            let place = block.lower_bound(target);
            if place < block.len() {
                cursor.stand(place);
                return Ok(());
            }
            cursor.stand_first_of(i + 1)
        })
    }

    fn seek_before(&mut self, target: KeyRef<'_>) -> Result<(), Fault> {
        self.moving(|cursor| {
            if let Some(place) = cursor.announced_place(target)? {
                cursor.stand(place - 1);
                return Ok(());
            }
            let i = cursor.table.find_block(target)?;
            if i == cursor.table.guide.blocks() {
                return cursor.stand_last_before(i);
            }
            match cursor.enter(i)?.lower_bound(target).checked_sub(1) {
                Some(place) => {
                    cursor.stand(place);
                    Ok(())
                }
                None => cursor.stand_last_before(i),
            }
        })
    }

    fn announce(&mut self, target: KeyRef<'_>) {
        // Where it would take reading to know, or the memory is not where it leads, there is no need.
        let Guide::Whole(whole) = &self.table.guide else { return };
        self.announced = match mem::take(&mut self.announced) {
            Announced::Nothing => Announced::Among(whole.index.around(&whole.sample, target)),
            Announced::Among(blocks) => {
                let i = whole.index.find_among(blocks, target);
                self.table.announce_berth(i);
                Announced::Berth(i)
            }
            Announced::Berth(i) => {
                self.source.announce(&self.table, i);
                Announced::Block(i)
            }
            Announced::Block(i) => self.aim(i, target),
            Announced::Place(place) => Announced::Place(place),
        };
    }

    #[inline]
    fn next(&mut self) -> Result<(), Fault> {
        let (Some(at), Some(block)) = (self.at, &self.block) else { return self.stay() };
        if at + 1 < block.len() {
            self.stand(at + 1);
            return Ok(());
        }
        self.moving(|cursor| cursor.stand_first_of(cursor.block_at + 1))
    }

    #[inline]
    fn prev(&mut self) -> Result<(), Fault> {
        let Some(at) = self.at else { return self.stay() };
        if at > 0 {
            self.stand(at - 1);
            return Ok(());
        }
        // Forward the processor sees by itself where this leads.
        self.source.announce_all_of(&self.table, self.block_at.checked_sub(2));
        self.moving(|cursor| cursor.stand_last_before(cursor.block_at))
    }

    #[inline]
    fn entry(&self) -> Option<Entry<'_>> {
        self.at?;
        let block = self.block.as_ref()?;
        Some(self.shown.entry(block, self.key.key()))
    }

    #[inline]
    fn begins_key(&self) -> bool {
        match (self.at, &self.block) {
            // Of the entry before a block's first nothing is known here.
            (Some(at), Some(block)) => at > 0 && block.heads_differ(at - 1, at),
            _ => false,
        }
    }

    fn value(&self) -> Option<Slice> {
        self.at?;
        Some(self.block.as_ref()?.value_slice(self.shown))
    }
}
