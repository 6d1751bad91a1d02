//! A table's filter, in memory.

use lsmkit_bloom::FilterPolicy;

/// The bytes of a filter where lines of memory begin: a block of a blocked filter then is one line, not parts of two.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    bytes: Vec<u8>,
    start: usize,
}

impl Filter {
    const LINE_BYTES: usize = 64;

    /// A copy of `filter`.
    pub(crate) fn of(filter: &[u8]) -> Filter {
        let mut bytes: Vec<u8> = Vec::with_capacity(filter.len() + Self::LINE_BYTES);
        let start = bytes.as_ptr().align_offset(Self::LINE_BYTES).min(Self::LINE_BYTES);
        bytes.resize(start, 0);
        bytes.extend_from_slice(filter);
        Filter { bytes, start }
    }

    /// Whether a key with this hash may be in the table.
    #[inline]
    pub(crate) fn may_contain(&self, policy: &dyn FilterPolicy, hash: u64) -> bool {
        policy.may_contain(self.bytes(), hash)
    }

    /// Asks for what [`Filter::may_contain`] will look at.
    #[inline]
    pub(crate) fn announce(&self, policy: &dyn FilterPolicy, hash: u64) {
        lsmkit_base::prefetch::<1>(policy.looks_at(self.bytes(), hash));
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}
