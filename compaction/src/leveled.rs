//! Leveled compaction: level 0 takes the flushes, every deeper level is one run, ten times the one above.
//!
//! The strategy of LevelDB with the dynamic level targets of RocksDB: the size of the last level
//! sets the targets of those above it (Dong et al., "Optimizing Space Amplification in RocksDB",
//! CIDR 2017), so that all but about a tenth of the data is in the last level
//! whatever the store's size.

use std::sync::Arc;

use lsmkit_base::{Run, RunId, TableMeta, Tree};

use crate::cut::OVERLAP_TABLES;
use crate::span::{Span, is_bottom, is_old, kind_of, newest_idle, runs, sheds_tombstones, size_bytes};
use crate::{Busy, Cause, CompactionPicker, Job, JobKind, Pressure};

/// A merge takes along neighbours for which it need not read more of the level below, up to this
/// many tables' worth of bytes, so that one job's needs in time and space stay bounded.
const JOB_TABLES: u64 = 25;

/// Leveled compaction: least space and the fastest reads, for more bytes rewritten than [`crate::Tiered`].
///
/// Level 0 holds runs as they were flushed. From the *base level* down each level is one run and
/// `fan_out` times the one above; the levels between 0 and the base level are empty. A tree of
/// another shape (another strategy wrote it, or other settings) is brought into this one.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Leveled {
    /// At this many runs level 0 is merged into the base level, at leisure or where that is small; at least 1.
    pub level0_trigger: usize,
    /// At this many runs level 0 is merged though the store is written to and the level below is larger than level 0: what is
    /// rewritten there is rewritten once for all of them.
    pub level0_batch: usize,
    /// Past this many runs at level 0 writers are slowed down.
    pub runs_slow: usize,
    /// At this many runs at level 0 writers stop.
    pub runs_stop: usize,
    /// How many levels there are, level 0 included; from 2 to [`Tree::MAX_LEVELS`].
    pub levels: u32,
    /// The least target of a level above the last.
    pub base_bytes: u64,
    /// How many times larger than the one above a level is; at least 2.
    pub fan_out: u64,
    /// The size at which an output table ends.
    pub table_bytes: u64,
    /// What was flushed this many seconds ago or longer goes down to the last level, so that what it replaces or deletes is gone
    /// from the disk within about that time; 0 for never.
    pub age_max_seconds: u64,
}

impl Default for Leveled {
    fn default() -> Leveled {
        Leveled {
            level0_trigger: 4,
            level0_batch: 16,
            runs_slow: 24,
            runs_stop: 40,
            levels: 7,
            base_bytes: 256 << 20,
            fan_out: 10,
            table_bytes: 64 << 20,
            age_max_seconds: 0,
        }
    }
}

impl Leveled {
    /// With level 0 merged at `runs` runs.
    #[must_use]
    pub fn level0_trigger(self, runs: usize) -> Leveled {
        Leveled { level0_trigger: runs, ..self }
    }

    /// With level 0 merged at `runs` runs, but for the case that it is merged earlier: at the trigger, at leisure or where the
    /// level below is small.
    #[must_use]
    pub fn level0_batch(self, runs: usize) -> Leveled {
        Leveled { level0_batch: runs, ..self }
    }

    /// With writers slowed down past `slow` runs at level 0 and stopped at `stop`.
    #[must_use]
    pub fn runs_limits(self, slow: usize, stop: usize) -> Leveled {
        Leveled { runs_slow: slow, runs_stop: stop, ..self }
    }

    /// With `levels` levels, level 0 included.
    #[must_use]
    pub fn levels(self, levels: u32) -> Leveled {
        Leveled { levels, ..self }
    }

    /// With `bytes` as the least target of a level above the last.
    #[must_use]
    pub fn base_bytes(self, bytes: u64) -> Leveled {
        Leveled { base_bytes: bytes, ..self }
    }

    /// With each level `times` the one above.
    #[must_use]
    pub fn fan_out(self, times: u64) -> Leveled {
        Leveled { fan_out: times, ..self }
    }

    /// With output tables that end at `bytes`.
    #[must_use]
    pub fn table_bytes(self, bytes: u64) -> Leveled {
        Leveled { table_bytes: bytes, ..self }
    }

    /// With what is `seconds` old taken down to the last level.
    #[must_use]
    pub fn age_max_seconds(self, seconds: u64) -> Leveled {
        Leveled { age_max_seconds: seconds, ..self }
    }

    /// The size each level should stay below, by level: `None` for level 0, which counts runs, and
    /// for the last, which takes what comes; 0 for a level above the base level.
    pub fn targets(&self, tree: &Tree) -> Vec<Option<u64>> {
        let shape = self.shape(tree);
        (0..=shape.last)
            .map(|level| (level != 0 && level != shape.last).then(|| shape.targets[level as usize]))
            .collect()
    }
}

impl CompactionPicker for Leveled {
    fn name(&self) -> &str {
        "leveled"
    }

    fn pick(&self, tree: &Tree, busy: &Busy) -> Option<Job> {
        let shape = self.shape(tree);
        let mut wanting: Vec<(f64, u32)> = (0..shape.last.min(tree.levels.len() as u32))
            .map(|level| (self.score(tree, busy, &shape, level), level))
            .chain((runs(tree, shape.last).len() > 1).then_some((1.0, shape.last)))
            .filter(|(score, _)| *score >= 1.0)
            .collect();
        wanting.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));

        // Level 0 may have to wait until the jobs that hold its output level end. No further job
        // may begin there meanwhile, or level 0 could wait for ever.
        let level0 = wanting.iter().any(|(_, level)| *level == 0);
        let level0_job = if level0 { self.empty_level0(tree, busy, &shape) } else { None };
        let is_awaited = level0 && level0_job.is_none() && self.is_batch(tree, busy);
        let awaited = is_awaited.then_some(shape.below_level0);
        if is_awaited && let Some(job) = self.gather(tree, busy) {
            return Some(job);
        }

        for (_, level) in wanting {
            let job = if level == 0 {
                level0_job.clone()
            } else if runs(tree, level).len() > 1 {
                self.unite(tree, busy, level)
            } else {
                self.deepen(tree, busy, &shape, level)
            };
            if let Some(job) = job
                && awaited.is_none_or(|held| level != held && job.level != held)
            {
                return Some(job);
            }
        }
        if awaited.is_some() {
            return None;
        }
        self.shed(tree, busy, &shape).or_else(|| self.renew(tree, busy, &shape))
    }

    fn pressure(&self, tree: &Tree) -> Pressure {
        let shape = self.shape(tree);
        let level0 = runs(tree, 0);
        let mut debt = 0.0;
        let mut incoming = 0;
        if level0.len() >= self.level0_trigger.max(1) {
            incoming = size_bytes(level0.iter().flat_map(|run| &run.tables));
            debt += incoming as f64;
        }
        for level in 1..=shape.last {
            let held: u64 = runs(tree, level).iter().map(Run::size_bytes).sum();
            if runs(tree, level).len() > 1 {
                debt += held as f64;
            }
            if level == shape.last {
                break;
            }
            if level < shape.base && runs(tree, level).is_empty() {
                continue;
            }
            // What a level has too much is rewritten together with the part of the next level that
            // it overlaps, about in proportion.
            let size = held.saturating_add(incoming);
            let excess = size.saturating_sub(shape.targets[level as usize]);
            let next: u64 = runs(tree, shape.next(tree, level)).iter().map(Run::size_bytes).sum();
            debt += excess as f64 * (1.0 + next as f64 / size.max(1) as f64);
            incoming = excess;
        }
        Pressure {
            runs: level0.len(),
            runs_slow: self.runs_slow,
            runs_stop: self.runs_stop,
            debt_bytes: debt as u64,
        }
    }
}

/// Where data goes, and how much of it each level may keep.
struct Shape {
    /// The deepest level.
    last: u32,
    /// The level level 0 is merged into once those above it are empty.
    base: u32,
    /// The level level 0 is merged into now: no data may jump over a level that has any.
    below_level0: u32,
    /// By level; 0 above the base level.
    targets: Vec<u64>,
}

impl Shape {
    /// Where data of `level` goes. Levels above the base level are on their way to being empty, so
    /// their data skips those that are already.
    fn next(&self, tree: &Tree, level: u32) -> u32 {
        let mut next = level + 1;
        while next < self.base && runs(tree, next).is_empty() {
            next += 1;
        }
        next
    }
}

impl Leveled {
    fn shape(&self, tree: &Tree) -> Shape {
        let last =
            (self.levels.clamp(2, Tree::MAX_LEVELS) - 1).max((tree.levels.len() as u32).saturating_sub(1));
        let mut targets = vec![0; last as usize + 1];
        let mut base = last;
        let mut target: u64 = runs(tree, last).iter().map(Run::size_bytes).sum();
        let fan_out = self.fan_out.max(2);
        while base > 1 && target / fan_out >= self.base_bytes.max(1) {
            base -= 1;
            target /= fan_out;
            targets[base as usize] = target;
        }
        let below_level0 = (1..base).find(|level| !runs(tree, *level).is_empty()).unwrap_or(base);
        Shape { last, base, below_level0, targets }
    }

    /// How much a level above the last wants to be compacted: from 1 on it does.
    fn score(&self, tree: &Tree, busy: &Busy, shape: &Shape, level: u32) -> f64 {
        let held = runs(tree, level);
        if level == 0 {
            let by_runs = held.len() as f64 / self.level0_trigger.max(1) as f64;
            let is_due = busy.at_leisure && self.is_heavy(tree, shape);
            return if is_due { by_runs.max(1.0) } else { by_runs };
        }
        if held.len() > 1 {
            return held.len() as f64;
        }
        // What running jobs take away is as good as gone.
        let idle = || held.iter().flat_map(|run| &run.tables).filter(|table| busy.is_idle(table));
        if idle().next().is_none() {
            return 0.0;
        }
        // A level above the base level is to be emptied; a size of 0 must not keep it.
        match shape.targets[level as usize] {
            0 => size_bytes(idle()).saturating_add(1) as f64,
            target => size_bytes(idle()) as f64 / target as f64,
        }
    }

    /// Merges what level 0 has into the level below it.
    ///
    /// The tables of both levels fall into clusters that share no key with one another, so each
    /// can go by itself, whatever the age of its tables: it takes all older versions along.
    fn empty_level0(&self, tree: &Tree, busy: &Busy, shape: &Shape) -> Option<Job> {
        let level0 = runs(tree, 0);
        // One job at a time: a second could only take newer tables than the first, and would have
        // to wait for it wherever they overlap.
        if !level0.iter().flat_map(|run| &run.tables).all(|table| busy.is_idle(table)) {
            return None;
        }
        let output = shape.below_level0;
        let free = self.free_clusters(tree, busy, shape);
        let moves: Vec<_> = free
            .iter()
            .filter(|cluster| cluster.above.len() == 1 && cluster.below.is_empty())
            .map(|cluster| cluster.above[0])
            .filter(|table| self.may_move(tree, shape, table, output))
            .collect();
        if !moves.is_empty() {
            let run = runs(tree, output).first().map_or_else(|| newest_of(level0, &moves), |run| run.id);
            return Some(self.job(&moves, output, run, JobKind::Move, Cause::Level0));
        }
        // As long as the store is written to, a merge that rewrites more than it takes down waits for more of that.
        let is_batch = self.is_batch(tree, busy);
        let is_due = |cluster: &&Cluster<'_>| {
            let size_bytes = |tables: &[&Arc<TableMeta>]| size_bytes(tables.iter().copied());
            is_batch || size_bytes(&cluster.above) >= size_bytes(&cluster.below)
        };
        // The cluster of most tables brings level 0 nearest to rest; the first by key among equals.
        let cluster = free.iter().rev().filter(is_due).max_by_key(|cluster| cluster.above.len())?;
        Some(self.merge_cluster(tree, shape, cluster, Cause::Level0))
    }

    /// Merges the newest runs of level 0 with one another while a job holds the older ones, so that fewer are there when writers would
    /// be slowed down for them.
    fn gather(&self, tree: &Tree, busy: &Busy) -> Option<Job> {
        let idle = newest_idle(tree, busy, 0);
        if runs(tree, 0).len() * 4 < self.runs_slow * 3 || idle.len() < self.level0_trigger.max(2) {
            return None;
        }
        let inputs: Vec<_> = idle.iter().flat_map(|run| &run.tables).collect();
        let span = Span::hull(inputs.iter().copied())?;
        let kind = kind_of(&inputs);
        busy.span_is_free(0, span).then(|| self.job(&inputs, 0, idle[0].id, kind, Cause::Level0))
    }

    /// Whether level 0 takes much space beside what it would be merged with, though its runs may be few: of such as were gathered.
    fn is_heavy(&self, tree: &Tree, shape: &Shape) -> bool {
        let bytes = |level| runs(tree, level).iter().map(Run::size_bytes).sum::<u64>();
        let many = self.table_bytes.saturating_mul(self.level0_trigger as u64) / 2;
        let below = bytes(shape.below_level0);
        below > 0 && bytes(0) >= many.max(1) && bytes(0) / SPARE_PERCENT >= below / 100
    }

    /// Whether all of level 0 is to be merged now, whatever it costs.
    fn is_batch(&self, tree: &Tree, busy: &Busy) -> bool {
        // Before writers are slowed down, whatever the settings.
        busy.at_leisure || runs(tree, 0).len() >= self.level0_batch.min(self.runs_slow)
    }

    /// The clusters of level 0 whose part in the level below nothing else holds.
    fn free_clusters<'a>(&self, tree: &'a Tree, busy: &Busy, shape: &Shape) -> Vec<Cluster<'a>> {
        let output = shape.below_level0;
        let mut clusters = clusters(runs(tree, 0), runs(tree, output).first());
        clusters.retain(|cluster| {
            cluster.below.iter().all(|table| busy.is_idle(table)) && busy.span_is_free(output, cluster.span)
        });
        clusters
    }

    fn merge_cluster(&self, tree: &Tree, shape: &Shape, cluster: &Cluster<'_>, cause: Cause) -> Job {
        let output = shape.below_level0;
        let newest = || newest_of(runs(tree, 0), &cluster.above);
        let run = runs(tree, output).first().map_or_else(newest, |run| run.id);
        let inputs: Vec<_> = cluster.above.iter().chain(&cluster.below).copied().collect();
        self.job(&inputs, output, run, JobKind::Merge, cause)
    }

    /// Merges the runs of a level that should be one into its newest. Trees that a tiered strategy
    /// wrote have such levels.
    fn unite(&self, tree: &Tree, busy: &Busy, level: u32) -> Option<Job> {
        let held = runs(tree, level);
        let inputs: Vec<_> = held.iter().flat_map(|run| &run.tables).collect();
        let span = Span::hull(inputs.iter().copied())?;
        if !inputs.iter().all(|table| busy.is_idle(table)) || !busy.span_is_free(level, span) {
            return None;
        }
        let kind = kind_of(&inputs);
        Some(self.job(&inputs, level, held.first()?.id, kind, Cause::Runs))
    }

    /// Takes what `level` has too much to the next: for nothing where it overlaps nothing there,
    /// else the table for which the least has to be rewritten.
    fn deepen(&self, tree: &Tree, busy: &Busy, shape: &Shape, level: u32) -> Option<Job> {
        let run = runs(tree, level).first()?;
        let output = shape.next(tree, level);
        let overlap = |table: &TableMeta| overlap(tree, output, table);
        let output_run = run_of(tree, output, run);

        let idle = size_bytes(run.tables.iter().filter(|table| busy.is_idle(table)));
        let excess = idle.saturating_sub(shape.targets[level as usize]);
        let mut moves = Vec::new();
        let mut best: Option<(f64, usize)> = None;
        for (index, table) in run.tables.iter().enumerate() {
            if !self.is_free(tree, busy, shape, level, table) {
                continue;
            }
            if overlap(table).is_empty() && self.may_move(tree, shape, table, output) {
                moves.push(table);
                if size_bytes(moves.iter().copied()) > excess {
                    break;
                }
            }
            let ratio = size_bytes(overlap(table)) as f64 / table.size_bytes.max(1) as f64;
            if best.is_none_or(|(least, _)| ratio < least) {
                best = Some((ratio, index));
            }
        }
        if !moves.is_empty() {
            return Some(self.job(&moves, output, output_run, JobKind::Move, Cause::Size));
        }

        let (_, index) = best?;
        Some(self.take_down(tree, busy, shape, level, index, Cause::Size))
    }

    /// Whether a table of `level` and what it overlaps in the next can be merged, whatever else runs.
    fn is_free(&self, tree: &Tree, busy: &Busy, shape: &Shape, level: u32, table: &Arc<TableMeta>) -> bool {
        let output = shape.next(tree, level);
        let overlap = overlap(tree, output, table);
        let span = Span::hull(overlap).map_or(Span::of(table), |span| span.join(Span::of(table)));
        busy.is_idle(table)
            && overlap.iter().all(|table| busy.is_idle(table))
            && busy.span_is_free(output, span)
    }

    /// Merges a table of `level`, the one at `index` of its run, into the next level, and neighbours that cost no more
    /// than their own bytes.
    fn take_down(
        &self,
        tree: &Tree,
        busy: &Busy,
        shape: &Shape,
        level: u32,
        index: usize,
        cause: Cause,
    ) -> Job {
        let run = &runs(tree, level)[0];
        let output = shape.next(tree, level);
        let output_run = run_of(tree, output, run);
        let overlap = |table: &TableMeta| overlap(tree, output, table);
        let rewritten = overlap(&run.tables[index]);
        let mut bytes = size_bytes(rewritten).saturating_add(run.tables[index].size_bytes);
        // A neighbour that overlaps nothing below but what is rewritten anyway comes for no more
        // than its own bytes.
        let mut comes_along = |table: &Arc<TableMeta>| {
            let own = overlap(table);
            let within = match (own.first(), own.last(), rewritten.first(), rewritten.last()) {
                (Some(from), Some(to), Some(first), Some(last)) => {
                    first.smallest <= from.smallest && to.largest <= last.largest
                }
                _ => false,
            };
            let fits = bytes.saturating_add(table.size_bytes) <= self.table_bytes.saturating_mul(JOB_TABLES);
            let comes = within && fits && self.is_free(tree, busy, shape, level, table);
            if comes {
                bytes += table.size_bytes;
            }
            comes
        };
        let before = run.tables[..index].iter().rev().take_while(|table| comes_along(table)).count();
        let after = run.tables[index + 1..].iter().take_while(|table| comes_along(table)).count();
        let inputs: Vec<_> = run.tables[index - before..=index + after].iter().chain(rewritten).collect();
        self.job(&inputs, output, output_run, JobKind::Merge, cause)
    }

    /// Where nothing else is to be done: takes tombstones down that hide so much that it pays, so that what was deleted
    /// gives its space back, and whoever reads a range need not go through it for ever. Not those that a snapshot
    /// would not let go: they would come to the bottom with all that they hide, and stay.
    fn shed(&self, tree: &Tree, busy: &Busy, shape: &Shape) -> Option<Job> {
        let level0 = runs(tree, 0);
        if level0.iter().flat_map(|run| &run.tables).all(|table| busy.is_idle(table)) {
            // Half of what is rewritten: to wait for more runs makes it cheaper.
            let worth = |cluster: &Cluster<'_>| {
                let merged = || size_bytes(cluster.above.iter().chain(&cluster.below).copied());
                let below = cluster.below.iter().copied();
                cluster.above.iter().any(|table| table.tombstones > 0)
                    && cluster.above.iter().all(|table| busy.may_forget(table))
                    && freed_bytes(tree, shape.below_level0, &cluster.above, below) >= merged() / 2
            };
            if let Some(cluster) = self.free_clusters(tree, busy, shape).iter().find(|cluster| worth(cluster))
            {
                return Some(self.merge_cluster(tree, shape, cluster, Cause::Tombstones));
            }
        }
        for level in 1..shape.last.min(tree.levels.len() as u32) {
            let [run] = runs(tree, level) else { continue };
            let output = shape.next(tree, level);
            let moves_on = |table: &TableMeta| {
                overlap(tree, output, table).is_empty() && self.may_move(tree, shape, table, output)
            };
            let pays = |table: &Arc<TableMeta>| {
                // Where there is nothing to hide yet, many go on to where there is.
                if moves_on(table) {
                    return table.tombstones.saturating_mul(4) >= table.entries;
                }
                let below = overlap(tree, output, table);
                let merged = size_bytes(below.iter().chain([table]));
                freed_bytes(tree, output, &[table], below) >= merged / REWRITTEN_FOR_EACH_FREED
            };
            // First what costs least to ask: most tables have none.
            let worth = |table: &Arc<TableMeta>| {
                table.tombstones > 0
                    && busy.may_forget(table)
                    && pays(table)
                    && self.is_free(tree, busy, shape, level, table)
            };
            let Some(index) = run.tables.iter().position(worth) else { continue };
            let table = &run.tables[index];
            if moves_on(table) {
                let output_run = run_of(tree, output, run);
                return Some(self.job(&[table], output, output_run, JobKind::Move, Cause::Tombstones));
            }
            return Some(self.take_down(tree, busy, shape, level, index, Cause::Tombstones));
        }
        None
    }

    /// Where nothing else is to be done: takes down what has been above the last level for too long.
    fn renew(&self, tree: &Tree, busy: &Busy, shape: &Shape) -> Option<Job> {
        // Not what a snapshot would keep at the bottom, where nobody asks again.
        let is_old = |table: &TableMeta| {
            is_old(table.written.from, busy.now, self.age_max_seconds) && busy.may_forget(table)
        };
        if runs(tree, 0).iter().flat_map(|run| &run.tables).all(|table| busy.is_idle(table)) {
            let free = self.free_clusters(tree, busy, shape);
            let is_due = |cluster: &&Cluster<'_>| {
                cluster.above.iter().any(|table| is_old(table))
                    && cluster.above.iter().all(|table| busy.may_forget(table))
            };
            let old = free.iter().find(is_due);
            if let Some(cluster) = old {
                return Some(self.merge_cluster(tree, shape, cluster, Cause::Age));
            }
        }
        (1..shape.last.min(tree.levels.len() as u32)).find_map(|level| {
            let [run] = runs(tree, level) else { return None };
            let due = |table: &Arc<TableMeta>| is_old(table) && self.is_free(tree, busy, shape, level, table);
            let index = run.tables.iter().position(due)?;
            let (table, output) = (&run.tables[index], shape.next(tree, level));
            if overlap(tree, output, table).is_empty() && self.may_move(tree, shape, table, output) {
                let output_run = run_of(tree, output, run);
                return Some(self.job(&[table], output, output_run, JobKind::Move, Cause::Age));
            }
            Some(self.take_down(tree, busy, shape, level, index, Cause::Age))
        })
    }

    /// Whether a table that overlaps nothing at `level` should go there as it is. Not if it spans
    /// so much of the level below that its own merge would become a large one: a rewrite cuts it.
    fn may_move(&self, tree: &Tree, shape: &Shape, table: &TableMeta, level: u32) -> bool {
        let grandparents = runs(tree, shape.next(tree, level)).iter();
        let overlap: u64 =
            grandparents.map(|run| size_bytes(run.overlapping(&table.smallest, &table.largest))).sum();
        overlap <= self.table_bytes.saturating_mul(OVERLAP_TABLES) && !sheds_tombstones(tree, table, level)
    }

    fn job(&self, inputs: &[&Arc<TableMeta>], level: u32, run: RunId, kind: JobKind, cause: Cause) -> Job {
        let inputs = inputs.iter().map(|table| table.id).collect();
        Job { inputs, level, run, kind, table_bytes: self.table_bytes, cause }
    }
}

/// The run of `level` that takes tables of `from`: the one that is there, or else one that begins with them.
fn run_of(tree: &Tree, level: u32, from: &Run) -> RunId {
    runs(tree, level).first().map_or(from.id, |run| run.id)
}

/// The tables of `level`, of its only run, that share keys with `table`.
fn overlap<'a>(tree: &'a Tree, level: u32, table: &TableMeta) -> &'a [Arc<TableMeta>] {
    runs(tree, level).first().map_or(&[], |run| run.overlapping(&table.smallest, &table.largest))
}

/// About how many bytes it frees to merge `above` into `below`, of `level`, by the tombstones in `above`: what they
/// hide, taken to be entries of the usual size, and themselves where nothing deeper is left to hide.
fn freed_bytes<'a>(
    tree: &Tree,
    level: u32,
    above: &[&Arc<TableMeta>],
    below: impl IntoIterator<Item = &'a Arc<TableMeta>> + Clone,
) -> u64 {
    let share = |bytes: u64, count: u64, of: u64| {
        (u128::from(bytes) * u128::from(count) / u128::from(of.max(1))) as u64
    };
    let tombstones: u64 = above.iter().map(|table| table.tombstones).sum();
    let below_entries: u64 = below.clone().into_iter().map(|table| table.entries).sum();
    let hidden = share(size_bytes(below), tombstones.min(below_entries), below_entries);
    let own = above.iter().filter(|table| is_bottom(tree, table, level));
    hidden + own.map(|table| share(table.size_bytes, table.tombstones, table.entries)).sum::<u64>()
}

/// How much of the level below level 0 may take at rest, in per cent: superseded versions, as far as one can tell.
const SPARE_PERCENT: u64 = 15;

/// How many bytes to rewrite at most for each that is freed.
const REWRITTEN_FOR_EACH_FREED: u64 = 4;

/// Tables of level 0 and of the level below it that overlap one another in a chain, and no others.
struct Cluster<'a> {
    span: Span<'a>,
    /// Of level 0, newest first.
    above: Vec<&'a Arc<TableMeta>>,
    /// Of the level below.
    below: Vec<&'a Arc<TableMeta>>,
}

/// The clusters that hold a table of level 0, by key.
fn clusters<'a>(level0: &'a [Run], below: Option<&'a Run>) -> Vec<Cluster<'a>> {
    let mut spans: Vec<Span<'a>> =
        level0.iter().chain(below).flat_map(|run| &run.tables).map(|table| Span::of(table)).collect();
    spans.sort_unstable_by_key(|span| span.smallest);
    let mut clusters: Vec<Cluster<'a>> = Vec::new();
    for span in spans {
        match clusters.last_mut() {
            Some(cluster) if cluster.span.overlaps(span) => cluster.span = cluster.span.join(span),
            _ => clusters.push(Cluster { span, above: Vec::new(), below: Vec::new() }),
        }
    }
    for cluster in &mut clusters {
        let within = |run: &'a Run| run.overlapping(cluster.span.smallest, cluster.span.largest);
        cluster.above = level0.iter().flat_map(within).collect();
        cluster.below = below.into_iter().flat_map(within).collect();
    }
    clusters.retain(|cluster| !cluster.above.is_empty());
    clusters
}

/// The greatest run of level 0 that holds one of `tables`; the level's newest is first.
fn newest_of(level0: &[Run], tables: &[&Arc<TableMeta>]) -> RunId {
    let holds = |run: &&Run| run.tables.iter().any(|table| tables.iter().any(|chosen| chosen.id == table.id));
    level0.iter().find(holds).map_or(RunId::default(), |run| run.id)
}
