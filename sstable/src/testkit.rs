//! The laws of [`Tables`](crate::Tables), for whoever writes a table format: `conformance!` turns them into tests.

mod damage;
mod data;
mod reading;
mod writing;

pub use crate::forge::{Forge, read_in_every_way, table_of_block};
pub use damage::*;
pub use data::Entries;
pub use reading::*;
pub use writing::*;

/// Expands to one `#[test]` for each law of [`Tables`](crate::Tables).
///
/// The argument is a function that gives the tables of a directory: `Fn(Arc<dyn Fs>, &Path) -> T` where
/// `T: Tables`. It is called anew for each store, and what it gives is used for one store only. Call the
/// macro once a module.
///
/// ```
/// # #[cfg(test)]
/// mod of_blocks {
///     lsmkit_sstable::conformance!(|fs, dir: &std::path::Path| my_tables(fs, dir));
/// }
/// ```
#[macro_export]
macro_rules! conformance {
    ($tables:expr) => {
        $crate::conformance!(@laws $tables;
            gets_are_those_of_a_map,
            cursors_are_those_of_a_map,
            cursors_turn_at_every_place,
            an_announced_seek_need_not_come,
            a_rewrite_reads_the_same,
            one_entry_is_a_table,
            keys_and_values_of_every_size,
            versions_of_a_key_over_many_blocks,
            values_outlive_what_they_came_from,
            threads_read_one_table,
            a_removed_table_reads_on,
            meta_tells_what_was_written,
            parts_are_the_whole_file,
            filters_are_counted_exactly,
            many_gets_at_once_are_as_one_after_another,
            no_range_with_keys_is_denied,
            entries_out_of_order_panic,
            an_empty_table_panics,
            a_number_that_is_taken_is_refused,
            an_unfinished_table_leaves_nothing,
            a_finished_table_survives_a_crash,
            a_failed_write_leaves_nothing,
            a_flipped_bit_is_found,
            a_cut_or_longer_file_is_refused,
            blocks_moved_about_are_found,
            another_table_is_refused,
            a_fault_sticks_to_a_cursor,
        );
    };
    (@laws $tables:expr; $($law:ident,)*) => {
        $(
            #[test]
            fn $law() {
                $crate::testkit::$law(&$tables);
            }
        )*
    };
}
