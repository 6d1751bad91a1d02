//! The policy of having no filter.

use crate::FilterPolicy;

/// Builds nothing and rules out nothing: for levels where a filter does not pay for its memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoFilter;

impl FilterPolicy for NoFilter {
    fn name(&self) -> &str {
        "none"
    }

    fn build(&self, _hashes: &[u64], _filter: &mut Vec<u8>) {}

    fn may_contain(&self, _filter: &[u8], _hash: u64) -> bool {
        true
    }
}
