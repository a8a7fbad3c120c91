//! Comparison of a contestant's results with those of the reference.

use std::collections::BTreeMap;

use bert_core::agreement::Trace;
use serde::{Deserialize, Serialize};

/// Largest difference in f32, as a share of the largest value: rounding over the depth of a large model.
const BAR_32_BITS: f64 = 1e-3;

/// Largest difference in narrower types: bf16 has 8 bits of mantissa, as has an 8-bit number of its column's or row's range.
const BAR_NARROW: f64 = 0.1;

/// Differences of results from those of the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Contestant that these results are measured against.
    pub reference: String,
    /// The value that differs most.
    pub worst: String,
    /// Its largest difference, as a share of its largest value in the reference.
    pub difference: f64,
    /// True if the difference is within rounding error.
    pub agrees: bool,
}

impl Agreement {
    /// Compares what both have under the same name; `None` if that is nothing.
    pub fn of(
        values: &BTreeMap<String, Vec<f64>>,
        reference_label: &str,
        reference: &BTreeMap<String, Vec<f64>>,
        dtype: &str,
    ) -> Option<Self> {
        let differences = trace(values).differences(&trace(reference));
        let worst = differences
            .into_iter()
            .max_by(|a, b| a.relative().total_cmp(&b.relative()))?;
        let bar = if dtype == "f32" {
            BAR_32_BITS
        } else {
            BAR_NARROW
        };
        let difference = worst.relative();
        Some(Self {
            reference: reference_label.to_owned(),
            // JSON has no infinity.
            difference: difference.min(f64::MAX),
            agrees: difference <= bar,
            worst: worst.name,
        })
    }
}

fn trace(values: &BTreeMap<String, Vec<f64>>) -> Trace {
    let mut trace = Trace::default();
    for (name, values) in values {
        trace.push(name, values.clone());
    }
    trace
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(output: &[f64]) -> BTreeMap<String, Vec<f64>> {
        BTreeMap::from([("output".to_owned(), output.to_vec())])
    }

    fn compare(output: &[f64], dtype: &str) -> Agreement {
        Agreement::of(&values(output), "flex", &values(&[1.0, -2.0]), dtype).unwrap()
    }

    #[test]
    fn rounding_agrees_and_more_does_not() {
        assert!(compare(&[1.0, -2.001], "f32").agrees);
        assert!(!compare(&[1.0, -2.01], "f32").agrees);
        assert!(compare(&[1.0, -2.01], "bf16").agrees);
        assert!(!compare(&[1.0, -1.0], "bf16").agrees);
    }

    #[test]
    fn what_is_no_number_or_of_another_size_disagrees() {
        assert!(!compare(&[1.0, f64::NAN], "f32").agrees);
        let other = compare(&[1.0], "f32");
        assert!(!other.agrees && other.difference.is_finite());
    }

    #[test]
    fn nothing_in_common_is_no_comparison() {
        assert_eq!(
            Agreement::of(&BTreeMap::new(), "flex", &values(&[1.0]), "f32"),
            None
        );
    }
}
