//! Cross-entropy of rows of logits, summed, without their softmax in memory.

use rayon::prelude::*;

use crate::simd::math::{exp, maximum, sum};
use crate::simd::vectorized;

/// Sums over rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Cross-entropies in nats, each multiplied by the weight of its row.
    pub loss: f64,
    /// Weights of the rows that count.
    pub weight: f64,
    /// Rows whose label has the highest logit, of several the first.
    pub hits: usize,
    /// Rows that count.
    pub rows: usize,
}

/// Cross-entropy of rows with their labels, summed in 64 bits in the order of the rows.
///
/// Rows with a negative label count nothing, whatever their logits are.
///
/// # Shapes
///
/// - logits: `[rows, classes]`
/// - labels: `[rows]`, each below `classes`
/// - weights: `[classes]`, the weight of a row by its label, or `[1]` for all
pub fn forward(logits: &[f32], classes: usize, labels: &[i64], weights: &[f32]) -> Totals {
    let of_rows: Vec<_> = logits
        .par_chunks(classes.max(1))
        .zip(labels)
        .map(|(logits, &label)| {
            let label = usize::try_from(label).ok()?;
            let (total, highest) = log_sum_exp(logits);
            let is_first = || logits[..label].iter().all(|&logit| logit != highest);
            let hit = logits[label] >= highest && is_first();
            Some((total - logits[label], weight_of(weights, label), hit))
        })
        .collect();
    let mut totals = Totals::default();
    for (loss, weight, hit) in of_rows.into_iter().flatten() {
        totals.loss += f64::from(loss * weight);
        totals.weight += f64::from(weight);
        totals.hits += usize::from(hit);
        totals.rows += 1;
    }
    totals
}

/// Gradient of the summed losses, itself multiplied by `grad`, with respect to the logits, in place of them; zero for rows
/// that count nothing.
///
/// # Shapes
///
/// - logits: `[rows, classes]`
/// - labels, weights: as [`forward`] has them
pub fn backward(logits: &mut [f32], classes: usize, labels: &[i64], weights: &[f32], grad: f32) {
    logits
        .par_chunks_mut(classes.max(1))
        .zip(labels)
        .for_each(|(logits, &label)| {
            let Ok(label) = usize::try_from(label) else {
                return logits.fill(0.0);
            };
            let grad = grad * weight_of(weights, label);
            let (total, _) = log_sum_exp(logits);
            vectorized(
                #[inline(always)]
                || {
                    for logit in logits.iter_mut() {
                        *logit = exp(*logit - total) * grad;
                    }
                },
            );
            logits[label] -= grad;
        });
}

/// The weight of a row with that label.
fn weight_of(weights: &[f32], label: usize) -> f32 {
    match weights {
        [of_all] => *of_all,
        of_classes => of_classes[label],
    }
}

/// `ln Σ e^x`, and the highest `x`.
fn log_sum_exp(logits: &[f32]) -> (f32, f32) {
    vectorized(
        #[inline(always)]
        || {
            let highest = maximum(logits);
            let total = highest + sum(logits, |logit| exp(logit - highest)).ln();
            (total, highest)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers};

    #[test]
    fn losses_and_gradients_equal_their_definition() {
        let (rows, classes) = (7, 50);
        let logits = numbers(rows * classes, 7);
        let labels = [0, 49, -1, 3, 3, 20, 7];
        let by_class = numbers(classes, 5);
        for weights in [&by_class[..], &[0.75]] {
            let grad = 1.5;
            let (mut expected, mut grads) = (Totals::default(), Vec::new());
            for (row, logits) in logits.chunks_exact(classes).enumerate() {
                let Ok(label) = usize::try_from(labels[row]) else {
                    grads.extend(vec![0.0; classes]);
                    continue;
                };
                let weight = f64::from(weights[label.min(weights.len() - 1)]);
                let powers: Vec<f64> = logits.iter().map(|&x| f64::from(x).exp()).collect();
                let total: f64 = powers.iter().sum();
                expected.loss -= weight * (powers[label] / total).ln();
                expected.weight += weight;
                expected.rows += 1;
                let best = (0..classes).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
                expected.hits += usize::from(best == Some(label));
                grads.extend(powers.iter().enumerate().map(|(class, power)| {
                    let target = if class == label { 1.0 } else { 0.0 };
                    (power / total - target) * weight * grad
                }));
            }
            let found = forward(&logits, classes, &labels, weights);
            assert!((found.loss - expected.loss).abs() < 1e-5, "{found:?}");
            assert!((found.weight - expected.weight).abs() < 1e-6, "{found:?}");
            assert_eq!((found.hits, found.rows), (expected.hits, expected.rows));
            let mut found = logits.clone();
            backward(&mut found, classes, &labels, weights, grad as f32);
            assert_close(&found, &grads, 1e-6);
        }
        assert_eq!(forward(&[], 0, &[], &[1.0]), Totals::default());
    }

    #[test]
    fn the_first_of_the_highest_logits_is_the_hit() {
        let logits = [1.0, 2.0, 2.0];
        let hits = |label| forward(&logits, 3, &[label], &[1.0]).hits;
        assert_eq!([0, 1, 2].map(hits), [0, 1, 0]);
    }

    #[test]
    fn rows_that_count_nothing_may_hold_anything() {
        let logits = [f32::NAN, f32::INFINITY, 0.0, 1.0];
        let found = forward(&logits, 2, &[-100, 1], &[1.0]);
        assert!(found.loss.is_finite() && (found.hits, found.rows) == (1, 1));
        let mut grads = logits;
        backward(&mut grads, 2, &[-100, 1], &[1.0], 1.0);
        assert_eq!(grads[..2], [0.0; 2]);
        assert!(grads[3] < 0.0);
    }
}
