//! Softmax over the keys that are not padding.

use rayon::prelude::*;

use super::math::{exp, maximum, sum, sum_pairs};
use super::tensor::{HostTensor, are_here, rows_and_width};
use super::{rows_per_piece, vectorized};
use crate::ops::softmax;

/// [`BertOps::masked_softmax`](crate::ops::BertOps::masked_softmax), over `scores` itself.
pub(in crate::ops) fn masked_softmax<T: HostTensor>(scores: T, mask_pad: T, scale: f64) -> T {
    if !are_here([&scores]) {
        return softmax::masked::<T::Backend>(scores, mask_pad, scale);
    }
    let [_, heads, seq_q, seq_k] = scores.shape().dims::<4>();
    if seq_k == 0 {
        return scores;
    }
    let scale = scale as f32;
    let attended = attended(mask_pad); // [batch, seq_k]
    let mut scores = scores.dense();
    let rows = rows_per_piece(seq_k);
    scores
        .floats_mut()
        .par_chunks_mut(rows * seq_k)
        .enumerate()
        .for_each(|(piece, values)| {
            vectorized(
                #[inline(always)]
                || {
                    for (row, values) in values.chunks_exact_mut(seq_k).enumerate() {
                        let batch = (piece * rows + row) / (heads * seq_q);
                        softmax_row(values, &attended[batch * seq_k..][..seq_k], scale);
                    }
                },
            );
        });
    scores
}

/// 0 at padding and 1 elsewhere, as floats: the kernels stay free of branches.
pub(super) fn attended(mask_pad: impl HostTensor) -> Vec<f32> {
    let padding = mask_pad.truths().into_iter();
    padding.map(|pad| f32::from(u8::from(!pad))).collect()
}

/// Softmax over the keys that are attended to, of the scores times `scale`.
#[inline(always)]
pub(super) fn softmax_row(values: &mut [f32], attended: &[f32], scale: f32) {
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
}

/// [`BertOps::softmax_backward`](crate::ops::BertOps::softmax_backward), over `grad` itself.
pub(in crate::ops) fn softmax_backward<T: HostTensor>(probabilities: T, grad: T, scale: f64) -> T {
    let (_, width) = rows_and_width(&grad);
    if !are_here([&probabilities, &grad]) || width == 0 {
        return softmax::backward::<T::Backend>(probabilities, grad, scale);
    }
    let scale = scale as f32;
    let probabilities = probabilities.dense();
    let mut grad = grad.dense();
    let piece = rows_per_piece(width) * width;
    grad.floats_mut()
        .par_chunks_mut(piece)
        .zip(probabilities.floats().par_chunks(piece))
        .for_each(|(grads, probabilities)| {
            vectorized(
                #[inline(always)]
                || {
                    let rows = probabilities.chunks_exact(width);
                    for (grads, probabilities) in grads.chunks_exact_mut(width).zip(rows) {
                        softmax_backward_row(grads, probabilities, scale);
                    }
                },
            );
        });
    grad
}

/// Makes the gradient of probabilities that of the scores.
#[inline(always)]
pub(super) fn softmax_backward_row(grads: &mut [f32], probabilities: &[f32], scale: f32) {
    let mean = sum_pairs(grads, probabilities, |grad, p| grad * p);
    for (grad, &p) in grads.iter_mut().zip(probabilities) {
        *grad = (*grad - mean) * p * scale;
    }
}
