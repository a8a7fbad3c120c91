//! Activations: default bodies, and the operations as nodes of the autodiff graph.

use core::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::{Backend, tensor::FloatTensor};

use super::node::keeping;
use super::{BertOps, GradientOps};

/// Activation of a feed-forward layer, a gate or a head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// None.
    Identity,
    /// Exact GELU, `x · Φ(x)`.
    Gelu,
    /// GELU by the tanh approximation of Hendrycks & Gimpel 2016.
    GeluTanh,
    /// Swish, `x · σ(slope·x)`, with its slope (Ramachandran et al. 2017).
    Swish(f64),
}

/// The default body of [`BertOps::activate`].
pub(super) fn forward<B: Backend>(input: FloatTensor<B>, activation: Activation) -> FloatTensor<B> {
    match activation {
        Activation::Identity => input,
        Activation::Gelu => B::gelu(input),
        Activation::GeluTanh => tanh::<B>(input),
        Activation::Swish(slope) => swish::<B>(input, slope, B::sigmoid),
    }
}

/// The default body of [`GradientOps::activate_backward`].
pub(super) fn backward<B: Backend>(
    input: FloatTensor<B>,
    grad: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    match activation {
        Activation::Identity => grad,
        Activation::Gelu => erf_backward::<B>(input, grad),
        Activation::GeluTanh => tanh_backward::<B>(input, grad),
        Activation::Swish(slope) => swish_backward::<B>(input, grad, slope, B::sigmoid),
    }
}

/// `grad · (Φ(x) + x·φ(x))`, with Φ and φ the standard normal distribution and density.
fn erf_backward<B: Backend>(input: FloatTensor<B>, grad: FloatTensor<B>) -> FloatTensor<B> {
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

/// `√(2/π)`
const TANH_FACTOR: f64 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
/// Coefficient of the cube in the tanh approximation of GELU.
const TANH_CUBIC: f64 = 0.044715;

/// `0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))`.
///
/// Burn's `gelu_approximate` raises a negative base to a float power, which GPU shaders leave undefined; this multiplies.
fn tanh<B: Backend>(input: FloatTensor<B>) -> FloatTensor<B> {
    let gate = B::float_add_scalar(tanh_gate::<B>(input.clone()), 1.0.into());
    B::float_mul(B::float_mul_scalar(input, 0.5.into()), gate)
}

/// `tanh(√(2/π)·(x + 0.044715·x³))`.
fn tanh_gate<B: Backend>(input: FloatTensor<B>) -> FloatTensor<B> {
    let cube = B::float_mul(B::float_mul(input.clone(), input.clone()), input.clone());
    let inner = B::float_add(input, B::float_mul_scalar(cube, TANH_CUBIC.into()));
    B::float_tanh(B::float_mul_scalar(inner, TANH_FACTOR.into()))
}

/// `grad · (½(1 + t) + ½x·(1 - t²)·√(2/π)·(1 + 3·0.044715·x²))`, t being the hyperbolic tangent.
fn tanh_backward<B: Backend>(input: FloatTensor<B>, grad: FloatTensor<B>) -> FloatTensor<B> {
    let tanh = tanh_gate::<B>(input.clone());
    let square = B::float_mul(tanh.clone(), tanh.clone());
    let rest = B::float_add_scalar(B::float_neg(square), 1.0.into());
    // Further out `rest` is 0, and squares would overflow in 16 bits.
    let near = B::float_clamp(input, (-16.0).into(), 16.0.into());
    let square = B::float_mul(near.clone(), near.clone());
    let inner = B::float_add_scalar(
        B::float_mul_scalar(square, (3.0 * TANH_CUBIC * TANH_FACTOR).into()),
        TANH_FACTOR.into(),
    );
    let along = B::float_mul(B::float_mul(near, rest), inner);
    let slope = B::float_add(B::float_add_scalar(tanh, 1.0.into()), along);
    B::float_mul(grad, B::float_mul_scalar(slope, 0.5.into()))
}

/// A function that computes `σ(x) = 1 / (1 + exp(-x))`.
type Sigmoid<B> = fn(FloatTensor<B>) -> FloatTensor<B>;

/// Swish by a sigmoid, which has no overflow, as the quotient `x / (1 + exp(-slope·x))` would have.
pub(super) fn swish<B: Backend>(
    input: FloatTensor<B>,
    slope: f64,
    sigmoid: Sigmoid<B>,
) -> FloatTensor<B> {
    B::float_mul(input.clone(), swish_gate::<B>(input, slope, sigmoid))
}

/// `σ(slope·x)`.
fn swish_gate<B: Backend>(
    input: FloatTensor<B>,
    slope: f64,
    sigmoid: Sigmoid<B>,
) -> FloatTensor<B> {
    match slope {
        1.0 => sigmoid(input),
        _ => sigmoid(B::float_mul_scalar(input, slope.into())),
    }
}

/// `grad · σ·(1 + slope·x·(1 - σ))`.
pub(super) fn swish_backward<B: Backend>(
    input: FloatTensor<B>,
    grad: FloatTensor<B>,
    slope: f64,
    sigmoid: Sigmoid<B>,
) -> FloatTensor<B> {
    let gate = swish_gate::<B>(input.clone(), slope, sigmoid);
    let rest = B::float_add_scalar(B::float_neg(gate.clone()), 1.0.into());
    let along = B::float_mul(B::float_mul_scalar(input, slope.into()), rest);
    let along = B::float_add_scalar(along, 1.0.into());
    B::float_mul(grad, B::float_mul(gate, along))
}

/// [`BertOps::activate`] as one node of the autodiff graph, keeping only its input.
pub(super) fn autodiff<B: GradientOps, C: CheckpointStrategy>(
    input: FloatTensor<Autodiff<B, C>>,
    activation: Activation,
) -> FloatTensor<Autodiff<B, C>> {
    keeping::<B, C, _, 1>(
        [input],
        |[input]| (input.clone(), activation),
        |[input]| B::activate(input, activation),
        |(input, activation), grad, _| [Some(B::activate_backward(input, grad, activation))],
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
        let projected = Autodiff::<B, C>::project(input, weight, bias);
        return autodiff::<B, C>(projected, Activation::Gelu);
    }
    let product = Autodiff::<B, C>::project_unbiased(input, weight);
    keeping::<B, C, _, 2>(
        [product, bias],
        |operands| operands.clone(),
        |[product, bias]| B::bias_gelu(product, bias),
        |[product, bias], grad, _| B::bias_gelu_backward(product, bias, grad).map(Some),
    )
}
