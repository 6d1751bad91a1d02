#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod check;
mod cut;
mod fifo;
mod job;
mod leveled;
mod manual;
mod merge;
mod older;
mod picker;
#[cfg(test)]
mod picture;
mod retain;
mod rewrite;
#[cfg(feature = "simulate")]
pub mod simulate;
mod span;
mod split;
#[cfg(feature = "testkit")]
pub mod testkit;
mod tiered;
mod time_window;

pub use check::Unsound;
pub use cut::OutputCutter;
pub use fifo::Fifo;
pub use job::Source;
pub use leveled::Leveled;
pub use manual::{ManualCompaction, ManualStep};
pub use merge::Merge;
pub use older::OlderBelow;
pub use picker::{Busy, BusyRange, Cause, CompactionPicker, Job, JobKind, Pressure};
pub use retain::Retain;
pub use rewrite::{Output, Rewritten};
pub use split::Part;
pub use tiered::Tiered;
pub use time_window::TimeWindow;
