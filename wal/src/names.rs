//! Which files of a directory are segments of a log.

use std::path::{Path, PathBuf};

use lsmkit_base::{Fault, FaultContext, SegmentId};
use lsmkit_vfs::{DirEntryKind, Fs};

/// No log comes to a greater number: one that is told by a name or by the log's user is damage, and would leave no next.
pub(crate) const NUMBER_MAX: SegmentId = SegmentId(1 << 62);

/// The segments in a directory, and how far numbers have been used.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The numbers of the segments, ascending, and the sizes of their files.
    pub(crate) segments: Vec<(SegmentId, u64)>,
    /// The smallest number that nothing in the directory has or had, at least 1.
    pub(crate) next: SegmentId,
}

impl Listing {
    /// What is in `dir` now.
    pub(crate) fn read(fs: &dyn Fs, dir: &Path) -> Result<Listing, Fault> {
        let mut segments = Vec::new();
        let mut next = SegmentId(1);
        for entry in fs.list(dir).at(dir)? {
            let Some((id, state)) = parse(&entry.name) else { continue };
            if id > NUMBER_MAX {
                return Err(Fault::corrupt(
                    &dir.join(&entry.name),
                    0,
                    "a segment number that leaves no next",
                ));
            }
            next = next.max(SegmentId(id.0 + 1));
            if state == State::Live {
                // Opening a pipe would wait for whoever writes to it.
                if entry.kind != DirEntryKind::File {
                    return Err(Fault::corrupt(&dir.join(&entry.name), 0, "not a regular file"));
                }
                segments.push((id, entry.size_bytes));
            }
        }
        segments.sort_unstable();
        Ok(Listing { segments, next })
    }
}

/// Where segment `id` is.
pub(crate) fn segment_path(dir: &Path, id: SegmentId) -> PathBuf {
    dir.join(format!("{id}.log"))
}

/// Where segment `id` is kept after the log gave it up, if it holds bytes that were not replayed.
pub(crate) fn torn_path(dir: &Path, id: SegmentId) -> PathBuf {
    dir.join(format!("{id}.log.torn"))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Live,
    Torn,
}

/// The number in the name of a segment. Only the very names that this module makes are taken, so that
/// two names never mean the same segment.
fn parse(name: &str) -> Option<(SegmentId, State)> {
    let (digits, state) = match name.strip_suffix(".log.torn") {
        Some(digits) => (digits, State::Torn),
        None => (name.strip_suffix(".log")?, State::Live),
    };
    let id = SegmentId(digits.parse().ok()?);
    (id.to_string() == digits).then_some((id, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_taken() {
        assert_eq!(parse("000007.log"), Some((SegmentId(7), State::Live)));
        assert_eq!(parse("1234567.log"), Some((SegmentId(1_234_567), State::Live)));
        assert_eq!(parse("000007.log.torn"), Some((SegmentId(7), State::Torn)));
        for other in ["7.log", "0000007.log", "+00007.log", "000007", "000007.log.tmp", ".log", "000007.LOG"]
        {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
