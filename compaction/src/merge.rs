//! The k-way merge: many sorted sequences shown as one.
//!
//! A tree of losers (Knuth, The Art of Computer Programming, volume 3, section 5.4.1) over the children: each inner node
//! remembers the child that lost there, so that moving the winner costs one comparison a level,
//! against nodes whose places are known beforehand. Three things keep a comparison cheap and rare:
//!
//! - Each node carries the *head* of its child's key, eight bytes as a big-endian number, and keys are
//!   read only where heads are equal.
//! - Where keys have a long prefix in common, heads are taken from behind it.
//! - While one child wins again and again, as the largest level does, it is compared with the
//!   runner-up alone.

use std::cmp::Ordering;

use lsmkit_base::{ANNOUNCEMENTS, Cursor, Entry, Fault, KeyRef, SeqNo, Slice, begins_with, key_head};

/// Shows the entries of all its children as one sorted sequence, in both directions.
///
/// Children are given newest first. A version that several children hold, as after a log was
/// replayed twice, is shown once, as the newest child has it.
///
/// No move allocates for each entry. A fault of any child is a fault of the merge: see [`Cursor`].
#[derive(Debug)]
pub struct Merge<C> {
    children: Vec<C>,
    /// Inner node `n`, from 1 on, has the nodes `2n` and `2n + 1` beneath it; child `c` is leaf
    /// `children + c`. Each inner node holds the loser of its match. Node 0 is not used.
    losers: Vec<Player>,
    winner: Player,
    /// The best of all but the winner, known only while the winner keeps winning.
    runner_up: Option<Player>,
    facing: Facing,
    heads: Heads,
    notes: Notes,
    /// Full comparisons since the prefix was last looked at, before it is looked at again.
    patience: u32,
    /// What the tree is built in; its buffer is reused.
    matches: Vec<Player>,
    /// A user key that has to outlive a move; its buffer is reused.
    scratch: Vec<u8>,
    fault: Option<Fault>,
}

/// A child in the tree.
#[derive(Clone, Copy, Debug)]
struct Player {
    /// In both directions the smaller head goes first.
    head: u64,
    child: u32,
}

/// Where the cursor is and how its children stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Facing {
    /// Off the end.
    Off,
    /// On the winner; every other child stands on its first entry at or after it.
    Forward,
    /// On the winner; every other child stands on its last entry at or before it.
    Backward,
}

/// How heads are taken from keys.
#[derive(Debug)]
struct Heads {
    /// What all keys have in common but those that come after them all in the direction of the merge.
    prefix: Vec<u8>,
    backward: bool,
}

/// What comparisons found out beside their result.
#[derive(Default, Debug)]
struct Notes {
    /// Some version was seen in two children since the tree was built.
    ties: bool,
    /// How many comparisons heads could not decide.
    full: u32,
}

/// After this many full comparisons a common prefix is looked for, the first time and later.
const FIRST_PATIENCE: u32 = 4;
const PATIENCE: u32 = 32;

/// How much of the prefix common to neighbours is left in the heads. Neighbours have more in
/// common than keys further on; with these bytes the heads stay of use for some 2³² keys.
const PREFIX_SLACK: usize = 4;

/// Sorts last among heads: no entry, or one behind all that have the prefix.
const LAST: u64 = u64::MAX;

impl<C: Cursor> Merge<C> {
    /// The merge of `children`, newest first. It starts off the end, wherever they stand.
    ///
    /// # Panics
    ///
    /// For more than 2³² − 1 children.
    pub fn new(children: Vec<C>) -> Merge<C> {
        assert!(u32::try_from(children.len()).is_ok(), "children are numbered in 32 bits");
        let nobody = Player { head: LAST, child: 0 };
        Merge {
            losers: vec![nobody; children.len()],
            winner: nobody,
            runner_up: None,
            facing: Facing::Off,
            heads: Heads { prefix: Vec::new(), backward: false },
            notes: Notes::default(),
            patience: FIRST_PATIENCE,
            matches: Vec::with_capacity(children.len() * 2),
            scratch: Vec::new(),
            fault: None,
            children,
        }
    }

    /// The children, newest first. Which entries they stand on is the merge's own affair.
    pub fn children(&self) -> &[C] {
        &self.children
    }

    /// The children, newest first, wherever they stand.
    pub fn into_children(self) -> Vec<C> {
        self.children
    }
}

impl<C: Cursor> Cursor for Merge<C> {
    fn seek_first(&mut self) -> Result<(), Fault> {
        self.seek_all(Facing::Forward, |child| child.seek_first())
    }

    fn seek_last(&mut self) -> Result<(), Fault> {
        self.seek_all(Facing::Backward, |child| child.seek_last())
    }

    fn seek(&mut self, target: KeyRef<'_>) -> Result<(), Fault> {
        self.announce_fully(target);
        self.seek_all(Facing::Forward, |child| child.seek(target))
    }

    fn seek_before(&mut self, target: KeyRef<'_>) -> Result<(), Fault> {
        self.announce_fully(target);
        self.seek_all(Facing::Backward, |child| child.seek_before(target))
    }

    fn announce(&mut self, target: KeyRef<'_>) {
        self.facing = Facing::Off;
        self.children.iter_mut().for_each(|child| child.announce(target));
    }

    #[inline]
    fn next(&mut self) -> Result<(), Fault> {
        match self.facing {
            Facing::Forward if !self.notes.ties => self.advance(),
            Facing::Forward => self.advance_past_duplicates(),
            Facing::Backward => self.turn(Facing::Forward),
            Facing::Off => self.fault.clone().map_or(Ok(()), Err),
        }
    }

    #[inline]
    fn prev(&mut self) -> Result<(), Fault> {
        match self.facing {
            Facing::Backward if !self.notes.ties => self.advance(),
            Facing::Backward => self.advance_past_duplicates(),
            Facing::Forward => self.turn(Facing::Backward),
            Facing::Off => self.fault.clone().map_or(Ok(()), Err),
        }
    }

    #[inline]
    fn entry(&self) -> Option<Entry<'_>> {
        match self.facing {
            Facing::Off => None,
            _ => self.children[self.winner.child as usize].entry(),
        }
    }

    #[inline]
    fn begins_key(&self) -> bool {
        self.facing == Facing::Backward
            && self.children[self.winner.child as usize].begins_key()
            && self.others_differ()
    }

    fn value(&self) -> Option<Slice> {
        match self.facing {
            Facing::Off => None,
            _ => self.children[self.winner.child as usize].value(),
        }
    }
}

impl<C: Cursor> Merge<C> {
    /// Announces a seek to all children, step by step, if there are several.
    fn announce_fully(&mut self, target: KeyRef<'_>) {
        if self.children.len() > 1 {
            (0..ANNOUNCEMENTS).for_each(|_| self.announce(target));
        }
    }

    fn seek_all(
        &mut self,
        facing: Facing,
        mut seek: impl FnMut(&mut C) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.facing = Facing::Off;
        self.fault = None;
        for child in &mut self.children {
            if let Err(fault) = seek(child) {
                return self.fail(fault);
            }
        }
        self.build_afresh(facing);
        Ok(())
    }

    /// Moves the winner on in the direction the merge faces, and finds the next.
    #[inline]
    fn advance(&mut self) -> Result<(), Fault> {
        let child = self.winner.child as usize;
        let moved = match self.heads.backward {
            false => self.children[child].next(),
            true => self.children[child].prev(),
        };
        if let Err(fault) = moved {
            return self.fail(fault);
        }
        let moved = Player { head: self.heads.head(&self.children[child]), child: child as u32 };
        match self.runner_up {
            Some(runner_up) if precedes(&self.children, &self.heads, &mut self.notes, moved, runner_up) => {
                self.winner = moved;
            }
            _ => self.replay(moved),
        }
        if self.notes.full >= self.patience {
            self.look_for_prefix();
        }
        if self.winner.head == LAST && self.children[self.winner.child as usize].entry().is_none() {
            self.facing = Facing::Off;
        }
        Ok(())
    }

    /// As [`Merge::advance`], and on over what other children have of the same version.
    #[cold]
    fn advance_past_duplicates(&mut self) -> Result<(), Fault> {
        let Some(seq) = self.save_key() else { return Ok(()) };
        loop {
            self.advance()?;
            match self.entry() {
                Some(entry) if entry.seq == seq && *entry.user_key == *self.scratch => {}
                _ => return Ok(()),
            }
        }
    }

    /// Plays the matches of the winner's child again, which moved to `moved`.
    #[inline]
    fn replay(&mut self, moved: Player) {
        let children = self.children.len();
        let mut best = moved;
        let mut node = (children + moved.child as usize) / 2;
        while node > 0 {
            let held = self.losers[node];
            let held_wins = precedes(&self.children, &self.heads, &mut self.notes, held, best);
            self.losers[node] = if held_wins { best } else { held };
            best = if held_wins { held } else { best };
            node /= 2;
        }
        self.winner = best;
        // A child that won twice is likely to win again; the runner-up lost to it directly. With two
        // children, a match with the runner-up would be the one that is played anyway.
        self.runner_up = None;
        if best.child == moved.child && children > 2 {
            let mut node = (children + best.child as usize) / 2;
            let mut runner_up = self.losers[node];
            node /= 2;
            while node > 0 {
                let held = self.losers[node];
                if precedes(&self.children, &self.heads, &mut self.notes, held, runner_up) {
                    runner_up = held;
                }
                node /= 2;
            }
            self.runner_up = Some(runner_up);
        }
    }

    /// Whether heads alone tell that no other child stands on the winner's user key.
    #[inline]
    fn others_differ(&self) -> bool {
        let winner = self.winner.head;
        let differs = |other: Player| other.head != winner;
        match self.runner_up {
            Some(runner_up) => differs(runner_up),
            // The next is among those that lost to the winner.
            None => {
                let up = |node: usize| Some(node / 2).filter(|up| *up > 0);
                let path = up(self.children.len() + self.winner.child as usize);
                std::iter::successors(path, |node| up(*node)).all(|node| differs(self.losers[node]))
            }
        }
    }

    /// Turns round and moves on by one.
    #[cold]
    fn turn(&mut self, facing: Facing) -> Result<(), Fault> {
        let Some(seq) = self.save_key() else { return Ok(()) };
        let winner = self.winner.child as usize;
        let here = KeyRef::new(&self.scratch, seq);
        // The others are sought afresh rather than moved by one: a child to which entries were added
        // meanwhile may have some between the winner and where it stands.
        let turned = self.children.iter_mut().enumerate().try_for_each(|(index, child)| match facing {
            Facing::Backward if index == winner => child.prev(),
            Facing::Backward => child.seek_before(here),
            _ if index == winner => child.next(),
            _ => {
                child.seek(here)?;
                let duplicate = child.entry().is_some_and(|entry| entry.key() == here);
                if duplicate { child.next() } else { Ok(()) }
            }
        });
        match turned {
            Ok(()) => {
                self.build_afresh(facing);
                Ok(())
            }
            Err(fault) => self.fail(fault),
        }
    }

    /// Keeps the user key of the present entry, and gives its number.
    fn save_key(&mut self) -> Option<SeqNo> {
        let entry = self.children[self.winner.child as usize].entry()?;
        self.scratch.clear();
        self.scratch.extend_from_slice(entry.user_key);
        Some(entry.seq)
    }

    fn fail(&mut self, fault: Fault) -> Result<(), Fault> {
        self.facing = Facing::Off;
        self.fault = Some(fault.clone());
        Err(fault)
    }

    /// Builds the tree after all children have moved.
    fn build_afresh(&mut self, facing: Facing) {
        self.heads.prefix.clear();
        self.heads.backward = facing == Facing::Backward;
        self.notes.full = 0;
        self.patience = FIRST_PATIENCE;
        self.build();
        let stands =
            self.children.get(self.winner.child as usize).is_some_and(|child| child.entry().is_some());
        self.facing = if stands { facing } else { Facing::Off };
    }

    /// Plays every match.
    fn build(&mut self) {
        self.notes.ties = false;
        self.runner_up = None;
        let count = self.children.len();
        let nobody = Player { head: LAST, child: 0 };
        self.matches.clear();
        self.matches.resize(count, nobody);
        for (child, cursor) in self.children.iter().enumerate() {
            self.matches.push(Player { head: self.heads.head(cursor), child: child as u32 });
        }
        for node in (1..count).rev() {
            let (left, right) = (self.matches[2 * node], self.matches[2 * node + 1]);
            let left_wins = precedes(&self.children, &self.heads, &mut self.notes, left, right);
            (self.matches[node], self.losers[node]) = if left_wins { (left, right) } else { (right, left) };
        }
        // A single child is the leaf numbered 1: the root.
        self.winner = self.matches.get(1).copied().unwrap_or(nobody);
    }

    /// Takes heads from behind what the winner has in common with the entry nearest to it.
    #[cold]
    fn look_for_prefix(&mut self) {
        self.notes.full = 0;
        let winner = self.winner.child as usize;
        let Some(entry) = self.children[winner].entry() else { return };
        let others = self.children.iter().enumerate().filter(|(index, _)| *index != winner);
        let common = others
            .filter_map(|(_, child)| child.entry())
            .map(|other| entry.user_key.iter().zip(other.user_key).take_while(|(a, b)| a == b).count())
            .max()
            .unwrap_or(0);
        let prefix = &entry.user_key[..common.saturating_sub(PREFIX_SLACK)];
        if *self.heads.prefix == *prefix {
            // Full comparisons have another cause, such as many versions of one key.
            self.patience = self.patience.saturating_mul(2);
            return;
        }
        self.patience = PATIENCE;
        self.heads.prefix.clear();
        self.heads.prefix.extend_from_slice(prefix);
        self.build();
    }
}

impl Heads {
    #[inline]
    fn head(&self, child: &impl Cursor) -> u64 {
        let Some(entry) = child.entry() else { return LAST };
        let key = entry.user_key;
        // The prefix was the first child's in the direction of the merge. All that follows has
        // it too or comes after everything that has.
        if !begins_with(key, &self.prefix) {
            return LAST;
        }
        // Of short keys heads may be equal; then the keys decide.
        let head = key_head(&key[self.prefix.len()..]);
        if self.backward { !head } else { head }
    }
}

/// Whether `a` comes before `b` in the direction of the merge. Of equal versions the newer child's does.
#[inline]
fn precedes<C: Cursor>(children: &[C], heads: &Heads, notes: &mut Notes, a: Player, b: Player) -> bool {
    if a.head != b.head { a.head < b.head } else { precedes_in_full(children, heads, notes, a, b) }
}

#[inline(never)]
fn precedes_in_full<C: Cursor>(
    children: &[C],
    heads: &Heads,
    notes: &mut Notes,
    a: Player,
    b: Player,
) -> bool {
    notes.full += 1;
    match (children[a.child as usize].entry(), children[b.child as usize].entry()) {
        (Some(left), Some(right)) => {
            let order = left.key().cmp(&right.key());
            match if heads.backward { order.reverse() } else { order } {
                Ordering::Less => true,
                Ordering::Greater => false,
                Ordering::Equal => {
                    notes.ties = true;
                    a.child < b.child
                }
            }
        }
        (None, None) => a.child < b.child,
        (left, _) => left.is_some(),
    }
}
