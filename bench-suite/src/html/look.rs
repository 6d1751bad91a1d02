//! By which colour, dash and mark an engine is known throughout the page.

/// As many as the style sheet has colours.
const SLOTS: usize = 8;

/// Engines that keep their look from report to report.
const KNOWN: [(&str, usize); 6] =
    [("lsmkit", 0), ("lsmkit-tiered-btree", 1), ("rocksdb", 2), ("fjall", 3), ("lmdb", 4), ("redb", 5)];

/// A colour and a dash (together `class`), and a mark, so that colour is never the only difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Look {
    slot: usize,
}

impl Look {
    /// A look for each engine, all different while there are looks left.
    pub(super) fn of(engines: &[&str]) -> Vec<Look> {
        let known = |engine: &str| KNOWN.iter().find(|(name, _)| *name == engine).map(|(_, slot)| *slot);
        let mut free = (0..).filter(|slot| !engines.iter().any(|engine| known(engine) == Some(*slot)));
        engines
            .iter()
            .map(|engine| known(engine).or_else(|| free.next()).expect("because numbers do not end"))
            .map(|slot| Look { slot })
            .collect()
    }

    /// Of things that are no engines, by their place.
    pub(super) fn nth(slot: usize) -> Look {
        Look { slot }
    }

    /// The class that sets the colour and the dash of an engine.
    pub(super) fn class(self) -> String {
        format!("e{}", self.slot % SLOTS)
    }

    /// The reference to the mark's shape.
    pub(super) fn mark(self) -> String {
        // Where colours begin anew, marks have moved on.
        format!("#m{}", (self.slot + self.slot / SLOTS) % SLOTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_engines_keep_their_look_and_others_get_what_is_left() {
        let looks = Look::of(&["mmdb", "fjall", "lsmkit", "sled"]);
        assert_eq!(looks.iter().map(|look| look.slot).collect::<Vec<_>>(), [1, 3, 0, 2]);
        let names: Vec<String> = (0..20).map(|n| format!("engine {n}")).collect();
        let looks = Look::of(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((looks[0].class(), looks[8].class()), ("e0".into(), "e0".into()));
        assert_ne!(looks[0].mark(), looks[8].mark());
    }
}
