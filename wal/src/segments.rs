//! A log in numbered files of one directory.

use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsmkit_base::{Fault, FaultContext, SegmentId};
use lsmkit_vfs::Fs;

use crate::log::{Log, Next, Removal, Replay};
use crate::names::{Listing, NUMBER_MAX, segment_path, torn_path};
use crate::next::Made;
use crate::options::LogOptions;
use crate::replay::{Abandoned, Kept, Tail, replay, tail_of};
use crate::room::Room;
use crate::segment::{Purpose, SegmentHeader, SegmentLink};
use crate::sync::{GivenUp, SegmentHandle, Shared};
use crate::writer::{SegmentWriter, check_base, check_sizes, sync_fault};

/// A log in numbered files `000001.log`, `000002.log`, … of one directory.
///
/// Opening and replaying writes nothing, so that both work on a full disk and on one that can't be
/// written. Files found are never written to: what is appended goes to a new segment, created by the
/// first append, or ahead of it by [`LogHandle::prepare`](crate::LogHandle::prepare). Files found torn are renamed to `000001.log.torn` where others would be removed; it is
/// for the user to remove those.
///
/// The directory is the log's alone as far as these names go; that no second process appends is for
/// the caller to see to ([`Fs::lock`]).
#[derive(Debug)]
pub struct SegmentedLog {
    shared: Arc<Shared>,
    options: LogOptions,
    listing: Listing,
    phase: Phase,
    /// The number of the next segment to be created.
    next: SegmentId,
    /// The segment before it.
    last: Option<SegmentLink>,
    /// The segments that make up the log, oldest first, without the current one.
    segments: Vec<Kept>,
    /// Found, and neither before the floor nor in the log.
    abandoned: Vec<Abandoned>,
    /// Found, and before the floor.
    left_over: Vec<SegmentId>,
    /// The current segment, once it has been created.
    current: Option<SegmentWriter>,
    /// The segment before it, as long as the current one is empty: a trailer would go there.
    ended: Option<SegmentWriter>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Opened,
    Replayed,
    Closed,
}

impl SegmentedLog {
    /// Opens the log in `dir`, a directory that is there. Reads names only.
    ///
    /// # Errors
    ///
    /// [I/O](lsmkit_base::FaultKind::Io).
    pub fn open(fs: Arc<dyn Fs>, dir: &Path) -> Result<SegmentedLog, Fault> {
        SegmentedLog::open_with(fs, dir, LogOptions::default())
    }

    /// Opens the log in `dir`, as [`open`](SegmentedLog::open) does, with settings.
    ///
    /// # Errors
    ///
    /// [I/O](lsmkit_base::FaultKind::Io).
    pub fn open_with(fs: Arc<dyn Fs>, dir: &Path, options: LogOptions) -> Result<SegmentedLog, Fault> {
        let listing = Listing::read(&*fs, dir)?;
        Ok(SegmentedLog {
            shared: Arc::new(Shared::new(fs, dir)),
            options,
            next: listing.next,
            listing,
            phase: Phase::Opened,
            last: None,
            segments: Vec::new(),
            abandoned: Vec::new(),
            left_over: Vec::new(),
            current: None,
            ended: None,
        })
    }

    /// Whether the log can be written.
    fn check(&self) -> Result<(), Fault> {
        assert_ne!(self.phase, Phase::Opened, "a log is replayed before anything else");
        self.shared.check()?;
        match self.phase {
            Phase::Closed => Err(Fault::io(&self.shared.dir, io::Error::other("the log is closed"))),
            _ => Ok(()),
        }
    }

    /// Ends the log with any fault but that of a full disk, which passes. The file of the next segment is removed, so that its room is
    /// free.
    fn settle<T>(&self, result: Result<T, Fault>) -> Result<T, Fault> {
        result.map_err(|fault| {
            self.shared.next.give_up(&*self.shared.fs);
            if fault.is_full_disk() { fault } else { self.shared.poison(fault) }
        })
    }

    fn append_group(&mut self, records: &[&[u8]], next: Next) -> Result<(), Fault> {
        let synced = self.shared.synced();
        let writer = match &mut self.current {
            Some(writer) => writer,
            None => self.create()?,
        };
        writer.append_then(records, synced, next)?;
        let position = writer.position();
        self.ended = None;
        self.shared.advance(position);
        Ok(())
    }

    /// Creates the next segment.
    fn create(&mut self) -> Result<&mut SegmentWriter, Fault> {
        self.set_aside()?;
        let fs = &*self.shared.fs;
        let path = segment_path(&self.shared.dir, self.next);
        let header = SegmentHeader {
            purpose: Purpose::Log,
            id: self.next,
            prev: self.last,
            base: self.shared.appended(),
            synced: self.shared.synced(),
        };
        check_base(&path, &header)?;
        let (file, first) = match self.shared.next.take(self.next) {
            Some(Made { file, view, .. }) => (file, view),
            None => {
                let created = fs.create(&path).at(&path);
                if created.as_ref().is_err_and(Fault::is_full_disk) {
                    // Should the file be there all the same, it would be in the way of the next try.
                    let _ = fs.remove(&path);
                }
                (created?, None)
            }
        };
        let ahead = Arc::clone(&self.shared.ahead);
        let room = match first {
            Some(first) => Room::begun(&self.options, ahead, first),
            None => Room::new(&self.options, ahead),
        };
        let writer = SegmentWriter::begin(file, &path, header).with(room);
        self.shared.created(self.next, &path, writer.file());
        self.shared.next.allow(SegmentId(self.next.0 + 1));
        Ok(self.current.insert(writer))
    }

    /// Takes the segments that replay found outside the log out of its way, durably: were they still
    /// there when a crash takes the next segment, they could pass for the end of the log again. Not so one in which there is nothing,
    /// as a file that was made ahead is after a crash.
    fn set_aside(&mut self) -> Result<(), Fault> {
        while let Some(at) = self.abandoned.iter().position(|segment| segment.tail == Tail::Clean) {
            let Abandoned { id, path, tail } = &self.abandoned[at];
            give_up(&self.shared, *id, path, *tail)?;
            self.abandoned.swap_remove(at);
        }
        while let Some(segment) = self.abandoned.last() {
            give_up(&self.shared, segment.id, &segment.path, segment.tail)?;
            if self.abandoned.len() == 1 {
                let dir = &self.shared.dir;
                let synced = self.shared.fs.sync_dir(dir).map_err(|source| sync_fault(dir, source));
                synced.map_err(|fault| self.shared.poison(fault))?;
            }
            self.abandoned.pop();
        }
        Ok(())
    }

    /// Takes the segments before `keep` out of the log, and leaves their files to be removed.
    fn discard(&mut self, keep: SegmentId) -> Result<Removal, Fault> {
        self.set_aside()?;
        let mut given_up = mem::take(&mut *self.shared.unremoved());
        let left_over = self.left_over.partition_point(|id| *id < keep);
        given_up.extend(self.left_over.drain(..left_over).map(|id| GivenUp { id, tail: None }));
        self.shared.forget_before(keep);
        self.ended.take_if(|ended| ended.id() < keep);
        let discarded = self.segments.partition_point(|segment| segment.id < keep);
        let discarded = self.segments.drain(..discarded);
        given_up.extend(discarded.map(|segment| GivenUp { id: segment.id, tail: Some(segment.tail) }));
        let shared = Arc::clone(&self.shared);
        Ok(Removal::new(move || remove(&shared, given_up)))
    }

    fn end_with_trailer(&mut self) -> Result<(), Fault> {
        if let Some(current) = &mut self.current {
            current.heal()?;
        }
        self.shared.sync()?;
        let current = self.current.as_mut().filter(|current| !current.is_empty());
        let Some(writer) = current.or(self.ended.as_mut()) else { return Ok(()) };
        writer.trailer()?;
        self.shared.written(writer.id(), writer.path(), writer.file());
        self.shared.advance(writer.position());
        if let Some(ended) = self.segments.iter_mut().find(|segment| segment.id == writer.id()) {
            ended.size_bytes = writer.end_offset();
        }
        self.shared.sync()
    }
}

impl Log for SegmentedLog {
    type Handle = SegmentHandle;

    /// # Panics
    ///
    /// If it has been called before.
    fn replay(
        &mut self,
        from: SegmentId,
        visit: &mut dyn FnMut(SegmentId, &[u8]) -> Result<(), Fault>,
    ) -> Result<Replay, Fault> {
        assert_eq!(self.phase, Phase::Opened, "a log is replayed once");
        self.phase = Phase::Replayed;
        let shared = &self.shared;
        if from > NUMBER_MAX {
            let what = format!("the log is to be read from segment {from}, which no log comes to");
            return Err(shared.poison(Fault::corrupt(&shared.dir, 0, what)));
        }
        let log = replay(&*shared.fs, &shared.dir, &self.listing, from, visit)
            .map_err(|fault| shared.poison(fault))?;
        let unsynced = log.segments.iter().filter(|segment| segment.end > log.synced);
        shared.recovered(log.end, log.synced, unsynced.map(|segment| (segment.id, segment.path.clone())));
        self.next = self.listing.next.max(from);
        self.last = log.last;
        self.segments = log.segments;
        self.abandoned = log.abandoned;
        let ids = self.listing.segments.iter().map(|&(id, _)| id);
        self.left_over = ids.take_while(|&id| id < from).collect();
        Ok(log.replay)
    }

    /// # Panics
    ///
    /// If the log has not been replayed.
    fn append_then(&mut self, records: &[&[u8]], next: Next) -> Result<(), Fault> {
        self.check()?;
        check_sizes(&self.shared.dir, records)?;
        if records.is_empty() {
            return Ok(());
        }
        let appended = self.append_group(records, next);
        self.settle(appended)
    }

    fn handle(&self) -> SegmentHandle {
        SegmentHandle::new(Arc::clone(&self.shared))
    }

    fn position(&self) -> u64 {
        self.shared.appended()
    }

    fn segment(&self) -> SegmentId {
        self.current.as_ref().map_or(self.next, SegmentWriter::id)
    }

    /// Waits for the disk in one case: where an append has failed and what it left behind could not be
    /// taken away yet.
    ///
    /// # Panics
    ///
    /// If the log has not been replayed.
    fn rotate(&mut self) -> Result<SegmentId, Fault> {
        self.check()?;
        let Some(mut writer) = self.current.take_if(|current| !current.is_empty()) else {
            return Ok(self.segment());
        };
        let healed = writer.heal();
        if healed.is_err() {
            self.current = Some(writer);
            return self.settle(healed).map(|()| self.segment());
        }
        writer.rest();
        self.segments.push(Kept {
            id: writer.id(),
            path: writer.path().to_path_buf(),
            end: writer.position(),
            size_bytes: writer.end_offset(),
            tail: Tail::Clean,
        });
        self.last = Some(SegmentLink { id: writer.id(), base: writer.header().base });
        self.next = SegmentId(writer.id().0 + 1);
        self.ended = Some(writer);
        Ok(self.next)
    }

    /// Never gives up the current segment, whatever `keep` says. Works also after a fault that ended
    /// the log, and after [`close`](Log::close).
    ///
    /// # Panics
    ///
    /// If the log has not been replayed.
    fn discard_before(&mut self, keep: SegmentId) -> Result<Removal, Fault> {
        assert_ne!(self.phase, Phase::Opened, "a log is replayed before anything else");
        self.discard(keep.min(self.segment()))
    }

    fn wants_preparing(&self) -> bool {
        self.shared.ahead.is_wanted()
    }

    fn size_bytes(&self) -> u64 {
        if self.phase == Phase::Opened {
            return self.listing.segments.iter().map(|&(_, size_bytes)| size_bytes).sum();
        }
        let current = self.current.as_ref().filter(|current| !current.is_empty());
        let ended: u64 = self.segments.iter().map(|segment| segment.size_bytes).sum();
        ended + current.map_or(0, SegmentWriter::end_offset)
    }

    fn close(&mut self) -> Result<(), Fault> {
        if self.phase == Phase::Closed {
            return Ok(());
        }
        self.shared.check()?;
        self.shared.next.give_up(&*self.shared.fs);
        let ended = self.end_with_trailer();
        self.settle(ended)?;
        self.phase = Phase::Closed;
        if let Some(current) = &mut self.current {
            current.rest();
            // Its first append has failed; nothing is in it.
            if current.is_empty() {
                let _ = self.shared.fs.remove(current.path());
            }
        }
        self.shared.ahead.take_down();
        Ok(())
    }
}

/// Removes the files of segments that are no longer of the log. What can't be removed is left to the next discard.
fn remove(shared: &Shared, mut given_up: Vec<GivenUp>) -> Result<(), Fault> {
    // A window onto a file keeps its blocks.
    shared.ahead.take_down();
    given_up.reverse();
    while let Some(segment) = given_up.last() {
        let path = segment_path(&shared.dir, segment.id);
        let tail = segment.tail.map_or_else(|| tail_of(&*shared.fs, &path, segment.id), Ok);
        let removed = match tail {
            Err(fault) if fault.is_not_found() => Ok(()),
            tail => tail.and_then(|tail| give_up(shared, segment.id, &path, tail)),
        };
        if removed.is_err() {
            shared.unremoved().extend(given_up.into_iter().rev());
            return removed;
        }
        given_up.pop();
    }
    Ok(())
}

/// Removes a segment's file, or renames it where it holds what must not be destroyed. One that is gone
/// already is fine.
fn give_up(shared: &Shared, id: SegmentId, path: &Path, tail: Tail) -> Result<(), Fault> {
    let given_up = match tail {
        Tail::Clean => shared.fs.remove(path).at(path),
        Tail::Doubtful => {
            let torn: PathBuf = torn_path(&shared.dir, id);
            shared.fs.rename(path, &torn).at(path)
        }
    };
    match given_up {
        Err(fault) if fault.is_not_found() => Ok(()),
        given_up => given_up,
    }
}
