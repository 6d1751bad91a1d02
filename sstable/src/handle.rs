//! Where a block is stored, and how it is sealed against damage.
//!
//! ```text
//! stored bytes                    stored_bytes, as the block's handle says
//! codec u8 · checksum u32         over the stored bytes, the codec, the block's offset and the file's uid
//! ```
//!
//! Specified in `docs/formats/table.md`, section "Stored blocks".

use lsmkit_base::coding::{Checksum, Decoder, put_u32, put_u64};

use crate::block::{BLOCK_BYTES_MAX, SLACK_BYTES};
use crate::compress;
use crate::damage::Damage;

/// The length of what follows the stored bytes of a block: its seal.
pub(crate) const SEAL_BYTES: usize = 5;
const _: () = assert!(SEAL_BYTES <= SLACK_BYTES, "a sealed block fits into the memory it is read into");

/// Where a block is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Handle {
    /// From the start of the file.
    pub(crate) offset: u64,
    /// The length as stored, without the seal.
    pub(crate) stored_bytes: u32,
    /// The length once decompressed.
    pub(crate) raw_bytes: u32,
}

impl Handle {
    /// The length of a handle itself.
    pub(crate) const BYTES: usize = 16;

    pub(crate) fn encode(self) -> [u8; Self::BYTES] {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        self.put(&mut bytes);
        bytes.try_into().expect("because these three fields are sixteen bytes")
    }

    pub(crate) fn put(self, bytes: &mut Vec<u8>) {
        put_u64(bytes, self.offset);
        put_u32(bytes, self.stored_bytes);
        put_u32(bytes, self.raw_bytes);
    }

    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Option<Handle> {
        decoder.take(Self::BYTES)?.first_chunk().map(Self::from_bytes)
    }

    #[inline]
    pub(crate) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Handle {
        let [o0, o1, o2, o3, o4, o5, o6, o7, s0, s1, s2, s3, r0, r1, r2, r3] = *bytes;
        Handle {
            offset: u64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
            stored_bytes: u32::from_le_bytes([s0, s1, s2, s3]),
            raw_bytes: u32::from_le_bytes([r0, r1, r2, r3]),
        }
    }

    /// The first byte after the block and its seal; `None` where that, or the length once
    /// decompressed, is more than can be.
    pub(crate) fn end(self) -> Option<u64> {
        if u64::from(self.raw_bytes) > BLOCK_BYTES_MAX {
            return None;
        }
        self.offset.checked_add(self.sealed_bytes() as u64)
    }

    /// The memory that a block is read into: with the seal, and for a block that is not compressed with its slack.
    pub(crate) fn loaded_bytes(self) -> usize {
        self.stored_bytes as usize + SLACK_BYTES
    }

    /// The length with the seal.
    pub(crate) fn sealed_bytes(self) -> usize {
        self.stored_bytes as usize + SEAL_BYTES
    }
}

/// The seal of a block.
pub(crate) fn seal(stored: &[u8], codec: u8, offset: u64, uid: u64) -> [u8; SEAL_BYTES] {
    let [c0, c1, c2, c3] = checksum(stored, codec, offset, uid).to_le_bytes();
    [codec, c0, c1, c2, c3]
}

/// The offset and the uid are not stored with the block, but they are in the checksum: a block that
/// is sound in itself but stands in another place or another file, or is left from an older file, is
/// told apart.
fn checksum(stored: &[u8], codec: u8, offset: u64, uid: u64) -> u32 {
    let mut place = [0; 17];
    place[0] = codec;
    place[1..9].copy_from_slice(&offset.to_le_bytes());
    place[9..].copy_from_slice(&uid.to_le_bytes());
    Checksum::new().with(stored).with(&place).finish()
}

/// The stored bytes and the codec of the block that `handle` points to, if the seal is unbroken.
pub(crate) fn unseal(sealed: &[u8], handle: Handle, uid: u64) -> Result<(&[u8], u8), Damage> {
    let Some((stored, &[codec, c0, c1, c2, c3])) = sealed.split_last_chunk::<SEAL_BYTES>() else {
        return Err(Damage::corrupt("a block shorter than its seal"));
    };
    let written = u32::from_le_bytes([c0, c1, c2, c3]);
    let computed = checksum(stored, codec, handle.offset, uid);
    if written != computed {
        return Err(Damage::corrupt(format!("block checksum {written:08x}, computed {computed:08x}")));
    }
    if compress::is_raw(codec) && handle.raw_bytes != handle.stored_bytes {
        return Err(Damage::corrupt("a block that is not compressed has two lengths"));
    }
    Ok((stored, codec))
}

/// The block in what was read from the file, with [`SLACK_BYTES`] behind it: where it stands if it is not
/// compressed, else decompressed into `spare`. Of `read` there are [`Handle::loaded_bytes`], of which the sealed
/// block comes first; what is behind it does not matter.
pub(crate) fn open_within<'b>(
    read: &'b [u8],
    handle: Handle,
    uid: u64,
    spare: &'b mut Vec<u8>,
) -> Result<&'b [u8], Damage> {
    let (stored, codec) = unseal(&read[..handle.sealed_bytes()], handle, uid)?;
    if compress::is_raw(codec) {
        return Ok(&read[..stored.len() + SLACK_BYTES]);
    }
    compress::decompress(codec, stored, handle.raw_bytes as usize, spare)?;
    spare.resize(spare.len() + SLACK_BYTES, 0);
    Ok(spare)
}

/// The block in what was read from the file, without anything behind it.
pub(crate) fn open(mut sealed: Vec<u8>, handle: Handle, uid: u64) -> Result<Vec<u8>, Damage> {
    let (stored, codec) = unseal(&sealed, handle, uid)?;
    if compress::is_raw(codec) {
        sealed.truncate(handle.stored_bytes as usize);
        return Ok(sealed);
    }
    let mut raw = Vec::new();
    compress::decompress(codec, stored, handle.raw_bytes as usize, &mut raw)?;
    Ok(raw)
}
