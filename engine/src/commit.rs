//! The commit queue: writers that come at the same time become one group.
//!
//! A writer that finds nobody leading leads: it commits its own request at once, then those that
//! queued up meanwhile, as groups. The others wait for their outcome. After some rounds the leader
//! hands the lead to a waiter, so that no writer works for others for ever.
//!
//! The queue knows nothing of a store: what it needs of one is [`CommitEnv`], so it is tested without.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, Thread};

use crate::health::lock;

/// How many groups of others a leader commits before it hands on the lead.
const ROUNDS: usize = 8;
/// How often a waiter looks for its outcome before it parks: about a microsecond, the time in which
/// a leader commits a few small records.
const SPINS: usize = 64;

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
    state: Mutex<State<E>>,
}

struct State<E: CommitEnv> {
    /// Whether somebody leads.
    led: bool,
    waiting: Vec<Arc<Waiter<E>>>,
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
        CommitQueue { state: Mutex::new(State { led: false, waiting: Vec::new() }) }
    }
}

impl<E: CommitEnv> CommitQueue<E> {
    /// Commits a request, alone or with others; returns once it is committed or has failed.
    pub(crate) fn submit(&self, env: &E, request: E::Request) -> E::Outcome {
        let waiter = {
            let mut state = lock(&self.state);
            if !state.led {
                state.led = true;
                drop(state);
                return self.lead(env, request);
            }
            let waiter = Arc::new(Waiter {
                thread: thread::current(),
                answered: AtomicBool::new(false),
                slot: Mutex::new(Slot::Asking(request)),
            });
            state.waiting.push(Arc::clone(&waiter));
            waiter
        };
        match waiter.wait() {
            Slot::Outcome(outcome) => outcome,
            Slot::Lead(request) => self.lead(env, request),
            Slot::Asking(_) | Slot::Taken => unreachable!("an answered waiter holds an answer"),
        }
    }

    /// Commits `request`, then what queued up meanwhile.
    fn lead(&self, env: &E, request: E::Request) -> E::Outcome {
        let guard = Leading { queue: self, env };
        let outcome = env.commit_one(request);
        for _ in 0..ROUNDS {
            let waiting = {
                let mut state = lock(&self.state);
                if state.waiting.is_empty() {
                    state.led = false;
                    std::mem::forget(guard);
                    return outcome;
                }
                std::mem::take(&mut state.waiting)
            };
            commit_group(env, waiting);
        }
        // More keeps coming: somebody else's turn.
        std::mem::forget(guard);
        let mut state = lock(&self.state);
        if state.waiting.is_empty() {
            state.led = false;
        } else {
            let next = state.waiting.remove(0);
            drop(state);
            next.answer(|slot| match slot {
                Slot::Asking(request) => Slot::Lead(request),
                other => other,
            });
        }
        outcome
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
    fn take(&self) -> Option<E::Request> {
        match std::mem::replace(&mut *lock(&self.slot), Slot::Taken) {
            Slot::Asking(request) => Some(request),
            _ => None,
        }
    }

    fn answer(&self, answer: impl FnOnce(Slot<E>) -> Slot<E>) {
        let mut slot = lock(&self.slot);
        let asked = std::mem::replace(&mut *slot, Slot::Taken);
        *slot = answer(asked);
        drop(slot);
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
        std::mem::replace(&mut *lock(&self.slot), Slot::Taken)
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

/// Dropped only where a leader panics: gives up the lead and answers those who wait.
struct Leading<'a, E: CommitEnv> {
    queue: &'a CommitQueue<E>,
    env: &'a E,
}

impl<E: CommitEnv> Drop for Leading<'_, E> {
    fn drop(&mut self) {
        let waiting = {
            let mut state = lock(&self.queue.state);
            state.led = false;
            std::mem::take(&mut state.waiting)
        };
        drop(Group { env: self.env, waiting });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

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
        assert!(!lock(&queue.state).led);
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
