//! The operations of [`BertOps`] on [`Tensor`]s: what the model calls.

use std::sync::Arc;

use burn::backend::Dispatch;
use burn::nn::{Dropout, LayerNorm, Linear};
use burn::tensor::{DType, Int, Shape, Tensor};

use super::{AdamStep, BertOps, GateForm, PackedParam, PackedWeight, RotaryAngles, RotaryColumns};

/// A linear layer, `input · weight + bias`, the last only if the layer has one.
///
/// # Shapes
///
/// - input: `[..., any, d_input]`
/// - output: `[..., any, d_output]`
pub fn linear<const D: usize>(input: Tensor<D>, layer: &Linear) -> Tensor<D> {
    if let Some(weight) = PackedParam::weight_of(layer, &input) {
        let bias = bias_or_zeros(layer, &input);
        return linear_packed(input, bias, weight, false);
    }
    let Some(bias) = &layer.bias else {
        return Tensor::from_dispatch(<Dispatch as BertOps>::project_unbiased(
            input.into_dispatch(),
            layer.weight.val().into_dispatch(),
        ));
    };
    Tensor::from_dispatch(<Dispatch as BertOps>::project(
        input.into_dispatch(),
        layer.weight.val().into_dispatch(),
        bias.val().into_dispatch(),
    ))
}

/// Exact GELU of a linear layer.
///
/// # Shapes
///
/// - input: `[..., any, d_input]`
/// - output: `[..., any, d_output]`
pub fn linear_gelu_erf<const D: usize>(input: Tensor<D>, layer: &Linear) -> Tensor<D> {
    if let Some(weight) = PackedParam::weight_of(layer, &input) {
        let bias = bias_or_zeros(layer, &input);
        return linear_packed(input, bias, weight, true);
    }
    let Some(bias) = &layer.bias else {
        return gelu_erf(linear(input, layer));
    };
    Tensor::from_dispatch(<Dispatch as BertOps>::project_gelu(
        input.into_dispatch(),
        layer.weight.val().into_dispatch(),
        bias.val().into_dispatch(),
    ))
}

/// The rows of a table, by number.
///
/// # Shapes
///
/// - table: `[rows, width]`
/// - ids: `[batch, seq]`, each in `0..rows`
/// - output: `[batch, seq, width]`
pub fn lookup(table: Tensor<2>, ids: Tensor<2, Int>) -> Tensor<3> {
    Tensor::from_dispatch(<Dispatch as BertOps>::lookup(
        table.into_dispatch(),
        ids.into_dispatch(),
    ))
}

/// `input · tableᵀ + bias`, a score for every row of a table.
///
/// # Shapes
///
/// - input: `[n, width]`
/// - table: `[rows, width]`
/// - bias: `[rows]`
/// - output: `[n, rows]`
pub fn linear_table(input: Tensor<2>, table: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as BertOps>::project_table(
        input.into_dispatch(),
        table.into_dispatch(),
        bias.into_dispatch(),
    ))
}

/// The bias of `layer`, zeros if it has none: kernels of packed weights add one.
fn bias_or_zeros<const D: usize>(layer: &Linear, input: &Tensor<D>) -> Tensor<1> {
    match &layer.bias {
        Some(bias) => bias.val(),
        None => zeros_for(input, layer.weight.lazy_shape()[1]),
    }
}

/// Zeros of the type and on the device of `input`, `[width]`.
fn zeros_for<const D: usize>(input: &Tensor<D>, width: usize) -> Tensor<1> {
    Tensor::zeros([width], (&input.device(), input.dtype()))
}

fn linear_packed<const D: usize>(
    input: Tensor<D>,
    bias: Tensor<1>,
    weight: Arc<PackedWeight>,
    gelu: bool,
) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as BertOps>::project_held(
        input.into_dispatch(),
        bias.into_dispatch(),
        weight,
        gelu,
    ))
}

/// LayerNorm over the last dimension, `(x - mean) / √(variance + epsilon) · gamma + beta`.
///
/// `epsilon` is that of the configuration, which Burn's layer does not hand out.
///
/// # Shapes
///
/// - input, output: `[..., any, width]`
pub fn layer_norm<const D: usize>(input: Tensor<D>, layer: &LayerNorm, epsilon: f64) -> Tensor<D> {
    // The layer widens f16, whose squares overflow.
    if input.dtype() == DType::F16 {
        return layer.forward(input);
    }
    let beta = beta_or_zeros(layer, &input);
    Tensor::from_dispatch(<Dispatch as BertOps>::normalize(
        input.into_dispatch(),
        layer.gamma.val().into_dispatch(),
        beta.into_dispatch(),
        epsilon,
    ))
}

/// [`layer_norm`] of `input + residual`.
///
/// # Shapes
///
/// - input, residual, output: `[..., any, width]`
pub fn add_layer_norm<const D: usize>(
    input: Tensor<D>,
    residual: Tensor<D>,
    layer: &LayerNorm,
    epsilon: f64,
) -> Tensor<D> {
    if input.dtype() == DType::F16 {
        return layer.forward(input + residual);
    }
    let beta = beta_or_zeros(layer, &input);
    Tensor::from_dispatch(<Dispatch as BertOps>::add_normalize(
        input.into_dispatch(),
        residual.into_dispatch(),
        layer.gamma.val().into_dispatch(),
        beta.into_dispatch(),
        epsilon,
    ))
}

/// The bias of `layer`, zeros if it has none: they cost less than a pass of their own for norms without.
fn beta_or_zeros<const D: usize>(layer: &LayerNorm, input: &Tensor<D>) -> Tensor<1> {
    match &layer.beta {
        Some(beta) => beta.val(),
        None => zeros_for(input, input.dims()[D - 1]),
    }
}

/// Cross-entropy in nats of every row with its label, without its softmax in memory where the
/// backend can do without.
///
/// # Shapes
///
/// - logits: `[rows, classes]`
/// - labels: `[rows]`, each in `0..classes`
/// - output: `[rows]`
pub fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as BertOps>::cross_entropy(
        logits.into_dispatch(),
        labels.into_dispatch(),
    ))
}

/// Dropout as `layer` has it: in training, that is, on an autodiff device.
///
/// # Shapes
///
/// - input, output: `[..., any]`
pub fn dropout<const D: usize>(input: Tensor<D>, layer: &Dropout) -> Tensor<D> {
    let probability = dropout_probability(&input, layer);
    if probability == 0.0 {
        return input;
    }
    let mask = dropout_mask(&input, input.dims(), probability);
    input * mask
}

/// The probability with which `layer` drops what is computed from `like`: 0 outside training.
pub fn dropout_probability<const D: usize>(like: &Tensor<D>, layer: &Dropout) -> f64 {
    if layer.training.is_enabled() && like.device().is_autodiff() {
        layer.prob
    } else {
        0.0
    }
}

/// Dropout mask for a tensor of `shape`, of the type and on the device of `like`.
pub fn dropout_mask<const L: usize, const D: usize>(
    like: &Tensor<L>,
    shape: [usize; D],
    probability: f64,
) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as BertOps>::dropout_mask(
        like.clone().into_dispatch(),
        Shape::new(shape),
        probability,
    ))
}

/// The new value after a step of Adam, or without a rate its direction; then the new means of the gradient and of its square.
///
/// # Shapes
///
/// - all: `[size]`
pub(crate) fn adam_update(
    value: Tensor<1>,
    gradient: Tensor<1>,
    first: Tensor<1>,
    second: Tensor<1>,
    step: AdamStep,
) -> [Tensor<1>; 3] {
    let (output, first, second) = <Dispatch as BertOps>::adam_update(
        value.into_dispatch(),
        gradient.into_dispatch(),
        first.into_dispatch(),
        second.into_dispatch(),
        step,
    );
    [output, first, second].map(Tensor::from_dispatch)
}

/// The sum of the squares of all elements.
///
/// # Shapes
///
/// - input: `[size]`
/// - output: `[1]`
pub(crate) fn sum_of_squares(input: Tensor<1>) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as BertOps>::sum_of_squares(input.into_dispatch()))
}

/// `input · factor`, without a number leaving the device.
///
/// # Shapes
///
/// - input, output: `[size]`
/// - factor: `[1]`
pub(crate) fn scale_by(input: Tensor<1>, factor: Tensor<1>) -> Tensor<1> {
    let (input, factor) = (input.into_dispatch(), factor.into_dispatch());
    Tensor::from_dispatch(<Dispatch as BertOps>::scale_by(input, factor))
}

/// Exact GELU with an exact gradient on every backend.
pub fn gelu_erf<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as BertOps>::gelu_erf(input.into_dispatch()))
}

/// GELU by its tanh approximation.
pub fn gelu_tanh<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as BertOps>::gelu_tanh(input.into_dispatch()))
}

/// Swish, `x · σ(slope·x)`.
pub fn swish<const D: usize>(input: Tensor<D>, slope: f64) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as BertOps>::swish(input.into_dispatch(), slope))
}

/// Rotary position embedding of the heads in some columns: the halves of each turned against each other by the angle of its
/// place.
///
/// # Shapes
///
/// - input: `[batch, seq, columns.row]`
/// - output: `[batch, seq, columns.heads · head_size]`
pub fn rotate(input: Tensor<3>, angles: &RotaryAngles, columns: RotaryColumns) -> Tensor<3> {
    Tensor::from_dispatch(<Dispatch as BertOps>::rotate(
        input.into_dispatch(),
        angles.cos.clone().into_dispatch(),
        angles.sin.clone().into_dispatch(),
        columns,
    ))
}

/// Gated activation: one half of every row activated and multiplied by the other.
///
/// # Shapes
///
/// - input: `[..., any, 2 · width]`
/// - output: `[..., any, width]`
pub fn gate<const D: usize>(input: Tensor<D>, form: GateForm) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as BertOps>::gate(input.into_dispatch(), form))
}
