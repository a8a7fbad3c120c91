//! Functions and sums that compile to vector instructions: no branches, no calls.

use core::f32::consts::LOG2_E;

/// Partial sums that a vectorised sum keeps; part of its result, so the same on every processor.
pub(crate) const LANES: usize = 16;

/// A polynomial from its highest coefficient downwards.
///
/// A macro, since a loop over the coefficients would be the one that the compiler sees first.
macro_rules! horner {
    ($x:expr, $highest:expr, $($coefficient:expr),+ $(,)?) => {{
        let sum = $highest;
        $(let sum = sum * $x + $coefficient;)+
        sum
    }};
}

/// `e^x` to two units in the last place, for `x` clamped to -87.3..88.
///
/// Cephes' `expf`: `2^n · e^r` with a polynomial for `e^r`, |r| ≤ ln 2 / 2.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding 1.5·2²³ leaves the nearest integer in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with so few bits that its product with n is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;

    let x = if x < -87.3 { -87.3 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let sum = horner!(
        r,
        1.987_569_1e-4,
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        0.166_666_65,
        0.5,
    );
    let sum = sum * r * r + r + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    sum * power
}

/// `erf(x)` to 5e-7: the rational approximation over -4..4 of Eigen and XLA.
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let x = if x < -4.0 { -4.0 } else { x };
    let x = if x > 4.0 { 4.0 } else { x };
    let square = x * x;
    let numerator = horner!(
        square,
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_6e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    );
    let denominator = horner!(
        square,
        -1.456_607_2e-5,
        -2.133_740_6e-4,
        -1.682_827e-3,
        -7.373_329e-3,
        -1.426_473_9e-2,
    );
    x * numerator / denominator
}

/// Adds `from` to `to`, which has as many elements.
#[inline(always)]
pub(crate) fn add(to: &mut [f32], from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

/// The sum of `term` over `values`.
#[inline(always)]
pub(crate) fn sum(values: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0_f32; LANES];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += term(value);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane += term(value);
    }
    lanes.iter().sum()
}

/// The sum of `term` over pairs from `left` and `right`, which have one length.
#[inline(always)]
pub(crate) fn sum_pairs(left: &[f32], right: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let (lefts, left_rest) = left.as_chunks::<LANES>();
    let (rights, right_rest) = right.as_chunks::<LANES>();
    let mut lanes = [0.0_f32; LANES];
    for (left, right) in lefts.iter().zip(rights) {
        for ((lane, &left), &right) in lanes.iter_mut().zip(left).zip(right) {
            *lane += term(left, right);
        }
    }
    for ((lane, &left), &right) in lanes.iter_mut().zip(left_rest).zip(right_rest) {
        *lane += term(left, right);
    }
    lanes.iter().sum()
}

/// The largest of `values`, or the lowest finite number if there is none.
#[inline(always)]
pub(crate) fn maximum(values: &[f32]) -> f32 {
    extreme(
        values,
        f32::MIN,
        |most, value| {
            if value > most { value } else { most }
        },
    )
}

/// The smallest of `values`, or the largest finite number if there is none.
#[inline(always)]
pub(crate) fn minimum(values: &[f32]) -> f32 {
    extreme(
        values,
        f32::MAX,
        |least, value| {
            if value < least { value } else { least }
        },
    )
}

#[inline(always)]
fn extreme(values: &[f32], first: f32, further: impl Fn(f32, f32) -> f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [first; LANES];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = further(*lane, value);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane = further(*lane, value);
    }
    lanes.into_iter().fold(first, further)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, size};

    #[test]
    fn exp_is_right_to_two_units_in_the_last_place() {
        for step in (-87_000..=87_000).step_by(size(1, 1000)) {
            let x = step as f32 / 1000.0;
            let expected = f64::from(x).exp();
            let relative = (f64::from(exp(x)) / expected - 1.0).abs();
            assert!(relative < 2.5e-7, "exp({x}): off by {relative:e}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::MIN) < 2e-38 && exp(f32::MIN) > 0.0);
        assert!(exp(f32::MAX).is_finite());
    }

    #[test]
    fn erf_equals_the_series() {
        for step in (-4500..=4500).step_by(size(1, 100)) {
            let x = step as f32 / 1000.0;
            let difference = (f64::from(erf(x)) - testing::erf(f64::from(x))).abs();
            assert!(difference < 5e-7, "erf({x}): off by {difference:e}");
        }
    }

    #[test]
    fn sums_and_maxima_see_every_element() {
        for length in [0, 1, 15, 16, 17, 37] {
            let values: Vec<f32> = (1..=length).map(|value| value as f32).collect();
            let total = (length * (length + 1) / 2) as f32;
            assert_eq!(sum(&values, |value| value), total);
            assert_eq!(sum_pairs(&values, &values, |left, _| left), total);
            if length > 0 {
                assert_eq!(maximum(&values), length as f32);
                assert_eq!(minimum(&values), 1.0);
            }
        }
        assert_eq!(maximum(&[]), f32::MIN);
        assert_eq!(minimum(&[]), f32::MAX);
    }
}
