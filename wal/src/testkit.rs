//! The laws of [`Log`](crate::Log), for whoever writes one: `conformance!` turns them into tests.
//!
//! The laws run on [`MemFs`](lsmkit_vfs::MemFs), which can lose what was not synced, behind a
//! [`FaultFs`](lsmkit_vfs::FaultFs), which can fail any call. A law that draws at random says its seed when it fails.

#![allow(clippy::unwrap_used, reason = "a law whose calls fail is a law broken")]

mod crash;
mod fault;
pub mod forge;
mod model;
mod order;

pub use crash::*;
pub use fault::*;
pub use order::*;

/// Expands to one `#[test]` for each law of [`Log`](crate::Log).
///
/// The argument is a function that opens a log on a file system, in a directory that is there:
/// `Fn(Arc<dyn Fs>, &Path) -> Result<impl Log, Fault>`. Call it once a module.
///
/// ```
/// # #[cfg(test)]
/// mod segmented {
///     use lsmkit_wal::SegmentedLog;
///     lsmkit_wal::conformance!(SegmentedLog::open);
/// }
/// ```
#[macro_export]
macro_rules! conformance {
    ($open:expr) => {
        $crate::conformance!(@laws $open;
            a_new_log_is_empty,
            replay_gives_what_was_appended,
            records_of_every_size_return,
            opening_and_replaying_write_nothing,
            a_segment_without_records_is_not_ended,
            older_segments_are_not_read,
            discarded_segments_take_no_room,
            numbers_are_not_used_twice,
            a_fault_of_the_visitor_ends_the_replay,
            a_closed_log_takes_nothing_more,
            appends_do_not_wait_for_a_sync,
            a_killed_process_loses_nothing,
            a_crash_leaves_a_prefix_with_all_that_was_synced,
            a_crash_at_any_operation_leaves_a_prefix,
            a_crash_in_the_recovery_from_a_crash_leaves_a_prefix,
            a_full_disk_passes,
            a_failed_append_leaves_nothing,
            a_failed_sync_ends_the_log,
            a_failed_sync_reaches_all_who_wait,
        );
    };
    (@laws $open:expr; $($law:ident,)*) => {
        $(
            #[test]
            fn $law() {
                $crate::testkit::$law($open);
            }
        )*
    };
}
