#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod berths;
mod cache;
mod clock;
mod ghost;
mod index;
mod newcomers;
mod shard;
mod slots;
mod sync;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use arc_swap::RefCnt;
pub use berths::{Berthed, Berths};
pub use cache::{Asked, BlockCache, BlockKey, CacheUsage};
pub use clock::Clock;
