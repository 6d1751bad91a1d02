//! Appends frames to one segment file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsmkit_base::{Fault, FaultContext, SegmentId};
use lsmkit_vfs::{File, Fs};

use crate::frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind, MAX_RECORD_BYTES};
use crate::log::Next;
use crate::names::NUMBER_MAX;
use crate::options::LogOptions;
use crate::room::Room;
use crate::segment::{POSITION_MAX, SEGMENT_HEADER_BYTES, SegmentHeader};

/// Appends frames to one segment file.
///
/// Nothing is synced here but by the repair below: sync [`file`](SegmentWriter::file), then the directory.
///
/// # After a failed append
///
/// Whatever the failed write left in the file must never be read as records: it might follow those
/// of a later, shorter append as if it belonged there. It is therefore overwritten with zeros, which
/// are synced; if that fails, it is tried again before the next append.
#[derive(Debug)]
pub struct SegmentWriter {
    file: Arc<dyn File>,
    path: PathBuf,
    header: SegmentHeader,
    start: Start,
    /// Where the last whole frame ends.
    end_offset: u64,
    wound: Option<Wound>,
    room: Room,
    buffer: Vec<u8>,
}

/// Whether the segment's own header is in the file yet. It goes there together with the first frames,
/// in one write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Start {
    Pending,
    Written,
}

/// What a failed append may have left behind.
#[derive(Clone, Debug)]
struct Wound {
    /// Up to where it may have written.
    to: u64,
    /// Why the repair could not be made durable, which no second try can change.
    sync_fault: Option<Fault>,
}

/// Payloads from this size on are written from where they are rather than copied.
const COPY_BYTES_MAX: usize = 64 << 10;
/// What lies between the two frames of a trailer: a block of a file system or device.
const TRAILER_PADDING_BYTES: usize = 4096;
/// Gathered bytes are written when they pass this size, which bounds the memory of a large group.
const BUFFER_BYTES: usize = 1 << 20;

impl SegmentWriter {
    /// Creates the file of a segment. Its header is written together with the first frames, its name
    /// is durable once the directory is synced.
    ///
    /// # Errors
    ///
    /// [I/O](lsmkit_base::FaultKind::Io), also where the file is there already; [unsupported](Fault::is_unsupported) where `base` is greater than 2^62,
    /// which no log reaches.
    pub fn create(fs: &dyn Fs, path: &Path, header: SegmentHeader) -> Result<SegmentWriter, Fault> {
        check_base(path, &header)?;
        let file = fs.create(path).at(path)?;
        Ok(SegmentWriter::begin(file, path, header))
    }

    /// Begins a segment in a file that holds nothing yet.
    pub(crate) fn begin(file: Arc<dyn File>, path: &Path, header: SegmentHeader) -> SegmentWriter {
        SegmentWriter::new(file, path, header, Start::Pending, SEGMENT_HEADER_BYTES)
    }

    /// Goes on after `end_offset` in a file that a [`SegmentReader`](crate::SegmentReader) read to its end.
    ///
    /// Only where that end was [`Whole`](crate::SegmentEnd::Whole) or a
    /// [`Trailer`](crate::SegmentEnd::Trailer): behind a torn end there may be frames that would
    /// follow those written now as if they belonged there.
    ///
    /// # Errors
    ///
    /// [I/O](lsmkit_base::FaultKind::Io).
    pub fn resume(
        fs: &dyn Fs,
        path: &Path,
        header: SegmentHeader,
        end_offset: u64,
    ) -> Result<SegmentWriter, Fault> {
        let file = fs.open_write(path).at(path)?;
        Ok(SegmentWriter::new(file, path, header, Start::Written, end_offset))
    }

    /// Gives up the window: nothing more is appended for now.
    pub(crate) fn rest(&mut self) {
        self.room.rest(self.end_offset);
    }

    /// With other room than that of the default settings; before the first append.
    pub(crate) fn with(mut self, room: Room) -> SegmentWriter {
        self.room = room;
        self
    }

    fn new(
        file: Arc<dyn File>,
        path: &Path,
        header: SegmentHeader,
        start: Start,
        end_offset: u64,
    ) -> SegmentWriter {
        let path = path.to_path_buf();
        SegmentWriter {
            file,
            path,
            header,
            start,
            end_offset,
            wound: None,
            room: Room::new(&LogOptions::default(), Arc::default()),
            buffer: Vec::new(),
        }
    }

    /// Appends a group of records. `synced` is the position up to which the log is known to be durable.
    ///
    /// Groups of up to 1 MiB are one write; records of 64 KiB and more are written from where they are.
    ///
    /// # Errors
    ///
    /// [I/O](lsmkit_base::FaultKind::Io): none of the group counts as appended, and the next append takes its place; of
    /// kind `InvalidInput`, before anything is written, where a record is longer than [`MAX_RECORD_BYTES`].
    pub fn append(&mut self, records: &[&[u8]], synced: u64) -> Result<(), Fault> {
        self.append_then(records, synced, Next::Append)
    }

    /// Appends a group of records, as [`append`](SegmentWriter::append) does, in the way that suits what comes next.
    ///
    /// # Errors
    ///
    /// As of that.
    pub fn append_then(&mut self, records: &[&[u8]], synced: u64, next: Next) -> Result<(), Fault> {
        check_sizes(&self.path, records)?;
        self.frames(FrameKind::Record, records, synced, next)
    }

    /// Appends frames that say that everything before them is durable, which the caller has seen to.
    ///
    /// They take a little over 4 KiB: the second lies so far behind the records that no damage to a
    /// single block can hide both.
    ///
    /// # Errors
    ///
    /// [I/O](lsmkit_base::FaultKind::Io), as of [`append`](SegmentWriter::append).
    pub fn trailer(&mut self) -> Result<(), Fault> {
        let payloads: [&[u8]; 2] = [&[0; TRAILER_PADDING_BYTES], &[]];
        self.frames(FrameKind::Trailer, &payloads, self.position(), Next::Sync)
    }

    /// The position in the log after the last frame.
    pub fn position(&self) -> u64 {
        self.position_of(self.end_offset)
    }

    /// The place in the file after the last frame.
    pub fn end_offset(&self) -> u64 {
        self.end_offset
    }

    /// The file, to be synced.
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The segment's header.
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// The segment's number.
    pub fn id(&self) -> SegmentId {
        self.header.id
    }

    /// Whether no frame has been written yet.
    pub fn is_empty(&self) -> bool {
        self.end_offset == SEGMENT_HEADER_BYTES
    }

    /// Takes away for good what a failed append left behind, if it left anything.
    ///
    /// # Errors
    ///
    /// [I/O](lsmkit_base::FaultKind::Io); not one of a full disk where a sync failed, which must not be tried again.
    pub fn heal(&mut self) -> Result<(), Fault> {
        let Some(wound) = &mut self.wound else { return Ok(()) };
        if let Some(fault) = &wound.sync_fault {
            return Err(fault.clone());
        }
        let to = wound.to;
        self.zero(to)?;
        let synced = self.file.sync().map_err(|source| sync_fault(&self.path, source));
        self.wound = synced.as_ref().err().map(|fault| Wound { to, sync_fault: Some(fault.clone()) });
        synced
    }

    fn frames(&mut self, kind: FrameKind, payloads: &[&[u8]], synced: u64, next: Next) -> Result<(), Fault> {
        self.heal()?;
        let group_bytes: u64 =
            payloads.iter().map(|payload| (FRAME_HEADER_BYTES + payload.len()) as u64).sum();
        let end = self.end_offset + group_bytes;
        if let Err(fault) = self.write(kind, payloads, synced, next) {
            self.wound = Some(Wound { to: end, sync_fault: None });
            // Where it can't be healed now, the next append begins with another try and its fault.
            let _ = self.heal();
            return Err(fault);
        }
        self.end_offset = end;
        self.start = Start::Written;
        self.room.note_written(end);
        Ok(())
    }

    fn write(&mut self, kind: FrameKind, payloads: &[&[u8]], synced: u64, next: Next) -> Result<(), Fault> {
        self.buffer.clear();
        let mut buffer_offset = self.write_offset();
        if self.start == Start::Pending {
            self.buffer.extend_from_slice(&self.header.encode());
        }
        let mut offset = self.end_offset;
        for payload in payloads {
            let header = FrameHeader::new(kind, payload, self.position_of(offset), synced);
            self.buffer.extend_from_slice(&header.encode(self.header.id, offset));
            offset += header.frame_bytes();
            let copied = payload.len() < COPY_BYTES_MAX;
            if copied {
                self.buffer.extend_from_slice(payload);
            }
            if !copied || self.buffer.len() >= BUFFER_BYTES {
                self.file.write_at(&self.buffer, buffer_offset).at(&self.path)?;
                self.buffer.clear();
                if !copied {
                    self.file.write_at(payload, offset - payload.len() as u64).at(&self.path)?;
                }
                buffer_offset = offset;
            }
        }
        if !self.buffer.is_empty() {
            self.room.write(&self.file, &self.buffer, buffer_offset, next).at(&self.path)?;
        }
        Ok(())
    }

    /// Overwrites what is in the file from the end of the last whole frame up to `to`. What is not in
    /// the file takes up no room, and none is asked for.
    fn zero(&self, to: u64) -> Result<(), Fault> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        let to = to.min(self.file.size_bytes().at(&self.path)?);
        let mut offset = self.write_offset();
        while offset < to {
            let part = (to - offset).min(ZEROS.len() as u64);
            self.file.write_at(&ZEROS[..part as usize], offset).at(&self.path)?;
            offset += part;
        }
        Ok(())
    }

    /// Where the next write begins.
    fn write_offset(&self) -> u64 {
        match self.start {
            Start::Pending => 0,
            Start::Written => self.end_offset,
        }
    }

    fn position_of(&self, offset: u64) -> u64 {
        self.header.base + (offset - SEGMENT_HEADER_BYTES)
    }
}

/// Refuses a segment that begins where no log comes to.
pub(crate) fn check_base(path: &Path, header: &SegmentHeader) -> Result<(), Fault> {
    if header.base > POSITION_MAX {
        Err(Fault::unsupported(path, "a log of more than 2^62 bytes"))
    } else if header.id > NUMBER_MAX {
        Err(Fault::unsupported(path, "a log of more than 2^62 segments"))
    } else {
        Ok(())
    }
}

/// Refuses records that no frame can hold.
pub(crate) fn check_sizes(path: &Path, records: &[&[u8]]) -> Result<(), Fault> {
    match records.iter().find(|record| record.len() > MAX_RECORD_BYTES) {
        None => Ok(()),
        Some(record) => {
            let what = format!("a record of {} bytes, of {MAX_RECORD_BYTES} at most", record.len());
            Err(Fault::io(path, io::Error::new(io::ErrorKind::InvalidInput, what)))
        }
    }
}

/// A sync of `path` that failed. Even for want of room it does not pass by itself: the kernel may have
/// dropped what it could not write.
pub(crate) fn sync_fault(path: &Path, source: io::Error) -> Fault {
    let fault = Fault::io(path, source);
    if fault.is_full_disk() { Fault::io(path, io::Error::other(fault)) } else { fault }
}
