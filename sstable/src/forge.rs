//! Table files made to do harm: changed, or made by hand, with every checksum right.

#![allow(clippy::unwrap_used, reason = "for tests: what is forged is made of a sound table")]

use std::ops::{Bound, Range};
use std::path::Path;
use std::sync::Arc;

use lsmkit_base::{Cursor, KeyRef, SeqNo, coding};
use lsmkit_vfs::MemFs;

use crate::footer::{Footer, IndexKind};
use crate::guide::Guide;
use crate::handle::{Handle, SEAL_BYTES, seal};
use crate::index::IndexBuilder;
use crate::properties::Properties;
use crate::{FileReader, Reading, Salvage, TableReader};

const PATH: &str = "/t.sst";

/// A table file whose bytes can be changed and sealed again.
#[derive(Clone, Debug)]
pub struct Forge {
    bytes: Vec<u8>,
    handles: Vec<Handle>,
    footer: Footer,
}

impl Forge {
    /// Of a sound table.
    ///
    /// # Panics
    ///
    /// Where it is not.
    pub fn of(table: &[u8]) -> Forge {
        let (handles, footer) = handles(table);
        Forge { bytes: table.to_vec(), handles, footer }
    }

    /// Where the stored blocks are: those of data, then filters, indexes and the properties. Behind each stands its codec, one byte.
    pub fn blocks(&self) -> Vec<Range<usize>> {
        let block =
            |handle: &Handle| handle.offset as usize..handle.offset as usize + handle.stored_bytes as usize;
        self.handles.iter().map(block).collect()
    }

    /// Where the footer is.
    pub fn footer(&self) -> Range<usize> {
        self.bytes.len() - Footer::BYTES..self.bytes.len()
    }

    /// The file as it is now.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The file with all its checksums put right.
    pub fn sealed(mut self) -> Vec<u8> {
        reseal(&mut self.bytes, &self.handles, &self.footer);
        self.bytes
    }
}

/// A table file with one data block, `stored` as it is with this codec, which is to be so long once it is decompressed.
pub fn table_of_block(stored: &[u8], codec: u8, raw_bytes: u32) -> Vec<u8> {
    const UID: u64 = 1;
    let mut bytes = Vec::new();
    let mut store = |stored: &[u8], codec: u8, raw_bytes: u32| {
        let handle = Handle { offset: bytes.len() as u64, stored_bytes: stored.len() as u32, raw_bytes };
        bytes.extend_from_slice(stored);
        bytes.extend_from_slice(&seal(stored, codec, handle.offset, UID));
        handle
    };
    let data = store(stored, codec, raw_bytes);
    let filter = Handle { offset: data.end().unwrap(), stored_bytes: 0, raw_bytes: 0 };
    let mut raw = Vec::new();
    let mut index = IndexBuilder::default();
    index.add(KeyRef::new(&[0xff; 8], SeqNo::ZERO), None, data);
    index.build(0..1, &mut raw);
    let index = store(&raw, 0, raw.len() as u32);
    raw.clear();
    let properties =
        Properties { entries: 1, data_blocks: 1, largest: [0xff; 8].into(), ..Properties::default() };
    properties.encode(&mut raw);
    let properties = store(&raw, 0, raw.len() as u32);
    let body_checksum = coding::checksum(&bytes);
    let footer = Footer { kind: IndexKind::Whole, index, filter, properties, uid: UID, body_checksum };
    bytes.extend(footer.encode());
    bytes
}

fn on_disk(bytes: &[u8]) -> MemFs {
    let disk = MemFs::new();
    disk.write(PATH, bytes).unwrap();
    disk
}

/// The handles of all blocks of a sound table: of the data blocks, and then of the others.
pub(crate) fn handles(bytes: &[u8]) -> (Vec<Handle>, Footer) {
    let footer = Footer::decode(bytes, bytes.len() as u64).unwrap();
    let table = FileReader::open(&on_disk(bytes).shared(), Path::new(PATH)).unwrap();
    let mut handles: Vec<_> = (0..table.guide.blocks()).map(|i| table.handle(i).unwrap()).collect();
    match &table.guide {
        Guide::Whole(_) => handles.extend(footer.has_filter().then_some(footer.filter)),
        Guide::Cut(parts) => {
            handles
                .extend((0..parts.len()).map(|p| parts.part(p)).flat_map(|part| [part.filter, part.index]));
        }
    }
    handles.extend([footer.index, footer.properties]);
    (handles, footer)
}

/// Puts every checksum right, from the inside out.
pub(crate) fn reseal(bytes: &mut [u8], handles: &[Handle], footer: &Footer) {
    for handle in handles {
        let stored = handle.offset as usize..handle.offset as usize + handle.stored_bytes as usize;
        let codec = bytes[stored.end];
        let seal = seal(&bytes[stored.clone()], codec, handle.offset, footer.uid);
        bytes[stored.end..stored.end + SEAL_BYTES].copy_from_slice(&seal);
    }
    let footer_at = bytes.len() - Footer::BYTES;
    let body = coding::checksum(&bytes[..footer_at]);
    bytes[footer_at + 56..footer_at + 60].copy_from_slice(&body.to_le_bytes());
    let end = bytes.len();
    let checksum = coding::checksum(&bytes[footer_at..end - 12]);
    bytes[end - 12..end - 8].copy_from_slice(&checksum.to_le_bytes());
}

/// Asks everything that can be asked of a table file, about these keys among others. Whatever the answers, none may panic.
pub fn read_in_every_way(bytes: &[u8], keys: &[Vec<u8>]) {
    let (disk, path) = (on_disk(bytes), Path::new(PATH));
    let Ok(table) = FileReader::open(&disk.shared(), path) else { return };
    let table = Arc::new(table);
    let _ = table.verify();
    for key in keys {
        let _ = table.value(key);
        let _ = table.get(key, lsmkit_bloom::hash(key), SeqNo::new(5).unwrap_or(SeqNo::MAX), |_| ());
        let prefix = &key[..key.len().min(7)];
        let _ = table.may_hold_within(Bound::Included(prefix), Bound::Included(key));
    }
    let _ = Salvage::open(&disk.shared(), path).map(|salvage| salvage.show(&mut |_| Ok(())));
    for reading in [Reading::Scan, Reading::Rewrite] {
        let mut cursor = table.cursor(reading);
        let mut steps = 0;
        let _ = cursor.seek_first();
        while cursor.entry().is_some() && steps < 10_000 && cursor.next().is_ok() {
            steps += 1;
        }
        let _ = cursor.seek_last();
        while cursor.entry().is_some() && steps < 20_000 && cursor.prev().is_ok() {
            steps += 1;
        }
        for key in keys {
            let _ = cursor.seek(KeyRef::first_of(key));
            let _ = cursor.seek_before(KeyRef::last_of(key));
        }
    }
}
