//! The atomics and locks that the tables are built from, so that loom can stand in for them.

#[cfg(not(loom))]
pub(crate) use std::sync::Mutex;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

#[cfg(loom)]
pub(crate) use loom::sync::Mutex;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

/// Stands for plain memory that is written once, before it is published, and only read thereafter.
///
/// Nothing at all in a real build. Under loom it lets the model see the plain accesses, which it
/// could not otherwise, and so catch a reader that reaches the memory before the write did.
#[cfg(not(loom))]
pub(crate) struct WrittenOnce;

#[cfg(not(loom))]
impl WrittenOnce {
    /// Of memory that is being written.
    #[inline]
    pub(crate) fn written() -> WrittenOnce {
        WrittenOnce
    }

    /// Of memory that will be written later.
    #[inline]
    pub(crate) const fn unwritten() -> WrittenOnce {
        WrittenOnce
    }

    /// The memory is about to be written.
    #[inline]
    pub(crate) fn write(&self) {}

    /// The memory is about to be read.
    #[inline]
    pub(crate) fn read(&self) {}
}

/// As in a real build, but seen by the model.
#[cfg(loom)]
pub(crate) struct WrittenOnce(loom::cell::UnsafeCell<()>);

#[cfg(loom)]
impl WrittenOnce {
    /// Of memory that is being written.
    pub(crate) fn written() -> WrittenOnce {
        let memory = WrittenOnce::unwritten();
        memory.write();
        memory
    }

    /// Of memory that will be written later.
    pub(crate) fn unwritten() -> WrittenOnce {
        WrittenOnce(loom::cell::UnsafeCell::new(()))
    }

    /// The memory is about to be written.
    pub(crate) fn write(&self) {
        self.0.with_mut(|_| ());
    }

    /// The memory is about to be read.
    pub(crate) fn read(&self) {
        self.0.with(|_| ());
    }
}
