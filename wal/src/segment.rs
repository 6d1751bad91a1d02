//! The header of a segment file. Pure; `docs/formats/log.md`, "Segments".

use std::path::Path;

use lsmkit_base::coding::{self, Decoder};
use lsmkit_base::{Fault, SegmentId};

/// How many bytes stand before the first frame of a segment.
pub const SEGMENT_HEADER_BYTES: u64 = HEADER_BYTES as u64;

const HEADER_BYTES: usize = 64;
const VERSION: u32 = 1;
const NO_SEGMENT: u64 = u64::MAX;
/// No log grows past this, so that sums of a position and a length can't overflow, whatever a file says.
pub(crate) const POSITION_MAX: u64 = 1 << 62;

/// What a segment file is for; part of its magic number, so that none is read as another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// A segment of a write-ahead log.
    Log,
    /// The edits of a manifest.
    Manifest,
}

impl Purpose {
    const ALL: [Purpose; 2] = [Purpose::Log, Purpose::Manifest];

    const fn magic(self) -> [u8; 8] {
        match self {
            Purpose::Log => *b"lsmkitLG",
            Purpose::Manifest => *b"lsmkitMF",
        }
    }
}

/// What a segment file says of itself in its first bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    /// What the file is for.
    pub purpose: Purpose,
    /// The segment's number.
    pub id: SegmentId,
    /// The segment that comes before this one in the log; `None` for the first of all.
    pub prev: Option<SegmentLink>,
    /// The position in the log, in bytes, at which this segment begins and the one before it ends.
    pub base: u64,
    /// The position up to which the log was known to be durable when this header was written.
    pub synced: u64,
}

/// A segment as the one after it in the log knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentLink {
    /// The segment's number.
    pub id: SegmentId,
    /// The position in the log at which it begins. With this a segment whose header or whole file is
    /// gone can still be judged: it had been synced if anything past this position had.
    pub base: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&self.purpose.magic());
        coding::put_u32(&mut bytes, VERSION);
        coding::put_u32(&mut bytes, 0); // flags
        coding::put_u64(&mut bytes, self.id.0);
        coding::put_u64(&mut bytes, self.prev.map_or(NO_SEGMENT, |prev| prev.id.0));
        coding::put_u64(&mut bytes, self.prev.map_or(0, |prev| prev.base));
        coding::put_u64(&mut bytes, self.base);
        coding::put_u64(&mut bytes, self.synced);
        coding::put_u32(&mut bytes, 0); // reserved
        let checksum = coding::checksum(&bytes);
        coding::put_u32(&mut bytes, checksum);
        bytes.try_into().expect("because the fields above are sixty-four bytes")
    }

    /// The header in the first `bytes` of the file at `path`, which is to be segment `id`; `None` where
    /// it is not whole, as after a crash before it was synced.
    ///
    /// # Errors
    ///
    /// Where it is whole, and is not one that this build could have written for that place.
    pub(crate) fn decode(
        bytes: &[u8],
        path: &Path,
        purpose: Purpose,
        id: SegmentId,
    ) -> Result<Option<SegmentHeader>, Fault> {
        match Raw::decode(bytes) {
            Some(raw) => raw.checked(path, purpose, id),
            None => Ok(None),
        }
    }
}

/// The fields of a header whose checksum is right.
struct Raw {
    magic: [u8; 8],
    version: u32,
    flags: u32,
    id: u64,
    prev: u64,
    prev_base: u64,
    base: u64,
    synced: u64,
    reserved: u32,
}

impl Raw {
    fn decode(bytes: &[u8]) -> Option<Raw> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let (covered, _) = bytes.split_at(HEADER_BYTES - 4);
        let mut decoder = Decoder::new(bytes);
        let raw = Raw {
            magic: *decoder.take(8)?.first_chunk()?,
            version: decoder.u32()?,
            flags: decoder.u32()?,
            id: decoder.u64()?,
            prev: decoder.u64()?,
            prev_base: decoder.u64()?,
            base: decoder.u64()?,
            synced: decoder.u64()?,
            reserved: decoder.u32()?,
        };
        (decoder.u32()? == coding::checksum(covered)).then_some(raw)
    }

    fn checked(self, path: &Path, purpose: Purpose, id: SegmentId) -> Result<Option<SegmentHeader>, Fault> {
        if self.magic != purpose.magic() {
            return Err(match Purpose::ALL.into_iter().find(|other| other.magic() == self.magic) {
                Some(other) => {
                    Fault::corrupt(path, 0, format!("a segment of a {other:?}, not of a {purpose:?}"))
                }
                None => Fault::corrupt(path, 0, "the magic number of no segment"),
            });
        }
        if self.version != VERSION {
            return Err(Fault::unsupported(path, format!("version {} of the segment format", self.version)));
        }
        if self.flags != 0 || self.reserved != 0 {
            return Err(Fault::unsupported(path, format!("segment flags {:#x}", self.flags)));
        }
        if self.id != id.0 {
            // Left by an earlier life of the file under another name: no header of this segment yet.
            return Ok(None);
        }
        let prev = (self.prev != NO_SEGMENT)
            .then_some(SegmentLink { id: SegmentId(self.prev), base: self.prev_base });
        if self.base > POSITION_MAX
            || self.synced > self.base
            || prev.is_some_and(|prev| prev.id >= id || prev.base > self.base)
        {
            return Err(Fault::corrupt(path, 0, "a segment header that contradicts itself"));
        }
        Ok(Some(SegmentHeader { purpose, id, prev, base: self.base, synced: self.synced }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: SegmentId = SegmentId(7);

    fn header() -> SegmentHeader {
        let prev = Some(SegmentLink { id: SegmentId(5), base: 100 });
        SegmentHeader { purpose: Purpose::Log, id: ID, prev, base: 300, synced: 200 }
    }

    fn decode(bytes: &[u8]) -> Result<Option<SegmentHeader>, Fault> {
        SegmentHeader::decode(bytes, Path::new("000007.log"), Purpose::Log, ID)
    }

    /// The bytes with their checksum made right again.
    fn sealed(mut bytes: [u8; HEADER_BYTES]) -> [u8; HEADER_BYTES] {
        let checksum = coding::checksum(&bytes[..HEADER_BYTES - 4]);
        bytes[HEADER_BYTES - 4..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    #[test]
    fn headers_return() {
        let first = SegmentHeader { prev: None, ..header() };
        for header in [header(), first] {
            assert_eq!(decode(&header.encode()).unwrap(), Some(header));
        }
    }

    #[test]
    fn a_header_that_is_not_whole_is_none() {
        let bytes = header().encode();
        for len in 0..HEADER_BYTES {
            assert_eq!(decode(&bytes[..len]).unwrap(), None);
        }
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&flipped).unwrap(), None, "bit {bit}");
        }
        assert_eq!(decode(&SegmentHeader { id: SegmentId(8), ..header() }.encode()).unwrap(), None);
    }

    #[test]
    fn what_is_whole_and_not_ours_is_refused() {
        let of_a_manifest = SegmentHeader { purpose: Purpose::Manifest, ..header() }.encode();
        assert!(matches!(decode(&of_a_manifest), Err(fault) if fault.is_corrupt()));
        let later = SegmentHeader { prev: Some(SegmentLink { id: ID, base: 0 }), ..header() }.encode();
        assert!(matches!(decode(&later), Err(fault) if fault.is_corrupt()));
        let foreseen = SegmentHeader { synced: 301, ..header() }.encode();
        assert!(matches!(decode(&foreseen), Err(fault) if fault.is_corrupt()));
        let far = SegmentHeader { base: u64::MAX, ..header() }.encode();
        assert!(matches!(decode(&far), Err(fault) if fault.is_corrupt()));
        for byte in [8, 12, 56] {
            let mut newer = header().encode();
            newer[byte] = 2;
            assert!(matches!(decode(&sealed(newer)), Err(fault) if fault.is_unsupported()));
        }
    }
}
