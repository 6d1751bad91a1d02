//! One step of the store's shape, and its bytes (`docs/formats/manifest.md`, "Edits").

use std::sync::Arc;

use lsmkit_base::coding::{self, Decoder};
use lsmkit_base::{KeyspaceId, RunId, SegmentId, SeqNo, TableChange, TableId, TableMeta, Written};

/// A step that is there wholly or not at all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Edit {
    /// What changes, in order.
    pub changes: Vec<Change>,
}

/// One change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// The name of the order of keys; given once, when the store is made.
    Comparator(String),
    /// Every table number below this one has been used.
    NextTable(TableId),
    /// No write with a sequence number up to this one is to come.
    LastSeq(SeqNo),
    /// Every keyspace number below this one has been used.
    NextKeyspace(KeyspaceId),
    /// A keyspace begins; its records are in the log from this segment on.
    CreateKeyspace {
        /// Its number.
        id: KeyspaceId,
        /// Its name.
        name: String,
        /// Where its records begin.
        log_floor: SegmentId,
    },
    /// A keyspace and all its tables are gone.
    DropKeyspace(KeyspaceId),
    /// The records of a keyspace before this segment are in its tables.
    LogFloor {
        /// The keyspace.
        keyspace: KeyspaceId,
        /// The first segment that is still needed.
        segment: SegmentId,
    },
    /// All writes to a keyspace up to this one are in its tables, or are superseded there.
    Flushed {
        /// The keyspace.
        keyspace: KeyspaceId,
        /// The write.
        seq: SeqNo,
    },
    /// The log was closed at this position. Holds until the next edit.
    LogEnd(u64),
    /// A table joins or leaves a keyspace's tree.
    Table {
        /// The keyspace.
        keyspace: KeyspaceId,
        /// What happens to the tree.
        change: TableChange,
    },
}

/// Tags of the changes. A tag whose lowest bit is set may be skipped by a reader that does not know
/// it; any other unknown tag makes the manifest unreadable to it.
mod tag {
    pub(super) const COMPARATOR: u64 = 2;
    pub(super) const NEXT_TABLE: u64 = 4;
    pub(super) const LAST_SEQ: u64 = 6;
    pub(super) const NEXT_KEYSPACE: u64 = 8;
    pub(super) const CREATE_KEYSPACE: u64 = 10;
    pub(super) const DROP_KEYSPACE: u64 = 12;
    pub(super) const LOG_FLOOR: u64 = 14;
    pub(super) const ADD_TABLE: u64 = 16;
    pub(super) const REMOVE_TABLE: u64 = 18;
    pub(super) const FLUSHED: u64 = 20;
    pub(super) const LOG_END: u64 = 22;
}

/// Why the bytes of an edit can't be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DecodeError {
    /// They are not an edit.
    Malformed,
    /// A change that this version does not know and may not skip.
    Unknown(u64),
}

impl Edit {
    /// No change yet.
    pub fn new() -> Edit {
        Edit::default()
    }

    /// With one more change.
    #[must_use]
    pub fn with(mut self, change: Change) -> Edit {
        self.changes.push(change);
        self
    }

    /// Appends the bytes of the edit.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        let mut body = Vec::new();
        for change in &self.changes {
            body.clear();
            let tag = change.encode_body(&mut body);
            coding::put_varint(bytes, tag);
            coding::put_bytes(bytes, &body);
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Edit, DecodeError> {
        let mut decoder = Decoder::new(bytes);
        let mut changes = Vec::new();
        while !decoder.is_done() {
            let tag = decoder.varint().ok_or(DecodeError::Malformed)?;
            let body = decoder.bytes().ok_or(DecodeError::Malformed)?;
            match Change::decode_body(tag, body) {
                Some(change) => changes.push(change.ok_or(DecodeError::Malformed)?),
                None if tag & 1 == 1 => {}
                None => return Err(DecodeError::Unknown(tag)),
            }
        }
        Ok(Edit { changes })
    }
}

impl Change {
    fn encode_body(&self, body: &mut Vec<u8>) -> u64 {
        match self {
            Change::Comparator(name) => {
                coding::put_bytes(body, name.as_bytes());
                tag::COMPARATOR
            }
            Change::NextTable(id) => {
                coding::put_varint(body, id.0);
                tag::NEXT_TABLE
            }
            Change::LastSeq(seq) => {
                coding::put_varint(body, seq.value());
                tag::LAST_SEQ
            }
            Change::NextKeyspace(id) => {
                coding::put_varint(body, u64::from(id.0));
                tag::NEXT_KEYSPACE
            }
            Change::CreateKeyspace { id, name, log_floor } => {
                coding::put_varint(body, u64::from(id.0));
                coding::put_varint(body, log_floor.0);
                coding::put_bytes(body, name.as_bytes());
                tag::CREATE_KEYSPACE
            }
            Change::DropKeyspace(id) => {
                coding::put_varint(body, u64::from(id.0));
                tag::DROP_KEYSPACE
            }
            Change::LogFloor { keyspace, segment } => {
                coding::put_varint(body, u64::from(keyspace.0));
                coding::put_varint(body, segment.0);
                tag::LOG_FLOOR
            }
            Change::Flushed { keyspace, seq } => {
                coding::put_varint(body, u64::from(keyspace.0));
                coding::put_varint(body, seq.value());
                tag::FLUSHED
            }
            Change::LogEnd(position) => {
                coding::put_varint(body, *position);
                tag::LOG_END
            }
            Change::Table { keyspace, change: TableChange::Add { level, run, table } } => {
                coding::put_varint(body, u64::from(keyspace.0));
                coding::put_varint(body, u64::from(*level));
                coding::put_varint(body, run.0);
                encode_table(body, table);
                tag::ADD_TABLE
            }
            Change::Table { keyspace, change: TableChange::Remove { table } } => {
                coding::put_varint(body, u64::from(keyspace.0));
                coding::put_varint(body, table.0);
                tag::REMOVE_TABLE
            }
        }
    }

    /// `None` for an unknown tag, `Some(None)` for a malformed body. What follows the last known
    /// field of a body is skipped: later versions may append to it.
    fn decode_body(tag: u64, body: &[u8]) -> Option<Option<Change>> {
        let mut body = Decoder::new(body);
        let body = &mut body;
        Some(match tag {
            tag::COMPARATOR => text(body).map(Change::Comparator),
            tag::NEXT_TABLE => body.varint().map(|id| Change::NextTable(TableId(id))),
            tag::LAST_SEQ => seq(body).map(Change::LastSeq),
            tag::NEXT_KEYSPACE => keyspace(body).map(Change::NextKeyspace),
            tag::CREATE_KEYSPACE => create_keyspace(body),
            tag::DROP_KEYSPACE => keyspace(body).map(Change::DropKeyspace),
            tag::LOG_FLOOR => log_floor(body),
            tag::ADD_TABLE => add_table(body),
            tag::REMOVE_TABLE => remove_table(body),
            tag::FLUSHED => flushed(body),
            tag::LOG_END => body.varint().map(Change::LogEnd),
            _ => return None,
        })
    }
}

fn encode_table(body: &mut Vec<u8>, table: &TableMeta) {
    coding::put_varint(body, table.id.0);
    coding::put_u64(body, table.uid);
    coding::put_u32(body, table.checksum);
    coding::put_varint(body, table.size_bytes);
    coding::put_varint(body, table.entries);
    coding::put_varint(body, table.tombstones);
    coding::put_varint(body, table.raw_bytes);
    coding::put_varint(body, table.seq_min.value());
    coding::put_varint(body, table.seq_max.value());
    coding::put_bytes(body, &table.smallest);
    coding::put_bytes(body, &table.largest);
    if table.written != Written::default() {
        coding::put_varint(body, table.written.from);
        coding::put_varint(body, table.written.until);
    }
}

fn decode_table(body: &mut Decoder<'_>) -> Option<TableMeta> {
    Some(TableMeta {
        id: TableId(body.varint()?),
        uid: body.u64()?,
        checksum: body.u32()?,
        size_bytes: body.varint()?,
        entries: body.varint()?,
        tombstones: body.varint()?,
        raw_bytes: body.varint()?,
        seq_min: seq(body)?,
        seq_max: seq(body)?,
        smallest: body.bytes()?.into(),
        largest: body.bytes()?.into(),
        written: match body.is_done() {
            true => Written::default(),
            false => Written { from: body.varint()?, until: body.varint()? },
        },
    })
}

fn create_keyspace(body: &mut Decoder<'_>) -> Option<Change> {
    let id = keyspace(body)?;
    let log_floor = SegmentId(body.varint()?);
    Some(Change::CreateKeyspace { id, log_floor, name: text(body)? })
}

fn log_floor(body: &mut Decoder<'_>) -> Option<Change> {
    Some(Change::LogFloor { keyspace: keyspace(body)?, segment: SegmentId(body.varint()?) })
}

fn flushed(body: &mut Decoder<'_>) -> Option<Change> {
    Some(Change::Flushed { keyspace: keyspace(body)?, seq: seq(body)? })
}

fn add_table(body: &mut Decoder<'_>) -> Option<Change> {
    let keyspace = keyspace(body)?;
    let level = u32::try_from(body.varint()?).ok()?;
    let run = RunId(body.varint()?);
    let table = Arc::new(decode_table(body)?);
    Some(Change::Table { keyspace, change: TableChange::Add { level, run, table } })
}

fn remove_table(body: &mut Decoder<'_>) -> Option<Change> {
    let keyspace = keyspace(body)?;
    let table = TableId(body.varint()?);
    Some(Change::Table { keyspace, change: TableChange::Remove { table } })
}

fn keyspace(body: &mut Decoder<'_>) -> Option<KeyspaceId> {
    u32::try_from(body.varint()?).ok().map(KeyspaceId)
}

fn seq(body: &mut Decoder<'_>) -> Option<SeqNo> {
    SeqNo::new(body.varint()?)
}

fn text(body: &mut Decoder<'_>) -> Option<String> {
    String::from_utf8(body.bytes()?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_table() -> impl Strategy<Value = TableMeta> {
        (
            any::<(u64, u64, u32, u64)>(),
            any::<(u64, u64, u64)>(),
            any::<(u32, u32)>(),
            any::<(Vec<u8>, Vec<u8>)>(),
            any::<(u64, u64)>(),
        )
            .prop_map(
                |((id, uid, checksum, size_bytes), (entries, tombstones, raw_bytes), seqs, keys, written)| {
                    TableMeta {
                        id: TableId(id),
                        uid,
                        checksum,
                        size_bytes,
                        entries,
                        tombstones,
                        raw_bytes,
                        seq_min: SeqNo::new(u64::from(seqs.0)).unwrap(),
                        seq_max: SeqNo::new(u64::from(seqs.1)).unwrap(),
                        smallest: keys.0.into(),
                        largest: keys.1.into(),
                        written: Written { from: written.0, until: written.1 },
                    }
                },
            )
    }

    fn any_change() -> impl Strategy<Value = Change> {
        let id = || any::<u32>().prop_map(KeyspaceId);
        prop_oneof![
            ".*".prop_map(Change::Comparator),
            any::<u64>().prop_map(|n| Change::NextTable(TableId(n))),
            any::<u32>().prop_map(|n| Change::LastSeq(SeqNo::new(u64::from(n)).unwrap())),
            id().prop_map(Change::NextKeyspace),
            (id(), ".*", any::<u64>()).prop_map(|(id, name, floor)| Change::CreateKeyspace {
                id,
                name,
                log_floor: SegmentId(floor)
            }),
            id().prop_map(Change::DropKeyspace),
            (id(), any::<u64>())
                .prop_map(|(keyspace, n)| Change::LogFloor { keyspace, segment: SegmentId(n) }),
            (id(), any::<u32>()).prop_map(|(keyspace, n)| Change::Flushed {
                keyspace,
                seq: SeqNo::new(u64::from(n)).unwrap()
            }),
            any::<u64>().prop_map(Change::LogEnd),
            (id(), any::<u32>(), any::<u64>(), any_table()).prop_map(|(keyspace, level, run, table)| {
                let change = TableChange::Add { level, run: RunId(run), table: Arc::new(table) };
                Change::Table { keyspace, change }
            }),
            (id(), any::<u64>()).prop_map(|(keyspace, n)| Change::Table {
                keyspace,
                change: TableChange::Remove { table: TableId(n) }
            }),
        ]
    }

    proptest! {
        #[test]
        fn edits_return(changes in proptest::collection::vec(any_change(), 0..8)) {
            let edit = Edit { changes };
            let mut bytes = Vec::new();
            edit.encode(&mut bytes);
            prop_assert_eq!(Edit::decode(&bytes), Ok(edit));
        }

        #[test]
        fn any_bytes_decode_without_panic(bytes: Vec<u8>) {
            let _ = Edit::decode(&bytes);
        }
    }

    /// The worked example of `docs/formats/manifest.md`.
    #[test]
    fn golden_bytes() {
        let table = TableMeta {
            id: TableId(3),
            uid: 0x0102_0304_0506_0708,
            size_bytes: 300,
            checksum: 0xaabb_ccdd,
            entries: 2,
            tombstones: 1,
            raw_bytes: 9,
            smallest: b"a"[..].into(),
            largest: b"bc"[..].into(),
            seq_min: SeqNo::new(5).unwrap(),
            seq_max: SeqNo::new(6).unwrap(),
            written: Written::default(),
        };
        let change = TableChange::Add { level: 1, run: RunId(3), table: Arc::new(table) };
        let edit = Edit::new()
            .with(Change::LogFloor { keyspace: KeyspaceId(0), segment: SegmentId(2) })
            .with(Change::Table { keyspace: KeyspaceId(0), change });
        let mut bytes = Vec::new();
        edit.encode(&mut bytes);
        #[rustfmt::skip]
        let expected = [
            14, 2, 0, 2,
            16, 28, 0, 1, 3,
                3, 8, 7, 6, 5, 4, 3, 2, 1, 0xdd, 0xcc, 0xbb, 0xaa, 0xac, 2, 2, 1, 9, 5, 6,
                1, b'a', 2, b'b', b'c',
        ];
        assert_eq!(bytes, expected);
    }

    #[test]
    fn when_a_table_was_written_comes_last() {
        let table = TableMeta { written: Written { from: 200, until: 7 }, ..TableMeta::default() };
        let mut bytes = Vec::new();
        encode_table(&mut bytes, &table);
        assert_eq!(bytes[bytes.len() - 3..], [200, 1, 7]);
        assert_eq!(decode_table(&mut Decoder::new(&bytes)), Some(table));
        assert_eq!(decode_table(&mut Decoder::new(&bytes[..bytes.len() - 1])), None);
    }

    #[test]
    fn unknown_changes_are_skipped_only_where_they_say_so() {
        assert_eq!(Edit::decode(&[101, 1, 9]), Ok(Edit::new()));
        assert_eq!(Edit::decode(&[100, 1, 9]), Err(DecodeError::Unknown(100)));
        assert_eq!(Edit::decode(&[tag::LAST_SEQ as u8, 0]), Err(DecodeError::Malformed));
        // A field appended by a later version.
        let longer = Edit::decode(&[tag::NEXT_TABLE as u8, 2, 7, 99]).unwrap();
        assert_eq!(longer.changes, [Change::NextTable(TableId(7))]);
    }
}
