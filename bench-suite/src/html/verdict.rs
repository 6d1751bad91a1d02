//! How a comparison is shown: blue where lsmkit is ahead, orange where it is behind, the number always there.

use maud::{Markup, html};

use super::units;

/// The class of a ratio, which sets its colour; `is_unsure` where the rounds of both mix.
pub(super) fn class(ratio: f64, is_unsure: bool) -> &'static str {
    match ratio {
        _ if is_unsure => "even",
        r if r >= 4.0 => "ahead3",
        r if r >= 2.0 => "ahead2",
        r if r >= 1.05 => "ahead1",
        r if r > 1.0 / 1.05 => "even",
        r if r > 1.0 / 2.0 => "behind1",
        r if r > 1.0 / 4.0 => "behind2",
        _ => "behind3",
    }
}

/// The ratio in its colour.
pub(super) fn pill(ratio: f64, is_unsure: bool) -> Markup {
    html! {
        " " span class={ "pill " (class(ratio, is_unsure)) }
            title=(if is_unsure { "the rounds of both overlap" } else { "how many times better lsmkit is" }) {
            @if is_unsure { "≈ " }
            (units::ratio(ratio))
        }
    }
}

/// What the colours say.
pub(super) fn legend() -> Markup {
    const STEPS: [(&str, &str); 7] = [
        ("behind3", "≤ 0.25×"),
        ("behind2", "≤ 0.5×"),
        ("behind1", "behind"),
        ("even", "≈ even"),
        ("ahead1", "ahead"),
        ("ahead2", "≥ 2×"),
        ("ahead3", "≥ 4×"),
    ];
    html! { p.steps { @for (class, text) in STEPS { span class={ "pill " (class) } { (text) } " " } } }
}

#[cfg(test)]
mod tests {
    use super::class;

    #[test]
    fn as_far_ahead_as_behind_is_as_strong() {
        for (ahead, strength) in [(1.01, "even"), (1.3, "1"), (2.5, "2"), (7.0, "3")] {
            let (ahead, behind) = (class(ahead, false), class(1.0 / ahead, false));
            assert!(ahead.ends_with(strength) && behind.ends_with(strength), "{ahead} {behind}");
        }
        assert_eq!(class(9.0, true), "even");
    }
}
