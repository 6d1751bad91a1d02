//! `Job::check` refuses each way to lose the order of ages, and `OlderBelow` knows what is beneath.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;

use lsmkit_base::{RunId, TableChange, TableId, TableMeta, Tree};
use lsmkit_compaction::{Busy, Cause, Job, JobKind, OlderBelow, Unsound};

fn tree(tables: &[(u32, u64, u64, &str)]) -> Tree {
    let add = |&(level, run, id, range): &(u32, u64, u64, &str)| {
        let (smallest, largest) = range.split_once('-').unwrap();
        let table = Arc::new(TableMeta {
            id: TableId(id),
            size_bytes: 10,
            smallest: smallest.as_bytes().into(),
            largest: largest.as_bytes().into(),
            ..TableMeta::default()
        });
        TableChange::Add { level, run: RunId(run), table }
    };
    Tree::default().apply(&tables.iter().map(add).collect::<Vec<_>>()).unwrap()
}

fn job(kind: JobKind, inputs: &[u64], level: u32, run: u64) -> Job {
    let inputs = inputs.iter().map(|id| TableId(*id)).collect();
    Job { inputs, level, run: RunId(run), kind, table_bytes: 10, cause: Cause::Manual }
}

use JobKind::{Merge, Move};

/// Level 0 of three flushes, of which the middle one is apart; two levels below.
fn stacked() -> Tree {
    tree(&[
        (0, 7, 7, "a-f"),
        (0, 6, 6, "m-p"),
        (0, 5, 5, "c-k"),
        (1, 3, 3, "e-m"),
        (1, 3, 4, "x-z"),
        (2, 1, 1, "a-z"),
    ])
}

fn verdict(tree: &Tree, job: &Job) -> Result<(), Unsound> {
    job.check(tree, &Busy::default())
}

#[test]
fn sound_jobs_pass() {
    for job in [
        job(Merge, &[7, 6, 5, 3], 1, 3),
        job(Merge, &[5, 3], 1, 3),
        job(Merge, &[6, 3], 1, 3),
        job(Merge, &[3, 1], 2, 1),
        job(Merge, &[7, 5], 0, 7),
        job(Move, &[4], 1, 3),
        job(Merge, &[7, 6, 5, 3, 4, 1], 4, 7),
    ] {
        assert_eq!(verdict(&stacked(), &job), Ok(()), "{job:?}");
    }
}

#[test]
fn what_is_not_there_or_not_idle_is_refused() {
    let tree = stacked();
    assert_eq!(verdict(&tree, &job(Merge, &[], 1, 3)), Err(Unsound::NoInputs));
    assert_eq!(verdict(&tree, &job(Merge, &[99], 1, 3)), Err(Unsound::Missing(TableId(99))));
    assert_eq!(verdict(&tree, &job(Merge, &[4, 4], 1, 3)), Err(Unsound::Twice(TableId(4))));
    let busy = Busy::of(&tree, [&job(Merge, &[5, 3], 1, 3)]);
    assert_eq!(job(Merge, &[3, 1], 2, 1).check(&tree, &busy), Err(Unsound::Busy(TableId(3))));
    let moved = job(Merge, &[7], 1, 3).check(&tree, &busy);
    assert_eq!(moved, Err(Unsound::BusyRange(1)));
    assert_eq!(verdict(&tree, &job(Merge, &[7], 32, 3)), Err(Unsound::TooDeep(32)));
}

/// Either is sound by itself. Together they would put run 10's version of `k` beneath that of run 3.
#[test]
fn jobs_among_the_same_runs_are_not_at_once() {
    let tree = tree(&[(0, 10, 10, "k-k"), (0, 5, 5, "p-q"), (0, 4, 4, "x-z"), (0, 3, 3, "k-k")]);
    let up = job(Move, &[3, 5], 0, 5);
    let down = job(Move, &[10], 0, 4);
    for (held, late) in [(&up, &down), (&down, &up)] {
        assert_eq!((verdict(&tree, held), verdict(&tree, late)), (Ok(()), Ok(())));
        let busy = Busy::of(&tree, [held]);
        assert_eq!(late.check(&tree, &busy), Err(Unsound::BusyRange(0)));
    }
    // One on the older side of all that the other touches may go on beside it.
    let older = job(Merge, &[4, 3], 0, 4);
    let newer = job(Merge, &[10, 5], 0, 10);
    assert_eq!(newer.check(&tree, &Busy::of(&tree, [&older])), Ok(()));
    assert_eq!(older.check(&tree, &Busy::of(&tree, [&newer])), Ok(()));
}

#[test]
fn newer_data_does_not_pass_older() {
    let passed = |input, passed| Err(Unsound::Order { input: TableId(input), passed: TableId(passed) });
    // Flush 7 would pass 5, which has some of its keys.
    assert_eq!(verdict(&stacked(), &job(Merge, &[7, 3], 1, 3)), passed(7, 5));
    // Table 3 would pass 1.
    assert_eq!(verdict(&stacked(), &job(Merge, &[3], 3, 3)), passed(3, 1));
    // Within a level: run 7 would be named older than 5.
    let level = tree(&[(1, 7, 7, "a-c"), (1, 5, 5, "b-d"), (1, 4, 4, "x-z")]);
    assert_eq!(verdict(&level, &job(Move, &[7], 1, 4)), passed(7, 5));
}

#[test]
fn outputs_have_a_place_of_their_own() {
    // The gap between the inputs holds table 4 of the output run.
    let gap = tree(&[(0, 7, 7, "a-b"), (0, 6, 6, "y-z"), (1, 3, 4, "m-n")]);
    assert_eq!(verdict(&gap, &job(Merge, &[7, 6], 1, 3)), Err(Unsound::Overlap(TableId(4))));
    assert_eq!(verdict(&gap, &job(Move, &[7, 6], 1, 3)), Ok(()));
    assert_eq!(verdict(&stacked(), &job(Move, &[7, 5], 0, 7)), Err(Unsound::MoveOverlap));
    assert_eq!(verdict(&stacked(), &job(Merge, &[1], 1, 3)), Err(Unsound::Upward(TableId(1), 1)));
    assert_eq!(verdict(&stacked(), &job(Merge, &[4], 3, 2)), Err(Unsound::Age(RunId(2))));
}

/// Which of the letters may have older versions outside the job.
fn older(tree: &Tree, job: &Job) -> String {
    let mut older = OlderBelow::new(tree, job);
    let ascending: String = ('a'..='z').filter(|key| older.may_hold(&[*key as u8])).collect();
    // Asked in another order the answers are the same.
    let descending: String = ('a'..='z').rev().filter(|key| older.may_hold(&[*key as u8])).collect();
    assert_eq!(ascending, descending.chars().rev().collect::<String>());
    ascending
}

#[test]
fn older_data_is_deeper_or_in_older_runs() {
    let tree = tree(&[
        (0, 9, 9, "a-z"),
        (1, 7, 7, "c-e"),
        (1, 5, 5, "d-f"),
        (1, 5, 6, "h-i"),
        (2, 1, 1, "a-b"),
        (2, 1, 2, "e-e"),
        (2, 1, 3, "j-k"),
    ]);
    assert_eq!(older(&tree, &job(Merge, &[7], 2, 7)), "def");
    assert_eq!(older(&tree, &job(Merge, &[5, 6], 2, 5)), "e");
    assert_eq!(older(&tree, &job(Merge, &[7, 5, 6, 1, 2], 2, 1)), "");
    assert_eq!(older(&tree, &job(Merge, &[1, 2, 3], 2, 1)), "");
    assert!(OlderBelow::new(&tree, &job(Merge, &[1, 2, 3], 2, 1)).is_empty());
    assert_eq!(older(&tree, &job(Merge, &[9, 7, 5, 6], 1, 9)), "abejk");
}
