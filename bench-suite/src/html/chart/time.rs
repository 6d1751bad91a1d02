//! A workload second by second.

use maud::{Markup, html};

use crate::figures::{Figures, Second};
use crate::html::look::Look;
use crate::html::scale::{Linear, Log};
use crate::html::units;

use super::{Plot, area, key, line, percent};

/// From so many seconds on, a series has panels of its own; below, it is a small line.
const LONG_SECONDS: usize = 20;

/// Shorter ones tell nothing.
const SHORT_SECONDS: usize = 3;

/// A panel has no more points; it is hardly wider on a screen.
const POINTS: usize = 360;

/// One engine's series.
pub(in crate::html) struct Series<'a> {
    pub(in crate::html) name: &'a str,
    pub(in crate::html) look: Look,
    pub(in crate::html) figures: &'a Figures,
}

impl Series<'_> {
    /// All but the last, which is not a whole one, so that nothing seems to slow down at the end.
    fn seconds(&self) -> &[Second] {
        let series = &self.figures.series;
        if series.len() > 1 { &series[..series.len() - 1] } else { series }
    }
}

/// A stretch of a series: a second, or several of a long one.
#[derive(Clone, Copy, Default)]
struct Stretch {
    seconds: f64,
    ops_per_second: f64,
    longest_ns: f64,
    stalled_seconds: f64,
    memory_bytes: Option<f64>,
}

/// The series of all engines to the same scales; panels if one is long, small lines if none is.
pub(in crate::html) fn over_time(series: &[Series<'_>]) -> Markup {
    let seconds = series.iter().map(|series| series.seconds().len()).max().unwrap_or(0);
    match seconds {
        LONG_SECONDS.. => panels(series, seconds),
        SHORT_SECONDS.. => lines(series, seconds),
        _ => html! {},
    }
}

fn panels(series: &[Series<'_>], seconds: usize) -> Markup {
    let each = seconds.div_ceil(POINTS);
    let stretches: Vec<Vec<Stretch>> = series.iter().map(|s| stretches(s.seconds(), each)).collect();
    let all = || stretches.iter().flatten();
    let axes = Axes {
        time: Linear::to(seconds as f64, 4),
        ops: Linear::holding(all().map(|s| s.ops_per_second).fold(0.0, f64::max), 3),
        longest: Log::holding(all().map(|s| s.longest_ns)),
        memory: Linear::holding(all().filter_map(|s| s.memory_bytes).fold(0.0, f64::max), 2),
    };
    let has_stalls = all().any(|stretch| stretch.stalled_seconds > 0.0);
    let has_memory = all().any(|stretch| stretch.memory_bytes.is_some());
    html! {
        section.over-time {
            h4 { "Over time" }
            p.quiet {
                @if series.len() > 1 {
                    "The same scales for all engines; the round of each that had the median throughput. "
                }
                @if each > 1 { "A point is " (each) " seconds. " }
                @if has_stalls { span.stall-key {} " writers were held up: the darker, the longer." }
            }
            div.panels {
                @for (series, stretches) in series.iter().zip(&stretches) {
                    @if !stretches.is_empty() { (panel(series, stretches, &axes, has_memory)) }
                }
            }
        }
    }
}

struct Axes {
    time: Linear,
    ops: Linear,
    longest: Log,
    memory: Linear,
}

fn panel(series: &Series<'_>, stretches: &[Stretch], axes: &Axes, has_memory: bool) -> Markup {
    let class = series.look.class();
    let bands = bands(stretches, &axes.time);
    let points = |of: &dyn Fn(&Stretch) -> Option<f64>| -> Vec<(f64, f64)> {
        places(stretches).filter_map(|(at, stretch)| Some((axes.time.at(at), of(stretch)?))).collect()
    };
    let ops = points(&|stretch| Some(axes.ops.at(stretch.ops_per_second)));
    let longest = points(&|stretch| Some(axes.longest.at(stretch.longest_ns)));
    let memory = points(&|stretch| stretch.memory_bytes.map(|bytes| axes.memory.at(bytes)));
    let time: Vec<(f64, String)> =
        axes.time.ticks().into_iter().map(|s| (axes.time.at(s), units::tick(s, time_of))).collect();
    let unnamed: Vec<(f64, String)> = time.iter().map(|(at, _)| (*at, String::new())).collect();
    let label = |what: &str| format!("{}: {what} second by second", series.name);
    let ops_plot = Plot {
        label: &label("operations"),
        class: "ops",
        x: unnamed.clone(),
        y: axes.ops.ticks().into_iter().map(|n| (axes.ops.at(n), units::tick(n, units::count))).collect(),
        shapes: html! {
            (bands)
            path class={ "area " (class) } d=(area(&ops)) {}
            path class={ "thin " (class) } d=(line(ops)) {}
        },
        marks: html! {},
    };
    let longest_plot = Plot {
        label: &label("the longest operation"),
        class: "longest",
        x: if has_memory { unnamed } else { time.clone() },
        y: axes
            .longest
            .ticks()
            .into_iter()
            .map(|ns| (axes.longest.at(ns), units::tick(ns, units::nanoseconds)))
            .collect(),
        shapes: html! {
            (bands)
            path class={ "thin " (class) } d=(line(longest)) {}
        },
        marks: html! {},
    };
    let memory_plot = Plot {
        label: &label("memory"),
        class: "memory",
        x: time,
        y: axes
            .memory
            .ticks()
            .into_iter()
            .map(|n| (axes.memory.at(n), units::tick(n, units::bytes)))
            .collect(),
        shapes: html! {
            path class={ "thin " (class) } d=(line(memory)) {}
        },
        marks: html! {},
    };
    html! {
        figure.panel {
            figcaption { (key(series.look, series.name)) (told(series.seconds())) }
            div.axis-name { "ops/s" }
            (ops_plot)
            div.axis-name { "longest operation, log scale" }
            (longest_plot)
            @if has_memory { div.axis-name { "memory" } (memory_plot) }
        }
    }
}

/// What the eye can't read off.
fn told(seconds: &[Second]) -> Markup {
    let slowest = seconds.iter().map(|second| second.ops).min().unwrap_or(0);
    let stalled: f64 = seconds.iter().filter_map(|second| second.stalled_seconds).sum();
    let tells = seconds.iter().any(|second| second.stalled_seconds.is_some());
    html! {
        span.quiet {
            "slowest second " (units::count(slowest as f64)) " ops"
            @if tells { " · held up " (units::seconds(stalled)) }
        }
    }
}

/// Where writers were held up, neighbours in one band.
fn bands(stretches: &[Stretch], time: &Linear) -> Markup {
    struct Band {
        begin: f64,
        end: f64,
        stalled: f64,
    }
    let mut bands: Vec<Band> = Vec::new();
    let mut begin = 0.0;
    for stretch in stretches {
        let end = begin + stretch.seconds;
        if stretch.stalled_seconds > 0.0 {
            match bands.last_mut() {
                Some(band) if band.end == begin => {
                    band.end = end;
                    band.stalled += stretch.stalled_seconds;
                }
                _ => bands.push(Band { begin, end, stalled: stretch.stalled_seconds }),
            }
        }
        begin = end;
    }
    html! {
        @for band in &bands {
            @let (x, width) = (time.at(band.begin) * 1000.0, (time.at(band.end) - time.at(band.begin)) * 1000.0);
            @let share = (band.stalled / (band.end - band.begin)).min(1.0);
            rect.stall x=(format!("{x:.0}")) y="0" width=(format!("{:.0}", width.max(1.0))) height="1000"
                fill-opacity=(format!("{:.2}", 0.15 + 0.4 * share)) {
                title { "held up " (units::seconds(band.stalled)) " between " (band.begin) " s and " (band.end) " s" }
            }
        }
    }
}

fn lines(series: &[Series<'_>], seconds: usize) -> Markup {
    let largest = series.iter().flat_map(|s| s.seconds()).map(|second| second.ops).max().unwrap_or(0);
    let (time, ops) = (Linear::to(seconds as f64, 1), Linear::to(largest as f64, 1));
    html! {
        figure.sparks {
            figcaption {
                strong { "Over time" } ", " (seconds) " s, from 0 to " (units::count(largest as f64)) " ops/s"
            }
            @for series in series.iter().filter(|series| !series.seconds().is_empty()) {
                @let stretches = stretches(series.seconds(), 1);
                // A second is as wide as it was long, however few there are.
                @let points: Vec<_> = places(&stretches)
                    .flat_map(|(at, s)| [at - 0.5, at + 0.5].map(|at| (time.at(at), ops.at(s.ops_per_second))))
                    .collect();
                div.spark {
                    (key(series.look, series.name))
                    svg viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img"
                        aria-label={ (series.name) ": operations second by second" }
                        style={ "width:" (percent(1.0)) } {
                        path class={ "area " (series.look.class()) } d=(area(&points)) {}
                        path class={ "thin " (series.look.class()) } d=(line(points)) {}
                    }
                }
            }
        }
    }
}

/// Stretches with the middle of each.
fn places(stretches: &[Stretch]) -> impl Iterator<Item = (f64, &Stretch)> {
    let mut begin = 0.0;
    stretches.iter().map(move |stretch| {
        let at = begin + stretch.seconds / 2.0;
        begin += stretch.seconds;
        (at, stretch)
    })
}

/// `each` seconds together: the mean throughput, the longest operation, all stalls, the most memory.
fn stretches(seconds: &[Second], each: usize) -> Vec<Stretch> {
    let chunks = seconds.chunks(each.max(1)).map(|seconds| Stretch {
        seconds: seconds.len() as f64,
        ops_per_second: seconds.iter().map(|s| s.ops as f64).sum::<f64>() / seconds.len() as f64,
        longest_ns: seconds.iter().map(|s| s.longest_ns as f64).fold(0.0, f64::max),
        stalled_seconds: seconds.iter().filter_map(|s| s.stalled_seconds).filter(|s| *s >= 0.001).sum(),
        memory_bytes: seconds.iter().filter_map(|s| s.memory_bytes).max().map(|bytes| bytes as f64),
    });
    chunks.collect()
}

fn time_of(seconds: f64) -> String {
    match seconds {
        s if s < 600.0 => format!("{s:.0} s"),
        s => format!("{:.0} min", s / 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(ops: u64, longest_ns: u64, stalled_seconds: f64) -> Second {
        Second { ops, longest_ns, stalled_seconds: Some(stalled_seconds), memory_bytes: None }
    }

    #[test]
    fn stretches_keep_the_worst() {
        let seconds = [second(10, 5, 0.0), second(30, 90, 0.5), second(7, 1, 0.25)];
        let stretches = stretches(&seconds, 2);
        assert_eq!(stretches.len(), 2);
        assert_eq!(stretches[0].ops_per_second, 20.0);
        assert_eq!(stretches[0].longest_ns, 90.0);
        assert_eq!(stretches[0].stalled_seconds, 0.5);
        assert_eq!(stretches[1].seconds, 1.0);
    }

    #[test]
    fn stalled_neighbours_are_one_band() {
        let seconds = [second(1, 1, 0.5), second(1, 1, 0.5), second(1, 1, 0.0), second(1, 1, 1.0)];
        let drawn = bands(&stretches(&seconds, 1), &Linear::to(4.0, 4)).into_string();
        assert_eq!(drawn.matches("<rect").count(), 2);
        assert!(drawn.contains(r#"x="0" y="0" width="500""#), "{drawn}");
    }

    #[test]
    fn long_series_are_thinned_and_short_ones_small() {
        let of = |count: u64| Figures {
            series: (0..count).map(|n| second(n, n, 0.0)).collect(),
            ..Figures::default()
        };
        let drawn =
            |figures: &Figures| over_time(&[Series { name: "a", look: Look::nth(0), figures }]).into_string();
        assert!(drawn(&of(36_000)).len() < 40_000);
        assert!(drawn(&of(5)).contains("sparks"));
        assert_eq!(drawn(&of(2)), "");
    }
}
