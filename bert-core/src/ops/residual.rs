//! The end of both halves of a block: projection, dropout, residual, LayerNorm.

use burn::backend::TensorMetadata;
use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::tensor::FloatTensor;
use burn::tensor::Shape;

use super::node::node;
use super::{BertOps, GradientOps, linear};

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
        true => B::dropout(projected, form.dropout),
        false => projected,
    };
    B::add_normalize(dropped, residual, gamma, beta, form.epsilon)
}

/// The default body of [`GradientOps::drop_add_normalize`].
pub(super) fn drop_add_normalize<B: GradientOps>(
    projected: FloatTensor<B>,
    bias: FloatTensor<B>,
    residual: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    form: ResidualForm,
) -> [FloatTensor<B>; 3] {
    let projected = linear::add_bias::<B>(projected, bias);
    // Without dropout a tensor that the way back leaves alone.
    let (device, dtype) = (projected.device(), projected.dtype().into());
    let unread = || B::float_zeros(Shape::new([1]), &device, dtype);
    let [dropped, chosen] = match form.dropout > 0.0 {
        true => B::dropout_with_state(projected, form.dropout),
        false => [projected, unread()],
    };
    let sum = B::float_add(dropped, residual);
    let output = B::normalize(sum.clone(), gamma, beta, form.epsilon);
    [sum, output, chosen]
}

/// The default body of [`GradientOps::drop_add_normalize_backward`].
pub(super) fn drop_add_normalize_backward<B: GradientOps>(
    sum: FloatTensor<B>,
    gamma: FloatTensor<B>,
    grad: FloatTensor<B>,
    chosen: FloatTensor<B>,
    form: ResidualForm,
) -> [FloatTensor<B>; 5] {
    let (of_sum, of_gamma, of_beta) = B::normalize_backward(sum, gamma, grad, form.epsilon);
    let of_projected = match form.dropout > 0.0 {
        true => B::dropout_backward(of_sum.clone(), chosen, form.dropout),
        false => of_sum.clone(),
    };
    let of_bias = B::project_bias_backward(of_projected.clone());
    [of_projected, of_bias, of_sum, of_gamma, of_beta]
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
            let [sum, output, chosen] =
                B::drop_add_normalize(projected, bias, residual, gamma.clone(), beta, form);
            (output, (sum, gamma, chosen, form))
        },
        |[projected, bias, residual, gamma, beta]| {
            let [_, output, _] =
                B::drop_add_normalize(projected, bias, residual, gamma, beta, form);
            output
        },
        |(sum, gamma, chosen, form), grad, _| {
            B::drop_add_normalize_backward(sum, gamma, grad, chosen, form).map(Some)
        },
    )
}
