//! Which block a key is in.

use lsmkit_base::{KeyRef, SeqNo, ValueKind};

use crate::block::{Block, BlockBuilder, KeyBuffer, SLACK_BYTES, Sample, tag};
use crate::damage::Damage;
use crate::handle::Handle;

/// The index of a table: a block whose entries have a separator as key and a handle as value.
///
/// The separator of a data block is at or after its last entry and before the first of the next, so
/// the block that holds the first entry at or after a target, or ends right before it, is the first
/// one whose separator is at or after the target.
#[derive(Debug)]
pub(crate) struct Index {
    block: Block,
    sample: Sample,
}

impl Index {
    /// Takes `bytes` as the index of data blocks that lie one after another in `0..data_end`.
    pub(crate) fn parse(mut bytes: Vec<u8>, data_end: u64) -> Result<Index, Damage> {
        bytes.resize(bytes.len() + SLACK_BYTES, 0);
        let block = Block::parse(&bytes, None)?;
        let index = Index { sample: block.sample(), block };
        let mut offset = 0;
        for i in 0..index.len() {
            let Ok(handle) = index.block.value(index.block.shown(i)).try_into() else {
                return Err(Damage::corrupt("an entry of the index is not a handle"));
            };
            let handle = Handle::from_bytes(handle);
            if handle.offset != offset {
                return Err(Damage::corrupt("the blocks of the index do not follow one another"));
            }
            match handle.end() {
                Some(end) if end <= data_end => offset = end,
                _ => return Err(Damage::corrupt("a block of the index is longer than it can be")),
            }
        }
        if offset != data_end {
            return Err(Damage::corrupt("the blocks of the index do not end where the data does"));
        }
        Ok(index)
    }

    /// The number of data blocks.
    pub(crate) fn len(&self) -> usize {
        self.block.len()
    }

    /// The data block in which to look for `target`, or [`Index::len`] where `target` is after all.
    #[inline]
    pub(crate) fn find(&self, target: KeyRef<'_>) -> usize {
        self.block.lower_bound_by(&self.sample, target)
    }

    /// Where data block `i` is stored.
    #[inline]
    pub(crate) fn handle(&self, i: usize) -> Handle {
        let value = self.block.value(self.block.shown(i)).try_into();
        Handle::from_bytes(value.expect("because each value was checked when the index was read"))
    }

    /// The separator after data block `i`; `key` holds its user key.
    pub(crate) fn separator<'k>(&self, i: usize, key: &'k mut KeyBuffer) -> KeyRef<'k> {
        key.begin(&self.block);
        let shown = self.block.show(i, key);
        KeyRef::new(key.key(), shown.seq())
    }

    /// The memory the index holds.
    pub(crate) fn size_bytes(&self) -> usize {
        self.block.size_bytes() + self.sample.size_bytes()
    }
}

/// Puts an index together.
#[derive(Debug, Default)]
pub(crate) struct IndexBuilder {
    block: BlockBuilder,
    len: u64,
}

impl IndexBuilder {
    /// Adds the block at `handle`, which ends with `last` and is followed by `next`, if by any.
    pub(crate) fn add(&mut self, last: KeyRef<'_>, next: Option<KeyRef<'_>>, handle: Handle) {
        let mut shortened = Vec::new();
        let separator = match next {
            // Versions of one key on both sides: only the version tells them apart.
            Some(next) if next.user_key == last.user_key => last,
            Some(next) => {
                shorten(last.user_key, next.user_key, &mut shortened);
                KeyRef::new(&shortened, SeqNo::ZERO)
            }
            None => KeyRef::last_of(last.user_key),
        };
        self.block.add(separator.user_key, tag(separator.seq, ValueKind::Put), &handle.encode());
        self.len += 1;
    }

    /// The number of blocks added.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// About how long the index is.
    pub(crate) fn size_bytes(&self) -> usize {
        self.block.size_bytes()
    }

    pub(crate) fn finish(mut self, out: &mut Vec<u8>) {
        self.block.finish(out);
    }
}

/// Sets `out` to a short key at or after `last` and before `next`, which is after `last`.
fn shorten(last: &[u8], next: &[u8], out: &mut Vec<u8>) {
    debug_assert!(last < next, "a separator lies between two keys in order");
    let common = last.iter().zip(next).take_while(|(a, b)| a == b).count();
    out.clear();
    // Raise the first byte that may be raised without reaching `next`; what follows it can go.
    for (i, &byte) in last.iter().enumerate().skip(common) {
        let room = if i == common { next[i] - byte > 1 } else { byte < u8::MAX };
        if room && i + 1 < last.len() {
            out.extend_from_slice(&last[..i]);
            out.push(byte + 1);
            return;
        }
    }
    out.extend_from_slice(last);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn short(last: &[u8], next: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        shorten(last, next, &mut out);
        out
    }

    #[test]
    fn separators_are_short() {
        assert_eq!(short(b"apple", b"cherry"), b"b");
        assert_eq!(short(b"apple", b"banana"), b"aq");
        assert_eq!(short(b"a", b"b"), b"a");
        assert_eq!(short(b"app", b"apple"), b"app");
        assert_eq!(short(b"", b"x"), b"");
        assert_eq!(short(b"a\xff\xff", b"b"), b"a\xff\xff");
        assert_eq!(short(b"a\xff\x05\x01", b"b"), b"a\xff\x06");
    }

    proptest! {
        #[test]
        fn separators_separate(
            a in prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, 254, 255]), 0..6),
            b in prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, 254, 255]), 0..6),
        ) {
            prop_assume!(a != b);
            let (last, next) = if a < b { (a, b) } else { (b, a) };
            let separator = short(&last, &next);
            prop_assert!(last <= separator && separator < next && separator.len() <= last.len());
        }
    }
}
