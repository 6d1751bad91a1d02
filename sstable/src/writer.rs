//! Writes a table file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsmkit_base::coding::{Checksum, put_u64};
use lsmkit_base::{
    Entry, Fault, FaultContext, KeyRef, MAX_KEY_BYTES, MAX_VALUE_BYTES, SeqNo, TableId, TableMeta, ValueKind,
};
use lsmkit_bloom::FilterPolicy;
use lsmkit_vfs::{File, Fs};

use crate::block::{BLOCK_BYTES_MAX, BlockBuilder, tag};
use crate::compress::Compressor;
use crate::filter::FilterKeys;
use crate::footer::{self, Footer, IndexKind};
use crate::guide::{Part, PartEnd, PartEnds, TopBuilder};
use crate::handle::{Handle, SEAL_BYTES, seal};
use crate::index::IndexBuilder;
use crate::options::TableOptions;
use crate::properties::Properties;
use crate::table::{TablePlace, TableWriter};

/// Bytes are handed to the file in pieces of about this length.
const CHUNK_BYTES: usize = 256 << 10;
/// How much is written before the device is asked to take it.
const WRITE_BACK_BYTES: u64 = 1 << 20;

/// Writes one table file, entry by entry.
///
/// The file has its final name from the start; dropped unfinished, the writer removes it.
pub struct FileWriter {
    fs: Arc<dyn Fs>,
    file: Arc<dyn File>,
    path: PathBuf,
    filter: Arc<dyn FilterPolicy>,
    compressor: Compressor,
    block_bytes: usize,
    uid: u64,
    block: BlockBuilder,
    /// A block as it is laid out before compression; empty between blocks.
    raw: Vec<u8>,
    /// The block that was written last and is not in the index yet: its separator needs what follows.
    unindexed: Option<Handle>,
    index: IndexBuilder,
    filter_keys: FilterKeys,
    part_ends: PartEnds,
    /// The most that index and filter may be together without being cut up.
    pinned_bytes_max: usize,
    last_key: Vec<u8>,
    last_seq: SeqNo,
    pub(crate) properties: Properties,
    out: Out,
    state: State,
}

/// What became of the file.
#[derive(Debug)]
enum State {
    Writing,
    /// A write failed, so the file is in an unknown state and stays so.
    Failed(Fault),
    Finished,
}

/// What was produced and is on its way to the file.
#[derive(Debug, Default)]
struct Out {
    pending: Vec<u8>,
    /// How much of the file was handed over.
    written_bytes: u64,
    /// How much of that the device was asked to take.
    written_back_bytes: u64,
    checksum: Checksum,
}

impl FileWriter {
    /// Begins a table by itself, outside any store.
    ///
    /// # Errors
    ///
    /// Where the file exists already or can't be created, or its codec is not compiled in.
    pub fn create(fs: &Arc<dyn Fs>, path: &Path, options: &TableOptions) -> Result<FileWriter, Fault> {
        let mut name = options.uid_seed.to_le_bytes().to_vec();
        name.extend_from_slice(path.as_os_str().as_encoded_bytes());
        FileWriter::begin(
            fs,
            path,
            options,
            TableId::default(),
            lsmkit_bloom::hash(&name),
            TablePlace::of_level(0),
        )
    }

    pub(crate) fn begin(
        fs: &Arc<dyn Fs>,
        path: &Path,
        options: &TableOptions,
        id: TableId,
        uid: u64,
        place: TablePlace,
    ) -> Result<FileWriter, Fault> {
        let compression = options.compression_at(place.level);
        let filter = options.filter.with_more_bits(place.more_filter_bits);
        let compressor = Compressor::new(compression).map_err(|damage| damage.at(path, 0))?;
        let file = fs.create(path).at(path)?;
        Ok(FileWriter {
            fs: Arc::clone(fs),
            file,
            path: path.to_path_buf(),
            filter: filter.unwrap_or_else(|| Arc::clone(&options.filter)),
            compressor,
            block_bytes: options.block_bytes,
            uid,
            block: BlockBuilder::default(),
            raw: Vec::new(),
            unindexed: None,
            index: IndexBuilder::default(),
            filter_keys: FilterKeys::new(options.filter_prefix_bytes),
            part_ends: PartEnds::default(),
            pinned_bytes_max: options.pinned_bytes_max,
            last_key: Vec::new(),
            last_seq: SeqNo::ZERO,
            properties: Properties {
                id,
                keyspace: options.keyspace.as_ref().map(|(id, _)| *id),
                keyspace_name: options.keyspace.as_ref().map(|(_, name)| name.clone()),
                seq_min: SeqNo::MAX,
                filter: options.filter.name().to_owned(),
                filter_prefix_bytes: options.filter_prefix_bytes as u64,
                compression: compression.name().to_owned(),
                block_bytes: options.block_bytes as u64,
                written: place.written,
                created_by: concat!("lsmkit-sstable ", env!("CARGO_PKG_VERSION")).to_owned(),
                ..Properties::default()
            },
            out: Out::default(),
            state: State::Writing,
        })
    }

    /// Adds a key with its value, for tables without history: as [`TableWriter::add`] with sequence number 0.
    ///
    /// # Panics
    ///
    /// Where `key` is not greater than the one before it.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.add(Entry::put(key, SeqNo::ZERO, value))
    }

    /// Ends the block that was begun, if any.
    fn end_block(&mut self) -> Result<(), Fault> {
        if self.block.is_empty() {
            return Ok(());
        }
        self.block.finish(&mut self.raw);
        let (stored, codec) = self.compressor.compress(&self.raw);
        let handle = self.out.seal_block(&*self.file, stored, codec, self.raw.len(), self.uid).at(&self.path);
        self.raw.clear();
        // A single large value should not hold its memory to the end of the table.
        self.raw.shrink_to(CHUNK_BYTES);
        self.unindexed = Some(handle?);
        Ok(())
    }

    /// Writes what follows the data: filter, index, properties, footer. Makes it durable.
    fn end_file(&mut self) -> Result<TableMeta, Fault> {
        self.end_block()?;
        if let Some(handle) = self.unindexed.take() {
            self.index.add(KeyRef::new(&self.last_key, self.last_seq), None, handle);
        }
        self.properties.data_blocks = self.index.len() as u64;
        self.properties.largest = self.last_key.as_slice().into();

        let (mut filter, mut index) = (Vec::new(), Vec::new());
        let mut kind = IndexKind::Cut;
        // Separators that are too long by themselves spare building the filter of all.
        if self.index.keys_bytes() <= self.pinned_bytes_max {
            self.index.build(0..self.index.len(), &mut index);
            self.filter_keys.build(&*self.filter, 0..self.filter_keys.len(), &mut filter);
            if filter.len() + index.len() <= self.pinned_bytes_max {
                kind = IndexKind::Whole;
            }
        }
        let (filter, index) = match kind {
            IndexKind::Whole => (self.end_filter(&filter)?, self.end_index(&index)?),
            IndexKind::Cut => (self.no_filter(), self.end_parts()?),
        };
        let mut bytes = Vec::new();
        self.properties.encode(&mut bytes);
        let properties = self.out.seal_raw(&*self.file, &bytes, self.uid).at(&self.path)?;

        self.out.flush(&*self.file).at(&self.path)?;
        let body_checksum = self.out.checksum.finish();
        let footer = Footer { kind, index, filter, properties, uid: self.uid, body_checksum }.encode();
        self.out.pending.extend_from_slice(&footer);
        self.out.flush(&*self.file).at(&self.path)?;
        self.file.sync().at(&self.path)?;
        Ok(meta(
            &self.properties,
            self.uid,
            self.out.written_bytes,
            footer::file_checksum(body_checksum, &footer),
        ))
    }

    /// Writes the filters and the indexes of all parts, and where they are. Returns where that is.
    fn end_parts(&mut self) -> Result<Handle, Fault> {
        let end = self.part_end();
        let mut top = TopBuilder::default();
        let mut bytes = Vec::new();
        for (blocks, hashes) in std::mem::take(&mut self.part_ends).parts(end) {
            bytes.clear();
            self.filter_keys.build(&*self.filter, hashes, &mut bytes);
            let filter = self.end_filter(&bytes)?;
            bytes.clear();
            self.index.build(blocks.clone(), &mut bytes);
            let index = self.end_index(&bytes)?;
            let data_start = self.index.handle(blocks.start).offset;
            let part = Part { filter, index, data_start, blocks: blocks.len() as u32 };
            top.add(self.index.separator(blocks.end - 1), &part);
        }
        bytes.clear();
        top.build(&mut bytes);
        self.end_index(&bytes)
    }

    /// Where a part would end now.
    fn part_end(&self) -> PartEnd {
        PartEnd {
            blocks: self.index.len(),
            hashes: self.filter_keys.len(),
            keys_bytes: self.index.keys_bytes(),
        }
    }

    fn end_filter(&mut self, bytes: &[u8]) -> Result<Handle, Fault> {
        // A filter too large to be stored is left out, which costs time and no answer.
        if bytes.is_empty() || bytes.len() as u64 > BLOCK_BYTES_MAX {
            return Ok(self.no_filter());
        }
        self.out.seal_raw(&*self.file, bytes, self.uid).at(&self.path)
    }

    fn no_filter(&self) -> Handle {
        Handle { offset: self.out.offset(), stored_bytes: 0, raw_bytes: 0 }
    }

    fn end_index(&mut self, bytes: &[u8]) -> Result<Handle, Fault> {
        if bytes.len() as u64 > BLOCK_BYTES_MAX {
            return Err(Fault::unsupported(
                &self.path,
                "a table whose index is longer than the longest block",
            ));
        }
        let (stored, codec) = self.compressor.compress(bytes);
        self.out.seal_block(&*self.file, stored, codec, bytes.len(), self.uid).at(&self.path)
    }

    fn begin_user_key(&mut self, user_key: &[u8]) {
        if self.properties.entries == 0 {
            self.properties.smallest = user_key.into();
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(user_key);
    }

    fn add_unless_failed(&mut self, entry: Entry<'_>) -> Result<(), Fault> {
        let key = entry.key();
        let same_user_key = self.properties.entries > 0 && {
            let last = KeyRef::new(&self.last_key, self.last_seq);
            assert!(last < key, "entries are added in order: {key:?} is not after {last:?}");
            last.user_key == key.user_key
        };
        assert!(key.user_key.len() <= MAX_KEY_BYTES, "a key of {} bytes", key.user_key.len());
        assert!(entry.value.len() <= MAX_VALUE_BYTES, "a value of {} bytes", entry.value.len());

        let entry_bytes = key.user_key.len() + entry.value.len();
        if self.block.size_bytes() + entry_bytes > self.block_bytes {
            self.end_block()?;
        }
        let mut begins_part = self.properties.entries == 0;
        if let Some(handle) = self.unindexed.take() {
            self.index.add(KeyRef::new(&self.last_key, self.last_seq), Some(key), handle);
            begins_part = self.part_ends.end_if_long(self.part_end());
        }
        // The filter of a part has all that is in the part, though the part before may have some of it as well.
        if begins_part {
            self.filter_keys.add(key.user_key, None);
        } else if !same_user_key {
            self.filter_keys.add(key.user_key, Some(&self.last_key));
        }
        if !same_user_key {
            self.begin_user_key(key.user_key);
        }
        self.last_seq = key.seq;
        self.block.add(key.user_key, tag(key.seq, entry.kind), entry.value);

        let properties = &mut self.properties;
        properties.entries += 1;
        properties.tombstones += u64::from(entry.kind == ValueKind::Delete);
        properties.raw_bytes += entry_bytes as u64;
        properties.seq_min = properties.seq_min.min(key.seq);
        properties.seq_max = properties.seq_max.max(key.seq);
        Ok(())
    }

    /// Keeps the first fault, so that whatever is called next repeats it.
    fn keep_fault<T>(&mut self, result: Result<T, Fault>) -> Result<T, Fault> {
        if let Err(fault) = &result {
            self.state = State::Failed(fault.clone());
        }
        result
    }

    fn check_writing(&self) -> Result<(), Fault> {
        match &self.state {
            State::Failed(fault) => Err(fault.clone()),
            State::Writing | State::Finished => Ok(()),
        }
    }
}

impl TableWriter for FileWriter {
    fn add(&mut self, entry: Entry<'_>) -> Result<(), Fault> {
        self.check_writing()?;
        let added = self.add_unless_failed(entry);
        self.keep_fault(added)
    }

    fn size_bytes(&self) -> u64 {
        // Ten bits a key is what filters commonly take.
        let filter_bytes = self.filter_keys.len() * 10 / 8;
        let ends = self.block.size_bytes() + self.index.size_bytes() + filter_bytes + Footer::BYTES + 256;
        self.out.offset() + ends as u64
    }

    fn finish(mut self) -> Result<TableMeta, Fault> {
        assert!(self.properties.entries > 0, "a table has at least one entry");
        self.check_writing()?;
        let meta = self.end_file()?;
        self.state = State::Finished;
        Ok(meta)
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        if !matches!(self.state, State::Finished) {
            // Nothing refers to the file; where it can't be removed, whoever cleans up finds it.
            let _ = self.fs.remove(&self.path);
        }
    }
}

impl fmt::Debug for FileWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWriter")
            .field("path", &self.path)
            .field("entries", &self.properties.entries)
            .field("size_bytes", &self.size_bytes())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Out {
    /// Where the next byte goes.
    fn offset(&self) -> u64 {
        self.written_bytes + self.pending.len() as u64
    }

    fn seal_raw(&mut self, file: &dyn File, bytes: &[u8], uid: u64) -> std::io::Result<Handle> {
        self.seal_block(file, bytes, 0, bytes.len(), uid)
    }

    fn seal_block(
        &mut self,
        file: &dyn File,
        stored: &[u8],
        codec: u8,
        raw_bytes: usize,
        uid: u64,
    ) -> std::io::Result<Handle> {
        let offset = self.offset();
        let handle = Handle { offset, stored_bytes: stored.len() as u32, raw_bytes: raw_bytes as u32 };
        if stored.len() >= CHUNK_BYTES {
            // Large enough to go by itself, without another copy.
            self.flush(file)?;
            self.hand_over(file, stored)?;
        } else {
            self.pending.extend_from_slice(stored);
        }
        self.pending.extend_from_slice(&seal(stored, codec, offset, uid));
        debug_assert_eq!(self.offset(), offset + (stored.len() + SEAL_BYTES) as u64);
        if self.pending.len() >= CHUNK_BYTES {
            self.flush(file)?;
        }
        Ok(handle)
    }

    fn flush(&mut self, file: &dyn File) -> std::io::Result<()> {
        let pending = std::mem::take(&mut self.pending);
        self.hand_over(file, &pending)?;
        self.pending = pending;
        self.pending.clear();
        Ok(())
    }

    fn hand_over(&mut self, file: &dyn File, bytes: &[u8]) -> std::io::Result<()> {
        file.write_at(bytes, self.written_bytes)?;
        self.checksum = self.checksum.with(bytes);
        self.written_bytes += bytes.len() as u64;
        let waiting = self.written_bytes - self.written_back_bytes;
        if waiting >= WRITE_BACK_BYTES {
            // Otherwise all of the table would wait for its sync, and syncs of the log for that.
            file.write_back(self.written_back_bytes, waiting);
            self.written_back_bytes = self.written_bytes;
        }
        Ok(())
    }
}

/// What a tree knows of a table with these properties.
pub(crate) fn meta(properties: &Properties, uid: u64, size_bytes: u64, checksum: u32) -> TableMeta {
    TableMeta {
        id: properties.id,
        uid,
        size_bytes,
        checksum,
        entries: properties.entries,
        tombstones: properties.tombstones,
        raw_bytes: properties.raw_bytes,
        smallest: properties.smallest.clone(),
        largest: properties.largest.clone(),
        seq_min: properties.seq_min,
        seq_max: properties.seq_max,
        written: properties.written,
    }
}

/// The unique number of the table `id`, the `ordinal`th that was begun by one writer of tables.
pub(crate) fn uid(seed: u64, id: TableId, ordinal: u64) -> u64 {
    let mut bytes = Vec::with_capacity(24);
    put_u64(&mut bytes, seed);
    put_u64(&mut bytes, id.0);
    put_u64(&mut bytes, ordinal);
    lsmkit_bloom::hash(&bytes)
}
