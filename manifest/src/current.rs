//! Which manifest is in force: a marker file whose name holds the number.
//!
//! A switch creates the new marker, makes its name durable, and only then removes the old one. At
//! every moment there is a marker, and of several the greatest number is in force, so no rename and
//! no content can be half done. (The idea is that of Pebble's `vfs/atomicfs` marker.)

use std::path::{Path, PathBuf};

use lsmkit_base::{Fault, FaultContext};
use lsmkit_vfs::{DirEntryKind, Fs};

const MARKER: &str = "CURRENT-";
const MANIFEST: &str = "MANIFEST-";
/// What the names of manifests end in that a repair has set aside.
const DAMAGED: &str = ".damaged";

/// The manifests and markers in a directory.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Listing {
    pub(crate) markers: Vec<u64>,
    pub(crate) manifests: Vec<u64>,
    /// Those that a repair has set aside.
    damaged: Vec<u64>,
}

impl Listing {
    pub(crate) fn read(fs: &dyn Fs, dir: &Path) -> Result<Listing, Fault> {
        let mut listing = Listing::default();
        for entry in fs.list(dir).at(dir)? {
            if entry.kind != DirEntryKind::File {
                continue;
            }
            if let Some(number) = number(&entry.name, MARKER) {
                listing.markers.push(number);
            } else if let Some(number) = number(&entry.name, MANIFEST) {
                listing.manifests.push(number);
            } else if let Some(number) =
                entry.name.strip_suffix(DAMAGED).and_then(|name| number(name, MANIFEST))
            {
                listing.damaged.push(number);
            }
        }
        Ok(listing)
    }

    /// The number in force.
    pub(crate) fn current(&self) -> Option<u64> {
        self.markers.iter().copied().max()
    }

    /// A number greater than any that was ever seen here.
    pub(crate) fn next(&self) -> u64 {
        self.markers
            .iter()
            .chain(&self.manifests)
            .chain(&self.damaged)
            .max()
            .map_or(1, |greatest| greatest + 1)
    }
}

/// Only names that we would write ourselves count: digits, no sign, no surplus zeros.
fn number(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    let number = digits.parse::<u64>().ok()?;
    (format!("{number:06}") == digits && number < u64::MAX).then_some(number)
}

pub(crate) fn manifest_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{MANIFEST}{number:06}"))
}

pub(crate) fn marker_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{MARKER}{number:06}"))
}

fn damaged_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{MANIFEST}{number:06}{DAMAGED}"))
}

/// Puts the manifest `number`, which is durable itself, in force, but not durably yet: that takes
/// one more sync of the directory.
pub(crate) fn mark(fs: &dyn Fs, dir: &Path, number: u64) -> Result<(), Fault> {
    // The manifest's name has to be durable before the marker's can be.
    fs.sync_dir(dir).at(dir)?;
    let marker = marker_path(dir, number);
    fs.create(&marker).at(&marker)?;
    Ok(())
}

/// Removes what `number` has superseded. What can't be removed is removed after the next switch.
pub(crate) fn sweep(fs: &dyn Fs, dir: &Path, listing: &Listing, number: u64) {
    let markers = listing.markers.iter().filter(|n| **n < number).map(|n| marker_path(dir, *n));
    let manifests = listing.manifests.iter().filter(|n| **n < number).map(|n| manifest_path(dir, *n));
    for path in markers.chain(manifests) {
        // Harmless if it stays: the greatest marker is in force, and the numbers are not used again.
        let _ = fs.remove(&path);
    }
}

/// Renames the manifests of `listing`, another of which is about to take the place, durably. Returns the new names.
pub(crate) fn set_aside(fs: &dyn Fs, dir: &Path, listing: &Listing) -> Result<Vec<PathBuf>, Fault> {
    let mut renamed = Vec::new();
    for number in &listing.manifests {
        let (path, aside) = (manifest_path(dir, *number), damaged_path(dir, *number));
        fs.rename(&path, &aside).at(&path)?;
        renamed.push(aside);
    }
    fs.sync_dir(dir).at(dir)?;
    Ok(renamed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_count() {
        assert_eq!(number("CURRENT-000012", MARKER), Some(12));
        assert_eq!(number("CURRENT-1234567", MARKER), Some(1_234_567));
        for name in ["CURRENT-12", "CURRENT-+00012", "CURRENT-000012.tmp", "CURRENT-0000012", "CURRENT-"] {
            assert_eq!(number(name, MARKER), None, "{name}");
        }
        assert_eq!(number("CURRENT-18446744073709551615", MARKER), None);
    }
}
