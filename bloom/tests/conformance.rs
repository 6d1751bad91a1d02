//! The crate's own policies under the laws they ask of others.

mod blocked_at_1_bit {
    use lsmkit_bloom::Blocked;
    lsmkit_bloom::conformance!(Blocked::bits_per_key(1.0), 0.65);
}

mod blocked_at_10_bits {
    use lsmkit_bloom::Blocked;
    lsmkit_bloom::conformance!(Blocked::bits_per_key(10.0), 0.00985);
}

mod blocked_at_20_bits {
    use lsmkit_bloom::Blocked;
    lsmkit_bloom::conformance!(Blocked::bits_per_key(20.0), 0.000_204);
}

mod blocked_at_32_bits {
    use lsmkit_bloom::Blocked;
    lsmkit_bloom::conformance!(Blocked::bits_per_key(32.0), 0.000_006);
}

mod no_filter {
    use lsmkit_bloom::NoFilter;
    lsmkit_bloom::conformance!(NoFilter, 1.0);
}
