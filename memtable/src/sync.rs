//! The atomics and locks that the tables are built from, so that loom and shuttle can stand in for them.

#[cfg(not(any(loom, shuttle)))]
pub(crate) use std::sync::Mutex;
#[cfg(not(any(loom, shuttle)))]
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

#[cfg(loom)]
pub(crate) use loom::sync::Mutex;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

#[cfg(shuttle)]
pub(crate) use shuttle::sync::Mutex;
#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

/// Stands for plain memory that is written once, before it is published, and only read thereafter.
///
/// Nothing at all in a real build. Under loom and shuttle it lets the model see the plain accesses, which it
/// could not otherwise, and so catch a reader that reaches the memory before the write did.
#[cfg(not(any(loom, shuttle)))]
pub(crate) struct WrittenOnce;

#[cfg(not(any(loom, shuttle)))]
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

/// As in a real build, but it remembers whether it was written.
#[cfg(shuttle)]
pub(crate) struct WrittenOnce(std::sync::atomic::AtomicU32);

/// What a word of memory that was not written is unlikely to hold.
#[cfg(shuttle)]
const WRITTEN: u32 = 0x5772_6974;

#[cfg(shuttle)]
impl WrittenOnce {
    /// Of memory that is being written.
    pub(crate) fn written() -> WrittenOnce {
        WrittenOnce(WRITTEN.into())
    }

    /// Of memory that will be written later.
    pub(crate) const fn unwritten() -> WrittenOnce {
        WrittenOnce(std::sync::atomic::AtomicU32::new(0))
    }

    /// The memory is about to be written.
    pub(crate) fn write(&self) {
        // Others get a turn before: memory published too soon is then caught unwritten.
        shuttle::thread::sleep(std::time::Duration::ZERO);
        let before = self.0.swap(WRITTEN, Ordering::Relaxed);
        assert_ne!(before, WRITTEN, "memory is written a second time");
    }

    /// The memory is about to be read.
    pub(crate) fn read(&self) {
        assert_eq!(self.0.load(Ordering::Relaxed), WRITTEN, "memory is read before it is written");
    }
}
