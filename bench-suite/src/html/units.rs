//! Figures as they stand on the page: the units of the crate, typeset.

use crate::units;

/// What stands where nothing is known.
pub(super) const UNKNOWN: &str = "–";

/// A count or a rate: `1.44 M`.
pub(super) fn count(n: f64) -> String {
    typeset(n, units::count)
}

/// Bytes: `187 MB`.
pub(super) fn bytes(n: f64) -> String {
    typeset(n, units::bytes)
}

/// Bytes a second: `187 MB/s`.
pub(super) fn bytes_per_second(n: f64) -> String {
    if n.is_finite() { format!("{}/s", bytes(n)) } else { UNKNOWN.into() }
}

/// A time given in nanoseconds: `12.3 µs`.
pub(super) fn nanoseconds(n: f64) -> String {
    typeset(n, units::nanoseconds)
}

/// A time given in seconds: `310 ms`; from two minutes on in minutes and seconds.
pub(super) fn seconds(n: f64) -> String {
    match n {
        0.0 => "0\u{a0}s".into(),
        n if n >= 120.0 && n.is_finite() => {
            let whole = n.round();
            format!("{:.0}\u{a0}min\u{a0}{:.0}\u{a0}s", (whole / 60.0).floor(), whole % 60.0)
        }
        n => typeset(n, units::seconds),
    }
}

/// How many times one is the other: `3.2×`.
pub(super) fn ratio(n: f64) -> String {
    if !n.is_finite() {
        return UNKNOWN.into();
    }
    match n {
        n if n >= 9.95 => format!("{n:.0}×"),
        n if n >= 1.995 => format!("{n:.1}×"),
        n => format!("{n:.2}×"),
    }
}

/// Write and space amplification: `2.16×`.
pub(super) fn amplification(n: f64) -> String {
    match n {
        n if !n.is_finite() => UNKNOWN.into(),
        n if n >= 99.95 => format!("{n:.0}×"),
        n if n >= 9.995 => format!("{n:.1}×"),
        n => format!("{n:.2}×"),
    }
}

/// A share of one: `98.7 %`.
pub(super) fn percent(share: f64) -> String {
    if !share.is_finite() {
        return UNKNOWN.into();
    }
    let percent = share * 100.0;
    let digits = match percent.abs() {
        n if n == 0.0 || n >= 99.95 && percent.fract() == 0.0 => 0,
        n if n >= 9.95 => 1,
        _ => 2,
    };
    format!("{percent:.digits$}\u{a0}%")
}

/// Every digit, in threes: `2,000,000`.
pub(super) fn whole(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The least and the most, with the unit once: `431–455 k`.
pub(super) fn range(low: f64, high: f64, show: fn(f64) -> String) -> String {
    let (low, high) = (show(low), show(high));
    if low == high {
        return low;
    }
    match (low.split_once('\u{a0}'), high.split_once('\u{a0}')) {
        (Some((number, unit)), Some((_, same))) if unit == same => format!("{number}–{high}"),
        _ => format!("{low}–{high}"),
    }
}

/// A mark of an axis, without zeros that say nothing: `1 M` rather than `1.00 M`.
pub(super) fn tick(value: f64, show: fn(f64) -> String) -> String {
    let shown = show(value);
    let end = shown.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(shown.len());
    let (number, unit) = shown.split_at(end);
    if !number.contains('.') {
        return shown;
    }
    format!("{}{unit}", number.trim_end_matches('0').trim_end_matches('.'))
}

fn typeset(n: f64, show: fn(f64) -> String) -> String {
    if !n.is_finite() {
        return UNKNOWN.into();
    }
    // A number and its unit stay on one line. The sum of nothing is minus zero.
    show(n + 0.0).replace(" us", " µs").replace(' ', "\u{a0}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_units() {
        assert_eq!(count(1_444_000.0), "1.44\u{a0}M");
        assert_eq!(nanoseconds(12_340.0), "12.3\u{a0}µs");
        assert_eq!(bytes_per_second(187e6), "187\u{a0}MB/s");
        assert_eq!(seconds(0.31), "310\u{a0}ms");
        assert_eq!(seconds(119.6), "120\u{a0}s");
        assert_eq!(seconds(179.7), "3\u{a0}min\u{a0}0\u{a0}s");
        assert_eq!(seconds(-0.0), "0\u{a0}s");
        assert_eq!(count(-0.0), "0");
        assert_eq!(count(f64::NAN), UNKNOWN);
        assert_eq!(seconds(f64::INFINITY), UNKNOWN);
    }

    #[test]
    fn ratios_and_shares_have_digits_that_matter() {
        for (n, shown) in [(0.873, "0.87×"), (1.0, "1.00×"), (3.24, "3.2×"), (12.4, "12×")] {
            assert_eq!(ratio(n), shown);
        }
        assert_eq!(amplification(2.156), "2.16×");
        for (n, shown) in [(0.0, "0"), (0.0092, "0.92"), (0.987, "98.7"), (1.0, "100")] {
            assert_eq!(percent(n), format!("{shown}\u{a0}%"));
        }
        assert_eq!(whole(0), "0");
        assert_eq!(whole(1_234_567), "1,234,567");
        assert_eq!(whole(123_456), "123,456");
    }

    #[test]
    fn a_range_says_its_unit_once() {
        assert_eq!(range(431e3, 455e3, count), "431–455\u{a0}k");
        assert_eq!(range(980e3, 1.02e6, count), "980\u{a0}k–1.02\u{a0}M");
        assert_eq!(range(5.0, 5.0, count), "5");
    }

    #[test]
    fn ticks_have_no_zeros_that_say_nothing() {
        assert_eq!(tick(1e6, count), "1\u{a0}M");
        assert_eq!(tick(2.5e6, count), "2.5\u{a0}M");
        assert_eq!(tick(100.0, count), "100");
        assert_eq!(tick(20e3, nanoseconds), "20\u{a0}µs");
    }
}
