//! Cross-entropy of rows of logits, without their softmax in memory.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::output::zeroed;
use crate::simd::math::{exp, maximum, sum};
use crate::simd::vectorized;

/// Cross-entropy in nats of every row with its label.
///
/// # Shapes
///
/// - logits: `[rows, classes]`
/// - labels, output: `[rows]`, each label below `classes`
pub fn forward<'a>(
    logits: &[f32],
    classes: usize,
    labels: &[usize],
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let losses = zeroed(output);
    losses
        .par_iter_mut()
        .zip(logits.par_chunks(classes.max(1)))
        .zip(labels)
        .for_each(|((loss, logits), &label)| {
            *loss = log_sum_exp(logits) - logits[label];
        });
    losses
}

/// Gradient with respect to the logits, in place of them.
///
/// # Shapes
///
/// - logits: `[rows, classes]`
/// - labels, grad: `[rows]`, each label below `classes`
pub fn backward(logits: &mut [f32], classes: usize, labels: &[usize], grad: &[f32]) {
    logits
        .par_chunks_mut(classes.max(1))
        .zip(grad)
        .zip(labels)
        .for_each(|((logits, &grad), &label)| {
            let total = log_sum_exp(logits);
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

/// `ln Σ e^x`.
fn log_sum_exp(logits: &[f32]) -> f32 {
    vectorized(
        #[inline(always)]
        || {
            let highest = maximum(logits);
            highest + sum(logits, |logit| exp(logit - highest)).ln()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::init_vec;
    use crate::testing::{assert_close, numbers};

    #[test]
    fn losses_and_gradients_equal_their_definition() {
        let (rows, classes) = (6, 50);
        let logits = numbers(rows * classes, 7);
        let labels = [0, 49, 3, 3, 20, 7];
        let grad = numbers(rows, 11);
        let (mut losses, mut grads) = (Vec::new(), Vec::new());
        for (row, logits) in logits.chunks_exact(classes).enumerate() {
            let powers: Vec<f64> = logits.iter().map(|&x| f64::from(x).exp()).collect();
            let total: f64 = powers.iter().sum();
            losses.push(-(powers[labels[row]] / total).ln());
            grads.extend(powers.iter().enumerate().map(|(class, power)| {
                let target = if class == labels[row] { 1.0 } else { 0.0 };
                (power / total - target) * f64::from(grad[row])
            }));
        }
        let found = init_vec(rows, |to| forward(&logits, classes, &labels, to));
        assert_close(&found, &losses, 1e-6);
        let mut found = logits;
        backward(&mut found, classes, &labels, &grad);
        assert_close(&found, &grads, 1e-6);
        assert!(init_vec(0, |to| forward(&[], 0, &[], to)).is_empty());
    }
}
