//! What the edits add up to.

use std::collections::BTreeMap;

use lsmkit_base::{KeyspaceId, SegmentId, SeqNo, TableId, Tree, TreeError};

use crate::{Change, Edit};

/// The shape of a store: a pure fold of its edits.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct State {
    /// The name of the order of keys.
    pub comparator: String,
    /// The smallest table number never used.
    pub next_table: TableId,
    /// The greatest sequence number known to be used by what is in the tables.
    pub last_seq: SeqNo,
    /// The smallest keyspace number never used.
    pub next_keyspace: KeyspaceId,
    /// Where the log ended when the store was closed, if nothing has changed since: it must not end before.
    pub log_end: Option<u64>,
    /// The keyspaces that are there.
    pub keyspaces: BTreeMap<KeyspaceId, KeyspaceState>,
}

/// The shape of one keyspace.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyspaceState {
    /// Its name.
    pub name: String,
    /// Its records are in the log from this segment on; earlier ones are in its tables.
    pub log_floor: SegmentId,
    /// Its writes up to this one are in its tables, or superseded there: a log that still has them
    /// must not bring them back.
    pub flushed: SeqNo,
    /// Its tables.
    pub tree: Tree,
}

/// Why an edit does not apply to a state.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// A change to a keyspace that is not there.
    #[error("keyspace {} is not there", .0.0)]
    NoKeyspace(KeyspaceId),
    /// A keyspace whose number was used before, or whose name is taken.
    #[error("keyspace {} ({name:?}) was there before or has the name of another", id.0)]
    KeyspaceTaken {
        /// The number.
        id: KeyspaceId,
        /// The name.
        name: String,
    },
    /// A number that must never fall has fallen.
    #[error("{what} falls from {from} to {to}")]
    Falls {
        /// Which number.
        what: &'static str,
        /// What it was.
        from: u64,
        /// What it would be.
        to: u64,
    },
    /// A number that would leave too few for what is to come.
    #[error("{what} is {number}: no store gets there")]
    TooGreat {
        /// Which number.
        what: &'static str,
        /// What it would be.
        number: u64,
    },
    /// The order of keys changes.
    #[error("the order of keys changes from {from:?} to {to:?}")]
    Comparator {
        /// What it was.
        from: String,
        /// What it would be.
        to: String,
    },
    /// A table number that has not been used yet by what [`Change::NextTable`] says.
    #[error("table {0} is not below the next table number")]
    TableNumber(TableId),
    /// A change that contradicts the keyspace's tree.
    #[error("keyspace {}: {error}", keyspace.0)]
    Tree {
        /// The keyspace.
        keyspace: KeyspaceId,
        /// What is wrong.
        error: TreeError,
    },
}

impl State {
    /// The state after `edit`.
    ///
    /// # Errors
    ///
    /// Where the edit contradicts the state.
    pub fn apply(&self, edit: &Edit) -> Result<State, EditError> {
        let mut state = State { log_end: None, ..self.clone() };
        // Changes to one tree are one step: a table may move between levels.
        let mut trees: BTreeMap<KeyspaceId, Vec<_>> = BTreeMap::new();
        for change in &edit.changes {
            match change {
                Change::Comparator(name) if state.comparator.is_empty() => state.comparator.clone_from(name),
                Change::Comparator(name) if state.comparator == *name => {}
                Change::Comparator(name) => {
                    return Err(EditError::Comparator { from: state.comparator, to: name.clone() });
                }
                Change::NextTable(id) => {
                    check_number("next table", id.0, NUMBER_MAX)?;
                    rise("next table", &mut state.next_table.0, id.0)?;
                }
                Change::LastSeq(seq) => {
                    rise("last sequence number", &mut state.last_seq.value(), seq.value())?;
                    state.last_seq = *seq;
                }
                Change::NextKeyspace(id) => {
                    check_number("next keyspace", u64::from(id.0), KEYSPACES_MAX)?;
                    let mut next = u64::from(state.next_keyspace.0);
                    rise("next keyspace", &mut next, u64::from(id.0))?;
                    state.next_keyspace = *id;
                }
                Change::CreateKeyspace { id, name, log_floor } => {
                    check_number("keyspace", u64::from(id.0), KEYSPACES_MAX)?;
                    check_number("log floor", log_floor.0, NUMBER_MAX)?;
                    let named_so =
                        |(other, known): (&KeyspaceId, &KeyspaceState)| other == id || known.name == *name;
                    if *id < self.next_keyspace || state.keyspaces.iter().any(named_so) {
                        return Err(EditError::KeyspaceTaken { id: *id, name: name.clone() });
                    }
                    let (name, log_floor) = (name.clone(), *log_floor);
                    state
                        .keyspaces
                        .insert(*id, KeyspaceState { name, log_floor, ..KeyspaceState::default() });
                    state.next_keyspace = state.next_keyspace.max(KeyspaceId(id.0.saturating_add(1)));
                }
                Change::DropKeyspace(id) => {
                    state.keyspaces.remove(id).ok_or(EditError::NoKeyspace(*id))?;
                    trees.remove(id);
                }
                Change::LogFloor { keyspace, segment } => {
                    let found = state.keyspaces.get_mut(keyspace).ok_or(EditError::NoKeyspace(*keyspace))?;
                    check_number("log floor", segment.0, NUMBER_MAX)?;
                    rise("log floor", &mut found.log_floor.0, segment.0)?;
                }
                Change::Flushed { keyspace, seq } => {
                    let found = state.keyspaces.get_mut(keyspace).ok_or(EditError::NoKeyspace(*keyspace))?;
                    rise("flushed sequence number", &mut found.flushed.value(), seq.value())?;
                    found.flushed = *seq;
                }
                Change::LogEnd(position) => state.log_end = Some(*position),
                Change::Table { keyspace, change } => {
                    if !state.keyspaces.contains_key(keyspace) {
                        return Err(EditError::NoKeyspace(*keyspace));
                    }
                    trees.entry(*keyspace).or_default().push(change.clone());
                }
            }
        }
        for (id, changes) in trees {
            let keyspace = state.keyspaces.get_mut(&id).ok_or(EditError::NoKeyspace(id))?;
            keyspace.tree =
                keyspace.tree.apply(&changes).map_err(|error| EditError::Tree { keyspace: id, error })?;
            if let Some(table) = keyspace.tree.tables().find(|table| table.id >= state.next_table) {
                return Err(EditError::TableNumber(table.id));
            }
        }
        Ok(state)
    }

    /// One edit that leads from nothing to this state.
    pub fn snapshot(&self) -> Edit {
        let mut edit = Edit::new();
        if !self.comparator.is_empty() {
            edit.changes.push(Change::Comparator(self.comparator.clone()));
        }
        edit.changes.push(Change::NextTable(self.next_table));
        edit.changes.push(Change::LastSeq(self.last_seq));
        for (&id, keyspace) in &self.keyspaces {
            let name = keyspace.name.clone();
            edit.changes.push(Change::CreateKeyspace { id, name, log_floor: keyspace.log_floor });
            edit.changes.push(Change::Flushed { keyspace: id, seq: keyspace.flushed });
            for (level, runs) in keyspace.tree.levels.iter().enumerate() {
                for run in &runs.runs {
                    edit.changes.extend(run.tables.iter().map(|table| Change::Table {
                        keyspace: id,
                        change: lsmkit_base::TableChange::Add {
                            level: level as u32,
                            run: run.id,
                            table: table.clone(),
                        },
                    }));
                }
            }
        }
        edit.changes.push(Change::NextKeyspace(self.next_keyspace));
        edit.changes.extend(self.log_end.map(Change::LogEnd));
        edit
    }

    /// The keyspace named `name`.
    pub fn keyspace_named(&self, name: &str) -> Option<(KeyspaceId, &KeyspaceState)> {
        self.keyspaces.iter().find(|(_, k)| k.name == name).map(|(id, k)| (*id, k))
    }

    /// The first log segment that is still needed by any keyspace.
    pub fn log_floor(&self) -> SegmentId {
        self.keyspaces.values().map(|k| k.log_floor).min().unwrap_or_default()
    }
}

/// No store comes to have so many tables or segments: a number from disk that is greater is damage, and could make the next one overflow.
const NUMBER_MAX: u64 = 1 << 62;
const KEYSPACES_MAX: u64 = 1 << 31;

fn check_number(what: &'static str, number: u64, max: u64) -> Result<(), EditError> {
    if number > max { Err(EditError::TooGreat { what, number }) } else { Ok(()) }
}

fn rise(what: &'static str, number: &mut u64, to: u64) -> Result<(), EditError> {
    if to < *number {
        return Err(EditError::Falls { what, from: *number, to });
    }
    *number = to;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsmkit_base::{RunId, TableChange, TableMeta};
    use std::sync::Arc;

    fn add(id: u64, level: u32) -> Change {
        let table = Arc::new(TableMeta { id: TableId(id), ..TableMeta::default() });
        let change = TableChange::Add { level, run: RunId(id), table };
        Change::Table { keyspace: KeyspaceId(0), change }
    }

    fn store() -> State {
        let edit = Edit::new()
            .with(Change::Comparator("bytewise".into()))
            .with(Change::NextTable(TableId(9)))
            .with(Change::CreateKeyspace {
                id: KeyspaceId(0),
                name: "default".into(),
                log_floor: SegmentId(1),
            })
            .with(add(5, 0));
        State::default().apply(&edit).unwrap()
    }

    #[test]
    fn a_snapshot_leads_back_to_its_state() {
        let dropped = Edit::new().with(Change::CreateKeyspace {
            id: KeyspaceId(1),
            name: "b".into(),
            log_floor: SegmentId(4),
        });
        let state = store().apply(&dropped).unwrap();
        let state = state.apply(&Edit::new().with(Change::DropKeyspace(KeyspaceId(1)))).unwrap();
        assert_eq!(state.next_keyspace, KeyspaceId(2));
        assert_eq!(State::default().apply(&state.snapshot()).unwrap(), state);
    }

    #[test]
    fn numbers_never_fall() {
        let refused = |change| store().apply(&Edit::new().with(change)).unwrap_err();
        assert!(matches!(refused(Change::NextTable(TableId(3))), EditError::Falls { .. }));
        assert!(matches!(refused(Change::NextKeyspace(KeyspaceId(0))), EditError::Falls { .. }));
        let floor = Change::LogFloor { keyspace: KeyspaceId(0), segment: SegmentId(0) };
        assert!(matches!(refused(floor), EditError::Falls { .. }));
        assert_eq!(refused(add(9, 0)), EditError::TableNumber(TableId(9)));
    }

    #[test]
    fn a_keyspace_number_is_never_used_twice() {
        let dropped = store().apply(&Edit::new().with(Change::DropKeyspace(KeyspaceId(0)))).unwrap();
        let again =
            Change::CreateKeyspace { id: KeyspaceId(0), name: "again".into(), log_floor: SegmentId(1) };
        assert!(matches!(dropped.apply(&Edit::new().with(again)), Err(EditError::KeyspaceTaken { .. })));
    }

    #[test]
    fn the_order_of_keys_stays() {
        let other = Edit::new().with(Change::Comparator("reverse".into()));
        assert!(matches!(store().apply(&other), Err(EditError::Comparator { .. })));
    }

    #[test]
    fn changes_to_a_dropped_keyspace_are_refused() {
        let edit = Edit::new().with(Change::DropKeyspace(KeyspaceId(0))).with(add(6, 0));
        assert_eq!(store().apply(&edit), Err(EditError::NoKeyspace(KeyspaceId(0))));
    }

    #[test]
    fn a_table_moves_in_one_edit() {
        let change = TableChange::Remove { table: TableId(5) };
        let edit = Edit::new().with(Change::Table { keyspace: KeyspaceId(0), change }).with(add(5, 3));
        let state = store().apply(&edit).unwrap();
        assert_eq!(state.keyspaces[&KeyspaceId(0)].tree.levels.len(), 4);
    }
}
