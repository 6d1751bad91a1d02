//! The keys evicted of late, without their blocks: what comes back soon was worth keeping.
//!
//! Cells of 8 bytes in buckets of four, each a tag and the moment it was put in, counted in evictions. A cell
//! is valid until as many evictions have passed as there are entries in the cache; a bucket that is full
//! gives up its oldest. So nothing is ever swept, and a wrong answer costs no more than one misplaced block.

/// Remembers about as many evicted tags as it has cells.
#[derive(Debug, Default)]
pub(crate) struct Ghost {
    /// A power of two of them, at least one bucket, or none. Zero is an empty cell.
    cells: Box<[u64]>,
    /// Evictions so far; wraps.
    moment: u32,
}

const BUCKET_CELLS: usize = 4;

impl Ghost {
    /// Notes that the key with this tag has been evicted.
    pub(crate) fn remember(&mut self, tag: u32) {
        self.moment = self.moment.wrapping_add(1);
        let moment = self.moment;
        let Some(bucket) = self.bucket(tag) else { return };
        // An empty cell says moment 0, which is as old as a moment gets for the first four billion evictions. A cell that says the
        // same of an earlier moment is worth less than any.
        let worth = |cell: &u64| match *cell != 0 && tag_of(*cell) == tag {
            true => u64::MAX,
            false => u64::from(moment.wrapping_sub(moment_of(*cell))),
        };
        if let Some(oldest) = bucket.iter_mut().max_by_key(|cell| worth(cell)) {
            *oldest = u64::from(tag) << 32 | u64::from(moment);
        }
    }

    /// Whether the key with this tag was among the last `window` remembered.
    pub(crate) fn knows(&self, tag: u32, window: usize) -> bool {
        let (buckets, _) = self.cells.as_chunks::<BUCKET_CELLS>();
        let Some(last) = buckets.len().checked_sub(1) else { return false };
        let cell = buckets[tag as usize & last].iter().find(|cell| **cell != 0 && tag_of(**cell) == tag);
        cell.is_some_and(|cell| (self.moment.wrapping_sub(moment_of(*cell)) as usize) < window)
    }

    /// Whether the key with this tag was among the last `window` evicted. Forgets it.
    pub(crate) fn recall(&mut self, tag: u32, window: usize) -> bool {
        let moment = self.moment;
        let Some(bucket) = self.bucket(tag) else { return false };
        let Some(cell) = bucket.iter_mut().find(|cell| **cell != 0 && tag_of(**cell) == tag) else {
            return false;
        };
        let age = moment.wrapping_sub(moment_of(*cell));
        *cell = 0;
        (age as usize) < window
    }

    /// A ghost with another number of cells that remembers the same, as far as it has room.
    pub(crate) fn resized(&self, cells: usize) -> Ghost {
        let mut resized = Ghost { cells: vec![0; cells].into_boxed_slice(), moment: self.moment };
        for &cell in self.cells.iter().filter(|&&cell| cell != 0) {
            let Some(bucket) = resized.bucket(tag_of(cell)) else { break };
            let age = |cell: u64| self.moment.wrapping_sub(moment_of(cell));
            if let Some(oldest) = bucket.iter_mut().max_by_key(|other| age(**other))
                && (*oldest == 0 || age(*oldest) > age(cell))
            {
                *oldest = cell;
            }
        }
        resized
    }

    pub(crate) fn size_bytes(&self) -> usize {
        size_of_val(&*self.cells)
    }

    fn bucket(&mut self, tag: u32) -> Option<&mut [u64; BUCKET_CELLS]> {
        let (buckets, _) = self.cells.as_chunks_mut::<BUCKET_CELLS>();
        let last = buckets.len().checked_sub(1)?;
        buckets.get_mut(tag as usize & last)
    }
}

fn tag_of(cell: u64) -> u32 {
    (cell >> 32) as u32
}

fn moment_of(cell: u64) -> u32 {
    cell as u32
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn without_cells_nothing_is_remembered() {
        let mut ghost = Ghost::default();
        ghost.remember(7);
        assert!(!ghost.recall(7, 100));
    }

    #[test]
    fn what_was_evicted_is_recalled_once() {
        let mut ghost = Ghost::default().resized(16);
        ghost.remember(7);
        ghost.remember(0);
        assert!(ghost.recall(7, 100));
        assert!(!ghost.recall(7, 100));
        assert!(ghost.recall(0, 100));
        assert!(!ghost.recall(3, 100));
    }

    #[test]
    fn what_was_evicted_too_long_ago_is_forgotten() {
        let mut ghost = Ghost::default().resized(64);
        for tag in 1..=10 {
            ghost.remember(tag);
        }
        assert!(!ghost.recall(5, 5), "five were evicted since");
        assert!(ghost.recall(6, 5), "four were evicted since");
    }

    /// One that was forgotten and is remembered again has one cell, the new one.
    #[test]
    fn what_is_remembered_again_is_as_young_as_that() {
        let mut ghost = Ghost::default().resized(4);
        (1..=4).for_each(|tag| ghost.remember(tag));
        ghost.remember(2);
        assert!(ghost.knows(2, 1) && !ghost.knows(4, 1));
        assert!(ghost.recall(2, 1));
        assert!(!ghost.knows(2, 100), "it was in one cell");
        assert!([1, 3, 4].iter().all(|tag| ghost.knows(*tag, 100)));
    }

    #[test]
    fn a_full_bucket_gives_up_its_oldest() {
        let mut ghost = Ghost::default().resized(4);
        (1..=5).for_each(|tag| ghost.remember(tag));
        assert!(!ghost.recall(1, 100));
        assert!((2..=5).all(|tag| ghost.recall(tag, 100)));
    }

    #[test]
    fn resizing_keeps_the_youngest() {
        let mut ghost = Ghost::default().resized(64);
        (1..=32).for_each(|tag| ghost.remember(tag));
        let mut larger = ghost.resized(128);
        assert!((1..=32).all(|tag| larger.recall(tag, 100)));
        let mut smaller = ghost.resized(8);
        assert!((25..=32).all(|tag| smaller.recall(tag, 100)));
        assert!((1..=24).all(|tag| !smaller.recall(tag, 100)));
    }
}
