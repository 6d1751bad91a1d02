//! Blocks: sorted entries that are searched where they lie.
//!
//! ```text
//! preamble  count u32 · prefix_bytes u32 · suffix_min u32 · tag_min u64 · the four widths
//! prefix    the bytes that all user keys of the block begin with
//! heads     count × head_width      the next bytes of each key, zeros past its end
//! tags      count × tag_width       seq << 8 | kind, less tag_min
//! suffixes  count × suffix_width    length of the key past the prefix, less suffix_min
//! starts    (count + 1) × start_width   where each entry begins among the entries, and where the last ends
//! entries   for each: the bytes of its key past prefix and head, then its value
//! ```
//!
//! Nothing is decoded from entry to entry: a lookup is a binary search over the heads, which lie side
//! by side, and both directions cost the same. A number in a column is read as eight bytes and masked,
//! whatever its width; a few bytes behind the block in memory make that possible for the last of them.
//! Specified in `docs/formats/table.md`, section "Blocks".

mod build;
mod read;

pub(crate) use build::BlockBuilder;
pub(crate) use read::{Block, Bytes, KeyBuffer, Sample, Shown, announce, announce_all, size_in_cache};

/// The length of a block's preamble.
const PREAMBLE_BYTES: usize = 24;

/// How much is behind a block in memory, since copies of a fixed length reach beyond what they are made for.
pub(crate) const SLACK_BYTES: usize = 16;

/// The widest head: what one comparison of integers takes.
const HEAD_BYTES_MAX: usize = 8;

/// The longest block, before compression: the largest value, the longest key, and room around them.
pub(crate) const BLOCK_BYTES_MAX: u64 =
    lsmkit_base::MAX_VALUE_BYTES as u64 + 2 * lsmkit_base::MAX_KEY_BYTES as u64 + 1024;

/// The version and the kind of an entry in one number.
pub(crate) const fn tag(seq: lsmkit_base::SeqNo, kind: lsmkit_base::ValueKind) -> u64 {
    seq.value() << 8 | kind as u64
}

#[cfg(test)]
mod tests;
