//! Opening: from what is on disk to a store that runs.
//!
//! Opening an existing store writes nothing but the lock and, where the log holds more than a
//! memtable does, tables; so it works on a full disk.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

use arc_swap::ArcSwap;
use lsmkit_base::{Fault, FaultContext, KeyspaceId, SegmentId, SeqNo, TableId, Tree};
use lsmkit_manifest::{Change, Edit, Manifest, State};
use lsmkit_memtable::Memtable;
use lsmkit_sstable::Tables;
use lsmkit_vfs::{DirEntryKind, FileLock, Fs, LockKind};
use lsmkit_wal::Log;

use crate::background::Signals;
use crate::batch::{DEFAULT_KEYSPACE, Writes};
use crate::cleanup::{Bin, Unnamed};
use crate::flush::{add_to_level0, only_rising, table_changes, write_level0};
use crate::jobs::Jobs;
use crate::memory::Memory;
use crate::snapshot::Snapshots;
use crate::state::{ReadState, Slot};
use crate::store::{Mode, Store, Writer};
use crate::throttle::Throttle;
use crate::tree::KeyspaceTree;
use crate::version::{Table, Version};
use crate::{Error, KeyspaceOptions, Options, Parts, Site};

/// The name of the order of keys; a store with another is not opened.
pub(crate) const COMPARATOR: &str = "bytewise";
pub(crate) const DEFAULT_NAME: &str = "default";
const LOCK: &str = "LOCK";

/// Opens a store for reading and writing.
pub(crate) fn open<P: Parts>(
    parts: P,
    fs: Arc<dyn Fs>,
    dir: &Path,
    options: Options,
) -> Result<Arc<Store<P>>, Error> {
    // Found out before the lock is taken, which would leave its file behind.
    match (is_store(&*fs, dir)?, options.create_if_missing) {
        (true, _) => {}
        (false, true) => {
            fs.create_dir(dir).at(dir)?;
            match check_empty(&*fs, dir) {
                // Made in this moment by another, who has the lock.
                Err(Error::NotAStore { .. }) if is_store(&*fs, dir)? => {}
                checked => checked?,
            }
        }
        (false, false) => return Err(no_store(&*fs, dir)),
    }
    let lock = take_lock(&*fs, dir, LockKind::Exclusive)?;
    let manifest = match Manifest::open(Arc::clone(&fs), dir)? {
        Some(manifest) => manifest,
        None => {
            check_empty(&*fs, dir)?;
            create(&fs, dir)?
        }
    };
    Recovery::new(parts, Site::new(fs, dir, options), manifest, Mode::Writable)?.finish(Some(lock))
}

/// Opens a store for reading. Changes nothing on disk.
pub(crate) fn open_read_only<P: Parts>(
    parts: P,
    fs: Arc<dyn Fs>,
    dir: &Path,
    options: Options,
) -> Result<Arc<Store<P>>, Error> {
    if !is_store(&*fs, dir)? {
        return Err(no_store(&*fs, dir));
    }
    let lock = match take_lock(&*fs, dir, LockKind::Shared) {
        Ok(lock) => Some(lock),
        // A store copied without its lock file has no writer.
        Err(Error::NoStore(_)) => None,
        Err(error) => return Err(error),
    };
    let manifest = Manifest::open(Arc::clone(&fs), dir)?.ok_or_else(|| Error::NoStore(dir.to_path_buf()))?;
    Recovery::new(parts, Site::new(fs, dir, options), manifest, Mode::ReadOnly)?.finish(lock)
}

fn is_store(fs: &dyn Fs, dir: &Path) -> Result<bool, Fault> {
    match Manifest::is_there(fs, dir) {
        Err(fault) if fault.is_not_found() => Ok(false),
        other => other,
    }
}

/// Why there is nothing to open.
fn no_store(fs: &dyn Fs, dir: &Path) -> Error {
    match check_empty(fs, dir) {
        Err(error @ Error::NotAStore { .. }) => error,
        _ => Error::NoStore(dir.to_path_buf()),
    }
}

/// Refuses a directory that holds files but no store: the wrong one, or a store without its marker,
/// which a new store would take the place of.
fn check_empty(fs: &dyn Fs, dir: &Path) -> Result<(), Error> {
    let entries = fs.list(dir).at(dir)?;
    // What a crash in the middle of making a store leaves.
    let is_ours = |name: &str| name == LOCK || name.starts_with("MANIFEST-");
    match entries.iter().find(|entry| entry.kind == DirEntryKind::File && !is_ours(&entry.name)) {
        None => Ok(()),
        Some(file) => Err(Error::NotAStore { dir: dir.to_path_buf(), file: file.name.clone() }),
    }
}

pub(crate) fn take_lock(fs: &dyn Fs, dir: &Path, kind: LockKind) -> Result<Box<dyn FileLock>, Error> {
    let path = dir.join(LOCK);
    fs.lock(&path, kind).map_err(|e| match e.kind() {
        io::ErrorKind::WouldBlock => Error::Locked(dir.to_path_buf()),
        io::ErrorKind::NotFound => Error::NoStore(dir.to_path_buf()),
        _ => Fault::io(&path, e).into(),
    })
}

/// Makes a store of one empty keyspace, durable with its directory.
fn create(fs: &Arc<dyn Fs>, dir: &Path) -> Result<Manifest, Fault> {
    let first = Edit::new()
        .with(Change::Comparator(COMPARATOR.to_owned()))
        .with(Change::NextTable(TableId(1)))
        .with(Change::CreateKeyspace {
            id: DEFAULT_KEYSPACE,
            name: DEFAULT_NAME.to_owned(),
            log_floor: SegmentId(1),
        });
    let manifest = Manifest::create(Arc::clone(fs), dir, &first)?;
    if let Some(parent) = dir.parent() {
        // The parent of a bare name is where the process stands.
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        fs.sync_dir(parent).at(parent)?;
    }
    Ok(manifest)
}

/// Refuses a manifest that no store of this build has.
pub(crate) fn check_manifest(site: &Site, state: &State) -> Result<(), Fault> {
    if state.comparator != COMPARATOR {
        let what = format!("keys in the order {:?}; this build knows {COMPARATOR:?}", state.comparator);
        return Err(Fault::unsupported(site.dir(), what));
    }
    if !state.keyspaces.contains_key(&DEFAULT_KEYSPACE) {
        return Err(Fault::corrupt(site.dir(), 0, "the manifest names no default keyspace"));
    }
    Ok(())
}

/// A store in the making.
struct Recovery<P: Parts> {
    parts: P,
    site: Site,
    mode: Mode,
    manifest: Manifest,
    signals: Arc<Signals>,
    bin: Arc<Bin<P>>,
    keyspaces: BTreeMap<KeyspaceId, Recovering<P>>,
    /// The greatest number of a write seen so far.
    last_seq: SeqNo,
    next_table: TableId,
    /// The disk is full: what the log holds stays in memory.
    no_room: bool,
}

/// A keyspace in the making.
struct Recovering<P: Parts> {
    name: String,
    tables: Arc<P::Tables>,
    picker: P::Picker,
    version: Version<P>,
    slot: Arc<Slot<P::Memtable>>,
    /// Writes up to this one are in the tables, or superseded there.
    flushed: SeqNo,
}

impl<P: Parts> Recovery<P> {
    /// Opens every table that the manifest names.
    fn new(parts: P, site: Site, manifest: Manifest, mode: Mode) -> Result<Recovery<P>, Error> {
        let state = manifest.state();
        check_manifest(&site, state)?;
        let signals = Arc::new(Signals::default());
        let bin = Bin::new(&signals);
        let mut keyspaces = BTreeMap::new();
        for (&id, known) in &state.keyspaces {
            let options = KeyspaceOptions::default().of(id, &known.name);
            let tables = Arc::new(parts.tables(&site, &options));
            let picker = parts.picker(&site, &options);
            let version = Version::open(&known.tree, &picker, |meta| Table::open(&tables, &bin, meta))?;
            let budget_bytes = site.options().memtable_bytes;
            let other = keyspaces.values().next().map(|other: &Recovering<P>| &other.slot);
            let slot = match other {
                // Memory that one keyspace gives up is for all of them.
                Some(other) => other.successor(budget_bytes, known.log_floor),
                None => Slot::new(budget_bytes, known.log_floor),
            };
            let name = known.name.clone();
            let flushed = known.flushed;
            keyspaces.insert(id, Recovering { name, tables, picker, version, slot, flushed });
        }
        let (last_seq, next_table) = (state.last_seq, state.next_table);
        Ok(Recovery {
            parts,
            site,
            mode,
            manifest,
            signals,
            bin,
            keyspaces,
            last_seq,
            next_table,
            no_room: false,
        })
    }

    /// Replays the log and puts the store together.
    fn finish(mut self, file_lock: Option<Box<dyn FileLock>>) -> Result<Arc<Store<P>>, Error> {
        let on_disk = self.keyspaces[&DEFAULT_KEYSPACE].tables.list()?;
        if let Some(greatest) = on_disk.iter().max() {
            // Numbers are not used again, not even those of tables that nothing names.
            self.next_table = self.next_table.max(TableId(greatest.0.saturating_add(1)));
        }
        let mut log = self.parts.log(&self.site)?;
        let from = self.manifest.state().log_floor();
        let mut last_in_log = SeqNo::ZERO;
        log.replay(from, &mut |segment, record| self.replay(segment, record, &mut last_in_log))?;
        if let Some(end) = self.manifest.state().log_end
            && log.position() < end
        {
            let what = format!("the log ends at position {}; it was closed at {end}", log.position());
            return Err(Fault::corrupt(self.site.dir(), 0, what).into());
        }
        // Only now that all is known to be well may anything be removed.
        if self.mode == Mode::Writable {
            self.sweep(&on_disk);
        }
        let current = log.segment();
        let budget_bytes = self.site.options().memtable_bytes;
        let memory = Arc::new(Memory::new(self.site.options().limit_of_memtables()));
        let keyspaces: BTreeMap<_, _> = self
            .keyspaces
            .into_iter()
            .map(|(id, recovering)| (id, recovering.finish(id, budget_bytes, current, &memory)))
            .collect();
        memory.set_active(keyspaces.values().map(|k: &Arc<KeyspaceTree<P>>| k.active_bytes()).sum());
        let next_seq = self.last_seq.plus(1).ok_or(Error::Exhausted)?;
        let threads = self.site.options().threads_that_compact();
        let throttle = Throttle::new(self.site.options().background_rate);
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let store = Arc::new(Store {
            parts: self.parts,
            options: self.site.options().clone(),
            site: self.site,
            mode: self.mode,
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            queue: Default::default(),
            log: log.handle(),
            log_bytes: AtomicU64::new(log.size_bytes()),
            writer: Mutex::new(Writer { log, next_seq, keyspaces: keyspaces.clone() }),
            visible: AtomicU64::new(self.last_seq.value()),
            manifest: Mutex::new(self.manifest),
            keyspaces: ArcSwap::from_pointee(keyspaces),
            next_table: AtomicU64::new(self.next_table.0),
            snapshots: Snapshots::new(&self.signals),
            health: Default::default(),
            signals: self.signals,
            counters: Default::default(),
            pace: Default::default(),
            throttle,
            scrubbing: Default::default(),
            memory,
            bin: self.bin,
            flushing: Mutex::new(()),
            jobs: Jobs::new(threads),
            flushed_at: Mutex::new(Instant::now()),
            choosing: Mutex::new(()),
            compacting: RwLock::new(()),
            settling: AtomicUsize::new(0),
            lock: Mutex::new(file_lock),
        });
        store.start_background()?;
        Ok(store)
    }

    /// Takes one record of the log into the memtables of its keyspaces.
    fn replay(&mut self, segment: SegmentId, record: &[u8], last: &mut SeqNo) -> Result<(), Fault> {
        let malformed = |what: &str| {
            Fault::corrupt(self.site.dir(), 0, format!("a whole record in log segment {segment}: {what}"))
        };
        let writes = Writes::decode(record).map_err(|what| malformed(&what))?;
        if writes.seq() <= *last {
            return Err(malformed(&format!("sequence number {} after {last}", writes.seq())));
        }
        let next_keyspace = self.manifest.state().next_keyspace;
        let mut is_full = false;
        for write in writes {
            let write = write.map_err(|what| malformed(&what))?;
            *last = write.entry.seq;
            let Some(recovering) = self.keyspaces.get(&write.keyspace) else {
                if write.keyspace < next_keyspace {
                    // Dropped since: what it held stays gone.
                    continue;
                }
                return Err(malformed(&format!("keyspace {} was never made", write.keyspace.0)));
            };
            if segment < recovering.slot.log_floor || write.entry.seq <= recovering.flushed {
                // In a table already, or superseded there: were it put into a memtable, it would
                // hide what is newer.
                continue;
            }
            recovering.slot.table.insert(write.entry);
            is_full |= recovering.slot.table.size_bytes() >= self.site.options().memtable_bytes;
        }
        self.last_seq = self.last_seq.max(*last);
        if is_full { self.flush(segment) } else { Ok(()) }
    }

    /// Makes tables of the memtables when one is full, so that a long log is replayed in little memory.
    fn flush(&mut self, segment: SegmentId) -> Result<(), Fault> {
        if self.mode == Mode::ReadOnly || self.no_room {
            return Ok(());
        }
        match self.flush_to_tables(segment) {
            Err(fault) if fault.is_full_disk() && self.manifest.failed().is_none() => {
                // Opening works on a full disk: the memtables grow instead.
                self.no_room = true;
                Ok(())
            }
            other => other,
        }
    }

    /// All keyspaces in one edit: the log may not be durable yet, and what is must stay a prefix.
    ///
    /// Their records in earlier segments are then in tables; of those in `segment` the sequence number
    /// tells, whatever a power failure leaves of the segment.
    fn flush_to_tables(&mut self, segment: SegmentId) -> Result<(), Fault> {
        let mut edit = Edit::new();
        let mut flushed = Unnamed::new();
        let mut installs = Vec::new();
        // Of what was written earlier: it counts as newer than it is.
        let now = self.site.options().now();
        for (&id, recovering) in &self.keyspaces {
            if recovering.slot.table.is_empty() {
                continue;
            }
            let table = self.next_table;
            self.next_table = TableId(table.0 + 1);
            let (memtable, tree) = (&recovering.slot.table, &recovering.version.tree);
            let meta = Arc::new(write_level0(&*recovering.tables, table, memtable, &[], tree, now)?);
            flushed.push(&recovering.tables, &meta);
            let opened = Table::open(&recovering.tables, &self.bin, &meta)?;
            let changes = [add_to_level0(&meta)];
            edit.changes.extend(table_changes(id, &changes));
            edit.changes.push(Change::LogFloor { keyspace: id, segment });
            edit.changes.push(Change::Flushed { keyspace: id, seq: meta.seq_max });
            installs.push((id, changes, opened));
        }
        self.keyspaces[&DEFAULT_KEYSPACE].tables.sync_names()?;
        edit.changes.extend([Change::NextTable(self.next_table), Change::LastSeq(self.last_seq)]);
        let committed = self.manifest.commit(&only_rising(edit, self.manifest.state()));
        if committed.is_ok() || self.manifest.failed().is_some() {
            // An edit on disk names them, or may.
            flushed.release();
        }
        committed?;
        for (id, changes, opened) in installs {
            let recovering = self.keyspaces.get_mut(&id).expect("because it was among them above");
            recovering.version = recovering
                .version
                .apply(&changes, &[opened], &recovering.picker)
                .expect("because the manifest has taken the same change to the same tree");
            recovering.slot = recovering.slot.successor(self.site.options().memtable_bytes, segment);
        }
        Ok(())
    }

    /// Removes tables that nothing names: what jobs that a crash cut short have left, and what
    /// could not be removed before. A failure is no harm; the next opening tries again.
    fn sweep(&self, on_disk: &[TableId]) {
        let named = |tree: &Tree, id: TableId| tree.tables().any(|table| table.id == id);
        let state = self.manifest.state();
        for id in on_disk {
            if !state.keyspaces.values().any(|keyspace| named(&keyspace.tree, *id)) {
                let _ = self.keyspaces[&DEFAULT_KEYSPACE].tables.remove(*id);
            }
        }
    }
}

impl<P: Parts> Recovering<P> {
    fn finish(
        self,
        id: KeyspaceId,
        budget_bytes: usize,
        current: SegmentId,
        memory: &Arc<Memory>,
    ) -> Arc<KeyspaceTree<P>> {
        let active = match self.slot.table.is_empty() {
            true => self.slot.successor(budget_bytes, current),
            false => self.slot,
        };
        let state = ReadState { active, frozen: Vec::new(), version: Arc::new(self.version) };
        KeyspaceTree::new(id, &self.name, self.tables, self.picker, state, memory)
    }
}
