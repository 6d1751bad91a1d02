#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod ahead;
mod chain;
mod evidence;
mod frame;
mod lag;
mod log;
mod names;
mod next;
mod options;
mod reader;
mod replay;
mod room;
mod salvage;
mod segment;
mod segments;
mod sync;
#[cfg(feature = "testkit")]
pub mod testkit;
mod writer;

pub use frame::MAX_RECORD_BYTES;
pub use log::{Log, LogHandle, Next, Removal, Replay, TornTail};
pub use options::LogOptions;
pub use reader::{SegmentEnd, SegmentReader};
pub use salvage::{LogHole, Salvaged, salvage, set_segment_aside};
pub use segment::{Purpose, SEGMENT_HEADER_BYTES, SegmentHeader, SegmentLink};
pub use segments::SegmentedLog;
pub use sync::SegmentHandle;
pub use writer::SegmentWriter;
