//! What a workload cost.

use std::path::Path;

use anyhow::Result;

use crate::figures::Figures;
use crate::inside::Inside;
use crate::process;
use crate::store::Store;
use crate::workloads::Workload;

/// What the process and the engine had done by some moment, and what they took.
pub(crate) struct Moment {
    cpu_seconds: Option<f64>,
    written_bytes: Option<u64>,
    memory_peak_bytes: Option<u64>,
    memory_bytes: Option<u64>,
    disk_bytes: u64,
    inside: Inside,
}

impl Moment {
    pub(crate) fn now(store: &dyn Store, dir: &Path) -> Result<Moment> {
        Ok(Moment {
            cpu_seconds: process::cpu_seconds(),
            written_bytes: process::written_bytes(),
            memory_peak_bytes: process::peak_memory_bytes(),
            memory_bytes: process::memory_bytes(),
            disk_bytes: process::disk_bytes(dir)?,
            inside: store.inside(),
        })
    }

    /// What was done since `before`; what is taken, as it is now.
    pub(crate) fn since(self, before: &Moment) -> Moment {
        Moment {
            cpu_seconds: self.cpu_seconds.zip(before.cpu_seconds).map(|(now, then)| now - then),
            written_bytes: self.written_bytes.zip(before.written_bytes).map(|(now, then)| now - then),
            inside: self.inside.since(&before.inside),
            ..self
        }
    }

    /// The figures of a workload, with what it cost.
    pub(crate) fn added_to(self, figures: Figures, workload: Workload) -> Figures {
        let ratio = |bytes: u64, of: u64| (of > 0).then(|| bytes as f64 / of as f64);
        let written_bytes = self.written_bytes.filter(|_| workload.writes());
        let amplified = written_bytes.filter(|_| workload.amplifies());
        Figures {
            cpu_seconds: self.cpu_seconds,
            memory_peak_bytes: self.memory_peak_bytes,
            memory_end_bytes: self.memory_bytes,
            written_bytes,
            disk_bytes: self.disk_bytes,
            write_amplification: amplified.and_then(|bytes| ratio(bytes, figures.user_written_bytes)),
            space_amplification: figures.user_live_bytes.and_then(|live| ratio(self.disk_bytes, live)),
            inside: self.inside,
            ..figures
        }
    }
}
