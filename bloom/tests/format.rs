//! The bytes of `docs/formats/filter.md`: written as specified, read from any setting, refused when damaged.

use lsmkit_bloom::{Blocked, FilterPolicy, hash};
use proptest::prelude::*;

/// An independent reading of the format page, as slow and plain as the page itself.
fn reference(hashes: &[u64], blocks: u64, probes: u32) -> Vec<u8> {
    let mut bytes = vec![0u8; blocks as usize * 64];
    for &hash in hashes {
        let block = ((u128::from(hash) * u128::from(blocks)) >> 64) as usize;
        let mut lane = hash & 0xffff_ffff;
        for _ in 0..probes {
            lane = lane * 0x93d7_65dd % (1 << 32);
            let bit = (lane >> 23) as usize;
            bytes[block * 64 + bit / 8] |= 1 << (bit % 8);
        }
    }
    bytes.extend_from_slice(&(blocks as u32).to_le_bytes());
    bytes.push(probes as u8);
    bytes.extend_from_slice(b"BL1");
    bytes
}

fn build(bits_per_key: f64, hashes: &[u64]) -> Vec<u8> {
    let mut filter = Vec::new();
    Blocked::bits_per_key(bits_per_key).build(hashes, &mut filter);
    filter
}

#[test]
fn the_worked_example_of_the_format_page() {
    let hashes = [hash(b"apple"), hash(b"banana"), hash(b"cherry")];
    assert_eq!(hashes, [0x517a_430d_cf1f_8a00, 0x669f_0757_67da_524c, 0x0c6c_9927_eea5_3ebf]);
    let golden = [
        0x00, 0x00, 0x00, 0x30, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x01, 0x00, 0x00, 0x20, 0x00,
        0x00, //
        0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x04, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x08, //
        0x00, 0x00, 0x80, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x01,
        0x00, //
        0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80,
        0x04, //
        0x01, 0x00, 0x00, 0x00, 0x06, b'B', b'L', b'1',
    ];
    assert_eq!(build(10.0, &hashes), golden);
    let policy = Blocked::bits_per_key(10.0);
    assert!(hashes.iter().all(|&hash| policy.may_contain(&golden, hash)));
    assert!(!policy.may_contain(&golden, hash(b"durian")));
}

#[test]
fn a_filter_of_no_keys_is_its_trailer_and_matches_nothing() {
    let filter = build(10.0, &[]);
    assert_eq!(filter, [0, 0, 0, 0, 6, b'B', b'L', b'1']);
    let policy = Blocked::bits_per_key(10.0);
    assert!([0, 1, hash(b"apple"), u64::MAX].iter().all(|&hash| !policy.may_contain(&filter, hash)));
}

/// The hashes are those of the integers from 0; the filter itself is known by its hash.
#[test]
fn golden_filters_of_many_keys() {
    let hashes: Vec<u64> = (0..10_000u64).map(|i| hash(&i.to_le_bytes())).collect();
    let golden = [
        (5.0, 0x1c37_dfe8_8c0f_3082),
        (10.0, 0x4055_78f8_c380_e590),
        (16.0, 0x97df_947b_b269_95e3),
        (32.0, 0x5692_ae6b_5a80_ef48),
    ];
    for (bits, expected) in golden {
        assert_eq!(hash(&build(bits, &hashes)), expected, "{bits} bits a key");
    }
}

proptest! {
    #[test]
    fn the_bytes_are_as_specified(
        hashes in proptest::collection::vec(any::<u64>(), 0..400),
        bits in 1.0..=32.0f64,
    ) {
        let millibits = (bits * 1000.0).round() as u64;
        let blocks = (hashes.len() as u64 * millibits).div_ceil(512_000);
        let probes = Blocked::bits_per_key(bits).probes();
        prop_assert_eq!(build(bits, &hashes), reference(&hashes, blocks, probes));
    }

    #[test]
    fn any_setting_reads_the_filters_of_any_other(
        hashes in proptest::collection::vec(any::<u64>(), 0..400),
        others in proptest::collection::vec(any::<u64>(), 20),
        (written, read) in (1.0..=32.0f64, 1.0..=32.0f64),
    ) {
        let filter = build(written, &hashes);
        let (writer, reader) = (Blocked::bits_per_key(written), Blocked::bits_per_key(read));
        for &hash in &hashes {
            prop_assert!(reader.may_contain(&filter, hash));
        }
        for &hash in &others {
            prop_assert_eq!(reader.may_contain(&filter, hash), writer.may_contain(&filter, hash));
        }
    }

    #[test]
    fn bytes_without_a_true_trailer_match_everything(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..1000),
        hash in any::<u64>(),
    ) {
        // Random bytes that happen to end in the tag are not the subject here.
        if let Some(last) = bytes.last_mut() {
            *last = b'2';
        }
        prop_assert!(Blocked::bits_per_key(10.0).may_contain(&bytes, hash));
    }
}

#[test]
fn each_field_of_the_trailer_is_checked() {
    let keys: Vec<u64> = (0..100u64).map(|i| hash(&i.to_le_bytes())).collect();
    let filter = build(10.0, &keys);
    let policy = Blocked::bits_per_key(10.0);
    let absent = (100..1000u64).map(|i| hash(&i.to_le_bytes())).find(|&h| !policy.may_contain(&filter, h));
    let absent = absent.expect("a filter denies something");
    let trailer = filter.len() - 8;
    let damaged = |at: usize, byte: u8| {
        let mut bytes = filter.clone();
        bytes[trailer + at] = byte;
        policy.may_contain(&bytes, absent)
    };
    for at in [0, 1, 2, 3, 5, 6, 7] {
        assert!(damaged(at, 0x7e), "byte {at} of the trailer is not checked");
    }
    for probes in [0, 17, 255] {
        assert!(damaged(4, probes), "{probes} probes are accepted");
    }
    let mut longer = filter.clone();
    longer.splice(0..0, [0; 64]);
    assert!(policy.may_contain(&longer, absent), "a block too many is accepted");
    longer.truncate(0);
    longer.extend_from_slice(&filter[1..]);
    assert!(policy.may_contain(&longer, absent), "a byte too few is accepted");
}
