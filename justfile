# What CI runs and what a contributor needs. `just --list`

# Everything CI checks.
ci: fmt clippy test doc loom tour bench-quick

# The README's test command: every test and doctest of the workspace.
test:
    cargo test --workspace

fmt:
    cargo fmt --all --check

clippy:
    cargo clippy --workspace --all-targets --all-features -- -D warnings

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features

# Concurrency models: every interleaving within their bounds.
loom:
    RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --release -p lsmkit-memtable --test loom
    RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --release -p lsmkit-blockcache --test loom

# The main job on the real input: load, query, kill, reopen, check.
tour *args:
    cargo run --release -p lsmkit-cli -- tour {{args}}

bench-quick:
    cargo run --release -p lsmkit-bench-suite -- run --quick

# Side by side with the peers.
bench *args:
    cargo run --release -p lsmkit-bench-suite --features peers -- run {{args}}

# The model test over many more seeds: `just soak 0..10000`.
soak seeds="0..2000":
    LSMKIT_SEEDS={{seeds}} cargo test --release -p lsmkit --test model

# Keys of 64 KiB and values of 1 GiB: some gigabytes of memory.
large:
    cargo test --release -p lsmkit-memtable -p lsmkit --test large -- --ignored

# Address sanitizer over the crates with unsafe code; needs a nightly toolchain.
asan:
    RUSTFLAGS="-Zsanitizer=address" CARGO_TARGET_DIR=target/asan cargo +nightly test --target x86_64-unknown-linux-gnu -p lsmkit-memtable

# Licences, bans, sources; needs cargo-deny.
deny:
    cargo deny check
