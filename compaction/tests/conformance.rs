//! The strategies of this crate under the conformance kit, with default settings and with tiny ones.

use lsmkit_compaction::{Fifo, Leveled, Tiered, TimeWindow};

mod leveled {
    lsmkit_compaction::conformance!(super::Leveled::default());
}

mod leveled_tiny {
    lsmkit_compaction::conformance!(
        super::Leveled::default().level0_trigger(1).levels(4).base_bytes(1).fan_out(2).table_bytes(1)
    );
}

mod leveled_two_levels {
    lsmkit_compaction::conformance!(super::Leveled::default().level0_trigger(2).levels(2).table_bytes(100));
}

mod tiered {
    lsmkit_compaction::conformance!(super::Tiered::default());
}

mod tiered_tiny {
    lsmkit_compaction::conformance!(
        super::Tiered::default().runs_per_level(2).levels(3).space_limit(0.2).table_bytes(1)
    );
}

mod tiered_without_space_limit {
    lsmkit_compaction::conformance!(super::Tiered::default().levels(2).space_limit(f64::INFINITY));
}

mod leveled_that_renews {
    lsmkit_compaction::conformance!(
        super::Leveled::default().level0_trigger(2).base_bytes(1).age_max_seconds(50)
    );
}

mod tiered_that_renews {
    lsmkit_compaction::conformance!(super::Tiered::default().age_max_seconds(50));
}

// What drops data does not keep what readers see, so without a limit.
mod fifo {
    lsmkit_compaction::conformance!(super::Fifo::new());
}

mod time_window {
    lsmkit_compaction::conformance!(super::TimeWindow::default());
}

mod short_time_windows {
    lsmkit_compaction::conformance!(
        super::TimeWindow::default().window_seconds(30).runs_per_merge(2).table_bytes(1)
    );
}
