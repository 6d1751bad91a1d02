//! The k-way merge against a sorted set, in both directions, with duplicates and with faults.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;
use std::path::Path;

use lsmkit_base::{Cursor, Entry, Fault, FaultKind, KeyRef, SeqNo, Slice, ValueKind};
use lsmkit_compaction::Merge;
use lsmkit_compaction::testkit::{Rng, VecCursor, Version};
use proptest::prelude::*;

fn seq(n: u64) -> SeqNo {
    SeqNo::new(n).unwrap()
}

fn version(user_key: &[u8], n: u64, kind: ValueKind) -> Version {
    Version { user_key: user_key.into(), seq: seq(n), kind }
}

fn sorted(mut versions: Vec<Version>) -> Vec<Version> {
    versions.sort_by(|a, b| a.key().cmp(&b.key()));
    versions.dedup_by(|a, b| a.key() == b.key());
    versions
}

/// What the merge should show: of each version the newest child's.
fn model(children: &[Vec<Version>]) -> Vec<Version> {
    let mut all = BTreeMap::new();
    for version in children.iter().rev().flatten() {
        all.insert((version.user_key.clone(), std::cmp::Reverse(version.seq)), version.clone());
    }
    all.into_values().collect()
}

#[derive(Clone, Debug)]
enum Move {
    First,
    Last,
    Seek(Vec<u8>, u64),
    SeekBefore(Vec<u8>, u64),
    Next(u8),
    Prev(u8),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        // Short keys of the least and the greatest bytes, where heads are filled up or at their limits.
        prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0xfe), Just(0xff)], 0..10),
        // Long common prefixes, with a few keys that lack them.
        (0u32..400).prop_map(|n| format!("user/profile/{n:06}").into_bytes()),
        (0u32..4).prop_map(|n| format!("user/pro{n}").into_bytes()),
    ]
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        1 => Just(Move::First),
        1 => Just(Move::Last),
        2 => (key(), 0u64..6).prop_map(|(key, n)| Move::Seek(key, n)),
        2 => (key(), 0u64..6).prop_map(|(key, n)| Move::SeekBefore(key, n)),
        6 => (1u8..60).prop_map(Move::Next),
        6 => (1u8..60).prop_map(Move::Prev),
    ];
    prop::collection::vec(one, 1..20)
}

/// Makes the same moves on the merge and on the model, and compares after each.
fn follow(children: &[Vec<Version>], moves: &[Move]) {
    let model = model(children);
    let mut merge = Merge::new(children.iter().map(|child| VecCursor::new(child)).collect());
    let mut at: Option<usize> = None;
    let before = |key: &[u8], n| model.partition_point(|version| version.key() < KeyRef::new(key, seq(n)));
    assert_eq!(merge.entry(), None);
    for step in moves {
        let times = match step {
            Move::Next(times) | Move::Prev(times) => *times,
            _ => 1,
        };
        for _ in 0..times {
            match step {
                Move::First => (merge.seek_first().unwrap(), at = Some(0)).1,
                Move::Last => (merge.seek_last().unwrap(), at = model.len().checked_sub(1)).1,
                Move::Seek(key, n) => {
                    merge.seek(KeyRef::new(key, seq(*n))).unwrap();
                    at = Some(before(key, *n));
                }
                Move::SeekBefore(key, n) => {
                    merge.seek_before(KeyRef::new(key, seq(*n))).unwrap();
                    at = before(key, *n).checked_sub(1);
                }
                Move::Next(_) => (merge.next().unwrap(), at = at.map(|at| at + 1)).1,
                Move::Prev(_) => (merge.prev().unwrap(), at = at.and_then(|at| at.checked_sub(1))).1,
            }
            at = at.filter(|at| *at < model.len());
            assert_eq!(merge.entry(), at.map(|at| model[at].entry()), "after {step:?}");
            if merge.begins_key() {
                let key = |at: usize| model.get(at).map(|version| &version.user_key);
                let here = at.expect("because it stands on an entry");
                assert_ne!(here.checked_sub(1).and_then(key), key(here), "after {step:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn equals_a_sorted_set(
        children in prop::collection::vec(
            prop::collection::vec((key(), 0u64..5, any::<bool>()), 0..60), 0..9),
        moves in moves(),
    ) {
        // A version in several children has another kind in each, so it shows which one is seen.
        let children: Vec<Vec<Version>> = children
            .into_iter()
            .map(|child| {
                let kind = |put| if put { ValueKind::Put } else { ValueKind::Delete };
                sorted(child.into_iter().map(|(key, n, put)| version(&key, n, kind(put))).collect())
            })
            .collect();
        follow(&children, &moves);
    }
}

#[test]
fn long_merges_with_common_prefixes_equal_a_sorted_set() {
    let mut rng = Rng::new(3);
    for count in [1, 2, 3, 5, 8, 13] {
        let mut children = vec![Vec::new(); count];
        for n in 0..4_000 {
            let key = match n % 50 {
                0 => format!("zone/{}", rng.below(50)),
                _ => format!("user/profile/{:09}", rng.below(100_000)),
            };
            // One child in two gets most of the entries, so that it wins in long streaks.
            let child = if rng.once_in(2) { 0 } else { rng.below(count as u64) as usize };
            children[child].push(version(key.as_bytes(), rng.below(3), ValueKind::Put));
        }
        let children: Vec<_> = children.into_iter().map(sorted).collect();
        let model = model(&children);
        let mut merge = Merge::new(children.iter().map(|child| VecCursor::new(child)).collect());
        merge.seek_first().unwrap();
        for expected in &model {
            assert_eq!(merge.entry(), Some(expected.entry()));
            merge.next().unwrap();
        }
        assert_eq!(merge.entry(), None);
        merge.seek_last().unwrap();
        for expected in model.iter().rev() {
            assert_eq!(merge.entry(), Some(expected.entry()));
            merge.prev().unwrap();
        }
        assert_eq!(merge.entry(), None);
    }
}

#[test]
fn off_the_end_it_stays_off_the_end() {
    let child = [version(b"a", 1, ValueKind::Put)];
    let mut merge = Merge::new(vec![VecCursor::new(&child)]);
    merge.next().unwrap();
    assert_eq!(merge.entry(), None);
    merge.seek_first().unwrap();
    merge.next().unwrap();
    merge.prev().unwrap();
    assert_eq!(merge.entry(), None);
    let mut empty: Merge<VecCursor<'_>> = Merge::new(Vec::new());
    for _ in 0..2 {
        empty.seek_first().unwrap();
        empty.next().unwrap();
        empty.seek_last().unwrap();
        empty.prev().unwrap();
        assert_eq!((empty.entry(), empty.value().map(|value| value.to_vec())), (None, None));
    }
}

/// Fails the nth move of all.
struct Failing<'a> {
    inner: VecCursor<'a>,
    moves_left: u32,
    fault: bool,
}

impl Failing<'_> {
    fn count(&mut self) -> Result<(), Fault> {
        match self.moves_left.checked_sub(1) {
            Some(left) => {
                self.moves_left = left;
                Ok(())
            }
            None => {
                self.fault = true;
                Err(Fault::corrupt(Path::new("000007.sst"), 512, "block checksum"))
            }
        }
    }
}

impl Cursor for Failing<'_> {
    fn seek_first(&mut self) -> Result<(), Fault> {
        self.count()?;
        self.inner.seek_first()
    }
    fn seek_last(&mut self) -> Result<(), Fault> {
        self.count()?;
        self.inner.seek_last()
    }
    fn seek(&mut self, target: KeyRef<'_>) -> Result<(), Fault> {
        self.count()?;
        self.inner.seek(target)
    }
    fn seek_before(&mut self, target: KeyRef<'_>) -> Result<(), Fault> {
        self.count()?;
        self.inner.seek_before(target)
    }
    fn next(&mut self) -> Result<(), Fault> {
        self.count()?;
        self.inner.next()
    }
    fn prev(&mut self) -> Result<(), Fault> {
        self.count()?;
        self.inner.prev()
    }
    fn entry(&self) -> Option<Entry<'_>> {
        if self.fault { None } else { self.inner.entry() }
    }
}

#[test]
fn a_fault_sticks_until_the_next_seek() {
    let children: Vec<Vec<Version>> = (0..4u8)
        .map(|child| (0..8u8).map(|n| version(&[4 * n + child], 1, ValueKind::Put)).collect())
        .collect();
    // Forward to the middle, back, and forward again, so that turns fail too.
    let walk = |merge: &mut Merge<Failing<'_>>| -> Result<u32, Fault> {
        let mut seen = 0;
        merge.seek_first()?;
        for step in 0..30 {
            assert!(merge.entry().is_some());
            if (10..15).contains(&step) {
                merge.prev()?
            } else {
                merge.next()?
            }
            seen += 1;
        }
        Ok(seen)
    };
    let mut failed = 0;
    for moves_left in 0..60 {
        for failing in 0..4 {
            let cursors = children.iter().enumerate().map(|(index, child)| Failing {
                inner: VecCursor::new(child),
                moves_left: if index == failing { moves_left } else { u32::MAX },
                fault: false,
            });
            let mut merge = Merge::new(cursors.collect());
            if walk(&mut merge).is_ok() {
                continue;
            }
            failed += 1;
            for _ in 0..2 {
                assert_eq!(merge.entry(), None);
                for again in [merge.next(), merge.prev()] {
                    let fault = again.unwrap_err();
                    assert!(matches!(fault.kind(), FaultKind::Corrupt { offset: 512, .. }), "{fault}");
                }
            }
            let healed = merge.into_children().into_iter().map(|child| Failing {
                moves_left: u32::MAX,
                fault: false,
                ..child
            });
            let mut merge = Merge::new(healed.collect());
            assert_eq!(walk(&mut merge).unwrap(), 30);
        }
    }
    assert!(failed > 30, "{failed} walks met a fault");
}

/// Gives values that are pinned rather than copied.
struct Pinning<'a>(VecCursor<'a>, Slice);

impl Cursor for Pinning<'_> {
    fn seek_first(&mut self) -> Result<(), Fault> {
        self.0.seek_first()
    }
    fn seek_last(&mut self) -> Result<(), Fault> {
        self.0.seek_last()
    }
    fn seek(&mut self, target: KeyRef<'_>) -> Result<(), Fault> {
        self.0.seek(target)
    }
    fn seek_before(&mut self, target: KeyRef<'_>) -> Result<(), Fault> {
        self.0.seek_before(target)
    }
    fn next(&mut self) -> Result<(), Fault> {
        self.0.next()
    }
    fn prev(&mut self) -> Result<(), Fault> {
        self.0.prev()
    }
    fn entry(&self) -> Option<Entry<'_>> {
        self.0.entry()
    }
    fn value(&self) -> Option<Slice> {
        self.0.entry().map(|_| self.1.clone())
    }
}

#[test]
fn a_value_is_pinned_by_the_child_that_holds_it() {
    let (newer, older) = ([version(b"a", 2, ValueKind::Put)], [version(b"a", 1, ValueKind::Put)]);
    let (first, second) = (Slice::from(&b"newer"[..]), Slice::from(&b"older"[..]));
    let mut merge =
        Merge::new(vec![Pinning(VecCursor::new(&newer), first), Pinning(VecCursor::new(&older), second)]);
    assert!(merge.value().is_none());
    merge.seek_first().unwrap();
    assert_eq!(&*merge.value().unwrap(), b"newer");
    merge.next().unwrap();
    assert_eq!(&*merge.value().unwrap(), b"older");
}
