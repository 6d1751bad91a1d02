//! The commit queue: writers that come at the same time become one group.
//!
//! A writer that finds nobody leading leads: it commits its own request at once, then those that
//! queued up meanwhile, as groups. The others wait for their outcome. After some rounds the leader
//! hands the lead to a waiter, so that no writer works for others for ever.
//!
//! Joining takes no lock, and a lone writer pays for two atomic operations. The one number that is kept says how many
//! requests are on their way; whoever raises it from zero leads, and whoever leads lowers it by what has been
//! committed, and leads on unless that makes it zero. A request is in the queue before it is counted, so what is
//! counted can be taken.
//!
//! The queue knows nothing of a store: what it needs of one is [`CommitEnv`], so it is tested without.

use std::sync::Arc;

use crate::sync::{AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering, Queue, Thread, thread};

/// How many groups of others a leader commits before it hands on the lead. Few under shuttle, so that it comes to that.
const ROUNDS: usize = if cfg!(shuttle) { 2 } else { 8 };
/// How many requests a group has at most.
const GROUP_MAX: usize = if cfg!(shuttle) { 2 } else { 128 };
/// How often a waiter looks for its outcome before it parks: for a few microseconds, about as long as it takes to
/// be woken. Two writers on two cores did a quarter more with this than with a sixth of it.
const SPINS: usize = if cfg!(any(loom, shuttle)) { 0 } else { 400 };

/// What a queue commits to.
pub(crate) trait CommitEnv {
    /// One writer's request.
    type Request;
    /// What becomes of it.
    type Outcome;
    /// Commits a group, in order; as many outcomes as requests. Only one group is committed at a time.
    fn commit(&self, group: Vec<Self::Request>) -> Vec<Self::Outcome>;
    /// Commits one request: the usual case, without a list.
    fn commit_one(&self, request: Self::Request) -> Self::Outcome;
    /// The outcome of a request whose leader panicked.
    fn abandoned(&self) -> Self::Outcome;
}

/// The queue.
pub(crate) struct CommitQueue<E: CommitEnv> {
    /// How many requests have been handed in and not been answered for.
    pending: AtomicUsize,
    waiting: Queue<Arc<Waiter<E>>>,
}

/// A writer that waits.
struct Waiter<E: CommitEnv> {
    thread: Thread,
    /// Set once `slot` holds an answer.
    answered: AtomicBool,
    slot: Mutex<Slot<E>>,
}

enum Slot<E: CommitEnv> {
    Asking(E::Request),
    /// The leader has taken the request, or the waiter the answer.
    Taken,
    Outcome(E::Outcome),
    /// The lead goes to the waiter, with its own request back.
    Lead(E::Request),
}

impl<E: CommitEnv> Default for CommitQueue<E> {
    fn default() -> CommitQueue<E> {
        CommitQueue { pending: AtomicUsize::new(0), waiting: Queue::new() }
    }
}

impl<E: CommitEnv> CommitQueue<E> {
    /// Commits a request, alone or with others; returns once it is committed or has failed.
    pub(crate) fn submit(&self, env: &E, request: E::Request) -> E::Outcome {
        if self.pending.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            return self.lead(env, request);
        }
        let waiter = Arc::new(Waiter {
            thread: thread::current(),
            answered: AtomicBool::new(false),
            slot: Mutex::new(Slot::Asking(request)),
        });
        self.waiting.push(Arc::clone(&waiter));
        if self.pending.fetch_add(1, Ordering::AcqRel) == 0 {
            // Whoever led has gone in between. Somebody in the queue leads, if not this one then one that came before.
            self.hand_on();
        }
        match waiter.wait() {
            Slot::Outcome(outcome) => outcome,
            Slot::Lead(request) => self.lead(env, request),
            Slot::Asking(_) | Slot::Taken => unreachable!("an answered waiter holds an answer"),
        }
    }

    /// Commits `request`, then what queued up meanwhile.
    fn lead(&self, env: &E, request: E::Request) -> E::Outcome {
        let mut leading = Leading { queue: self, env, committed: 1 };
        let outcome = env.commit_one(request);
        for _ in 0..ROUNDS {
            let left = leading.settle();
            if left == 0 {
                std::mem::forget(leading);
                return outcome;
            }
            leading.committed = left.min(GROUP_MAX);
            commit_group(env, self.take(leading.committed));
        }
        // More keeps coming: somebody else's turn.
        if leading.settle() > 0 {
            self.hand_on();
        }
        std::mem::forget(leading);
        outcome
    }

    /// Gives the lead to the first in the queue. There is one: it is counted.
    fn hand_on(&self) {
        for next in self.take(1) {
            next.answer(|slot| match slot {
                Slot::Asking(request) => Slot::Lead(request),
                other => other,
            });
        }
    }

    /// Takes requests that are counted, and so in the queue.
    fn take(&self, count: usize) -> Vec<Arc<Waiter<E>>> {
        (0..count).map(|_| self.waiting.pop().expect("because it was queued before it was counted")).collect()
    }
}

fn commit_group<E: CommitEnv>(env: &E, waiting: Vec<Arc<Waiter<E>>>) {
    let group = Group { env, waiting };
    if let [waiter] = &group.waiting[..] {
        // The usual case with two writers.
        if let Some(request) = waiter.take() {
            let outcome = env.commit_one(request);
            waiter.answer(|_| Slot::Outcome(outcome));
        }
        return;
    }
    let requests: Vec<E::Request> = group.waiting.iter().filter_map(|waiter| waiter.take()).collect();
    let outcomes = env.commit(requests);
    for (waiter, outcome) in group.waiting.iter().zip(outcomes) {
        waiter.answer(|_| Slot::Outcome(outcome));
    }
}

impl<E: CommitEnv> Waiter<E> {
    fn slot(&self) -> MutexGuard<'_, Slot<E>> {
        self.slot.lock().expect("because nothing panics while it is held")
    }

    fn take(&self) -> Option<E::Request> {
        match std::mem::replace(&mut *self.slot(), Slot::Taken) {
            Slot::Asking(request) => Some(request),
            _ => None,
        }
    }

    fn answer(&self, answer: impl FnOnce(Slot<E>) -> Slot<E>) {
        {
            let mut slot = self.slot();
            let asked = std::mem::replace(&mut *slot, Slot::Taken);
            *slot = answer(asked);
        }
        self.answered.store(true, Ordering::Release);
        self.thread.unpark();
    }

    fn wait(&self) -> Slot<E> {
        let mut spins = 0;
        while !self.answered.load(Ordering::Acquire) {
            if spins < SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else {
                thread::park();
            }
        }
        std::mem::replace(&mut *self.slot(), Slot::Taken)
    }
}

/// A group being committed: should that panic, its members get to know instead of waiting for ever.
struct Group<'a, E: CommitEnv> {
    env: &'a E,
    waiting: Vec<Arc<Waiter<E>>>,
}

impl<E: CommitEnv> Drop for Group<'_, E> {
    fn drop(&mut self) {
        for waiter in &self.waiting {
            if !waiter.answered.load(Ordering::Acquire) {
                waiter.answer(|_| Slot::Outcome(self.env.abandoned()));
            }
        }
    }
}

/// The lead. Dropped only where the leader panics: gives it up and answers those who wait.
struct Leading<'a, E: CommitEnv> {
    queue: &'a CommitQueue<E>,
    env: &'a E,
    /// How many requests have been committed and are still counted.
    committed: usize,
}

impl<E: CommitEnv> Leading<'_, E> {
    /// Counts off what has been committed; how many are left, and have to be led.
    fn settle(&mut self) -> usize {
        let committed = std::mem::take(&mut self.committed);
        self.queue.pending.fetch_sub(committed, Ordering::AcqRel) - committed
    }
}

impl<E: CommitEnv> Drop for Leading<'_, E> {
    fn drop(&mut self) {
        loop {
            let left = self.settle();
            if left == 0 {
                return;
            }
            self.committed = left;
            drop(Group { env: self.env, waiting: self.queue.take(left) });
        }
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::thread;

    /// Writes down what is committed, and meets a second leader.
    #[derive(Default)]
    struct Journal {
        written: loom::cell::UnsafeCell<Vec<usize>>,
    }

    impl CommitEnv for Journal {
        type Request = usize;
        type Outcome = Result<usize, &'static str>;

        fn commit(&self, group: Vec<usize>) -> Vec<Result<usize, &'static str>> {
            group.into_iter().map(|request| self.commit_one(request)).collect()
        }

        fn commit_one(&self, request: usize) -> Result<usize, &'static str> {
            // Loom finds two leaders that are not one after the other.
            self.written.with_mut(|written| push(written, request));
            Ok(request)
        }

        fn abandoned(&self) -> Result<usize, &'static str> {
            Err("abandoned")
        }
    }

    #[allow(unsafe_code, reason = "what loom checks is that this is sound")]
    fn push(written: *mut Vec<usize>, request: usize) {
        // SAFETY: loom has just found that nobody else is here.
        unsafe { (*written).push(request) };
    }

    // SAFETY: loom checks each access.
    #[allow(unsafe_code, reason = "what loom checks is that this is sound")]
    unsafe impl Sync for Journal {}
    // SAFETY: as above.
    #[allow(unsafe_code, reason = "what loom checks is that this is sound")]
    unsafe impl Send for Journal {}

    fn writers(threads: usize, each: usize) {
        loom::model(move || {
            let shared = Arc::new((Journal::default(), CommitQueue::<Journal>::default()));
            let write = move |shared: &(Journal, CommitQueue<Journal>), writer: usize| {
                for n in 0..each {
                    let request = writer * each + n;
                    assert_eq!(shared.1.submit(&shared.0, request), Ok(request));
                }
            };
            let others: Vec<_> = (1..threads)
                .map(|writer| {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || write(&shared, writer))
                })
                .collect();
            write(&shared, 0);
            others.into_iter().for_each(|other| other.join().unwrap());
            let mut written = shared.0.written.with(|written| copy(written));
            written.sort_unstable();
            assert!(written.into_iter().eq(0..threads * each));
            assert_eq!(shared.1.pending.load(Ordering::Relaxed), 0);
        });
    }

    #[allow(unsafe_code, reason = "what loom checks is that this is sound")]
    fn copy(written: *const Vec<usize>) -> Vec<usize> {
        // SAFETY: loom has just found that nobody is writing.
        unsafe { (*written).clone() }
    }

    #[test]
    fn two_writers_commit_everything_one_at_a_time() {
        writers(2, 2);
    }

    #[test]
    fn three_writers_commit_everything_one_at_a_time() {
        writers(3, 1);
    }
}

/// With threads as they come; under shuttle, with schedules of its choice.
#[cfg(all(test, not(loom)))]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    /// A writer, and which of its requests.
    type Request = (usize, usize);
    type Outcome = Result<usize, &'static str>;

    /// Writes down what is committed and with what outcome, and meets a second leader.
    #[derive(Default)]
    struct Journal {
        // The standard library's, also under shuttle: nobody waits for it.
        written: std::sync::Mutex<Vec<(Request, Outcome)>>,
        /// How many requests each group had.
        groups: std::sync::Mutex<BTreeMap<usize, usize>>,
        committing: AtomicBool,
        /// The leader panics when this one comes.
        panics_at: Option<Request>,
        /// The whole group of this one fails.
        fails_with: Option<Request>,
    }

    impl CommitEnv for Journal {
        type Request = Request;
        type Outcome = Outcome;

        fn commit(&self, group: Vec<Request>) -> Vec<Outcome> {
            assert!(!self.committing.swap(true, Ordering::SeqCst), "one group at a time");
            *lock(&self.groups).entry(group.len()).or_default() += 1;
            let holds = |special: Option<Request>| special.is_some_and(|special| group.contains(&special));
            if holds(self.panics_at) {
                self.committing.store(false, Ordering::SeqCst);
                // Without a word on the console.
                resume_unwind(Box::new("planned"));
            }
            let outcome = |request: &Request| match request.1 % 7 {
                _ if holds(self.fails_with) => Err("failed with others"),
                3 => Err("refused"),
                _ => Ok(request.1),
            };
            let outcomes: Vec<Outcome> = group.iter().map(outcome).collect();
            lock(&self.written).extend(group.into_iter().zip(outcomes.iter().copied()));
            self.committing.store(false, Ordering::SeqCst);
            outcomes
        }

        fn commit_one(&self, request: Request) -> Outcome {
            self.commit(vec![request]).remove(0)
        }

        fn abandoned(&self) -> Outcome {
            Err(ABANDONED)
        }
    }

    const ABANDONED: &str = "abandoned";

    fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }

    /// What became of each request; `None` where its writer's call panicked.
    type Outcomes = BTreeMap<Request, Option<Outcome>>;

    /// Several writers hand in their requests, one after the other.
    fn submit_all(journal: &Journal, writers: usize, each: usize) -> Outcomes {
        let (queue, outcomes) = (CommitQueue::default(), std::sync::Mutex::new(Outcomes::new()));
        thread::scope(|scope| {
            for writer in 0..writers {
                let (queue, outcomes) = (&queue, &outcomes);
                scope.spawn(move || {
                    for request in (0..each).map(|n| (writer, n)) {
                        let submit = AssertUnwindSafe(|| queue.submit(journal, request));
                        let outcome = catch_unwind(submit).ok();
                        lock(outcomes).insert(request, outcome);
                    }
                });
            }
        });
        assert_eq!(queue.pending.load(Ordering::Relaxed), 0);
        assert!(queue.waiting.pop().is_none(), "somebody was forgotten");
        assert_eq!(queue.submit(journal, (writers, 0)), Ok(0), "the queue goes on");
        let outcomes = outcomes.into_inner().unwrap();
        assert_eq!(outcomes.len(), writers * each);
        outcomes
    }

    /// What is in the journal is there once and in each writer's order, and every writer got to know what its
    /// own request came to.
    fn check(journal: &Journal, outcomes: &Outcomes) {
        let mut written = lock(&journal.written).clone();
        let last = written.pop().expect("because one came after all others");
        assert!(!outcomes.contains_key(&last.0));
        // Sorting is stable.
        written.sort_by_key(|((writer, _), _)| *writer);
        assert!(written.is_sorted_by_key(|(request, _)| *request), "out of order: {written:?}");
        // A leader that panicked over others' requests had committed its own before.
        written.retain(|(request, _)| outcomes[request].is_some());
        let committed = outcomes.iter().filter_map(|(request, outcome)| Some((*request, (*outcome)?)));
        let answered = committed.filter(|(_, outcome)| *outcome != Err(ABANDONED));
        assert!(written.iter().copied().eq(answered), "{written:?} was committed, and told was {outcomes:?}");
    }

    fn every_request_is_committed_once(writers: usize, each: usize) -> Journal {
        let journal = Journal::default();
        let outcomes = submit_all(&journal, writers, each);
        check(&journal, &outcomes);
        for ((_, n), outcome) in outcomes {
            assert_eq!(outcome, Some(if n % 7 == 3 { Err("refused") } else { Ok(n) }));
        }
        journal
    }

    fn a_group_fails_as_one(writers: usize, each: usize) {
        let fails_with = (0, each / 2);
        let journal = Journal { fails_with: Some(fails_with), ..Journal::default() };
        let outcomes = submit_all(&journal, writers, each);
        check(&journal, &outcomes);
        assert_eq!(outcomes[&fails_with], Some(Err("failed with others")));
    }

    fn a_leader_panics(writers: usize, each: usize) -> usize {
        let journal = Journal { panics_at: Some((0, each / 2)), ..Journal::default() };
        let outcomes = submit_all(&journal, writers, each);
        check(&journal, &outcomes);
        let panics = outcomes.values().filter(|outcome| outcome.is_none()).count();
        assert_eq!(panics, 1, "only the leader's own call panics");
        outcomes.values().filter(|outcome| **outcome == Some(Err(ABANDONED))).count()
    }

    #[cfg(not(shuttle))]
    mod with_threads {
        #[test]
        fn every_request_is_committed_once_in_its_writers_order_and_gets_its_own_outcome() {
            super::every_request_is_committed_once(8, 2000);
        }

        #[test]
        fn a_group_fails_as_one() {
            super::a_group_fails_as_one(4, 200);
        }

        #[test]
        fn a_panic_of_the_leader_leaves_nobody_waiting() {
            super::a_leader_panics(4, 200);
        }
    }

    /// `RUSTFLAGS="--cfg shuttle" cargo test -p lsmkit --release --lib schedules`
    #[cfg(shuttle)]
    mod schedules {
        use shuttle::scheduler::{PctScheduler, RandomScheduler};
        use std::sync::Arc;
        use std::sync::atomic::{AtomicUsize, Ordering};

        /// Runs it under many schedules: most of them random, some with few changes between threads.
        fn explore(scenario: impl Fn() + Send + Sync + Clone + 'static) {
            let schedules = std::env::var("LSMKIT_SCHEDULES").map_or(SCHEDULES, |n| n.parse().unwrap());
            let mut config = shuttle::Config::new();
            config.silence_warnings = true;
            config.stack_size = 1 << 18;
            shuttle::Runner::new(RandomScheduler::new(schedules), config.clone()).run(scenario.clone());
            for depth in [3, 6] {
                let scheduler = PctScheduler::new(depth, schedules / 4);
                shuttle::Runner::new(scheduler, config.clone()).run(scenario.clone());
            }
        }

        const SCHEDULES: usize = 10_000;

        #[test]
        fn every_request_is_committed_once_in_its_writers_order_and_gets_its_own_outcome() {
            let groups_of_two = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&groups_of_two);
            explore(move || {
                let journal = super::every_request_is_committed_once(4, 5);
                let groups = super::lock(&journal.groups).get(&2).copied();
                count.fetch_add(groups.unwrap_or(0), Ordering::Relaxed);
            });
            assert!(groups_of_two.load(Ordering::Relaxed) > 0, "writers came together");
        }

        #[test]
        fn many_writers_come_and_go() {
            explore(|| drop(super::every_request_is_committed_once(7, 1)));
        }

        #[test]
        fn a_group_fails_as_one() {
            explore(|| super::a_group_fails_as_one(4, 5));
        }

        #[test]
        fn a_panic_of_the_leader_leaves_nobody_waiting() {
            let abandoned = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&abandoned);
            explore(move || {
                count.fetch_add(super::a_leader_panics(4, 5), Ordering::Relaxed);
            });
            assert!(abandoned.load(Ordering::Relaxed) > 0, "some waited for the leader that panicked");
        }
    }
}
