//! The cost model beside the measurement: time as an overhead and a rate of counted operations.

use crate::record::Row;

/// `seconds = overhead + operations / rate`, as a contestant's rows have it at best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostModel {
    /// Seconds of an iteration that computes nothing.
    pub overhead: f64,
    /// Counted operations per second.
    pub rate: f64,
}

/// Different costs that a fit needs.
const POINTS: usize = 4;

impl CostModel {
    /// Fits the medians of `rows`, all of one contestant; `None` for fewer than four different costs, or where time does not
    /// grow with them.
    pub fn fit<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Option<Self> {
        let points: Vec<(f64, f64)> = rows
            .into_iter()
            .filter_map(|row| Some((row.work.flops, row.measured()?.seconds.median)))
            .filter(|(_, seconds)| *seconds > 0.0)
            .collect();
        let mut costs: Vec<f64> = points.iter().map(|(flops, _)| *flops).collect();
        costs.sort_by(f64::total_cmp);
        costs.dedup();
        if costs.len() < POINTS {
            return None;
        }
        // Least squares of the relative error: long iterations must not drown short ones.
        // With u = 1/t and v = f/t, (a u + b v - 1)² is least where these hold.
        let sum = |term: &dyn Fn(f64, f64) -> f64| -> f64 {
            points.iter().map(|(f, t)| term(1.0 / t, f / t)).sum()
        };
        let (uu, vv, uv) = (sum(&|u, _| u * u), sum(&|_, v| v * v), sum(&|u, v| u * v));
        let (u1, v1) = (sum(&|u, _| u), sum(&|_, v| v));
        let determinant = uu * vv - uv * uv;
        let (mut overhead, mut slope) = (
            (u1 * vv - v1 * uv) / determinant,
            (v1 * uu - u1 * uv) / determinant,
        );
        if overhead.is_nan() || overhead < 0.0 {
            // A negative overhead is noise: then there is none.
            (overhead, slope) = (0.0, v1 / vv);
        }
        (slope > 0.0 && slope.is_finite()).then_some(Self {
            overhead,
            rate: 1.0 / slope,
        })
    }

    /// Seconds of an iteration that counts `flops` operations.
    pub fn seconds(&self, flops: f64) -> f64 {
        self.overhead + flops / self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::row;

    fn rows(points: &[(f64, f64)]) -> Vec<Row> {
        let row = |&(flops, seconds): &(f64, f64)| {
            let mut row = row("flex", 1, &[seconds]);
            row.work.flops = flops;
            row
        };
        points.iter().map(row).collect()
    }

    #[test]
    fn overhead_and_rate_are_found_again() {
        let points = [1e9, 5e9, 2e10, 1e12].map(|flops| (flops, 0.02 + flops / 5e10));
        let fit = CostModel::fit(&rows(&points)).unwrap();
        assert!((fit.overhead - 0.02).abs() < 1e-9, "{fit:?}");
        assert!((fit.rate / 5e10 - 1.0).abs() < 1e-9, "{fit:?}");
        assert!((fit.seconds(5e10) - 1.02).abs() < 1e-6);
    }

    #[test]
    fn a_negative_overhead_is_none() {
        let points = [(1e9, 0.001), (2e9, 0.005), (4e9, 0.012), (8e9, 0.03)];
        let fit = CostModel::fit(&rows(&points)).unwrap();
        assert_eq!(fit.overhead, 0.0);
        assert!(fit.rate > 1e11 && fit.rate < 1e12, "{fit:?}");
    }

    #[test]
    fn too_few_costs_give_no_model() {
        assert_eq!(
            CostModel::fit(&rows(&[(1e9, 0.1), (2e9, 0.2), (3e9, 0.3)])),
            None
        );
        assert_eq!(CostModel::fit(&rows(&[(1e9, 0.1); 9])), None);
    }
}
