//! Which block a key is in.

use std::ops::Range;

use lsmkit_base::{Buffer, KeyRef, SeqNo, ValueKind};

use crate::block::{Block, BlockBuilder, Bytes, KeyBuffer, SLACK_BYTES, Sample, tag};
use crate::damage::Damage;
use crate::handle::Handle;

/// The index of a table, or of a part of it: a block whose entries have a separator as key and a handle as value.
///
/// The separator of a data block is at or after its last entry and before the first of the next, so
/// the block that holds the first entry at or after a target, or ends right before it, is the first
/// one whose separator is at or after the target.
#[derive(Debug)]
pub(crate) struct Index<B = Buffer> {
    block: Block<B>,
}

impl Index {
    /// Takes `bytes` as the index of data blocks that lie one after another in `data` of the file.
    pub(crate) fn parse(mut bytes: Vec<u8>, data: Range<u64>) -> Result<Index, Damage> {
        bytes.resize(bytes.len() + SLACK_BYTES, 0);
        let index = Index { block: Block::parse(&bytes, None)? };
        let mut offset = data.start;
        for i in 0..index.len() {
            let Ok(handle) = index.block.value(index.block.shown(i)).try_into() else {
                return Err(Damage::corrupt("an entry of the index is not a handle"));
            };
            let handle = Handle::from_bytes(handle);
            if handle.offset != offset {
                return Err(Damage::corrupt("the blocks of the index do not follow one another"));
            }
            match handle.end() {
                Some(end) if end <= data.end => offset = end,
                _ => return Err(Damage::corrupt("a block of the index is longer than it can be")),
            }
        }
        if offset != data.end {
            return Err(Damage::corrupt("the blocks of the index do not end where the data does"));
        }
        Ok(index)
    }

    /// Its bytes, for a cache.
    pub(crate) fn bytes(&self) -> &Buffer {
        self.block.bytes()
    }

    /// A sample of it, for [`Index::find_by`].
    pub(crate) fn sample(&self) -> Sample {
        self.block.sample()
    }

    /// The separator after data block `i`; `key` holds its user key.
    pub(crate) fn separator<'k>(&self, i: usize, key: &'k mut KeyBuffer) -> KeyRef<'k> {
        key.begin(&self.block);
        let shown = self.block.show(i, key);
        KeyRef::new(key.key(), shown.seq())
    }

    /// The memory the index holds.
    pub(crate) fn size_bytes(&self) -> usize {
        self.block.size_bytes()
    }
}

impl<'a> Index<&'a Buffer> {
    /// The index in a buffer of [`Index::bytes`], for a look.
    pub(crate) fn seen(bytes: &'a Buffer) -> Index<&'a Buffer> {
        Index { block: Block::seen(bytes) }
    }
}

impl<B: Bytes> Index<B> {
    /// The number of data blocks.
    pub(crate) fn len(&self) -> usize {
        self.block.len()
    }

    /// The data block in which to look for `target`, or [`Index::len`] where `target` is after all.
    pub(crate) fn find(&self, target: KeyRef<'_>) -> usize {
        self.block.lower_bound(target)
    }

    /// As [`Index::find`], with the sample that was taken of this index.
    #[inline]
    pub(crate) fn find_by(&self, sample: &Sample, target: KeyRef<'_>) -> usize {
        self.block.lower_bound_by(sample, target)
    }

    /// Where [`Index::find_among`] has to look, which is asked for.
    #[inline]
    pub(crate) fn around(&self, sample: &Sample, target: KeyRef<'_>) -> Range<usize> {
        self.block.around(sample, target)
    }

    /// As [`Index::find`], among what is [`around`](Index::around) the target.
    #[inline]
    pub(crate) fn find_among(&self, among: Range<usize>, target: KeyRef<'_>) -> usize {
        self.block.lower_bound_among(among, target)
    }

    /// Where data block `i` is stored.
    #[inline]
    pub(crate) fn handle(&self, i: usize) -> Handle {
        let value = self.block.value(self.block.shown(i)).try_into();
        Handle::from_bytes(value.expect("because each value was checked when the index was read"))
    }
}

/// Collects what an index is made of, as a whole or in parts.
#[derive(Debug, Default)]
pub(crate) struct IndexBuilder {
    /// The separators' user keys, end to end.
    keys: Vec<u8>,
    entries: Vec<Indexed>,
    shortened: Vec<u8>,
}

/// A data block and its separator.
#[derive(Debug)]
struct Indexed {
    key: Range<usize>,
    seq: SeqNo,
    handle: Handle,
}

impl IndexBuilder {
    /// Adds the block at `handle`, which ends with `last` and is followed by `next`, if by any.
    pub(crate) fn add(&mut self, last: KeyRef<'_>, next: Option<KeyRef<'_>>, handle: Handle) {
        let separator = match next {
            // Versions of one key on both sides: only the version tells them apart.
            Some(next) if next.user_key == last.user_key => last,
            Some(next) => {
                shorten(last.user_key, next.user_key, &mut self.shortened);
                KeyRef::new(&self.shortened, SeqNo::ZERO)
            }
            None => KeyRef::last_of(last.user_key),
        };
        let start = self.keys.len();
        self.keys.extend_from_slice(separator.user_key);
        self.entries.push(Indexed { key: start..self.keys.len(), seq: separator.seq, handle });
    }

    /// The number of blocks added.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How long all separators are together.
    pub(crate) fn keys_bytes(&self) -> usize {
        self.keys.len()
    }

    /// About how long the index is.
    pub(crate) fn size_bytes(&self) -> usize {
        self.keys.len() + self.entries.len() * (Handle::BYTES + 4)
    }

    /// The separator after block `i`.
    pub(crate) fn separator(&self, i: usize) -> KeyRef<'_> {
        let Indexed { key, seq, .. } = &self.entries[i];
        KeyRef::new(&self.keys[key.clone()], *seq)
    }

    /// Where block `i` is stored.
    pub(crate) fn handle(&self, i: usize) -> Handle {
        self.entries[i].handle
    }

    /// Appends an index of the data blocks in `blocks`, of which there is one at least, to `out`.
    pub(crate) fn build(&self, blocks: Range<usize>, out: &mut Vec<u8>) {
        let mut block = BlockBuilder::default();
        for i in blocks {
            let separator = self.separator(i);
            block.add(separator.user_key, tag(separator.seq, ValueKind::Put), &self.handle(i).encode());
        }
        block.finish(out);
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
