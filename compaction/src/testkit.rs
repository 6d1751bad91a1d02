//! The conformance kit of [`CompactionPicker`](crate::CompactionPicker), and the model store it runs on.
//!
//! [`conformance!`](crate::conformance) expands to one `#[test]` for each law of [`laws`].

pub mod laws;
mod rng;
mod store;
mod vec_cursor;

pub use rng::Rng;
pub use store::{ModelStore, Version};
pub use vec_cursor::VecCursor;

/// One `#[test]` for each law of compaction strategies, for the strategy that the expression makes.
///
/// ```
/// mod leveled {
///     lsmkit_compaction::conformance!(lsmkit_compaction::Leveled::default());
/// }
/// ```
#[macro_export]
macro_rules! conformance {
    ($picker:expr) => {
        #[test]
        fn jobs_apply_and_keep_the_order_of_ages() {
            $crate::testkit::laws::jobs_apply_and_keep_the_order_of_ages(&$picker);
        }

        #[test]
        fn trees_come_to_rest_without_debt() {
            $crate::testkit::laws::trees_come_to_rest_without_debt(&$picker);
        }

        #[test]
        fn the_same_tree_gives_the_same_job() {
            $crate::testkit::laws::the_same_tree_gives_the_same_job(&$picker);
        }

        #[test]
        fn jobs_that_run_at_once_leave_each_other_alone() {
            $crate::testkit::laws::jobs_that_run_at_once_leave_each_other_alone(&$picker);
        }

        #[test]
        fn every_reader_sees_the_same_before_and_after() {
            $crate::testkit::laws::every_reader_sees_the_same_before_and_after(&$picker);
        }

        #[test]
        fn manual_compaction_ends_beside_the_strategy() {
            $crate::testkit::laws::manual_compaction_ends_beside_the_strategy(&$picker);
        }

        #[test]
        fn an_empty_tree_needs_nothing() {
            $crate::testkit::laws::an_empty_tree_needs_nothing(&$picker);
        }
    };
}
