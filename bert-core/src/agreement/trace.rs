//! Named values and how far they are from their reference.

use burn::tensor::Tensor;
use serde::Serialize;

use super::{FORWARD_BAR, GRADIENT_BAR};

/// Gradients below this share of the largest one in the model are measured against that share:
/// some are zero by symmetry (a key's bias moves all scores of a query alike), and what is left of
/// them is rounding.
const GRADIENT_FLOOR: f64 = 1e-2;

/// Named values of one run, in the order in which the model computes them.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    entries: Vec<(String, Vec<f64>)>,
}

/// Difference of one named value from its reference.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// "hidden_states.3", "pooled_output", "grad.encoder.layer.0.output.dense.weight", …
    pub name: String,
    /// Largest absolute difference; infinite when shapes differ or a value is not a number.
    pub max_abs: f64,
    /// Mean absolute difference.
    pub mean_abs: f64,
    /// Largest absolute value of the reference, for gradients at least a hundredth of the largest
    /// gradient of the model.
    pub scale: f64,
}

impl Difference {
    /// `max_abs` as a share of `scale`.
    pub fn relative(&self) -> f64 {
        if self.max_abs == 0.0 {
            0.0
        } else {
            self.max_abs / self.scale
        }
    }

    /// True for a gradient.
    pub fn is_gradient(&self) -> bool {
        self.name.starts_with("grad.")
    }

    /// True if the difference is within the tolerances for fixtures.
    pub fn is_within_bars(&self) -> bool {
        if self.is_gradient() {
            self.relative() <= GRADIENT_BAR
        } else {
            self.max_abs <= FORWARD_BAR
        }
    }
}

impl Trace {
    /// Adds a value under `name`.
    pub fn push(&mut self, name: impl Into<String>, values: Vec<f64>) {
        self.entries.push((name.into(), values));
    }

    /// Adds a tensor's values under `name`; waits for the device.
    pub fn push_tensor<const D: usize>(&mut self, name: impl Into<String>, tensor: Tensor<D>) {
        self.push(name, tensor.into_data().iter::<f64>().collect());
    }

    /// Adds everything of `other`.
    pub fn extend(&mut self, other: Trace) {
        self.entries.extend(other.entries);
    }

    /// The values under `name`.
    pub fn get(&self, name: &str) -> Option<&[f64]> {
        self.entries
            .iter()
            .find(|(entry, _)| entry == name)
            .map(|(_, values)| values.as_slice())
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// [`differences`](Self::differences) of all but the elements that are NaN in `reference`, which leaves them undefined.
    pub fn differences_where_defined(&self, reference: &Trace) -> Vec<Difference> {
        let (mut found, mut defined) = (self.clone(), reference.clone());
        for (name, values) in &mut found.entries {
            let expected = defined.entries.iter_mut().find(|(known, _)| known == name);
            // Of another length, it counts as infinitely far.
            if let Some((_, expected)) = expected
                && values.len() == expected.len()
            {
                let pairs = values.iter().zip(&*expected);
                let kept = pairs.filter(|(_, expected)| !expected.is_nan());
                *values = kept.map(|(value, _)| *value).collect();
                expected.retain(|value| !value.is_nan());
            }
        }
        found.differences(&defined)
    }

    /// The difference of every value of `self` that `reference` has too.
    pub fn differences(&self, reference: &Trace) -> Vec<Difference> {
        let largest = |values: &[f64]| values.iter().fold(0.0, |max: f64, v| max.max(v.abs()));
        let largest_gradient = reference
            .entries
            .iter()
            .filter(|(name, _)| name.starts_with("grad."))
            .fold(0.0, |max: f64, (_, values)| max.max(largest(values)));
        self.entries
            .iter()
            .filter_map(|(name, values)| Some((name, values, reference.get(name)?)))
            .map(|(name, values, expected)| {
                let mut scale = largest(expected);
                if name.starts_with("grad.") {
                    scale = scale.max(GRADIENT_FLOOR * largest_gradient);
                }
                let (max_abs, mean_abs) = absolute_differences(values, expected);
                Difference {
                    name: name.clone(),
                    max_abs,
                    mean_abs,
                    scale,
                }
            })
            .collect()
    }
}

fn absolute_differences(values: &[f64], expected: &[f64]) -> (f64, f64) {
    if values.len() != expected.len() {
        return (f64::INFINITY, f64::INFINITY);
    }
    let (mut max, mut sum) = (0.0_f64, 0.0);
    for (value, expected) in values.iter().zip(expected) {
        let difference = (value - expected).abs();
        if difference.is_nan() {
            return (f64::INFINITY, f64::INFINITY);
        }
        max = max.max(difference);
        sum += difference;
    }
    (max, sum / values.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_reference_leaves_undefined_is_left_out() {
        let trace = |values: &[f64]| {
            let mut trace = Trace::default();
            trace.push("x", values.to_vec());
            trace
        };
        let worst = |found: &[f64], expected: &[f64]| {
            let differences = trace(found).differences_where_defined(&trace(expected));
            assert_eq!(differences.len(), 1);
            differences[0].max_abs
        };
        assert_eq!(worst(&[1.0, 5.0, 2.5], &[1.0, f64::NAN, 2.0]), 0.5);
        assert_eq!(worst(&[1.0, f64::NAN], &[1.0, f64::NAN]), 0.0);
        assert_eq!(worst(&[f64::NAN, 5.0], &[1.0, f64::NAN]), f64::INFINITY);
        assert_eq!(worst(&[1.0], &[1.0, f64::NAN]), f64::INFINITY);
    }
}
