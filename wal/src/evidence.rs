//! Looks behind the place where a segment stops being whole for proof that it had been synced.
//!
//! `docs/formats/log.md`, "Torn tail or corruption".

use std::path::Path;

use lsmkit_base::{Fault, FaultContext, SegmentId};
use lsmkit_vfs::File;

use crate::frame::{FRAME_HEADER_BYTES, FrameHeader};
use crate::segment::SEGMENT_HEADER_BYTES;

/// A segment file to be searched.
pub(crate) struct Search<'a> {
    pub(crate) file: &'a dyn File,
    pub(crate) path: &'a Path,
    pub(crate) id: SegmentId,
    /// The position in the log at which the segment begins.
    pub(crate) base: u64,
    pub(crate) size_bytes: u64,
}

/// What a search found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// A frame at this place in the file that was written when the log was durable past the position
    /// in question.
    Witness(u64),
    /// No such frame; the last byte that is not zero is the last of this many.
    Nothing(u64),
}

const WINDOW_BYTES: u64 = 256 << 10;

impl Search<'_> {
    /// Looks for a frame from `offset` on that proves the log to have been durable past `position`.
    ///
    /// Frame headers are sought at every byte, as damage may have hidden where frames begin. Each has
    /// a checksum of its own, so the search is one pass over the file, whatever the lengths in it say.
    pub(crate) fn witness(&self, offset: u64, position: u64) -> Result<Found, Fault> {
        let mut bytes = vec![0; self.size_bytes.saturating_sub(offset).min(WINDOW_BYTES) as usize];
        let mut start = offset;
        let mut doubtful = 0;
        while start < self.size_bytes {
            let want = (self.size_bytes - start).min(bytes.len() as u64) as usize;
            let read = self.file.read_at(&mut bytes[..want], start).at(self.path)?;
            if let Some(last) = bytes[..read].iter().rposition(|&byte| byte != 0) {
                doubtful = start + last as u64 + 1 - offset;
                if let Some(at) = self.witness_in(&bytes[..read], start, position) {
                    return Ok(Found::Witness(at));
                }
            }
            if read < FRAME_HEADER_BYTES || start + read as u64 == self.size_bytes {
                break;
            }
            // A header may lie across the edge of two windows.
            start += (read - (FRAME_HEADER_BYTES - 1)) as u64;
        }
        Ok(Found::Nothing(doubtful))
    }

    fn witness_in(&self, bytes: &[u8], start: u64, position: u64) -> Option<u64> {
        bytes.windows(FRAME_HEADER_BYTES).zip(start..).find_map(|(window, at)| {
            let header = FrameHeader::decode(window, self.id, at)?;
            let synced = header.synced(self.base.checked_add(at.checked_sub(SEGMENT_HEADER_BYTES)?)?)?;
            (synced > position).then_some(at)
        })
    }
}
