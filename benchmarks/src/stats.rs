//! Order statistics of samples.

use serde::{Deserialize, Serialize};

/// Distribution of samples. Times of a computer are skewed to the right, so nothing here is a mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Number of samples.
    pub count: usize,
    /// The smallest.
    pub min: f64,
    /// A quarter of them are below.
    pub lower_quartile: f64,
    /// Half of them are below.
    pub median: f64,
    /// Three quarters of them are below.
    pub upper_quartile: f64,
    /// The largest.
    pub max: f64,
}

impl Summary {
    /// Summary of `samples` in any order; all zero without any.
    pub fn of(samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |share| quantile(&sorted, share);
        Self {
            count: sorted.len(),
            min: at(0.0),
            lower_quartile: at(0.25),
            median: at(0.5),
            upper_quartile: at(0.75),
            max: at(1.0),
        }
    }

    /// Width of the middle half, as a share of the median.
    pub fn spread(&self) -> f64 {
        if self.median == 0.0 {
            return 0.0;
        }
        (self.upper_quartile - self.lower_quartile) / self.median
    }

    /// Half the width of the interval around the median outside which another median differs in earnest: the notch of a
    /// box plot, `1.57 · IQR / √n` (McGill, Tukey & Larsen 1978).
    pub fn notch(&self) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        1.57 * (self.upper_quartile - self.lower_quartile) / (self.count as f64).sqrt()
    }
}

/// By linear interpolation between neighbours, as NumPy does it.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let place = share * last as f64;
    let below = sorted[place.floor() as usize];
    let above = sorted[place.ceil() as usize];
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_those_of_numpy() {
        let summary = Summary::of(&[7.0, 1.0, 5.0, 3.0]);
        assert_eq!(
            summary,
            Summary {
                count: 4,
                min: 1.0,
                lower_quartile: 2.5,
                median: 4.0,
                upper_quartile: 5.5,
                max: 7.0
            }
        );
        assert_eq!(summary.spread(), 0.75);
        assert!((summary.notch() - 1.57 * 3.0 / 2.0).abs() < 1e-12);
    }

    #[test]
    fn few_samples_do_no_harm() {
        assert_eq!(Summary::of(&[]), Summary::default());
        let one = Summary::of(&[2.0]);
        assert_eq!((one.median, one.spread(), one.notch()), (2.0, 0.0, 0.0));
    }
}
