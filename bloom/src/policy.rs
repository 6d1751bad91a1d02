//! `FilterPolicy`: how a set of keys becomes bytes that can be asked "may this key be in there?".

use std::fmt;
use std::sync::Arc;

/// A kind of filter: builds the bytes for a set of keys, and probes such bytes.
///
/// A filter answers *no* only if the key is certainly absent. Keys enter as 64-bit hashes (see
/// [`hash`](crate::hash)), so that a lookup hashes its key once and probes the filters of many tables with
/// it.
///
/// The trait is object-safe and meant to be shared as `Arc<dyn FilterPolicy>`. No method blocks or does
/// I/O. [`conformance!`](crate::conformance) (feature `testkit`) tests an implementation against this
/// contract.
pub trait FilterPolicy: Send + Sync + fmt::Debug {
    /// The name of the format of the bytes, which a table stores beside its filter.
    ///
    /// Two policies with the same name read each other's filters, whatever their settings. A reader that
    /// finds another name than its policy's must do without the filter.
    fn name(&self) -> &str;

    /// Appends to `filter` the bytes of a filter that holds `hashes`; what stood in `filter` before stays.
    ///
    /// The bytes depend only on the policy's settings and on the hashes, not on their order. Duplicates are
    /// allowed, but count as keys when the size is chosen: leave out what is cheap to leave out, such as the
    /// older versions of a key.
    fn build(&self, hashes: &[u64], filter: &mut Vec<u8>);

    /// Whether a key with this `hash` may be among those that `filter` was built from.
    ///
    /// `false` is certain, provided the bytes are as they were built: flipped bits are for the checksum of the
    /// enclosing block to find. Bytes that this policy cannot have built (none at all, cut short, of
    /// another format) give `true`, because a damaged filter must not hide a key. No bytes make it panic.
    fn may_contain(&self, filter: &[u8], hash: u64) -> bool;

    /// A policy that differs from this one only in that it spends so many bits more on each key, or fewer where
    /// `bits` is negative, as far as it can; of the same name. `None`, the default, where it has no such choice.
    fn with_more_bits(&self, bits: f64) -> Option<Arc<dyn FilterPolicy>> {
        let _ = bits;
        None
    }

    /// The bytes that [`may_contain`](FilterPolicy::may_contain) will look at, where they are few and lie together, so
    /// that whoever probes several filters can ask for all of them from memory first. No bytes say nothing, which is
    /// the default.
    fn looks_at<'f>(&self, filter: &'f [u8], hash: u64) -> &'f [u8] {
        let _ = (filter, hash);
        &[]
    }
}
