//! What goes to standard output, and figures as people read them.

use std::io::{self, BufWriter, StdoutLock, Write};
use std::time::Duration;

/// Standard output, buffered: without that every line is a system call.
pub(crate) fn stdout() -> BufWriter<StdoutLock<'static>> {
    BufWriter::with_capacity(64 << 10, io::stdout().lock())
}

/// Says something on standard error, if anybody listens.
pub(crate) fn note(what: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{what}");
}

/// 234,908
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// 1 record, 2 records
pub(crate) fn counted(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// 17.2 MB; decimal units, as disks have them.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut amount = bytes as f64 / 1000.0;
    let mut unit = 0;
    // What would be shown as 1000.0 of a unit is 1.0 of the next.
    while amount >= 999.95 && unit + 1 < UNITS.len() {
        amount /= 1000.0;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}

/// 12 µs, 3.1 ms, 0.43 s
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 0.001 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 0.1 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.2} s")
    }
}

/// How much a second, of `n` in `time`; none where no time has passed.
pub(crate) fn per_second(n: u64, time: Duration) -> u64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 { (n as f64 / seconds) as u64 } else { 0 }
}

/// A table: the first column to the left, the others to the right, a line of heads.
pub(crate) fn table(out: &mut impl Write, heads: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let heads: Vec<String> = heads.iter().map(|head| head.to_string()).collect();
    for row in std::iter::once(&heads).chain(rows) {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            match column {
                0 => line.push_str(&format!("{cell:<width$}")),
                _ => line.push_str(&format!("  {cell:>width$}")),
            }
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(
            [0, 999, 1000, 234_908, 1_000_000].map(count),
            ["0", "999", "1,000", "234,908", "1,000,000"]
        );
        assert_eq!([0, 999, 1000, 17_235_177].map(size), ["0 B", "999 B", "1.0 kB", "17.2 MB"]);
        assert_eq!(size(999_999), "1.0 MB");
        assert_eq!(size(u64::MAX), "18446.7 PB");
        assert_eq!(counted(1, "record"), "1 record");
        assert_eq!(
            [12, 3_100, 430_000].map(|us| time(Duration::from_micros(us))),
            ["12 µs", "3.1 ms", "0.43 s"]
        );
        assert_eq!(per_second(10, Duration::ZERO), 0);
    }

    #[test]
    fn a_table_is_aligned() {
        let mut out = Vec::new();
        table(&mut out, &["keyspace", "tables"], &[vec!["default".into(), "12".into()]]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "keyspace  tables\ndefault       12\n");
    }
}
