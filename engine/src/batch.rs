//! Writes that happen together, and their bytes in the log (`docs/formats/batch.md`).

use std::borrow::Cow;
use std::sync::Arc;

use lsmkit_base::coding::{self, Decoder};
use lsmkit_base::{Entry, KeyspaceId, MAX_KEY_BYTES, MAX_VALUE_BYTES, SeqNo, ValueKind};

use crate::{Error, Keyspace, Parts};

/// The keyspace that is always there.
pub(crate) const DEFAULT_KEYSPACE: KeyspaceId = KeyspaceId(0);

/// Puts and deletes that happen together: after any crash all of them are there or none.
///
/// Later writes of a batch win over earlier ones to the same key. A batch can be cleared and used
/// again, which spares taking memory anew.
///
/// ```
/// # let db = lsmkit::Options::new().open_in_memory()?;
/// let mut batch = lsmkit::WriteBatch::new();
/// batch.put(b"a", b"1");
/// batch.delete(b"b");
/// db.write(batch)?;
/// # Ok::<(), lsmkit::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct WriteBatch {
    record: Record,
    /// The store whose keyspaces it names, where it names any.
    store: Option<u64>,
    /// The first keyspace it names.
    first: Option<Arc<str>>,
    /// The first it names of another store than that of the first.
    mixed: Option<Arc<str>>,
}

impl WriteBatch {
    /// An empty batch.
    pub fn new() -> WriteBatch {
        WriteBatch::default()
    }

    /// An empty batch with room for keys and values of `size_bytes` in all.
    pub fn with_capacity(size_bytes: usize) -> WriteBatch {
        WriteBatch { record: Record::with_capacity(size_bytes), ..WriteBatch::default() }
    }

    /// Sets `key` in the default keyspace. A key or value that is too long is reported when the batch is written.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut WriteBatch {
        self.record.in_default = true;
        self.record.put(DEFAULT_KEYSPACE, key.as_ref(), value.as_ref());
        self
    }

    /// Removes `key` from the default keyspace.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> &mut WriteBatch {
        self.record.in_default = true;
        self.record.delete(DEFAULT_KEYSPACE, key.as_ref());
        self
    }

    /// Sets `key` in a keyspace.
    pub fn put_in<P: Parts>(
        &mut self,
        keyspace: &Keyspace<P>,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> &mut WriteBatch {
        self.name_keyspace(keyspace);
        self.record.put(keyspace.id(), key.as_ref(), value.as_ref());
        self
    }

    /// Removes `key` from a keyspace.
    pub fn delete_in<P: Parts>(&mut self, keyspace: &Keyspace<P>, key: impl AsRef<[u8]>) -> &mut WriteBatch {
        self.name_keyspace(keyspace);
        self.record.delete(keyspace.id(), key.as_ref());
        self
    }

    fn name_keyspace<P: Parts>(&mut self, keyspace: &Keyspace<P>) {
        let serial = keyspace.store_serial();
        self.first.get_or_insert_with(|| Arc::clone(keyspace.shared_name()));
        if *self.store.get_or_insert(serial) != serial {
            self.mixed.get_or_insert_with(|| Arc::clone(keyspace.shared_name()));
        }
        self.record.name_keyspace(keyspace.id(), keyspace.shared_name());
    }

    /// How many puts and deletes it holds.
    pub fn len(&self) -> usize {
        self.record.count as usize
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.record.count == 0
    }

    /// The exact size of its log record.
    pub fn size_bytes(&self) -> usize {
        self.record.size_bytes()
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.record.clear();
        self.store = None;
        self.first = None;
        self.mixed = None;
    }

    /// The record, for the store numbered `serial`.
    ///
    /// # Errors
    ///
    /// [`Error::NoKeyspace`] where it names a keyspace of another store.
    pub(crate) fn into_record(self, serial: u64) -> Result<Record, Error> {
        self.check_of(serial)?;
        Ok(self.record)
    }

    /// # Errors
    ///
    /// [`Error::NoKeyspace`] where it names a keyspace of another store than that numbered `serial`.
    pub(crate) fn check_of(&self, serial: u64) -> Result<(), Error> {
        let foreign = if self.begins_in(serial) { &self.mixed } else { &self.first };
        foreign.as_ref().map_or(Ok(()), |name| Err(Error::NoKeyspace(name.to_string())))
    }

    /// Whether the first keyspace it names, if it names any, is of the store numbered `serial`.
    pub(crate) fn begins_in(&self, serial: u64) -> bool {
        self.store.is_none_or(|store| store == serial)
    }

    /// The writes so far.
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }
}

/// The version of the record; the first byte.
const VERSION: u8 = 1;
/// Version, sequence number of the first write.
const HEADER_BYTES: usize = 1 + 8;
/// Of the number that a write begins with, the bits that are its kind; those above are the keyspace.
const KIND_BITS: u32 = 3;

/// The largest batch: what one log record can hold.
pub(crate) const MAX_BATCH_BYTES: usize = i32::MAX as usize;

/// A record being built: the very bytes that go to the log, so that nothing is encoded twice. Every
/// write takes one sequence number, in order.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    bytes: Vec<u8>,
    count: u32,
    /// Whether it writes to the default keyspace.
    in_default: bool,
    /// The other keyspaces it writes to, by number and name.
    others: Vec<(KeyspaceId, Arc<str>)>,
    /// The first error of a write that did not fit; reported when the batch is written.
    refused: Option<Error>,
}

impl Default for Record {
    fn default() -> Record {
        Record::with_capacity(0)
    }
}

impl Record {
    pub(crate) fn with_capacity(size_bytes: usize) -> Record {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + size_bytes);
        bytes.push(VERSION);
        bytes.extend_from_slice(&[0; HEADER_BYTES - 1]);
        Record { bytes, count: 0, in_default: false, others: Vec::new(), refused: None }
    }

    pub(crate) fn put(&mut self, keyspace: KeyspaceId, key: &[u8], value: &[u8]) {
        if value.len() > MAX_VALUE_BYTES {
            self.refuse(Error::ValueTooLong { size_bytes: value.len() });
        } else if self.write(ValueKind::Put, keyspace, key, value.len()) {
            coding::put_bytes(&mut self.bytes, value);
        }
    }

    pub(crate) fn delete(&mut self, keyspace: KeyspaceId, key: &[u8]) {
        self.write(ValueKind::Delete, keyspace, key, 0);
    }

    /// Says that the record writes to a keyspace; before the first such write.
    pub(crate) fn name_keyspace(&mut self, keyspace: KeyspaceId, name: &Arc<str>) {
        if keyspace == DEFAULT_KEYSPACE {
            self.in_default = true;
        } else if self.others.iter().all(|(known, _)| *known != keyspace) {
            self.others.push((keyspace, Arc::clone(name)));
        }
    }

    /// The keyspaces it writes to.
    pub(crate) fn keyspace_ids(&self) -> impl Iterator<Item = KeyspaceId> {
        self.in_default.then_some(DEFAULT_KEYSPACE).into_iter().chain(self.others.iter().map(|(id, _)| *id))
    }

    /// The keyspaces it writes to and that may be gone, with their names.
    pub(crate) fn other_keyspaces(&self) -> &[(KeyspaceId, Arc<str>)] {
        &self.others
    }

    fn write(&mut self, kind: ValueKind, keyspace: KeyspaceId, key: &[u8], value_len: usize) -> bool {
        if key.len() > MAX_KEY_BYTES {
            self.refuse(Error::KeyTooLong { size_bytes: key.len() });
            return false;
        }
        // Keyspace with kind, and two lengths: no more than 5 + 5 + 5 bytes.
        let size_bytes = self.bytes.len() + key.len() + value_len + 15;
        if size_bytes > MAX_BATCH_BYTES {
            self.refuse(Error::BatchTooLarge { size_bytes, max_bytes: MAX_BATCH_BYTES });
            return false;
        }
        coding::put_varint(&mut self.bytes, (u64::from(keyspace.0) << KIND_BITS) | kind as u64);
        coding::put_bytes(&mut self.bytes, key);
        self.count += 1;
        true
    }

    fn refuse(&mut self, error: Error) {
        self.refused.get_or_insert(error);
    }

    /// Forgets all writes, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.truncate(HEADER_BYTES);
        self.count = 0;
        self.in_default = false;
        self.others.clear();
        self.refused = None;
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The error of the first write that did not fit.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.refused.clone().map_or(Ok(()), Err)
    }

    /// Gives the writes their place in history; the record is then ready for the log.
    pub(crate) fn seal(&mut self, first: SeqNo) -> &[u8] {
        self.bytes[1..HEADER_BYTES].copy_from_slice(&first.value().to_le_bytes());
        &self.bytes
    }

    /// The sealed bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The key of the write that begins at byte `at`, as [`Record::size_bytes`] was before it.
    #[inline]
    pub(crate) fn key_at(&self, at: usize) -> &[u8] {
        let mut rest = Decoder::new(&self.bytes[at..]);
        rest.varint().and_then(|_| rest.bytes()).expect("because a write was put there")
    }

    /// The write that begins at byte `at`. Its sequence number says nothing before the record is sealed.
    pub(crate) fn write_at(&self, at: usize) -> Write<'_> {
        let mut writes = Writes { rest: Decoder::new(&self.bytes[at..]), seq: SeqNo::ZERO };
        Writes::take(&mut writes).expect("because a write was put there")
    }

    /// The writes, in order.
    pub(crate) fn writes(&self) -> Writes<'_> {
        Writes::decode(&self.bytes).expect("because it was sealed with a sequence number")
    }
}

/// One write of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Write<'a> {
    pub(crate) keyspace: KeyspaceId,
    pub(crate) entry: Entry<'a>,
}

/// The writes of a record, each an error if the bytes are not what a record holds.
#[derive(Clone, Debug)]
pub(crate) struct Writes<'a> {
    rest: Decoder<'a>,
    seq: SeqNo,
}

impl<'a> Writes<'a> {
    /// The writes of a record, whether it comes from the log or is about to go there.
    #[inline]
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Writes<'a>, Malformed> {
        let mut rest = Decoder::new(bytes);
        match rest.byte().ok_or("a record without a version")? {
            VERSION => {}
            version => return Err(format!("a record of version {version}").into()),
        }
        let first = rest.u64().ok_or("a record cut in its sequence number")?;
        let seq = SeqNo::new(first).ok_or_else(|| format!("a record with sequence number {first}"))?;
        Ok(Writes { rest, seq })
    }

    /// The sequence number of the first write that has not been taken.
    pub(crate) fn seq(&self) -> SeqNo {
        self.seq
    }

    fn take(&mut self) -> Result<Write<'a>, Malformed> {
        let begin = self.rest.varint().ok_or("a write whose keyspace is cut")?;
        let kind = (begin % (1 << KIND_BITS)) as u8;
        let kind = ValueKind::from_byte(kind).ok_or_else(|| format!("a write of kind {kind}"))?;
        let keyspace = u32::try_from(begin >> KIND_BITS).map(KeyspaceId);
        let keyspace = keyspace.map_err(|_| "a write to a keyspace past the last number")?;
        let user_key = self.rest.bytes().ok_or("a write whose key is cut")?;
        let value = match kind {
            ValueKind::Put => self.rest.bytes().ok_or("a write whose value is cut")?,
            ValueKind::Delete => &[],
        };
        if user_key.len() > MAX_KEY_BYTES || value.len() > MAX_VALUE_BYTES {
            return Err("a write whose key or value is longer than the longest".into());
        }
        let entry = Entry { user_key, seq: self.seq, kind, value };
        self.seq = self.seq.plus(1).ok_or("a record that ends past the last sequence number")?;
        Ok(Write { keyspace, entry })
    }
}

/// What is wrong with a record.
pub(crate) type Malformed = Cow<'static, str>;

impl<'a> Iterator for Writes<'a> {
    type Item = Result<Write<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_done() {
            return None;
        }
        let write = self.take();
        if write.is_err() {
            self.rest = Decoder::new(&[]);
        }
        Some(write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seq(n: u64) -> SeqNo {
        SeqNo::new(n).unwrap()
    }

    /// The worked example of `docs/formats/batch.md`.
    #[test]
    fn golden_bytes() {
        let mut record = Record::default();
        record.put(KeyspaceId(0), b"city", b"Porto");
        record.delete(KeyspaceId(300), b"old");
        record.seal(seq(258));
        #[rustfmt::skip]
        let expected = [
            1,  2, 1, 0, 0, 0, 0, 0, 0,
            1, 4, b'c', b'i', b't', b'y', 5, b'P', b'o', b'r', b't', b'o',
            0xe0, 0x12, 3, b'o', b'l', b'd',
        ];
        assert_eq!(record.bytes(), expected);
    }

    #[test]
    fn a_write_that_does_not_fit_is_reported_and_left_out() {
        let mut record = Record::default();
        record.put(KeyspaceId(0), &vec![0; MAX_KEY_BYTES], b"");
        record.check().unwrap();
        record.delete(KeyspaceId(0), &vec![0; MAX_KEY_BYTES + 1]);
        assert_eq!(record.count(), 1);
        assert!(
            matches!(record.check(), Err(Error::KeyTooLong { size_bytes }) if size_bytes == MAX_KEY_BYTES + 1)
        );
        record.clear();
        record.check().unwrap();
        assert_eq!(record.size_bytes(), HEADER_BYTES);
    }

    #[test]
    fn reserved_kinds_and_versions_are_named() {
        let mut record = Record::default();
        record.put(KeyspaceId(0), b"k", b"v");
        record.seal(seq(1));
        let mut bytes = record.bytes().to_vec();
        bytes[HEADER_BYTES] = 2;
        let error = Writes::decode(&bytes).unwrap().next().unwrap().unwrap_err();
        assert_eq!(error, "a write of kind 2");
        bytes[0] = 9;
        assert_eq!(Writes::decode(&bytes).unwrap_err(), "a record of version 9");
    }

    proptest! {
        #[test]
        fn records_return(
            writes in proptest::collection::vec((any::<u32>(), any::<Vec<u8>>(), any::<Option<Vec<u8>>>()), 0..20),
            first in 0..1_u64 << 50,
        ) {
            let mut record = Record::default();
            for (keyspace, key, value) in &writes {
                match value {
                    Some(value) => record.put(KeyspaceId(*keyspace), key, value),
                    None => record.delete(KeyspaceId(*keyspace), key),
                }
            }
            record.seal(seq(first));
            let read: Vec<_> = Writes::decode(record.bytes()).unwrap().collect::<Result<_, _>>().unwrap();
            let expected: Vec<_> = writes.iter().zip(first..).map(|((keyspace, key, value), n)| Write {
                keyspace: KeyspaceId(*keyspace),
                entry: match value {
                    Some(value) => Entry::put(key, seq(n), value),
                    None => Entry::delete(key, seq(n)),
                },
            }).collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn any_bytes_decode_without_panic(bytes: Vec<u8>) {
            if let Ok(writes) = Writes::decode(&bytes) {
                prop_assert!(writes.take_while(Result::is_ok).count() <= bytes.len());
            }
        }
    }
}
