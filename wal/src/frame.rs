//! The format of one frame: a record with its checksums. Pure; `docs/formats/log.md`, "Frames".
//!
//! ```text
//! 0        4        8         12        16
//! | header | payload| length, | segment,| payload …
//! |checksum|checksum|  kind   |   lag   |
//! ```

use lsmkit_base::SegmentId;
use lsmkit_base::coding::{self, Decoder};

use crate::lag::Lag;

/// The longest record a log takes: a little less than 2 GiB.
pub const MAX_RECORD_BYTES: usize = i32::MAX as usize;

/// How many bytes stand before a payload.
pub(crate) const FRAME_HEADER_BYTES: usize = 16;

/// Of the length, the bit that is set in a trailer.
const TRAILER: u32 = 1 << 31;

/// What the lag leaves of four bytes.
const MARK_BITS: u32 = u32::BITS - Lag::BITS;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FrameKind {
    /// Its payload is a record.
    Record,
    /// It says that everything before had been synced; its payload is padding.
    Trailer,
}

/// What stands before a payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FrameHeader {
    /// What the frame is.
    pub(crate) kind: FrameKind,
    /// The length of the payload.
    pub(crate) payload_bytes: u32,
    /// The checksum of the payload.
    pub(crate) payload_checksum: u32,
    /// How far before this frame's position the log was known to be durable when the frame was written.
    lag: Lag,
}

impl FrameHeader {
    /// The header for `payload` at `position` of a log that is durable up to `synced`.
    pub(crate) fn new(kind: FrameKind, payload: &[u8], position: u64, synced: u64) -> FrameHeader {
        debug_assert!(payload.len() <= MAX_RECORD_BYTES);
        FrameHeader {
            kind,
            payload_bytes: payload.len() as u32,
            payload_checksum: coding::checksum(payload),
            lag: Lag::of(position.saturating_sub(synced)),
        }
    }

    /// The bytes of a header that stands at `offset` of the file of `segment`.
    pub(crate) fn encode(&self, segment: SegmentId, offset: u64) -> [u8; FRAME_HEADER_BYTES] {
        let kind = if self.kind == FrameKind::Trailer { TRAILER } else { 0 };
        let mut bytes = [0; FRAME_HEADER_BYTES];
        bytes[4..8].copy_from_slice(&self.payload_checksum.to_le_bytes());
        bytes[8..12].copy_from_slice(&(self.payload_bytes | kind).to_le_bytes());
        bytes[12..16].copy_from_slice(&(mark(segment) | (self.lag.code() << MARK_BITS)).to_le_bytes());
        let checksum = header_checksum(&bytes, segment, offset);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header in `bytes`, read from `offset` of the file of `segment`; `None` where there is none
    /// that was written for that very place.
    #[inline]
    pub(crate) fn decode(bytes: &[u8], segment: SegmentId, offset: u64) -> Option<FrameHeader> {
        let bytes: &[u8; FRAME_HEADER_BYTES] = bytes.first_chunk()?;
        // What is cheap to compare comes first: the search for evidence asks this at every byte.
        let [.., a, b, c, d] = *bytes;
        let last = u32::from_le_bytes([a, b, c, d]);
        if last % (1 << MARK_BITS) != mark(segment) {
            return None;
        }
        let mut decoder = Decoder::new(bytes);
        let checksum = decoder.u32()?;
        let payload_checksum = decoder.u32()?;
        let length = decoder.u32()?;
        let lag = Lag::of_code(last >> MARK_BITS);
        let kind = if length & TRAILER == 0 { FrameKind::Record } else { FrameKind::Trailer };
        let is_whole = checksum == header_checksum(bytes, segment, offset);
        is_whole.then_some(FrameHeader { kind, payload_bytes: length & !TRAILER, payload_checksum, lag })
    }

    /// Up to where at least the log was durable when this frame was written at `position`, if it says.
    pub(crate) fn synced(&self, position: u64) -> Option<u64> {
        position.checked_sub(self.lag.bytes()?)
    }

    /// The length of the frame.
    pub(crate) fn frame_bytes(&self) -> u64 {
        FRAME_HEADER_BYTES as u64 + u64::from(self.payload_bytes)
    }
}

/// Of the segment's number, what a search sees at a glance. Never zero, as most of what is no frame is.
fn mark(segment: SegmentId) -> u32 {
    const SET: u32 = 1 << (MARK_BITS - 1);
    (segment.0 as u32 % SET) | SET
}

/// Over the header and its place, the segment and where in its file, so that a frame is not accepted in another place,
/// nor one that an earlier life of the file left behind.
fn header_checksum(bytes: &[u8; FRAME_HEADER_BYTES], segment: SegmentId, offset: u64) -> u32 {
    let mut covered = [0; FRAME_HEADER_BYTES - 4 + 8 + 8];
    covered[..12].copy_from_slice(&bytes[4..]);
    covered[12..20].copy_from_slice(&segment.0.to_le_bytes());
    covered[20..].copy_from_slice(&offset.to_le_bytes());
    coding::checksum(&covered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_header_is_valid_in_its_own_place_only() {
        let header = FrameHeader::new(FrameKind::Record, b"one", 1000, 900);
        let bytes = header.encode(SegmentId(7), 64);
        assert_eq!(FrameHeader::decode(&bytes, SegmentId(7), 64), Some(header));
        assert_eq!(header.synced(1000), Some(900));
        assert_eq!(FrameHeader::decode(&bytes, SegmentId(8), 64), None);
        // One that looks the same at a glance.
        assert_eq!(FrameHeader::decode(&bytes, SegmentId(7 + (1 << 16)), 64), None);
        assert_eq!(FrameHeader::decode(&bytes, SegmentId(7), 65), None);
        assert_eq!(FrameHeader::decode(&bytes[..15], SegmentId(7), 64), None);
    }

    #[test]
    fn every_flipped_bit_shows() {
        let bytes = FrameHeader::new(FrameKind::Trailer, b"one", 1000, 900).encode(SegmentId(7), 64);
        for bit in 0..FRAME_HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameHeader::decode(&flipped, SegmentId(7), 64), None, "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn headers_return(
            payload: Vec<u8>,
            position in 0_u64..1 << 44,
            behind in 0_u64..1 << 44,
            segment: u64,
            offset: u64,
        ) {
            let synced = position.saturating_sub(behind);
            let header = FrameHeader::new(FrameKind::Record, &payload, position, synced);
            let bytes = header.encode(SegmentId(segment), offset);
            prop_assert_eq!(FrameHeader::decode(&bytes, SegmentId(segment), offset), Some(header));
            prop_assert!(header.synced(position).is_none_or(|stated| stated <= synced.min(position)));
        }

        #[test]
        fn any_bytes_decode_without_panic(bytes: Vec<u8>, offset: u64) {
            let _ = FrameHeader::decode(&bytes, SegmentId(1), offset);
        }
    }
}
