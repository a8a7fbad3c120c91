//! Default body of the size of a tensor.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;

/// The default body of [`OptimizerOps::sum_of_squares`](super::OptimizerOps::sum_of_squares).
pub(super) fn sum_of_squares<B: Backend>(input: FloatTensor<B>) -> FloatTensor<B> {
    B::float_sum(B::float_mul(input.clone(), input))
}
