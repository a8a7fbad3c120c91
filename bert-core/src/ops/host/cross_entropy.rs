//! Cross-entropy of rows of logits, without their softmax in memory.

use burn::tensor::Shape;
use rayon::prelude::*;

use super::math::{exp, maximum, sum};
use super::tensor::{HostTensor, are_here};
use super::vectorized;
use crate::ops::cross_entropy as default;

/// [`BertOps::cross_entropy`](crate::ops::BertOps::cross_entropy).
pub(in crate::ops) fn cross_entropy<T: HostTensor>(logits: T, labels: T) -> T {
    let [rows, classes] = logits.shape().dims::<2>();
    if !are_here([&logits]) || classes == 0 {
        return default::losses::<T::Backend>(logits, labels);
    }
    let logits = logits.dense();
    let labels = labels.indices();
    let mut losses = logits.zeros_like_this(Shape::new([rows]));
    losses
        .floats_mut()
        .par_iter_mut()
        .zip(logits.floats().par_chunks(classes))
        .zip(&labels)
        .for_each(|((loss, logits), &label)| {
            *loss = log_total(logits) - logits[label];
        });
    losses
}

/// [`BertOps::cross_entropy_backward`](crate::ops::BertOps::cross_entropy_backward), over `logits` where nobody else holds
/// them.
pub(in crate::ops) fn cross_entropy_backward<T: HostTensor>(logits: T, labels: T, grad: T) -> T {
    let [_, classes] = logits.shape().dims::<2>();
    if !are_here([&logits, &grad]) || classes == 0 {
        return default::backward::<T::Backend>(logits, labels, grad);
    }
    let grad = grad.dense();
    let labels = labels.indices();
    let mut logits = logits.dense();
    logits
        .floats_mut()
        .par_chunks_mut(classes)
        .zip(grad.floats())
        .zip(&labels)
        .for_each(|((logits, &grad), &label)| {
            let total = log_total(logits);
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
    logits
}

/// `ln Σ e^x`.
fn log_total(logits: &[f32]) -> f32 {
    vectorized(
        #[inline(always)]
        || {
            let highest = maximum(logits);
            highest + sum(logits, |logit| exp(logit - highest)).ln()
        },
    )
}
