//! Axes of a chart: domain, ticks and their labels.

/// Scale of an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Even steps around the values.
    #[default]
    Linear,
    /// Even steps from zero on.
    FromZero,
    /// Even ratios; values that are not positive are left out.
    Log,
    /// [`Log`](Self::Log) where all values are positive and the largest is 50 times the smallest, else
    /// [`Linear`](Self::Linear).
    Auto,
}

/// Ratio of the largest to the smallest value from which [`Scale::Auto`] is logarithmic.
const LOG_FROM: f64 = 50.0;

/// Beyond it differences of values overflow.
const LARGEST: f64 = 1e300;

/// Share of the span that is left free at either end.
const PADDING: f64 = 0.04;

/// An axis with a fixed domain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    log: bool,
    /// All values are whole numbers, such as counts.
    whole: bool,
}

impl Axis {
    /// The axis for `values`; those that cannot be drawn are passed over.
    ///
    /// `padded` leaves room at the ends, as suits measurements. Without it whole numbers are taken for counts, and there
    /// are no ticks between them.
    pub(super) fn new(
        scale: Scale,
        values: impl Iterator<Item = f64> + Clone,
        padded: bool,
    ) -> Self {
        let bounds = |least: f64| {
            let drawn = values
                .clone()
                .filter(|value| value.abs() < LARGEST && *value > least);
            drawn.fold(None, |bounds: Option<(f64, f64)>, value| {
                let (low, high) = bounds.unwrap_or((value, value));
                Some((low.min(value), high.max(value)))
            })
        };
        let all = bounds(f64::NEG_INFINITY);
        let whole = !padded && values.clone().all(|value| value.fract() == 0.0);
        let log = match scale {
            Scale::Linear | Scale::FromZero => false,
            Scale::Log => bounds(0.0).is_some(),
            Scale::Auto => all.is_some_and(|(low, high)| low > 0.0 && high / low >= LOG_FROM),
        };
        let (mut low, mut high) = match log {
            true => bounds(0.0).map(|(low, high)| (low.log10(), high.log10())),
            false => all,
        }
        .unwrap_or((0.0, 1.0));
        if scale == Scale::FromZero {
            (low, high) = (low.min(0.0), high.max(0.0));
        }
        if high - low <= f64::EPSILON * high.abs().max(low.abs()) {
            // One value alone sits in the middle.
            let room = match log {
                true => 0.5,
                false if low == 0.0 || whole && low.abs() < 1e9 => 1.0,
                false => low.abs() * 0.1,
            };
            (low, high) = (low - room, high + room);
            if scale == Scale::FromZero {
                low = low.max(0.0);
            }
        } else if padded {
            let room = (high - low) * PADDING;
            if !(scale == Scale::FromZero && low == 0.0) {
                low -= room;
            }
            if !(scale == Scale::FromZero && high == 0.0) {
                high += room;
            }
        }
        Self {
            low,
            high,
            log,
            whole,
        }
    }

    /// Position of `value` between the ends, 0 to 1; `None` if it cannot be drawn.
    pub(super) fn position(&self, value: f64) -> Option<f64> {
        let at = if self.log { value.log10() } else { value };
        let position = (at - self.low) / (self.high - self.low);
        (value.abs() < LARGEST && position.is_finite()).then_some(position)
    }

    /// Some `count` round values inside the domain, with their labels.
    pub(super) fn ticks(&self, count: usize) -> Vec<(f64, String)> {
        if self.log {
            let ticks = log_ticks(self.low, self.high, count);
            if ticks.len() >= 2 {
                return ticks.into_iter().map(|tick| (tick, plain(tick))).collect();
            }
        }
        let (low, high) = match self.log {
            true => (10_f64.powf(self.low), 10_f64.powf(self.high)),
            false => (self.low, self.high),
        };
        let least = if self.whole && !self.log { 1.0 } else { 0.0 };
        let step = round_step((high - low) / count.max(1) as f64).max(least);
        let largest = low.abs().max(high.abs());
        let (first, last) = ((low / step).ceil(), (high / step).floor());
        let count = (last - first).clamp(0.0, 100.0) as usize;
        (0..=count)
            .map(|index| (first + index as f64) * step)
            .map(|tick| (tick, label(tick, step, largest)))
            .collect()
    }
}

/// 1, 2 or 5 times a power of ten, near `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let digit = match step / power {
        digit if digit < 1.5 => 1.0,
        digit if digit < 3.5 => 2.0,
        digit if digit < 7.5 => 5.0,
        _ => 10.0,
    };
    digit * power
}

/// Powers of ten, with 2 and 5 between them where there is room; the bounds are logarithms.
fn log_ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let decades = high - low;
    let digits: &[f64] = match decades {
        _ if decades * 3.0 <= count as f64 + 1.0 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    let stride = (decades / count.max(1) as f64).ceil().max(1.0) as i32;
    let powers = (low.floor() as i32)..=(high.ceil() as i32);
    powers
        .filter(|power| power.rem_euclid(stride) == 0)
        .flat_map(|power| digits.iter().map(move |digit| digit * 10_f64.powi(power)))
        .filter(|tick| (low..=high).contains(&tick.log10()))
        .collect()
}

/// A tick of a linear axis, with as many digits as its neighbours need to differ.
fn label(tick: f64, step: f64, largest: f64) -> String {
    if tick.abs() < step * 1e-6 {
        return "0".to_owned();
    }
    let scaled = |unit: f64, prefix: &str| {
        let digits = -(step / unit).log10().floor();
        format!(
            "{:.*}{prefix}",
            digits.clamp(0.0, 9.0) as usize,
            tick / unit
        )
    };
    match largest {
        _ if !(1e-2..1e12).contains(&largest) => {
            let digits = tick.abs().log10().floor() - step.log10().floor();
            let text = format!("{tick:.*e}", digits.clamp(0.0, 9.0) as usize);
            without_zeros(&text)
        }
        _ if largest >= 1e9 => scaled(1e9, "G"),
        _ if largest >= 1e6 => scaled(1e6, "M"),
        _ if largest >= 1e4 => scaled(1e3, "k"),
        _ => scaled(1.0, ""),
    }
}

/// A tick of a logarithmic axis: one digit and its power.
fn plain(tick: f64) -> String {
    match tick {
        _ if !(1e-3..1e12).contains(&tick) => format!("{tick:.0e}"),
        _ if tick >= 1e9 => format!("{:.0}G", tick / 1e9),
        _ if tick >= 1e6 => format!("{:.0}M", tick / 1e6),
        _ if tick >= 1e4 => format!("{:.0}k", tick / 1e3),
        _ if tick >= 1.0 => format!("{tick:.0}"),
        _ => without_zeros(&format!("{tick:.4}")),
    }
}

/// `1.50e-4` as `1.5e-4`, `0.2000` as `0.2`.
fn without_zeros(text: &str) -> String {
    let (mantissa, exponent) = match text.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, format!("e{exponent}")),
        None => (text, String::new()),
    };
    match mantissa.contains('.') {
        true => {
            let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
            format!("{mantissa}{exponent}")
        }
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, values: &[f64]) -> Vec<String> {
        let axis = Axis::new(scale, values.iter().copied(), true);
        axis.ticks(5).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round_and_as_long_as_needed() {
        assert_eq!(
            labels(Scale::Linear, &[2.1, 10.4]),
            ["2", "4", "6", "8", "10"]
        );
        assert_eq!(
            labels(Scale::FromZero, &[1e-4]),
            ["0", "2e-5", "4e-5", "6e-5", "8e-5", "1e-4"]
        );
        assert_eq!(
            labels(Scale::FromZero, &[31_000.0]),
            ["0", "5k", "10k", "15k", "20k", "25k", "30k"]
        );
        assert_eq!(
            labels(Scale::Linear, &[0.91, 0.93]),
            ["0.910", "0.915", "0.920", "0.925", "0.930"]
        );
        assert_eq!(labels(Scale::Linear, &[-1.0, 1.0]).len(), 5);
    }

    #[test]
    fn logarithmic_ticks_are_powers_of_ten() {
        assert_eq!(
            labels(Scale::Log, &[1e-4, 20_000.0]),
            ["1e-4", "0.01", "1", "100", "10k"]
        );
        assert_eq!(
            labels(Scale::Log, &[1.0, 60.0]),
            ["1", "2", "5", "10", "20", "50"]
        );
        // Too narrow for two of them.
        assert!(labels(Scale::Log, &[3.1, 4.2]).len() >= 2);
    }

    #[test]
    fn auto_takes_logarithms_where_they_help() {
        let log = |values: &[f64]| Axis::new(Scale::Auto, values.iter().copied(), true).log;
        assert!(log(&[0.1, 10.0]));
        assert!(!log(&[1.0, 10.0]) && !log(&[0.0, 10.0]) && !log(&[]));
    }

    #[test]
    fn odd_values_have_no_place_and_do_no_harm() {
        let values = [1.0, f64::NAN, f64::INFINITY, f64::MAX, 3.0];
        let axis = Axis::new(Scale::Linear, values.into_iter(), false);
        assert_eq!(axis.position(2.0), Some(0.5));
        assert_eq!(axis.position(f64::NAN), None);
        assert_eq!(axis.position(f64::MAX), None);
        let axis = Axis::new(Scale::Log, [0.0, -1.0, 10.0].into_iter(), false);
        assert_eq!(axis.position(0.0), None);
        assert_eq!(axis.position(10.0), Some(0.5));
        let negative = Axis::new(Scale::Log, [-1.0, 0.0].into_iter(), false);
        assert_eq!(
            negative.position(0.0),
            Some(1.0),
            "nothing to take logarithms of"
        );
    }

    #[test]
    fn one_value_is_in_the_middle() {
        for value in [0.0, 5.0, -3.0, 1e-9, 1e12] {
            let axis = Axis::new(Scale::Linear, [value].into_iter(), true);
            assert_eq!(axis.position(value), Some(0.5), "{value}");
            assert!(!axis.ticks(5).is_empty());
        }
        let step = Axis::new(Scale::Linear, [1.0].into_iter(), false);
        let labels: Vec<_> = step.ticks(8).into_iter().map(|(_, text)| text).collect();
        assert_eq!(labels, ["0", "1", "2"], "there is no half a step");
        let none = Axis::new(Scale::Linear, [].into_iter(), true);
        assert!(!none.ticks(5).is_empty());
    }
}
