#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod cache;
mod clock;
mod ghost;
mod index;
mod shard;
mod slots;
mod sync;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use cache::{BlockCache, BlockKey, CacheUsage};
pub use clock::Clock;
