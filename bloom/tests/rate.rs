//! The false-positive rates that the README states.

use lsmkit_bloom::{Blocked, FilterPolicy, expected_false_positive_rate, hash, testkit};

const KEYS: usize = 100_000;
const ABSENT: usize = 1_000_000;

#[test]
fn measured_rates_are_as_calculated() {
    for bits in [5.0, 8.0, 10.0, 12.0, 16.0, 20.0] {
        let expected = expected_false_positive_rate(bits);
        let measured = testkit::false_positive_rate(&Blocked::bits_per_key(bits), KEYS, ABSENT);
        println!("{bits} bits a key: calculated {expected:.6}, measured {measured:.6}");
        // 3 % for what the calculation leaves out, and three standard deviations of the draw.
        let chance = 3.0 * (expected / ABSENT as f64).sqrt();
        let off = (measured - expected).abs();
        assert!(
            off <= 0.03 * expected + chance,
            "{bits} bits: measured {measured:e}, calculated {expected:e}"
        );
    }
}

#[test]
fn the_price_of_blocks_is_bounded() {
    // A standard Bloom filter with the whole number of probes that suits it best. Blocks cost little at few
    // bits and more at many; a factor of 3 in the rate is worth 2.3 bits a key.
    for (bits, factor) in [(5.0, 1.02), (8.0, 1.09), (10.0, 1.19), (12.0, 1.33), (16.0, 1.85), (20.0, 2.96)] {
        let standard = (1..=20).map(|k| (1.0 - (-f64::from(k) / bits).exp()).powi(k)).fold(1.0, f64::min);
        let blocked = expected_false_positive_rate(bits);
        assert!(blocked <= standard * factor, "{bits} bits: {blocked:e} for {standard:e}");
    }
}

/// Real keys are not random numbers: consecutive integers and strings with a long common prefix must fare no
/// worse.
#[test]
fn structured_keys_fare_like_random_ones() {
    let policy = Blocked::bits_per_key(10.0);
    let families: [&dyn Fn(u64) -> Vec<u8>; 4] = [
        &|i| i.to_be_bytes().to_vec(),
        &|i| i.to_le_bytes().to_vec(),
        &|i| format!("user{i:016}").into_bytes(),
        &|i| format!("https://example.org/a/rather/long/common/prefix/page?id={i}").into_bytes(),
    ];
    for key in families {
        let hashes: Vec<u64> = (0..KEYS as u64).map(|i| hash(&key(i))).collect();
        let mut filter = Vec::new();
        policy.build(&hashes, &mut filter);
        assert!(hashes.iter().all(|&hash| policy.may_contain(&filter, hash)));
        let absent = KEYS as u64..5 * KEYS as u64;
        let asked = absent.end - absent.start;
        let passed = absent.filter(|&i| policy.may_contain(&filter, hash(&key(i)))).count();
        let rate = passed as f64 / asked as f64;
        assert!(rate < 0.0103, "{rate} for keys like {:?}", String::from_utf8_lossy(&key(1)));
    }
}
