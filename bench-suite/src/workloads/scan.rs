//! Workloads that read records in order.

use anyhow::{Result, ensure};

use crate::measure::{Bench, Measurement};

const NEXTS: u64 = 10;

pub(crate) fn seekrandom(bench: &Bench<'_>) -> Result<Measurement> {
    let records = bench.records;
    // A seek with its records costs about as much as ten gets.
    bench.each(bench.ops.div_ceil(10), |worker, _| {
        let number = worker.random.below(records.count);
        records.key(number, &mut worker.key);
        let (mut seen, mut first_is_right) = (0, false);
        bench.store.scan(Some(&worker.key), NEXTS, &mut |key, value| {
            if seen == 0 {
                first_is_right = key == &*worker.key && value == records.value(number);
            }
            seen += 1;
        })?;
        ensure!(
            first_is_right && seen == NEXTS.min(records.count - number),
            "a scan from {} gave {seen} records, the first of them {}",
            worker.key.escape_ascii(),
            if first_is_right { "right" } else { "wrong" },
        );
        Ok(())
    })
}

pub(crate) fn readseq(bench: &Bench<'_>) -> Result<Measurement> {
    whole_scan(bench, |visit| bench.store.scan(None, u64::MAX, visit))
}

pub(crate) fn readreverse(bench: &Bench<'_>) -> Result<Measurement> {
    whole_scan(bench, |visit| bench.store.scan_back(visit))
}

/// Checks that as many bytes came as were put; comparing each would cost as much as reading it.
fn whole_scan(
    bench: &Bench<'_>,
    scan: impl FnOnce(&mut dyn FnMut(&[u8], &[u8])) -> Result<()>,
) -> Result<Measurement> {
    let (mut count, mut size_bytes) = (0_u64, 0_u64);
    let measurement = bench.whole(|| {
        scan(&mut |key, value| {
            count += 1;
            size_bytes += (key.len() + value.len()) as u64;
        })?;
        Ok(count)
    })?;
    ensure!(
        measurement.ops == bench.records.count && size_bytes == bench.records.size_bytes(),
        "a scan of everything gave {count} records of {size_bytes} bytes"
    );
    Ok(measurement)
}
