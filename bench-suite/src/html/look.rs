//! By which colour, dash and mark an engine is known throughout the page.

use crate::summary::Engine;

/// Engines that keep their look from report to report.
const KNOWN: [&str; 7] =
    ["lsmkit", "lsmkit-tiered-btree", "rocksdb", "fjall", "lmdb", "redb", "lsmkit-btree"];

/// As many as the style sheet has colours.
const SLOTS: usize = 12;

/// As many as there are shapes of marks.
const MARKS: usize = 8;

/// A colour and a dash (together `class`), and a mark, so that colour is never the only difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Look {
    slot: usize,
    mark: usize,
}

impl Look {
    /// The look of an engine, the same in all runs of the page.
    pub(super) fn of(engine: &Engine<'_>) -> Look {
        Look::named(engine.name, engine.place)
    }

    /// Engines that aren't known have the slots after those that are, by their place.
    pub(super) fn named(engine: &str, place: usize) -> Look {
        const REST: usize = SLOTS - KNOWN.len();
        match KNOWN.iter().position(|name| *name == engine) {
            Some(slot) => Look::nth(slot),
            // Where colours begin anew, marks have moved on.
            None => Look { slot: KNOWN.len() + place % REST, mark: (KNOWN.len() + place) % MARKS },
        }
    }

    /// Of things that are no engines, by their place.
    pub(super) fn nth(slot: usize) -> Look {
        Look { slot: slot % SLOTS, mark: slot % MARKS }
    }

    /// The class that sets the colour and the dash of an engine.
    pub(super) fn class(self) -> String {
        format!("e{}", self.slot)
    }

    /// The reference to the mark's shape.
    pub(super) fn mark(self) -> String {
        format!("#m{}", self.mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_engines_keep_their_look_whatever_their_place() {
        for place in 0..9 {
            assert_eq!(Look::named("lsmkit", place).class(), "e0");
            assert_eq!(Look::named("lsmkit-btree", place).class(), "e6");
        }
    }

    #[test]
    fn unknown_engines_look_like_no_known_one() {
        let known: Vec<String> = KNOWN.iter().map(|name| Look::named(name, 0).class()).collect();
        let unknown: Vec<Look> = (0..20).map(|place| Look::named("mmdb", place)).collect();
        assert!(unknown.iter().all(|look| !known.contains(&look.class())));
        for (at, look) in unknown.iter().enumerate().take(15) {
            assert!(!unknown[at + 1..at + 5].contains(look));
            assert_ne!(look.class(), unknown[at + 1].class());
        }
        assert_eq!(unknown[0].class(), unknown[5].class());
        assert_ne!(unknown[0].mark(), unknown[5].mark());
    }

    #[test]
    fn the_style_sheet_has_a_colour_for_each_slot() {
        for slot in 0..SLOTS {
            assert!(crate::html::STYLE.contains(&format!(".e{slot} {{")), "e{slot}");
        }
    }
}
