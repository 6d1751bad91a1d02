//! The crate's own log under the laws it asks of others.

use lsmkit_wal::SegmentedLog;

lsmkit_wal::conformance!(SegmentedLog::open);

/// As a log is once it has grown, from its first record on.
mod with_room_ahead {
    use lsmkit_wal::{LogOptions, SegmentedLog};

    lsmkit_wal::conformance!(|fs, dir| SegmentedLog::open_with(
        fs,
        dir,
        LogOptions::new().room_from_bytes(0)
    ));
}

/// Written by calls alone.
mod without_windows {
    use lsmkit_wal::{LogOptions, SegmentedLog};

    lsmkit_wal::conformance!(|fs, dir| {
        SegmentedLog::open_with(fs, dir, LogOptions::new().room_from_bytes(0).windows(false))
    });
}
