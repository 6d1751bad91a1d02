//! Latency by percentile: one curve a series, both axes logarithmic.

use maud::{Markup, html};

use crate::figures::{Figures, Latency};
use crate::html::look::Look;
use crate::html::scale::{Log, Nines, nines};
use crate::html::units;
use crate::summary::{Percentile, is_told};

use super::{Plot, key, line, mark};

/// A curve to draw, merged from one latency a round.
pub(in crate::html) struct Series<'a> {
    pub(in crate::html) name: &'a str,
    pub(in crate::html) look: Look,
    pub(in crate::html) rounds: Vec<&'a Latency>,
}

impl<'a> Series<'a> {
    /// Of the rounds that were timed; none if none was.
    pub(in crate::html) fn of(name: &'a str, look: Look, rounds: &[&'a Figures]) -> Option<Series<'a>> {
        let rounds: Vec<&Latency> = rounds.iter().filter_map(|figures| figures.latency.as_ref()).collect();
        (!rounds.is_empty()).then_some(Series { name, look, rounds })
    }

    /// The median over the rounds of the time at a quantile.
    fn at(&self, quantile: f64) -> Option<f64> {
        let mut times: Vec<f64> =
            self.rounds.iter().filter_map(|latency| time_at(latency, quantile)).map(|ns| ns as f64).collect();
        times.sort_by(f64::total_cmp);
        let upper = *times.get(times.len() / 2)?;
        Some((times[(times.len() - 1) / 2] + upper) / 2.0)
    }

    /// How many nines the curve tells of before its maximum.
    fn nines(&self) -> f64 {
        let quantiles = self.rounds.iter().flat_map(|latency| points(latency)).map(|(quantile, _)| quantile);
        quantiles.filter(|quantile| *quantile < 1.0).map(nines).fold(0.0, f64::max)
    }
}

/// The curves, or nothing where nothing was timed.
pub(in crate::html) fn latency(title: &str, series: &[Series<'_>]) -> Markup {
    if series.is_empty() {
        return html! {};
    }
    let x = Nines::holding(series.iter().map(Series::nines).fold(0.0, f64::max));
    let curves: Vec<Vec<(f64, f64)>> = series
        .iter()
        .map(|series| x.samples().into_iter().filter_map(|q| Some((q, series.at(q)?))).collect())
        .collect();
    let y = Log::holding(curves.iter().flatten().map(|(_, ns)| *ns));
    let names: Vec<&str> = series.iter().map(|series| series.name).collect();
    let label = format!("{title}: latency by percentile of {}", names.join(", "));
    let plot = Plot {
        label: &label,
        class: "curve",
        x: x.ticks().into_iter().map(|(quantile, name)| (x.at(quantile), name)).collect(),
        y: y.ticks().into_iter().map(|ns| (y.at(ns), units::tick(ns, units::nanoseconds))).collect(),
        shapes: html! {
            @for (series, curve) in series.iter().zip(&curves) {
                path class={ "line " (series.look.class()) }
                    d=(line(curve.iter().map(|(quantile, ns)| (x.at(*quantile), y.at(*ns))))) {
                    title { (series.name) }
                }
            }
        },
        marks: html! {
            @for series in series {
                @for (quantile, name) in x.ticks() {
                    @if let Some(ns) = series.at(quantile) {
                        (mark(series.look, x.at(quantile), y.at(ns), &told(series.name, &name, ns)))
                    }
                }
            }
        },
    };
    html! {
        figure {
            figcaption { strong { "Latency" } " by percentile, log scale; lower is better" }
            (plot)
            p.keys { @for series in series { (key(series.look, series.name)) } }
        }
    }
}

fn told(series: &str, percentile: &str, ns: f64) -> String {
    let percentile = if percentile == "max" { "max".to_owned() } else { format!("p{percentile}") };
    format!("{series} {percentile}: {}", units::nanoseconds(ns))
}

/// The time that a share of the operations took at most: that of the first point at or behind it.
fn time_at(latency: &Latency, quantile: f64) -> Option<u64> {
    if quantile >= 1.0 {
        return Some(latency.max);
    }
    if !is_told(latency, quantile) {
        return None;
    }
    // What was computed in another way may differ in the last digits.
    let point = points(latency).find(|(at, _)| *at >= quantile - 1e-12);
    point.map(|(_, ns)| ns)
}

/// The curve as far as there were calls enough; where there is none, the few percentiles that are known.
fn points(latency: &Latency) -> impl Iterator<Item = (f64, u64)> {
    let known = Percentile::ALL.into_iter().filter(|_| latency.curve.is_empty());
    let known = known.map(|percentile| percentile.known(latency));
    latency.curve.iter().copied().chain(known).filter(|(quantile, _)| is_told(latency, *quantile))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_the_median_of_its_rounds() {
        let round = |curve: &[(f64, u64)], max| Latency { curve: curve.to_vec(), max, ..Latency::default() };
        // Rounds need not tell of the same quantiles.
        let rounds = [
            round(&[(0.5, 100), (0.9, 200), (1.0, 900)], 900),
            round(&[(0.5, 110), (0.95, 300), (1.0, 800)], 800),
            round(&[(0.5, 90), (0.9, 250), (1.0, 1000)], 1000),
        ];
        let series = Series { name: "a", look: Look::nth(0), rounds: rounds.iter().collect() };
        assert_eq!(series.at(0.5), Some(100.0));
        assert_eq!(series.at(0.9), Some(250.0));
        assert_eq!(series.at(1.0), Some(900.0));
        assert!((series.nines() - nines(0.95)).abs() < 1e-9);
    }

    #[test]
    fn a_curve_ends_where_there_are_no_calls_beyond() {
        let curve = vec![(0.5, 10), (0.9, 20), (0.99, 30), (0.999, 40), (1.0, 50)];
        let of = |count| Latency { count, max: 50, curve: curve.clone(), ..Latency::default() };
        let rounds = [of(150), of(150)];
        let series = Series { name: "a", look: Look::nth(0), rounds: rounds.iter().collect() };
        assert_eq!([0.9, 0.99, 0.999, 1.0].map(|q| series.at(q)), [Some(20.0), Some(30.0), None, Some(50.0)]);
        assert!((series.nines() - 2.0).abs() < 1e-9);
        let page = super::latency("x", &[series]).into_string();
        assert!(page.contains("p99: 30") && !page.contains("p99.9"), "{page}");
        // Of how many calls older figures are, is not known.
        assert_eq!(time_at(&of(0), 0.999), Some(40));
    }

    #[test]
    fn without_a_curve_the_known_percentiles_are_drawn() {
        let latency = Latency { p50: 10, p99: 30, max: 99, ..Latency::default() };
        assert_eq!(time_at(&latency, 0.5), Some(10));
        assert_eq!(time_at(&latency, 0.99), Some(30));
        assert_eq!(time_at(&latency, 1.0), Some(99));
        let curve =
            super::latency("x", &[Series { name: "<b>", look: Look::nth(0), rounds: vec![&latency] }]);
        assert!(curve.into_string().contains("&lt;b&gt; p99: 30"));
        assert_eq!(super::latency("x", &[]).into_string(), "");
    }
}
