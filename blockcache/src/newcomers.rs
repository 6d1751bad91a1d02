//! Whether newcomers earn their place.

/// What share of the newcomers was asked for again soon, of late, and what follows from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Newcomers {
    /// A moving average, in parts of [`ALL`].
    again: u32,
    are_welcome: bool,
}

const ALL: u32 = 1 << 24;

/// The average is over about so many newcomers, as a power of two.
const WEIGHT_LOG: u32 = 8;

/// They are turned away from below the first share to above the second. In `benches/hit_rate.rs` that changes the hit rate
/// of skewed and of uniform reads by no more than a tenth of a point either way. Where each block is read twice soon and
/// never later, turning newcomers away would take all hits, and the share is near one; where blocks are read in a loop a
/// little longer than the cache, a single threshold of a quarter would change its mind all the time, and cost eleven points.
const TURNED_AWAY_BELOW: u32 = ALL / 20;
const WELCOME_ABOVE: u32 = ALL / 8 * 3;

impl Default for Newcomers {
    /// All are welcome at first.
    fn default() -> Newcomers {
        Newcomers { again: ALL, are_welcome: true }
    }
}

impl Newcomers {
    /// Notes whether one was asked for again: as one that leaves the small queue was used there, or as one that was turned
    /// away before is remembered.
    pub(crate) fn note(&mut self, is_again: bool) {
        self.again -= self.again >> WEIGHT_LOG;
        if is_again {
            self.again += ALL >> WEIGHT_LOG;
        }
        if self.again < TURNED_AWAY_BELOW {
            self.are_welcome = false;
        } else if self.again > WELCOME_ABOVE {
            self.are_welcome = true;
        }
    }

    pub(crate) fn are_welcome(self) -> bool {
        self.are_welcome
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn they_are_welcome_by_how_many_come_again() {
        let mut newcomers = Newcomers::default();
        let mut note = |each: u32, count: u32| {
            (0..count).for_each(|i| newcomers.note(i % each == 0));
            newcomers.are_welcome()
        };
        assert!(note(10, 10_000), "one of ten is enough to stay welcome");
        assert!(!note(30, 10_000), "one of thirty is not");
        assert!(!note(4, 10_000), "and one of four not enough to be welcome again");
        assert!(!note(2, 10) && note(2, 1_000), "one of two is, after a while");
        assert!(note(1, 1_000_000), "the average stays in its range");
    }
}
