//! The signal that takes the place of an error where a file is used as memory.
//!
//! Where the kernel can't give a page of a mapped file, because the device fails or the file was made shorter, the process
//! gets the signal SIGBUS, of which it dies. A handler for it, which systemd's journal has in the same manner, puts empty
//! memory there instead, and notes the loss; whoever used the memory looks for that note. Signals that come from elsewhere
//! go to whoever would have got them before.
//!
//! # Invariants
//!
//! The unsafe code here rests on these, and cites them by number.
//!
//! 1. An entry of `WINDOWS` names a mapping from before the first write through it until nobody writes any more, and
//!    only the thread that writes through it can meet a signal for it, so the entry does not change while the handler
//!    runs for it.
//! 2. What a thread names in `READING` stays mapped, and its note of loss where it is, until the thread has taken the name
//!    away. The handler runs on that thread.
//! 3. The handler calls nothing but `mmap` and `sigaction`, which are system calls, and touches nothing but
//!    atomics, of statics and of the thread, and memory that is never written again.
#![allow(unsafe_code, reason = "memory that stands for a file: docs/unsafe.md")]

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, compiler_fence, fence};

/// How many windows there can be in a process: a handler can't take a lock, and looks through all of them. A store has one
/// window, and up to fifteen more that are made ready or taken down; who opens many stores in one process has the logs of
/// some written by calls.
pub(super) const WINDOWS_MAX: usize = 512;

static WINDOWS: [Mapped; WINDOWS_MAX] = [const { Mapped::free() }; WINDOWS_MAX];

/// What the handler has to know of a window.
#[derive(Debug)]
pub(super) struct Mapped {
    is_taken: AtomicBool,
    /// Zero for none.
    start: AtomicUsize,
    size_bytes: AtomicUsize,
    /// Whether its memory is no longer the file's.
    is_lost: AtomicBool,
}

impl Mapped {
    const fn free() -> Mapped {
        Mapped {
            is_taken: AtomicBool::new(false),
            start: AtomicUsize::new(0),
            size_bytes: AtomicUsize::new(0),
            is_lost: AtomicBool::new(false),
        }
    }

    /// An entry that is nobody's.
    pub(super) fn take() -> Option<&'static Mapped> {
        let taken = WINDOWS.iter().find(|entry| !entry.is_taken.swap(true, Ordering::Acquire))?;
        taken.is_lost.store(false, Ordering::Relaxed);
        Some(taken)
    }

    pub(super) fn name(&self, start: usize, size_bytes: usize) {
        self.size_bytes.store(size_bytes, Ordering::Relaxed);
        self.start.store(start, Ordering::Release);
    }

    /// Names nothing any more. Before the mapping is gone: the next one may be in the same place.
    pub(super) fn unname(&self) {
        self.start.store(0, Ordering::Release);
    }

    pub(super) fn give_back(&self) {
        self.is_taken.store(false, Ordering::Release);
    }

    /// Whether what was written is no longer on its way to the file.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }

    fn of(address: usize) -> Option<&'static Mapped> {
        WINDOWS.iter().find(|entry| {
            let start = entry.start.load(Ordering::Acquire);
            start != 0 && address.wrapping_sub(start) < entry.size_bytes.load(Ordering::Relaxed)
        })
    }

    /// Puts empty memory in the place of the file's; whether that worked.
    fn lose(&self) -> bool {
        let start = self.start.load(Ordering::Acquire);
        let size_bytes = self.size_bytes.load(Ordering::Relaxed);
        self.is_lost.store(true, Ordering::Relaxed);
        // SAFETY: invariant 1. The memory replaced is the window's whole mapping.
        unsafe { put_empty_memory(start, size_bytes, libc::PROT_READ | libc::PROT_WRITE) }
    }
}

/// What a thread is copying out of a mapped file.
struct Reading {
    start: AtomicUsize,
    /// Zero where the thread copies nothing.
    size_bytes: AtomicUsize,
    /// Where a loss is noted.
    is_lost: AtomicPtr<AtomicBool>,
}

thread_local! {
    // Made without a call and never taken down, so that a handler may look at it.
    static READING: Reading = const {
        Reading {
            start: AtomicUsize::new(0),
            size_bytes: AtomicUsize::new(0),
            is_lost: AtomicPtr::new(ptr::null_mut()),
        }
    };
}

/// Runs `copy`, which reads mapped memory at `start` and nothing else that could be lost. False where a page of it could not
/// be had, to this thread or to any other that reads with the same `is_lost`, now or before: what was copied may then be
/// zeros.
pub(super) fn reading(start: usize, size_bytes: usize, is_lost: &AtomicBool, copy: impl FnOnce()) -> bool {
    READING.with(|reading| {
        reading.start.store(start, Ordering::Relaxed);
        reading.is_lost.store(ptr::from_ref(is_lost).cast_mut(), Ordering::Relaxed);
        reading.size_bytes.store(size_bytes, Ordering::Relaxed);
        // The handler runs on this very thread: all that is needed is that the compiler keeps the order.
        compiler_fence(Ordering::SeqCst);
        copy();
        compiler_fence(Ordering::SeqCst);
        reading.size_bytes.store(0, Ordering::Relaxed);
    });
    // Another thread may have lost the page that this one then found empty. That loss was noted before the page was empty, so
    // who has seen the one sees the other.
    fence(Ordering::Acquire);
    !is_lost.load(Ordering::Relaxed)
}

impl Reading {
    /// Puts empty memory under the page at `address`, if that is being read; whether that worked.
    fn lose(&self, address: usize) -> bool {
        let size_bytes = self.size_bytes.load(Ordering::Relaxed);
        let page_bytes = PAGE_BYTES.load(Ordering::Relaxed);
        let page_of = |address: usize| address & !(page_bytes - 1);
        let start = self.start.load(Ordering::Relaxed);
        // Some processors name the page rather than the byte.
        if size_bytes == 0 || !(page_of(start)..start.saturating_add(size_bytes)).contains(&address) {
            return false;
        }
        // SAFETY: invariant 2.
        unsafe { &*self.is_lost.load(Ordering::Relaxed) }.store(true, Ordering::SeqCst);
        // SAFETY: invariant 2. The page is one of a mapping that is read only, of which all is lost from now on.
        unsafe { put_empty_memory(page_of(address), page_bytes, libc::PROT_READ) }
    }
}

/// Maps empty memory in the place of what is mapped there; whether that worked.
///
/// # Safety
///
/// What was there is a mapping, or pages of one, of whose content nobody relies on anything any more.
unsafe fn put_empty_memory(start: usize, size_bytes: usize, access: libc::c_int) -> bool {
    let flags = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: as the caller promises.
    let mapped = unsafe { libc::mmap(start as *mut libc::c_void, size_bytes, access, flags, -1, 0) };
    mapped != libc::MAP_FAILED
}

/// The length of a page, once the handler is there: a handler can't ask.
static PAGE_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Who got the signal before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// Sees to it that the handler is there, and has not been replaced since; false where the system refuses.
pub(super) fn is_handled_still() -> bool {
    let mut now = MaybeUninit::<libc::sigaction>::zeroed();
    is_handled()
        // SAFETY: the call fills what it is given, which is valid as zeros too.
        && unsafe {
            libc::sigaction(libc::SIGBUS, ptr::null(), now.as_mut_ptr()) == 0
                && now.assume_init().sa_sigaction == on_bus_error as *const () as usize
        }
}

/// Sees to it that the handler is there; false where the system refuses.
pub(super) fn is_handled() -> bool {
    static IS_INSTALLED: OnceLock<bool> = OnceLock::new();
    *IS_INSTALLED.get_or_init(|| install().is_some())
}

fn install() -> Option<()> {
    let mut before = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the call fills what it is given.
    let asked = unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), before.as_mut_ptr()) };
    if asked != 0 {
        return None;
    }
    // Known before the handler can run.
    PAGE_BYTES.store(rustix::param::page_size(), Ordering::Relaxed);
    // SAFETY: it was filled, and was valid before that too.
    BEFORE.get_or_init(|| unsafe { before.assume_init() });
    // SAFETY: all fields of the struct may be zero.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = on_bus_error as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: invariant 3. The handler is one for `SA_SIGINFO`.
    let installed = unsafe { libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut()) };
    (installed == 0).then_some(())
}

extern "C" fn on_bus_error(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: invariant 3. The kernel passes a valid pointer to a handler for `SA_SIGINFO`.
    let address = unsafe { (*info).si_addr() }.addr();
    // What this thread reads comes first: entries of windows may be changing under other threads, but then they are not at this
    // address.
    if READING.with(|reading| reading.lose(address)) || Mapped::of(address).is_some_and(Mapped::lose) {
        return;
    }
    let Some(before) = BEFORE.get() else { return };
    if before.sa_sigaction == libc::SIG_DFL || before.sa_sigaction == libc::SIG_IGN {
        // The instruction is tried again, and this time meets what was there before.
        // SAFETY: invariant 3. It is what the system has given.
        unsafe { libc::sigaction(signal, before, ptr::null_mut()) };
    } else if before.sa_flags & libc::SA_SIGINFO != 0 {
        // SAFETY: it was installed as a handler of this type.
        unsafe {
            let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                std::mem::transmute(before.sa_sigaction);
            handler(signal, info, context);
        }
    } else {
        // SAFETY: it was installed as a handler of this type.
        unsafe {
            let handler: extern "C" fn(libc::c_int) = std::mem::transmute(before.sa_sigaction);
            handler(signal);
        }
    }
}
