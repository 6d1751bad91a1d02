//! Reads what can be read of a damaged table.

use std::path::Path;
use std::sync::Arc;

use lsmkit_base::{Entry, Fault, KeyRef, MAX_KEY_BYTES, MAX_VALUE_BYTES, SeqNo};
use lsmkit_vfs::Fs;

use crate::block::KeyBuffer;
use crate::guide::{Guide, Parts};
use crate::index::Index;
use crate::properties::Properties;
use crate::reader::FileReader;
use crate::source::BlockSource;
use crate::table::Reading;

/// A table file of which the footer and the index can be read.
#[derive(Debug)]
pub struct Salvage {
    reader: FileReader,
}

/// Keys of which some cannot be read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LostKeys {
    /// The keys that are lost are not before this one.
    pub smallest: Box<[u8]>,
    /// The keys that are lost are not after this one.
    pub largest: Box<[u8]>,
    /// Why.
    pub fault: Fault,
}

impl LostKeys {
    /// Keys from `smallest` to `largest`, both among them.
    pub fn new(smallest: &[u8], largest: &[u8], fault: Fault) -> LostKeys {
        LostKeys { smallest: smallest.into(), largest: largest.into(), fault }
    }
}

impl Salvage {
    /// Opens a table file for [`Salvage::show`]. Blocks.
    ///
    /// # Errors
    ///
    /// Where the file is missing, or its footer or its index is damaged (of an index in parts, what tells where these are): nobody can
    /// tell then where its entries are.
    pub fn open(fs: &Arc<dyn Fs>, path: &Path) -> Result<Salvage, Fault> {
        let (reader, _) = FileReader::open_as_far_as(fs, path)?;
        Ok(Salvage { reader })
    }

    /// The number that the file has in itself; see [`lsmkit_base::TableMeta::uid`].
    pub fn uid(&self) -> u64 {
        self.reader.footer.uid
    }

    /// What the table says of itself; `None` where that is damaged.
    pub fn properties(&self) -> Option<&Properties> {
        let said = self.reader.properties();
        (*said != Properties::default()).then_some(said)
    }

    /// Shows all entries that can be read, in order, and returns which keys it had to pass over. Blocks; bypasses the cache.
    ///
    /// What is shown is what was written: every block has its checksum.
    ///
    /// # Errors
    ///
    /// Those of `show`; those of reading that are no [damage](Fault::is_damage), such as a codec that is not compiled in.
    pub fn show(&self, show: &mut dyn FnMut(Entry<'_>) -> Result<(), Fault>) -> Result<Vec<LostKeys>, Fault> {
        let mut walk = Walk {
            table: &self.reader,
            blocks: 0,
            last: None,
            below: self.smallest().into(),
            lost: Vec::new(),
        };
        match &self.reader.guide {
            Guide::Whole(whole) => walk.blocks(&whole.index, show)?,
            Guide::Cut(parts) => {
                for p in 0..parts.len() {
                    walk.part(parts, p, show)?;
                }
            }
        }
        Ok(walk.lost)
    }

    fn smallest(&self) -> &[u8] {
        &self.reader.properties().smallest
    }
}

/// How far a salvage has come.
struct Walk<'a> {
    table: &'a FileReader,
    /// How many data blocks were passed.
    blocks: usize,
    /// The last entry that was shown.
    last: Option<(Vec<u8>, SeqNo)>,
    /// The separator before the next block.
    below: Box<[u8]>,
    lost: Vec<LostKeys>,
}

type Show<'a> = &'a mut dyn FnMut(Entry<'_>) -> Result<(), Fault>;

impl Walk<'_> {
    fn part(&mut self, parts: &Parts, p: usize, show: Show<'_>) -> Result<(), Fault> {
        match self.table.load_index(parts, p) {
            Ok(index) => self.blocks(&index, show),
            Err(fault) if !fault.is_damage() => Err(fault),
            Err(fault) => {
                let mut key = KeyBuffer::default();
                self.lose(parts.separator(p, &mut key).user_key, fault);
                self.blocks += parts.part(p).blocks as usize;
                Ok(())
            }
        }
    }

    fn blocks(&mut self, index: &Index, show: Show<'_>) -> Result<(), Fault> {
        let mut source = BlockSource::new(Reading::Rewrite);
        let (mut key, mut separator_key) = (KeyBuffer::default(), KeyBuffer::default());
        let mut left = None;
        for i in 0..index.len() {
            let block = source.block(self.table, self.blocks, left.take()).or_else(|_| {
                // What was read ahead may have failed for what lies behind the block.
                source = BlockSource::new(Reading::Rewrite);
                self.table.block(self.blocks)
            });
            self.blocks += 1;
            let separator = index.separator(i, &mut separator_key).user_key;
            let block = match block {
                Ok(block) => block,
                Err(fault) if !fault.is_damage() => return Err(fault),
                Err(fault) => {
                    self.lose(separator, fault);
                    continue;
                }
            };
            key.begin(&block);
            for place in 0..block.len() {
                let entry = block.show(place, &mut key).entry(&block, key.key());
                let is_after = |(last, seq): &(Vec<u8>, SeqNo)| KeyRef::new(last, *seq) < entry.key();
                let fits = entry.user_key.len() <= MAX_KEY_BYTES && entry.value.len() <= MAX_VALUE_BYTES;
                if !fits || !self.last.as_ref().is_none_or(is_after) {
                    let what =
                        format!("entry {place} of the block is too long, or not after the one before it");
                    let fault = Fault::corrupt(&self.table.path, index.handle(i).offset, what);
                    self.lose(separator, fault);
                    break;
                }
                show(entry)?;
                let last = self.last.get_or_insert_default();
                last.0.clear();
                last.0.extend_from_slice(entry.user_key);
                last.1 = entry.seq;
            }
            self.below = separator.into();
            left = Some(block);
        }
        Ok(())
    }

    /// Notes that keys up to `separator` are lost.
    fn lose(&mut self, separator: &[u8], fault: Fault) {
        let largest = separator.into();
        match self.lost.last_mut() {
            // The block before was lost as well.
            Some(last) if last.largest == self.below => last.largest = largest,
            _ => self.lost.push(LostKeys { smallest: self.below.clone(), largest, fault }),
        }
        self.below = separator.into();
    }
}
