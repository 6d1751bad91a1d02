//! The trait of a write-ahead log.

use std::fmt;
use std::path::PathBuf;

use lsmkit_base::{Fault, SegmentId};

/// An ordered sequence of records in numbered segments, the newest of which grows.
///
/// The order of calls is: open (each implementation's own), [`replay`](Log::replay) once, then the rest.
///
/// # Durability
///
/// When [`append`](Log::append) returns, the records survive the end of the process, not yet that
/// of the machine. When [`LogHandle::sync`] returns, everything appended before the call survives both.
///
/// After a crash at any byte, replay gives a prefix of what was appended that holds all that was synced.
pub trait Log: Send + 'static {
    /// What any thread may do to the log without holding up the next append.
    type Handle: LogHandle;

    /// Shows every record from segment `from` on, in the order of appending, with its segment.
    ///
    /// `from` is the segment that the caller last named to [`discard_before`](Log::discard_before), and
    /// remembers: every segment from it on must be there. It may be one that was never written.
    /// Segments before it are left over and not read. A torn tail, that is bytes which nothing proves to
    /// have been synced, ends the replay and is reported; it is not an error and nothing of it is destroyed.
    ///
    /// # Errors
    ///
    /// [corrupt](Fault::is_corrupt) where bytes that were synced are not there or not right; what `visit` returns.
    #[allow(clippy::type_complexity, reason = "a name for the visitor would hide what it is given")]
    fn replay(
        &mut self,
        from: SegmentId,
        visit: &mut dyn FnMut(SegmentId, &[u8]) -> Result<(), Fault>,
    ) -> Result<Replay, Fault>;

    /// Appends a group of records, all or none of which are there when the call returns.
    ///
    /// As [`append_then`](Log::append_then) with no sync to follow.
    ///
    /// # Errors
    ///
    /// As of that.
    fn append(&mut self, records: &[&[u8]]) -> Result<(), Fault> {
        self.append_then(records, Next::Append)
    }

    /// Appends a group of records, all or none of which are there when the call returns.
    ///
    /// What comes `next` changes nothing of that: the log may choose by it the way of writing that is cheaper.
    ///
    /// # Errors
    ///
    /// None of the records counts as appended. After a full disk ([`Fault::is_full_disk`]) the log
    /// goes on as soon as there is room; after any other fault every further call repeats it.
    fn append_then(&mut self, records: &[&[u8]], next: Next) -> Result<(), Fault>;

    /// What any thread may do to this log: sync it, and make things ready for it.
    fn handle(&self) -> Self::Handle;

    /// How far the log has grown, in a count that never falls while there is a segment: equal after the
    /// replay of what was synced to what it was then.
    fn position(&self) -> u64;

    /// The segment that the next record goes to.
    fn segment(&self) -> SegmentId;

    /// Ends the current segment and returns the number of the next. Does not wait for the disk. A
    /// segment that holds no record yet is not ended: its own number is returned.
    fn rotate(&mut self) -> Result<SegmentId, Fault>;

    /// Gives up all segments before `keep`: their records are durable elsewhere, and so is `keep` itself,
    /// from which the next replay must begin.
    ///
    /// They are no longer of the log when the call returns. Their files go when what is returned is run, which takes the
    /// time that a file system needs to remove them, and is for a thread that has it.
    ///
    /// # Errors
    ///
    /// [I/O](lsmkit_base::FaultKind::Io): nothing has been given up.
    fn discard_before(&mut self, keep: SegmentId) -> Result<Removal, Fault>;

    /// Whether [`LogHandle::prepare`] has something to do that would spare a later append the time. Cheap to ask
    /// after each append.
    fn wants_preparing(&self) -> bool {
        false
    }

    /// The bytes of the segments that replay would read now.
    fn size_bytes(&self) -> u64;

    /// Syncs everything, marks the log as closed and syncs that, so that any later damage shows.
    /// Nothing can be appended afterwards.
    fn close(&mut self) -> Result<(), Fault>;
}

/// What is about to happen to a log after an append.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Next {
    /// More is appended, for all that is known.
    #[default]
    Append,
    /// It is synced.
    Sync,
}

/// What any thread may do to a log; see [`Log::handle`].
pub trait LogHandle: Clone + Send + Sync + 'static {
    /// Blocks until everything appended before the call is durable.
    ///
    /// # Errors
    ///
    /// After one failed sync every further sync and append of this log fails with the same fault: the
    /// kernel may have dropped what it could not write, so no later success can be trusted.
    fn sync(&self) -> Result<(), Fault>;

    /// Does ahead what appends to come would otherwise have to do themselves, if anything: makes room for them. May wait
    /// for the disk. Changes nothing that a replay shows; what fails here is told to the append that meets it.
    fn prepare(&self) {}

    /// Gives back the disk's room that [`prepare`](LogHandle::prepare) has taken and that holds nothing yet, as far as that is possible: the
    /// disk is full, and others could do with it.
    fn give_back(&self) {}
}

/// The files of discarded segments, to be removed.
///
/// Dropped without being run, it leaves them to the discards of whoever opens the log next.
#[must_use = "the files are removed when it is run"]
pub struct Removal(Box<dyn FnOnce() -> Result<(), Fault> + Send>);

impl Removal {
    /// What `remove` does, at most once.
    pub fn new(remove: impl FnOnce() -> Result<(), Fault> + Send + 'static) -> Removal {
        Removal(Box::new(remove))
    }

    /// Removes the files. Blocks for as long as the file system takes.
    ///
    /// # Errors
    ///
    /// [I/O](lsmkit_base::FaultKind::Io): some are left; they are before the floor, so they do no harm, and a later discard tries again.
    pub fn run(self) -> Result<(), Fault> {
        (self.0)()
    }
}

impl fmt::Debug for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Removal").finish_non_exhaustive()
    }
}

/// What a replay found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Replay {
    /// How many records were shown.
    pub records: u64,
    /// How many bytes they took in the log.
    pub size_bytes: u64,
    /// Where replay ended before the end of the bytes.
    pub torn: Option<TornTail>,
}

/// Bytes at the end of a log that were never known to be durable and are not whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TornTail {
    /// The segment.
    pub path: PathBuf,
    /// Where the last whole record ends.
    pub offset: u64,
    /// How many bytes other than zeros or later segments stand behind it; they are set aside.
    pub size_bytes: u64,
}
