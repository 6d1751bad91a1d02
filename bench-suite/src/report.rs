//! What a run found: lines of JSON, and a table of medians.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::engines::EngineName;
use crate::workloads::Workload;

const HEAD: &str = "workload      engine                   ops/s    ratio       p50       p99     p99.9       max   \
                    settle     cpu     disk  written     rss";

/// Appends each value as a line.
pub(crate) fn append_lines(path: &Path, lines: &[Value]) -> Result<()> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(text.as_bytes()).with_context(|| format!("could not write {}", path.display()))
}

/// Medians over the rounds. The ratio is to the first peer, or to the first engine where there is none.
pub(crate) fn table(lines: &[Value], workloads: &[Workload], engines: &[EngineName]) -> String {
    let base = engines.iter().find(|engine| engine.is_peer()).or(engines.first());
    let mut table = format!("\n{HEAD}\n");
    // A workload that was asked for twice ran twice in each round; its medians are over all of them.
    let mut seen = Vec::new();
    for workload in workloads {
        if seen.contains(workload) {
            continue;
        }
        seen.push(*workload);
        let throughput = |engine| median(&rows(lines, *workload, engine), "/ops_per_second");
        let base_throughput = base.and_then(|&base| throughput(base));
        for &engine in engines {
            let rows = rows(lines, *workload, engine);
            let ratio = throughput(engine).zip(base_throughput).map(|(ours, theirs)| ours / theirs);
            let of = |pointer| median(&rows, pointer);
            writeln!(
                table,
                "{:<13} {:<20} {:>9} {:>8} {:>9} {:>9} {:>9} {:>9} {:>8} {:>7} {:>8} {:>8} {:>7}",
                workload.to_string(),
                engine.to_string(),
                of("/ops_per_second").map_or("-".into(), |figure| format!("{figure:.0}")),
                ratio.map_or("-".into(), |ratio| format!("{ratio:.2}x")),
                time(of("/latency_ns/p50")),
                time(of("/latency_ns/p99")),
                time(of("/latency_ns/p99_9")),
                time(of("/latency_ns/max")),
                of("/settle_seconds").map_or("-".into(), |seconds| format!("{seconds:.2}s")),
                of("/cpu_seconds").map_or("-".into(), |seconds| format!("{seconds:.1}s")),
                megabytes(of("/disk_bytes")),
                megabytes(of("/written_bytes")),
                megabytes(of("/peak_rss_bytes")),
            )
            .expect("because writing to a string cannot fail");
        }
    }
    table
}

fn rows(lines: &[Value], workload: Workload, engine: EngineName) -> Vec<&Value> {
    let (workload, engine) = (workload.to_string(), engine.to_string());
    lines.iter().filter(|line| line["workload"] == *workload && line["engine"] == *engine).collect()
}

/// The median of a figure; of an even number, the mean of the middle two. Absent where one is.
fn median(rows: &[&Value], pointer: &str) -> Option<f64> {
    let mut figures: Vec<f64> =
        rows.iter().map(|row| row.pointer(pointer).and_then(Value::as_f64)).collect::<Option<_>>()?;
    figures.sort_by(f64::total_cmp);
    let upper = *figures.get(figures.len() / 2)?;
    let lower = figures[(figures.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

fn time(ns: Option<f64>) -> String {
    match ns {
        None => "-".into(),
        Some(ns) if ns < 10_000.0 => format!("{ns:.0}ns"),
        Some(ns) if ns < 10_000_000.0 => format!("{:.0}us", ns / 1e3),
        Some(ns) => format!("{:.0}ms", ns / 1e6),
    }
}

fn megabytes(bytes: Option<f64>) -> String {
    bytes.map_or("-".into(), |bytes| format!("{:.0}M", bytes / 1e6))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_median_is_the_middle_and_needs_all() {
        let rows: Vec<Value> = [3.0, 1.0, 10.0, 2.0].iter().map(|figure| json!({ "a": figure })).collect();
        let rows: Vec<&Value> = rows.iter().collect();
        assert_eq!(median(&rows, "/a"), Some(2.5));
        assert_eq!(median(&rows[..3], "/a"), Some(3.0));
        assert_eq!(median(&rows, "/b"), None);
        assert_eq!(median(&[], "/a"), None);
    }
}
