//! Searches a block in place.
//!
//! Invariants, established by [`Block::parse`] for whatever bytes it is given and relied on by all
//! else here, so that no index is ever out of range and no access can panic:
//!
//! 1. The preamble, the prefix and the four columns lie one after another, then the entries, all within
//!    the bytes, of which [`SLACK_BYTES`] more are behind the entries. Hence eight bytes can be read at
//!    each place of a column, and sixteen at the start of each entry.
//! 2. `start(0) == 0`, starts do not descend, and `start(count)` is the length of the entries.
//! 3. The rest of each key fits between the entry's start and the next one's.
//! 4. Prefix and suffix together are no longer than [`MAX_KEY_BYTES`].
//! 5. Every kind is one that this version knows.
//! 6. There is at least one entry.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::hint::select_unpredictable;
use std::ops::Range;

use lsmkit_base::coding::Decoder;
use lsmkit_base::{
    Buffer, Entry, KeyRef, Lent, MAX_KEY_BYTES, SeqNo, Slice, ValueKind, begins_with, buffer, key_head,
    prefetch, refilled,
};

use super::{HEAD_BYTES_MAX, PREAMBLE_BYTES, SLACK_BYTES};
use crate::damage::Damage;

/// A block, ready to be searched: by whoever holds the buffer with its bytes, or sees one that is held.
#[derive(Clone, Debug)]
pub(crate) struct Block<B = Buffer> {
    bytes: B,
    count: u32,
    prefix_bytes: u32,
    suffix_min: u32,
    entries_at: u32,
    tag_min: u64,
    heads: Column,
    tags: Column,
    suffixes: Column,
    starts: Column,
}

/// The bytes of a block, and those behind it.
pub(crate) trait Bytes {
    fn bytes(&self) -> &[u8];

    /// A part of them, to be shared by whoever keeps it, if that can be.
    #[inline]
    fn lend(&self, range: Range<usize>) -> Lent<'_> {
        Lent::from(&self.bytes()[range])
    }
}

impl Bytes for Buffer {
    #[inline]
    fn bytes(&self) -> &[u8] {
        &self.slice
    }

    #[inline]
    fn lend(&self, range: Range<usize>) -> Lent<'_> {
        Lent::of(self, range)
    }
}

impl Bytes for &Buffer {
    #[inline]
    fn bytes(&self) -> &[u8] {
        &self.slice
    }

    #[inline]
    fn lend(&self, range: Range<usize>) -> Lent<'_> {
        Lent::of(self, range)
    }
}

impl Bytes for &[u8] {
    #[inline]
    fn bytes(&self) -> &[u8] {
        self
    }
}

/// Numbers of one width, side by side.
#[derive(Clone, Copy, Debug)]
struct Column {
    at: u32,
    width: u8,
}

/// Where the parts of an entry lie in its block.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shown {
    tag: u64,
    value_start: usize,
    value_end: usize,
}

impl Block {
    /// Takes `raw` as a block, but for the last [`SLACK_BYTES`] of it, after checking it as far as the
    /// invariants above go. The order of the entries is not checked: see `verify`. The block has a copy of
    /// the bytes, in the memory of `left` if that has room and no other holder.
    pub(crate) fn parse(raw: &[u8], left: Option<Block>) -> Result<Block, Damage> {
        Block::check_all(raw)?;
        let bytes = match left {
            Some(left) => refilled(left.bytes, raw),
            None => buffer(raw),
        };
        Ok(Block::sharing(&bytes))
    }

    /// The block in a buffer that [`Block::into_bytes`] gave.
    #[inline]
    pub(crate) fn sharing(bytes: &Buffer) -> Block {
        let Block {
            count, prefix_bytes, suffix_min, entries_at, tag_min, heads, tags, suffixes, starts, ..
        } = Block::seen(bytes);
        // Last, because to count one holder more waits for the memory.
        let bytes = bytes.clone();
        Block { bytes, count, prefix_bytes, suffix_min, entries_at, tag_min, heads, tags, suffixes, starts }
    }

    /// The bytes and those behind them: what a block cache holds.
    pub(crate) fn bytes(&self) -> &Buffer {
        &self.bytes
    }

    /// As [`Block::bytes`].
    pub(crate) fn into_bytes(self) -> Buffer {
        self.bytes
    }

    /// The memory the block holds, in bytes.
    pub(crate) fn size_bytes(&self) -> usize {
        size_in_cache(&self.bytes)
    }

    /// The value of an entry of this block, sharing the block.
    #[inline]
    pub(crate) fn value_slice(&self, shown: Shown) -> Slice {
        Slice::of(&self.bytes, shown.value_start..shown.value_end)
    }
}

impl<'a> Block<&'a Buffer> {
    /// As [`Block::sharing`], for a look.
    #[inline]
    pub(crate) fn seen(bytes: &'a Buffer) -> Block<&'a Buffer> {
        announce(bytes);
        Block::read(bytes, bytes.slice.len() - SLACK_BYTES)
            .expect("because a block was checked before its buffer was given away")
    }
}

impl<'a> Block<&'a [u8]> {
    /// As [`Block::parse`], without a copy: for a look.
    pub(crate) fn check_all(raw: &'a [u8]) -> Result<Block<&'a [u8]>, Damage> {
        let len = raw.len() - SLACK_BYTES;
        let block = Block::read(raw, len)?;
        block.check(len)?;
        Ok(block)
    }
}

impl<B: Bytes> Block<B> {
    /// Finds the parts of a block of `len` bytes, and of what is in them checks only that its parts lie within.
    #[inline]
    fn read(bytes: B, len: usize) -> Result<Block<B>, Damage> {
        let corrupt = |what: &'static str| Damage::Corrupt(Cow::Borrowed(what));
        let Some(preamble) = bytes.bytes().get(..PREAMBLE_BYTES).filter(|_| len >= PREAMBLE_BYTES) else {
            return Err(corrupt("a block shorter than its preamble"));
        };
        let mut preamble = Decoder::new(preamble);
        let preamble =
            (|| Some((preamble.u32()?, preamble.u32()?, preamble.u32()?, preamble.u64()?, preamble.u32()?)))(
            );
        let (count, prefix_bytes, suffix_min, tag_min, widths) =
            preamble.expect("because the preamble is as long as these five");
        let [head_width, tag_width, suffix_width, start_width] = widths.to_le_bytes();
        if head_width as usize > HEAD_BYTES_MAX || tag_width > 8 || suffix_width > 4 || start_width > 4 {
            return Err(corrupt("a column of a block is wider than it can be"));
        }
        // No overflow: each factor has at most 32 and 4 bits.
        let column = |at: u64, width: u8, count: u64| (at, at + u64::from(width) * count);
        let (heads, end) = column(PREAMBLE_BYTES as u64 + u64::from(prefix_bytes), head_width, count.into());
        let (tags, end) = column(end, tag_width, count.into());
        let (suffixes, end) = column(end, suffix_width, count.into());
        let (starts, entries_at) = column(end, start_width, u64::from(count) + 1);
        if entries_at > len as u64 || u32::try_from(len).is_err() {
            return Err(corrupt("the columns of a block are longer than the block"));
        }
        Ok(Block {
            count,
            prefix_bytes,
            suffix_min,
            entries_at: entries_at as u32,
            tag_min,
            heads: Column { at: heads as u32, width: head_width },
            tags: Column { at: tags as u32, width: tag_width },
            suffixes: Column { at: suffixes as u32, width: suffix_width },
            starts: Column { at: starts as u32, width: start_width },
            bytes,
        })
    }

    /// Establishes invariants 2 to 6 for a block of `len` bytes.
    fn check(&self, len: usize) -> Result<(), Damage> {
        let corrupt = |what: &'static str| Err(Damage::Corrupt(Cow::Borrowed(what)));
        // Entries that differ in nothing are not written; a count that no byte stands for would make
        // the checks below run long.
        let bits_an_entry = self.heads.width | self.tags.width | self.suffixes.width;
        if self.count == 0 || (self.count > 1 && bits_an_entry == 0) {
            return corrupt("the count of a block can't be right");
        }
        let bytes = self.bytes.bytes();
        if self.starts.load(bytes, 0) != 0 {
            return corrupt("the first entry of a block does not begin its entries");
        }
        let head_width = u64::from(self.heads.width);
        let mut start = 0;
        for i in 0..self.len() {
            let end = self.starts.load(bytes, i + 1);
            let suffix_bytes = self.suffixes.load(bytes, i) + u64::from(self.suffix_min);
            if u64::from(self.prefix_bytes) + suffix_bytes > MAX_KEY_BYTES as u64 {
                return corrupt("a key of a block is longer than any can be");
            }
            if end < start || suffix_bytes.saturating_sub(head_width) > end - start {
                return corrupt("an entry of a block ends before its key does");
            }
            let tag = self.tags.load(bytes, i).checked_add(self.tag_min);
            let Some(tag) = tag else {
                return corrupt("a version in a block is greater than any can be");
            };
            if ValueKind::from_byte(tag as u8).is_none() {
                return Err(Damage::Unsupported(format!("entries of kind {}", tag as u8).into()));
            }
            start = end;
        }
        if u64::from(self.entries_at) + start != len as u64 {
            return corrupt("the entries of a block do not end where it does");
        }
        Ok(())
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> usize {
        self.count as usize
    }

    /// The first entry at or after `target`, or [`Block::len`].
    #[inline]
    pub(crate) fn lower_bound(&self, target: KeyRef<'_>) -> usize {
        let bytes = self.bytes.bytes();
        match self.strip_prefix(bytes, target.user_key) {
            Some(suffix) => self.lower_bound_of_suffix(suffix, target.seq, 0..self.len()),
            None if target.user_key < self.prefix(bytes) => 0,
            None => self.len(),
        }
    }

    /// As [`Block::lower_bound`], with a sample that was taken of this block.
    #[inline]
    pub(crate) fn lower_bound_by(&self, sample: &Sample, target: KeyRef<'_>) -> usize {
        self.lower_bound_among(self.around(sample, target), target)
    }

    /// The entries among which [`Block::lower_bound_among`] has to look, by a sample that was taken of this block. Asks for
    /// their heads: all at once, rather than one after another as the search comes to them.
    #[inline]
    pub(crate) fn around(&self, sample: &Sample, target: KeyRef<'_>) -> Range<usize> {
        let bytes = self.bytes.bytes();
        let Some(suffix) = self.strip_prefix(bytes, target.user_key) else { return 0..self.len() };
        let among = sample.around(self.head_of(suffix), self.len());
        prefetch::<SAMPLED_LINES>(&bytes[self.heads.at as usize + among.start * self.heads.width as usize..]);
        among
    }

    /// As [`Block::lower_bound`], among the entries that are [`around`](Block::around) the target.
    #[inline]
    pub(crate) fn lower_bound_among(&self, among: Range<usize>, target: KeyRef<'_>) -> usize {
        let bytes = self.bytes.bytes();
        match self.strip_prefix(bytes, target.user_key) {
            Some(suffix) => self.lower_bound_of_suffix(suffix, target.seq, among),
            None => self.lower_bound(target),
        }
    }

    /// Whether it is certain, by a look at few bytes, that entry `i` is the first at or after `target` and not the first of the
    /// block.
    #[inline]
    pub(crate) fn is_lower_bound(&self, i: usize, target: KeyRef<'_>) -> bool {
        let bytes = self.bytes.bytes();
        let Some(suffix) = self.strip_prefix(bytes, target.user_key).filter(|_| 0 < i && i < self.len())
        else {
            return false;
        };
        let head = self.head_of(suffix);
        let is_before = self.head(bytes, i - 1) < head;
        match head.cmp(&self.head(bytes, i)) {
            Ordering::Less => is_before,
            Ordering::Equal => is_before && self.cmp_past_head(bytes, i, suffix, target.seq).is_ge(),
            Ordering::Greater => false,
        }
    }

    /// Asks for entry `i`, and for some of what is behind it.
    #[inline]
    pub(crate) fn announce_entry(&self, i: usize) {
        let bytes = self.bytes.bytes();
        prefetch::<ENTRY_LINES>(&bytes[self.entries_at as usize + self.starts.load(bytes, i) as usize..]);
    }

    /// A sample of the heads, for [`Block::lower_bound_by`].
    pub(crate) fn sample(&self) -> Sample {
        let bytes = self.bytes.bytes();
        Sample { heads: (0..self.len()).step_by(SAMPLED_ENTRIES).map(|i| self.head(bytes, i)).collect() }
    }

    /// The newest version of `user_key` at or before `at`.
    #[inline]
    pub(crate) fn find(&self, user_key: &[u8], at: SeqNo) -> Option<usize> {
        let bytes = self.bytes.bytes();
        let suffix = self.strip_prefix(bytes, user_key)?;
        let head = self.head_of(suffix);
        let place = self.heads_before(bytes, head, 0..self.len());
        if place == self.len() || self.head(bytes, place) != head {
            return None;
        }
        let is_it = |place| {
            self.suffix_bytes(bytes, place) == suffix.len() && self.cmp_rest(bytes, place, suffix).is_eq()
        };
        // As a rule one entry has the head, and that is it.
        if is_it(place) && self.tag(bytes, place) >> 8 <= at.value() {
            return Some(place);
        }
        let place = self.lower_bound_of_ties(bytes, place, suffix, at);
        (place < self.len() && self.head(bytes, place) == head && is_it(place)).then_some(place)
    }

    /// The first entry at or after a target with the prefix of the block. The heads of entries before `among` are
    /// before that of `suffix`, of those behind it none is.
    fn lower_bound_of_suffix(&self, suffix: &[u8], seq: SeqNo, among: Range<usize>) -> usize {
        let bytes = self.bytes.bytes();
        let head = self.head_of(suffix);
        let place = self.heads_before(bytes, head, among);
        if place == self.len() || self.head(bytes, place) != head {
            return place;
        }
        self.lower_bound_of_ties(bytes, place, suffix, seq)
    }

    /// As [`Block::lower_bound_of_suffix`], where `first` is the first entry with the target's head.
    fn lower_bound_of_ties(&self, bytes: &[u8], first: usize, suffix: &[u8], seq: SeqNo) -> usize {
        let before = |i| self.cmp_past_head(bytes, i, suffix, seq) == Ordering::Less;
        if !before(first) {
            return first;
        }
        // Several keys share the head, or several versions the key.
        let head = self.head(bytes, first);
        let next = first + 1;
        let ties_end = next + partition(next, self.len() - next, |i| self.head(bytes, i) == head);
        next + partition(next, ties_end - next, before)
    }

    /// How many heads are before `head`: all before `among`, which is not empty, and none behind it.
    ///
    /// The loop that a lookup spends its time in. There is no branch on what is found, because the
    /// processor could only guess it, and no multiplication between one load and the next.
    #[inline]
    fn heads_before(&self, bytes: &[u8], head: u64, among: Range<usize>) -> usize {
        let mask = self.head_mask();
        let width = self.heads.width as usize;
        let below = |at: usize| u64::from_be_bytes(eight(bytes, at)) & mask < head;
        let (mut i, mut at) = (among.start, self.heads.at as usize + among.start * width);
        let mut count = among.len();
        while count > 1 {
            let half = count / 2;
            let step = half * width;
            let is_below = below(at + step - width);
            i = select_unpredictable(is_below, i + half, i);
            at = select_unpredictable(is_below, at + step, at);
            count -= half;
        }
        i + usize::from(below(at))
    }

    /// Compares entry `i` with a target that has the same prefix and the same head.
    fn cmp_past_head(&self, bytes: &[u8], i: usize, suffix: &[u8], seq: SeqNo) -> Ordering {
        self.cmp_rest(bytes, i, suffix)
            // Keys that end within the head differ in how much of it is theirs.
            .then_with(|| self.suffix_bytes(bytes, i).cmp(&suffix.len()))
            // The newer version comes first.
            .then_with(|| seq.value().cmp(&(self.tag(bytes, i) >> 8)))
    }

    /// Whether heads alone tell that two entries have different user keys.
    #[inline]
    pub(crate) fn heads_differ(&self, i: usize, j: usize) -> bool {
        let bytes = self.bytes.bytes();
        self.head(bytes, i) != self.head(bytes, j)
    }

    /// Where entry `i` lies.
    #[inline]
    pub(crate) fn shown(&self, i: usize) -> Shown {
        let bytes = self.bytes.bytes();
        let rest = self.rest_range(bytes, i);
        let value_end = self.entries_at as usize + self.starts.load(bytes, i + 1) as usize;
        Shown { tag: self.tag(bytes, i), value_start: rest.end, value_end }
    }

    /// As [`Block::shown`], and puts the key into `key`, which must have been [begun](KeyBuffer::begin)
    /// with this block.
    #[inline]
    pub(crate) fn show(&self, i: usize, key: &mut KeyBuffer) -> Shown {
        let bytes = self.bytes.bytes();
        let shown = self.shown(i);
        let suffix_bytes = self.suffix_bytes(bytes, i);
        let head_width = self.heads.width as usize;
        let rest_bytes = suffix_bytes.saturating_sub(head_width);
        let rest_at = shown.value_start - rest_bytes;

        let at = self.prefix_bytes as usize;
        key.len = at + suffix_bytes;
        if key.bytes.len() < key.len + KeyBuffer::SLACK_BYTES {
            key.bytes.resize(key.len + KeyBuffer::SLACK_BYTES, 0);
        }
        // Copies of a fixed length need no call; what they bring too much is beyond the key's length
        // or overwritten by the rest.
        let head_at = self.heads.at as usize + i * head_width;
        key.bytes[at..at + 8].copy_from_slice(&bytes[head_at..head_at + 8]);
        let at = at + head_width;
        if rest_bytes <= 16 {
            key.bytes[at..at + 16].copy_from_slice(&bytes[rest_at..rest_at + 16]);
        } else {
            key.bytes[at..at + rest_bytes].copy_from_slice(&bytes[rest_at..rest_at + rest_bytes]);
        }
        shown
    }

    /// The value of an entry of this block, in place.
    #[inline]
    pub(crate) fn value(&self, shown: Shown) -> &[u8] {
        &self.bytes.bytes()[shown.value_start..shown.value_end]
    }

    /// As [`Block::value`], for whoever may want to keep it.
    #[inline]
    pub(crate) fn lent_value(&self, shown: Shown) -> Lent<'_> {
        self.bytes.lend(shown.value_start..shown.value_end)
    }

    #[inline]
    fn prefix<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[PREAMBLE_BYTES..PREAMBLE_BYTES + self.prefix_bytes as usize]
    }

    #[inline]
    fn head(&self, bytes: &[u8], i: usize) -> u64 {
        let at = self.heads.at as usize + i * self.heads.width as usize;
        u64::from_be_bytes(eight(bytes, at)) & self.head_mask()
    }

    /// The head of a target's suffix, as [`Block::head`] gives those of the entries.
    #[inline]
    fn head_of(&self, suffix: &[u8]) -> u64 {
        key_head(suffix) & self.head_mask()
    }

    /// A head's bytes are the first in memory, and so the most significant of a big-endian number.
    #[inline]
    fn head_mask(&self) -> u64 {
        u64::MAX.unbounded_shl(64 - 8 * u32::from(self.heads.width))
    }

    #[inline]
    fn tag(&self, bytes: &[u8], i: usize) -> u64 {
        self.tag_min + self.tags.load(bytes, i)
    }

    #[inline]
    fn suffix_bytes(&self, bytes: &[u8], i: usize) -> usize {
        self.suffix_min as usize + self.suffixes.load(bytes, i) as usize
    }

    /// Where the bytes of a key past its head lie.
    #[inline]
    fn rest_range(&self, bytes: &[u8], i: usize) -> Range<usize> {
        let start = self.entries_at as usize + self.starts.load(bytes, i) as usize;
        start..start + self.suffix_bytes(bytes, i).saturating_sub(self.heads.width as usize)
    }

    /// Compares what entry `i` and a target have behind their heads.
    #[inline]
    fn cmp_rest(&self, bytes: &[u8], i: usize, suffix: &[u8]) -> Ordering {
        let range = self.rest_range(bytes, i);
        let target = suffix.get(self.heads.width as usize..).unwrap_or(&[]);
        // A few bytes each, as a rule: for them no call is worth its while.
        if range.len() == target.len() && target.len() <= 8 && suffix.len() >= 8 {
            let mask = u64::MAX.unbounded_shr(64 - 8 * target.len() as u32);
            let last = |bytes: &[u8], end: usize| u64::from_be_bytes(eight(bytes, end - 8)) & mask;
            return last(bytes, range.end).cmp(&last(suffix, suffix.len()));
        }
        bytes[range].cmp(target)
    }

    /// What `user_key` has behind the prefix, if it has that.
    #[inline]
    fn strip_prefix<'k>(&self, bytes: &[u8], user_key: &'k [u8]) -> Option<&'k [u8]> {
        let len = self.prefix_bytes as usize;
        if len <= 8 && user_key.len() >= 8 {
            let mask = u64::MAX.unbounded_shl(64 - 8 * len as u32);
            let first = |bytes: &[u8], at: usize| u64::from_be_bytes(eight(bytes, at)) & mask;
            return (first(bytes, PREAMBLE_BYTES) == first(user_key, 0)).then(|| &user_key[len..]);
        }
        begins_with(user_key, self.prefix(bytes)).then(|| &user_key[len..])
    }
}

/// Some of the heads of a large block, which lie closer together than in the block.
///
/// A search halves a column of many kilobytes, and to each of the first places that it looks at the processor waits
/// for memory. Of the sample all is near, and it leaves eight lines at most.
#[derive(Debug)]
pub(crate) struct Sample {
    heads: Box<[u64]>,
}

/// One head of so many is in a sample.
const SAMPLED_ENTRIES: usize = 64;
/// As many as these can be, they lie in so many lines.
const SAMPLED_LINES: usize = SAMPLED_ENTRIES * HEAD_BYTES_MAX / 64;

impl Sample {
    /// The entries of which one can be the first whose head is not before `head`, out of `count`; or the one behind
    /// them is.
    #[inline]
    fn around(&self, head: u64, count: usize) -> Range<usize> {
        let sampled = self.heads.partition_point(|sampled| *sampled < head);
        let start = sampled.saturating_sub(1) * SAMPLED_ENTRIES;
        start..count.min(start + SAMPLED_ENTRIES)
    }

    pub(crate) fn size_bytes(&self) -> usize {
        size_of_val(&*self.heads)
    }
}

impl Column {
    #[inline]
    fn load(self, bytes: &[u8], i: usize) -> u64 {
        let mask = u64::MAX.unbounded_shr(64 - 8 * u32::from(self.width));
        u64::from_le_bytes(eight(bytes, self.at as usize + i * self.width as usize)) & mask
    }
}

#[inline]
fn eight(bytes: &[u8], at: usize) -> [u8; 8] {
    bytes[at..at + 8].try_into().expect("because eight bytes were taken")
}

/// What a block should be charged in a cache, in bytes.
pub(crate) fn size_in_cache(bytes: &Buffer) -> usize {
    2 * size_of::<usize>() + bytes.slice.len()
}

/// Asks for what a search of the block in `bytes` reads, if the block is small: it would wait for one line after
/// another, each as far away as the memory is.
#[inline]
pub(crate) fn announce(bytes: &Buffer) {
    prefetch::<SEARCHED_LINES>(&bytes.slice);
}

/// Asks for all of the block in `bytes`, if it is small, for a scan.
#[inline]
pub(crate) fn announce_all(bytes: &Buffer) {
    prefetch::<SCANNED_LINES>(&bytes.slice);
}

/// The usual 4 KiB and what an entry has too much.
const SCANNED_LINES: usize = 66;

/// The columns of 35 entries, as many as 4 KiB hold of 100 bytes each, are in the first 500 bytes.
const SEARCHED_LINES: usize = 8;

/// An entry of 100 bytes and its neighbour.
const ENTRY_LINES: usize = 4;

/// How many of the `count` entries from `from` on are `before`; those come first.
fn partition(from: usize, count: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (from, from + count);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low - from
}

impl Shown {
    #[inline]
    pub(crate) fn seq(self) -> SeqNo {
        SeqNo::new(self.tag >> 8).expect("because eight bits fewer than 64 are left")
    }

    #[inline]
    pub(crate) fn kind(self) -> ValueKind {
        // Invariant 5: there are but two.
        if self.tag as u8 == ValueKind::Put as u8 { ValueKind::Put } else { ValueKind::Delete }
    }

    /// The whole entry, from its block and the key shown with it.
    #[inline]
    pub(crate) fn entry<'a>(self, block: &'a Block, user_key: &'a [u8]) -> Entry<'a> {
        Entry { user_key, seq: self.seq(), kind: self.kind(), value: block.value(self) }
    }
}

/// Where the keys of a block are put together, one at a time.
#[derive(Debug, Default)]
pub(crate) struct KeyBuffer {
    bytes: Vec<u8>,
    len: usize,
}

impl KeyBuffer {
    /// How far copies of a fixed length may reach beyond a key: a head, then sixteen bytes.
    const SLACK_BYTES: usize = 24;

    /// Makes ready for the keys of `block`.
    pub(crate) fn begin(&mut self, block: &Block) {
        let prefix = block.prefix(block.bytes.bytes());
        if self.bytes.len() < prefix.len() {
            // Most keys go beyond their prefix by no more than this.
            self.bytes.resize(prefix.len() + 2 * Self::SLACK_BYTES, 0);
        }
        self.bytes[..prefix.len()].copy_from_slice(prefix);
    }

    /// The key shown last.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
