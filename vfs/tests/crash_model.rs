//! Random operations, and crashes between them, against a model that knows nothing of blocks and
//! pages: of each byte and of each name, everything it has been since it was last made durable.

#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lsmkit_vfs::{Fs, MemFs};
use proptest::prelude::*;

const DIRS: [&str; 2] = ["/a", "/b"];
const NAMES: [&str; 6] = ["/a/1", "/a/2", "/a/3", "/b/1", "/b/2", "/b/3"];

#[derive(Clone, Debug)]
enum Op {
    Create { name: usize },
    Write { name: usize, offset: usize, length: usize },
    Allocate { name: usize, length: usize },
    Sync { name: usize },
    Rename { from: usize, to: usize },
    Remove { name: usize },
    SyncDir { dir: usize },
    Kill,
    Crash { seed: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    let name = 0..NAMES.len();
    prop_oneof![
        3 => name.clone().prop_map(|name| Op::Create { name }),
        8 => (name.clone(), 0..10_000_usize, prop_oneof![1..200_usize, 1..9_000_usize])
            .prop_map(|(name, offset, length)| Op::Write { name, offset, length }),
        1 => (name.clone(), 0..15_000_usize).prop_map(|(name, length)| Op::Allocate { name, length }),
        3 => name.clone().prop_map(|name| Op::Sync { name }),
        3 => (name.clone(), name.clone()).prop_map(|(from, to)| Op::Rename { from, to }),
        2 => name.prop_map(|name| Op::Remove { name }),
        2 => (0..DIRS.len()).prop_map(|dir| Op::SyncDir { dir }),
        1 => Just(Op::Kill),
        2 => any::<u64>().prop_map(|seed| Op::Crash { seed }),
    ]
}

/// A file by what its bytes may be after a crash. Bytes are below 64, so a set of them is a `u64`.
#[derive(Clone, Default)]
struct File {
    now: Vec<u8>,
    synced: Vec<u8>,
    may_be: Vec<u64>,
}

impl File {
    fn durable(bytes: Vec<u8>) -> File {
        let may_be = bytes.iter().map(|byte| 1 << byte).collect();
        File { synced: bytes.clone(), now: bytes, may_be }
    }

    fn grow(&mut self, length: usize) {
        if self.now.len() < length {
            self.now.resize(length, 0);
            self.may_be.resize(length, 1);
        }
    }

    fn write(&mut self, offset: usize, length: usize, byte: u8) {
        self.grow(offset + length);
        self.now[offset..offset + length].fill(byte);
        self.may_be[offset..offset + length].iter_mut().for_each(|set| *set |= 1 << byte);
    }

    fn may_be(&self, bytes: &[u8]) -> bool {
        (self.synced.len()..=self.now.len()).contains(&bytes.len())
            && bytes.iter().zip(&self.may_be).all(|(byte, set)| set & (1 << byte) != 0)
    }
}

type Id = usize;

#[derive(Default)]
struct Model {
    files: Vec<File>,
    now: BTreeMap<usize, Id>,
    synced: BTreeMap<usize, Id>,
    /// What each name has been since its directory was synced; `None` for nothing.
    may_be: BTreeMap<usize, BTreeSet<Option<Id>>>,
    /// Files whose name was taken away since it was last durable, or never was durable.
    may_vanish: BTreeSet<Id>,
    has_moved_between_dirs: bool,
}

impl Model {
    fn set(&mut self, name: usize, id: Option<Id>) {
        match id {
            Some(id) => self.now.insert(name, id),
            None => self.now.remove(&name),
        };
        self.may_be.entry(name).or_default().insert(id);
    }

    fn sync_dir(&mut self, dir: usize) {
        for name in (0..NAMES.len()).filter(|name| NAMES[*name].starts_with(DIRS[dir])) {
            let id = self.now.get(&name).copied();
            self.may_be.insert(name, BTreeSet::from([id]));
            match id {
                Some(id) => {
                    self.synced.insert(name, id);
                    self.may_vanish.remove(&id);
                }
                None => drop(self.synced.remove(&name)),
            }
        }
    }

    /// The state of a disk of which everything is durable.
    fn from_disk(disk: &MemFs) -> Model {
        let mut model = Model::default();
        for (name, path) in NAMES.iter().enumerate() {
            if let Ok(bytes) = disk.read(path) {
                model.files.push(File::durable(bytes));
                model.now.insert(name, model.files.len() - 1);
            }
        }
        for dir in 0..DIRS.len() {
            model.sync_dir(dir);
        }
        model
    }
}

struct Run {
    disk: MemFs,
    model: Model,
    written: u8,
}

impl Run {
    fn new() -> Run {
        let disk = MemFs::new();
        for dir in DIRS {
            disk.create_dir(Path::new(dir)).unwrap();
        }
        disk.sync_dir(Path::new("/")).unwrap();
        Run { model: Model::from_disk(&disk), disk, written: 0 }
    }

    fn step(&mut self, op: &Op) -> Result<(), TestCaseError> {
        let path = |name: usize| Path::new(NAMES[name]);
        let model = &mut self.model;
        match *op {
            Op::Create { name } => {
                let created = self.disk.create(path(name));
                prop_assert_eq!(created.is_ok(), !model.now.contains_key(&name));
                if created.is_ok() {
                    let id = model.files.len();
                    model.files.push(File::default());
                    model.may_vanish.insert(id);
                    model.set(name, Some(id));
                }
            }
            Op::Write { name, offset, length } => {
                let opened = self.disk.open_write(path(name));
                prop_assert_eq!(opened.is_ok(), model.now.contains_key(&name));
                if let Ok(file) = opened {
                    self.written = self.written % 63 + 1;
                    file.write_at(&vec![self.written; length], offset as u64).unwrap();
                    model.files[model.now[&name]].write(offset, length, self.written);
                }
            }
            Op::Allocate { name, length } => {
                if let Ok(file) = self.disk.open_write(path(name)) {
                    file.allocate(length as u64).unwrap();
                    model.files[model.now[&name]].grow(length);
                }
            }
            Op::Sync { name } => {
                if let Ok(file) = self.disk.open(path(name)) {
                    file.sync().unwrap();
                    let file = &mut model.files[model.now[&name]];
                    *file = File::durable(file.now.clone());
                }
            }
            Op::Rename { from, to } => {
                let renamed = self.disk.rename(path(from), path(to));
                prop_assert_eq!(renamed.is_ok(), model.now.contains_key(&from));
                if renamed.is_ok() && from != to {
                    model.may_vanish.extend(model.now.get(&to).copied());
                    let id = model.now[&from];
                    model.set(from, None);
                    model.set(to, Some(id));
                    model.has_moved_between_dirs |= NAMES[from][..2] != NAMES[to][..2];
                }
            }
            Op::Remove { name } => {
                let removed = self.disk.remove(path(name));
                prop_assert_eq!(removed.is_ok(), model.now.contains_key(&name));
                if removed.is_ok() {
                    model.may_vanish.insert(model.now[&name]);
                    model.set(name, None);
                }
            }
            Op::SyncDir { dir } => {
                self.disk.sync_dir(Path::new(DIRS[dir])).unwrap();
                model.sync_dir(dir);
            }
            Op::Kill => self.disk = self.disk.kill(),
            Op::Crash { seed } => {
                self.check_synced_only(&self.disk.crash_synced_only())?;
                for seed in [seed, seed ^ 1, seed ^ 2] {
                    self.check_crashed(&self.disk.crash(seed))?;
                }
                self.disk = self.disk.crash(seed);
                self.model = Model::from_disk(&self.disk);
            }
        }
        self.check_now()
    }

    fn check_now(&self) -> Result<(), TestCaseError> {
        let names: Vec<_> = self.model.now.keys().map(|name| Path::new(NAMES[*name])).collect();
        prop_assert_eq!(self.disk.files(), names);
        let mut blocks = 0;
        for (name, id) in &self.model.now {
            prop_assert!(self.disk.read(NAMES[*name]).unwrap() == self.model.files[*id].now);
            blocks += self.model.files[*id].now.len().div_ceil(4096);
        }
        prop_assert!(self.disk.used_bytes() <= blocks as u64 * 4096);
        Ok(())
    }

    fn check_synced_only(&self, crashed: &MemFs) -> Result<(), TestCaseError> {
        self.check_crashed(crashed)?;
        // More may be durable where a rename ties one directory to another.
        if !self.model.has_moved_between_dirs {
            let names: Vec<_> = self.model.synced.keys().map(|name| Path::new(NAMES[*name])).collect();
            prop_assert_eq!(crashed.files(), names);
            for (name, id) in &self.model.synced {
                prop_assert!(crashed.read(NAMES[*name]).unwrap() == self.model.files[*id].synced);
            }
        }
        Ok(())
    }

    fn check_crashed(&self, crashed: &MemFs) -> Result<(), TestCaseError> {
        let mut ids_possible = Vec::new();
        for (name, path) in NAMES.iter().enumerate() {
            let candidates = &self.model.may_be[&name];
            match crashed.read(path) {
                Ok(bytes) => {
                    let fits = |id: &&Id| self.model.files[**id].may_be(&bytes);
                    let possible: BTreeSet<Id> = candidates.iter().flatten().filter(fits).copied().collect();
                    prop_assert!(!possible.is_empty(), "{path}: {} bytes of no file", bytes.len());
                    ids_possible.push(possible);
                }
                Err(_) => prop_assert!(candidates.contains(&None), "{path} is gone"),
            }
        }
        for id in self.model.now.values().filter(|id| !self.model.may_vanish.contains(id)) {
            let is_there = ids_possible.iter().any(|possible| possible.contains(id));
            prop_assert!(is_there, "file {id} has no name any more");
        }
        prop_assert!(can_be_told_apart(&ids_possible), "a file has two names");
        Ok(())
    }
}

/// Whether each set can give a member that no other gives.
fn can_be_told_apart(sets: &[BTreeSet<Id>]) -> bool {
    fn fill(sets: &[BTreeSet<Id>], taken: &mut BTreeSet<Id>) -> bool {
        let Some((first, rest)) = sets.split_first() else { return true };
        first.iter().any(|id| {
            taken.insert(*id) && {
                let filled = fill(rest, taken);
                taken.remove(id);
                filled
            }
        })
    }
    fill(sets, &mut BTreeSet::new())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_leaves_nothing_that_was_never_there(ops in prop::collection::vec(op(), 1..60)) {
        let mut run = Run::new();
        for op in &ops {
            run.step(op)?;
        }
    }
}
