# What CI runs and what a contributor needs. `just --list`

# Everything CI checks.
ci: fmt clippy test doc loom shuttle tour bench-quick

# The README's test command: every test and doctest of the workspace.
test:
    cargo test --workspace

fmt:
    cargo fmt --all --check

# All features, but for the one that builds RocksDB: that takes twenty minutes.
clippy:
    cargo clippy --workspace --exclude lsmkit-bench-suite --exclude lsmkit-fuzz --all-targets --all-features -- -D warnings
    cargo clippy -p lsmkit-fuzz --all-targets -- -D warnings
    cargo clippy -p lsmkit-bench-suite --all-targets --features fjall,lmdb,redb -- -D warnings

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --exclude lsmkit-bench-suite --exclude lsmkit-fuzz --no-deps --all-features
    RUSTDOCFLAGS="-D warnings" cargo doc -p lsmkit-bench-suite --no-deps

# Concurrency models: every interleaving within their bounds.
loom:
    RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --release -p lsmkit-memtable --test loom
    RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --release -p lsmkit-blockcache --test loom
    RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --release -p lsmkit --lib models

# Longer runs of the same code under schedules by chance, so many a test: `just shuttle 1000000`.
shuttle schedules="":
    {{ if schedules == "" { "" } else { "LSMKIT_SCHEDULES=" + schedules } }} RUSTFLAGS="--cfg shuttle" CARGO_TARGET_DIR=target/shuttle cargo test --release -p lsmkit-memtable --test shuttle
    {{ if schedules == "" { "" } else { "LSMKIT_SCHEDULES=" + schedules } }} RUSTFLAGS="--cfg shuttle" CARGO_TARGET_DIR=target/shuttle cargo test --release -p lsmkit --lib schedules

# The main job on the real input: load, query, kill, reopen, check.
tour *args:
    cargo run --release -p lsmkit-cli -- tour {{args}}

# The benchmark tool works; not how fast anything is.
bench-quick:
    cargo run --release -p lsmkit-bench-suite -- plan --quick
    cargo run --release -p lsmkit-bench-suite -- run --quick

# lsmkit alone: writes, reads, compaction, disk, crash recovery; in about a minute.
plan *args:
    cargo run --release -p lsmkit-bench-suite -- plan {{args}}

# Side by side with the peers. The first build takes twenty minutes, and needs libclang (Debian: libclang-dev).
bench *args:
    RUSTFLAGS="-C target-cpu=native" cargo run --release -p lsmkit-bench-suite --features peers -- run {{args}}

# Overwrites for minutes, with a cache of a twentieth of the data, against the other log-structured stores.
sustained minutes="10" *args:
    RUSTFLAGS="-C target-cpu=native" cargo run --release -p lsmkit-bench-suite --features peers -- run --engines lsmkit,rocksdb,fjall \
        --workloads sustained --minutes {{minutes}} --records 10000000 --cache-mib 64 --rounds 1 {{args}}

# Criterion, crate by crate.
micro *args:
    cargo bench -p lsmkit-base -p lsmkit-bloom -p lsmkit-blockcache -p lsmkit-wal -p lsmkit-memtable \
        -p lsmkit-sstable -p lsmkit-compaction -p lsmkit-vfs -p lsmkit --benches -- {{args}}

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

# Plants bugs in a copy of the repository, one at a time, and runs the tests that have to find them: some five minutes.
planted *args:
    cargo run -q -p lsmkit-fuzz --example planted -- {{args}}

# Looks for inputs that a decoder or the engine takes badly; `fuzz/README.md` lists the targets. Needs a nightly toolchain and cargo-fuzz.
fuzz target *args:
    cargo +nightly fuzz run --fuzz-dir fuzz --features libfuzzer {{target}} -- {{args}}

# A file system of 64 MiB fills up, gets room, and is opened with no byte free; so many rounds. Linux.
small-disk rounds="5":
    cargo test --release -p lsmkit --test real_disk --no-run
    mkdir -p target/small-disk
    unshare --user --map-root-user --mount sh -c 'mount -t tmpfs -o size=64m none target/small-disk && \
        LSMKIT_ROUNDS={{rounds}} LSMKIT_SMALL_DISK=$PWD/target/small-disk cargo test --release -p lsmkit --test real_disk full -- --ignored --nocapture'

# System calls of a real process fail, or end it, one after the other. Needs strace.
strace:
    cargo test --release -p lsmkit --test real_disk -- --ignored --nocapture --test-threads 1 --skip full
