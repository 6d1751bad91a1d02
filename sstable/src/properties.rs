//! What a table says of itself.
//!
//! Fields, each a tag (varint) and its bytes (length as a varint, then the bytes); a reader skips the
//! tags it does not know. Numbers are eight bytes. Specified in `docs/formats/table.md`, section
//! "Properties".

use lsmkit_base::coding::{Decoder, put_bytes, put_varint};
use lsmkit_base::{KeyspaceId, SeqNo, TableId, Written};

use crate::damage::Damage;

/// The one order of keys there is.
const COMPARATOR: &str = "bytewise";

/// What a table says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Properties {
    /// The number it was written under.
    pub id: TableId,
    /// The keyspace it belongs to, if it was told.
    pub keyspace: Option<KeyspaceId>,
    /// The keyspace's name when it was written, if it was told; for whoever has only the file.
    pub keyspace_name: Option<String>,
    /// How many versions it holds, tombstones included.
    pub entries: u64,
    /// How many of them are tombstones.
    pub tombstones: u64,
    /// The bytes of all keys and values, before encoding and compression.
    pub raw_bytes: u64,
    /// How many blocks its entries are in.
    pub data_blocks: u64,
    /// The smallest sequence number.
    pub seq_min: SeqNo,
    /// The largest sequence number.
    pub seq_max: SeqNo,
    /// The smallest user key.
    pub smallest: Box<[u8]>,
    /// The largest user key.
    pub largest: Box<[u8]>,
    /// The name of the policy its filter was built by.
    pub filter: String,
    /// How many bytes at the beginning of each key its filter has as well; zero for none.
    pub filter_prefix_bytes: u64,
    /// The codec its blocks were compressed with, where that was worth while.
    pub compression: String,
    /// The length that its blocks were cut at, in bytes.
    pub block_bytes: u64,
    /// When its entries were flushed, if it was told.
    pub written: Written,
    /// What wrote it: a name and a version, for people.
    pub created_by: String,
}

const ID: u64 = 1;
const KEYSPACE: u64 = 2;
const ENTRIES: u64 = 3;
const TOMBSTONES: u64 = 4;
const RAW_BYTES: u64 = 5;
const DATA_BLOCKS: u64 = 6;
const SEQ_MIN: u64 = 7;
const SEQ_MAX: u64 = 8;
const SMALLEST: u64 = 9;
const LARGEST: u64 = 10;
const COMPARATOR_NAME: u64 = 11;
const FILTER_NAME: u64 = 12;
const COMPRESSION_NAME: u64 = 13;
const BLOCK_BYTES: u64 = 14;
const CREATED_BY: u64 = 15;
const FILTER_PREFIX_BYTES: u64 = 16;
const WRITTEN_FROM: u64 = 17;
const WRITTEN_UNTIL: u64 = 18;
const KEYSPACE_NAME: u64 = 19;

/// Fields without which a table can't be read or checked.
const REQUIRED: [u64; 11] = [
    ID,
    ENTRIES,
    TOMBSTONES,
    RAW_BYTES,
    DATA_BLOCKS,
    SEQ_MIN,
    SEQ_MAX,
    SMALLEST,
    LARGEST,
    COMPARATOR_NAME,
    FILTER_NAME,
];

impl Properties {
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        let mut field = |tag: u64, value: &[u8]| {
            put_varint(bytes, tag);
            put_bytes(bytes, value);
        };
        field(ID, &self.id.0.to_le_bytes());
        if let Some(keyspace) = self.keyspace {
            field(KEYSPACE, &u64::from(keyspace.0).to_le_bytes());
        }
        field(ENTRIES, &self.entries.to_le_bytes());
        field(TOMBSTONES, &self.tombstones.to_le_bytes());
        field(RAW_BYTES, &self.raw_bytes.to_le_bytes());
        field(DATA_BLOCKS, &self.data_blocks.to_le_bytes());
        field(SEQ_MIN, &self.seq_min.value().to_le_bytes());
        field(SEQ_MAX, &self.seq_max.value().to_le_bytes());
        field(SMALLEST, &self.smallest);
        field(LARGEST, &self.largest);
        field(COMPARATOR_NAME, COMPARATOR.as_bytes());
        field(FILTER_NAME, self.filter.as_bytes());
        field(COMPRESSION_NAME, self.compression.as_bytes());
        field(BLOCK_BYTES, &self.block_bytes.to_le_bytes());
        field(CREATED_BY, self.created_by.as_bytes());
        if self.filter_prefix_bytes > 0 {
            field(FILTER_PREFIX_BYTES, &self.filter_prefix_bytes.to_le_bytes());
        }
        if self.written != Written::default() {
            field(WRITTEN_FROM, &self.written.from.to_le_bytes());
            field(WRITTEN_UNTIL, &self.written.until.to_le_bytes());
        }
        if let Some(name) = &self.keyspace_name {
            field(KEYSPACE_NAME, name.as_bytes());
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Properties, Damage> {
        let mut properties = Properties::default();
        let mut seen = 0u64;
        let mut decoder = Decoder::new(bytes);
        while !decoder.is_done() {
            let (Some(tag), Some(value)) = (decoder.varint(), decoder.bytes()) else {
                return Err(Damage::corrupt("the properties end within a field"));
            };
            if tag < 64 {
                if seen & 1 << tag != 0 {
                    return Err(Damage::corrupt("a property is given twice"));
                }
                seen |= 1 << tag;
            }
            match tag {
                ID => properties.id = TableId(number(value)?),
                KEYSPACE => {
                    let keyspace = u32::try_from(number(value)?);
                    properties.keyspace = Some(KeyspaceId(
                        keyspace.map_err(|_| Damage::corrupt("a keyspace of more than 32 bits"))?,
                    ));
                }
                ENTRIES => properties.entries = number(value)?,
                TOMBSTONES => properties.tombstones = number(value)?,
                RAW_BYTES => properties.raw_bytes = number(value)?,
                DATA_BLOCKS => properties.data_blocks = number(value)?,
                SEQ_MIN => properties.seq_min = seq(value)?,
                SEQ_MAX => properties.seq_max = seq(value)?,
                SMALLEST => properties.smallest = value.into(),
                LARGEST => properties.largest = value.into(),
                COMPARATOR_NAME if value == COMPARATOR.as_bytes() => {}
                COMPARATOR_NAME => {
                    return Err(Damage::unsupported(format!("keys in the order {}", value.escape_ascii())));
                }
                FILTER_NAME => properties.filter = text(value)?,
                COMPRESSION_NAME => properties.compression = text(value)?,
                BLOCK_BYTES => properties.block_bytes = number(value)?,
                CREATED_BY => properties.created_by = text(value)?,
                FILTER_PREFIX_BYTES => properties.filter_prefix_bytes = number(value)?,
                WRITTEN_FROM => properties.written.from = number(value)?,
                WRITTEN_UNTIL => properties.written.until = number(value)?,
                KEYSPACE_NAME => properties.keyspace_name = Some(text(value)?),
                _ => {}
            }
        }
        if REQUIRED.iter().any(|tag| seen & 1 << tag == 0) {
            return Err(Damage::corrupt("a property is missing"));
        }
        Ok(properties)
    }
}

fn number(value: &[u8]) -> Result<u64, Damage> {
    let value =
        value.try_into().map_err(|_| Damage::corrupt("a number among the properties is not eight bytes"))?;
    Ok(u64::from_le_bytes(value))
}

fn seq(value: &[u8]) -> Result<SeqNo, Damage> {
    SeqNo::new(number(value)?).ok_or_else(|| Damage::corrupt("a sequence number of more than 56 bits"))
}

fn text(value: &[u8]) -> Result<String, Damage> {
    String::from_utf8(value.to_vec()).map_err(|_| Damage::corrupt("a name among the properties is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Properties {
        Properties {
            id: TableId(9),
            keyspace: Some(KeyspaceId(3)),
            keyspace_name: Some("people".to_owned()),
            entries: 10,
            tombstones: 2,
            raw_bytes: 1000,
            data_blocks: 4,
            seq_min: SeqNo::new(5).unwrap(),
            seq_max: SeqNo::MAX,
            smallest: b""[..].into(),
            largest: b"\xff\x00"[..].into(),
            filter: "none".into(),
            filter_prefix_bytes: 7,
            compression: "lz4".into(),
            block_bytes: 4096,
            written: Written { from: 1, until: 2 },
            created_by: "a test".into(),
        }
    }

    fn encoded() -> Vec<u8> {
        let mut bytes = Vec::new();
        sample().encode(&mut bytes);
        bytes
    }

    #[test]
    fn return_and_skip_what_is_not_known() {
        let mut bytes = encoded();
        assert_eq!(Properties::decode(&bytes), Ok(sample()));
        put_varint(&mut bytes, 1 << 40);
        put_bytes(&mut bytes, b"from a later version");
        assert_eq!(Properties::decode(&bytes), Ok(sample()));
    }

    #[test]
    fn another_order_is_unsupported() {
        let mut bytes = encoded();
        let at = bytes.windows(8).position(|w| w == b"bytewise").unwrap();
        bytes[at..at + 8].copy_from_slice(b"reversed");
        assert!(matches!(Properties::decode(&bytes), Err(Damage::Unsupported(_))));
    }

    #[test]
    fn missing_and_repeated_fields_are_corrupt() {
        let mut twice = encoded();
        twice.extend_from_slice(&encoded());
        assert!(matches!(Properties::decode(&twice), Err(Damage::Corrupt(_))));
        assert!(matches!(Properties::decode(&[]), Err(Damage::Corrupt(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_panic(at in 0usize..300, with: Vec<u8>) {
            let mut bytes = encoded();
            let at = at.min(bytes.len());
            bytes.splice(at..(at + with.len()).min(bytes.len()), with);
            let _ = Properties::decode(&bytes);
        }
    }
}
