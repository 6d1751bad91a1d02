//! Tables drawn for tests.

use std::sync::Arc;

use lsmkit_base::{TableId, TableMeta};

/// The table of keys `a` to `c` with 40 bytes from `a-c:40`.
pub(crate) fn table(id: u64, picture: &str) -> Arc<TableMeta> {
    let (range, size) = picture.split_once(':').expect("a size behind a colon");
    let (smallest, largest) = range.split_once('-').expect("two keys with a hyphen between");
    Arc::new(TableMeta {
        id: TableId(id),
        size_bytes: size.parse().expect("a size in bytes"),
        smallest: smallest.as_bytes().into(),
        largest: largest.as_bytes().into(),
        ..TableMeta::default()
    })
}
