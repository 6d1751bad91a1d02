//! Where a value lies along an axis, from 0 to 1, and which values are marked there.

/// From zero to a round number.
pub(super) struct Linear {
    largest: f64,
    step: f64,
}

impl Linear {
    /// Holds `largest`, with about `marks` marks.
    pub(super) fn holding(largest: f64, marks: u32) -> Linear {
        let largest = if largest.is_finite() && largest > 0.0 { largest } else { 1.0 };
        let step = round_up(largest / f64::from(marks.max(1)));
        Linear { largest: (largest / step - 1e-9).ceil() * step, step }
    }

    /// Exactly from zero to `largest`.
    pub(super) fn to(largest: f64, marks: u32) -> Linear {
        let step = Linear::holding(largest, marks).step;
        Linear { largest: if largest > 0.0 { largest } else { 1.0 }, step }
    }

    pub(super) fn at(&self, value: f64) -> f64 {
        (value / self.largest).clamp(0.0, 1.0)
    }

    pub(super) fn ticks(&self) -> Vec<f64> {
        let last = (self.largest / self.step + 1e-9).floor() as u64;
        (0..=last).map(|n| n as f64 * self.step).collect()
    }
}

/// Of positive values, by their logarithm; its ends are 1, 2 or 5 times a power of ten.
pub(super) struct Log {
    low: f64,
    high: f64,
}

impl Log {
    /// Holds all positive values among `values`.
    pub(super) fn holding(values: impl IntoIterator<Item = f64>) -> Log {
        let (low, high) = values
            .into_iter()
            .filter(|value| value.is_finite() && *value > 0.0)
            .fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        if high == 0.0 {
            return Log { low: 1.0, high: 10.0 };
        }
        let (low, high) = (round_down_125(low), round_up_125(high));
        Log { low, high: if high > low { high } else { low * 10.0 } }
    }

    /// Exactly from `low` to `high`.
    pub(super) fn between(low: f64, high: f64) -> Log {
        Log { low, high }
    }

    pub(super) fn ends(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// What lies below the axis, zero included, stands at its begin.
    pub(super) fn at(&self, value: f64) -> f64 {
        ((value.max(self.low) / self.low).ln() / (self.high / self.low).ln()).min(1.0)
    }

    /// Powers of ten; 2 and 5 times them too where there'd be few.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let decades = (self.high / self.low).log10();
        let digits: &[f64] = match decades {
            decades if decades <= 1.5 => &[1.0, 2.0, 5.0],
            decades if decades <= 2.2 => &[1.0, 3.0],
            _ => &[1.0],
        };
        let powers = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let mut ticks: Vec<f64> =
            powers.flat_map(|power| digits.iter().map(move |digit| digit * 10f64.powi(power))).collect();
        ticks.retain(|tick| (self.low * 0.999..=self.high * 1.001).contains(tick));
        ticks
    }
}

/// Of quantiles, by the number of nines: 0.9 lies as far from 0.99 as that from 0.999. The end is the maximum.
pub(super) struct Nines {
    /// The highest number of nines before the maximum.
    pub(super) last: u32,
}

impl Nines {
    /// Holds quantiles of up to `nines` nines; of more than five, the maximum is all that is shown.
    pub(super) fn holding(nines: f64) -> Nines {
        Nines { last: (nines.min(5.0) + 1e-6).floor().max(2.0) as u32 }
    }

    pub(super) fn at(&self, quantile: f64) -> f64 {
        // The maximum stands one nine behind the last.
        let end = f64::from(self.last + 1);
        if quantile >= 1.0 { 1.0 } else { (nines(quantile).max(0.0) / end).min(1.0) }
    }

    /// Quantiles and what they're called.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let mut ticks = vec![(0.5, "50".to_owned())];
        for nines in 1..=self.last {
            let name = match nines {
                1 => "90".to_owned(),
                2 => "99".to_owned(),
                n => format!("99.{}", "9".repeat(n as usize - 2)),
            };
            ticks.push((quantile(f64::from(nines)), name));
        }
        ticks.push((1.0, "max".to_owned()));
        ticks
    }

    /// Quantiles to draw a curve through, ten for each nine.
    pub(super) fn samples(&self) -> Vec<f64> {
        (0..=self.last * 10).map(|tenth| quantile(f64::from(tenth) / 10.0)).chain([1.0]).collect()
    }
}

/// How many nines a quantile has: of 0.99, two.
pub(super) fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}

fn quantile(nines: f64) -> f64 {
    1.0 - 10f64.powf(-nines)
}

/// 1, 2, 2.5 or 5 times a power of ten, at least `value`.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let digit = value / power;
    power * [1.0, 2.0, 2.5, 5.0].into_iter().find(|round| digit <= round * (1.0 + 1e-9)).unwrap_or(10.0)
}

fn round_up_125(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let digit = value / power;
    power * [1.0, 2.0, 5.0].into_iter().find(|round| digit <= round * (1.0 + 1e-9)).unwrap_or(10.0)
}

fn round_down_125(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let digit = value / power;
    power * [5.0, 2.0].into_iter().find(|round| digit >= round * (1.0 - 1e-9)).unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_axis_begins_at_zero_and_ends_at_a_round_number() {
        let axis = Linear::holding(1_412_345.0, 4);
        assert_eq!(axis.ticks(), [0.0, 500e3, 1e6, 1.5e6]);
        assert_eq!(axis.at(750e3), 0.5);
        assert_eq!(axis.at(-3.0), 0.0);
        let axis = Linear::holding(100.0, 4);
        assert_eq!(axis.ticks(), [0.0, 25.0, 50.0, 75.0, 100.0]);
        for nothing in [0.0, f64::NAN, f64::INFINITY, -1.0] {
            assert_eq!(Linear::holding(nothing, 2).ticks(), [0.0, 0.5, 1.0]);
        }
        assert_eq!(Linear::to(300.0, 6).ticks(), [0.0, 50.0, 100.0, 150.0, 200.0, 250.0, 300.0]);
    }

    #[test]
    fn a_log_axis_marks_powers_of_ten() {
        let axis = Log::holding([830.0, 0.0, 12_300_000.0]);
        assert_eq!(axis.ticks().iter().map(|t| t.round()).collect::<Vec<_>>(), [1e3, 1e4, 1e5, 1e6, 1e7]);
        assert_eq!(axis.at(500.0), 0.0);
        assert_eq!(axis.at(0.0), 0.0);
        assert_eq!(axis.at(1e12), 1.0);
        let axis = Log::holding([300.0, 900.0]);
        assert_eq!(axis.ticks().iter().map(|t| t.round()).collect::<Vec<_>>(), [200.0, 500.0, 1e3]);
        assert_eq!(Log::holding([]).ticks(), [1.0, 2.0, 5.0, 10.0]);
        assert_eq!(Log::holding([100.0]).at(100.0), 0.0);
    }

    #[test]
    fn nines_lie_evenly_and_end_at_the_maximum() {
        let axis = Nines::holding(nines(0.9999));
        let names: Vec<String> = axis.ticks().into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["50", "90", "99", "99.9", "99.99", "max"]);
        let step = axis.at(0.99) - axis.at(0.9);
        assert!((axis.at(0.999) - axis.at(0.99) - step).abs() < 1e-9);
        assert_eq!((axis.at(0.0), axis.at(1.0)), (0.0, 1.0));
        let samples = axis.samples();
        assert_eq!(samples.len(), 42);
        assert!(samples.is_sorted());
    }
}
