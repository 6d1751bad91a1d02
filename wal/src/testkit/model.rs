//! What a log must hold, kept beside it.

use std::path::Path;
use std::sync::Arc;

use lsmkit_base::{Fault, SegmentId};
use lsmkit_vfs::{Fs, MemFs};

use crate::{Log, LogHandle, Next, Replay};

/// Where the laws keep their logs.
pub(super) const DIR: &str = "/log";

/// A disk with an empty, durable directory for a log.
pub(super) fn disk() -> MemFs {
    let disk = MemFs::new();
    disk.create_dir(Path::new(DIR)).expect("a new directory");
    disk.sync_dir(Path::new("/")).expect("a durable directory");
    disk
}

/// Records in the order in which replay shows them, each with its segment.
pub(super) type Shown = Vec<(SegmentId, Vec<u8>)>;

/// Opens the log in [`DIR`] and replays it from `from` on; all records are returned.
pub(super) fn open_at<L: Log>(
    open: &impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>,
    fs: Arc<dyn Fs>,
    from: SegmentId,
) -> Result<(L, Shown, Replay), Fault> {
    let mut log = open(fs, Path::new(DIR))?;
    let mut records = Vec::new();
    let replay = log.replay(from, &mut |id, record| {
        records.push((id, record.to_vec()));
        Ok(())
    })?;
    assert_eq!(replay.records, records.len() as u64, "the number of records shown");
    Ok((log, records, replay))
}

/// As [`open_at`] from the first segment on, for logs that must open; without the segments.
pub(super) fn open_all<L: Log>(
    open: &impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>,
    fs: Arc<dyn Fs>,
) -> (L, Vec<Vec<u8>>) {
    let (log, records, _) = open_at(open, fs, SegmentId(0)).expect("a log that opens");
    (log, records.into_iter().map(|(_, record)| record).collect())
}

/// A small generator of its own, SplitMix64, so that a seed means the same everywhere.
pub(super) struct Draw(u64);

impl Draw {
    pub(super) fn new(seed: u64) -> Draw {
        Draw(seed)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// What was appended since the log began, and how much of it must be there.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    /// With the segment that each record went to.
    pub(super) appended: Shown,
    /// How many of them are durable.
    pub(super) synced: usize,
    /// A group whose append did not return, or returned an error: any number of its first records may be there.
    pub(super) in_flight: Vec<Vec<u8>>,
    /// What was discarded.
    pub(super) from: SegmentId,
    written: u64,
}

impl Model {
    /// A record unlike all before, most of them short.
    pub(super) fn record(&mut self, draw: &mut Draw) -> Vec<u8> {
        self.written += 1;
        let len = match draw.below(20) {
            0 => 0,
            1 => 3_000 + draw.below(9_000),
            2 => 70_000,
            _ => draw.below(100),
        };
        let mut record = format!("{}:", self.written).into_bytes();
        record.extend((0..len).map(|_| draw.below(256) as u8));
        record
    }

    pub(super) fn append(&mut self, log: &mut impl Log, records: &[&[u8]]) -> Result<(), Fault> {
        self.in_flight = records.iter().map(|record| record.to_vec()).collect();
        // Whatever it says of a sync, one may come or not.
        let next = if self.appended.len().is_multiple_of(3) { Next::Sync } else { Next::Append };
        log.append_then(records, next)?;
        let segment = log.segment();
        self.appended.extend(self.in_flight.drain(..).map(|record| (segment, record)));
        Ok(())
    }

    pub(super) fn sync(&mut self, log: &impl Log) -> Result<(), Fault> {
        log.handle().sync()?;
        self.synced = self.appended.len();
        Ok(())
    }

    pub(super) fn discard(&mut self, log: &mut impl Log, keep: SegmentId) -> Result<(), Fault> {
        // Whoever discards has made it durable before that the log begins here.
        self.from = keep;
        log.discard_before(keep)?.run()
    }

    pub(super) fn close(&mut self, log: &mut impl Log) -> Result<(), Fault> {
        log.close()?;
        self.synced = self.appended.len();
        Ok(())
    }

    /// Opens the log after a crash and compares. What was lost is then no longer expected.
    pub(super) fn reopen<L: Log>(
        &mut self,
        open: &impl Fn(Arc<dyn Fs>, &Path) -> Result<L, Fault>,
        fs: Arc<dyn Fs>,
        context: &str,
    ) -> (L, Replay) {
        let (log, records, replay) = match open_at(open, fs, self.from) {
            Ok(opened) => opened,
            Err(fault) => panic!("{context}: does not open: {fault}"),
        };
        let older = self.appended.iter().filter(|(id, _)| *id < self.from).count();
        let expected = &self.appended[older..];
        let shared = records.len().min(expected.len());
        assert!(records[..shared] == expected[..shared], "{context}: not what was appended");
        let synced = self.synced.saturating_sub(older);
        assert!(records.len() >= synced, "{context}: {} of {synced} synced records", records.len());
        let beyond: Vec<_> = records[shared..].iter().map(|(_, record)| record).collect();
        let foreseen = beyond.len() <= self.in_flight.len();
        assert!(
            foreseen && beyond.iter().zip(&self.in_flight).all(|(a, b)| *a == b),
            "{context}: {} records that were never appended",
            beyond.len(),
        );
        self.appended.truncate(older);
        self.appended.extend(records);
        self.synced = self.synced.min(self.appended.len());
        self.in_flight.clear();
        (log, replay)
    }
}
