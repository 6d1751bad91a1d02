use std::path::Path;
use std::sync::OnceLock;

use lsmkit_base::{Entry, SeqNo};
use lsmkit_sstable::testkit::{Forge, read_in_every_way};
use lsmkit_sstable::{Compression, FileWriter, TableOptions, TableWriter};
use lsmkit_vfs::MemFs;

use crate::draw::Draw;

/// Tables: sound ones with bytes changed in their blocks, codecs, handles and footers, and every checksum put right. Opening, verifying, gets and
/// cursors end in an answer or an error.
pub fn table(data: &[u8]) {
    let mut draw = Draw::new(data);
    let tables = sound();
    let mut forge = Forge::of(&tables[draw.below(tables.len())]);
    let (blocks, footer) = (forge.blocks(), forge.footer());
    while !draw.is_used_up() {
        let place = match draw.below(8) {
            0 => footer.start + draw.below(footer.len()),
            // A codec, which stands behind its block.
            1 => blocks[usize::from(draw.u16()) % blocks.len()].end,
            kind => {
                let block = &blocks[usize::from(draw.u16()) % blocks.len()];
                if block.is_empty() {
                    continue;
                }
                // A block says most about itself in its first bytes.
                let among = if kind < 5 { block.len().min(32) } else { block.len() };
                block.start + usize::from(draw.u16()) % among
            }
        };
        forge.bytes_mut()[place] = draw.byte();
    }
    read_in_every_way(&forge.sealed(), &keys());
}

fn keys() -> Vec<Vec<u8>> {
    (0..40).map(|n| format!("user/{:03}", n * 7).into_bytes()).collect()
}

/// Tables of a few blocks: of each codec, and with index and filter in parts.
fn sound() -> &'static [Vec<u8>] {
    static SOUND: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SOUND.get_or_init(|| {
        let options = || TableOptions::new().uid_seed(1).filter_prefix_bytes(5).block_bytes(200);
        let mut all = vec![options().block_bytes(64).pinned_bytes_max(0)];
        all.extend(
            [Compression::None, Compression::Snappy, Compression::Lz4]
                .map(|codec| options().compression(codec)),
        );
        all.iter().map(written).collect()
    })
}

fn written(options: &TableOptions) -> Vec<u8> {
    let disk = MemFs::new();
    let path = Path::new("/t.sst");
    let mut writer = FileWriter::create(&disk.shared(), path, options).unwrap();
    for (n, key) in keys().iter().enumerate() {
        let value = b"value ".repeat(n % 7);
        writer.add(Entry::put(key, SeqNo::new(100 + n as u64).unwrap(), &value)).unwrap();
        writer.add(Entry::delete(key, SeqNo::new(50).unwrap())).unwrap();
    }
    writer.finish().unwrap();
    disk.read(path).unwrap()
}
