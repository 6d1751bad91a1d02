//! Where a job is cut into parts that can be merged at the same time.

use std::sync::Arc;

use lsmkit_base::{TableMeta, Tree};

use crate::Job;

/// A part of a job by user keys: from one, included, up to another, excluded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Part {
    /// Where it begins; the first part has no beginning.
    pub from: Option<Box<[u8]>>,
    /// Where the next one begins; the last part has no end.
    pub to: Option<Box<[u8]>>,
}

impl Part {
    /// Whether the part ends at or before `user_key`.
    #[inline]
    pub fn ends_by(&self, user_key: &[u8]) -> bool {
        self.to.as_ref().is_some_and(|to| **to <= *user_key)
    }
}

impl Job {
    /// The job in parts of at least about `part_bytes` of input each, by key: together they are all of it,
    /// and no user key is in two of them.
    ///
    /// `anchors` tells of an input some user keys, ascending, that cut it into pieces of about equal length. Without any, parts
    /// begin only where inputs do.
    pub fn parts(
        &self,
        tree: &Tree,
        part_bytes: u64,
        mut anchors: impl FnMut(&Arc<TableMeta>) -> Vec<Box<[u8]>>,
    ) -> Vec<Part> {
        let mut pieces: Vec<(Box<[u8]>, u64)> = Vec::new();
        for table in self.sources(tree).iter().flat_map(|source| &source.tables) {
            let anchors = anchors(table);
            let bytes = table.size_bytes / (anchors.len() as u64 + 1);
            pieces.push((table.smallest.clone(), bytes));
            pieces.extend(anchors.into_iter().map(|anchor| (anchor, bytes)));
        }
        pieces.sort_unstable();
        let total: u64 = pieces.iter().map(|(_, bytes)| bytes).sum();
        let count = total / part_bytes.max(1);

        let mut parts = vec![Part::default()];
        // Where the part that is last so far begins, and the bytes before the piece that comes.
        let mut begin = pieces.first().map_or(Box::default(), |(key, _)| key.clone());
        let mut before: u64 = 0;
        for (key, bytes) in pieces {
            let due = u128::from(total) * parts.len() as u128 / u128::from(count.max(1));
            if (parts.len() as u64) < count && u128::from(before) >= due && begin < key {
                if let Some(last) = parts.last_mut() {
                    last.to = Some(key.clone());
                }
                parts.push(Part { from: Some(key.clone()), to: None });
                begin = key;
            }
            before += bytes;
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use lsmkit_base::{RunId, TableChange};

    use super::*;
    use crate::picture::table;
    use crate::{Cause, JobKind};

    /// The parts of a job of all tables given as `a-c:40`, of level 0 each its own run, as `..d d..g g..`.
    fn parts(tables: &[&str], part_bytes: u64, anchors: &str) -> String {
        let add = |(id, picture): (u64, &&str)| TableChange::Add {
            level: 0,
            run: RunId(id + 1),
            table: table(id, picture),
        };
        let tree = Tree::default().apply(&(0..).zip(tables).map(add).collect::<Vec<_>>()).unwrap();
        let job = Job {
            inputs: tree.tables().map(|table| table.id).collect(),
            level: 6,
            run: RunId(9),
            kind: JobKind::Merge,
            table_bytes: 10,
            cause: Cause::Level0,
        };
        let anchors = |_: &Arc<TableMeta>| anchors.bytes().map(|key| Box::from([key])).collect();
        let text = |key: &Option<Box<[u8]>>| {
            key.as_ref().map_or(String::new(), |key| key.escape_ascii().to_string())
        };
        let parts = job.parts(&tree, part_bytes, anchors);
        parts
            .iter()
            .map(|part| format!("{}..{}", text(&part.from), text(&part.to)))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn parts_begin_where_inputs_do() {
        let run = ["a-c:10", "d-f:10", "g-i:10", "j-l:10"];
        assert_eq!(parts(&run, 20, ""), "..g g..");
        assert_eq!(parts(&run, 10, ""), "..d d..g g..j j..");
        assert_eq!(parts(&run, 21, ""), "..");
        assert_eq!(parts(&run, 100, ""), "..");
    }

    #[test]
    fn anchors_cut_inputs_that_are_long() {
        assert_eq!(parts(&["a-z:40"], 10, ""), "..");
        assert_eq!(parts(&["a-z:40"], 20, "h"), "..h h..");
        assert_eq!(parts(&["a-z:40", "a-z:40", "a-z:40"], 60, "fmt"), "..m m..");
    }

    #[test]
    fn no_part_is_without_keys() {
        assert_eq!(parts(&["a-a:10", "a-a:10", "a-a:10"], 1, ""), "..");
        assert_eq!(parts(&["a-b:10", "a-b:10"], 1, "b"), "..b b..");
        assert_eq!(parts(&["a-b:0"], 0, ""), "..");
    }
}
