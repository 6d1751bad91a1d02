//! Which segments make up the log: the newest, the one before it that it names, and so on.
//!
//! `docs/formats/log.md`, "The chain".

use std::path::{Path, PathBuf};

use lsmkit_base::{Fault, FaultContext, SegmentId};
use lsmkit_vfs::Fs;

use crate::evidence::{Found, Search};
use crate::log::TornTail;
use crate::names::segment_path;
use crate::reader::{SegmentEnd, SegmentReader};
use crate::segment::{Purpose, SEGMENT_HEADER_BYTES, SegmentHeader, SegmentLink};

/// The segments from a floor on, sorted out.
#[derive(Debug)]
pub(crate) struct Chain {
    /// All of them, ascending.
    segments: Vec<Segment>,
    /// Which of them make up the log, by their place in `segments`, oldest first.
    members: Vec<usize>,
    /// Where the log breaks off behind its last member, because the next one is gone.
    gap: Option<Gap>,
}

/// A segment file as its first bytes show it.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) id: SegmentId,
    pub(crate) path: PathBuf,
    /// `None` where it is not whole, and nothing in the file proves that it had been synced.
    pub(crate) header: Option<SegmentHeader>,
    /// How many bytes of a file without a header are more than zeros at its end.
    headless_bytes: u64,
}

/// The place of a segment that is not there, or has no header.
#[derive(Debug)]
struct Gap {
    link: SegmentLink,
    torn: TornTail,
}

impl Chain {
    /// Reads the headers of the segments `ids` and follows them from the newest back to `from`.
    ///
    /// # Errors
    ///
    /// [corrupt](Fault::is_corrupt) where a segment is not there or not right that had been synced.
    pub(crate) fn read(
        fs: &dyn Fs,
        dir: &Path,
        ids: impl Iterator<Item = SegmentId>,
        from: SegmentId,
    ) -> Result<Chain, Fault> {
        let segments = ids.map(|id| Segment::read(fs, dir, id)).collect::<Result<_, Fault>>()?;
        let mut chain = Chain { segments, members: Vec::new(), gap: None };
        let mut below = chain.segments.len();
        // A gap that nothing proves to have been synced is what a crash leaves: the log ends before it,
        // at the newest segment that is older. As files are only ever added behind that, each later
        // recovery comes to the same end.
        while let Some(top) = (0..below).rev().find(|&at| chain.segments[at].header.is_some()) {
            let Some(link) = chain.follow(top, from)? else { break };
            if let Some(witness) = chain.witness_behind(fs, link.id, link.base)? {
                let what = format!("a segment that is not there, though {witness} tells that it was synced");
                return Err(Fault::corrupt(&segment_path(dir, link.id), 0, what));
            }
            below = chain.segments.partition_point(|segment| segment.id < link.id);
            let headless = chain.segments.get(below).filter(|segment| segment.id == link.id);
            let size_bytes = headless.map_or(0, |segment| segment.headless_bytes);
            let torn = TornTail { path: segment_path(dir, link.id), offset: 0, size_bytes };
            chain.gap = Some(Gap { link, torn });
            chain.members.clear();
        }
        Ok(chain)
    }

    /// The segments of the log, oldest first, each with the position at which the next begins.
    pub(crate) fn members(&self) -> impl DoubleEndedIterator<Item = (&Segment, &SegmentHeader, Option<u64>)> {
        self.members.iter().enumerate().map(|(nth, &at)| {
            let segment = &self.segments[at];
            let header = segment.header.as_ref().expect("because members have headers");
            let next = self.members.get(nth + 1).and_then(|&next| self.segments[next].header);
            let until = next.map_or(self.gap.as_ref().map(|gap| gap.link.base), |next| Some(next.base));
            (segment, header, until)
        })
    }

    /// The segments that are not in the log up to `last`, and whether there is anything in them.
    pub(crate) fn others(&self, last: Option<SegmentId>) -> impl Iterator<Item = (&Segment, bool)> {
        let kept = move |at: &usize, id| self.members.contains(at) && last.is_some_and(|last| id <= last);
        let others = self.segments.iter().enumerate().filter(move |(at, segment)| !kept(at, segment.id));
        others.map(|(_, segment)| (segment, segment.header.is_some() || segment.headless_bytes > 0))
    }

    /// Where the log begins if it has no member.
    pub(crate) fn gap_base(&self) -> u64 {
        self.gap.as_ref().map_or(0, |gap| gap.link.base)
    }

    /// What is behind the last member without being of the log, as far as headers tell.
    pub(crate) fn torn(&self) -> Option<TornTail> {
        if let Some(gap) = &self.gap {
            return Some(gap.torn.clone());
        }
        let top = self.members.last().map_or(0, |&at| at + 1);
        let headless = self.segments[top..].iter().find(|segment| segment.headless_bytes > 0)?;
        Some(TornTail { path: headless.path.clone(), offset: 0, size_bytes: headless.headless_bytes })
    }

    /// Which place in a segment newer than `id` proves that the log was durable past `position`.
    ///
    /// This asks all of them, also those that are not in the log: what was durable stays so, and no
    /// recovery ends the log before it.
    pub(crate) fn witness_behind(
        &self,
        fs: &dyn Fs,
        id: SegmentId,
        position: u64,
    ) -> Result<Option<String>, Fault> {
        for segment in self.segments.iter().filter(|segment| segment.id > id) {
            let Some(header) = &segment.header else { continue };
            if header.synced > position {
                return Ok(Some(format!("the header of {}", segment.path.display())));
            }
            let file = fs.open(&segment.path).at(&segment.path)?;
            let size_bytes = file.size_bytes().at(&segment.path)?;
            let search =
                Search { file: &*file, path: &segment.path, id: segment.id, base: header.base, size_bytes };
            if let Found::Witness(at) = search.witness(SEGMENT_HEADER_BYTES, position)? {
                return Ok(Some(format!("the frame at {at} of {}", segment.path.display())));
            }
        }
        Ok(None)
    }

    /// Makes the segments from `from` to `top` the members, or returns the link that leads nowhere.
    fn follow(&mut self, top: usize, from: SegmentId) -> Result<Option<SegmentLink>, Fault> {
        self.members = vec![top];
        let mut at = top;
        loop {
            let header = self.segments[at].header.expect("because only segments with headers are followed");
            let Some(link) = header.prev else { return self.check_first(at).map(|()| None) };
            if link.id < from {
                break;
            }
            let prev = self.segments[..at].iter().rposition(|segment| segment.id == link.id);
            let Some((prev, prev_header)) = prev.and_then(|prev| Some((prev, self.segments[prev].header?)))
            else {
                return Ok(Some(link));
            };
            if prev_header.base != link.base {
                let what = format!("begins at {} of the log, not at {}", prev_header.base, link.base);
                return Err(Fault::corrupt(&self.segments[prev].path, 0, what));
            }
            self.members.insert(0, prev);
            at = prev;
        }
        Ok(None)
    }

    /// A log begins anew only where there was nothing before.
    fn check_first(&self, at: usize) -> Result<(), Fault> {
        match self.segments[..at].iter().rfind(|segment| segment.header.is_some()) {
            None => Ok(()),
            Some(older) => {
                let what = format!("the first segment of a log, though there is {}", older.path.display());
                Err(Fault::corrupt(&self.segments[at].path, 0, what))
            }
        }
    }
}

impl Segment {
    fn read(fs: &dyn Fs, dir: &Path, id: SegmentId) -> Result<Segment, Fault> {
        let path = segment_path(dir, id);
        let reader = SegmentReader::open(fs, &path, Purpose::Log, id)?;
        let headless_bytes = match reader.end() {
            SegmentEnd::Torn { size_bytes } => size_bytes,
            _ => 0,
        };
        Ok(Segment { header: reader.header().copied(), id, path, headless_bytes })
    }
}
