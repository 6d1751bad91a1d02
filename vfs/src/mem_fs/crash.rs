//! What is left of the names after a power failure.

use std::collections::HashSet;
use std::sync::Arc;

use super::fate::Fate;
use super::names::{Change, Dirs, Names, Node, Place, apply};
use crate::seeded::Seeded;

/// The names that are durable, with those of the pending changes that survive.
pub(super) fn surviving(names: &Names, fate: Fate, seeded: &mut Seeded) -> Dirs {
    let pending = &names.pending;
    let survives = match fate {
        Fate::Lost => vec![false; pending.len()],
        Fate::Kept => vec![true; pending.len()],
        // What a journal gives: changes survive in the order in which they were made.
        Fate::Prefix => {
            let kept = seeded.below(pending.len() as u64 + 1) as usize;
            (0..pending.len()).map(|n| n < kept).collect()
        }
        Fate::Mixed => mixed(pending, seeded),
    };
    let mut dirs = names.durable.clone();
    for (change, survives) in pending.iter().zip(survives) {
        if survives {
            apply(&mut dirs, change);
        }
    }
    reachable(dirs)
}

/// Any of the changes, each with all those before it that touch the same name: a name is one thing on
/// disk and has no state that it did not have before. Without that, a file could be lost by being
/// renamed, where the rename was undone and the old name was another file's by then.
fn mixed(pending: &[Change], seeded: &mut Seeded) -> Vec<bool> {
    let mut touched: HashSet<&Place> = HashSet::new();
    let mut survives = vec![false; pending.len()];
    for (change, survives) in pending.iter().zip(&mut survives).rev() {
        let places = change.places();
        let is_drawn = seeded.below(3) == 0;
        if is_drawn || places.clone().any(|place| touched.contains(place)) {
            touched.extend(places);
            *survives = true;
        }
    }
    survives
}

/// A directory whose own name did not survive is gone, with all that is in it.
fn reachable(mut dirs: Dirs) -> Dirs {
    let mut reachable = Dirs::new();
    let mut paths: Vec<Arc<str>> = vec!["".into()];
    while let Some(path) = paths.pop() {
        let names = dirs.remove(&path).expect("every directory has an entry in `Names::durable`");
        for (name, node) in &names {
            if matches!(node, Node::Dir) {
                paths.push(format!("{path}/{name}").into());
            }
        }
        reachable.insert(path, names);
    }
    reachable
}
