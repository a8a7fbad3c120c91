//! Default bodies of the masked softmax and its gradient as one node of the autodiff graph.

use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::tensor::{BoolTensor, FloatTensor};
use burn::backend::{Backend, TensorMetadata};

use super::GradientOps;
use super::node::node;

/// `softmax(scale · scores)`, zero at padding.
///
/// Masked scores become the most negative *finite* value, so that no subtraction in the softmax
/// sees `-inf - -inf`, and f16 does not overflow; zeroing them afterwards makes a row without any
/// key a row of zeros instead of a uniform one.
pub(super) fn masked<B: Backend>(
    scores: FloatTensor<B>,
    mask_pad: BoolTensor<B>,
    scale: f64,
) -> FloatTensor<B> {
    let lowest = scores
        .dtype()
        .finfo()
        .expect("scores are a float tensor")
        .min;
    let mask = B::bool_expand(mask_pad, scores.shape());
    let scores = B::float_mul_scalar(scores, scale.into());
    let scores = B::float_mask_fill(scores, mask.clone(), lowest.into());
    B::float_mask_fill(B::softmax(scores, 3), mask, 0.0.into())
}

/// `scale · p · (grad - Σ grad·p)`, the sum over the last dimension.
pub(super) fn backward<B: Backend>(
    probabilities: FloatTensor<B>,
    grad: FloatTensor<B>,
    scale: f64,
) -> FloatTensor<B> {
    let last = grad.rank() - 1;
    let mean = B::float_sum_dim(B::float_mul(grad.clone(), probabilities.clone()), last);
    let grad = B::float_mul(B::float_sub(grad, mean), probabilities);
    B::float_mul_scalar(grad, scale.into())
}

/// [`BertOps::masked_softmax`](super::BertOps::masked_softmax) as one node, keeping only its output.
///
/// Padding needs no mask on the way back: its probabilities are zero.
pub(super) fn masked_autodiff<B: GradientOps, C: CheckpointStrategy>(
    scores: FloatTensor<Autodiff<B, C>>,
    mask_pad: BoolTensor<B>,
    scale: f64,
) -> FloatTensor<Autodiff<B, C>> {
    let forward =
        |[scores]: [FloatTensor<B>; 1]| B::masked_softmax(scores, mask_pad.clone(), scale);
    node::<B, C, _, 1>(
        [scores],
        |scores| {
            let probabilities = forward(scores);
            (probabilities.clone(), (probabilities, scale))
        },
        &forward,
        |(probabilities, scale), grad, _| [Some(B::softmax_backward(probabilities, grad, scale))],
    )
}
