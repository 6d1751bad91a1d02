//! Puts a block together.

use lsmkit_base::coding::{put_u32, put_u64};

use super::{HEAD_BYTES_MAX, PREAMBLE_BYTES};

/// Collects sorted entries and lays them out as a block.
#[derive(Debug, Default)]
pub(crate) struct BlockBuilder {
    /// The keys, end to end.
    keys: Vec<u8>,
    /// The values, end to end.
    values: Vec<u8>,
    entries: Vec<Collected>,
    /// How many bytes all keys so far begin with.
    prefix_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Collected {
    key_bytes: u32,
    value_bytes: u32,
    tag: u64,
}

impl BlockBuilder {
    /// What an entry takes beside its key and value, about: start, tag and length.
    const ENTRY_OVERHEAD_BYTES: usize = 8;

    /// Adds the next entry. The caller sees to the order.
    pub(crate) fn add(&mut self, user_key: &[u8], tag: u64, value: &[u8]) {
        if self.entries.is_empty() {
            self.prefix_bytes = user_key.len();
        } else if !user_key.starts_with(&self.keys[..self.prefix_bytes]) {
            let first = &self.keys[..self.prefix_bytes];
            self.prefix_bytes = first.iter().zip(user_key).take_while(|(a, b)| a == b).count();
        }
        self.keys.extend_from_slice(user_key);
        self.values.extend_from_slice(value);
        self.entries.push(Collected {
            key_bytes: user_key.len() as u32,
            value_bytes: value.len() as u32,
            tag,
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// About how long the block is now.
    pub(crate) fn size_bytes(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        let count = self.entries.len();
        self.keys.len() - (count - 1) * self.prefix_bytes
            + self.values.len()
            + count * Self::ENTRY_OVERHEAD_BYTES
            + PREAMBLE_BYTES
    }

    /// Appends the block to `out` and begins anew.
    ///
    /// # Panics
    ///
    /// Where no entry was added.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        assert!(!self.is_empty(), "a block has at least one entry");
        let prefix_bytes = self.prefix_bytes;
        let lengths = || self.entries.iter().map(|e| e.key_bytes as usize - prefix_bytes);
        let (suffix_min, suffix_max) = min_max(lengths().map(|n| n as u64));
        let (tag_min, tag_max) = min_max(self.entries.iter().map(|e| e.tag));
        let head_width = HEAD_BYTES_MAX.min(suffix_max as usize);
        let entries_bytes =
            lengths().map(|n| n.saturating_sub(head_width) as u64).sum::<u64>() + self.values.len() as u64;
        let tag_width = width_of(tag_max - tag_min);
        let suffix_width = width_of(suffix_max - suffix_min);
        let start_width = width_of(entries_bytes);

        let count = self.entries.len();
        out.reserve(
            PREAMBLE_BYTES
                + prefix_bytes
                + count * (head_width + tag_width + suffix_width)
                + (count + 1) * start_width
                + entries_bytes as usize,
        );
        put_u32(out, count as u32);
        put_u32(out, prefix_bytes as u32);
        put_u32(out, suffix_min as u32);
        put_u64(out, tag_min);
        out.extend_from_slice(&[head_width as u8, tag_width as u8, suffix_width as u8, start_width as u8]);
        out.extend_from_slice(&self.keys[..prefix_bytes]);
        let mut key_start = 0;
        for entry in &self.entries {
            let key_end = key_start + entry.key_bytes as usize;
            let suffix = &self.keys[key_start + prefix_bytes..key_end];
            let taken = suffix.len().min(head_width);
            let mut head = [0; HEAD_BYTES_MAX];
            head[..taken].copy_from_slice(&suffix[..taken]);
            out.extend_from_slice(&head[..head_width]);
            key_start = key_end;
        }
        for entry in &self.entries {
            put_narrow(out, entry.tag - tag_min, tag_width);
        }
        for entry in &self.entries {
            let suffix_bytes = u64::from(entry.key_bytes) - prefix_bytes as u64;
            put_narrow(out, suffix_bytes - suffix_min, suffix_width);
        }
        let mut start = 0u64;
        for entry in &self.entries {
            put_narrow(out, start, start_width);
            let suffix_bytes = entry.key_bytes as usize - prefix_bytes;
            start += suffix_bytes.saturating_sub(head_width) as u64 + u64::from(entry.value_bytes);
        }
        put_narrow(out, start, start_width);
        let (mut key_start, mut value_start) = (0, 0);
        for entry in &self.entries {
            let key_end = key_start + entry.key_bytes as usize;
            let value_end = value_start + entry.value_bytes as usize;
            let rest_start = (key_start + prefix_bytes + head_width).min(key_end);
            out.extend_from_slice(&self.keys[rest_start..key_end]);
            out.extend_from_slice(&self.values[value_start..value_end]);
            (key_start, value_start) = (key_end, value_end);
        }

        self.keys.clear();
        self.values.clear();
        self.entries.clear();
    }
}

fn min_max(numbers: impl Iterator<Item = u64>) -> (u64, u64) {
    numbers.fold((u64::MAX, 0), |(min, max), n| (min.min(n), max.max(n)))
}

/// The fewest bytes that hold `n`; none for zero.
const fn width_of(n: u64) -> usize {
    (u64::BITS - n.leading_zeros()).div_ceil(8) as usize
}

fn put_narrow(out: &mut Vec<u8>, n: u64, width: usize) {
    out.extend_from_slice(&n.to_le_bytes()[..width]);
}
