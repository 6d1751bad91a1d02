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

/// How many groups of others a leader commits before it hands on the lead.
const ROUNDS: usize = 8;
/// How many requests a group has at most.
const GROUP_MAX: usize = 128;
/// How often a waiter looks for its outcome before it parks: for a few microseconds, about as long as it takes to
/// be woken. Two writers on two cores did a quarter more with this than with a sixth of it.
const SPINS: usize = if cfg!(loom) { 0 } else { 400 };

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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::health::lock;

    #[derive(Default)]
    struct Journal {
        written: Mutex<Vec<(usize, usize)>>,
        groups: AtomicUsize,
        committing: AtomicBool,
        panics_at: Option<(usize, usize)>,
    }

    impl CommitEnv for Journal {
        type Request = (usize, usize);
        type Outcome = Result<usize, &'static str>;

        fn commit(&self, group: Vec<(usize, usize)>) -> Vec<Result<usize, &'static str>> {
            assert!(!self.committing.swap(true, Ordering::SeqCst), "one group at a time");
            self.groups.fetch_add(1, Ordering::Relaxed);
            let mut written = lock(&self.written);
            let outcomes = group
                .into_iter()
                .map(|request| {
                    if Some(request) == self.panics_at {
                        self.committing.store(false, Ordering::SeqCst);
                        drop(std::mem::take(&mut *written));
                        panic!("planned");
                    }
                    written.push(request);
                    if request.1 % 7 == 3 { Err("refused") } else { Ok(request.1) }
                })
                .collect();
            drop(written);
            self.committing.store(false, Ordering::SeqCst);
            outcomes
        }

        fn commit_one(&self, request: (usize, usize)) -> Result<usize, &'static str> {
            self.commit(vec![request]).remove(0)
        }

        fn abandoned(&self) -> Result<usize, &'static str> {
            Err("abandoned")
        }
    }

    #[test]
    fn every_request_is_committed_once_in_its_writers_order_and_gets_its_own_outcome() {
        let (journal, queue) = (Journal::default(), CommitQueue::default());
        let (threads, each) = (8, 2000);
        thread::scope(|scope| {
            for writer in 0..threads {
                let (journal, queue) = (&journal, &queue);
                scope.spawn(move || {
                    for n in 0..each {
                        let expected = if n % 7 == 3 { Err("refused") } else { Ok(n) };
                        assert_eq!(queue.submit(journal, (writer, n)), expected);
                    }
                });
            }
        });
        let written = journal.written.into_inner().unwrap();
        assert_eq!(written.len(), threads * each);
        for writer in 0..threads {
            let own: Vec<usize> = written.iter().filter(|w| w.0 == writer).map(|w| w.1).collect();
            assert_eq!(own, (0..each).collect::<Vec<_>>());
        }
        assert_eq!(queue.pending.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_panic_of_the_leader_leaves_nobody_waiting() {
        let journal = Journal { panics_at: Some((0, 50)), ..Journal::default() };
        let queue = CommitQueue::default();
        thread::scope(|scope| {
            for writer in 0..4 {
                let (journal, queue) = (&journal, &queue);
                scope.spawn(move || {
                    for n in 0..200 {
                        let submit = std::panic::AssertUnwindSafe(|| queue.submit(journal, (writer, n)));
                        let _ = std::panic::catch_unwind(submit);
                    }
                });
            }
        });
        assert_eq!(queue.submit(&journal, (9, 0)), Ok(0));
    }
}
