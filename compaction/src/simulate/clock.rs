//! The course of a simulation: writers, one thread that flushes, some that compact, and what happens next.

use std::collections::VecDeque;

use super::Machine;
use super::content::{Keys, LINE, Mix};
use super::reads::Reads;
use super::report::{LevelSample, Report, Sample, Work};
use super::store::{Begun, Store};
use super::workload::{Load, Workload};
use crate::{CompactionPicker, Job, JobKind, Pressure};

/// The slowest writers are, in halvings of the rate: at 128 MiB a second the engine's 64 KiB.
const HALVINGS_MAX: f64 = 11.0;

/// What a memtable that fills counts for where writers are slowed down: as they go slower while it does, it takes 1 / ln 2 times
/// as long as at the beginning, which is 2 to the power of this.
const FILLING: f64 = 0.529;

/// Writes of one kind.
#[derive(Clone, Copy, Debug)]
struct Stage {
    is_load: bool,
    writes: f64,
    /// Whether it is what the report is about.
    counts: bool,
}

/// What a memtable holds.
#[derive(Clone, Copy, Debug)]
struct Memtable {
    is_load: bool,
    /// How many writes, and how many of its kind there were before.
    writes: f64,
    before: f64,
}

/// A job that threads work on.
#[derive(Debug)]
struct Running {
    number: u64,
    begun: Begun,
    parts: u64,
    taken: u64,
    ended: u64,
    seconds_per_part: f64,
}

#[derive(Clone, Copy, Debug)]
struct Thread {
    job: u64,
    until: f64,
}

/// What happens next, the first first where several happen at once.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Event {
    PartEnds(usize),
    FlushEnds,
    Leisure,
    MemtableFull,
}

pub(super) struct Clock<'a> {
    workload: &'a Workload,
    machine: &'a Machine,
    picker: &'a dyn CompactionPicker,
    store: Store,
    now: f64,
    stages: VecDeque<Stage>,
    active: Memtable,
    frozen: VecDeque<Memtable>,
    flush_until: Option<f64>,
    threads: Vec<Option<Thread>>,
    running: Vec<Running>,
    next_job: u64,
    /// When there was last something new to do.
    woken: f64,
    at_leisure: bool,
    is_settling: bool,
    /// Whether the strategy has been asked and had no job, since when nothing has changed.
    has_nothing: bool,
    pressure: Option<Pressure>,
    /// Writes that have been flushed: of the load, and overwrites.
    loaded: f64,
    overwritten: f64,
    live_bytes: f64,
    /// Keys and values written: in all, in the run, and in the run once it is over.
    user_bytes: f64,
    run_bytes: f64,
    run_bytes_all: f64,
    samples: u64,
    /// The sum of space amplification by weight, and the weights.
    space: (f64, f64),
    report: Report,
}

impl<'a> Clock<'a> {
    pub(super) fn new(
        workload: &'a Workload,
        machine: &'a Machine,
        picker: &'a dyn CompactionPicker,
        samples: u64,
        table_bytes: u64,
    ) -> Clock<'a> {
        let keys = workload.keys as f64;
        let is_load_all = workload.overwrites == 0.0 && workload.warm_up == 0.0;
        let stage = |is_load, writes, counts| Stage { is_load, writes, counts };
        let mut stages = VecDeque::new();
        if matches!(workload.load, Load::AtRandom | Load::InOrder) {
            stages.push_back(stage(true, keys, is_load_all));
        }
        stages.push_back(stage(false, keys * workload.warm_up, false));
        stages.push_back(stage(false, keys * workload.overwrites, true));
        stages.retain(|stage| stage.writes >= 1.0);
        let threads = if machine.is_instantaneous() { 1 } else { machine.threads.max(1) };
        let mut clock = Clock {
            workload,
            machine,
            picker,
            store: Store::new(Keys::new(workload)),
            now: 0.0,
            active: Memtable { is_load: stages.front().is_some_and(|s| s.is_load), writes: 0.0, before: 0.0 },
            stages,
            frozen: VecDeque::new(),
            flush_until: None,
            threads: vec![None; threads],
            running: Vec::new(),
            next_job: 0,
            woken: 0.0,
            at_leisure: machine.leisure_seconds <= 0.0,
            is_settling: false,
            has_nothing: false,
            pressure: None,
            loaded: 0.0,
            overwritten: 0.0,
            live_bytes: 0.0,
            run_bytes: 0.0,
            user_bytes: 0.0,
            run_bytes_all: 0.0,
            samples: samples.max(1),
            space: (0.0, 0.0),
            report: Report { picker: picker.name().to_owned(), ..Report::default() },
        };
        clock.run_bytes_all = clock
            .stages
            .iter()
            .filter(|stage| stage.counts)
            .map(|s| s.writes * clock.write_bytes(s.is_load))
            .sum();
        if let Load::Standing(level) = workload.load {
            clock.store.stand(level, table_bytes);
            clock.loaded = keys;
            clock.tree_changed();
        }
        clock
    }

    pub(super) fn run(mut self) -> Report {
        loop {
            self.begin_work();
            let Some((at, event)) = self.next() else {
                if self.is_settling {
                    break;
                }
                // All is written and done: from here on at leisure.
                self.is_settling = true;
                self.at_leisure = true;
                self.has_nothing = false;
                continue;
            };
            self.pass(at, event);
            match event {
                Event::PartEnds(thread) => self.part_ends(thread),
                Event::FlushEnds => self.flush_ends(),
                Event::Leisure => {
                    self.at_leisure = true;
                    self.has_nothing = false;
                }
                Event::MemtableFull => self.freeze(),
            }
        }
        self.report.at_rest = self.sample();
        let (sum, weight) = self.space;
        self.report.space_amplification_mean = if weight > 0.0 { sum / weight } else { 0.0 };
        self.report
    }

    /// The time for strategies: a simulation begins in the first second.
    fn seconds(&self) -> u64 {
        1 + self.now as u64
    }

    /// Begins whatever may begin now.
    fn begin_work(&mut self) {
        if self.flush_until.is_none()
            && let Some(memtable) = self.frozen.front()
        {
            let bytes = self.flushed_bytes(memtable);
            self.flush_until = Some(self.now + bytes / self.machine.thread_bytes_per_second);
        }
        for thread in 0..self.threads.len() {
            if self.threads[thread].is_some() {
                continue;
            }
            let Some(job) = self.next_part() else { break };
            job.taken += 1;
            let (number, seconds) = (job.number, job.seconds_per_part);
            self.threads[thread] = Some(Thread { job: number, until: self.now + seconds });
        }
    }

    /// A part for an idle thread, as the engine chooses: what makes room at level 0 comes first, and then what has begun.
    fn next_part(&mut self) -> Option<&mut Running> {
        // While the store is written to, half of the threads may have parts of one job, as long as nobody is held up.
        let pressure = self.picker.pressure(&self.store.tree);
        let is_urgent = self.at_leisure || pressure.runs >= pressure.runs_slow;
        let threads_max = if is_urgent { self.threads.len() } else { self.threads.len().div_ceil(2) };
        let is_left = |job: &Running| job.taken < job.parts && job.taken - job.ended < threads_max as u64;
        let level0 = |job: &Running| is_left(job) && job.begun.job.empties_level0();
        let mut at = self.running.iter().position(level0);
        if at.is_none() {
            let is_any_left = self.running.iter().any(is_left);
            if self.pick(|job| !is_any_left || job.empties_level0()) {
                at = self.running.len().checked_sub(1);
            }
        }
        let at = at.or_else(|| self.running.iter().position(is_left))?;
        self.running.get_mut(at)
    }

    /// Begins the next job that is `wanted`; moves and drops end at once. False where there is none.
    fn pick(&mut self, wanted: impl Fn(&Job) -> bool) -> bool {
        loop {
            if self.has_nothing {
                return false;
            }
            self.store.busy.at_leisure = self.at_leisure;
            self.store.busy.now = self.seconds();
            let Some(job) = self.picker.pick(&self.store.tree, &self.store.busy) else {
                self.has_nothing = true;
                return false;
            };
            if !wanted(&job) {
                return false;
            }
            self.has_nothing = false;
            let begun = self.store.begin(job);
            let (kind, bytes) = (begun.job.kind, begun.written_bytes);
            if kind != JobKind::Merge {
                self.store.end(begun);
                self.tree_changed();
                let work = self.work();
                if kind == JobKind::Move {
                    work.moves += 1;
                    work.moved_bytes += bytes;
                } else {
                    work.dropped_bytes += bytes;
                }
                continue;
            }
            let part_bytes = begun.job.part_bytes().max(1);
            let parts = if self.threads.len() > 1 { (begun.read_bytes / part_bytes).max(1) } else { 1 };
            let bytes = (begun.read_bytes + begun.written_bytes) as f64;
            let seconds_per_part = bytes / parts as f64 / self.machine.thread_bytes_per_second;
            let number = self.next_job;
            self.next_job += 1;
            self.running.push(Running { number, begun, parts, taken: 0, ended: 0, seconds_per_part });
            return true;
        }
    }

    fn next(&mut self) -> Option<(f64, Event)> {
        let mut next: Option<(f64, Event)> = None;
        let mut offer = |at: f64, event| {
            if at.is_finite() && next.is_none_or(|(before, _)| at < before) {
                next = Some((at, event));
            }
        };
        for (number, thread) in self.threads.iter().enumerate() {
            if let Some(thread) = thread {
                offer(thread.until, Event::PartEnds(number));
            }
        }
        if let Some(at) = self.flush_until {
            offer(at, Event::FlushEnds);
        }
        let is_idle = self.threads.iter().any(Option::is_none) && self.has_nothing;
        if is_idle && !self.at_leisure {
            offer((self.woken + self.machine.leisure_seconds).max(self.now), Event::Leisure);
        }
        if let Some(stage) = self.stages.front().copied() {
            let left = self.capacity(&stage).min(stage.writes) - self.active.writes;
            let rate = self.rate() / self.write_bytes(stage.is_load);
            if rate > 0.0 {
                offer(self.now + (left / rate).max(0.0), Event::MemtableFull);
            }
        }
        next
    }

    /// Lets time pass until `event` at `at`.
    fn pass(&mut self, at: f64, event: Event) {
        let seconds = (at - self.now).max(0.0);
        let mut bytes = 0.0;
        if let Some(stage) = self.stages.front().copied() {
            let (rate, write_bytes) = (self.rate(), self.write_bytes(stage.is_load));
            let left = self.capacity(&stage).min(stage.writes) - self.active.writes;
            let writes = match event {
                Event::MemtableFull => left,
                _ if rate.is_finite() => (rate * seconds / write_bytes).min(left),
                _ => 0.0,
            };
            self.active.writes += writes;
            bytes = writes * write_bytes;
            self.user_bytes += bytes;
            self.run_bytes += if stage.counts { bytes } else { 0.0 };
            let offered = self.machine.offered_bytes_per_second;
            let work = self.work();
            work.user_bytes += bytes;
            if rate == 0.0 {
                work.stopped_seconds += seconds;
            } else if rate < offered {
                work.slowed_seconds += seconds;
            }
        }
        self.work().seconds += seconds;
        self.now = at.max(self.now);
        if self.is_run() {
            let weight = if self.machine.is_instantaneous() { bytes } else { seconds };
            let space = self.space_amplification();
            self.space.0 += space * weight;
            self.space.1 += weight;
            self.report.space_amplification_max = self.report.space_amplification_max.max(space);
        }
    }

    /// How many bytes of keys and values writers write in a second now.
    ///
    /// As many as they offer, but at [`Pressure::runs_slow`] runs no more than [`Machine::slowed_bytes_per_second`], and half as many with
    /// each run more; full memtables count as the runs they will be, and a part of one as such. At [`Pressure::runs_stop`]
    /// writers wait. The engine does the same.
    fn rate(&mut self) -> f64 {
        let offered = self.machine.offered_bytes_per_second;
        if self.frozen.len() >= self.machine.memtables_max.max(1) {
            return 0.0;
        }
        // No time passes, so nobody waits.
        if self.machine.is_instantaneous() {
            return offered;
        }
        let Pressure { runs, runs_slow, runs_stop, .. } = self.pressure();
        // Waiting for a compaction that does not come would be for ever.
        let can_compact = !self.running.is_empty() || !self.has_nothing;
        if runs == 0 || !can_compact || runs + self.frozen.len() < runs_slow {
            return offered;
        }
        if runs >= runs_stop {
            return 0.0;
        }
        let beyond = (runs + self.frozen.len()).saturating_sub(runs_slow) as f64;
        offered.min(self.machine.slowed_bytes_per_second * (-(beyond + FILLING).min(HALVINGS_MAX)).exp2())
    }

    /// The active memtable is full, or the stage over: it waits for its flush, and the next one takes the writes.
    fn freeze(&mut self) {
        let full = self.active;
        self.frozen.push_back(full);
        self.active = Memtable { writes: 0.0, before: full.before + full.writes, ..full };
        if let Some(stage) = self.stages.front_mut() {
            stage.writes -= full.writes;
            if stage.writes < 1.0 {
                self.stages.pop_front();
                if let Some(next) = self.stages.front()
                    && next.is_load != full.is_load
                {
                    self.active = Memtable { is_load: next.is_load, writes: 0.0, before: 0.0 };
                }
            }
        }
    }

    fn flush_ends(&mut self) {
        self.flush_until = None;
        let Some(memtable) = self.frozen.pop_front() else { return };
        let (begin, end, mix) = self.content(&memtable);
        let before = self.loaded + self.overwritten;
        self.store.busy.now = self.seconds();
        let bytes = self.store.flush(begin, end, &mix, before + 1.0, before + memtable.writes);
        *(if memtable.is_load { &mut self.loaded } else { &mut self.overwritten }) += memtable.writes;
        self.tree_changed();
        self.woken = self.now;
        self.at_leisure = self.is_settling || self.machine.leisure_seconds <= 0.0;
        let is_run = self.is_run();
        let work = self.work();
        work.flushes += 1;
        work.flushed_bytes += bytes;
        let due = self.run_bytes_all * (self.report.samples.len() + 1) as f64 / self.samples as f64;
        if is_run && self.run_bytes >= due * (1.0 - 1e-9) {
            let sample = self.sample();
            self.report.samples.push(sample);
        }
    }

    fn part_ends(&mut self, thread: usize) {
        let Some(Thread { job, .. }) = self.threads[thread].take() else { return };
        let Some(at) = self.running.iter().position(|running| running.number == job) else { return };
        self.running[at].ended += 1;
        if self.running[at].ended < self.running[at].parts {
            return;
        }
        if self.is_run() {
            // All that the job has written is on disk, and its inputs still are.
            let space = self.space_amplification();
            self.report.space_amplification_max = self.report.space_amplification_max.max(space);
        }
        let begun = self.running.remove(at).begun;
        let (read, written, cause) = (begun.read_bytes, begun.written_bytes, begun.job.cause);
        self.store.end(begun);
        self.tree_changed();
        let work = self.work();
        *work.merges.entry(cause).or_default() += 1;
        work.read_bytes += read;
        work.compacted_bytes += written;
    }

    fn tree_changed(&mut self) {
        self.has_nothing = false;
        self.pressure = None;
        let loaded = self.loaded / self.workload.keys as f64;
        self.live_bytes = self.store.keys.live_bytes(loaded, self.overwritten, self.workload.deletes);
    }

    fn pressure(&mut self) -> Pressure {
        *self.pressure.get_or_insert_with(|| self.picker.pressure(&self.store.tree))
    }

    /// Whether what happens now is of the writes that count.
    fn is_run(&self) -> bool {
        !self.is_settling && self.stages.front().is_none_or(|stage| stage.counts)
    }

    fn work(&mut self) -> &mut Work {
        if self.is_settling {
            &mut self.report.settling
        } else if self.is_run() {
            &mut self.report.run
        } else {
            &mut self.report.before
        }
    }

    fn write_bytes(&self, is_load: bool) -> f64 {
        if is_load {
            (self.workload.key_bytes + self.workload.value_bytes).max(1) as f64
        } else {
            self.workload.write_bytes()
        }
    }

    /// How many writes fill a memtable.
    fn capacity(&self, stage: &Stage) -> f64 {
        (self.machine.memtable_bytes as f64 / self.write_bytes(stage.is_load)).max(1.0)
    }

    /// What the table of a memtable is: its positions, and how much of each class it has.
    fn content(&self, memtable: &Memtable) -> (u64, u64, Vec<Mix>) {
        let classes = &self.store.keys.classes;
        if !memtable.is_load {
            let deletes = self.workload.deletes;
            let mix = |written| Mix { loaded: 0.0, written, deleted: written * deletes };
            return (0, LINE, classes.iter().map(|class| mix(class.reached(memtable.writes))).collect());
        }
        let keys = self.workload.keys as f64;
        let all = |loaded| vec![Mix { loaded, ..Mix::default() }; classes.len()];
        if self.workload.load == Load::InOrder {
            let position = |write: f64| (write / keys * LINE as f64).round().min(LINE as f64) as u64;
            let begin = position(memtable.before);
            let end = position(memtable.before + memtable.writes).max(begin + 1);
            return (begin, end, all(1.0));
        }
        (0, LINE, all((memtable.writes / keys).min(1.0)))
    }

    fn flushed_bytes(&self, memtable: &Memtable) -> f64 {
        let (begin, end, mix) = self.content(memtable);
        self.store.keys.volume(&mix).size_bytes * (end - begin) as f64
    }

    /// With the output of merges so far.
    fn space_amplification(&self) -> f64 {
        let so_far = |job: &Running| job.begun.written_bytes as f64 * job.ended as f64 / job.parts as f64;
        let written: f64 = self.running.iter().map(so_far).sum();
        if self.live_bytes > 0.0 { (self.store.size_bytes as f64 + written) / self.live_bytes } else { 0.0 }
    }

    fn sample(&mut self) -> Sample {
        let in_order = self.workload.load == Load::InOrder;
        let loaded = if in_order { (self.loaded / self.workload.keys as f64).min(1.0) } else { 1.0 };
        let line = (LINE as f64 * loaded) as u64;
        let reads = Reads::of(&self.store, self.machine.filter_misses, line);
        let debt_bytes = self.pressure().debt_bytes;
        let levels = self.store.tree.levels.iter().map(|level| LevelSample {
            runs: level.runs.len(),
            tables: level.tables().count(),
            size_bytes: level.size_bytes(),
        });
        Sample {
            seconds: self.now,
            user_bytes: self.user_bytes,
            size_bytes: self.store.size_bytes,
            live_bytes: self.live_bytes,
            debt_bytes,
            levels: levels.collect(),
            runs_per_get: reads.runs_per_get,
            runs_per_scan: reads.runs_per_scan,
        }
    }
}
