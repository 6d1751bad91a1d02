//! A cursor over entries in memory.

use lsmkit_base::{Cursor, Entry, Fault, KeyRef};

use super::Version;

/// A [`Cursor`] over versions in memory; never fails.
#[derive(Clone, Debug)]
pub struct VecCursor<'a> {
    versions: &'a [Version],
    /// The length where the cursor is off the end.
    at: usize,
}

impl<'a> VecCursor<'a> {
    /// Over `versions`, which are in the order of [`KeyRef`].
    ///
    /// # Panics
    ///
    /// Where they are not.
    pub fn new(versions: &'a [Version]) -> VecCursor<'a> {
        assert!(versions.is_sorted_by(|a, b| a.key() < b.key()), "the versions are sorted");
        VecCursor { versions, at: versions.len() }
    }

    fn go_before(&mut self, end: usize) {
        self.at = end.checked_sub(1).unwrap_or(self.versions.len());
    }
}

impl Cursor for VecCursor<'_> {
    fn seek_first(&mut self) -> Result<(), Fault> {
        self.at = 0;
        Ok(())
    }

    fn seek_last(&mut self) -> Result<(), Fault> {
        self.go_before(self.versions.len());
        Ok(())
    }

    fn seek(&mut self, target: KeyRef<'_>) -> Result<(), Fault> {
        self.at = self.versions.partition_point(|version| version.key() < target);
        Ok(())
    }

    fn seek_before(&mut self, target: KeyRef<'_>) -> Result<(), Fault> {
        self.go_before(self.versions.partition_point(|version| version.key() < target));
        Ok(())
    }

    #[inline]
    fn next(&mut self) -> Result<(), Fault> {
        self.at = self.versions.len().min(self.at + 1);
        Ok(())
    }

    #[inline]
    fn prev(&mut self) -> Result<(), Fault> {
        if self.at < self.versions.len() {
            self.go_before(self.at);
        }
        Ok(())
    }

    #[inline]
    fn entry(&self) -> Option<Entry<'_>> {
        self.versions.get(self.at).map(Version::entry)
    }

    #[inline]
    fn begins_key(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|before| self.versions.get(before));
        let here = self.versions.get(self.at);
        here.is_some_and(|here| before.is_none_or(|before| before.user_key != here.user_key))
    }
}
