//! The last bytes of a table, where reading it begins.
//!
//! ```text
//! index handle · filter handle · properties handle     16 bytes each
//! uid u64
//! body_checksum u32     over all bytes before the footer
//! flags u32             none defined; a reader refuses those it does not know
//! index_kind u32        1: index and filter are a block each; 2: they are in parts
//! --- the same in every version:
//! footer_bytes u32      the length of the whole footer
//! version u32
//! checksum u32          over the footer up to here
//! magic u64
//! ```
//!
//! Specified in `docs/formats/table.md`, section "Footer".

use std::ops::Range;

use lsmkit_base::coding::{self, Decoder, put_u32, put_u64};

use crate::damage::Damage;
use crate::handle::Handle;
use crate::table::TableParts;

/// The version of the format that is written; older ones are read, newer ones refused.
pub(crate) const VERSION: u32 = 1;

/// "LSMTABLE", last byte last in the file.
const MAGIC: u64 = u64::from_le_bytes(*b"LSMTABLE");

/// The part of a footer that is the same in every version.
const FIXED_BYTES: usize = 20;

/// No version's footer is longer.
pub(crate) const FOOTER_BYTES_MAX: usize = 4096;

/// How index and filter are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum IndexKind {
    /// A block each.
    Whole = 1,
    /// In parts, with a block that tells where they are in the place of the index.
    Cut = 2,
}

/// What the footer says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Footer {
    pub(crate) kind: IndexKind,
    pub(crate) index: Handle,
    /// All zero but the offset where there is no filter, or where there are parts: these begin there.
    pub(crate) filter: Handle,
    pub(crate) properties: Handle,
    pub(crate) uid: u64,
    pub(crate) body_checksum: u32,
}

impl Footer {
    /// The length of this version's footer.
    pub(crate) const BYTES: usize = 3 * Handle::BYTES + 20 + FIXED_BYTES;

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        self.index.put(&mut bytes);
        self.filter.put(&mut bytes);
        self.properties.put(&mut bytes);
        put_u64(&mut bytes, self.uid);
        put_u32(&mut bytes, self.body_checksum);
        put_u32(&mut bytes, 0);
        put_u32(&mut bytes, self.kind as u32);
        put_u32(&mut bytes, Self::BYTES as u32);
        put_u32(&mut bytes, VERSION);
        let checksum = coding::checksum(&bytes);
        put_u32(&mut bytes, checksum);
        put_u64(&mut bytes, MAGIC);
        bytes
    }

    /// Reads the footer at the end of `bytes`, the end of a file of `file_bytes`.
    pub(crate) fn decode(bytes: &[u8], file_bytes: u64) -> Result<Footer, Damage> {
        let mut fixed = Decoder::new(&bytes[bytes.len().saturating_sub(FIXED_BYTES)..]);
        let fixed = (|| Some((fixed.u32()?, fixed.u32()?, fixed.u32()?, fixed.u64()?)))();
        let Some((footer_bytes, version, checksum, magic)) = fixed else {
            return Err(Damage::corrupt("shorter than the end of a table"));
        };
        if magic != MAGIC {
            return Err(Damage::corrupt("does not end as a table does"));
        }
        let footer = (footer_bytes as usize).max(FIXED_BYTES);
        let Some(footer) = bytes.len().checked_sub(footer).map(|start| &bytes[start..]) else {
            return Err(Damage::corrupt("the footer is longer than the file"));
        };
        let computed = coding::checksum(&footer[..footer.len() - 12]);
        if checksum != computed {
            return Err(Damage::corrupt(format!("footer checksum {checksum:08x}, computed {computed:08x}")));
        }
        // Only now is a version that is not known more than a flipped bit.
        if version != VERSION {
            return Err(Damage::unsupported(format!("table format version {version}; this is {VERSION}")));
        }
        let mut decoder = Decoder::new(footer);
        let fields = (|| {
            let handles =
                (Handle::decode(&mut decoder)?, Handle::decode(&mut decoder)?, Handle::decode(&mut decoder)?);
            Some((handles, decoder.u64()?, decoder.u32()?, decoder.u32()?, decoder.u32()?))
        })();
        let Some(((index, filter, properties), uid, body_checksum, flags, index_kind)) = fields else {
            return Err(Damage::corrupt("the footer is shorter than its version's"));
        };
        if footer_bytes as usize != Self::BYTES {
            return Err(Damage::corrupt("the footer is longer than its version's"));
        }
        let kind = match index_kind {
            1 if flags == 0 => IndexKind::Whole,
            2 if flags == 0 => IndexKind::Cut,
            _ => {
                return Err(Damage::unsupported(format!("table flags {flags:#x}, index kind {index_kind}")));
            }
        };
        let footer = Footer { kind, index, filter, properties, uid, body_checksum };
        footer.check_places(file_bytes)?;
        Ok(footer)
    }

    /// Filter, index, properties and footer follow one another without a gap, so that no byte of the
    /// file goes unchecked. Where there are parts, that they fill theirs is for the top index to tell.
    fn check_places(&self, file_bytes: u64) -> Result<(), Damage> {
        let filter_end = if self.has_filter() { self.filter.end() } else { Some(self.filter.offset) };
        let is_filter_in_place = match self.kind {
            IndexKind::Whole => filter_end == Some(self.index.offset),
            IndexKind::Cut => !self.has_filter() && self.filter.offset < self.index.offset,
        };
        let in_place = is_filter_in_place
            && self.index.end() == Some(self.properties.offset)
            && self.properties.end() == file_bytes.checked_sub(Self::BYTES as u64);
        if in_place {
            Ok(())
        } else {
            Err(Damage::corrupt("the parts of the table do not follow one another"))
        }
    }

    pub(crate) fn has_filter(&self) -> bool {
        self.filter.stored_bytes != 0
    }

    /// Where the data blocks lie.
    pub(crate) fn data(&self) -> Range<u64> {
        0..self.filter.offset
    }

    /// What the bytes of a file of `file_bytes` are for, of which `filter_bytes` are for filters; each block counts with
    /// its seal.
    pub(crate) fn parts(&self, file_bytes: u64, filter_bytes: u64) -> TableParts {
        let data_bytes = self.data().end;
        // Without a gap, as `check_places` has seen.
        let index_bytes = self.properties.offset - data_bytes - filter_bytes;
        let other_bytes = file_bytes - self.properties.offset;
        TableParts { data_bytes, index_bytes, filter_bytes, other_bytes }
    }
}

/// The checksum of a whole file, from that of all before its footer and the footer.
pub(crate) fn file_checksum(body_checksum: u32, footer: &[u8]) -> u32 {
    // Undo the mask of `coding::checksum`, go on where it ended, and mask again.
    const MASK_DELTA: u32 = 0xa282_ead8;
    let body = body_checksum.wrapping_sub(MASK_DELTA).rotate_left(15);
    crc32c::crc32c_append(body, footer).rotate_right(15).wrapping_add(MASK_DELTA)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footer() -> Footer {
        Footer {
            kind: IndexKind::Whole,
            filter: Handle { offset: 1000, stored_bytes: 0, raw_bytes: 0 },
            index: Handle { offset: 1000, stored_bytes: 95, raw_bytes: 200 },
            properties: Handle { offset: 1100, stored_bytes: 95, raw_bytes: 95 },
            uid: 77,
            body_checksum: 5,
        }
    }

    #[test]
    fn returns_and_refuses_every_flipped_bit_and_cut() {
        let bytes = footer().encode();
        assert_eq!(bytes.len(), Footer::BYTES);
        let file_bytes = 1200 + Footer::BYTES as u64;
        assert_eq!(Footer::decode(&bytes, file_bytes), Ok(footer()));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(Footer::decode(&flipped, file_bytes), Err(Damage::Corrupt(_))), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(matches!(Footer::decode(&bytes[..len], file_bytes), Err(Damage::Corrupt(_))));
            assert!(matches!(
                Footer::decode(&bytes[bytes.len() - len..], file_bytes),
                Err(Damage::Corrupt(_))
            ));
        }
        assert!(matches!(Footer::decode(&bytes, file_bytes + 1), Err(Damage::Corrupt(_))));
    }

    /// Newer versions keep the last twenty bytes; flags and index kinds are refused, not guessed.
    #[test]
    fn what_is_not_known_is_unsupported() {
        let field = |from_end: usize, value: u32| {
            let mut bytes = footer().encode();
            let at = bytes.len() - from_end;
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            let end = bytes.len();
            let checksum = coding::checksum(&bytes[..end - 12]);
            bytes[end - 12..end - 8].copy_from_slice(&checksum.to_le_bytes());
            Footer::decode(&bytes, 1200 + Footer::BYTES as u64)
        };
        assert!(matches!(field(16, VERSION + 1), Err(Damage::Unsupported(_))));
        assert!(matches!(field(24, 3), Err(Damage::Unsupported(_))));
        assert!(matches!(field(28, 1), Err(Damage::Unsupported(_))));
        assert!(field(16, VERSION).is_ok());
    }

    #[test]
    fn the_checksum_of_the_file_goes_on_from_that_of_its_body() {
        let whole = b"all but the footer, then the footer";
        let (body, footer) = whole.split_at(19);
        assert_eq!(file_checksum(coding::checksum(body), footer), coding::checksum(whole));
    }
}
