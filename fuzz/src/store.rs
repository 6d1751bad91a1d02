use lsmkit::Standard;
use lsmkit::testkit::{Mishaps, model_of_bytes};

/// How much of an input is used: enough to fill several levels, and not so much that a run takes long.
const BYTES_MAX: usize = 4 << 10;

/// The engine against a plain map: puts, deletes, batches, gets, scans, cursors, snapshots, keyspaces, flushes, compactions, closing and killing.
pub fn operations(data: &[u8]) {
    model_of_bytes(|| Standard, Mishaps::Kills, &data[..data.len().min(BYTES_MAX)]);
}

/// The same, with power failures: what is left is a prefix of what was acknowledged, with all that was synced.
pub fn crashes(data: &[u8]) {
    model_of_bytes(|| Standard, Mishaps::PowerFailures, &data[..data.len().min(BYTES_MAX)]);
}
