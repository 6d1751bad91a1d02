//! Files made to do harm: damaged, with every checksum put right again.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use lsmkit_base::coding::{self, Decoder};
use lsmkit_base::{Cursor, Entry, KeyRef, SeqNo};
use lsmkit_vfs::MemFs;
use proptest::prelude::*;
use proptest::sample::Index as Place;

use crate::compress;
use crate::footer::Footer;
use crate::guide::Guide;
use crate::handle::{self, Handle, SEAL_BYTES, seal};
use crate::{Compression, FileReader, FileWriter, Reading, TableOptions, TableReader, TableWriter};

fn key(n: u64) -> Vec<u8> {
    format!("user/{:03}", n * 7 % 300).into_bytes()
}

/// How index and filter are stored.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Layout {
    Whole,
    Cut,
}

fn layouts() -> impl Strategy<Value = Layout> {
    prop::sample::select(vec![Layout::Whole, Layout::Cut])
}

/// Some thirty data blocks, or 300 of which two parts and a half are made.
fn table(compression: Compression, layout: Layout) -> Vec<u8> {
    let disk = MemFs::new();
    let path = Path::new("/t.sst");
    let options = TableOptions::new().compression(compression).uid_seed(1).filter_prefix_bytes(6);
    let (options, keys) = match layout {
        Layout::Whole => (options.block_bytes(200), 60),
        Layout::Cut => (options.block_bytes(64).pinned_bytes_max(0), 150),
    };
    let mut writer = FileWriter::create(&disk.shared(), path, &options).unwrap();
    let mut keys: Vec<_> = (0..keys).map(key).collect();
    keys.sort();
    for key in &keys {
        for n in [9, 4] {
            writer.add(Entry::put(key, SeqNo::new(n).unwrap(), &b"value ".repeat(n as usize))).unwrap();
        }
    }
    writer.finish().unwrap();
    disk.read(path).unwrap()
}

/// The handles of all blocks of a sound table: of the data blocks, and then of the others.
fn handles(bytes: &[u8]) -> (Vec<Handle>, Footer) {
    let footer = Footer::decode(bytes, bytes.len() as u64).unwrap();
    let disk = MemFs::new();
    disk.write("/t.sst", bytes).unwrap();
    let table = FileReader::open(&disk.shared(), Path::new("/t.sst")).unwrap();
    let mut handles: Vec<_> = (0..table.guide.blocks()).map(|i| table.handle(i).unwrap()).collect();
    match &table.guide {
        Guide::Whole(_) => handles.push(footer.filter),
        Guide::Cut(parts) => {
            assert_eq!(parts.len(), 3);
            handles
                .extend((0..parts.len()).map(|p| parts.part(p)).flat_map(|part| [part.filter, part.index]));
        }
    }
    handles.extend([footer.index, footer.properties]);
    (handles, footer)
}

/// The handles of the data blocks among them.
fn data<'h>(handles: &'h [Handle], footer: &Footer) -> &'h [Handle] {
    &handles[..handles.iter().take_while(|handle| handle.offset < footer.data().end).count()]
}

/// Puts every checksum right, from the inside out.
fn reseal(bytes: &mut [u8], handles: &[Handle], footer: &Footer) {
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

/// Everything that can be asked of a file. Whatever the answers, none may panic.
fn read_in_every_way(bytes: &[u8]) {
    let disk = MemFs::new();
    disk.write("/t.sst", bytes).unwrap();
    let Ok(table) = FileReader::open(&disk.shared(), Path::new("/t.sst")) else { return };
    let table = Arc::new(table);
    let _ = table.verify();
    for n in 0..60 {
        let _ = table.value(&key(n));
        let _ = table.get(&key(n), lsmkit_bloom::hash(&key(n)), SeqNo::new(5).unwrap(), |_| ());
        let prefix = &key(n)[..7];
        let _ = table.may_hold_within(Bound::Included(prefix), Bound::Included(&key(n)));
    }
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
        for n in 0..60 {
            let _ = cursor.seek(KeyRef::first_of(&key(n)));
            let _ = cursor.seek_before(KeyRef::last_of(&key(n)));
        }
    }
}

fn compressions() -> Vec<Compression> {
    [Compression::None, Compression::Snappy, Compression::Lz4, Compression::Zstd { level: 1 }]
        .into_iter()
        .filter(|compression| compression.is_available())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn blocks_changed_and_sealed_again_do_not_panic(
        compression in prop::sample::select(compressions()),
        layout in layouts(),
        changes in prop::collection::vec((any::<Place>(), any::<Place>(), any::<u8>(), 0..4u8), 1..8),
    ) {
        let mut bytes = table(compression, layout);
        let (handles, footer) = handles(&bytes);
        for (block, place, with, near_end) in changes {
            let handle = handles[block.index(handles.len())];
            let stored = handle.stored_bytes as usize;
            // Half of the changes are among the last bytes, where a block describes itself.
            let from = if near_end < 2 { stored.saturating_sub(28) } else { 0 };
            bytes[handle.offset as usize + from + place.index(stored - from)] = with;
        }
        reseal(&mut bytes, &handles, &footer);
        read_in_every_way(&bytes);
    }

    #[test]
    fn codecs_exchanged_do_not_panic(
        compression in prop::sample::select(compressions()),
        layout in layouts(),
        block: Place,
        codec in 0..5u8,
    ) {
        let mut bytes = table(compression, layout);
        let (handles, footer) = handles(&bytes);
        let handle = handles[block.index(handles.len())];
        bytes[(handle.offset + u64::from(handle.stored_bytes)) as usize] = codec;
        reseal(&mut bytes, &handles, &footer);
        read_in_every_way(&bytes);
    }

    #[test]
    fn footers_changed_and_sealed_again_do_not_panic(
        place in 0..Footer::BYTES - 20, with: u8, layout in layouts(),
    ) {
        let mut bytes = table(Compression::None, layout);
        let (handles, footer) = handles(&bytes);
        let footer_at = bytes.len() - Footer::BYTES;
        bytes[footer_at + place] = with;
        reseal(&mut bytes, &handles, &footer);
        read_in_every_way(&bytes);
    }

    #[test]
    fn handles_in_the_index_changed_do_not_panic(
        i: Place, place in 0..Handle::BYTES, with: u8, layout in layouts(),
    ) {
        let mut bytes = table(Compression::None, layout);
        let (handles, footer) = handles(&bytes);
        // The handle's bytes stand in the index as they are, for it is not compressed.
        // Those of parts stand in the top index, behind them.
        let handle = handles[i.index(handles.len() - 2)];
        if handle == footer.filter {
            return Ok(());
        }
        let encoded = handle.encode();
        let index_at = footer.data().end as usize;
        let at = bytes[index_at..].windows(Handle::BYTES).position(|window| window == encoded).unwrap();
        bytes[index_at + at + place] = with;
        reseal(&mut bytes, &handles, &footer);
        read_in_every_way(&bytes);
    }
}

/// Two blocks of equal length, seals and all.
fn exchange(bytes: &mut [u8], data: &[Handle]) -> (Handle, Handle) {
    let (a, b) = data
        .iter()
        .enumerate()
        .flat_map(|(i, a)| data[i + 1..].iter().map(move |b| (*a, *b)))
        .find(|(a, b)| a.stored_bytes == b.stored_bytes)
        .expect("because many blocks have the same length");
    let [from, to] =
        [a, b].map(|handle| handle.offset as usize..handle.offset as usize + handle.sealed_bytes());
    let moved = bytes[from.clone()].to_vec();
    bytes.copy_within(to.clone(), from.start);
    bytes[to].copy_from_slice(&moved);
    (a, b)
}

/// Each is sound in itself, so that only its place can give it away.
#[test]
fn blocks_exchanged_with_their_seals_are_corrupt() {
    let mut bytes = table(Compression::None, Layout::Whole);
    let (handles, footer) = handles(&bytes);
    let (a, b) = exchange(&mut bytes, data(&handles, &footer));
    for handle in &handles {
        let sealed = &bytes[handle.offset as usize..handle.offset as usize + handle.sealed_bytes()];
        let moved = *handle == a || *handle == b;
        assert_eq!(handle::unseal(sealed, *handle, footer.uid).is_err(), moved);
        assert!(handle::unseal(sealed, *handle, footer.uid + 1).is_err(), "of another file");
    }
}

/// Blocks of one table in another order, each with a checksum that is right for its new place.
#[test]
fn blocks_out_of_order_are_found_by_verification() {
    for layout in [Layout::Whole, Layout::Cut] {
        let mut bytes = table(Compression::None, layout);
        let (handles, footer) = handles(&bytes);
        exchange(&mut bytes, data(&handles, &footer));
        reseal(&mut bytes, &handles, &footer);
        read_in_every_way(&bytes);
        assert!(opened(&bytes).verify().is_err());
    }
}

/// The filters of two parts, the indexes of which stay: each denies keys of its part.
#[test]
fn filters_of_other_parts_are_found_by_verification() {
    let mut bytes = table(Compression::None, Layout::Cut);
    let (handles, footer) = handles(&bytes);
    opened(&bytes).verify().unwrap();
    let filters = &handles[data(&handles, &footer).len()..];
    exchange(&mut bytes, &[filters[0], filters[2]]);
    reseal(&mut bytes, &handles, &footer);
    assert!(opened(&bytes).verify().is_err());
}

fn opened(bytes: &[u8]) -> FileReader {
    let disk = MemFs::new();
    disk.write("/t.sst", bytes).unwrap();
    FileReader::open(&disk.shared(), Path::new("/t.sst")).unwrap()
}

/// The tests above rely on these.
#[test]
fn a_table_resealed_unchanged_is_unchanged() {
    for (compression, layout) in compressions()
        .into_iter()
        .flat_map(|compression| [(compression, Layout::Whole), (compression, Layout::Cut)])
    {
        let sound = table(compression, layout);
        let (handles, footer) = handles(&sound);
        assert_eq!(Handle::decode(&mut Decoder::new(&handles[0].encode())), Some(handles[0]));
        assert!(handles.len() > 6);
        assert!(
            compression == Compression::None || !compress::is_raw(sound[handles[0].stored_bytes as usize])
        );
        let mut bytes = sound.clone();
        reseal(&mut bytes, &handles, &footer);
        assert!(bytes == sound);
    }
}
