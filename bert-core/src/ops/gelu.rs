//! Default bodies of the GELU operations and the exact gradient under autodiff.

use core::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::{Backend, tensor::FloatTensor};

use super::node::keeping;
use super::{BertOps, GradientOps};

/// `grad · (Φ(x) + x·φ(x))`, with Φ and φ the standard normal distribution and density.
pub(super) fn erf_backward<B: Backend>(
    input: FloatTensor<B>,
    grad: FloatTensor<B>,
) -> FloatTensor<B> {
    let erf = B::float_erf(B::float_mul_scalar(input.clone(), FRAC_1_SQRT_2.into()));
    let distribution = B::float_mul_scalar(B::float_add_scalar(erf, 1.0.into()), 0.5.into());
    let square = B::float_mul(input.clone(), input.clone());
    let density = B::float_mul_scalar(
        B::float_exp(B::float_mul_scalar(square, (-0.5).into())),
        (1.0 / (2.0 * PI).sqrt()).into(),
    );
    let slope = B::float_add(distribution, B::float_mul(input, density));
    B::float_mul(grad, slope)
}

/// `0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))`.
pub(super) fn tanh<B: Backend>(input: FloatTensor<B>) -> FloatTensor<B> {
    let cube = B::float_mul(B::float_mul(input.clone(), input.clone()), input.clone());
    let inner = B::float_add(input.clone(), B::float_mul_scalar(cube, 0.044715.into()));
    let inner = B::float_mul_scalar(inner, (FRAC_2_SQRT_PI * FRAC_1_SQRT_2).into());
    let gate = B::float_add_scalar(B::float_tanh(inner), 1.0.into());
    B::float_mul(B::float_mul_scalar(input, 0.5.into()), gate)
}

/// The default body of [`BertOps::swish`](super::BertOps::swish): Burn's sigmoid has no overflow, nor has its gradient, which the quotient
/// `x / (1 + exp(-slope·x))` would have.
pub(super) fn swish<B: Backend>(input: FloatTensor<B>, slope: f64) -> FloatTensor<B> {
    let gate = B::sigmoid(B::float_mul_scalar(input.clone(), slope.into()));
    B::float_mul(input, gate)
}

/// [`BertOps::gelu_erf`](super::BertOps::gelu_erf) as one node of the autodiff graph, keeping only its input.
pub(super) fn erf_autodiff<B: GradientOps, C: CheckpointStrategy>(
    input: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    keeping::<B, C, _, 1>(
        [input],
        |[input]| input.clone(),
        |[input]| B::gelu_erf(input),
        |input, grad, _| [Some(B::gelu_erf_backward(input, grad))],
    )
}

/// [`BertOps::project_gelu`] as the node of a product and one of bias and GELU, which keeps the product, if the backend has
/// kernels for that.
pub(super) fn project_autodiff<B: GradientOps, C: CheckpointStrategy>(
    input: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
    bias: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    if !B::FUSED_EPILOGUES {
        return erf_autodiff::<B, C>(Autodiff::<B, C>::project(input, weight, bias));
    }
    let product = Autodiff::<B, C>::project_unbiased(input, weight);
    keeping::<B, C, _, 2>(
        [product, bias],
        |operands| operands.clone(),
        |[product, bias]| B::bias_gelu(product, bias),
        |[product, bias], grad, _| B::bias_gelu_backward(product, bias, grad).map(Some),
    )
}
