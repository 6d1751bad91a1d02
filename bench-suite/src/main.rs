//! Measures lsmkit and its peers; see the README.

fn main() -> anyhow::Result<()> {
    lsmkit_bench_suite::main()
}
