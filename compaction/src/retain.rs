//! What may be forgotten: versions no snapshot can see, and tombstones with nothing left to hide.

use lsmkit_base::{Entry, SeqNo, ValueKind};

/// Decides, entry by entry in the order of a merge, what its output keeps.
///
/// The snapshots cut the history of each key into stripes: a version belongs to the oldest snapshot
/// that sees it, or to the present. Of each stripe only the newest version can be read. A tombstone
/// in the oldest stripe is not needed either once nothing older of its key is left beneath.
#[derive(Clone, Debug)]
pub struct Retain {
    /// Ascending.
    snapshots: Vec<SeqNo>,
    /// The user key of the last entry; its buffer is reused.
    user_key: Vec<u8>,
    /// The stripe of the last entry; `None` before the first.
    stripe: Option<usize>,
}

impl Retain {
    /// Keeps what a reader of the present or of one of `snapshots` can see. A snapshot sees the
    /// versions with its own number and lower ones.
    ///
    /// # Panics
    ///
    /// Where `snapshots` are not in ascending order.
    pub fn new(snapshots: &[SeqNo]) -> Retain {
        assert!(snapshots.is_sorted(), "snapshots ascend");
        Retain { snapshots: snapshots.to_vec(), user_key: Vec::new(), stripe: None }
    }

    /// Whether the output keeps `entry`. Every entry of the merge has to be shown, in order: user
    /// keys ascending, versions of a key from the newest to the oldest.
    ///
    /// `older_below` is asked, for a tombstone only, whether the tree may hold older versions of
    /// the user key outside the merge: [`crate::OlderBelow::may_hold`].
    #[inline]
    pub fn keep(&mut self, entry: Entry<'_>, older_below: impl FnOnce(&[u8]) -> bool) -> bool {
        let stripe = self.stripe_of(entry.seq);
        if self.stripe.is_some() && *self.user_key == *entry.user_key {
            // Equal numbers, which a replayed log may bring, fall into one stripe too.
            if self.stripe.replace(stripe) == Some(stripe) {
                return false;
            }
        } else {
            self.user_key.clear();
            self.user_key.extend_from_slice(entry.user_key);
            self.stripe = Some(stripe);
        }
        entry.kind != ValueKind::Delete || stripe > 0 || older_below(entry.user_key)
    }

    /// How many snapshots do not see `seq`.
    #[inline]
    fn stripe_of(&self, seq: SeqNo) -> usize {
        match self.snapshots.last() {
            None => 0,
            Some(newest) if seq > *newest => self.snapshots.len(),
            Some(_) => self.snapshots.partition_point(|snapshot| *snapshot < seq),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seq(n: u64) -> SeqNo {
        SeqNo::new(n).unwrap()
    }

    /// Of `a9 a7- b3`, a put of `a` at 9, a tombstone of it at 7 and a put of `b` at 3: what is kept.
    fn kept(snapshots: &[u64], history: &str, older_below: &str) -> String {
        let snapshots: Vec<_> = snapshots.iter().map(|n| seq(*n)).collect();
        let mut retain = Retain::new(&snapshots);
        let keep = |version: &&str| {
            let (key, number) = version.split_at(1);
            let entry = match number.strip_suffix('-') {
                Some(number) => Entry::delete(key.as_bytes(), seq(number.parse().unwrap())),
                None => Entry::put(key.as_bytes(), seq(number.parse().unwrap()), b"v"),
            };
            retain.keep(entry, |asked| older_below.as_bytes().contains(&asked[0]))
        };
        history.split(' ').filter(keep).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_the_newest_of_each_stripe_stays() {
        assert_eq!(kept(&[], "a9 a7 a1 b8 b2", ""), "a9 b8");
        assert_eq!(kept(&[7], "a9 a8 a7 a6 a1", ""), "a9 a7");
        assert_eq!(kept(&[2, 7], "a9 a8 a5 a4 a2 a1", ""), "a9 a5 a2");
        assert_eq!(kept(&[2, 2, 7], "a9 a3 a2 a1", ""), "a9 a3 a2");
    }

    #[test]
    fn a_snapshot_sees_its_own_number() {
        assert_eq!(kept(&[8], "a9 a8 a7", ""), "a9 a8");
        assert_eq!(kept(&[7], "a9 a8 a7", ""), "a9 a7");
    }

    #[test]
    fn a_tombstone_goes_when_it_hides_nothing() {
        assert_eq!(kept(&[], "a9- a7 b3-", ""), "");
        assert_eq!(kept(&[], "a9- a7 b3-", "a"), "a9-");
        assert_eq!(kept(&[10], "a9- a7 b3-", ""), "");
    }

    #[test]
    fn a_tombstone_stays_while_a_snapshot_sees_what_it_hides() {
        assert_eq!(kept(&[7], "a9- a7", ""), "a9- a7");
        assert_eq!(kept(&[7], "a9 a7- a5", ""), "a9");
        assert_eq!(kept(&[7], "a9- a8 a7- a5", "a"), "a9- a7-");
    }

    #[test]
    fn an_empty_key_and_a_repeated_version_are_told_apart() {
        let mut retain = Retain::new(&[]);
        assert!(retain.keep(Entry::put(b"", seq(5), b""), |_| false));
        assert!(!retain.keep(Entry::put(b"", seq(5), b""), |_| false));
        assert!(retain.keep(Entry::put(b"a", seq(5), b""), |_| false));
    }
}
