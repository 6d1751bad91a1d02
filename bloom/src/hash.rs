//! The hash of a key, frozen: every filter on disk depends on it.

use xxhash_rust::xxh3::xxh3_64;

/// The 64-bit hash under which filters know `key`: XXH3 (64-bit variant) with seed 0 and the default secret,
/// as specified by the xxHash project since its version 0.8.0, which froze the algorithm.
///
/// The function never changes. A filter format that wants another hash gets another name.
#[inline]
pub fn hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

#[cfg(test)]
mod tests {
    use super::hash;

    /// Made with the reference implementation, libxxhash 0.8.4.
    #[test]
    fn golden_hashes_of_words() {
        assert_eq!(hash(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(hash(b"a"), 0xe6c6_32b6_1e96_4e1f);
        assert_eq!(hash(b"abc"), 0x78af_5f94_892f_3950);
        assert_eq!(hash(b"lsmkit"), 0x5542_cfd6_0d99_b094);
        assert_eq!(hash(b"0123456789abcdef"), 0x6443_9946_d8fa_212d);
    }

    /// One length on each side of every branch of XXH3 (3, 8, 16, 128, 240 bytes, the 1 KiB stripe block).
    /// Made with the reference implementation, libxxhash 0.8.4.
    #[test]
    fn golden_hashes_of_every_length_class() {
        let bytes: Vec<u8> = (0..4096u32).map(|i| (i * 131 + 7) as u8).collect();
        let golden = [
            (1, 0x4c5c_ca45_d0f4_811f),
            (3, 0x6e3e_2670_e611_06ac),
            (4, 0x5c4c_6313_3443_d03f),
            (8, 0xf9fd_4dd0_b04d_78f5),
            (9, 0x7c20_df97_12c2_6edf),
            (16, 0x86ab_f6ba_ccea_0858),
            (17, 0xb58b_f5dc_5022_d071),
            (128, 0x10d1_7f72_c0cc_ba41),
            (129, 0x1648_bdc3_db49_d1a2),
            (240, 0xb6cf_af34_3fab_81e6),
            (241, 0x956c_ae59_2c67_279e),
            (256, 0xb15e_5507_33c5_dfac),
            (1024, 0x70bd_377d_9574_f4bb),
            (1025, 0x66c4_487c_41e1_27a7),
            (4096, 0x9ddd_66c1_4af0_daff),
        ];
        for (length, expected) in golden {
            assert_eq!(hash(&bytes[..length]), expected, "length {length}");
        }
    }
}
