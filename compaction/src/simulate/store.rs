//! A tree whose tables hold shares of keys, and the jobs on it.
//!
//! What a job does to the tree is what [`Job::sources`], [`Job::outputs`] and [`Tree::apply`] say, but found by way of the inputs
//! rather than by going through all tables: there may be tens of thousands of them, and as many jobs. Builds with debug
//! assertions hold one against the other.

use std::collections::HashMap;
use std::sync::Arc;

use lsmkit_base::{Level, Run, RunId, SeqNo, TableId, TableMeta, Tree, Written};

use super::content::{Fill, Input, Keys, LINE, Mix, Volume, merge};
use crate::span::runs;
use crate::{Busy, BusyRange, Job, JobKind, OlderBelow, OutputCutter, Source};

/// Trees of more tables than this are not checked against the slow way.
const CHECKED_TABLES: usize = 200;

/// Where a table is and what it holds.
#[derive(Clone, Debug)]
struct Held {
    level: u32,
    run: RunId,
    table: Arc<TableMeta>,
    content: Content,
}

/// What a table holds: positions from `begin` up to `end`, excluded, and of each class of keys so much.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) begin: u64,
    pub(super) end: u64,
    pub(super) fills: Box<[Fill]>,
    volume: Volume,
}

/// A job between its beginning and its end.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) job: Job,
    sources: Vec<Source>,
    outputs: Vec<(Arc<TableMeta>, Content)>,
    held: Vec<BusyRange>,
    pub(super) read_bytes: u64,
    /// For a move and for a drop: the bytes that are moved or dropped.
    pub(super) written_bytes: u64,
}

#[derive(Debug)]
pub(super) struct Store {
    pub(super) tree: Tree,
    pub(super) busy: Busy,
    pub(super) keys: Keys,
    /// Of all tables in the tree.
    pub(super) size_bytes: u64,
    tables: HashMap<TableId, Held>,
    next_table: u64,
    next_run: u64,
}

impl Store {
    pub(super) fn new(keys: Keys) -> Store {
        Store {
            tree: Tree::default(),
            busy: Busy::default(),
            keys,
            size_bytes: 0,
            tables: HashMap::new(),
            next_table: 1,
            next_run: 1,
        }
    }

    /// All keys once, in one run of `level`.
    pub(super) fn stand(&mut self, level: u32, table_bytes: u64) {
        let mix = vec![Mix { loaded: 1.0, ..Mix::default() }; self.keys.classes.len()];
        let size_bytes = self.keys.volume(&mix).size_bytes * LINE as f64;
        let count = (size_bytes / table_bytes.max(1) as f64).ceil().max(1.0) as u64;
        let run = self.take_run();
        let begin_of = |n: u64| (u128::from(LINE) * u128::from(n) / u128::from(count)) as u64;
        for n in 0..count {
            let content = self.content(begin_of(n), begin_of(n + 1), &mix);
            let table = self.table(&content, (SeqNo::ZERO, SeqNo::ZERO), Written::default());
            self.add(level, run, vec![(table, content)]);
        }
    }

    /// Adds a table of level 0 with `fills` of the positions from `begin` to `end`; its size.
    pub(super) fn flush(&mut self, begin: u64, end: u64, mix: &[Mix], seq_min: f64, seq_max: f64) -> u64 {
        let content = self.content(begin, end, mix);
        let seq = |seq: f64| SeqNo::new(seq as u64).unwrap_or(SeqNo::MAX);
        let written = Written::at(self.busy.now);
        let table = self.table(&content, (seq(seq_min), seq(seq_max)), written);
        let size_bytes = table.size_bytes;
        let run = self.take_run();
        self.add(0, run, vec![(table, content)]);
        size_bytes
    }

    /// Begins `job`.
    ///
    /// # Panics
    ///
    /// Where it must not run: an input is not there, or busy.
    pub(super) fn begin(&mut self, job: Job) -> Begun {
        let sources = self.sources(&job);
        let tables = || sources.iter().flat_map(|source| &source.tables);
        assert!(
            tables().all(|table| self.busy.is_idle(table)),
            "because a strategy takes what is idle: {job:?}"
        );
        self.check_job(&job, &sources);
        let held = job.ranges(&sources);
        let read_bytes = tables().map(|table| table.size_bytes).sum();
        let outputs = match job.kind {
            JobKind::Merge => self.merge(&job, &sources),
            JobKind::Move | JobKind::Drop => Vec::new(),
        };
        let written_bytes = match job.kind {
            JobKind::Merge => outputs.iter().map(|(table, _)| table.size_bytes).sum(),
            JobKind::Move | JobKind::Drop => read_bytes,
        };
        self.busy.tables.extend(&job.inputs);
        self.busy.outputs.extend(held.iter().cloned());
        Begun { job, sources, outputs, held, read_bytes, written_bytes }
    }

    /// Ends a job.
    pub(super) fn end(&mut self, begun: Begun) {
        let Begun { job, sources, mut outputs, held, .. } = begun;
        let expected = (cfg!(debug_assertions) && self.tables.len() <= CHECKED_TABLES).then(|| {
            let merged: Vec<_> = outputs.iter().map(|(table, _)| Arc::clone(table)).collect();
            self.tree.apply(&job.changes(&self.tree, &merged))
        });
        self.busy.release(&job.inputs, &held);
        let moves = job.kind == JobKind::Move;
        for source in &sources {
            self.remove(source, |held| {
                if moves {
                    outputs.push((held.table, held.content));
                }
            });
        }
        outputs.sort_by_key(|(_, content)| content.begin);
        self.add(job.level, job.run, outputs);
        for level in &mut self.tree.levels {
            level.runs.retain(|run| !run.tables.is_empty());
        }
        while self.tree.levels.last().is_some_and(|level| level.runs.is_empty()) {
            self.tree.levels.pop();
        }
        if let Some(expected) = expected {
            assert_eq!(expected.as_ref(), Ok(&self.tree), "because both ways lead to the same tree");
        }
    }

    /// What `table` holds.
    pub(super) fn content_of(&self, table: &TableMeta) -> Option<&Content> {
        self.tables.get(&table.id).map(|held| &held.content)
    }

    fn sources(&self, job: &Job) -> Vec<Source> {
        let held = |id| self.tables.get(id).expect("because a strategy takes tables of the tree");
        let mut inputs: Vec<&Held> = job.inputs.iter().map(held).collect();
        inputs.sort_unstable_by_key(|held| (held.level, std::cmp::Reverse(held.run), held.content.begin));
        inputs
            .chunk_by(|a, b| (a.level, a.run) == (b.level, b.run))
            .map(|of_run| Source {
                level: of_run[0].level,
                run: of_run[0].run,
                tables: of_run.iter().map(|held| Arc::clone(&held.table)).collect(),
            })
            .collect()
    }

    fn check_job(&self, job: &Job, sources: &[Source]) {
        if cfg!(debug_assertions) && self.tables.len() <= CHECKED_TABLES {
            assert_eq!(job.check(&self.tree, &self.busy), Ok(()), "{job:?}");
            assert_eq!(job.sources(&self.tree), sources, "because both ways find the same inputs");
        }
    }

    fn merge(&mut self, job: &Job, sources: &[Source]) -> Vec<(Arc<TableMeta>, Content)> {
        let inputs: Vec<Vec<Input<'_>>> = sources
            .iter()
            .map(|source| {
                let contents = source.tables.iter().filter_map(|table| self.content_of(table));
                let input = |content| {
                    let Content { begin, end, fills, .. }: &Content = content;
                    Input { begin: *begin, end: *end, fills }
                };
                contents.map(input).collect()
            })
            .collect();
        // Without tombstones nobody asks for what is older.
        let tombstones = sources.iter().flat_map(|source| &source.tables).any(|table| table.tombstones > 0);
        let mut older = tombstones.then(|| OlderBelow::new(&self.tree, job));
        let cuts: Vec<u64> =
            older.iter().flat_map(OlderBelow::tables).flat_map(|table| bounds(table)).collect();
        let span = inputs
            .iter()
            .flatten()
            .fold((LINE, 0), |(begin, end), input| (begin.min(input.begin), end.max(input.end)));
        let mut tables = Tables::new(&self.tree, job, span, &self.keys);
        merge(
            &inputs,
            &cuts,
            |at| older.as_mut().is_some_and(|older| older.may_hold(&at.to_be_bytes())),
            |begin, end, mix| tables.add(begin, end, mix),
        );
        let contents = tables.finish();
        let seqs = || sources.iter().flat_map(|source| &source.tables);
        let seq_min = seqs().map(|table| table.seq_min).min().unwrap_or_default();
        let seq_max = seqs().map(|table| table.seq_max).max().unwrap_or_default();
        let written = seqs().map(|table| table.written).fold(Written::default(), Written::join);
        let table = |content: Content| (self.table(&content, (seq_min, seq_max), written), content);
        contents.into_iter().map(table).collect()
    }

    fn content(&self, begin: u64, end: u64, mix: &[Mix]) -> Content {
        let mut volume = Volume::default();
        volume.add(&self.keys.volume(mix), (end - begin) as f64);
        Content { begin, end, fills: mix.iter().map(|mix| mix.scaled(1.0)).collect(), volume }
    }

    fn table(&mut self, content: &Content, seqs: (SeqNo, SeqNo), written: Written) -> Arc<TableMeta> {
        let id = TableId(self.next_table);
        self.next_table += 1;
        let Volume { entries, tombstones, size_bytes, raw_bytes } = content.volume;
        let entries = (entries.round() as u64).max(1);
        Arc::new(TableMeta {
            id,
            size_bytes: (size_bytes.round() as u64).max(1),
            entries,
            tombstones: (tombstones.round() as u64).min(entries),
            raw_bytes: raw_bytes.round() as u64,
            smallest: content.begin.to_be_bytes().into(),
            largest: (content.end - 1).to_be_bytes().into(),
            seq_min: seqs.0,
            seq_max: seqs.1,
            written,
            ..TableMeta::default()
        })
    }

    fn take_run(&mut self) -> RunId {
        self.next_run += 1;
        RunId(self.next_run - 1)
    }

    /// Takes a job's inputs of one run out of the tree.
    fn remove(&mut self, source: &Source, mut taken: impl FnMut(Held)) {
        let runs = self.tree.levels.get_mut(source.level as usize).map(|level| &mut level.runs);
        let run = runs.and_then(|runs| runs.iter_mut().find(|run| run.id == source.run));
        let run = run.expect("because runs stay while jobs take tables of them");
        let (tables, count) = (&mut run.tables, source.tables.len());
        let first = tables.partition_point(|table| table.largest < source.tables[0].smallest);
        let are_neighbours =
            tables.get(first..first + count).is_some_and(|found| found.iter().zip(&source.tables).all(same));
        if are_neighbours {
            tables.drain(first..first + count);
        } else {
            let mut gone: Vec<TableId> = source.tables.iter().map(|table| table.id).collect();
            gone.sort_unstable();
            tables.retain(|table| gone.binary_search(&table.id).is_err());
        }
        for table in &source.tables {
            self.size_bytes -= table.size_bytes;
            taken(self.tables.remove(&table.id).expect("because every table in the tree is held"));
        }
    }

    /// Adds `added`, disjoint and by position, to a run.
    fn add(&mut self, level: u32, run: RunId, added: Vec<(Arc<TableMeta>, Content)>) {
        if added.is_empty() {
            return;
        }
        let levels = &mut self.tree.levels;
        if levels.len() <= level as usize {
            levels.resize_with(level as usize + 1, Level::default);
        }
        let runs = &mut levels[level as usize].runs;
        let at = runs.partition_point(|other| other.id > run);
        if runs.get(at).is_none_or(|other| other.id != run) {
            runs.insert(at, Run { id: run, tables: Vec::new() });
        }
        let tables = &mut runs[at].tables;
        let place = |tables: &[Arc<TableMeta>], table: &TableMeta| {
            tables.partition_point(|other| other.largest < table.smallest)
        };
        let first = place(tables, &added[0].0);
        let fits = tables
            .get(first)
            .is_none_or(|next| added.last().is_some_and(|(last, _)| last.largest < next.smallest));
        if fits {
            tables.splice(first..first, added.iter().map(|(table, _)| Arc::clone(table)));
        } else {
            for (table, _) in &added {
                let at = place(tables, table);
                tables.insert(at, Arc::clone(table));
            }
        }
        for (table, content) in added {
            self.size_bytes += table.size_bytes;
            self.tables.insert(table.id, Held { level, run, table, content });
        }
    }
}

fn same((a, b): (&Arc<TableMeta>, &Arc<TableMeta>)) -> bool {
    a.id == b.id
}

/// Where a table begins, and the first position after it.
fn bounds(table: &TableMeta) -> [u64; 2] {
    let position = |key: &[u8]| key.first_chunk().map_or(0, |key| u64::from_be_bytes(*key));
    [position(&table.smallest), position(&table.largest) + 1]
}

/// The output of a merge, cut into tables where [`OutputCutter`] says.
struct Tables<'a> {
    keys: &'a Keys,
    cutter: OutputCutter,
    table_bytes: u64,
    /// Where tables of the next level begin and end: places to ask for a cut at.
    marks: Vec<u64>,
    next_mark: usize,
    /// The table that was begun.
    begin: u64,
    end: u64,
    mix: Vec<Mix>,
    volume: Volume,
    ended: Vec<Content>,
}

impl<'a> Tables<'a> {
    /// For the output of `job` between the positions of `span`.
    fn new(tree: &Tree, job: &Job, span: (u64, u64), keys: &'a Keys) -> Tables<'a> {
        let beneath = beneath(tree, job, span);
        let mut marks: Vec<u64> = beneath
            .levels
            .iter()
            .flat_map(|level| &level.runs)
            .flat_map(|run| run.tables.iter().flat_map(|table| bounds(table)))
            .collect();
        marks.dedup();
        Tables {
            keys,
            cutter: OutputCutter::new(&beneath, job),
            table_bytes: job.table_bytes,
            marks,
            next_mark: 0,
            begin: span.0,
            end: span.0,
            mix: vec![Mix::default(); keys.classes.len()],
            volume: Volume::default(),
            ended: Vec::new(),
        }
    }

    /// Adds what is left of a stretch, in pieces as long as the answer of the cutter can't change within one.
    fn add(&mut self, begin: u64, end: u64, mix: &[Mix]) {
        let volume = self.keys.volume(mix);
        if volume.entries <= 0.0 {
            return;
        }
        let mut at = begin;
        while at < end {
            if self.cutter.should_cut(&at.to_be_bytes(), self.volume.size_bytes.ceil() as u64) {
                self.cut();
            }
            if self.volume.entries == 0.0 {
                self.begin = at;
            }
            while self.marks.get(self.next_mark).is_some_and(|mark| *mark <= at) {
                self.next_mark += 1;
            }
            let to_mark = self.marks.get(self.next_mark).map_or(end, |mark| end.min(*mark)) - at;
            let missing = self.table_bytes as f64 - self.volume.size_bytes;
            let positions = if missing > 0.0 { missing / volume.size_bytes } else { 1.0 / volume.entries };
            let length = (positions.ceil() as u64).clamp(1, to_mark);
            self.volume.add(&volume, length as f64);
            for (sum, mix) in self.mix.iter_mut().zip(mix) {
                sum.add(mix, length as f64);
            }
            at += length;
            self.end = at;
        }
    }

    fn cut(&mut self) {
        let length = (self.end - self.begin) as f64;
        let fills = self.mix.iter().map(|mix| mix.scaled(1.0 / length)).collect();
        self.ended.push(Content { begin: self.begin, end: self.end, fills, volume: self.volume });
        self.begin = self.end;
        self.mix.fill(Mix::default());
        self.volume = Volume::default();
    }

    fn finish(mut self) -> Vec<Content> {
        // Less than an entry is none; the table before it takes it.
        if self.volume.entries > 0.0 && (self.volume.entries >= 1.0 || self.ended.is_empty()) {
            self.cut();
        } else if self.volume.entries > 0.0
            && let Some(before) = self.ended.pop()
        {
            let weight = (before.end - before.begin) as f64;
            for (sum, fill) in self.mix.iter_mut().zip(&before.fills) {
                sum.add_fill(fill, weight);
            }
            self.begin = before.begin;
            self.volume.add(&before.volume, 1.0);
            self.cut();
        }
        self.ended
    }
}

/// As much of `tree` as the cutter of `job` asks for: of the next level that has any, what is between the positions of `span`.
fn beneath(tree: &Tree, job: &Job, span: (u64, u64)) -> Tree {
    let next = (job.level + 1..tree.levels.len() as u32).find(|level| !runs(tree, *level).is_empty());
    let Some((level, [run])) = next.map(|level| (level, runs(tree, level))) else { return Tree::default() };
    let mut levels = vec![Level::default(); level as usize];
    let tables = run.overlapping(&span.0.to_be_bytes(), &span.1.to_be_bytes()).to_vec();
    levels.push(Level { runs: vec![Run { id: run.id, tables }] });
    Tree { levels }
}
