//! Cross-entropy of rows of logits, without their softmax in memory.

use burn::backend::flex::FlexTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{DType, Shape};
use rayon::prelude::*;

use super::zeros;
use crate::ops::cross_entropy as default;
use crate::ops::host::math::{exp, maximum, sum};
use crate::ops::host::{HostTensor, are_here, vectorized};

/// [`BertOps::cross_entropy`](crate::ops::BertOps::cross_entropy).
pub(in crate::ops) fn cross_entropy(logits: FlexTensor, labels: FlexTensor) -> FlexTensor {
    let [rows, classes] = logits.shape().dims::<2>();
    if !are_here([&logits]) || classes == 0 {
        return default::losses::<Flex>(logits, labels);
    }
    let logits = logits.dense();
    let labels = columns(labels);
    let mut losses = zeros(Shape::new([rows]));
    losses
        .storage_mut::<f32>()
        .par_iter_mut()
        .zip(logits.storage::<f32>().par_chunks(classes))
        .zip(&labels)
        .for_each(|((loss, logits), &label)| {
            *loss = log_total(logits) - logits[label];
        });
    losses
}

/// [`BertOps::cross_entropy_backward`](crate::ops::BertOps::cross_entropy_backward), over `logits` where nobody else holds
/// them.
pub(in crate::ops) fn cross_entropy_backward(
    logits: FlexTensor,
    labels: FlexTensor,
    grad: FlexTensor,
) -> FlexTensor {
    let [_, classes] = logits.shape().dims::<2>();
    if !are_here([&logits, &grad]) || classes == 0 {
        return default::backward::<Flex>(logits, labels, grad);
    }
    let grad = grad.dense();
    let labels = columns(labels);
    let mut logits = logits.dense();
    logits
        .storage_mut::<f32>()
        .par_chunks_mut(classes)
        .zip(grad.storage::<f32>())
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

/// Labels as places in a row.
fn columns(labels: FlexTensor) -> Vec<usize> {
    let labels = labels.dense();
    match labels.dtype() {
        DType::I32 => labels
            .storage::<i32>()
            .iter()
            .map(|&l| l as usize)
            .collect(),
        _ => labels
            .storage::<i64>()
            .iter()
            .map(|&l| l as usize)
            .collect(),
    }
}
