//! Where one output table ends and the next begins.

use std::sync::Arc;

use lsmkit_base::{TableMeta, Tree};

use crate::Job;
use crate::span::runs;

/// A table should overlap no more of the next level than this many tables' worth of bytes, because its
/// own merge will rewrite them.
pub(crate) const OVERLAP_TABLES: u64 = 10;

/// Decides where a job's output is cut into tables: at the job's table size, and earlier where
/// a cut saves later rewriting. It cuts between user keys only.
///
/// Ends of tables in the next level down (the *grandparents*) are good places to cut: a table that
/// begins and ends with them drags no half-covered neighbours into its own merge. So a table that is at
/// least half full ends there, less willingly the more of them it has passed. RocksDB 7.8 cuts in
/// this way, though it lets a table grow to twice its size for it, and measured 12.6 % fewer bytes
/// written by compaction (facebook/rocksdb pull request 10655).
#[derive(Clone, Debug)]
pub struct OutputCutter {
    table_bytes: u64,
    overlap_limit_bytes: u64,
    /// Of the next level that has any, by key; empty where it is not one run.
    grandparents: Vec<Arc<TableMeta>>,
    /// The first grandparent that does not end before the last key.
    at: usize,
    /// Grandparents that ended within the current output table, and their bytes.
    passed: u64,
    passed_bytes: u64,
    /// Once the table is large enough: the user key it ends with. Its buffer is reused.
    final_key: Option<Vec<u8>>,
    spare: Vec<u8>,
}

impl OutputCutter {
    /// For the output of `job` on `tree`.
    pub fn new(tree: &Tree, job: &Job) -> OutputCutter {
        let next = (job.level + 1..tree.levels.len() as u32).find(|level| !runs(tree, *level).is_empty());
        // Where the next level has several runs (a tiered tree) whole runs are merged, and no cut
        // makes that cheaper.
        let grandparents = match next.map(|level| runs(tree, level)) {
            Some([run]) => run.tables.clone(),
            _ => Vec::new(),
        };
        OutputCutter {
            table_bytes: job.table_bytes,
            overlap_limit_bytes: job.table_bytes.saturating_mul(OVERLAP_TABLES),
            grandparents,
            at: 0,
            passed: 0,
            passed_bytes: 0,
            final_key: None,
            spare: Vec::new(),
        }
    }

    /// With tables that overlap no more than about `bytes` of the next level; ten times the table
    /// size unless set.
    #[must_use]
    pub fn overlap_limit_bytes(self, bytes: u64) -> OutputCutter {
        OutputCutter { overlap_limit_bytes: bytes, ..self }
    }

    /// Whether the current output table, of `table_bytes` so far, ends before `next_user_key`. If so
    /// the caller begins a new table with it.
    ///
    /// Has to be asked before each entry that is written, in order, the first of a table
    /// included; a table of 0 bytes never ends. A table may grow past the job's table size by the
    /// versions of one user key.
    #[inline]
    pub fn should_cut(&mut self, next_user_key: &[u8], table_bytes: u64) -> bool {
        let cut = self.wants_cut(next_user_key, table_bytes) && table_bytes > 0;
        if cut {
            self.passed = 0;
            self.passed_bytes = 0;
            if let Some(buffer) = self.final_key.take() {
                self.spare = buffer;
            }
        }
        cut
    }

    #[inline]
    fn wants_cut(&mut self, next_user_key: &[u8], table_bytes: u64) -> bool {
        // The key before this one ended no later than the grandparent, so where a grandparent ends
        // the user key changes.
        let crossed = self.cross_grandparents(next_user_key, table_bytes);
        if crossed > 0 && self.ends_well(crossed, table_bytes) {
            return true;
        }
        if let Some(key) = &self.final_key {
            // Also where the table has become smaller since: its last block was compressed.
            return **key != *next_user_key;
        }
        if table_bytes >= self.table_bytes {
            // The previous key was not kept, so whether this is another version of it is not known:
            // let it in, and end before the next user key.
            let mut key = std::mem::take(&mut self.spare);
            key.clear();
            key.extend_from_slice(next_user_key);
            self.final_key = Some(key);
        }
        false
    }

    /// Goes on to the grandparent of `user_key`; how many ended since the last key.
    fn cross_grandparents(&mut self, user_key: &[u8], table_bytes: u64) -> u64 {
        let mut crossed = 0;
        while let Some(grandparent) = self.grandparents.get(self.at)
            && *grandparent.largest < *user_key
        {
            self.at += 1;
            crossed += 1;
            if table_bytes > 0 {
                self.passed += 1;
                self.passed_bytes = self.passed_bytes.saturating_add(grandparent.size_bytes);
            }
        }
        crossed
    }

    /// Whether the end of the `crossed` grandparents is a place to end the table.
    fn ends_well(&self, crossed: u64, table_bytes: u64) -> bool {
        // The shares are those of RocksDB's `CompactionOutputs::ShouldStopBefore`: half of the size, and
        // a twentieth more for each boundary that was passed up, so that tables do not all stay
        // small. It counts where grandparents begin as well; here only ends count.
        let share = 50 + (self.passed.saturating_sub(crossed) * 5).min(40);
        let full_enough = u128::from(table_bytes) * 100 >= u128::from(self.table_bytes) * u128::from(share);
        // A grandparent without any key of the output need not be overlapped at all. But a table has
        // to be worth a file: RocksDB asks this of the grandparent alone, and so may write tiny ones.
        let skips_one = crossed > 1 && table_bytes >= self.table_bytes / 8;
        let next = self.grandparents.get(self.at).map_or(0, |table| table.size_bytes);
        let too_wide = self.passed_bytes.saturating_add(next) > self.overlap_limit_bytes;
        full_enough || skips_one || too_wide
    }
}

#[cfg(test)]
mod tests {
    use lsmkit_base::{RunId, TableChange};

    use super::*;
    use crate::picture::table;
    use crate::{Cause, JobKind};

    /// The output of keys of one byte each, `a b bb c`, cut at ten bytes over grandparents given as
    /// `a-c:40`: tables apart by `|`.
    fn cut(grandparents: &[&str], keys: &str, key_bytes: u64) -> String {
        let tables = (0..).zip(grandparents).map(|(id, picture)| table(id, picture));
        let add = |table| TableChange::Add { level: 6, run: RunId(1), table };
        let tree = Tree::default().apply(&tables.map(add).collect::<Vec<_>>()).unwrap();
        let job = Job {
            inputs: Vec::new(),
            level: 4,
            run: RunId(1),
            kind: JobKind::Merge,
            table_bytes: 10,
            cause: Cause::Size,
        };
        let mut cutter = OutputCutter::new(&tree, &job);
        let (mut outcome, mut table_bytes) = (String::new(), 0);
        for key in keys.split(' ') {
            if cutter.should_cut(key.as_bytes(), table_bytes) {
                outcome += "| ";
                table_bytes = 0;
            }
            outcome += key;
            outcome += " ";
            table_bytes += key_bytes;
        }
        outcome.trim_end().to_owned()
    }

    #[test]
    fn a_table_that_shrinks_still_ends_between_user_keys() {
        let job = Job {
            inputs: Vec::new(),
            level: 1,
            run: RunId(1),
            kind: JobKind::Merge,
            table_bytes: 10,
            cause: Cause::Size,
        };
        let mut cutter = OutputCutter::new(&Tree::default(), &job);
        assert!(!cutter.should_cut(b"a", 0));
        // Large enough: it ends with "b", though compression makes it smaller again.
        assert!(!cutter.should_cut(b"b", 12));
        assert!(!cutter.should_cut(b"b", 4));
        assert!(cutter.should_cut(b"c", 5));
    }

    #[test]
    fn by_size_a_table_ends_one_user_key_after_it_is_full() {
        assert_eq!(cut(&[], "a b c d e f g", 5), "a b c | d e f | g");
        assert_eq!(cut(&[], "a b c", 10), "a b | c");
    }

    #[test]
    fn versions_of_a_user_key_stay_together() {
        assert_eq!(cut(&[], "a b b b b b c", 5), "a b b b b b | c");
        assert_eq!(cut(&[], "a a a a b c", 5), "a a a a | b c");
        assert_eq!(
            cut(&["a-a:50", "b-c:50"], "a a a a b b b b b", 2),
            "a a a a b b b b b".replace("a b", "a | b")
        );
    }

    #[test]
    fn half_full_tables_end_where_a_grandparent_does() {
        assert_eq!(cut(&["a-d:50", "e-z:50"], "a b c d e f g", 1), "a b c d e f g");
        assert_eq!(cut(&["a-e:50", "f-z:50"], "a b c d e f g", 1), "a b c d e | f g");
    }

    #[test]
    fn a_grandparent_without_keys_of_the_output_is_not_spanned() {
        assert_eq!(cut(&["a-c:50", "d-w:50", "x-z:50"], "a b x y", 1), "a b | x y");
    }

    #[test]
    fn a_table_spans_no_more_than_ten_tables_of_the_next_level() {
        assert_eq!(cut(&["a-b:60", "c-d:60", "e-f:60"], "a c d e f", 1), "a | c d | e f");
        assert_eq!(cut(&["a-b:40", "c-d:40", "e-f:40"], "a c d e f", 1), "a c d | e f");
    }
}
