//! Differences of a device from the float64 reference.

use serde::{Deserialize, Serialize};

/// One difference between a device and the float64 reference, and its bar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// "hidden states, padded", "gradients, packed", …
    pub what: String,
    /// Largest difference: absolute, for gradients relative to the largest value; `f64::MAX` where a value is no number.
    pub difference: f64,
    /// Largest difference that is allowed.
    pub bar: f64,
}

impl Measurement {
    pub(crate) fn new(what: &str, difference: f64, bar: f64) -> Self {
        // JSON has no infinity, and a comparison with NaN is never true.
        let difference = if difference.is_finite() {
            difference
        } else {
            f64::MAX
        };
        Self {
            what: what.to_owned(),
            difference,
            bar,
        }
    }

    /// True where the difference is allowed.
    pub fn is_within_bar(&self) -> bool {
        self.difference <= self.bar
    }

    /// True for a gradient.
    pub fn is_gradient(&self) -> bool {
        self.what.starts_with("gradients")
    }
}
