//! Checks every byte of a table file.

use lsmkit_base::coding::Checksum;
use lsmkit_base::{Fault, KeyRef, SeqNo, ValueKind};

use crate::block::KeyBuffer;
use crate::filter;
use crate::guide::{Guide, Parts};
use crate::index::Index;
use crate::properties::Properties;
use crate::reader::{self, FileReader};
use crate::source::BlockSource;
use crate::table::Reading;

/// How much is read at once.
const READ_BYTES: u64 = 1 << 20;

impl FileReader {
    /// Reads the whole file and checks every byte of it: the checksum of the file and of each block,
    /// the order of the entries, the separators of the index, the counts and bounds among the
    /// properties, and that the filter knows every key. Blocks while it does; bypasses the cache.
    pub fn verify(&self) -> Result<(), Fault> {
        // Block by block first: a block's checksum says where the damage is, the file's only that there is some.
        let counted = self.verify_entries()?;
        self.verify_checksum()?;
        let said = self.properties();
        let agree = (counted.entries, counted.tombstones, counted.raw_bytes, counted.data_blocks)
            == (said.entries, said.tombstones, said.raw_bytes, said.data_blocks)
            && (counted.seq_min, counted.seq_max) == (said.seq_min, said.seq_max)
            && (&counted.smallest, &counted.largest) == (&said.smallest, &said.largest);
        if agree {
            return Ok(());
        }
        let what = format!("the properties do not agree with the entries: {said:?}, counted {counted:?}");
        Err(Fault::corrupt(&self.path, self.footer.properties.offset, what))
    }

    fn verify_checksum(&self) -> Result<(), Fault> {
        let size_bytes = self.meta().size_bytes;
        let mut checksum = Checksum::new();
        let mut bytes = vec![0; READ_BYTES.min(size_bytes) as usize];
        let mut offset = 0;
        while offset < size_bytes {
            let part = &mut bytes[..READ_BYTES.min(size_bytes - offset) as usize];
            reader::read(&*self.file, &self.path, offset, part)?;
            checksum = checksum.with(part);
            offset += part.len() as u64;
        }
        let (computed, written) = (checksum.finish(), self.meta().checksum);
        if computed == written {
            return Ok(());
        }
        Err(Fault::corrupt(&self.path, 0, format!("file checksum {written:08x}, computed {computed:08x}")))
    }

    /// What the properties should say, as far as the entries tell.
    fn verify_entries(&self) -> Result<Properties, Fault> {
        let mut walk = Walk {
            source: BlockSource::new(Reading::Rewrite),
            counted: Properties { seq_min: SeqNo::MAX, ..Properties::default() },
            last_key: Vec::new(),
            last_seq: SeqNo::ZERO,
            last_prefix: None,
            separator: None,
        };
        match &self.guide {
            Guide::Whole(whole) => {
                self.verify_blocks(&mut walk, &whole.index, &|hash| self.may_contain(whole, hash))?;
            }
            Guide::Cut(parts) => {
                for p in 0..parts.len() {
                    self.verify_part(&mut walk, parts, p)?;
                }
            }
        }
        walk.counted.largest = walk.last_key.as_slice().into();
        Ok(walk.counted)
    }

    fn verify_part(&self, walk: &mut Walk, parts: &Parts, p: usize) -> Result<(), Fault> {
        let part = parts.part(p);
        let index = self.load_index(parts, p)?;
        let filter = if part.has_filter() {
            Some(reader::load(&*self.file, &self.path, part.filter, self.footer.uid)?)
        } else {
            None
        };
        let probed = self.policy().zip(filter.as_deref());
        let knows = |hash| probed.is_none_or(|(policy, filter)| policy.may_contain(filter, hash));
        // What a part begins with is in its filter, though the part before may have it too.
        walk.last_prefix = None;
        self.verify_blocks(walk, &index, &knows)
    }

    /// Walks the data blocks of `index`, the keys of which the filter `knows`.
    fn verify_blocks(
        &self,
        walk: &mut Walk,
        index: &Index,
        knows: &dyn Fn(u64) -> bool,
    ) -> Result<(), Fault> {
        let prefix_bytes = self.properties().filter_prefix_bytes as usize;
        let mut key = KeyBuffer::default();
        let mut separator_key = KeyBuffer::default();
        let mut block = None;
        for i in 0..index.len() {
            let offset = index.handle(i).offset;
            let corrupt = |what: String| Err(Fault::corrupt(&self.path, offset, what));
            let counted = &mut walk.counted;
            let next = walk.source.block(self, counted.data_blocks as usize, block.take())?;
            let block = block.insert(next);
            key.begin(block);
            for place in 0..block.len() {
                let entry = block.show(place, &mut key).entry(block, key.key());
                let user_key = entry.user_key;
                if counted.entries == 0 {
                    counted.smallest = user_key.into();
                } else if KeyRef::new(&walk.last_key, walk.last_seq) >= entry.key() {
                    return corrupt(format!("entry {place} of the block is not after the one before it"));
                }
                if place == 0
                    && walk.separator.as_ref().is_some_and(|(key, seq)| KeyRef::new(key, *seq) >= entry.key())
                {
                    return corrupt("the block begins before its separator in the index".into());
                }
                if !knows(lsmkit_bloom::hash(user_key)) {
                    return corrupt(format!("the filter denies the key of entry {place}"));
                }
                if let Some(prefix) = filter::prefix_of(user_key, prefix_bytes)
                    && walk.last_prefix.as_deref() != Some(prefix)
                {
                    if !knows(lsmkit_bloom::hash(prefix)) {
                        return corrupt(format!("the filter denies the prefix of entry {place}"));
                    }
                    walk.last_prefix = Some(prefix.to_vec());
                }
                counted.entries += 1;
                counted.tombstones += u64::from(entry.kind == ValueKind::Delete);
                counted.raw_bytes += (user_key.len() + entry.value.len()) as u64;
                counted.seq_min = counted.seq_min.min(entry.seq);
                counted.seq_max = counted.seq_max.max(entry.seq);
                walk.last_key.clear();
                walk.last_key.extend_from_slice(user_key);
                walk.last_seq = entry.seq;
            }
            let separator = index.separator(i, &mut separator_key);
            if separator < KeyRef::new(&walk.last_key, walk.last_seq) {
                return corrupt("the block ends after its separator in the index".into());
            }
            walk.separator = Some((separator.user_key.to_vec(), separator.seq));
            counted.data_blocks += 1;
        }
        Ok(())
    }
}

/// How far a verification has come.
struct Walk {
    source: BlockSource,
    counted: Properties,
    last_key: Vec<u8>,
    last_seq: SeqNo,
    /// The last prefix that the filter was asked for.
    last_prefix: Option<Vec<u8>>,
    /// The separator after the last block.
    separator: Option<(Vec<u8>, SeqNo)>,
}
