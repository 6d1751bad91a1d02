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

/// With room made ahead as soon as it is wanted.
mod prepared {
    use std::path::Path;
    use std::sync::Arc;

    use lsmkit_base::{Fault, SegmentId};
    use lsmkit_vfs::Fs;
    use lsmkit_wal::{Log, LogHandle, LogOptions, Next, Removal, Replay, SegmentHandle, SegmentedLog};

    struct Prepared(SegmentedLog);

    impl Log for Prepared {
        type Handle = SegmentHandle;

        fn replay(
            &mut self,
            from: SegmentId,
            visit: &mut dyn FnMut(SegmentId, &[u8]) -> Result<(), Fault>,
        ) -> Result<Replay, Fault> {
            self.0.replay(from, visit)
        }

        fn append_then(&mut self, records: &[&[u8]], next: Next) -> Result<(), Fault> {
            let appended = self.0.append_then(records, next);
            if self.0.wants_preparing() {
                self.0.handle().prepare();
            }
            appended
        }

        fn handle(&self) -> SegmentHandle {
            self.0.handle()
        }

        fn position(&self) -> u64 {
            self.0.position()
        }

        fn segment(&self) -> SegmentId {
            self.0.segment()
        }

        fn rotate(&mut self) -> Result<SegmentId, Fault> {
            self.0.rotate()
        }

        fn discard_before(&mut self, keep: SegmentId) -> Result<Removal, Fault> {
            self.0.discard_before(keep)
        }

        fn size_bytes(&self) -> u64 {
            self.0.size_bytes()
        }

        fn close(&mut self) -> Result<(), Fault> {
            self.0.close()
        }
    }

    fn open(fs: Arc<dyn Fs>, dir: &Path) -> Result<Prepared, Fault> {
        SegmentedLog::open_with(fs, dir, LogOptions::new().room_from_bytes(0)).map(Prepared)
    }

    lsmkit_wal::conformance!(open);
}
