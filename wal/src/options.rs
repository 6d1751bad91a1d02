//! Settings of a log.

/// Settings of a [`SegmentedLog`](crate::SegmentedLog).
#[derive(Clone, Debug)]
pub struct LogOptions {
    pub(crate) room_from_bytes: u64,
    pub(crate) windows: bool,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions { room_from_bytes: 64 << 10, windows: true }
    }
}

impl LogOptions {
    /// The settings of [`SegmentedLog::open`](crate::SegmentedLog::open).
    pub fn new() -> LogOptions {
        LogOptions::default()
    }

    /// From which size on room is set aside in a segment ahead of its records, which makes appends several times
    /// cheaper and syncs cheaper by a third: 64 KiB, so that small logs stay small. A segment is then longer than
    /// its records by up to twice as much and 2 MiB, and by 40 MiB at most. From sixteen times this size on the file of the next
    /// segment may be made ahead ([`LogHandle::prepare`](crate::LogHandle::prepare)), which has up to 16 MiB of room from its beginning
    /// on.
    pub fn room_from_bytes(mut self, bytes: u64) -> LogOptions {
        self.room_from_bytes = bytes;
        self
    }

    /// Whether records that nobody waits for are copied into the mapped file rather than written by a call to the system:
    /// yes. On Linux this installs a handler for SIGBUS, the signal by which a failing device
    /// shows in mapped memory; signals that are not the log's go where they went before.
    pub fn windows(mut self, windows: bool) -> LogOptions {
        self.windows = windows;
        self
    }
}
