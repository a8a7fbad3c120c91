//! Default body of the dropout mask.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{Distribution, Shape};

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
