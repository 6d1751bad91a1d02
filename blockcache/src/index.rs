//! From a key's tag to the slot that holds it: an open-addressed table of 8-byte cells.
//!
//! ```text
//! cell   63..32 tag (the low 32 bits of the key's hash) · 31..0 slot number + 1, or 0 for an empty cell
//! ```
//!
//! A lookup reads cells from the tag's home on, mostly within one cache line, and goes to a slot only where
//! the whole tag agrees. Removal moves later cells back instead of leaving tombstones (Knuth, The Art of
//! Computer Programming, volume 3, section 6.4, algorithm R), so lookups don't slow down as blocks come and
//! go.

/// Maps tags to slots; equal tags may occur more than once.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// A power of two of them, or none.
    cells: Box<[u64]>,
    occupied: usize,
}

impl Index {
    /// The first slot under `tag` for which `is_it` holds.
    #[inline]
    pub(crate) fn find(&self, tag: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        // No cells at all end the walk here as well.
        let mut at = self.home(tag);
        loop {
            let cell = *self.cells.get(at)?;
            let slot = slot_of(cell)?;
            if tag_of(cell) == tag && is_it(slot) {
                return Some(slot);
            }
            at = self.after(at);
        }
    }

    /// Adds `slot` under `tag`. There must be room: see [`is_full`](Index::is_full).
    pub(crate) fn insert(&mut self, tag: u32, slot: u32) {
        let mut at = self.home(tag);
        while self.cells[at] != 0 {
            at = self.after(at);
        }
        self.cells[at] = u64::from(tag) << 32 | u64::from(slot + 1);
        self.occupied += 1;
    }

    /// Removes `slot`, which must be there, from under `tag`.
    pub(crate) fn remove(&mut self, tag: u32, slot: u32) {
        let mut hole = self.home(tag);
        while slot_of(self.cells[hole]) != Some(slot) {
            hole = self.after(hole);
        }
        // A later cell may fill the hole unless its home lies behind the hole: then a walk from its home
        // would still meet it only where it is.
        let mut at = self.after(hole);
        while self.cells[at] != 0 {
            let home = self.home(tag_of(self.cells[at]));
            if self.distance(home, at) >= self.distance(hole, at) {
                self.cells[hole] = self.cells[at];
                hole = at;
            }
            at = self.after(at);
        }
        self.cells[hole] = 0;
        self.occupied -= 1;
    }

    /// Whether one more entry would fill more than three quarters of the cells.
    pub(crate) fn is_full(&self) -> bool {
        self.occupied >= self.cells.len() / 4 * 3
    }

    /// An index that holds the same, with cells for `entries` and one more.
    pub(crate) fn resized_for(&self, entries: usize) -> Index {
        let mut resized = Index { cells: vec![0; cells_for(entries)].into_boxed_slice(), occupied: 0 };
        for &cell in &self.cells {
            if let Some(slot) = slot_of(cell) {
                resized.insert(tag_of(cell), slot);
            }
        }
        resized
    }

    pub(crate) fn cells(&self) -> usize {
        self.cells.len()
    }

    pub(crate) fn size_bytes(&self) -> usize {
        size_of_val(&*self.cells)
    }

    fn home(&self, tag: u32) -> usize {
        // With no cells the mask is all ones, which no table reaches.
        tag as usize & self.cells.len().wrapping_sub(1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.cells.len() - 1)
    }

    /// How many steps a walk takes from one cell to another.
    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.cells.len() - 1)
    }
}

/// How many cells an index needs so that it is not full with so many entries.
pub(crate) fn cells_for(entries: usize) -> usize {
    let mut cells = 16;
    while entries >= cells / 4 * 3 {
        cells *= 2;
    }
    cells
}

fn tag_of(cell: u64) -> u32 {
    (cell >> 32) as u32
}

fn slot_of(cell: u64) -> Option<u32> {
    (cell as u32).checked_sub(1)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_index_without_cells_finds_nothing_and_is_full() {
        let index = Index::default();
        for tag in [0, 1, u32::MAX] {
            assert_eq!(index.find(tag, |_| true), None);
        }
        assert!(index.is_full());
    }

    #[test]
    fn cells_are_a_power_of_two_with_a_quarter_left() {
        for entries in 0..2000 {
            let cells = cells_for(entries);
            assert!(cells.is_power_of_two() && entries < cells / 4 * 3, "{entries} entries: {cells} cells");
        }
    }

    proptest! {
        /// Few different tags, all around the end of the cells, so that walks are long, wrap around, and meet
        /// cells of other homes.
        #[test]
        fn behaves_like_a_map(steps in proptest::collection::vec((any::<bool>(), 0..24u32), 0..200)) {
            let mut index = Index::default();
            let mut model: BTreeMap<u32, u32> = BTreeMap::new();
            let tag_of_slot = |slot: u32| 12 + slot % 5;
            for (add, slot) in steps {
                match (add, model.contains_key(&slot)) {
                    (true, false) => {
                        if index.is_full() {
                            index = index.resized_for(model.len());
                        }
                        index.insert(tag_of_slot(slot), slot);
                        model.insert(slot, tag_of_slot(slot));
                    }
                    (false, true) => {
                        index.remove(tag_of_slot(slot), slot);
                        model.remove(&slot);
                    }
                    _ => {}
                }
                for slot in 0..24 {
                    let found = index.find(tag_of_slot(slot), |found| found == slot);
                    prop_assert_eq!(found.is_some(), model.contains_key(&slot));
                }
                prop_assert_eq!(index.find(11, |_| true), None);
            }
        }
    }
}
