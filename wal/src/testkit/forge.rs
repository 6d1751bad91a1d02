//! Bytes of a log made by hand, with the checksums right: by the page that specifies them, `docs/formats/log.md`, and not by the code that
//! writes logs.

use lsmkit_base::coding;

/// The header of a segment of a log. `prev` is the number of the segment before it and the position at which that begins.
pub fn segment_header(id: u64, prev: Option<(u64, u64)>, base: u64, synced: u64) -> Vec<u8> {
    let (prev, prev_base) = prev.unwrap_or((u64::MAX, 0));
    let mut bytes = b"lsmkitLG".to_vec();
    coding::put_u32(&mut bytes, 1);
    coding::put_u32(&mut bytes, 0);
    for n in [id, prev, prev_base, base, synced] {
        coding::put_u64(&mut bytes, n);
    }
    coding::put_u32(&mut bytes, 0);
    let checksum = coding::checksum(&bytes);
    coding::put_u32(&mut bytes, checksum);
    bytes
}

/// The kind of a frame that holds a record, to be joined with its length.
pub const RECORD: u32 = 0;
/// The kind of a frame of a trailer.
pub const TRAILER: u32 = 1 << 31;

/// The header of a frame at `offset` of its file, whatever it says.
pub fn frame_header(offset: u64, segment: u64, payload_checksum: u32, length: u32, lag: u32) -> Vec<u8> {
    let mut covered = Vec::new();
    coding::put_u32(&mut covered, payload_checksum);
    coding::put_u32(&mut covered, length);
    coding::put_u32(&mut covered, (segment as u32 & 0x7ff) | 0x800 | (lag << 12));
    let checksum = coding::Checksum::new().with(&covered);
    let checksum = checksum.with(&segment.to_le_bytes()).with(&offset.to_le_bytes()).finish();
    let mut bytes = Vec::new();
    coding::put_u32(&mut bytes, checksum);
    bytes.extend_from_slice(&covered);
    bytes
}

/// The code of a lag.
pub fn lag(bytes: u64) -> u32 {
    if bytes < 1 << 15 {
        return bytes as u32;
    }
    // The exponents, each with the most that it has a code for.
    let exponent = (1..=31_u64).find(|e| bytes <= 65_535 << (e - 1)).unwrap_or(32);
    let digits = bytes.div_ceil(1 << (exponent - 1)) - 32_768;
    ((exponent << 15) + digits).min(0xf_ffff) as u32
}

/// A whole frame that holds a record.
pub fn frame(offset: u64, segment: u64, payload: &[u8], lag_bytes: u64) -> Vec<u8> {
    let length = RECORD | payload.len() as u32;
    let mut bytes = frame_header(offset, segment, coding::checksum(payload), length, lag(lag_bytes));
    bytes.extend_from_slice(payload);
    bytes
}
