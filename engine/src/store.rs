//! The one value that a store's handles, writers and background threads share.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

use arc_swap::ArcSwap;
use lsmkit_base::{Fault, KeyspaceId, SeqNo, TableId};
use lsmkit_manifest::{Change, Edit, Manifest};
use lsmkit_memtable::Memtable;
use lsmkit_vfs::FileLock;
use lsmkit_wal::{Log, LogHandle, Next};

use crate::admission::Pace;
use crate::background::Signals;
use crate::batch::{Record, Write};
use crate::cleanup::Bin;
use crate::commit::{CommitEnv, CommitQueue};
use crate::health::{Health, lock};
use crate::jobs::Jobs;
use crate::memory::Memory;
use crate::scrub::Scrubbing;
use crate::snapshot::Snapshots;
use crate::stats::Counters;
use crate::throttle::Throttle;
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
    pub(crate) log: <P::Log as Log>::Handle,
    /// The sequence number up to which reads see writes.
    pub(crate) visible: AtomicU64,
    /// The size of the log after the last commit or removal, for those who must not hold up writers.
    pub(crate) log_bytes: AtomicU64,
    pub(crate) manifest: Mutex<Manifest>,
    /// The live keyspaces, for those who go through all of them.
    pub(crate) keyspaces: ArcSwap<BTreeMap<KeyspaceId, Arc<KeyspaceTree<P>>>>,
    pub(crate) next_table: AtomicU64,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) health: Health,
    pub(crate) signals: Arc<Signals>,
    pub(crate) counters: Counters,
    pub(crate) pace: Pace,
    pub(crate) throttle: Throttle,
    pub(crate) scrubbing: Scrubbing,
    pub(crate) memory: Arc<Memory>,
    pub(crate) bin: Arc<Bin<P>>,
    /// One flush at a time, so that a keyspace's memtables become tables in their order.
    pub(crate) flushing: Mutex<()>,
    pub(crate) jobs: Jobs<P>,
    /// Held while a thread looks for a part to compact, so that what one decides, the next one sees.
    pub(crate) choosing: Mutex<()>,
    /// Held for reading while some of a compaction is done, for writing while the store closes.
    pub(crate) compacting: RwLock<()>,
    /// When a memtable became a table last, or the store was opened.
    pub(crate) flushed_at: Mutex<Instant>,
    /// How many wait until nothing is left to do, which includes what is done at leisure.
    pub(crate) settling: AtomicUsize,
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
        self.health.check_open()?;
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
        if committed.wants_room {
            self.signals.wake_ahead();
        }
        // The group is in the log; the sync is outside the queue, so that writers who did not ask
        // for it don't wait for it, and those who did share it.
        if durability == Durability::Synced { self.sync() } else { Ok(()) }
    }

    /// Makes all that was committed durable.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.health.check()?;
        self.log.sync().map_err(|fault| {
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

    /// Freezes the memtables that are full, those that keep too long a log alive, and the largest ones where all together take too much
    /// memory.
    #[cold]
    fn freeze_full(&self, writer: &mut Writer<P>) -> Result<bool, Fault> {
        let mut froze = false;
        let keyspaces: Vec<_> = writer.keyspaces.values().cloned().collect();
        for keyspace in &keyspaces {
            if keyspace.state().active.table.size_bytes() >= self.options.memtable_bytes {
                froze |= self.freeze(writer, keyspace)?;
            }
        }
        if writer.log.size_bytes() > self.options.log_bytes_max {
            let active = |keyspace: &KeyspaceTree<P>| Arc::clone(&keyspace.state().active);
            let holding = || keyspaces.iter().filter(|keyspace| !active(keyspace).table.is_empty());
            let oldest = holding().map(|keyspace| active(keyspace).log_floor).min();
            let frozen =
                keyspaces.iter().filter_map(|keyspace| keyspace.oldest_frozen()).map(|slot| slot.log_floor);
            // Where the oldest part of the log belongs to what is about to be flushed, the log is about to shrink.
            let is_shrinking =
                frozen.min().is_some_and(|frozen| oldest.is_none_or(|oldest| frozen <= oldest));
            if !is_shrinking {
                for keyspace in holding().filter(|keyspace| Some(active(keyspace).log_floor) == oldest) {
                    froze |= self.freeze(writer, keyspace)?;
                }
            }
        }
        while self.memory.set_active(writer.active_bytes()) {
            let Some(largest) = keyspaces.iter().max_by_key(|keyspace| keyspace.active_bytes()) else {
                break;
            };
            if !self.freeze(writer, largest)? {
                break;
            }
            froze = true;
        }
        Ok(froze)
    }

    /// For each keyspace, the segment of the log before which all its records are in tables.
    ///
    /// `flushed` of keyspace `id` has just become a table, though readers have not been told yet.
    pub(crate) fn log_floors(&self, id: KeyspaceId, flushed: &Slot<P>) -> Edit {
        let writer = lock(&self.writer);
        let current = writer.log.segment();
        let mut edit = Edit::new();
        for keyspace in writer.keyspaces.values() {
            let flushed = (keyspace.id == id).then_some(flushed);
            let segment = keyspace.state().log_floor(current, flushed);
            edit.changes.push(Change::LogFloor { keyspace: keyspace.id, segment });
        }
        edit
    }
}

type Slot<P> = crate::state::Slot<<P as Parts>::Memtable>;

/// What a group has done to its memtables.
#[derive(Clone, Copy, Default, Debug)]
struct Applied {
    /// The size of the largest.
    largest_bytes: usize,
    /// The bytes of its keys and values.
    user_bytes: u64,
    /// How much larger they are, all together.
    grown_bytes: usize,
    /// Whether one of them could use some memory made ready.
    wants_room: bool,
}

/// What the queue tells a writer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Committed {
    /// Whether the group froze a memtable.
    froze: bool,
    /// Whether log or memtables could use some room made ahead.
    wants_room: bool,
}

impl<P: Parts> CommitEnv for Store<P> {
    type Request = Request;
    type Outcome = Result<Committed, Error>;

    fn commit(&self, mut group: Vec<Request>) -> Vec<Result<Committed, Error>> {
        let mut writer = lock(&self.writer);
        if let Err(error) = self.health.check() {
            return group.iter().map(|_| Err(error.clone())).collect();
        }
        let mut seq = writer.next_seq;
        let numbered: Vec<Result<(), Error>> =
            group.iter_mut().map(|request| writer.number(request, &mut seq)).collect();
        let sound =
            || group.iter().zip(&numbered).filter(|(_, outcome)| outcome.is_ok()).map(|(request, _)| request);
        let logged: Vec<&[u8]> = sound().filter(|r| r.is_logged()).map(|r| r.record.bytes()).collect();
        let next = sound().map(Request::next).max().unwrap_or_default();
        if let Err(error) = self.append(&mut writer, &logged, next) {
            // Those who did not ask for the log fail as well: they came after those who did.
            return numbered.into_iter().map(|outcome| outcome.and(Err(error.clone()))).collect();
        }
        let committed = self.publish(&mut writer, sound(), seq);
        numbered.into_iter().map(|outcome| outcome.map(|()| committed)).collect()
    }

    fn commit_one(&self, mut request: Request) -> Result<Committed, Error> {
        let mut writer = lock(&self.writer);
        // Again, now that nobody can close the log: what closing has flushed must be all there is.
        self.health.check()?;
        let mut seq = writer.next_seq;
        writer.number(&mut request, &mut seq)?;
        if request.is_logged() {
            self.append(&mut writer, &[request.record.bytes()], request.next())?;
        }
        Ok(self.publish(&mut writer, std::iter::once(&request), seq))
    }

    fn abandoned(&self) -> Result<Committed, Error> {
        Err(Error::Closed)
    }
}

/// The three steps of a commit: number, append, publish.
///
/// A crash before the append loses the group, which nobody was told of. After it, replay finds every
/// batch of it whole, or, after a power failure, a prefix of them.
impl<P: Parts> Store<P> {
    fn append(&self, writer: &mut Writer<P>, records: &[&[u8]], next: Next) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        writer.log.append_then(records, next).inspect_err(|fault| self.health.note_write(fault))?;
        self.counters.note_log(records);
        Ok(())
    }

    /// Inserts the group into its memtables, and only then lets readers see it.
    fn publish<'a>(
        &self,
        writer: &mut Writer<P>,
        group: impl Iterator<Item = &'a Request>,
        next_seq: SeqNo,
    ) -> Committed {
        let applied = writer.apply(group);
        let mut is_full = applied.largest_bytes >= self.options.memtable_bytes;
        is_full |= self.memory.note_growth(applied.grown_bytes);
        self.counters.note_group(next_seq.value() - writer.next_seq.value(), applied.user_bytes);
        writer.next_seq = next_seq;
        self.visible.store(next_seq.value() - 1, Ordering::Release);
        is_full |= self.note_log_size(writer) > self.options.log_bytes_max;
        let froze = is_full
            && self.freeze_full(writer).unwrap_or_else(|fault| {
                // The group itself is committed: the next one meets the fault.
                self.health.note_write(&fault);
                false
            });
        Committed { froze, wants_room: applied.wants_room || writer.log.wants_preparing() }
    }
}

impl<P: Parts> Store<P> {
    /// Takes note of how large the log is now, and returns it.
    pub(crate) fn note_log_size(&self, writer: &Writer<P>) -> u64 {
        let size_bytes = writer.log.size_bytes();
        self.log_bytes.store(size_bytes, Ordering::Relaxed);
        size_bytes
    }
}

impl<P: Parts> Writer<P> {
    /// The memory of the memtables that take writes, all together.
    pub(crate) fn active_bytes(&self) -> usize {
        self.keyspaces.values().map(|keyspace| keyspace.active_bytes()).sum()
    }

    /// Gives a batch its place in history, if every keyspace it writes to is there.
    fn number(&self, request: &mut Request, seq: &mut SeqNo) -> Result<(), Error> {
        let mut others = request.record.other_keyspaces().iter();
        if let Some((_, name)) = others.find(|(id, _)| !self.keyspaces.contains_key(id)) {
            return Err(Error::NoKeyspace(name.to_string()));
        }
        let next = seq.plus(u64::from(request.record.count())).ok_or(Error::Exhausted)?;
        request.record.seal(*seq);
        *seq = next;
        Ok(())
    }

    /// Inserts a group.
    fn apply<'a>(&self, group: impl Iterator<Item = &'a Request>) -> Applied {
        let mut applied = Applied::default();
        let mut writes = group
            .flat_map(|request| {
                let writes = request.record.writes();
                writes.map(move |write| (request, write.expect("because this process has encoded it")))
            })
            .peekable();
        while let Some(&(_, Write { keyspace, .. })) = writes.peek() {
            let state = self.keyspaces[&keyspace].state();
            let before_bytes = state.active.table.size_bytes();
            // Most groups write to one keyspace, so its state is looked up once.
            let of_keyspace = std::iter::from_fn(|| writes.next_if(|(_, write)| write.keyspace == keyspace));
            state.active.table.insert_all(of_keyspace.map(|(request, write)| {
                applied.user_bytes += (write.entry.user_key.len() + write.entry.value.len()) as u64;
                if !request.is_logged() {
                    state.active.note_unlogged();
                }
                write.entry
            }));
            let after_bytes = state.active.table.size_bytes();
            if after_bytes > before_bytes {
                applied.grown_bytes += after_bytes - before_bytes;
                applied.wants_room |= state.active.table.wants_preparing();
            }
            applied.largest_bytes = applied.largest_bytes.max(after_bytes);
        }
        applied
    }
}

impl Request {
    fn is_logged(&self) -> bool {
        self.durability != Durability::None
    }

    /// What follows once the log has it.
    fn next(&self) -> Next {
        if self.durability == Durability::Synced { Next::Sync } else { Next::Append }
    }
}

impl<P: Parts> fmt::Debug for Store<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dir", &self.site.dir()).finish_non_exhaustive()
    }
}
