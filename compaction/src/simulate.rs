//! What a strategy costs on a store of any size, without the store: bytes written, space, runs read, stalls.
//!
//! A [`Simulation`] runs any [`CompactionPicker`] on a [`Workload`] and a [`Machine`], as an engine would, and gives a
//! [`Report`]. Its tables hold no entries. A table knows its range, and for keys that are about equally popular which share of
//! them it has an entry for; what a merge of independent runs leaves follows from that. So a petabyte takes no more memory than the
//! list of its tables.
//!
//! ```
//! use lsmkit_compaction::simulate::{Machine, Simulation, Workload};
//! use lsmkit_compaction::{Leveled, Tiered};
//!
//! // 10 GB of records of 116 bytes, all of them overwritten once.
//! let workload = Workload::new(1).data_bytes(10_000_000_000);
//! let simulation = Simulation::new(workload, Machine::instantaneous());
//! let leveled = simulation.run(&Leveled::default());
//! let tiered = simulation.run(&Tiered::default());
//! assert!(tiered.run.write_amplification() < leveled.run.write_amplification());
//! assert!(leveled.space_amplification_mean < tiered.space_amplification_mean);
//! println!("{leveled}");
//! ```
//!
//! What it assumes: keys of one popularity are spread evenly over the range of all keys; writes come independently of one another;
//! entries are of one size; nobody holds a snapshot. A table is a whole of one mix, so that which of its keys a job took
//! last is not known. What a merge writes is cut by [`OutputCutter`](crate::OutputCutter), as one part.

mod clock;
mod content;
mod machine;
mod reads;
mod report;
mod store;
mod workload;

pub use machine::Machine;
pub use report::{LevelSample, Report, Sample, Work};
pub use workload::{Load, Popularity, Workload};

use crate::CompactionPicker;
use clock::Clock;

/// A workload on a machine, to run strategies on.
#[derive(Clone, PartialEq, Debug)]
pub struct Simulation {
    workload: Workload,
    machine: Machine,
    samples: u64,
    table_bytes: u64,
}

impl Simulation {
    /// Of `workload` on `machine`.
    pub fn new(workload: Workload, machine: Machine) -> Simulation {
        Simulation { workload, machine, samples: 32, table_bytes: 64 << 20 }
    }

    /// With `count` samples of the run; 32 unless set.
    #[must_use]
    pub fn samples(self, count: u64) -> Simulation {
        Simulation { samples: count.max(1), ..self }
    }

    /// With tables of `bytes` where data is there from the start ([`Load::Standing`]); 64 MiB unless set. The strategy's own are of its
    /// own size.
    #[must_use]
    pub fn standing_table_bytes(self, bytes: u64) -> Simulation {
        Simulation { table_bytes: bytes.max(1), ..self }
    }

    /// Runs a strategy until all is written and nothing is left to do.
    ///
    /// The same simulation of the same strategy gives the same report.
    ///
    /// # Panics
    ///
    /// Where the strategy picks a job that can't run ([`Job::check`](crate::Job::check)); builds without debug assertions
    /// notice only some of these.
    pub fn run(&self, picker: &dyn CompactionPicker) -> Report {
        Clock::new(&self.workload, &self.machine, picker, self.samples, self.table_bytes).run()
    }
}
