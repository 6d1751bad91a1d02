use lsmkit_sstable::testkit::{read_in_every_way, table_of_block};

use crate::draw::Draw;

/// A data block of any bytes, as it is or as if it had been compressed, in a table that is sound otherwise.
pub fn block(data: &[u8]) {
    let mut draw = Draw::new(data);
    let (codec, more) = (draw.byte() % 5, draw.u16());
    let stored = draw.rest();
    let raw_bytes = if codec == 0 { 0 } else { u32::from(more) } + stored.len() as u32;
    let keys: Vec<Vec<u8>> = stored.chunks(8).take(20).map(<[u8]>::to_vec).collect();
    read_in_every_way(&table_of_block(stored, codec, raw_bytes), &keys);
}
