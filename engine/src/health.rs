//! Whether the store may be written to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lsmkit_base::Fault;

use crate::Error;

/// The condition of a store.
///
/// A fault of background work, of the log or of the manifest makes it read-only, for good: what is
/// on disk after it is not known, and reopening finds out. A full disk is the exception: nothing is
/// unknown, background work tries again, and writers that would have to wait for it get the error.
#[derive(Debug, Default)]
pub(crate) struct Health {
    closed: AtomicBool,
    sealed: AtomicBool,
    failed: AtomicBool,
    faults: Mutex<Faults>,
}

#[derive(Debug, Default)]
struct Faults {
    failed: Option<Fault>,
    /// What holds up each kind of background work.
    full: BTreeMap<Work, Fault>,
}

/// A kind of background work.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Work {
    Flush,
    Compact,
}

impl Work {
    pub(crate) const ALL: [Work; 2] = [Work::Flush, Work::Compact];
}

impl Health {
    /// Whether writes may go on.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.check_open()?;
        if self.failed.load(Ordering::Acquire) {
            let fault = lock(&self.faults).failed.clone();
            return fault.map_or(Ok(()), |fault| Err(Error::ReadOnly(fault)));
        }
        Ok(())
    }

    /// Whether reads may go on.
    pub(crate) fn check_open(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Takes note of a fault of background work.
    pub(crate) fn note(&self, work: Work, fault: &Fault) {
        if fault.is_full_disk() {
            lock(&self.faults).full.insert(work, fault.clone());
        } else {
            self.fail(fault);
        }
    }

    /// Takes note of a fault of a write. After a full disk the next write finds out for itself.
    pub(crate) fn note_write(&self, fault: &Fault) {
        if !fault.is_full_disk() {
            self.fail(fault);
        }
    }

    /// Turns the store read-only. The first fault is the cause; what follows are consequences.
    pub(crate) fn fail(&self, fault: &Fault) {
        lock(&self.faults).failed.get_or_insert_with(|| fault.clone());
        self.failed.store(true, Ordering::Release);
    }

    /// Background work has succeeded again, or there is none.
    pub(crate) fn has_room(&self, work: Work) {
        lock(&self.faults).full.remove(&work);
    }

    /// The full disk that holds up background work.
    pub(crate) fn full(&self, work: &[Work]) -> Option<Fault> {
        let faults = lock(&self.faults);
        work.iter().find_map(|work| faults.full.get(work)).cloned()
    }

    /// The fault that made the store read-only.
    pub(crate) fn failed(&self) -> Option<Fault> {
        lock(&self.faults).failed.clone()
    }

    /// From now on no background work begins: the files are about to be another's.
    pub(crate) fn seal(&self) {
        self.sealed.store(true, Ordering::Release);
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    /// From now on every call fails; false where that was so already.
    pub(crate) fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }
}

/// Locks, also where a thread has panicked inside: every section leaves its data whole at every step.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
