//! Bars stacked of parts, from zero, on one scale.

use maud::{Markup, html};

use super::percent;

/// A part, by its place in the legend.
pub(in crate::html) struct Part {
    /// Which colour: `s0` to `s6` of the style sheet.
    pub(in crate::html) slot: usize,
    pub(in crate::html) value: f64,
    /// What it tells when pointed at.
    pub(in crate::html) told: String,
}

/// A bar with a name and a figure.
pub(in crate::html) struct Bar {
    pub(in crate::html) name: String,
    pub(in crate::html) figure: String,
    pub(in crate::html) parts: Vec<Part>,
}

/// Bars up to `largest`; where there is none, up to the longest of them.
pub(in crate::html) fn bars(bars: &[Bar], largest: Option<f64>) -> Markup {
    let total = |bar: &Bar| bar.parts.iter().map(|part| part.value).sum::<f64>();
    let largest = largest.unwrap_or_else(|| bars.iter().map(total).fold(0.0, f64::max));
    html! {
        ul.bars.stacks {
            @for bar in bars {
                li {
                    span.name { (bar.name) }
                    span.figure { b { (bar.figure) } }
                    span.track aria-hidden="true" {
                        @for part in bar.parts.iter().filter(|part| part.value > 0.0 && largest > 0.0) {
                            span class={ "part s" (part.slot) } title=(part.told)
                                style={ "width:" (percent(part.value / largest)) } {}
                        }
                    }
                }
            }
        }
    }
}

/// What the colours are.
pub(in crate::html) fn keys(names: &[(usize, &str)]) -> Markup {
    html! {
        p.keys { @for (slot, name) in names { span.key { span class={ "box s" (slot) } {} (name) } } }
    }
}
