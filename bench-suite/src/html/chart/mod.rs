//! Charts. They are as wide as the page lets them be: shapes stretch, text and marks keep their size.

pub(super) mod bars;
pub(super) mod curve;
pub(super) mod ratios;
pub(super) mod stack;
pub(super) mod time;
pub(super) mod tree;

use std::fmt::Write as _;

use maud::{Markup, Render, html};

use super::look::Look;

/// Shapes are drawn in a square of so many units each way, and then stretched.
const SIDE: f64 = 1000.0;

/// A frame with axes around shapes that are stretched and marks that are not.
pub(super) struct Plot<'a> {
    /// What it shows, for who can't see it.
    pub(super) label: &'a str,
    /// Sets the height.
    pub(super) class: &'static str,
    /// Marks of the axes: where from 0 to 1, and the text.
    pub(super) x: Vec<(f64, String)>,
    pub(super) y: Vec<(f64, String)>,
    /// Of 1000 × 1000 units.
    pub(super) shapes: Markup,
    pub(super) marks: Markup,
}

impl Render for Plot<'_> {
    fn render(&self) -> Markup {
        html! {
            svg class={ "plot " (self.class) } role="img" aria-label=(self.label) {
                g.grid aria-hidden="true" {
                    @for (at, text) in &self.y {
                        @let y = percent(1.0 - at);
                        line x1="0" x2="100%" y1=(y) y2=(y) {}
                        text.y x="-6" y=(y) dy=".32em" { (text) }
                    }
                    @for (at, text) in &self.x {
                        @let x = percent(*at);
                        line x1=(x) x2=(x) y1="0" y2="100%" {}
                        // A long text at the end would stand out of the page.
                        @let class = if *at > 0.97 && text.len() > 3 { "x last" } else { "x" };
                        text class=(class) x=(x) y="100%" dy="1.35em" { (text) }
                    }
                }
                svg viewBox={ "0 0 " (SIDE) " " (SIDE) } preserveAspectRatio="none" width="100%" height="100%" {
                    (self.shapes)
                }
                (self.marks)
            }
        }
    }
}

/// The outlines of the marks, once for the whole page.
pub(super) fn mark_shapes() -> Markup {
    const SHAPES: [&str; 8] = [
        "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z",
        "M0-5.5L5.5 0L0 5.5L-5.5 0z",
        "M-4-4H4V4H-4z",
        "M0-5.2L5 4H-5z",
        "M0 5.2L5-4H-5z",
        "M-1.7-5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5V-1.7H-1.7z",
        "M0-5.5L1.6-1.8L5.4-1.7L2.4.8L3.4 4.6L0 2.4L-3.4 4.6L-2.4.8L-5.4-1.7L-1.6-1.8z",
        "M-5 0L-2.5-4.3H2.5L5 0L2.5 4.3H-2.5z",
    ];
    html! {
        svg.shapes width="0" height="0" aria-hidden="true" {
            defs { @for (n, shape) in SHAPES.iter().enumerate() { path id={ "m" (n) } d=(shape) {} } }
        }
    }
}

/// A mark at a place of a plot, which tells `title` when pointed at.
pub(super) fn mark(look: Look, x: f64, y: f64, title: &str) -> Markup {
    html! {
        use class={ "mark " (look.class()) } href=(look.mark()) x=(percent(x)) y=(percent(1.0 - y)) {
            title { (title) }
        }
    }
}

/// A line and a mark beside a name.
pub(super) fn key(look: Look, name: &str) -> Markup {
    html! { span.key { (swatch(look)) (name) } }
}

pub(super) fn swatch(look: Look) -> Markup {
    html! {
        svg class={ "swatch " (look.class()) } width="26" height="12" aria-hidden="true" {
            path.line d="M0 6H26" {}
            use.mark href=(look.mark()) x="13" y="6" {}
        }
    }
}

/// A line through points from (0, 0), which is below on the left, to (1, 1).
pub(super) fn line(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    let mut last: Option<(i64, i64)> = None;
    for (x, y) in points {
        let (x, y) = (unit(x), unit(1.0 - y));
        // Steps from point to point are shorter than places, and these are most of a long series.
        let (command, dx, dy) = match last {
            None => ('M', x, y),
            Some((last_x, last_y)) => ('l', x - last_x, y - last_y),
        };
        let space = if dy < 0 { "" } else { " " };
        write!(path, "{command}{dx}{space}{dy}").expect("because writing to a string cannot fail");
        last = Some((x, y));
    }
    path
}

/// The same, filled down to zero.
pub(super) fn area(points: &[(f64, f64)]) -> String {
    match (points.first(), points.last()) {
        (Some((first, _)), Some((last, _))) => {
            format!("{}L{} {SIDE}L{} {SIDE}z", line(points.iter().copied()), unit(*last), unit(*first))
        }
        _ => String::new(),
    }
}

/// A part of a whole as CSS and SVG read it.
pub(super) fn percent(part: f64) -> String {
    let percent = format!("{:.2}", part * 100.0);
    format!("{}%", percent.trim_end_matches('0').trim_end_matches('.'))
}

fn unit(at: f64) -> i64 {
    (at * SIDE).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_their_origin_below() {
        assert_eq!(line([(0.0, 0.0), (1.0, 1.0)]), "M0 1000l1000-1000");
        assert_eq!(area(&[(0.0, 0.5), (1.0, 1.0)]), "M0 500l1000-500L1000 1000L0 1000z");
        assert_eq!(area(&[]), "");
    }

    #[test]
    fn parts_are_short() {
        assert_eq!(percent(0.5), "50%");
        assert_eq!(percent(1.0), "100%");
        assert_eq!(percent(1.0 / 3.0), "33.33%");
    }
}
