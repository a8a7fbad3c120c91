//! Softmax over the keys that are not padding, and its gradient.

use rayon::prelude::*;

use crate::parallel::{row_chunk_len, rows_per_chunk};
use crate::simd::math::{exp, maximum, sum, sum_pairs};
use crate::simd::vectorized;

/// Attention mask of keys: 0 at padding and 1 elsewhere, as floats, so that kernels stay free of branches.
pub fn attended(padding: &[bool]) -> Vec<f32> {
    let padding = padding.iter();
    padding.map(|&pad| f32::from(u8::from(!pad))).collect()
}

/// `softmax(scale · scores)` over the keys that are attended to, in place; a row without any becomes zero.
///
/// # Shapes
///
/// - scores: `[batch, rows, keys]`, for example a row for each head and query
/// - attended: `[batch, keys]`, 0 at keys that are left out and 1 elsewhere
pub fn masked_softmax(scores: &mut [f32], attended: &[f32], keys: usize, scale: f32) {
    if scores.is_empty() {
        return;
    }
    let rows_per_sequence = scores.len() / attended.len();
    let rows = rows_per_chunk(keys);
    scores
        .par_chunks_mut(rows * keys)
        .enumerate()
        .for_each(|(chunk, values)| {
            vectorized(
                #[inline(always)]
                || {
                    for (row, values) in values.chunks_exact_mut(keys).enumerate() {
                        let sequence = (chunk * rows + row) / rows_per_sequence;
                        softmax_row(values, &attended[sequence * keys..][..keys], scale);
                    }
                },
            );
        });
}

/// Statistics of the softmax of a row: the highest score, and the inverse of the sum of `exp(score - highest)`, 0 in a row
/// without any key. Probabilities are `exp(score - highest) · inverse`.
pub type RowStatistics = [f32; 2];

/// Softmax of one row, over the keys that are attended to, of the scores times `scale`.
#[inline(always)]
pub(crate) fn softmax_row(values: &mut [f32], attended: &[f32], scale: f32) -> RowStatistics {
    for (value, &attended) in values.iter_mut().zip(attended) {
        *value = if attended == 0.0 {
            f32::MIN
        } else {
            *value * scale
        };
    }
    let highest = maximum(values);
    for value in values.iter_mut() {
        *value = exp(*value - highest);
    }
    // A row without any key sums to its length, and is zeroed below.
    let inverse = 1.0 / sum(values, |value| value);
    for (value, &attended) in values.iter_mut().zip(attended) {
        *value *= inverse * attended;
    }
    let has_keys = highest > f32::MIN;
    [highest, if has_keys { inverse } else { 0.0 }]
}

/// Gradient with respect to the scores, in place of `grad`.
///
/// # Shapes
///
/// - probabilities, grad: `[rows, width]`
pub fn backward(probabilities: &[f32], grad: &mut [f32], width: usize, scale: f32) {
    let length = row_chunk_len(width);
    grad.par_chunks_mut(length)
        .zip(probabilities.par_chunks(length))
        .for_each(|(grads, probabilities)| {
            vectorized(
                #[inline(always)]
                || {
                    let rows = probabilities.chunks_exact(width);
                    for (grads, probabilities) in grads.chunks_exact_mut(width).zip(rows) {
                        backward_row(grads, probabilities, scale);
                    }
                },
            );
        });
}

/// Turns the gradient of the probabilities of one row into that of its scores.
#[inline(always)]
pub(crate) fn backward_row(grads: &mut [f32], probabilities: &[f32], scale: f32) {
    let mean = sum_pairs(grads, probabilities, |grad, p| grad * p);
    for (grad, &p) in grads.iter_mut().zip(probabilities) {
        *grad = (*grad - mean) * p * scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers, size};

    #[test]
    fn softmax_and_its_gradient_equal_their_definition() {
        // The second sequence ends in padding and the third is nothing else; several chunks.
        let (rows, keys) = size((200, 37), (2, 19));
        let padding: Vec<bool> = (0..3 * keys).map(|at| at >= 2 * keys - 5).collect();
        let attended = attended(&padding);
        let scores = numbers(3 * rows * keys, 7);
        let mut expected = Vec::new();
        for (at, row) in scores.chunks_exact(keys).enumerate() {
            let attended = &attended[at / rows * keys..][..keys];
            let powers: Vec<f64> = (row.iter().zip(attended))
                .map(|(&score, &attended)| f64::from(attended) * (0.5 * f64::from(score)).exp())
                .collect();
            let total = powers.iter().sum::<f64>().max(f64::MIN_POSITIVE);
            expected.extend(powers.iter().map(|power| power / total));
        }
        let mut probabilities = scores;
        masked_softmax(&mut probabilities, &attended, keys, 0.5);
        assert_close(&probabilities, &expected, 1e-6);

        let grad = numbers(probabilities.len(), 11);
        let mut expected_grad = Vec::new();
        for (grad, p) in grad.chunks_exact(keys).zip(expected.chunks_exact(keys)) {
            let wide = || grad.iter().zip(p).map(|(&grad, p)| (f64::from(grad), p));
            let mean: f64 = wide().map(|(grad, p)| grad * p).sum();
            expected_grad.extend(wide().map(|(grad, p)| (grad - mean) * p * 0.5));
        }
        let mut found = grad;
        backward(&probabilities, &mut found, keys, 0.5);
        assert_close(&found, &expected_grad, 1e-6);
        masked_softmax(&mut [], &[], 0, 1.0);
        backward(&[], &mut [], 0, 1.0);
    }
}
