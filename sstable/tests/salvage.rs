//! What is read of a damaged table.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeSet;
use std::path::Path;

use lsmkit_base::{Entry, Fault, KeyspaceId, SeqNo};
use lsmkit_sstable::testkit::Forge;
use lsmkit_sstable::{FileWriter, LostKeys, Salvage, TableOptions, TableWriter};
use lsmkit_vfs::MemFs;

const PATH: &str = "/t.sst";

fn key(n: u64) -> Vec<u8> {
    format!("key{n:04}").into_bytes()
}

/// So many that an index has parts.
const KEYS: u64 = 1500;

/// Two versions of each key.
fn table(options: &TableOptions) -> Vec<u8> {
    let disk = MemFs::new();
    let options = options.clone().uid_seed(1).block_bytes(200).keyspace(KeyspaceId(3), "people");
    let mut writer = FileWriter::create(&disk.shared(), Path::new(PATH), &options).unwrap();
    for n in 0..KEYS {
        writer.add(Entry::put(&key(n), SeqNo::new(1000 + n).unwrap(), b"new")).unwrap();
        writer.add(Entry::delete(&key(n), SeqNo::new(n + 1).unwrap())).unwrap();
    }
    writer.finish().unwrap();
    disk.read(PATH).unwrap()
}

fn open(bytes: &[u8]) -> Result<Salvage, Fault> {
    let disk = MemFs::new();
    disk.write(PATH, bytes).unwrap();
    Salvage::open(&disk.shared(), Path::new(PATH))
}

/// The keys that are shown with their versions, and those that are lost.
fn shown(salvage: &Salvage) -> (Vec<(Vec<u8>, u64)>, Vec<LostKeys>) {
    let mut shown = Vec::new();
    let lost = salvage.show(&mut |entry| {
        shown.push((entry.user_key.to_vec(), entry.seq.value()));
        Ok(())
    });
    (shown, lost.unwrap())
}

fn all() -> Vec<(Vec<u8>, u64)> {
    (0..KEYS).flat_map(|n| [(key(n), 1000 + n), (key(n), n + 1)]).collect()
}

/// What is shown is in order and right, and what is not shown is among what is lost.
fn check(salvage: &Salvage) -> usize {
    let (shown, lost) = shown(salvage);
    let all = all();
    assert!(shown.is_sorted_by(|a, b| (&a.0, b.1) < (&b.0, a.1)));
    let (all, shown): (BTreeSet<_>, BTreeSet<_>) = (all.into_iter().collect(), shown.into_iter().collect());
    assert!(shown.is_subset(&all));
    let missing: Vec<_> = all.difference(&shown).collect();
    for (key, _) in &missing {
        assert!(
            lost.iter().any(|lost| *lost.smallest <= **key && **key <= *lost.largest),
            "{key:?}: {lost:?}"
        );
    }
    assert_eq!(missing.is_empty(), lost.is_empty());
    missing.len()
}

fn layouts() -> [TableOptions; 2] {
    [TableOptions::new(), TableOptions::new().pinned_bytes_max(0)]
}

#[test]
fn a_sound_table_is_all_there() {
    for options in layouts() {
        let salvage = open(&table(&options)).unwrap();
        assert_eq!(shown(&salvage).0, all());
        let said = salvage.properties().unwrap();
        assert_eq!((said.keyspace, said.keyspace_name.as_deref()), (Some(KeyspaceId(3)), Some("people")));
        assert_eq!(check(&salvage), 0);
    }
}

#[test]
fn each_damaged_block_costs_its_own_entries() {
    for (options, is_cut) in layouts().into_iter().zip([false, true]) {
        let sound = table(&options);
        let (mut of_blocks, mut unopened, mut free) = (0, 0, 0);
        for block in Forge::of(&sound).blocks() {
            let mut bytes = sound.clone();
            bytes[block.start] ^= 1;
            match open(&bytes) {
                Ok(salvage) => {
                    let missing = check(&salvage);
                    assert!(missing < if is_cut { 2000 } else { 20 }, "{missing} entries");
                    of_blocks += missing;
                    free += u32::from(missing == 0);
                }
                // The index, or what tells where its parts are.
                Err(fault) => {
                    assert!(fault.is_corrupt());
                    unopened += 1;
                }
            }
        }
        // Each part of an index costs all its entries.
        assert_eq!(of_blocks, all().len() * if is_cut { 2 } else { 1 });
        // Filters and properties cost nothing.
        assert_eq!((unopened, free > 1), (1, true));
    }
}

#[test]
fn neighbours_that_are_lost_are_told_as_one() {
    let sound = table(&TableOptions::new());
    let mut bytes = sound.clone();
    let blocks = Forge::of(&sound).blocks();
    for block in [3, 4, 5, 9] {
        bytes[blocks[block].start] ^= 1;
    }
    let salvage = open(&bytes).unwrap();
    check(&salvage);
    let lost = shown(&salvage).1;
    assert_eq!(lost.len(), 2);
    assert!(lost[0].largest < lost[1].smallest && lost.iter().all(|lost| lost.fault.is_corrupt()));
}

#[test]
fn damaged_properties_are_none() {
    let sound = table(&TableOptions::new());
    let mut bytes = sound.clone();
    bytes[Forge::of(&sound).blocks().last().unwrap().start] ^= 1;
    let salvage = open(&bytes).unwrap();
    assert!(salvage.properties().is_none());
    assert_eq!(shown(&salvage).0, all());
}

#[test]
fn without_a_footer_there_is_nothing() {
    let mut bytes = table(&TableOptions::new());
    bytes.pop();
    assert!(open(&bytes).unwrap_err().is_corrupt());
    assert!(open(b"").unwrap_err().is_corrupt());
    let none = Salvage::open(&MemFs::new().shared(), Path::new(PATH));
    assert!(none.unwrap_err().is_not_found());
}
