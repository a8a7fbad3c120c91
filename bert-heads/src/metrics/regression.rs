//! A number per example: error and correlations.

use super::{same_length, scores::Scores};
use crate::error::Result;

/// Pairs of a gold and a predicted number, 16 bytes each: ranks need all of them.
#[derive(Clone, Debug, Default)]
pub struct RegressionScorer {
    gold: Vec<f64>,
    predicted: Vec<f64>,
}

impl RegressionScorer {
    /// Counts one example. Numbers that are not finite make every score undefined.
    pub fn add(&mut self, gold: f64, predicted: f64) {
        self.gold.push(gold);
        self.predicted.push(predicted);
    }

    /// Pearson's correlation, -1 to 1; see [`pearson`].
    pub fn pearson(&self) -> Option<f64> {
        correlation(&self.gold, &self.predicted)
    }

    /// Spearman's rank correlation, -1 to 1; see [`spearman`].
    pub fn spearman(&self) -> Option<f64> {
        rank_correlation(&self.gold, &self.predicted)
    }

    /// Mean of the squared differences; see [`mean_squared_error`].
    pub fn mean_squared_error(&self) -> Option<f64> {
        squared_error(&self.gold, &self.predicted)
    }

    /// `pearson`, `spearmanr`, which is the primary number, `mse` and `examples`.
    pub fn scores(&self) -> Scores {
        Scores::new("spearmanr")
            .with_value("pearson", self.pearson())
            .with_value("spearmanr", self.spearman())
            .with_value("mse", self.mean_squared_error())
            .with_count("examples", self.gold.len() as u64)
    }
}

/// Pearson's correlation, -1 to 1 (SciPy `pearsonr`).
///
/// `None` for fewer than two pairs, for values that are all the same and for values that are not
/// finite.
///
/// # Errors
///
/// [`Error::Unpaired`](crate::Error::Unpaired) for lists of different length.
pub fn pearson(gold: &[f64], predicted: &[f64]) -> Result<Option<f64>> {
    same_length("values", gold.len(), predicted.len())?;
    Ok(correlation(gold, predicted))
}

/// Spearman's rank correlation, -1 to 1: Pearson's of the ranks, where equal values share the mean
/// of theirs (SciPy `spearmanr`).
///
/// `None` as for [`pearson`].
///
/// # Errors
///
/// [`Error::Unpaired`](crate::Error::Unpaired) for lists of different length.
pub fn spearman(gold: &[f64], predicted: &[f64]) -> Result<Option<f64>> {
    same_length("values", gold.len(), predicted.len())?;
    Ok(rank_correlation(gold, predicted))
}

/// Mean of the squared differences (scikit-learn `mean_squared_error`).
///
/// `None` without a pair and when the mean is not finite.
///
/// # Errors
///
/// [`Error::Unpaired`](crate::Error::Unpaired) for lists of different length.
pub fn mean_squared_error(gold: &[f64], predicted: &[f64]) -> Result<Option<f64>> {
    same_length("values", gold.len(), predicted.len())?;
    Ok(squared_error(gold, predicted))
}

fn squared_error(gold: &[f64], predicted: &[f64]) -> Option<f64> {
    let squares = gold.iter().zip(predicted).map(|(a, b)| (a - b).powi(2));
    let mean = squares.sum::<f64>() / gold.len() as f64;
    mean.is_finite().then_some(mean)
}

fn correlation(gold: &[f64], predicted: &[f64]) -> Option<f64> {
    let (gold, predicted) = (directions(gold)?, directions(predicted)?);
    let r: f64 = gold.iter().zip(&predicted).map(|(a, b)| a * b).sum();
    match gold.len() {
        2 => Some(r.round()),
        // Beyond the bounds by rounding only.
        _ => r.is_finite().then(|| r.clamp(-1.0, 1.0)),
    }
}

/// The values less their mean, scaled to length 1; `None` if they have no direction.
fn directions(values: &[f64]) -> Option<Vec<f64>> {
    let (first, rest) = values.split_first()?;
    // Not the length: the mean of equal values can be off by rounding.
    if rest.iter().all(|value| value == first) || values.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let mut centred: Vec<f64> = values.iter().map(|value| value - mean).collect();
    // Scaled first, so that squares neither overflow nor vanish.
    let largest = centred.iter().fold(0.0_f64, |max, v| max.max(v.abs()));
    centred.iter_mut().for_each(|value| *value /= largest);
    let length = centred.iter().map(|v| v * v).sum::<f64>().sqrt();
    centred.iter_mut().for_each(|value| *value /= length);
    Some(centred)
}

fn rank_correlation(gold: &[f64], predicted: &[f64]) -> Option<f64> {
    let finite = gold.iter().chain(predicted).all(|value| value.is_finite());
    finite
        .then(|| correlation(&ranks(gold), &ranks(predicted)))
        .flatten()
}

/// Position of each value in the sorted list; equal values share the mean of their positions.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut next = 0;
    // 0 and -0 are equal and stand beside each other.
    for equal in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let mean = next as f64 + (equal.len() - 1) as f64 / 2.0;
        equal.iter().for_each(|index| ranks[*index] = mean);
        next += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn equal_values_share_their_rank() {
        assert_eq!(
            ranks(&[7.0, -1.0, 7.0, 0.0, -0.0]),
            [3.5, 0.0, 3.5, 1.5, 1.5]
        );
    }

    #[test]
    fn correlations_without_meaning_are_undefined() {
        let cases: [(&[f64], &[f64]); 6] = [
            (&[], &[]),
            (&[1.0], &[2.0]),
            (&[0.1, 0.1, 0.1], &[1.0, 2.0, 3.0]),
            (&[1.0, 2.0, 3.0], &[5.0, 5.0, 5.0]),
            (&[1.0, f64::NAN, 3.0], &[5.0, 6.0, 7.0]),
            (&[1.0, 2.0, 3.0], &[5.0, f64::INFINITY, 7.0]),
        ];
        for (gold, predicted) in cases {
            assert_eq!(pearson(gold, predicted).unwrap(), None, "{gold:?}");
            assert_eq!(spearman(gold, predicted).unwrap(), None, "{gold:?}");
        }
        assert_eq!(mean_squared_error(&[], &[]).unwrap(), None);
        assert_eq!(mean_squared_error(&[f64::NAN], &[1.0]).unwrap(), None);
        assert_eq!(
            mean_squared_error(&[1.0, 2.0], &[3.0, 2.0]).unwrap(),
            Some(2.0)
        );
    }

    #[test]
    fn squares_neither_overflow_nor_vanish() {
        let (gold, predicted) = ([-5.0, 4.0, 3.0, -1.0], [-1.0, 0.0, 2.5, 1.0]);
        let r = pearson(&gold, &predicted).unwrap();
        for power in [700, -700] {
            let scaled = gold.map(|value| value * 2.0_f64.powi(power));
            assert_eq!(pearson(&scaled, &predicted).unwrap(), r);
        }
    }

    #[test]
    fn unpaired_lists_are_refused() {
        for score in [pearson, spearman, mean_squared_error] {
            let error = score(&[1.0, 2.0], &[1.0]).unwrap_err();
            assert!(matches!(error, Error::Unpaired { .. }), "{error}");
        }
    }
}
