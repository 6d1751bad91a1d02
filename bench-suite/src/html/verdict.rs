//! How a comparison is shown: blue where lsmkit is ahead, orange where it is behind, the number always there.

use maud::{Markup, html};

use crate::summary::Certainty;

use super::units;

/// The class of a ratio, which sets its colour.
pub(super) fn class(ratio: f64, certainty: Certainty) -> &'static str {
    match ratio {
        _ if certainty == Certainty::Overlapping => "even",
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
pub(super) fn pill(ratio: f64, certainty: Certainty) -> Markup {
    let told = match certainty {
        Certainty::Sure => "how many times better lsmkit is",
        Certainty::FewRounds => "how many times better lsmkit is; of fewer than three rounds, so not sure",
        Certainty::Overlapping => "the rounds of both overlap",
    };
    html! { " " span class={ "pill " (class(ratio, certainty)) } title=(told) { (text(ratio, certainty)) } }
}

/// The ratio, marked where it isn't sure.
pub(super) fn text(ratio: f64, certainty: Certainty) -> String {
    let mark = if certainty == Certainty::Sure { "" } else { "≈\u{a0}" };
    format!("{mark}{}", units::ratio(ratio))
}

/// What the colours say.
pub(super) fn legend() -> Markup {
    const STEPS: [(&str, &str); 7] = [
        ("behind3", "≤ 0.25×"),
        ("behind2", "≤ 0.5×"),
        ("behind1", "behind"),
        ("even", "even"),
        ("ahead1", "ahead"),
        ("ahead2", "≥ 2×"),
        ("ahead3", "≥ 4×"),
    ];
    html! { p.steps { @for (class, text) in STEPS { span class={ "pill " (class) } { (text) } " " } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_far_ahead_as_behind_is_as_strong() {
        for (ahead, strength) in [(1.01, "even"), (1.3, "1"), (2.5, "2"), (7.0, "3")] {
            let (ahead, behind) = (class(ahead, Certainty::Sure), class(1.0 / ahead, Certainty::Sure));
            assert!(ahead.ends_with(strength) && behind.ends_with(strength), "{ahead} {behind}");
        }
    }

    #[test]
    fn what_is_not_sure_is_marked_and_what_overlaps_is_even() {
        assert_eq!(text(9.0, Certainty::Sure), "9.0×");
        assert_eq!(text(9.0, Certainty::FewRounds), "≈\u{a0}9.0×");
        assert_eq!(text(9.0, Certainty::Overlapping), "≈\u{a0}9.0×");
        assert_eq!(class(9.0, Certainty::FewRounds), "ahead3");
        assert_eq!(class(9.0, Certainty::Overlapping), "even");
    }
}
