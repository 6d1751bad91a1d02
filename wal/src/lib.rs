#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod chain;
mod evidence;
mod frame;
mod log;
mod names;
mod reader;
mod replay;
mod segment;
mod segments;
mod sync;
#[cfg(feature = "testkit")]
pub mod testkit;
mod writer;

pub use frame::MAX_RECORD_BYTES;
pub use log::{Log, LogSyncer, Replay, TornTail};
pub use reader::{SegmentEnd, SegmentReader};
pub use segment::{Purpose, SEGMENT_HEADER_BYTES, SegmentHeader, SegmentLink};
pub use segments::SegmentedLog;
pub use sync::SegmentSyncer;
pub use writer::SegmentWriter;
