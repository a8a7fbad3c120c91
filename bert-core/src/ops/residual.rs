//! The end of both halves of a block: projection, dropout, residual, LayerNorm.

use burn::backend::TensorMetadata;
use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::tensor::FloatTensor;

use super::node::node;
use super::{BertOps, GradientOps};

/// Numbers of the end of a half of a block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResidualForm {
    /// Added to the variance of LayerNorm.
    pub epsilon: f64,
    /// Probability to drop an element of the projection.
    pub dropout: f64,
}

/// The default body of [`BertOps::project_add_normalize`].
pub(super) fn composed<B: BertOps>(
    input: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
    residual: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    form: ResidualForm,
) -> FloatTensor<B> {
    let projected = B::project(input, weight, bias);
    let dropped = match form.dropout > 0.0 {
        true => {
            let mask = B::dropout_mask(projected.clone(), projected.shape(), form.dropout);
            B::float_mul(projected, mask)
        }
        false => projected,
    };
    B::add_normalize(dropped, residual, gamma, beta, form.epsilon)
}

/// [`BertOps::project_add_normalize`] as the node of a product and one of all that follows it, which keeps the sum, if the
/// backend has kernels for that.
pub(super) fn autodiff<B: GradientOps, C: CheckpointStrategy>(
    input: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
    bias: FloatTensor<Autodiff<B, C>>,
    residual: FloatTensor<Autodiff<B, C>>,
    gamma: FloatTensor<Autodiff<B, C>>,
    beta: FloatTensor<Autodiff<B, C>>,
    form: ResidualForm,
) -> FloatTensor<Autodiff<B, C>> {
    if !B::FUSED_EPILOGUES {
        return composed::<Autodiff<B, C>>(input, weight, bias, residual, gamma, beta, form);
    }
    let projected = Autodiff::<B, C>::project_unbiased(input, weight);
    node::<B, C, _, 5>(
        [projected, bias, residual, gamma, beta],
        |[projected, bias, residual, gamma, beta]| {
            let [sum, output, seed] =
                B::drop_add_normalize(projected, bias, residual, gamma.clone(), beta, form);
            (output, (sum, gamma, seed, form))
        },
        |[projected, bias, residual, gamma, beta]| {
            let [_, output, _] =
                B::drop_add_normalize(projected, bias, residual, gamma, beta, form);
            output
        },
        |(sum, gamma, seed, form), grad, _| {
            B::drop_add_normalize_backward(sum, gamma, grad, seed, form).map(Some)
        },
    )
}
