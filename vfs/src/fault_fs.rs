//! A file system that fails when it is told to.

mod call;
mod rule;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::rule::{Armed, Moment};
use crate::{DirEntry, File, FileLock, Fs, LockKind, Window};

pub use self::call::{Call, Operation, Outcome};
pub use self::rule::Rule;

/// A file system that passes every call on to another one and fails when it is told to.
///
/// A clone is the same file system. Without rules it does nothing but count, at a few nanoseconds a
/// call. Files that were opened through it obey rules that are added later.
///
/// Three ways of use, from the roughest to the finest:
///
/// - [`power_off_at`](FaultFs::power_off_at): everything fails from the nth mutating call on. Over a
///   [`MemFs`](crate::MemFs), followed by [`crash`](crate::MemFs::crash), it is a power failure at each
///   operation in turn.
/// - [`add_rule`](FaultFs::add_rule): calls fail by number, by operation, by path; before or after their
///   effect, or in the middle of a write.
/// - [`before_each_call`](FaultFs::before_each_call): a function of the test's own looks at each call
///   before it happens; it may wait, or crash a copy of the disk.
///
/// And [`trace`](FaultFs::trace) tells what was called, in order.
///
/// # Example
///
/// ```
/// use std::path::Path;
/// use lsmkit_vfs::{FaultFs, Fs, MemFs, Rule};
///
/// fn save(fs: &dyn Fs) -> std::io::Result<()> {
///     let file = fs.create(Path::new("/new"))?;
///     file.write_at(b"state", 0)?;
///     file.sync()?;
///     fs.rename(Path::new("/new"), Path::new("/state"))?;
///     fs.sync_dir(Path::new("/"))
/// }
///
/// // No call of `save` can fail without `save` telling so.
/// for nth in 1.. {
///     let fs = FaultFs::new(MemFs::new().shared());
///     fs.add_rule(Rule::nth(nth));
///     let saved = save(&fs);
///     assert_eq!(saved.is_err(), fs.faults() > 0);
///     if fs.faults() == 0 {
///         break;
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct FaultFs {
    inner: Arc<dyn Fs>,
    plan: Arc<Plan>,
}

type Hook = Arc<dyn Fn(&Call) + Send + Sync>;

#[derive(Default)]
struct Plan {
    calls: AtomicU64,
    mutating_calls: AtomicU64,
    faults: AtomicU64,
    /// Whether there is anything in `orders`: a call of an idle file system takes no lock.
    is_armed: AtomicBool,
    orders: Mutex<Orders>,
}

#[derive(Default)]
struct Orders {
    rules: Vec<Armed>,
    /// Counted down by mutating calls; at zero, everything fails.
    calls_until_off: Option<u64>,
    hook: Option<Hook>,
    trace: Option<Vec<(Call, Outcome)>>,
}

impl FaultFs {
    /// Passes every call on to `inner`.
    pub fn new(inner: Arc<dyn Fs>) -> FaultFs {
        FaultFs { inner, plan: Arc::default() }
    }

    /// The file system, ready to be passed on.
    pub fn shared(&self) -> Arc<dyn Fs> {
        Arc::new(self.clone())
    }

    /// Lets calls fail by a rule, besides those that were added before; the first that strikes a call
    /// says how it fails, and all of them count it.
    pub fn add_rule(&self, rule: Rule) {
        self.order(|orders| orders.rules.push(Armed::new(rule)));
    }

    /// Forgets all rules and puts the power on again. A function and a trace stay.
    pub fn clear_rules(&self) {
        self.order(|orders| {
            orders.rules.clear();
            orders.calls_until_off = None;
        });
    }

    /// Lets the `nth` mutating call (see [`Operation::is_mutating`]) from now on fail, counted from 1,
    /// and after it every call of any kind, without effect: the power is off. Locks are let go as their
    /// guards are dropped.
    ///
    /// # Panics
    ///
    /// If `nth` is zero.
    pub fn power_off_at(&self, nth: u64) {
        assert!(nth > 0, "calls are counted from 1");
        self.order(|orders| orders.calls_until_off = Some(nth));
    }

    /// Calls a function before each call, before the rules are asked, on the thread that makes the
    /// call; in a thread that panics not before [`Operation::Close`]. It may use this file system's own methods and those of the file system beneath, but a
    /// call of [`Fs`] on this one would call the function again.
    pub fn before_each_call(&self, hook: impl Fn(&Call) + Send + Sync + 'static) {
        let mut before = None;
        self.order(|orders| before = orders.hook.replace(Arc::new(hook)));
        // It may hold the last handle of a file, whose end is told, and must not be while the orders are held.
        drop(before);
    }

    /// Begins to write down each call, anew.
    pub fn start_trace(&self) {
        self.order(|orders| orders.trace = Some(Vec::new()));
    }

    /// The calls since [`FaultFs::start_trace`], in the order in which they ended.
    pub fn trace(&self) -> Vec<(Call, Outcome)> {
        self.plan.orders().trace.clone().unwrap_or_default()
    }

    /// How many calls there were, those that failed included.
    pub fn calls(&self) -> u64 {
        self.plan.calls.load(Relaxed)
    }

    /// How many of them were mutating; see [`Operation::is_mutating`].
    pub fn mutating_calls(&self) -> u64 {
        self.plan.mutating_calls.load(Relaxed)
    }

    /// How many calls failed by a rule or because the power was off.
    pub fn faults(&self) -> u64 {
        self.plan.faults.load(Relaxed)
    }

    fn order(&self, change: impl FnOnce(&mut Orders)) {
        let mut orders = self.plan.orders();
        change(&mut orders);
        let is_armed = !orders.rules.is_empty()
            || orders.calls_until_off.is_some()
            || orders.hook.is_some()
            || orders.trace.is_some();
        self.plan.is_armed.store(is_armed, Relaxed);
    }

    fn file(&self, path: &Path, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(FaultFile { inner: file, path: path.into(), plan: Arc::clone(&self.plan) })
    }
}

/// What is to become of a call.
enum Verdict {
    Pass,
    Fail { error: io::Error, moment: Moment },
}

impl Plan {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a call that has all of its effect or none.
    fn run<T>(
        &self,
        operation: Operation,
        call: impl FnOnce() -> Call,
        effect: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        self.run_partly(operation, call, |part| match part {
            Part::Whole => effect().map(Some),
            Part::Bytes(_) => Ok(None),
        })
    }

    /// Makes a call; `effect` does the part of it that it is given, and a whole one returns a value.
    fn run_partly<T>(
        &self,
        operation: Operation,
        call: impl FnOnce() -> Call,
        effect: impl FnOnce(Part) -> io::Result<Option<T>>,
    ) -> io::Result<T> {
        let whole = |done: io::Result<Option<T>>| done.map(|value| value.expect("a whole call has a value"));
        self.calls.fetch_add(1, Relaxed);
        if operation.is_mutating() {
            self.mutating_calls.fetch_add(1, Relaxed);
        }
        if !self.is_armed.load(Relaxed) {
            return whole(effect(Part::Whole));
        }
        let call = call();
        let result = match self.judge(&call) {
            Verdict::Pass => whole(effect(Part::Whole)),
            Verdict::Fail { error, moment } => {
                self.faults.fetch_add(1, Relaxed);
                let done = match moment {
                    Moment::Before => Ok(None),
                    Moment::AfterBytes(bytes) => effect(Part::Bytes(bytes)),
                    Moment::After => effect(Part::Whole),
                };
                done.and(Err(error))
            }
        };
        self.note(call, if result.is_ok() { Outcome::Done } else { Outcome::Failed });
        result
    }

    /// Tells of a call that can't fail.
    fn tell(&self, call: impl FnOnce() -> Call) {
        if self.is_armed.load(Relaxed) {
            let call = call();
            // Should the function panic again, the process would end.
            if !std::thread::panicking() {
                self.announce(&call);
            }
            self.note(call, Outcome::Done);
        }
    }

    fn announce(&self, call: &Call) {
        let hook = self.orders().hook.clone();
        if let Some(hook) = hook {
            hook(call);
        }
    }

    fn note(&self, call: Call, outcome: Outcome) {
        if let Some(trace) = &mut self.orders().trace {
            trace.push((call, outcome));
        }
    }

    fn judge(&self, call: &Call) -> Verdict {
        self.announce(call);
        let mut orders = self.orders();
        if let Some(left) = &mut orders.calls_until_off {
            if *left > 0 && call.operation.is_mutating() {
                *left -= 1;
            }
            if *left == 0 {
                return Verdict::Fail { error: io::Error::other("the power is off"), moment: Moment::Before };
            }
        }
        let mut verdict = Verdict::Pass;
        for armed in &mut orders.rules {
            // Each of them counts, even after one has struck.
            if armed.strikes(call) && matches!(verdict, Verdict::Pass) {
                verdict = Verdict::Fail { error: armed.rule.to_error(call), moment: armed.rule.moment };
            }
        }
        verdict
    }
}

/// How much of a call is to be done.
enum Part {
    Whole,
    Bytes(usize),
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("calls", &self.calls)
            .field("faults", &self.faults)
            .field("rules", &self.orders().rules)
            .finish_non_exhaustive()
    }
}

impl Fs for FaultFs {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let operation = Operation::CreateDir;
        self.plan.run(operation, || Call::of(operation, dir), || self.inner.create_dir(dir))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let operation = Operation::Create;
        let file = self.plan.run(operation, || Call::of(operation, path), || self.inner.create(path))?;
        Ok(self.file(path, file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let operation = Operation::Open;
        let file = self.plan.run(operation, || Call::of(operation, path), || self.inner.open(path))?;
        Ok(self.file(path, file))
    }

    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let operation = Operation::OpenWrite;
        let file = self.plan.run(operation, || Call::of(operation, path), || self.inner.open_write(path))?;
        Ok(self.file(path, file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let operation = Operation::Rename;
        let call = || Call { to: Some(to.into()), ..Call::of(operation, from) };
        self.plan.run(operation, call, || self.inner.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let operation = Operation::Remove;
        self.plan.run(operation, || Call::of(operation, path), || self.inner.remove(path))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let operation = Operation::List;
        self.plan.run(operation, || Call::of(operation, dir), || self.inner.list(dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let operation = Operation::SyncDir;
        self.plan.run(operation, || Call::of(operation, dir), || self.inner.sync_dir(dir))
    }

    fn lock(&self, path: &Path, kind: LockKind) -> io::Result<Box<dyn FileLock>> {
        let operation = Operation::Lock;
        self.plan.run(operation, || Call::of(operation, path), || self.inner.lock(path, kind))
    }
}

#[derive(Debug)]
struct FaultFile {
    inner: Arc<dyn File>,
    path: Arc<Path>,
    plan: Arc<Plan>,
}

impl FaultFile {
    fn run<T>(
        &self,
        operation: Operation,
        offset: u64,
        size_bytes: u64,
        effect: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let call = || Call { offset, size_bytes, ..Call::of(operation, Arc::clone(&self.path)) };
        self.plan.run(operation, call, effect)
    }
}

impl Drop for FaultFile {
    fn drop(&mut self) {
        self.plan.tell(|| Call::of(Operation::Close, Arc::clone(&self.path)));
    }
}

#[derive(Debug)]
struct FaultWindow {
    inner: Box<dyn Window>,
    /// Where in the file it begins.
    offset: u64,
    path: Arc<Path>,
    plan: Arc<Plan>,
}

impl Window for FaultWindow {
    fn write(&mut self, bytes: &[u8], at: usize) -> io::Result<()> {
        let operation = Operation::Write;
        let (offset, size_bytes) = (self.offset + at as u64, bytes.len() as u64);
        let call = || Call { offset, size_bytes, ..Call::of(operation, Arc::clone(&self.path)) };
        self.plan.run_partly(operation, call, |part| {
            let bytes = match part {
                Part::Whole => bytes,
                Part::Bytes(count) => &bytes[..count.min(bytes.len())],
            };
            self.inner.write(bytes, at).map(Some)
        })
    }
}

impl File for FaultFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.run(Operation::Read, offset, bytes.len() as u64, || self.inner.read_at(bytes, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let operation = Operation::Write;
        let size_bytes = bytes.len() as u64;
        let call = || Call { offset, size_bytes, ..Call::of(operation, Arc::clone(&self.path)) };
        self.plan.run_partly(operation, call, |part| {
            let bytes = match part {
                Part::Whole => bytes,
                Part::Bytes(count) => &bytes[..count.min(bytes.len())],
            };
            self.inner.write_at(bytes, offset).map(Some)
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.run(Operation::Sync, 0, 0, || self.inner.sync())
    }

    fn size_bytes(&self) -> io::Result<u64> {
        self.run(Operation::Size, 0, 0, || self.inner.size_bytes())
    }

    fn allocate(&self, size_bytes: u64) -> io::Result<()> {
        self.run(Operation::Allocate, 0, size_bytes, || self.inner.allocate(size_bytes))
    }

    /// Each write through the window is an [`Operation::Write`].
    fn window(&self, offset: u64, size_bytes: usize) -> io::Result<Option<Box<dyn Window>>> {
        let open = || self.inner.window(offset, size_bytes);
        let window = self.run(Operation::Window, offset, size_bytes as u64, open)?;
        let (path, plan) = (Arc::clone(&self.path), Arc::clone(&self.plan));
        Ok(window.map(|inner| Box::new(FaultWindow { inner, offset, path, plan }) as Box<dyn Window>))
    }

    /// One call of the file beneath too, which may have a way of its own.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.run(Operation::Read, offset, bytes.len() as u64, || self.inner.read_exact_at(bytes, offset))
    }
}
