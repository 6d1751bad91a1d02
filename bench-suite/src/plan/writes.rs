//! Part 1: how fast records are written, and what held the writer up.

use anyhow::Result;

use super::Part;
use crate::figures::Figures;
use crate::workloads::Workload;

/// Puts every record once, in random order.
pub(super) fn measure(part: &Part) -> Result<Figures> {
    part.figures("fillrandom", || Workload::FillRandom.run(&part.bench(1)))
}
