//! The durable log of edits.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsmkit_base::{Fault, FaultContext, SegmentId};
use lsmkit_vfs::Fs;
use lsmkit_wal::{Next, Purpose, SegmentHeader, SegmentReader, SegmentWriter};

use crate::current::{self, Listing};
use crate::edit::DecodeError;
use crate::{Edit, State};

/// A manifest is written anew once its edits outgrow the state they add up to.
const REWRITE_AT_LEAST_BYTES: u64 = 1 << 20;
const REWRITE_GROWTH: u64 = 4;

/// The shape of a store, kept durably.
///
/// Opening writes nothing. The first commit after it begins a new manifest file with the whole
/// state; later ones append to it. So a file in which an earlier process may have left a torn edit
/// is never written to again.
#[derive(Debug)]
pub struct Manifest {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    state: State,
    writer: Option<Writer>,
    failed: Option<Fault>,
    closed: bool,
}

#[derive(Debug)]
struct Writer {
    path: PathBuf,
    segment: SegmentWriter,
    /// The position up to which the file is durable.
    synced: u64,
    /// The file's size when it held just the state.
    fresh_bytes: u64,
}

impl Manifest {
    /// Makes a manifest in a directory that has none. Durable when it returns.
    pub fn create(fs: Arc<dyn Fs>, dir: &Path, first: &Edit) -> Result<Manifest, Fault> {
        let mut manifest = Manifest::of(fs, dir, State::default());
        manifest.commit(first)?;
        Ok(manifest)
    }

    /// Makes a manifest in the place of those that are there, which can't be read: they are renamed to `MANIFEST-….damaged`.
    /// Durable when it returns; returns the files that were renamed, by their new names.
    ///
    /// # Errors
    ///
    /// Those that are there may have been renamed already, and whether the new one is in force is not known. Another call comes to the end.
    pub fn replace(fs: Arc<dyn Fs>, dir: &Path, first: &Edit) -> Result<Vec<PathBuf>, Fault> {
        let state = State::default()
            .apply(first)
            .map_err(|e| Fault::corrupt(dir, 0, format!("an edit does not apply: {e}")))?;
        let listing = Listing::read(&*fs, dir)?;
        let number = listing.next();
        let path = current::manifest_path(dir, number);
        let written = Writer::create(&*fs, path.clone(), number, &state).and_then(|mut writer| writer.end());
        written.inspect_err(|_| {
            let _ = fs.remove(&path);
        })?;
        // Its name first: at every moment one of them can be read.
        fs.sync_dir(dir).at(dir)?;
        // Before it is in force: whoever is must not sweep the others.
        let aside = current::set_aside(&*fs, dir, &listing)?;
        current::mark(&*fs, dir, number)?;
        fs.sync_dir(dir).at(dir)?;
        current::sweep(&*fs, dir, &listing, number);
        Ok(aside)
    }

    /// As [`Manifest::open`], where the directory has no marker: the newest manifest there is, if it can be read as a whole. It was in force, or was about to be.
    ///
    /// The next commit makes a marker. For repairs.
    pub fn open_unmarked(fs: Arc<dyn Fs>, dir: &Path) -> Result<Option<Manifest>, Fault> {
        let listing = Listing::read(&*fs, dir)?;
        let newest = listing.manifests.iter().copied().max().filter(|_| listing.markers.is_empty());
        let Some(number) = newest else { return Ok(None) };
        let state = read_edits(&*fs, &current::manifest_path(dir, number), number)?;
        Ok(Some(Manifest::of(fs, dir, state)))
    }

    /// What the newest manifest that can be read tells, up to where it is damaged; for repairs. `None` where none tells anything.
    ///
    /// Writes nothing. Whether that manifest was in force does not matter: later edits may be missing anyway.
    ///
    /// # Errors
    ///
    /// [Unsupported](Fault::is_unsupported) where it was written by a later version.
    pub fn salvage(fs: &dyn Fs, dir: &Path) -> Result<Option<State>, Fault> {
        let mut numbers = Listing::read(fs, dir)?.manifests;
        numbers.sort_unstable();
        for number in numbers.into_iter().rev() {
            let mut state = None;
            match fold_edits(fs, &current::manifest_path(dir, number), number, &mut state) {
                Err(fault) if fault.is_unsupported() => return Err(fault),
                _ if state.is_some() => return Ok(state),
                _ => {}
            }
        }
        Ok(None)
    }

    fn of(fs: Arc<dyn Fs>, dir: &Path, state: State) -> Manifest {
        Manifest { fs, dir: dir.to_path_buf(), state, writer: None, failed: None, closed: false }
    }

    /// Whether a directory has a manifest in force.
    pub fn is_there(fs: &dyn Fs, dir: &Path) -> Result<bool, Fault> {
        Ok(Listing::read(fs, dir)?.current().is_some())
    }

    /// Reads the manifest in force; `None` where the directory has none. Writes nothing.
    ///
    /// # Errors
    ///
    /// [corrupt](Fault::is_corrupt) where what is there contradicts itself or durable edits are damaged. An
    /// edit at the very end that was not known to be durable and is not whole is left out.
    pub fn open(fs: Arc<dyn Fs>, dir: &Path) -> Result<Option<Manifest>, Fault> {
        let Some(number) = Listing::read(&*fs, dir)?.current() else { return Ok(None) };
        let path = current::manifest_path(dir, number);
        let state = read_edits(&*fs, &path, number)?;
        Ok(Some(Manifest::of(fs, dir, state)))
    }

    /// What all edits so far add up to.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The fault after which it is unknown what a crash would bring back, if there was one.
    pub fn failed(&self) -> Option<&Fault> {
        self.failed.as_ref()
    }

    /// Adds an edit. Blocks on the disk; durable when it returns.
    ///
    /// # Errors
    ///
    /// Where [`Manifest::failed`] is `None` afterwards, as after most full disks, the edit is not there,
    /// now or after a crash, and the next commit may succeed. Otherwise it is unknown whether a
    /// crash would bring the edit back: no table that it names may be removed, and every further
    /// commit fails in the same way.
    pub fn commit(&mut self, edit: &Edit) -> Result<(), Fault> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        if self.closed {
            return Err(Fault::io(&self.dir, io::Error::other("the manifest is closed")));
        }
        let state = self.state.apply(edit).map_err(|e| {
            let (path, offset) = match &self.writer {
                Some(writer) => (writer.path.as_path(), writer.segment.end_offset()),
                None => (self.dir.as_path(), 0),
            };
            Fault::corrupt(path, offset, format!("an edit does not apply: {e}"))
        })?;
        let outcome = match &mut self.writer {
            Some(writer) if !writer.is_overgrown() => writer.append(edit),
            _ => self.rewrite(&state),
        };
        match outcome {
            Ok(()) => {
                self.state = state;
                Ok(())
            }
            Err(Failure::NothingHappened(fault)) => Err(fault),
            Err(Failure::Unknown(fault)) => {
                self.failed = Some(fault.clone());
                Err(fault)
            }
        }
    }

    /// Marks the file as closed, so that any later damage to it shows. Durable when it returns; every
    /// further commit is refused.
    pub fn close(&mut self) -> Result<(), Fault> {
        self.closed = true;
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        self.writer.take().map_or(Ok(()), |mut writer| writer.end())
    }

    /// Begins a new file with `state` and puts it in force.
    fn rewrite(&mut self, state: &State) -> Result<(), Failure> {
        let listing = Listing::read(&*self.fs, &self.dir).map_err(Failure::NothingHappened)?;
        let number = listing.next();
        let path = current::manifest_path(&self.dir, number);
        let writer = match Writer::create(&*self.fs, path.clone(), number, state) {
            Ok(writer) => writer,
            Err(fault) => {
                // Not in force without a marker; swept after the next switch if it stays.
                let _ = self.fs.remove(&path);
                return Err(Failure::from_write(fault));
            }
        };
        current::mark(&*self.fs, &self.dir, number).map_err(|fault| {
            // A marker that is there all the same is in force.
            let unmarked = Listing::read(&*self.fs, &self.dir).is_ok_and(|now| now.current() < Some(number));
            if unmarked { Failure::from_write(fault) } else { Failure::Unknown(fault) }
        })?;
        self.fs.sync_dir(&self.dir).at(&self.dir).map_err(Failure::Unknown)?;
        current::sweep(&*self.fs, &self.dir, &listing, number);
        self.writer = Some(writer);
        Ok(())
    }
}

impl Writer {
    fn create(fs: &dyn Fs, path: PathBuf, number: u64, state: &State) -> Result<Writer, Fault> {
        let header = SegmentHeader {
            purpose: Purpose::Manifest,
            id: SegmentId(number),
            prev: None,
            base: 0,
            synced: 0,
        };
        let mut segment = SegmentWriter::create(fs, &path, header)?;
        segment.append(&[&encode(&state.snapshot())], 0)?;
        segment.file().sync().at(&path)?;
        let (synced, fresh_bytes) = (segment.position(), segment.end_offset());
        Ok(Writer { path, segment, synced, fresh_bytes })
    }

    /// Marks the file as closed. Durable when it returns.
    fn end(&mut self) -> Result<(), Fault> {
        self.segment.trailer()?;
        self.segment.file().sync().at(&self.path)
    }

    fn is_overgrown(&self) -> bool {
        self.segment.end_offset() > REWRITE_AT_LEAST_BYTES.max(self.fresh_bytes * REWRITE_GROWTH)
    }

    fn append(&mut self, edit: &Edit) -> Result<(), Failure> {
        if let Err(fault) = self.segment.append_then(&[&encode(edit)], self.synced, Next::Sync) {
            // What the failed append has left must not be there after a crash.
            return Err(match self.segment.heal() {
                Ok(()) => Failure::from_write(fault),
                Err(_) => Failure::Unknown(fault),
            });
        }
        self.segment.file().sync().at(&self.path).map_err(Failure::Unknown)?;
        self.synced = self.segment.position();
        Ok(())
    }
}

/// Whether a crash could bring back what failed.
enum Failure {
    NothingHappened(Fault),
    Unknown(Fault),
}

impl Failure {
    fn from_write(fault: Fault) -> Failure {
        if fault.is_full_disk() { Failure::NothingHappened(fault) } else { Failure::Unknown(fault) }
    }
}

fn encode(edit: &Edit) -> Vec<u8> {
    let mut bytes = Vec::new();
    edit.encode(&mut bytes);
    bytes
}

fn read_edits(fs: &dyn Fs, path: &Path, number: u64) -> Result<State, Fault> {
    let mut state = None;
    let end = fold_edits(fs, path, number, &mut state)?;
    state.ok_or_else(|| Fault::corrupt(path, end, "the manifest in force holds no whole edit"))
}

/// Adds up the edits in `state`, which after a fault is what those before it tell. Returns where they end.
fn fold_edits(fs: &dyn Fs, path: &Path, number: u64, state: &mut Option<State>) -> Result<u64, Fault> {
    let mut reader = SegmentReader::open(fs, path, Purpose::Manifest, SegmentId(number))?;
    if reader.header().is_none() {
        // The marker came after the file was durable.
        return Err(Fault::corrupt(path, 0, "the header of the manifest in force is damaged"));
    }
    loop {
        let offset = reader.end_offset();
        let Some(bytes) = reader.next()? else { return Ok(offset) };
        let edit = Edit::decode(bytes).map_err(|e| match e {
            DecodeError::Malformed => Fault::corrupt(path, offset, "a whole frame that is not an edit"),
            DecodeError::Unknown(tag) => {
                Fault::unsupported(path, format!("change {tag} in the edit at byte {offset}"))
            }
        })?;
        let next = state
            .as_ref()
            .unwrap_or(&State::default())
            .apply(&edit)
            .map_err(|e| Fault::corrupt(path, offset, format!("an edit does not apply: {e}")))?;
        *state = Some(next);
    }
}
