//! Default bodies of dropout and its mask, and dropout as one node of the autodiff graph.

use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{Distribution, Shape};

use super::node::node;
use super::{BertOps, GradientOps};

/// 0 with `probability`, else `1 / (1 - probability)`, of the type and on the device of `like`.
pub(super) fn mask<B: Backend>(
    like: FloatTensor<B>,
    shape: Shape,
    probability: f64,
) -> FloatTensor<B> {
    let kept = 1.0 - probability;
    let mask = B::float_random(
        shape,
        Distribution::Bernoulli(kept),
        &like.device(),
        like.dtype().into(),
    );
    B::float_mul_scalar(mask, (1.0 / kept).into())
}

/// The default body of [`GradientOps::dropout_with_state`].
pub(super) fn with_state<B: BertOps>(
    input: FloatTensor<B>,
    probability: f64,
) -> [FloatTensor<B>; 2] {
    let mask = B::dropout_mask(input.clone(), input.shape(), probability);
    [B::float_mul(input, mask.clone()), mask]
}

/// [`BertOps::dropout`] as one node, keeping what chose the elements.
pub(super) fn autodiff<B: GradientOps, C: CheckpointStrategy>(
    input: FloatTensor<Autodiff<B, C>>,
    probability: f64,
) -> FloatTensor<Autodiff<B, C>> {
    let tracked = |[input]: [FloatTensor<B>; 1]| {
        let [output, chosen] = B::dropout_with_state(input, probability);
        (output, (chosen, probability))
    };
    node::<B, C, _, 1>(
        [input],
        tracked,
        |[input]| B::dropout(input, probability),
        |(chosen, probability), grad, _| [Some(B::dropout_backward(grad, chosen, probability))],
    )
}
