//! Reads the frames of one segment file.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsmkit_base::{Fault, FaultContext, SegmentId, coding};
use lsmkit_vfs::{File, Fs};

use crate::evidence::{Found, Search};
use crate::frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind};
use crate::segment::{Purpose, SEGMENT_HEADER_BYTES, SegmentHeader};

/// Reads the records of one segment file in order, in bounded memory: a window of 1 MiB, or the
/// longest record where that is longer.
#[derive(Debug)]
pub struct SegmentReader {
    file: Arc<dyn File>,
    path: PathBuf,
    id: SegmentId,
    size_bytes: u64,
    header: Option<SegmentHeader>,
    /// Where the next frame begins.
    offset: u64,
    /// Where the next segment of the log says that this one ends, if it is known.
    until: Option<u64>,
    synced: u64,
    last: Option<FrameKind>,
    end: SegmentEnd,
    ignored_bytes: u64,
    fault: Option<Fault>,
    window: Window,
}

/// How the frames of a segment end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentEnd {
    /// Not known yet: there may be more records.
    Open,
    /// After a whole frame, or before the first, with nothing behind but zeros.
    Whole,
    /// After a trailer, with nothing behind but zeros: the log was closed, and everything was durable.
    Trailer,
    /// At bytes that are no whole frame, and that nothing in the file proves to have been durable.
    Torn {
        /// How many, not counting the zeros at the end of the file.
        size_bytes: u64,
    },
}

impl SegmentReader {
    /// Opens segment `id` for reading.
    ///
    /// # Errors
    ///
    /// [I/O](lsmkit_base::FaultKind::Io); [unsupported](Fault::is_unsupported) for a newer version of the format; [corrupt](Fault::is_corrupt) where the
    /// header is that of another kind of file, or where it is not whole though a frame in the file proves that it was
    /// durable once. A header that is not whole without such proof is what a crash leaves, and is no error.
    pub fn open(fs: &dyn Fs, path: &Path, purpose: Purpose, id: SegmentId) -> Result<SegmentReader, Fault> {
        let file = fs.open(path).at(path)?;
        let size_bytes = file.size_bytes().at(path)?;
        let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
        let read = file.read_at(&mut bytes, 0).at(path)?;
        let header = SegmentHeader::decode(&bytes[..read], path, purpose, id)?;
        let mut reader = SegmentReader {
            file,
            path: path.to_path_buf(),
            id,
            size_bytes,
            header,
            offset: SEGMENT_HEADER_BYTES,
            until: None,
            synced: header.map_or(0, |header| header.synced),
            last: None,
            end: SegmentEnd::Open,
            ignored_bytes: 0,
            fault: None,
            window: Window::default(),
        };
        if header.is_none() {
            reader.judge_headless()?;
        }
        Ok(reader)
    }

    /// Reads no further than `position` of the log, where the next segment begins; short of it the
    /// segment counts as torn.
    pub(crate) fn until(mut self, position: u64) -> SegmentReader {
        let base = self.header.map_or(0, |header| header.base);
        self.until = Some(position.saturating_sub(base).saturating_add(SEGMENT_HEADER_BYTES));
        self
    }

    /// The header; `None` where it is not whole, and then there are no records.
    pub fn header(&self) -> Option<&SegmentHeader> {
        self.header.as_ref()
    }

    /// The next record; `None` at the [`end`](SegmentReader::end).
    ///
    /// # Errors
    ///
    /// [I/O](lsmkit_base::FaultKind::Io); [corrupt](Fault::is_corrupt) where a frame is not whole and a later frame proves that it was durable once.
    /// Every further call repeats the fault.
    #[allow(clippy::should_implement_trait, reason = "the records are lent, which an Iterator can't do")]
    pub fn next(&mut self) -> Result<Option<&[u8]>, Fault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        match self.advance() {
            Ok(payload) => Ok(payload.map(|payload| &self.window.bytes[payload])),
            Err(fault) => {
                self.fault = Some(fault.clone());
                Err(fault)
            }
        }
    }

    /// How the records end; [`SegmentEnd::Open`] until [`next`](SegmentReader::next) has answered `None`.
    pub fn end(&self) -> SegmentEnd {
        self.end
    }

    /// The place in the file after the last whole frame so far.
    pub fn end_offset(&self) -> u64 {
        self.offset
    }

    /// The position in the log after the last whole frame so far.
    pub fn position(&self) -> u64 {
        self.position_of(self.offset)
    }

    /// The position up to which the log was durable, as far as the frames so far tell.
    pub fn synced(&self) -> u64 {
        self.synced
    }

    /// How many bytes, not counting zeros at the end of the file, stand behind the place where the next
    /// segment says that this one ends: a tail found torn before.
    pub(crate) fn ignored_bytes(&self) -> u64 {
        self.ignored_bytes
    }

    fn advance(&mut self) -> Result<Option<Range<usize>>, Fault> {
        while self.end == SegmentEnd::Open {
            let Some((header, payload)) = self.whole_frame()? else {
                self.judge()?;
                break;
            };
            if let Some(synced) = header.synced(self.position()) {
                self.synced = self.synced.max(synced);
            }
            self.offset += header.frame_bytes();
            self.last = Some(header.kind);
            if header.kind == FrameKind::Record {
                return Ok(Some(payload));
            }
        }
        Ok(None)
    }

    /// The frame at `offset` with the place of its payload in the window, if it is whole.
    fn whole_frame(&mut self) -> Result<Option<(FrameHeader, Range<usize>)>, Fault> {
        let left = self.limit().saturating_sub(self.offset);
        if left < FRAME_HEADER_BYTES as u64 {
            return Ok(None);
        }
        let Some(place) = self.bytes(FRAME_HEADER_BYTES)? else { return Ok(None) };
        let Some(header) = FrameHeader::decode(&self.window.bytes[place], self.id, self.offset) else {
            return Ok(None);
        };
        // The length is trusted only now, and asks for no more memory than the file has bytes.
        if header.frame_bytes() > left {
            return Ok(None);
        }
        let Some(place) = self.bytes(header.frame_bytes() as usize)? else { return Ok(None) };
        let payload = place.start + FRAME_HEADER_BYTES..place.end;
        let whole = coding::checksum(&self.window.bytes[payload.clone()]) == header.payload_checksum;
        Ok(whole.then_some((header, payload)))
    }

    fn bytes(&mut self, len: usize) -> Result<Option<Range<usize>>, Fault> {
        self.window.place(&*self.file, self.offset, len, self.size_bytes).at(&self.path)
    }

    /// Decides what it means that there is no whole frame at `offset`.
    fn judge(&mut self) -> Result<(), Fault> {
        let found = self.search().witness(self.offset, self.position())?;
        let size_bytes = match found {
            Found::Witness(at) if self.until != Some(self.offset) => {
                let what =
                    format!("a frame that is not whole, though the frame at {at} tells that it was synced");
                return Err(Fault::corrupt(&self.path, self.offset, what));
            }
            // Behind the place where the segment ends nothing is claimed of it.
            Found::Witness(_) => self.size_bytes - self.offset,
            Found::Nothing(size_bytes) => size_bytes,
        };
        let reached = self.until.is_none_or(|until| self.offset >= until);
        self.end = match self.until {
            Some(_) if reached => {
                self.ignored_bytes = size_bytes;
                SegmentEnd::Whole
            }
            Some(_) => SegmentEnd::Torn { size_bytes },
            None if size_bytes > 0 => SegmentEnd::Torn { size_bytes },
            None => SegmentEnd::Whole,
        };
        if self.end == SegmentEnd::Whole && self.last == Some(FrameKind::Trailer) {
            self.end = SegmentEnd::Trailer;
        }
        Ok(())
    }

    /// Decides what it means that the header is not whole. Where the segment begins in the log is then
    /// unknown, but not how far before each frame the log was durable: if that is past the header, the
    /// header was durable too.
    fn judge_headless(&mut self) -> Result<(), Fault> {
        self.offset = 0;
        // Any base serves to compare places within the file.
        let base = 0;
        let search = Search { base, ..self.search() };
        if let Found::Witness(at) = search.witness(SEGMENT_HEADER_BYTES, base)? {
            let what = format!(
                "a segment header that is not whole, though the frame at {at} tells that it was synced"
            );
            return Err(Fault::corrupt(&self.path, 0, what));
        }
        self.end = match search.witness(0, u64::MAX)? {
            Found::Nothing(0) => SegmentEnd::Whole,
            Found::Nothing(size_bytes) => SegmentEnd::Torn { size_bytes },
            Found::Witness(_) => unreachable!("because no position is past the last"),
        };
        Ok(())
    }

    fn search(&self) -> Search<'_> {
        Search {
            file: &*self.file,
            path: &self.path,
            id: self.id,
            base: self.header.map_or(0, |header| header.base),
            size_bytes: self.size_bytes,
        }
    }

    /// Where reading ends at the latest.
    fn limit(&self) -> u64 {
        self.until.map_or(self.size_bytes, |until| until.min(self.size_bytes))
    }

    fn position_of(&self, offset: u64) -> u64 {
        let base = self.header.map_or(0, |header| header.base);
        base.saturating_add(offset.saturating_sub(SEGMENT_HEADER_BYTES))
    }
}

/// The part of a file that is in memory.
#[derive(Debug, Default)]
struct Window {
    bytes: Vec<u8>,
    /// Where in the file it begins.
    start: u64,
    /// How many of `bytes` are of the file.
    len: usize,
}

const WINDOW_BYTES: usize = 1 << 20;

impl Window {
    /// Where in `bytes` the `len` bytes of the file from `offset` on are; `None` where it ends before.
    fn place(
        &mut self,
        file: &dyn File,
        offset: u64,
        len: usize,
        size_bytes: u64,
    ) -> std::io::Result<Option<Range<usize>>> {
        let inside = offset >= self.start && offset + len as u64 <= self.start + self.len as u64;
        if !inside {
            let left = usize::try_from(size_bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
            let want = len.max(WINDOW_BYTES).min(left);
            if self.bytes.len() < want {
                self.bytes.resize(want, 0);
            } else if want <= WINDOW_BYTES && self.bytes.len() > WINDOW_BYTES {
                self.bytes.truncate(WINDOW_BYTES);
                self.bytes.shrink_to(WINDOW_BYTES);
            }
            self.start = offset;
            self.len = 0;
            self.len = file.read_at(&mut self.bytes[..want], offset)?;
        }
        let from = (offset - self.start) as usize;
        Ok((from + len <= self.len).then_some(from..from + len))
    }
}
