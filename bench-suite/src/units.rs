//! Figures with their units, three digits that matter.

/// A count: `1.44 M`, `350 k`, `7`.
pub(crate) fn count(n: f64) -> String {
    scaled(n, &[(1e9, " G"), (1e6, " M"), (1e3, " k"), (1.0, "")])
}

/// Bytes, in powers of ten: `187 MB`.
pub(crate) fn bytes(n: f64) -> String {
    scaled(n, &[(1e12, " TB"), (1e9, " GB"), (1e6, " MB"), (1e3, " kB"), (1.0, " B")])
}

/// A time given in nanoseconds: `12.3 us`.
pub(crate) fn nanoseconds(n: f64) -> String {
    scaled(n, &[(1e9, " s"), (1e6, " ms"), (1e3, " us"), (1.0, " ns")])
}

/// Seconds: `1.25 s`, `310 ms`.
pub(crate) fn seconds(n: f64) -> String {
    nanoseconds(n * 1e9)
}

fn scaled(n: f64, units: &[(f64, &str)]) -> String {
    let &(size, unit) = units
        .iter()
        // What rounds to a thousand of one unit is one of the next.
        .find(|(size, _)| n.abs() >= size * 0.9995)
        .or(units.last())
        .expect("because there are units");
    let n = n / size;
    let digits = match n.abs() {
        n if n >= 99.95 || n == 0.0 => 0,
        n if n >= 9.995 => 1,
        _ => 2,
    };
    // Small counts are whole.
    let digits = if size == 1.0 && n.fract() == 0.0 { 0 } else { digits };
    format!("{n:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_that_matter() {
        let cases =
            [(0.0, "0"), (7.0, "7"), (999.6, "1.00 k"), (1_444_000.0, "1.44 M"), (348_200.0, "348 k")];
        for (n, shown) in cases {
            assert_eq!(count(n), shown);
        }
        assert_eq!(nanoseconds(12_340.0), "12.3 us");
        assert_eq!(seconds(0.31), "310 ms");
        assert_eq!(bytes(187e6), "187 MB");
    }
}
