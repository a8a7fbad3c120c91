//! Default bodies of the size of tensors and of what clips it.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;
use burn::tensor::Shape;

/// The default body of [`OptimizerOps::sum_of_squares`](super::OptimizerOps::sum_of_squares).
pub(super) fn sum_of_squares<B: Backend>(input: FloatTensor<B>) -> FloatTensor<B> {
    B::float_sum(B::float_mul(input.clone(), input))
}

/// The default body of [`OptimizerOps::clipping`](super::OptimizerOps::clipping).
pub(super) fn clipping<B: Backend>(
    sums: FloatTensor<B>,
    maximum: f64,
    epsilon: f64,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let sum = B::float_reshape(B::float_sum(sums), Shape::new([1]));
    let norm = B::float_sqrt(sum);
    let reciprocal = B::float_recip(B::float_add_scalar(norm.clone(), epsilon.into()));
    let factor = B::float_mul_scalar(reciprocal, maximum.into());
    (norm, B::float_clamp_max(factor, 1.0.into()))
}
