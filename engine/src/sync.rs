//! The atomics, locks and threads of the commit queue, so that loom and shuttle can stand in for them.

#[cfg(not(any(loom, shuttle)))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
#[cfg(not(any(loom, shuttle)))]
pub(crate) use std::sync::{Mutex, MutexGuard};
#[cfg(not(any(loom, shuttle)))]
pub(crate) use std::thread::{self, Thread};

#[cfg(not(any(loom, shuttle)))]
pub(crate) use crossbeam_queue::SegQueue as Queue;

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(loom)]
pub(crate) use loom::thread::{self, Thread};

#[cfg(shuttle)]
pub(crate) use shuttle::sync::MutexGuard;
#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
#[cfg(shuttle)]
pub(crate) use shuttle::thread::{self, Thread};

/// Shuttle's, but never poisoned. All its threads are one to the standard library: where one gives a lock up while
/// another unwinds, that would seem to be a panic under the lock.
#[cfg(shuttle)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

#[cfg(shuttle)]
impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> std::sync::LockResult<MutexGuard<'_, T>> {
        Ok(self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// In place of the lock-free queue, of which loom and shuttle know nothing.
#[cfg(any(loom, shuttle))]
pub(crate) struct Queue<T>(Mutex<std::collections::VecDeque<T>>);

#[cfg(any(loom, shuttle))]
impl<T> Queue<T> {
    pub(crate) fn new() -> Queue<T> {
        Queue(Mutex::new(std::collections::VecDeque::new()))
    }

    pub(crate) fn push(&self, item: T) {
        self.0.lock().expect("because nothing panics while it is held").push_back(item);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.0.lock().expect("because nothing panics while it is held").pop_front()
    }
}
