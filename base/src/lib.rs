#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

pub mod coding;
mod counters;
mod cursor;
mod fault;
mod key;
mod lent;
mod prefetch;
mod slice;
mod tree;

pub use counters::Counters;
pub use cursor::{ANNOUNCEMENTS, Cursor};
pub use fault::{Fault, FaultContext, FaultKind};
pub use key::{
    Entry, KeyRef, KeyspaceId, MAX_KEY_BYTES, MAX_VALUE_BYTES, SegmentId, SeqNo, ValueKind, begins_with,
    key_head,
};
pub use lent::Lent;
pub use prefetch::{prefetch, prefetch_value};
pub use slice::{Buffer, Slice, buffer, refilled};
pub use tree::{Level, Run, RunId, TableChange, TableId, TableMeta, Tree, TreeError, Written};
