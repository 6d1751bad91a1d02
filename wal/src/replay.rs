//! Reads a log back after whatever happened to it. Writes nothing.

use std::path::{Path, PathBuf};

use lsmkit_base::{Fault, SegmentId};
use lsmkit_vfs::Fs;

use crate::chain::Chain;
use crate::log::{Replay, TornTail};
use crate::names::Listing;
use crate::reader::{SegmentEnd, SegmentReader};
use crate::segment::{Purpose, SegmentLink};

/// What was found of a log: all that its writer has to know to go on.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// What the caller is told.
    pub(crate) replay: Replay,
    /// The position at which the log ends.
    pub(crate) end: u64,
    /// Up to which position it is known to be durable.
    pub(crate) synced: u64,
    /// The last segment.
    pub(crate) last: Option<SegmentLink>,
    /// The segments that make up the log, oldest first.
    pub(crate) segments: Vec<Kept>,
    /// Segments that are not in the log, among or behind those that are.
    pub(crate) abandoned: Vec<Abandoned>,
}

/// A segment of the log that is not written any more.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) id: SegmentId,
    pub(crate) path: PathBuf,
    /// The position at which it ends.
    pub(crate) end: u64,
    /// Its header and frames.
    pub(crate) size_bytes: u64,
    pub(crate) tail: Tail,
}

/// What stands behind the last frame of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tail {
    Clean,
    /// Bytes that were not replayed and must not be destroyed.
    Doubtful,
}

/// A segment that is not in the log.
#[derive(Debug)]
pub(crate) struct Abandoned {
    pub(crate) id: SegmentId,
    pub(crate) path: PathBuf,
    pub(crate) tail: Tail,
}

/// Takes the records, each with its segment.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(SegmentId, &[u8]) -> Result<(), Fault>;

/// Shows the records of the log in `dir` from segment `from` on.
pub(crate) fn replay(
    fs: &dyn Fs,
    dir: &Path,
    listing: &Listing,
    from: SegmentId,
    visit: Visit<'_>,
) -> Result<Recovered, Fault> {
    let ids = listing.segments.iter().map(|&(id, _)| id).filter(|&id| id >= from);
    let chain = Chain::read(fs, dir, ids, from)?;
    let mut log = Recovered { end: chain.gap_base(), ..Recovered::default() };
    log.replay.torn = chain.torn();
    for (segment, header, until) in chain.members() {
        let mut reader = SegmentReader::open(fs, &segment.path, Purpose::Log, segment.id)?;
        if let Some(position) = until {
            reader = reader.until(position);
        }
        show(&mut reader, segment.id, visit, &mut log.replay)?;
        let end = reader.position();
        log.end = end;
        log.synced = log.synced.max(reader.synced());
        log.last = Some(SegmentLink { id: segment.id, base: header.base });
        let torn_bytes = match reader.end() {
            SegmentEnd::Torn { size_bytes } => Some(size_bytes),
            _ => None,
        };
        let is_clean = torn_bytes.unwrap_or(reader.ignored_bytes()) == 0;
        log.segments.push(Kept {
            id: segment.id,
            path: segment.path.clone(),
            end,
            size_bytes: reader.end_offset(),
            tail: if is_clean { Tail::Clean } else { Tail::Doubtful },
        });
        if let Some(size_bytes) = torn_bytes {
            if let Some(witness) = chain.witness_behind(fs, segment.id, end)? {
                let what = format!("a frame that is not whole, though {witness} tells that it was synced");
                return Err(Fault::corrupt(&segment.path, reader.end_offset(), what));
            }
            log.replay.torn =
                Some(TornTail { path: segment.path.clone(), offset: reader.end_offset(), size_bytes });
            break;
        }
    }
    log.abandoned = abandoned(&chain, log.last);
    Ok(log)
}

/// Shows the records of one segment.
fn show(
    reader: &mut SegmentReader,
    id: SegmentId,
    visit: Visit<'_>,
    replay: &mut Replay,
) -> Result<(), Fault> {
    let mut before = reader.position();
    loop {
        let Some(record) = reader.next()? else { return Ok(()) };
        visit(id, record)?;
        replay.records += 1;
        let after = reader.position();
        replay.size_bytes += after - before;
        before = after;
    }
}

fn abandoned(chain: &Chain, last: Option<SegmentLink>) -> Vec<Abandoned> {
    let others = chain.others(last.map(|last| last.id));
    let abandoned = others.map(|(segment, is_doubtful)| Abandoned {
        id: segment.id,
        path: segment.path.clone(),
        tail: if is_doubtful { Tail::Doubtful } else { Tail::Clean },
    });
    abandoned.collect()
}

/// Whether a segment that was not replayed holds bytes that could not be.
pub(crate) fn tail_of(fs: &dyn Fs, path: &Path, id: SegmentId) -> Result<Tail, Fault> {
    let read = || -> Result<Tail, Fault> {
        let mut reader = SegmentReader::open(fs, path, Purpose::Log, id)?;
        while reader.next()?.is_some() {}
        Ok(if matches!(reader.end(), SegmentEnd::Torn { .. }) { Tail::Doubtful } else { Tail::Clean })
    };
    match read() {
        Err(fault) if fault.is_corrupt() || fault.is_unsupported() => Ok(Tail::Doubtful),
        tail => tail,
    }
}
