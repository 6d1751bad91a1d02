//! The crate's own cache under the laws it asks of others.

mod clock {
    use lsmkit_blockcache::Clock;
    lsmkit_blockcache::conformance!(Clock::new);
}

mod one_shard {
    use lsmkit_blockcache::Clock;
    lsmkit_blockcache::conformance!(|capacity_bytes| Clock::with_shards(capacity_bytes, 1));
}

mod eight_shards {
    use lsmkit_blockcache::Clock;
    lsmkit_blockcache::conformance!(|capacity_bytes| Clock::with_shards(capacity_bytes, 8));
}
