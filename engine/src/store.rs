//! The one value that a store's handles, writers and background threads share.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use arc_swap::ArcSwap;
use lsmkit_base::{Fault, KeyspaceId, SeqNo, TableId};
use lsmkit_manifest::{Change, Edit, Manifest};
use lsmkit_memtable::Memtable;
use lsmkit_vfs::FileLock;
use lsmkit_wal::{Log, LogSyncer};

use crate::admission::Pace;
use crate::background::Signals;
use crate::batch::Record;
use crate::cleanup::Bin;
use crate::commit::{CommitEnv, CommitQueue};
use crate::health::{Health, lock};
use crate::snapshot::Snapshots;
use crate::stats::Counters;
use crate::tree::KeyspaceTree;
use crate::{Durability, Error, Options, Parts, Site};

/// Locks are taken in this order: `manifest`, then `writer`, then those within a keyspace.
pub(crate) struct Store<P: Parts> {
    pub(crate) parts: P,
    pub(crate) site: Site,
    pub(crate) options: Options,
    pub(crate) mode: Mode,
    /// Tells the handles of different stores apart.
    pub(crate) serial: u64,
    pub(crate) queue: CommitQueue<Store<P>>,
    pub(crate) writer: Mutex<Writer<P>>,
    pub(crate) syncer: <P::Log as Log>::Syncer,
    /// The sequence number up to which reads see writes.
    pub(crate) visible: AtomicU64,
    pub(crate) manifest: Mutex<Manifest>,
    /// The live keyspaces, for those who go through all of them.
    pub(crate) keyspaces: ArcSwap<BTreeMap<KeyspaceId, Arc<KeyspaceTree<P>>>>,
    pub(crate) next_table: AtomicU64,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) health: Health,
    pub(crate) signals: Signals,
    pub(crate) counters: Counters,
    pub(crate) pace: Pace,
    pub(crate) bin: Arc<Bin<P>>,
    /// One flush at a time, so that a keyspace's memtables become tables in their order.
    pub(crate) flushing: Mutex<()>,
    /// Held for reading by background compactions, for writing by one asked for by hand.
    pub(crate) compacting: RwLock<()>,
    pub(crate) lock: Mutex<Option<Box<dyn FileLock>>>,
}

/// Whether the store may change anything on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    Writable,
    ReadOnly,
}

/// What only the leader of a commit group touches, and whoever freezes memtables.
pub(crate) struct Writer<P: Parts> {
    pub(crate) log: P::Log,
    pub(crate) next_seq: SeqNo,
    /// The live keyspaces by number.
    pub(crate) keyspaces: BTreeMap<KeyspaceId, Arc<KeyspaceTree<P>>>,
}

/// One writer's batch on its way through the queue.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) record: Record,
    pub(crate) durability: Durability,
}

impl<P: Parts> Store<P> {
    /// The newest sequence number that reads see.
    #[inline]
    pub(crate) fn visible(&self) -> SeqNo {
        let visible = self.visible.load(Ordering::Acquire);
        SeqNo::new(visible).expect("because only sequence numbers are stored in it")
    }

    /// Commits a batch. When it returns, the batch is visible and as durable as asked for.
    pub(crate) fn write(&self, record: Record, durability: Durability) -> Result<(), Error> {
        record.check()?;
        if self.mode == Mode::ReadOnly {
            return Err(Error::OpenedReadOnly);
        }
        self.health.check()?;
        if record.count() == 0 {
            return if durability == Durability::Synced { self.sync() } else { Ok(()) };
        }
        self.admit(&record)?;
        let committed = self.queue.submit(self, Request { record, durability })?;
        if committed.froze {
            self.signals.wake();
        }
        // The group is in the log; the sync is outside the queue, so that writers who did not ask
        // for it don't wait for it, and those who did share it.
        if durability == Durability::Synced { self.sync() } else { Ok(()) }
    }

    /// Makes all that was committed durable.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.health.check()?;
        self.syncer.sync().map_err(|fault| {
            // Even after a full disk: what a failed sync has left on disk is not known.
            self.health.fail(&fault);
            Error::ReadOnly(fault)
        })
    }

    /// A table number that was never used.
    pub(crate) fn new_table(&self) -> TableId {
        TableId(self.next_table.fetch_add(1, Ordering::Relaxed))
    }

    /// What every edit that adds tables says of numbers.
    pub(crate) fn numbers(&self, seq: SeqNo) -> [Change; 2] {
        [Change::NextTable(TableId(self.next_table.load(Ordering::Relaxed))), Change::LastSeq(seq)]
    }

    /// Freezes a keyspace's active memtable unless it is empty; whether it did.
    pub(crate) fn freeze(&self, writer: &mut Writer<P>, keyspace: &KeyspaceTree<P>) -> Result<bool, Fault> {
        if keyspace.state().active.table.is_empty() {
            return Ok(false);
        }
        let segment = writer.log.rotate()?;
        keyspace.freeze(self.options.memtable_bytes, segment);
        Ok(true)
    }

    /// Freezes the memtables that are full, and those that keep too long a log alive.
    fn freeze_full(&self, writer: &mut Writer<P>) -> Result<bool, Fault> {
        let mut froze = false;
        let keyspaces: Vec<_> = writer.keyspaces.values().cloned().collect();
        for keyspace in &keyspaces {
            if keyspace.state().active.table.size_bytes() >= self.options.memtable_bytes {
                froze |= self.freeze(writer, keyspace)?;
            }
        }
        if froze && writer.log.size_bytes() > self.options.log_bytes_max {
            let current = writer.log.segment();
            for keyspace in &keyspaces {
                if keyspace.state().active.log_floor < current {
                    self.freeze(writer, keyspace)?;
                }
            }
        }
        Ok(froze)
    }

    /// For each keyspace, the segment of the log before which all its records are in tables.
    ///
    /// `flushed` has just become a table, though readers have not been told yet.
    pub(crate) fn log_floors(&self, flushed: Option<(KeyspaceId, &Slot<P>)>) -> Edit {
        let writer = lock(&self.writer);
        let current = writer.log.segment();
        let mut edit = Edit::new();
        for keyspace in writer.keyspaces.values() {
            let flushed = flushed.filter(|(id, _)| *id == keyspace.id).map(|(_, slot)| slot);
            let segment = keyspace.state().log_floor(current, flushed);
            edit.changes.push(Change::LogFloor { keyspace: keyspace.id, segment });
        }
        edit
    }
}

type Slot<P> = crate::state::Slot<<P as Parts>::Memtable>;

/// What the queue tells a writer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Committed {
    /// Whether the group froze a memtable.
    froze: bool,
}

impl<P: Parts> CommitEnv for Store<P> {
    type Request = Request;
    type Outcome = Result<Committed, Error>;

    fn commit(&self, mut group: Vec<Request>) -> Vec<Result<Committed, Error>> {
        self.commit_group(&mut group)
    }

    fn commit_one(&self, request: Request) -> Result<Committed, Error> {
        self.commit_group(&mut [request]).pop().expect("because one request has one outcome")
    }

    fn abandoned(&self) -> Result<Committed, Error> {
        Err(Error::Closed)
    }
}

impl<P: Parts> Store<P> {
    /// Numbers the group, appends it to the log in one go, inserts it into the memtables, and only
    /// then lets readers see it.
    ///
    /// A crash before the append loses the group, which nobody was told of. After it, replay finds
    /// every batch of it whole, or, after a power failure, a prefix of them.
    fn commit_group(&self, group: &mut [Request]) -> Vec<Result<Committed, Error>> {
        let mut writer = lock(&self.writer);
        let mut seq = writer.next_seq;
        let mut outcomes: Vec<Result<Committed, Error>> = Vec::with_capacity(group.len());
        for request in &mut *group {
            outcomes.push(writer.check(request).and_then(|()| {
                request.record.seal(seq);
                seq = seq.plus(u64::from(request.record.count())).ok_or(Error::Exhausted)?;
                Ok(Committed { froze: false })
            }));
        }
        let logged: Vec<&[u8]> = group
            .iter()
            .zip(&outcomes)
            .filter(|(request, outcome)| outcome.is_ok() && request.durability != Durability::None)
            .map(|(request, _)| request.record.bytes())
            .collect();
        if !logged.is_empty()
            && let Err(fault) = writer.log.append(&logged)
        {
            self.health.note_write(&fault);
            // Those who did not ask for the log fail as well: they came after those who did.
            outcomes.iter_mut().for_each(|outcome| *outcome = Err(fault.clone().into()));
            return outcomes;
        }
        for (request, outcome) in group.iter().zip(&outcomes) {
            if outcome.is_ok() {
                writer.apply(request);
            }
        }
        self.counters
            .note_group(&logged, group.iter().map(|request| u64::from(request.record.count())).sum());
        writer.next_seq = seq;
        self.visible.store(seq.value() - 1, Ordering::Release);
        match self.freeze_full(&mut writer) {
            Ok(false) => {}
            Ok(true) => outcomes.iter_mut().flatten().for_each(|committed| committed.froze = true),
            // The group itself is committed: the next one meets the fault.
            Err(fault) => self.health.note_write(&fault),
        }
        outcomes
    }
}

impl<P: Parts> Writer<P> {
    /// Whether every keyspace of a batch is there.
    fn check(&self, request: &Request) -> Result<(), Error> {
        let missing =
            request.record.other_keyspaces().iter().find(|(id, _)| !self.keyspaces.contains_key(id));
        missing.map_or(Ok(()), |(_, name)| Err(Error::NoKeyspace(name.to_string())))
    }

    fn apply(&self, request: &Request) {
        let mut keyspace: Option<(&KeyspaceTree<P>, arc_swap::Guard<Arc<crate::state::ReadState<P>>>)> = None;
        for write in request.record.writes() {
            let write = write.expect("because this process has encoded it");
            if keyspace.as_ref().is_none_or(|(keyspace, _)| keyspace.id != write.keyspace) {
                let found = &self.keyspaces[&write.keyspace];
                let state = found.state();
                if request.durability == Durability::None {
                    state.active.note_unlogged();
                }
                keyspace = Some((found, state));
            }
            if let Some((_, state)) = &keyspace {
                state.active.table.insert(write.entry);
            }
        }
    }
}

impl<P: Parts> fmt::Debug for Store<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dir", &self.site.dir()).finish_non_exhaustive()
    }
}
