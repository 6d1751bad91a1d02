use lsmkit_bloom::{Blocked, FilterPolicy};

use crate::draw::Draw;

/// Filters: any bytes may be asked for any key, and what was put in is always found.
pub fn filter(data: &[u8]) {
    let mut draw = Draw::new(data);
    let bits = 1.0 + f64::from(draw.byte() % 20);
    let policy = Blocked::bits_per_key(bits);
    let hashes: Vec<u64> = (0..draw.below(64)).map(|_| lsmkit_bloom::hash(draw.bytes())).collect();
    let mut built = Vec::new();
    policy.build(&hashes, &mut built);
    for hash in &hashes {
        assert!(policy.may_contain(&built, *hash), "a key that was put in is denied");
        policy.looks_at(&built, *hash);
    }
    let foreign = draw.rest();
    for hash in hashes.into_iter().chain([0, 1, u64::MAX]) {
        let _ = policy.may_contain(foreign, hash);
        let _ = policy.looks_at(foreign, hash);
    }
}
