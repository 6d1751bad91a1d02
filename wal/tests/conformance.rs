//! The crate's own log under the laws it asks of others.

use lsmkit_wal::SegmentedLog;

lsmkit_wal::conformance!(SegmentedLog::open);
