//! The laws of [`Memtable`](crate::Memtable) as tests, for whoever writes one.
//!
//! ```
//! # use lsmkit_memtable::SkipList as Mine;
//! mod mine {
//!     # use lsmkit_memtable::SkipList as Mine;
//!     lsmkit_memtable::conformance!(Mine);
//! }
//! # fn main() {}
//! ```

mod concurrent;
mod laws;
mod model;

pub use concurrent::*;
pub use laws::*;

/// Expands to one `#[test]` for each law of [`Memtable`](crate::Memtable) that the type must keep.
///
/// The tests are named after the laws; a module of their own keeps two types apart.
#[macro_export]
macro_rules! conformance {
    ($table:ty) => {
        $crate::conformance! { $table:
            an_empty_table_holds_nothing
            the_newest_visible_version_wins
            a_tombstone_is_shown
            cursors_equal_the_model_at_every_place
            cursors_equal_the_model_on_random_walks
            any_order_of_inserts_gives_the_same_table
            entries_added_together_are_added_one_by_one
            keys_of_any_bytes_are_told_apart
            long_keys_and_values_are_kept_whole
            a_value_equals_that_of_its_entry
            an_identical_entry_does_no_harm
            a_successor_begins_empty
            a_cursor_outlives_all_other_handles
            a_cursor_stays_right_while_entries_are_added
            size_covers_every_byte_inserted
            readers_beside_a_writer_see_a_prefix
            scans_beside_a_writer_miss_nothing
            several_writers_lose_nothing
        }
    };
    ($table:ty: $($law:ident)*) => {
        $(
            #[test]
            fn $law() {
                $crate::testkit::$law::<$table>();
            }
        )*
    };
}
