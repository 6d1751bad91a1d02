use lsmkit_base::{KeyRef, MAX_KEY_BYTES, SeqNo, ValueKind};
use proptest::prelude::*;

use super::{Block, BlockBuilder, KeyBuffer, PREAMBLE_BYTES, SLACK_BYTES, tag};
use crate::damage::Damage;

type Owned = (Vec<u8>, u64, ValueKind, Vec<u8>);

fn seq(n: u64) -> SeqNo {
    SeqNo::new(n).unwrap()
}

fn build(entries: &[Owned]) -> Vec<u8> {
    let mut builder = BlockBuilder::default();
    for (key, n, kind, value) in entries {
        builder.add(key, tag(seq(*n), *kind), value);
    }
    let estimate = builder.size_bytes();
    let mut bytes = Vec::new();
    builder.finish(&mut bytes);
    // Starts and tags are wider than reckoned in the worst case only.
    assert!(bytes.len() <= estimate + entries.len() * 15 + 8, "{} of {estimate}", bytes.len());
    bytes
}

fn parse(bytes: &[u8]) -> Result<Block, Damage> {
    Block::parse(&[bytes, &[0; SLACK_BYTES]].concat(), None)
}

/// Everything that can be asked of a block; must not panic whatever the bytes.
fn read_all(block: &Block) -> Vec<Owned> {
    let mut key = KeyBuffer::default();
    key.begin(block);
    (0..block.len())
        .map(|i| {
            let entry = block.show(i, &mut key).entry(block, key.key());
            (entry.user_key.to_vec(), entry.seq.value(), entry.kind, entry.value.to_vec())
        })
        .collect()
}

fn check_against_model(entries: &[Owned], targets: &[(Vec<u8>, u64)]) {
    let block = parse(&build(entries)).unwrap();
    assert_eq!(read_all(&block), entries);
    let own = entries.iter().flat_map(|(key, n, ..)| {
        [*n, n.saturating_sub(1), n + 1, 0, SeqNo::MAX.value()]
            .map(|n| (key.clone(), n.min(SeqNo::MAX.value())))
    });
    for (key, n) in own.chain(targets.iter().cloned()) {
        let target = KeyRef::new(&key, seq(n));
        let expected = entries.partition_point(|(k, n, ..)| KeyRef::new(k, seq(*n)) < target);
        assert_eq!(block.lower_bound(target), expected, "{target:?} among {entries:?}");
        for place in 0..=entries.len() {
            let is_it = block.is_lower_bound(place, target);
            assert!(!is_it || place == expected && place > 0, "{place} for {target:?} among {entries:?}");
        }
        let found = entries.get(expected).is_some_and(|(k, ..)| *k == key).then_some(expected);
        assert_eq!(block.find(&key, seq(n)), found, "{target:?} among {entries:?}");
    }
}

fn put(key: &[u8], n: u64, value: &[u8]) -> Owned {
    (key.to_vec(), n, ValueKind::Put, value.to_vec())
}

/// The worked example of `docs/formats/table.md`.
#[test]
fn golden_bytes() {
    let bytes = build(&[
        put(b"city/lisbon", 7, b"PT"),
        put(b"city/porto", 9, b"pt"),
        (b"city/porto".to_vec(), 4, ValueKind::Delete, Vec::new()),
    ]);
    let expected: Vec<&[u8]> = vec![
        &[3, 0, 0, 0],
        &[5, 0, 0, 0],
        &[5, 0, 0, 0],
        &[0, 4, 0, 0, 0, 0, 0, 0],
        &[6, 2, 1, 1],
        b"city/",
        b"lisbon",
        b"porto\0",
        b"porto\0",
        &[0x01, 0x03, 0x01, 0x05, 0x00, 0x00],
        &[1, 0, 0],
        &[0, 2, 4, 4],
        b"PT",
        b"pt",
    ];
    assert_eq!(bytes, expected.concat());
}

#[test]
fn short_keys_are_told_apart_exhaustively() {
    // Every set of keys of up to two bytes of {0, 1, 255}: heads are padded with zeros, and a key of
    // zeros must not be taken for a shorter one.
    let alphabet = [0u8, 1, 255];
    let mut keys = vec![vec![]];
    for a in alphabet {
        keys.push(vec![a]);
        keys.extend(alphabet.map(|b| vec![a, b]));
    }
    keys.sort();
    let targets: Vec<_> = keys.iter().map(|key| (key.clone(), 5)).collect();
    for set in 1u32..1 << keys.len() {
        // All pairs and triples, and every 13th larger set.
        if set.count_ones() > 3 && set % 13 != 0 {
            continue;
        }
        let chosen = keys.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1);
        let entries: Vec<_> = chosen.map(|(_, key)| put(key, 5, b"")).collect();
        check_against_model(&entries, &targets);
    }
}

#[test]
fn the_longest_keys_and_shared_heads() {
    let long = vec![b'k'; MAX_KEY_BYTES];
    let mut longer = long.clone();
    *longer.last_mut().unwrap() = b'l';
    check_against_model(&[put(&long, 1, b"v")], &[(vec![], 1), (vec![b'z'], 1)]);
    check_against_model(
        &[put(&long[..100], 1, b""), put(&long, 1, b"v"), put(&longer, 1, b"w")],
        &[(vec![], 1)],
    );
    check_against_model(
        &[put(b"", 9, b"newest"), put(b"", 3, b"old"), put(&long, SeqNo::MAX.value(), b"v")],
        &[],
    );
    let heads: Vec<_> =
        (0..300u32).map(|i| put(format!("p{:08}{i:03}", i / 100).as_bytes(), 1, b"v")).collect();
    check_against_model(&heads, &[(b"p00000001".to_vec(), 1), (b"p00000001999".to_vec(), 0)]);
}

fn entries() -> impl Strategy<Value = Vec<Owned>> {
    let key = prop::collection::vec(prop::sample::select(vec![0u8, 1, b'a', b'b', 255]), 0..12);
    let long_key = (prop::sample::select(vec![0usize, 7, 8, 9, 30]), key).prop_map(|(n, mut key)| {
        key.splice(0..0, vec![b'p'; n]);
        key
    });
    let kind = prop::bool::ANY.prop_map(|put| if put { ValueKind::Put } else { ValueKind::Delete });
    let version = (0..6u64, prop::bool::ANY).prop_map(|(n, large)| if large { n << 50 } else { n });
    prop::collection::btree_map((long_key, version), (kind, prop::collection::vec(any::<u8>(), 0..40)), 1..50)
        .prop_map(|map| {
            let mut entries: Vec<Owned> =
                map.into_iter().map(|((k, n), (kind, v))| (k, n, kind, v)).collect();
            entries.sort_by(|a, b| KeyRef::new(&a.0, seq(a.1)).cmp(&KeyRef::new(&b.0, seq(b.1))));
            entries
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_block_is_what_was_put_in(
        entries in entries(),
        targets in prop::collection::vec((prop::collection::vec(prop::sample::select(vec![0u8, 1, b'a', b'p', 255]), 0..12), 0..6u64), 0..20),
    ) {
        check_against_model(&entries, &targets);
    }

    /// Bytes whose checksum somebody fixed up: refused, or read as something, but never a panic.
    #[test]
    fn hostile_blocks_do_not_panic(
        entries in entries(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), prop::bool::ANY), 1..6),
        target in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let mut bytes = build(&entries);
        for (at, with, in_preamble) in flips {
            // Half of them hit the preamble, where it hurts.
            let at = at.index(if in_preamble { PREAMBLE_BYTES } else { bytes.len() });
            bytes[at] = with;
        }
        if let Ok(block) = parse(&bytes) {
            read_all(&block);
            let place = block.lower_bound(KeyRef::new(&target, seq(3)));
            prop_assert!(place <= block.len());
            block.is_lower_bound(place, KeyRef::new(&target, seq(3)));
            block.find(&target, seq(3));
            for (key, n, ..) in &entries {
                block.find(key, seq(*n));
            }
        }
    }

    #[test]
    fn cut_blocks_do_not_panic(entries in entries(), cut: prop::sample::Index) {
        let bytes = build(&entries);
        let cut = cut.index(bytes.len());
        for part in [&bytes[..cut], &bytes[cut..]] {
            if let Ok(block) = parse(part) {
                read_all(&block);
            }
        }
    }
}

#[test]
fn reserved_kinds_are_unsupported() {
    for kind in 2..=255u64 {
        let mut builder = BlockBuilder::default();
        builder.add(b"k", 7 << 8 | kind, b"v");
        let mut bytes = Vec::new();
        builder.finish(&mut bytes);
        assert!(matches!(parse(&bytes), Err(Damage::Unsupported(_))), "kind {kind}");
    }
}

/// Four thousand million entries of no bytes would take a minute to check.
#[test]
fn a_count_no_byte_stands_for_is_refused() {
    let mut bytes = build(&[put(b"", 0, b"")]);
    bytes[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(parse(&bytes), Err(Damage::Corrupt(_))));
}
