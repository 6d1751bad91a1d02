//! What a file system in memory costs, as a test of an engine uses it.

#![allow(clippy::unwrap_used, reason = "a measurement that fails has nothing to tell")]
#![allow(missing_docs, reason = "the macros of criterion make public functions")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use lsmkit_vfs::{FaultFs, File, Fs, MemFs};

const RECORD: [u8; 128] = [7; 128];

/// The offset starts over before a file takes too much memory.
const LOG_BYTES: u64 = 64 << 20;

fn bench_file(c: &mut Criterion, name: &str, file: Arc<dyn File>) {
    let mut offset = 0;
    let mut append = || {
        file.write_at(&RECORD, offset).unwrap();
        offset = (offset + RECORD.len() as u64) % LOG_BYTES;
    };
    c.bench_function(&format!("{name}/append 128 B"), |b| b.iter(&mut append));
    c.bench_function(&format!("{name}/append 128 B and sync"), |b| {
        b.iter(|| {
            append();
            file.sync().unwrap();
        });
    });
    file.write_at(&vec![1; 1 << 20], 0).unwrap();
    let mut block = [0; 4096];
    c.bench_function(&format!("{name}/read 4 KiB"), |b| {
        b.iter(|| file.read_at(black_box(&mut block), 40_000).unwrap());
    });
}

fn files(c: &mut Criterion) {
    let path = Path::new("/file");
    bench_file(c, "MemFs", MemFs::new().create(path).unwrap());
    bench_file(c, "FaultFs", FaultFs::new(MemFs::new().shared()).create(path).unwrap());

    let whole = vec![1; 64 << 20];
    c.bench_function("MemFs/write 64 MiB in 1 MiB parts", |b| {
        b.iter_batched(
            || MemFs::new().create(path).unwrap(),
            |file| {
                for (n, part) in whole.chunks(1 << 20).enumerate() {
                    file.write_at(part, (n as u64) << 20).unwrap();
                }
                file
            },
            BatchSize::PerIteration,
        );
    });
}

/// A store of some size: tables that are synced, and a log of which 1 MiB is not.
fn store(tables: u64, table_bytes: usize) -> MemFs {
    let disk = MemFs::new();
    for table in 0..tables {
        disk.write(format!("/db/{table}.sst"), &vec![1; table_bytes]).unwrap();
    }
    disk.write("/db/log", &vec![1; 1 << 20]).unwrap();
    disk.open_write(Path::new("/db/log")).unwrap().write_at(&vec![2; 1 << 20], 1 << 20).unwrap();
    disk
}

fn crashes(c: &mut Criterion) {
    for (name, tables, table_bytes) in [("10 x 100 KiB", 10, 100 << 10), ("100 x 2 MiB", 100, 2 << 20)] {
        let disk = store(tables, table_bytes);
        let mut seed = 0;
        c.bench_function(&format!("crash/{name}"), |b| {
            b.iter(|| {
                seed += 1;
                disk.crash(seed)
            });
        });
        c.bench_function(&format!("kill/{name}"), |b| b.iter(|| disk.kill()));
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1))
        .sample_size(20);
    targets = files, crashes
}
criterion_main!(benches);
