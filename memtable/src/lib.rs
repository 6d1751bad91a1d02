#![doc = include_str!("../README.md")]

mod btree;
mod head;
mod skiplist;
mod sync;
mod table;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use btree::{BTree, BTreeCursor};
pub use skiplist::{SkipList, SkipListCursor};
pub use table::Memtable;
