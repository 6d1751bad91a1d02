//! The format of one frame: a record with its checksums. Pure; `docs/formats/log.md`, "Frames".
//!
//! ```text
//! 0        4        8        12       16       20  21
//! | header | payload| payload| segment|  lag   |kind| payload …
//! |checksum|checksum|  length|        |        |    |
//! ```

use lsmkit_base::SegmentId;
use lsmkit_base::coding::{self, Decoder};

/// The longest record a log takes: 2 GiB.
pub const MAX_RECORD_BYTES: usize = 1 << 31;

/// How many bytes stand before a payload.
pub(crate) const FRAME_HEADER_BYTES: usize = 21;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum FrameKind {
    /// Its payload is a record.
    Record = 1,
    /// It says that everything before had been synced; its payload is padding.
    Trailer = 2,
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
    /// How far before this frame's position the log was known to be durable when the frame was
    /// written; [`u32::MAX`] where it was that far or farther, so that nothing is known.
    lag_bytes: u32,
}

impl FrameHeader {
    /// The header for `payload` at `position` of a log that is durable up to `synced`.
    pub(crate) fn new(kind: FrameKind, payload: &[u8], position: u64, synced: u64) -> FrameHeader {
        debug_assert!(payload.len() <= MAX_RECORD_BYTES);
        FrameHeader {
            kind,
            payload_bytes: payload.len() as u32,
            payload_checksum: coding::checksum(payload),
            lag_bytes: u32::try_from(position.saturating_sub(synced)).unwrap_or(u32::MAX),
        }
    }

    /// The bytes of a header that stands at `offset` of the file of `segment`.
    pub(crate) fn encode(&self, segment: SegmentId, offset: u64) -> [u8; FRAME_HEADER_BYTES] {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        bytes[4..8].copy_from_slice(&self.payload_checksum.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&tag(segment));
        bytes[16..20].copy_from_slice(&self.lag_bytes.to_le_bytes());
        bytes[20] = self.kind as u8;
        let checksum = header_checksum(&bytes, offset);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header in `bytes`, read from `offset` of the file of `segment`; `None` where there is none
    /// that was written for that very place.
    #[inline]
    pub(crate) fn decode(bytes: &[u8], segment: SegmentId, offset: u64) -> Option<FrameHeader> {
        let bytes: &[u8; FRAME_HEADER_BYTES] = bytes.first_chunk()?;
        // What is cheap to compare comes first: the search for evidence asks this at every byte.
        let kind = match bytes[20] {
            1 => FrameKind::Record,
            2 => FrameKind::Trailer,
            _ => return None,
        };
        if bytes[12..16] != tag(segment) {
            return None;
        }
        let mut decoder = Decoder::new(bytes);
        let checksum = decoder.u32()?;
        let payload_checksum = decoder.u32()?;
        let payload_bytes = decoder.u32()?;
        let _ = decoder.u32()?;
        let lag_bytes = decoder.u32()?;
        let whole = checksum == header_checksum(bytes, offset) && payload_bytes as usize <= MAX_RECORD_BYTES;
        whole.then_some(FrameHeader { kind, payload_bytes, payload_checksum, lag_bytes })
    }

    /// Up to where the log was durable when this frame was written at `position`, if it says.
    pub(crate) fn synced(&self, position: u64) -> Option<u64> {
        // Saturated, the lag is only a lower bound, and would make more durable than was.
        if self.lag_bytes == u32::MAX { None } else { position.checked_sub(u64::from(self.lag_bytes)) }
    }

    /// The length of the frame.
    pub(crate) fn frame_bytes(&self) -> u64 {
        FRAME_HEADER_BYTES as u64 + u64::from(self.payload_bytes)
    }
}

/// What tells the frames of one segment from those that an earlier life of its file left behind.
fn tag(segment: SegmentId) -> [u8; 4] {
    (segment.0 as u32).to_le_bytes()
}

/// Over the header and the place in the file, so that a frame is not accepted in another place.
fn header_checksum(bytes: &[u8; FRAME_HEADER_BYTES], offset: u64) -> u32 {
    let mut covered = [0; FRAME_HEADER_BYTES - 4 + 8];
    covered[..FRAME_HEADER_BYTES - 4].copy_from_slice(&bytes[4..]);
    covered[FRAME_HEADER_BYTES - 4..].copy_from_slice(&offset.to_le_bytes());
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
        assert_eq!(FrameHeader::decode(&bytes, SegmentId(7), 65), None);
        assert_eq!(FrameHeader::decode(&bytes[..20], SegmentId(7), 64), None);
    }

    #[test]
    fn a_lag_too_long_to_tell_says_nothing() {
        let far = u64::from(u32::MAX);
        assert_eq!(FrameHeader::new(FrameKind::Record, b"", far + 5, 5).synced(far + 5), None);
        assert_eq!(FrameHeader::new(FrameKind::Record, b"", far + 5, 6).synced(far + 5), Some(6));
        assert_eq!(FrameHeader::new(FrameKind::Record, b"", u64::MAX, 0).synced(u64::MAX), None);
    }

    #[test]
    fn every_flipped_bit_shows() {
        let bytes = FrameHeader::new(FrameKind::Record, b"one", 1000, 900).encode(SegmentId(7), 64);
        for bit in 0..FRAME_HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameHeader::decode(&flipped, SegmentId(7), 64), None, "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn headers_return(payload: Vec<u8>, position: u64, synced: u64, segment: u64, offset: u64) {
            let header = FrameHeader::new(FrameKind::Record, &payload, position, synced);
            let bytes = header.encode(SegmentId(segment), offset);
            prop_assert_eq!(FrameHeader::decode(&bytes, SegmentId(segment), offset), Some(header));
            prop_assert!(header.synced(position).is_none_or(|stated| stated == synced.min(position)));
        }

        #[test]
        fn any_bytes_decode_without_panic(bytes: Vec<u8>, offset: u64) {
            let _ = FrameHeader::decode(&bytes, SegmentId(1), offset);
        }
    }
}
