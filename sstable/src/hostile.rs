//! Files made to do harm: damaged, with every checksum put right again.

use std::path::Path;

use lsmkit_base::coding::Decoder;
use lsmkit_base::{Entry, SeqNo};
use lsmkit_vfs::MemFs;
use proptest::prelude::*;
use proptest::sample::Index as Place;

use crate::compress;
use crate::footer::Footer;
use crate::forge::{handles, read_in_every_way, reseal};
use crate::handle::{self, Handle};
use crate::{Compression, FileReader, FileWriter, TableOptions, TableWriter};

fn key(n: u64) -> Vec<u8> {
    format!("user/{:03}", n * 7 % 300).into_bytes()
}

fn keys() -> Vec<Vec<u8>> {
    (0..60).map(key).collect()
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

/// The handles of the data blocks among them.
fn data<'h>(handles: &'h [Handle], footer: &Footer) -> &'h [Handle] {
    &handles[..handles.iter().take_while(|handle| handle.offset < footer.data().end).count()]
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
        read_in_every_way(&bytes, &keys());
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
        read_in_every_way(&bytes, &keys());
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
        read_in_every_way(&bytes, &keys());
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
        read_in_every_way(&bytes, &keys());
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
        read_in_every_way(&bytes, &keys());
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
