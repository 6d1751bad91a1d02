#![doc = include_str!("../README.md")]

mod arena;
mod bplus;
mod btree;
mod skiplist;
mod sync;
mod table;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use bplus::{BPlusTree, BPlusTreeCursor};
pub use btree::{BTree, BTreeCursor};
pub use skiplist::{SkipList, SkipListCursor};
pub use table::Memtable;
