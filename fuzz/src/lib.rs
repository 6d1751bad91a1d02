#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a target whose own steps fail has found something")]

mod batch;
mod block;
mod coding;
mod draw;
mod filter;
mod log;
mod manifest;
pub mod planted;
mod store;
mod table;

pub use batch::batch;
pub use block::block;
pub use coding::coding;
pub use filter::filter;
pub use log::log;
pub use manifest::manifest;
pub use store::{crashes, operations};
pub use table::table;

/// What a fuzzer calls.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Target); 9] = [
    ("batch", batch),
    ("block", block),
    ("coding", coding),
    ("crashes", crashes),
    ("filter", filter),
    ("log", log),
    ("manifest", manifest),
    ("operations", operations),
    ("table", table),
];
