//! A merge's way from the inputs of a job to its output.

use lsmkit_base::{Cursor, Entry, Fault, KeyRef, SeqNo, Tree};

use crate::{Job, Merge, OlderBelow, OutputCutter, Part, Retain};

/// How many entries are merged at most, and how many bytes, between two looks at whether to go on: some milliseconds' worth.
const ENTRIES_BETWEEN_LOOKS: u32 = 4096;
const BYTES_BETWEEN_LOOKS: u64 = 1 << 20;

/// Takes what a merge writes.
pub trait Output {
    /// About how large the table that was begun would be if it were ended now; 0 where none was.
    fn table_bytes(&self) -> u64;

    /// Adds the next entry, to a new table where none was begun.
    fn add(&mut self, entry: Entry<'_>) -> Result<(), Fault>;

    /// Ends the table that was begun, if any.
    fn cut(&mut self) -> Result<(), Fault>;

    /// Is told at the beginning, now and then, and at the end, how many more bytes of keys and values were read; false where the merge should be given up.
    fn goes_on(&mut self, read_bytes: u64) -> bool {
        let _ = read_bytes;
        true
    }
}

/// How a merge ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rewritten {
    /// All of the part is in the output.
    Whole,
    /// The output did not want to go on.
    GivenUp,
}

impl Job {
    /// Merges `part` of the job's inputs into `output`, without what neither the present nor one of `snapshots` sees;
    /// with every version where `snapshots` is `None`.
    ///
    /// `children` are cursors over the inputs, one for each of [`Job::sources`] of `tree` and in that order; those may be left out
    /// that have nothing of the part.
    ///
    /// # Errors
    ///
    /// What reading or the output fails with. What is in the output then is of no use.
    pub fn rewrite<C: Cursor>(
        &self,
        tree: &Tree,
        part: &Part,
        children: Vec<C>,
        snapshots: Option<&[SeqNo]>,
        output: &mut impl Output,
    ) -> Result<Rewritten, Fault> {
        if !output.goes_on(0) {
            return Ok(Rewritten::GivenUp);
        }
        let mut retain = snapshots.map(Retain::new);
        let mut older = OlderBelow::new(tree, self);
        let mut cutter = OutputCutter::new(tree, self);
        let mut merge = Merge::new(children);
        match &part.from {
            None => merge.seek_first()?,
            Some(from) => merge.seek(KeyRef::new(from, SeqNo::MAX))?,
        }
        let (mut entries, mut read_bytes) = (0, 0);
        while let Some(entry) = merge.entry() {
            if part.ends_by(entry.user_key) {
                break;
            }
            entries += 1;
            read_bytes += (entry.user_key.len() + entry.value.len()) as u64;
            if entries >= ENTRIES_BETWEEN_LOOKS || read_bytes >= BYTES_BETWEEN_LOOKS {
                if !output.goes_on(read_bytes) {
                    return Ok(Rewritten::GivenUp);
                }
                (entries, read_bytes) = (0, 0);
            }
            let may_hold = |user_key: &[u8]| older.may_hold(user_key);
            if retain.as_mut().is_none_or(|retain| retain.keep(entry, may_hold)) {
                if cutter.should_cut(entry.user_key, output.table_bytes()) {
                    output.cut()?;
                }
                output.add(entry)?;
            }
            merge.next()?;
        }
        output.cut()?;
        output.goes_on(read_bytes);
        Ok(Rewritten::Whole)
    }
}
