//! Leveled compaction: level 0 takes the flushes, every deeper level is one run, ten times the one above.
//!
//! The strategy of LevelDB with the dynamic level targets of RocksDB: the size of the last level
//! sets the targets of those above it (Dong et al., "Optimizing Space Amplification in RocksDB",
//! CIDR 2017), so that all but about a tenth of the data is in the last level
//! whatever the store's size.

use std::sync::Arc;

use lsmkit_base::{Run, RunId, TableMeta, Tree};

use crate::cut::OVERLAP_TABLES;
use crate::span::{Span, disjoint, runs, sheds_tombstones, size_bytes};
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
    /// At this many runs level 0 is merged into the base level; at least 1.
    pub level0_trigger: usize,
    /// Past this many runs at level 0 writers are slowed down, and level 0 goes before all else.
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
}

impl Default for Leveled {
    fn default() -> Leveled {
        Leveled {
            level0_trigger: 4,
            runs_slow: 8,
            runs_stop: 20,
            levels: 7,
            base_bytes: 256 << 20,
            fan_out: 10,
            table_bytes: 64 << 20,
        }
    }
}

impl Leveled {
    /// With level 0 merged at `runs` runs.
    #[must_use]
    pub fn level0_trigger(self, runs: usize) -> Leveled {
        Leveled { level0_trigger: runs, ..self }
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
        let awaited = (level0 && level0_job.is_none()).then_some(shape.below_level0);

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
        None
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
            return match held.len() {
                runs if runs > self.runs_slow && runs >= self.level0_trigger => f64::INFINITY,
                runs => runs as f64 / self.level0_trigger.max(1) as f64,
            };
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
        let below = runs(tree, output).first();
        let free: Vec<Cluster<'_>> = clusters(level0, below)
            .into_iter()
            .filter(|cluster| {
                cluster.below.iter().all(|table| busy.is_idle(table))
                    && busy.span_is_free(output, cluster.span)
            })
            .collect();

        let moves: Vec<_> = free
            .iter()
            .filter(|cluster| cluster.above.len() == 1 && cluster.below.is_empty())
            .map(|cluster| cluster.above[0])
            .filter(|table| self.may_move(tree, shape, table, output))
            .collect();
        let run = below.map(|run| run.id);
        if !moves.is_empty() {
            let newest = newest_of(level0, &moves);
            return Some(self.job(&moves, output, run.unwrap_or(newest), JobKind::Move, Cause::Level0));
        }
        // The cluster of most tables brings level 0 nearest to rest; the first by key among equals.
        let cluster = free.iter().rev().max_by_key(|cluster| cluster.above.len())?;
        let newest = newest_of(level0, &cluster.above);
        let inputs: Vec<_> = cluster.above.iter().chain(&cluster.below).copied().collect();
        Some(self.job(&inputs, output, run.unwrap_or(newest), JobKind::Merge, Cause::Level0))
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
        let kind = if disjoint(&inputs) { JobKind::Move } else { JobKind::Merge };
        Some(self.job(&inputs, level, held.first()?.id, kind, Cause::Runs))
    }

    /// Takes what `level` has too much to the next: for nothing where it overlaps nothing there,
    /// else the table for which the least has to be rewritten.
    fn deepen(&self, tree: &Tree, busy: &Busy, shape: &Shape, level: u32) -> Option<Job> {
        let run = runs(tree, level).first()?;
        let output = shape.next(tree, level);
        let below = runs(tree, output).first();
        let overlap = |table: &TableMeta| {
            below.map_or(&[][..], |below| below.overlapping(&table.smallest, &table.largest))
        };
        let is_free = |table: &Arc<TableMeta>| {
            let span = Span::hull(overlap(table)).map_or(Span::of(table), |span| span.join(Span::of(table)));
            busy.is_idle(table)
                && overlap(table).iter().all(|table| busy.is_idle(table))
                && busy.span_is_free(output, span)
        };
        let output_run = below.map_or(run.id, |below| below.id);

        let idle = size_bytes(run.tables.iter().filter(|table| busy.is_idle(table)));
        let excess = idle.saturating_sub(shape.targets[level as usize]);
        let mut moves = Vec::new();
        let mut best: Option<(f64, usize)> = None;
        for (index, table) in run.tables.iter().enumerate() {
            if !is_free(table) {
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
            let comes = within && fits && is_free(table);
            if comes {
                bytes += table.size_bytes;
            }
            comes
        };
        let before = run.tables[..index].iter().rev().take_while(|table| comes_along(table)).count();
        let after = run.tables[index + 1..].iter().take_while(|table| comes_along(table)).count();
        let inputs: Vec<_> = run.tables[index - before..=index + after].iter().chain(rewritten).collect();
        Some(self.job(&inputs, output, output_run, JobKind::Merge, Cause::Size))
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
