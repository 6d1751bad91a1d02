//! Who does the work that writes leave behind, and how it is waited for.
//!
//! All work is a `step`: a flush, a compaction, a removal; beside it a thread works ahead of writers, which spares them some
//! time and no more. Threads exist only here; without them
//! ([`Background::Steps`]) the caller takes the steps, and whoever has to wait takes them himself.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use lsmkit_base::Fault;
use lsmkit_memtable::Memtable;
use lsmkit_wal::LogHandle;

use crate::compact::LEISURE;
use crate::health::{Work, lock};
use crate::options::Background;
use crate::store::{Mode, Store};
use crate::{Error, Parts};

/// How often a store that nobody writes to is asked whether something has become old.
const LOOK_FOR_AGE: Duration = Duration::from_secs(60);
/// After a fault that may pass, work is tried again this much later.
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// A waiter looks again after this long even if nobody told it to.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How threads tell each other that there is work, that some is done, and that it is time to stop.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    state: Mutex<State>,
    work: Condvar,
    progress: Condvar,
    /// The thread that works ahead of writers, once there is one.
    ahead: OnceLock<Thread>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts calls of `wake`, so that none between a look for work and a wait is missed.
    wakes: u64,
    stopping: bool,
    threads: Vec<JoinHandle<()>>,
}

/// What came of waiting for work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Waited {
    Woken,
    /// For as long as was to be waited.
    InVain,
    Stopped,
}

impl Signals {
    /// There may be work.
    pub(crate) fn wake(&self) {
        lock(&self.state).wakes += 1;
        self.work.notify_all();
    }

    /// Log or memtables could use some room. Costs next to nothing where nobody makes any.
    pub(crate) fn wake_ahead(&self) {
        if let Some(thread) = self.ahead.get() {
            thread.unpark();
        }
    }

    /// Some work is done, or has failed: whoever waits should look.
    pub(crate) fn progressed(&self) {
        // Taken so that a waiter is either before its look or already waiting.
        drop(lock(&self.state));
        self.progress.notify_all();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        lock(&self.state).stopping
    }

    /// Waits for the next wake after the `seen`th.
    fn wait(&self, seen: &mut u64, at_most: Option<Duration>) -> Waited {
        let begun = Instant::now();
        let mut state = lock(&self.state);
        while state.wakes == *seen && !state.stopping {
            state = match at_most.map(|time| time.saturating_sub(begun.elapsed())) {
                None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return Waited::InVain,
                Some(time) => self.work.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        *seen = state.wakes;
        if state.stopping { Waited::Stopped } else { Waited::Woken }
    }

    /// Waits for so long, or until it is time to stop.
    pub(crate) fn sleep(&self, time: Duration) -> ControlFlow<()> {
        let begun = Instant::now();
        let mut state = lock(&self.state);
        loop {
            let left = time.saturating_sub(begun.elapsed());
            if state.stopping {
                return ControlFlow::Break(());
            }
            if left.is_zero() {
                return ControlFlow::Continue(());
            }
            state = self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn wait_for_progress(&self) {
        let state = lock(&self.state);
        if !state.stopping {
            drop(self.progress.wait_timeout(state, LOOK_AGAIN).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Stops the threads and waits for them.
    pub(crate) fn stop(&self) {
        let threads = {
            let mut state = lock(&self.state);
            state.stopping = true;
            std::mem::take(&mut state.threads)
        };
        self.work.notify_all();
        self.progress.notify_all();
        self.wake_ahead();
        for thread in threads {
            // Its panic, if any, has been taken note of by the thread itself. A handle may be
            // dropped last by a thread of the store's own, which can't wait for itself.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

/// Gives the calling thread a smaller share of the processors than threads that somebody waits for, where there are not enough
/// for all.
///
/// A third of the share of others. With a tenth (10) reads beside gained no more, and writers outran compaction so far that they
/// were held up; `docs/decisions/0016-compaction-yields.md`. There is no way back: only a privileged process may raise its share.
fn yield_to_others() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        const NICER: i32 = 5;
        // On Linux these are of the calling thread alone. Where it is refused, nothing is lost but this.
        let _ = getpriority_process(None).and_then(|nice| setpriority_process(None, (nice + NICER).min(19)));
    }
}

impl<P: Parts> Store<P> {
    /// Starts the background threads, if the options say so.
    pub(crate) fn start_background(self: &Arc<Self>) -> Result<(), Fault> {
        if self.options.background == Background::Steps || self.mode == Mode::ReadOnly {
            return Ok(());
        }
        // Those that have started would hold the store, and its lock, for ever.
        self.start_threads().inspect_err(|_| self.signals.stop())
    }

    fn start_threads(self: &Arc<Self>) -> Result<(), Fault> {
        let compacting = (1..=self.jobs.threads)
            .map(|number| (Work::Compact, format!("lsmkit-compact{number}"), number == 1));
        let flushing = (Work::Flush, "lsmkit-flush".to_owned(), true);
        for (work, name, is_first) in std::iter::once(flushing).chain(compacting) {
            let store = Arc::clone(self);
            let thread = thread::Builder::new()
                .name(name)
                .spawn(move || store.work(work, is_first))
                .map_err(|e| Fault::io(self.site.dir(), e))?;
            lock(&self.signals.state).threads.push(thread);
        }
        if let Some(rate) = self.options.scrub_rate {
            let store = Arc::clone(self);
            let thread = thread::Builder::new()
                .name("lsmkit-scrub".to_owned())
                .spawn(move || store.scrub(rate))
                .map_err(|e| Fault::io(self.site.dir(), e))?;
            lock(&self.signals.state).threads.push(thread);
        }
        let store = Arc::clone(self);
        let ahead = thread::Builder::new()
            .name("lsmkit-ahead".to_owned())
            .spawn(move || store.work_ahead())
            .map_err(|e| Fault::io(self.site.dir(), e))?;
        self.signals.ahead.get_or_init(|| ahead.thread().clone());
        lock(&self.signals.state).threads.push(ahead);
        self.signals.wake();
        Ok(())
    }

    /// Reads tables, at `rate` bytes a second, for as long as the store is open.
    fn scrub(&self, rate: u64) {
        yield_to_others();
        if catch_unwind(AssertUnwindSafe(|| self.scrub_until_stopped(rate))).is_err() {
            self.note_panic();
        }
    }

    /// Makes room ahead of writers in the log and for memtables, and syncs the log now and then if the options say so.
    fn work_ahead(&self) {
        // Whether it fails or panics, the next write is told.
        if catch_unwind(AssertUnwindSafe(|| self.work_ahead_until_stopped())).is_err() {
            self.note_panic();
        }
    }

    fn work_ahead_until_stopped(&self) {
        let next = || Instant::now().checked_add(self.options.sync_every?);
        let mut due = next();
        while !self.signals.is_stopping() {
            // A piece of memory at a time: the log is wanted more often.
            self.log.prepare();
            let is_busy = self.prepare_memtable();
            match due.map(|due| due.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => {
                    // Should it fail, the store takes no more writes, and says so.
                    let _ = self.sync();
                    due = next();
                }
                _ if is_busy => {}
                None => thread::park(),
                Some(left) => thread::park_timeout(left),
            }
        }
    }

    /// Takes some of the memory that memtables will need soon; false where there is enough.
    fn prepare_memtable(&self) -> bool {
        let keyspaces = self.keyspaces.load();
        let wanting = keyspaces.values().find(|keyspace| keyspace.state().active.table.wants_preparing());
        // Owned, as it may take long.
        wanting.inspect(|keyspace| keyspace.state_owned().active.table.prepare()).is_some()
    }

    /// Takes note that background work has failed, and makes what room it can where it failed for want of that.
    pub(crate) fn note_fault(&self, work: Work, fault: &Fault) {
        self.health.note(work, fault);
        if fault.is_full_disk() {
            self.log.give_back();
        }
    }

    fn note_panic(&self) {
        let what = std::io::Error::other("background work has panicked");
        self.health.fail(&Fault::io(self.site.dir(), what));
    }

    fn work(&self, work: Work, is_first: bool) {
        if work == Work::Compact {
            yield_to_others();
        }
        let mut seen = 0;
        // When to look again though nobody wakes the thread. One is enough to find out that there is time, or that something is old.
        let later = (work == Work::Compact && is_first).then_some(LOOK_FOR_AGE);
        let mut again = None;
        loop {
            match self.signals.wait(&mut seen, again.take().or(later)) {
                Waited::Stopped => return,
                Waited::InVain => {}
                Waited::Woken => again = later.map(|_| LEISURE),
            }
            while !self.signals.is_stopping() && self.health.failed().is_none() {
                match catch_unwind(AssertUnwindSafe(|| self.step_of(work))) {
                    Ok(Ok(true)) => self.signals.progressed(),
                    Ok(Ok(false)) => break,
                    Ok(Err(fault)) => {
                        self.note_fault(work, &fault);
                        again = Some(RETRY_AFTER);
                        break;
                    }
                    Err(_) => {
                        self.note_panic();
                        break;
                    }
                }
            }
            self.signals.progressed();
        }
    }

    fn step_of(&self, work: Work) -> Result<bool, Fault> {
        match work {
            Work::Flush => {
                let flushed = self.step_flush()?;
                self.health.has_room(Work::Flush);
                if flushed {
                    // There is a table more: time to look for a compaction.
                    self.signals.wake();
                }
                Ok(flushed)
            }
            Work::Compact => {
                // First, because it makes room.
                let cleaned = self.step_clean();
                Ok(self.step_compact()? || cleaned)
            }
        }
    }

    /// One step of background work, the most urgent first; false where there is none left.
    pub(crate) fn step(&self) -> Result<bool, Fault> {
        let stepped = self.take_step();
        self.signals.progressed();
        stepped
    }

    fn take_step(&self) -> Result<bool, Fault> {
        // First, because it makes room.
        if self.step_clean() {
            return Ok(true);
        }
        for work in [Work::Flush, Work::Compact] {
            let stepped = match work {
                Work::Flush => self.step_flush().inspect(|_| self.health.has_room(Work::Flush)),
                Work::Compact => self.step_compact(),
            };
            if stepped.inspect_err(|fault| self.note_fault(work, fault))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// As long as what is returned lives, work that can wait is done at once.
    pub(crate) fn leave_nothing_for_later(&self) -> impl Drop + '_ {
        struct NotLater<'a>(&'a AtomicUsize);
        impl Drop for NotLater<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.settling.fetch_add(1, Ordering::Relaxed);
        self.signals.wake();
        NotLater(&self.settling)
    }

    fn step_clean(&self) -> bool {
        let (emptied, removed) = self.bin.empty();
        if removed.is_err() {
            // The files are left over and swept when the store is opened next.
            self.counters.note_left_over();
        }
        emptied
    }

    /// Waits until `reached`, or until a fault stands in the way, a full disk among them where it holds
    /// up the `work` that is waited for. Background work goes on meanwhile, done by the caller where
    /// nobody else does it.
    pub(crate) fn wait_until(&self, work: &[Work], reached: impl Fn() -> bool) -> Result<(), Error> {
        loop {
            self.health.check()?;
            if reached() {
                return Ok(());
            }
            match self.options.background {
                Background::Threads => {
                    if let Some(fault) = self.health.full(work) {
                        return Err(Error::Full(fault));
                    }
                    self.signals.wake();
                    self.signals.wait_for_progress();
                }
                Background::Steps => {
                    if !self.step()? {
                        if !self.is_working() {
                            return Ok(());
                        }
                        self.signals.wait_for_progress();
                    }
                }
            }
        }
    }

    /// Whether another thread is in the middle of a step.
    fn is_working(&self) -> bool {
        self.flushing.try_lock().is_err()
            || self.keyspaces.load().values().any(|keyspace| !lock(&keyspace.busy).tables.is_empty())
    }
}
