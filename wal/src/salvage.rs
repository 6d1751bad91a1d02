//! Reads what can be read of a log that [`replay`](crate::Log::replay) refuses. Writes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lsmkit_base::{Fault, FaultContext, SegmentId};
use lsmkit_vfs::Fs;

use crate::frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind};
use crate::names::{Listing, segment_path, torn_path};
use crate::replay::Visit;
use crate::segment::{Purpose, SEGMENT_HEADER_BYTES, SegmentHeader, SegmentLink};

/// What [`salvage`] found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Salvaged {
    /// How many records were shown.
    pub records: u64,
    /// What could not be read, in the order of the log.
    pub holes: Vec<LogHole>,
    /// The number of a segment that comes after all that are there.
    pub next: SegmentId,
}

/// Bytes of a log that are no whole frame, or that are not there.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LogHole {
    /// The segment.
    pub segment: SegmentId,
    /// Its file.
    pub path: PathBuf,
    /// Where in it, in bytes from its start.
    pub offset: u64,
    /// How many bytes, where that is known.
    pub size_bytes: Option<u64>,
    /// Whether there is more of the log behind it. Where there is not, it may be what a crash has left of records that nobody
    /// was promised.
    pub has_more_behind: bool,
    /// Whether the whole segment is gone.
    pub is_missing: bool,
    /// What is wrong.
    pub what: String,
}

/// Shows the whole records of the log in `dir` from segment `from` on, or else from the first that is there, in order, passing over what is damaged; with the
/// segment that each is in.
///
/// For repairs: after a hole the records are no longer what a store acknowledged one after the other, and only whoever reads them
/// can tell whether one is missing. Segments that the headers of later ones leave out, and what stands behind the place where a
/// segment ends as its successor tells, are of no log and not shown. Holds one segment at a time in memory, as long as its file
/// is. Blocks on the disk.
///
/// # Errors
///
/// Those of `visit`; [unsupported](Fault::is_unsupported) for a newer version of the format; [I/O](lsmkit_base::FaultKind::Io) that is no
/// [damage](Fault::is_damage); [corrupt](Fault::is_corrupt) where something else than a file has the name of a segment.
pub fn salvage(
    fs: &dyn Fs,
    dir: &Path,
    from: Option<SegmentId>,
    visit: Visit<'_>,
) -> Result<Salvaged, Fault> {
    let listing = Listing::read(fs, dir)?;
    let first = listing.segments.first().map_or(SegmentId::default(), |&(id, _)| id);
    let from = from.unwrap_or(first);
    let mut found = Salvaged { next: listing.next.max(from), ..Salvaged::default() };
    let mut segments = BTreeMap::new();
    for &(id, _) in listing.segments.iter().filter(|(id, _)| *id >= from) {
        let path = segment_path(dir, id);
        segments.insert(id, Segment { header: header(fs, &path, id)?, path, until: None });
    }
    leave_out_abandoned(&mut segments, dir, from);
    let last = segments.last_key_value().map(|(id, _)| *id);
    for (id, segment) in &segments {
        let holes = found.holes.len();
        segment.show(fs, *id, visit, &mut found)?;
        for hole in &mut found.holes[holes..] {
            hole.has_more_behind |= last != Some(*id);
        }
    }
    Ok(found)
}

/// Copies a segment to `NNNNNN.log.torn`, durably, so that what could not be read of it outlives the log. Returns the copy's name;
/// `None` where there is no such segment. Where there is a copy already, it stays as it is.
pub fn set_segment_aside(fs: &dyn Fs, dir: &Path, segment: SegmentId) -> Result<Option<PathBuf>, Fault> {
    let (path, aside) = (segment_path(dir, segment), torn_path(dir, segment));
    let content = match Content::read(fs, &path) {
        Err(fault) if fault.is_not_found() => return Ok(None),
        content => content?,
    };
    if fs.open(&aside).is_ok() {
        return Ok(Some(aside));
    }
    // Under another name first: half a copy would pass for one.
    let half = aside.with_extension("torn-half");
    let _ = fs.remove(&half);
    let copy = fs.create(&half).at(&half)?;
    copy.write_at(&content.bytes, 0).and_then(|()| copy.sync()).at(&half)?;
    fs.rename(&half, &aside).at(&half)?;
    fs.sync_dir(dir).at(dir)?;
    Ok(Some(aside))
}

/// A segment of the log, as far as its header and those of others tell.
struct Segment {
    path: PathBuf,
    header: Result<Option<SegmentHeader>, Fault>,
    /// Where in the file it ends, if the next one tells.
    until: Option<u64>,
}

/// The header, or what is wrong with it; an error where the reason is no damage.
fn header(fs: &dyn Fs, path: &Path, id: SegmentId) -> Result<Result<Option<SegmentHeader>, Fault>, Fault> {
    let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
    let read = fs.open(path).and_then(|file| file.read_at(&mut bytes, 0)).at(path);
    match read.and_then(|read| SegmentHeader::decode(&bytes[..read], path, Purpose::Log, id)) {
        Err(fault) if !fault.is_damage() => Err(fault),
        header => Ok(header),
    }
}

/// Follows the links back from the newest segment: what lies between a segment and the one before it in the log was
/// abandoned. Adds those that are not there.
fn leave_out_abandoned(segments: &mut BTreeMap<SegmentId, Segment>, dir: &Path, from: SegmentId) {
    let mut above = SegmentId(u64::MAX);
    while let Some((&id, segment)) = segments.range(..above).next_back() {
        above = id;
        let Ok(Some(SegmentHeader { prev: Some(link), base, .. })) = segment.header else { continue };
        segments.retain(|other, _| *other <= link.id || *other >= id);
        if link.id < from {
            continue;
        }
        let before = segments.entry(link.id).or_insert_with(|| Segment::gone(dir, link));
        let agrees = !matches!(before.header, Ok(Some(header)) if header.base != link.base);
        before.until = agrees.then(|| (base - link.base).saturating_add(SEGMENT_HEADER_BYTES));
    }
}

impl Segment {
    fn gone(dir: &Path, link: SegmentLink) -> Segment {
        let path = segment_path(dir, link.id);
        let fault = Fault::corrupt(&path, 0, "a segment that is not there, though the next one names it");
        Segment { path, header: Err(fault), until: None }
    }

    fn show(&self, fs: &dyn Fs, id: SegmentId, visit: Visit<'_>, found: &mut Salvaged) -> Result<(), Fault> {
        let hole = |offset: u64, end: u64, has_more_behind: bool, what: &str| LogHole {
            segment: id,
            path: self.path.clone(),
            offset,
            size_bytes: Some(end.saturating_sub(offset)),
            has_more_behind,
            is_missing: false,
            what: what.to_owned(),
        };
        let Content { bytes, unread_until } = match Content::read(fs, &self.path) {
            Ok(content) => content,
            Err(fault) if !fault.is_damage() => return Err(fault),
            Err(fault) => {
                let is_missing = fault.is_not_found();
                let what = match &self.header {
                    Err(header) if is_missing => header.to_string(),
                    _ => fault.to_string(),
                };
                let size_bytes = self.until.map(|until| until - SEGMENT_HEADER_BYTES);
                found.holes.push(LogHole { size_bytes, is_missing, ..hole(0, 0, false, &what) });
                return Ok(());
            }
        };
        let filled = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
        // What can't be read may have been anything.
        let filled = filled.max(unread_until);
        if filled == 0 && self.until.is_none() {
            // Room for a segment that was never begun.
            return Ok(());
        }
        match &self.header {
            Ok(Some(_)) => {}
            Ok(None) => {
                found.holes.push(hole(
                    0,
                    SEGMENT_HEADER_BYTES,
                    filled > SEGMENT_HEADER_BYTES,
                    "a segment header that is not whole",
                ));
            }
            Err(fault) => found.holes.push(hole(0, SEGMENT_HEADER_BYTES, true, &fault.to_string())),
        }
        let end = self.until.unwrap_or(bytes.len() as u64).min(bytes.len() as u64);
        let frames = Frames { id, bytes: &bytes[..end as usize] };
        let mut offset = SEGMENT_HEADER_BYTES;
        let mut hole_from = None;
        while offset < end {
            let Some(header) = frames.header(offset) else {
                hole_from.get_or_insert(offset);
                offset += 1;
                continue;
            };
            let behind = offset + header.frame_bytes();
            let Some(payload) = frames.payload(offset, &header) else {
                hole_from.get_or_insert(offset);
                // Its length has been checked; within the payload there is no frame.
                offset = if behind <= end { behind } else { offset + 1 };
                continue;
            };
            if let Some(from) = hole_from.take() {
                found.holes.push(hole(from, offset, true, "no whole frame"));
            }
            if header.kind == FrameKind::Record {
                visit(id, payload)?;
                found.records += 1;
            }
            offset = behind;
        }
        let missing = self.until.filter(|until| *until > end);
        match (hole_from, missing) {
            (Some(from), Some(until)) => {
                found.holes.push(hole(from, until, false, "no whole frame, and then the file ends"))
            }
            (None, Some(until)) => {
                found.holes.push(hole(end, until, false, "the file ends before the segment does"))
            }
            // Zeros are room for what was never written, unless the next segment tells that something was.
            (Some(from), None) if filled > from || self.until.is_some() => {
                let end = if self.until.is_some() { end } else { filled };
                found.holes.push(hole(from, end, false, "no whole frame"));
            }
            _ => {}
        }
        Ok(())
    }
}

/// The frames of a segment, in memory.
struct Frames<'a> {
    id: SegmentId,
    bytes: &'a [u8],
}

impl<'a> Frames<'a> {
    fn header(&self, offset: u64) -> Option<FrameHeader> {
        FrameHeader::decode(self.bytes.get(offset as usize..)?, self.id, offset)
    }

    fn payload(&self, offset: u64, header: &FrameHeader) -> Option<&'a [u8]> {
        let from = offset as usize + FRAME_HEADER_BYTES;
        let payload = self.bytes.get(from..from.checked_add(header.payload_bytes as usize)?)?;
        (lsmkit_base::coding::checksum(payload) == header.payload_checksum).then_some(payload)
    }
}

/// What a device reads, or fails to read, at once.
const SECTORS_BYTES: usize = 4096;

/// The bytes of a file.
struct Content {
    /// With zeros where the device could not read them.
    bytes: Vec<u8>,
    /// Where the last that could not be read end.
    unread_until: u64,
}

impl Content {
    fn read(fs: &dyn Fs, path: &Path) -> Result<Content, Fault> {
        let file = fs.open(path).at(path)?;
        let size_bytes =
            usize::try_from(file.size_bytes().at(path)?).map_err(std::io::Error::other).at(path)?;
        let mut content = Content { bytes: vec![0; size_bytes], unread_until: 0 };
        match file.read_exact_at(&mut content.bytes, 0).at(path) {
            Ok(()) => return Ok(content),
            Err(fault) if !fault.is_damage() => return Err(fault),
            Err(_) => {}
        }
        for (at, sectors) in content.bytes.chunks_mut(SECTORS_BYTES).enumerate() {
            let offset = (at * SECTORS_BYTES) as u64;
            match file.read_exact_at(sectors, offset).at(path) {
                Ok(()) => {}
                Err(fault) if !fault.is_damage() => return Err(fault),
                Err(_) => {
                    sectors.fill(0);
                    content.unread_until = offset + sectors.len() as u64;
                }
            }
        }
        Ok(content)
    }
}
