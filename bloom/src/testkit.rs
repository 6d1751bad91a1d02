//! The laws of [`FilterPolicy`], for whoever writes one: `conformance!` turns them into tests.

use crate::FilterPolicy;

/// Expands to one `#[test]` for each law of [`FilterPolicy`].
///
/// The first argument is an expression that gives the policy, the second the false-positive rate that the
/// policy promises not to exceed. Call it once a module.
///
/// ```
/// # #[cfg(test)]
/// mod ten_bits {
///     use lsmkit_bloom::Blocked;
///     lsmkit_bloom::conformance!(Blocked::bits_per_key(10.0), 0.0105);
/// }
/// ```
#[macro_export]
macro_rules! conformance {
    ($policy:expr, $rate_max:expr) => {
        $crate::conformance!(@laws $policy;
            its_name_is_stable,
            no_key_is_denied,
            duplicates_are_allowed,
            the_bytes_depend_on_the_set_alone,
            building_appends,
            no_bytes_match_everything,
            a_filter_cut_short_denies_no_key,
            hostile_bytes_do_not_panic,
            what_it_looks_at_is_in_the_filter,
            more_bits_are_of_the_same_name,
        );

        #[test]
        fn the_rate_is_within_its_bound() {
            $crate::testkit::the_rate_is_within_its_bound(&$policy, $rate_max);
        }

        #[test]
        fn the_rate_is_within_its_bound_for_few_keys() {
            $crate::testkit::the_rate_is_within_its_bound_for_few_keys(&$policy, $rate_max);
        }
    };
    (@laws $policy:expr; $($law:ident,)*) => {
        $(
            #[test]
            fn $law() {
                $crate::testkit::$law(&$policy);
            }
        )*
    };
}

/// The name is not empty, printable, and the same at each call.
pub fn its_name_is_stable(policy: &dyn FilterPolicy) {
    let name = policy.name().to_owned();
    assert!(!name.is_empty() && name.len() <= 64, "a name of {} bytes", name.len());
    assert!(name.bytes().all(|byte| byte.is_ascii_graphic()), "not printable: {name:?}");
    build(policy, &hashes(1, 100));
    assert_eq!(policy.name(), name);
}

/// Every key a filter was built from may be contained, for every size from 0 to 1,000 and for 100,000.
pub fn no_key_is_denied(policy: &dyn FilterPolicy) {
    for size in (0..=1_000).chain([100_000]) {
        let keys = hashes(size as u64, size);
        let filter = build(policy, &keys);
        for &hash in &keys {
            assert!(policy.may_contain(&filter, hash), "{size} keys: {hash:#018x} is denied");
        }
    }
    // Hashes that only an unlucky or hostile set of keys has.
    for keys in [vec![0], vec![u64::MAX], (0..1_000).collect(), (0..1_000).map(|i| i << 54).collect()] {
        let filter = build(policy, &keys);
        assert!(keys.iter().all(|&hash| policy.may_contain(&filter, hash)), "{} special hashes", keys.len());
    }
}

/// A hash given many times is contained, and so are the others.
pub fn duplicates_are_allowed(policy: &dyn FilterPolicy) {
    let mut keys = vec![hashes(2, 1)[0]; 1_000];
    keys.extend(hashes(3, 10));
    let filter = build(policy, &keys);
    assert!(keys.iter().all(|&hash| policy.may_contain(&filter, hash)));
}

/// The same hashes give the same bytes, in whatever order they come.
pub fn the_bytes_depend_on_the_set_alone(policy: &dyn FilterPolicy) {
    for size in [0, 1, 2, 100, 5_000] {
        let keys = hashes(4, size);
        let filter = build(policy, &keys);
        assert!(filter == build(policy, &keys), "{size} keys: two builds differ");
        let mut reordered = keys.clone();
        reordered.reverse();
        assert!(filter == build(policy, &reordered), "{size} keys: the reverse order differs");
        reordered.sort_unstable();
        assert!(filter == build(policy, &reordered), "{size} keys: the sorted order differs");
    }
}

/// Building leaves what stood in the buffer, and it has no influence on the bytes that follow.
pub fn building_appends(policy: &dyn FilterPolicy) {
    let keys = hashes(5, 300);
    let alone = build(policy, &keys);
    for before in [1, 7, 64, 1_000] {
        let mut filter = vec![0xa5; before];
        policy.build(&keys, &mut filter);
        assert!(filter[..before].iter().all(|&byte| byte == 0xa5), "the first {before} bytes have changed");
        assert!(filter[before..] == alone, "the filter differs after {before} bytes");
    }
}

/// What a probe is said to look at is a part of the filter, whatever the bytes.
pub fn what_it_looks_at_is_in_the_filter(policy: &dyn FilterPolicy) {
    let filter = build(policy, &hashes(8, 1_000));
    for len in (0..200).chain([filter.len()]).map(|len| filter.len().min(len)) {
        let filter = &filter[..len];
        for hash in [0, u64::MAX].into_iter().chain(hashes(9, 100)) {
            let part = policy.looks_at(filter, hash);
            let within = filter.as_ptr_range();
            assert!(
                part.is_empty() || within.contains(&part.as_ptr()) && part.as_ptr_range().end <= within.end
            );
        }
    }
}

/// Where a policy can spend more bits on a key, or fewer, each reads the filters of the other, and no key is denied.
pub fn more_bits_are_of_the_same_name(policy: &dyn FilterPolicy) {
    let hashes = hashes(10, 2_000);
    let usual = build(policy, &hashes);
    for bits in [-100.0, -2.5, 0.0, 6.5, 100.0] {
        let Some(other) = policy.with_more_bits(bits) else { continue };
        assert_eq!(other.name(), policy.name());
        let filter = build(&*other, &hashes);
        assert!(if bits < 0.0 { filter.len() <= usual.len() } else { filter.len() >= usual.len() });
        assert!(
            hashes.iter().all(|&hash| policy.may_contain(&filter, hash) && other.may_contain(&usual, hash))
        );
    }
}

/// Empty bytes mean that there is no filter.
pub fn no_bytes_match_everything(policy: &dyn FilterPolicy) {
    for hash in [0, u64::MAX].into_iter().chain(hashes(6, 1_000)) {
        assert!(policy.may_contain(&[], hash));
    }
}

/// A filter that lost its end, by whatever number of bytes, hides no key.
pub fn a_filter_cut_short_denies_no_key(policy: &dyn FilterPolicy) {
    let keys = hashes(7, 300);
    let filter = build(policy, &keys);
    for length in 0..filter.len() {
        for &hash in &keys[..50] {
            assert!(policy.may_contain(&filter[..length], hash), "cut at {length} of {}", filter.len());
        }
    }
}

/// Random bytes, and a filter with each of its bytes damaged, give some answer.
pub fn hostile_bytes_do_not_panic(policy: &dyn FilterPolicy) {
    let probes = hashes(8, 20);
    let mut random = Random(9);
    for length in (0..=300).chain([1_000, 4_096, 4_104]) {
        let bytes: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        probe_all(policy, &bytes, &probes);
        probe_all(policy, &vec![0; length], &probes);
        probe_all(policy, &vec![0xff; length], &probes);
    }
    let mut filter = build(policy, &hashes(10, 100));
    for i in 0..filter.len() {
        let whole = filter[i];
        for damaged in (0..8).map(|bit| whole ^ (1 << bit)).chain([0, 0xff]) {
            filter[i] = damaged;
            probe_all(policy, &filter, &probes);
        }
        filter[i] = whole;
    }
    for tail in 1..=80 {
        let mut longer = filter.clone();
        longer.extend((0..tail).map(|_| random.next() as u8));
        probe_all(policy, &longer, &probes);
    }
}

/// Of absent keys no larger share passes a large filter than `rate_max`, but for the chance of the draw.
pub fn the_rate_is_within_its_bound(policy: &dyn FilterPolicy, rate_max: f64) {
    let measured = false_positive_rate(policy, 100_000, 500_000);
    let bound = rate_max + 4.0 * (rate_max * (1.0 - rate_max).max(0.0) / 500_000.0).sqrt();
    assert!(measured <= bound, "measured {measured:.6}, promised {rate_max:.6}");
}

/// The same over small sets, where rounding to whole blocks or a fixed cost could show. No promise is made
/// for one filter; this is the mean over many.
pub fn the_rate_is_within_its_bound_for_few_keys(policy: &dyn FilterPolicy, rate_max: f64) {
    let (mut passed, mut asked) = (0u32, 0u32);
    for size in 0..200 {
        let filter = build(policy, &hashes(1_000 + size, size as usize));
        for hash in hashes(2_000 + size, 500) {
            passed += u32::from(policy.may_contain(&filter, hash));
            asked += 1;
        }
    }
    let measured = f64::from(passed) / f64::from(asked);
    let bound = rate_max + 4.0 * (rate_max * (1.0 - rate_max).max(0.0) / f64::from(asked)).sqrt();
    // An empty policy lets everything pass, also where there is no key at all.
    assert!(measured <= bound, "measured {measured:.6}, promised {rate_max:.6}");
}

/// The share of `absent` keys that pass a filter of `size` keys.
pub fn false_positive_rate(policy: &dyn FilterPolicy, size: usize, absent: usize) -> f64 {
    let filter = build(policy, &hashes(11, size));
    // Another seed gives other 64-bit numbers: that one of them is a key has a chance of 1 in 10^8.
    let passed = hashes(12, absent).iter().filter(|&&hash| policy.may_contain(&filter, hash)).count();
    passed as f64 / absent as f64
}

fn build(policy: &dyn FilterPolicy, hashes: &[u64]) -> Vec<u8> {
    let mut filter = Vec::new();
    policy.build(hashes, &mut filter);
    filter
}

fn probe_all(policy: &dyn FilterPolicy, filter: &[u8], probes: &[u64]) {
    for &hash in [0, 1, u64::MAX].iter().chain(probes) {
        std::hint::black_box(policy.may_contain(filter, hash));
    }
}

/// So many pseudo-random hashes; another seed gives others.
fn hashes(seed: u64, count: usize) -> Vec<u64> {
    let mut random = Random(seed.wrapping_mul(0xd134_2543_de82_ef95));
    (0..count).map(|_| random.next()).collect()
}

/// SplitMix64: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
