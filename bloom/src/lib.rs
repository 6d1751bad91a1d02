#![doc = include_str!("../README.md")]

#[cfg(target_arch = "x86_64")]
mod avx2;
mod blocked;
mod budget;
mod hash;
mod none;
mod policy;
mod rate;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use blocked::Blocked;
pub use budget::bits_beside;
pub use hash::hash;
pub use none::NoFilter;
pub use policy::FilterPolicy;
pub use rate::expected_false_positive_rate;
