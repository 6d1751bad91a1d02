//! Checks every byte of a table file.

use lsmkit_base::coding::Checksum;
use lsmkit_base::{Fault, KeyRef, SeqNo, ValueKind};

use crate::block::KeyBuffer;
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
        let mut counted = Properties { seq_min: SeqNo::MAX, ..Properties::default() };
        let mut source = BlockSource::new(Reading::Rewrite);
        let mut key = KeyBuffer::default();
        let mut separator_key = KeyBuffer::default();
        let (mut last_key, mut last_seq) = (Vec::new(), SeqNo::ZERO);
        let mut block = None;
        for i in 0..self.index.len() {
            let offset = self.index.handle(i).offset;
            let corrupt = |what: String| Err(Fault::corrupt(&self.path, offset, what));
            let next = source.block(self, i, block.take())?;
            let block = block.insert(next);
            key.begin(block);
            for place in 0..block.len() {
                let entry = block.show(place, &mut key).entry(block, key.key());
                let user_key = entry.user_key;
                if counted.entries == 0 {
                    counted.smallest = user_key.into();
                } else if KeyRef::new(&last_key, last_seq) >= entry.key() {
                    return corrupt(format!("entry {place} of the block is not after the one before it"));
                }
                if place == 0 && i > 0 && self.index.separator(i - 1, &mut separator_key) >= entry.key() {
                    return corrupt("the block begins before its separator in the index".into());
                }
                if !self.may_contain(lsmkit_bloom::hash(user_key)) {
                    return corrupt(format!("the filter denies the key of entry {place}"));
                }
                counted.entries += 1;
                counted.tombstones += u64::from(entry.kind == ValueKind::Delete);
                counted.raw_bytes += (user_key.len() + entry.value.len()) as u64;
                counted.seq_min = counted.seq_min.min(entry.seq);
                counted.seq_max = counted.seq_max.max(entry.seq);
                last_key.clear();
                last_key.extend_from_slice(user_key);
                last_seq = entry.seq;
            }
            if self.index.separator(i, &mut separator_key) < KeyRef::new(&last_key, last_seq) {
                return corrupt("the block ends after its separator in the index".into());
            }
            counted.data_blocks += 1;
        }
        counted.largest = last_key.into();
        Ok(counted)
    }
}
