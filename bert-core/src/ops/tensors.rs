//! The operations of [`BertOps`] on [`Tensor`]s: what the model calls.

use std::sync::Arc;

use burn::backend::Dispatch;
use burn::nn::{Dropout, LayerNorm, Linear};
use burn::tensor::{DType, Int, Shape, Tensor};

use super::{
    Activation, BertOps, GateForm, PackedParam, PackedWeight, PackedWeightOps, ResidualForm,
    RotaryAngles, RotaryColumns,
};

/// The tensor of an operation, `Trait::operation(tensors…), other arguments…`, on the backend of its tensors.
macro_rules! dispatch {
    ($trait:ident::$name:ident($($tensor:expr),+ $(,)?) $(, $argument:expr)* $(,)?) => {
        burn::tensor::Tensor::from_dispatch(<burn::backend::Dispatch as $trait>::$name(
            $($tensor.into_dispatch(),)+
            $($argument),*
        ))
    };
}
pub(super) use dispatch;

/// A linear layer, `input · weight + bias`, the last only if the layer has one.
///
/// # Shapes
///
/// - input: `[..., any, d_input]`
/// - output: `[..., any, d_output]`
pub fn linear<const D: usize>(input: Tensor<D>, layer: &Linear) -> Tensor<D> {
    if let Some(weight) = PackedParam::weight_of(layer, &input) {
        let bias = bias_or_zeros(layer, &input);
        return linear_packed(input, bias, weight, Activation::Identity);
    }
    let Some(bias) = &layer.bias else {
        return dispatch!(BertOps::project_unbiased(input, layer.weight.val()));
    };
    dispatch!(BertOps::project(input, layer.weight.val(), bias.val()))
}

/// [`linear`] of one input by three layers.
///
/// # Shapes
///
/// - input: `[..., any, d_input]`
/// - outputs: `[..., any, d_output]`
pub fn linear_thrice<const D: usize>(input: Tensor<D>, layers: [&Linear; 3]) -> [Tensor<D>; 3] {
    let weights = layers.map(|layer| PackedParam::weight_of(layer, &input));
    let [Some(first), Some(second), Some(third)] = weights else {
        return layers.map(|layer| linear(input.clone(), layer));
    };
    let biases = layers.map(|layer| bias_or_zeros(layer, &input).into_dispatch());
    let [of_first, of_second, of_third] = biases;
    let outputs = Dispatch::project_packed_thrice(
        input.into_dispatch(),
        of_first,
        of_second,
        of_third,
        [first, second, third],
    );
    <[_; 3]>::from(outputs).map(Tensor::from_dispatch)
}

/// The activation of a linear layer.
///
/// # Shapes
///
/// - input: `[..., any, d_input]`
/// - output: `[..., any, d_output]`
pub fn linear_activated<const D: usize>(
    input: Tensor<D>,
    layer: &Linear,
    activation: Activation,
) -> Tensor<D> {
    if let Some(weight) = PackedParam::weight_of(layer, &input) {
        let bias = bias_or_zeros(layer, &input);
        return linear_packed(input, bias, weight, activation);
    }
    match (&layer.bias, activation) {
        (Some(bias), Activation::Gelu) => {
            dispatch!(BertOps::project_gelu(input, layer.weight.val(), bias.val()))
        }
        _ => activate(linear(input, layer), activation),
    }
}

/// `second(activation(first(input)))`; `None` unless both layers have packed weights.
///
/// # Shapes
///
/// - input: `[..., any, d_input]`
/// - output: `[..., any, d_output]`
pub fn packed_feed_forward<const D: usize>(
    input: &Tensor<D>,
    layers: [&Linear; 2],
    activation: Activation,
) -> Option<Tensor<D>> {
    let [by_first, by_second] = layers.map(|layer| PackedParam::weight_of(layer, input));
    let weights = [by_first?, by_second?];
    let [first, second] = layers.map(|layer| bias_or_zeros(layer, input));
    let input = input.clone();
    Some(dispatch!(
        PackedWeightOps::feed_forward_packed(input, first, second),
        weights,
        activation
    ))
}

/// Gated activation by two layers, `activation(gate(input)) · other(input)`.
///
/// # Shapes
///
/// - input: `[..., any, d_input]`
/// - output: `[..., any, d_output]`
pub fn linear_gated<const D: usize>(
    input: Tensor<D>,
    gate: &Linear,
    other: &Linear,
    activation: Activation,
) -> Tensor<D> {
    let layers = [gate, other];
    let weights = layers.map(|layer| PackedParam::weight_of(layer, &input));
    let [Some(by_gate), Some(by_other)] = weights else {
        let [gate, other] = layers.map(|layer| linear(input.clone(), layer));
        return gate_apart(gate, other, activation);
    };
    let [of_gate, of_other] = layers.map(|layer| bias_or_zeros(layer, &input));
    dispatch!(
        PackedWeightOps::project_packed_gated(input, of_gate, of_other),
        [by_gate, by_other],
        activation
    )
}

/// The rows of a table, by number.
///
/// # Shapes
///
/// - table: `[rows, width]`
/// - ids: `[batch, seq]`, each in `0..rows`
/// - output: `[batch, seq, width]`
pub fn lookup(table: Tensor<2>, ids: Tensor<2, Int>) -> Tensor<3> {
    dispatch!(BertOps::lookup(table, ids))
}

/// Sum of token, segment and position embeddings, positions in order from `first` on.
///
/// # Shapes
///
/// - words: `[vocabulary, width]`, with `ids` `[batch, seq]`
/// - segments: `[segments, width]`, with `segment_ids` `[batch, seq]`
/// - positions: `[max_position, width]`
/// - output: `[batch, seq, width]`
///
/// # Panics
///
/// When `positions` has fewer than `first + seq` rows.
pub fn embed(
    (words, ids): (Tensor<2>, Tensor<2, Int>),
    (segments, segment_ids): (Tensor<2>, Tensor<2, Int>),
    positions: Tensor<2>,
    first: usize,
) -> Tensor<3> {
    dispatch!(
        BertOps::embed(words, ids, segments, segment_ids, positions),
        first
    )
}

/// The rows of a table from `first` on, `count` of them.
///
/// # Shapes
///
/// - table: `[rows, width]`
/// - output: `[count, width]`
///
/// # Panics
///
/// When the table has fewer than `first + count` rows.
pub fn rows_in_order(table: Tensor<2>, first: usize, count: usize) -> Tensor<2> {
    dispatch!(BertOps::rows_in_order(table), first, count)
}

/// [`linear_table`] by a table that is packed as a matrix `[width, rows]`.
pub fn linear_packed_table(
    input: Tensor<2>,
    table: Arc<PackedWeight>,
    bias: Tensor<1>,
) -> Tensor<2> {
    linear_packed(input, bias, table, Activation::Identity)
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
    dispatch!(BertOps::project_table(input, table, bias))
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
    activation: Activation,
) -> Tensor<D> {
    dispatch!(
        PackedWeightOps::project_packed(input, bias),
        weight,
        activation
    )
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
    dispatch!(BertOps::normalize(input, layer.gamma.val(), beta), epsilon)
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
    dispatch!(
        BertOps::add_normalize(input, residual, layer.gamma.val(), beta),
        epsilon
    )
}

/// LayerNorm of `residual + dropout(layer(input))`: the end of both halves of a block.
///
/// # Shapes
///
/// - input: `[..., any, d_input]`
/// - residual, output: `[..., any, width]`
pub fn linear_add_layer_norm<const D: usize>(
    input: Tensor<D>,
    layer: &Linear,
    drops: &Dropout,
    residual: Tensor<D>,
    norm: &LayerNorm,
    epsilon: f64,
) -> Tensor<D> {
    let prepared = PackedParam::weight_of(layer, &input).is_some();
    let (Some(bias), false) = (&layer.bias, prepared || input.dtype() == DType::F16) else {
        let projected = dropout(linear(input, layer), drops);
        return add_layer_norm(projected, residual, norm, epsilon);
    };
    let form = ResidualForm {
        epsilon,
        dropout: dropout_probability(&input, drops),
    };
    let beta = beta_or_zeros(norm, &residual);
    dispatch!(
        BertOps::project_add_normalize(
            input,
            layer.weight.val(),
            bias.val(),
            residual,
            norm.gamma.val(),
            beta
        ),
        form
    )
}

/// The bias of `layer`, zeros if it has none: they cost less than a pass of their own for norms without.
fn beta_or_zeros<const D: usize>(layer: &LayerNorm, input: &Tensor<D>) -> Tensor<1> {
    match &layer.beta {
        Some(beta) => beta.val(),
        None => zeros_for(input, input.dims()[D - 1]),
    }
}

/// Cross-entropy of rows of logits with their labels.
#[derive(Clone, Debug)]
pub struct CrossEntropy {
    /// Sum of the weighted losses, `[1]`, in nats.
    pub sum: Tensor<1>,
    /// Numbers without a gradient, `[4]`, each at the place that a constant of this type names.
    pub totals: Tensor<1>,
}

impl CrossEntropy {
    /// Place of the sum of the weighted losses.
    pub const SUM: usize = 0;
    /// Place of the sum of the weights of the rows that count.
    pub const WEIGHT: usize = 1;
    /// Place of the number of rows whose label has the highest logit, of several the first.
    pub const HITS: usize = 2;
    /// Place of the number of rows that count.
    pub const ROWS: usize = 3;
    /// Number of totals.
    pub const TOTALS: usize = 4;
}

/// Cross-entropy of every row with its label, without its softmax in memory where the backend can do without.
///
/// Rows with a negative label count nothing and get no gradient, whatever their logits are.
///
/// # Shapes
///
/// - logits: `[rows, classes]`, in f32, so that sums of many rows are exact enough
/// - labels: `[rows]`, each below `classes`
/// - weights: `[classes]`, the weight of a row by its label; `None` weighs all alike
pub fn cross_entropy(
    logits: Tensor<2>,
    labels: Tensor<1, Int>,
    weights: Option<Tensor<1>>,
) -> CrossEntropy {
    let weights = match weights {
        Some(weights) => weights,
        None => Tensor::from_data([1.0_f32], (&logits.device(), logits.dtype())),
    };
    let (sum, totals) = Dispatch::cross_entropy(
        logits.into_dispatch(),
        labels.into_dispatch(),
        weights.into_dispatch(),
    );
    CrossEntropy {
        sum: Tensor::from_dispatch(sum),
        totals: Tensor::from_dispatch(totals),
    }
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
    dispatch!(BertOps::dropout(input), probability)
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
    dispatch!(
        BertOps::dropout_mask(like.clone()),
        Shape::new(shape),
        probability
    )
}

/// Activation, element by element, with an exact gradient on every backend.
pub fn activate<const D: usize>(input: Tensor<D>, activation: Activation) -> Tensor<D> {
    dispatch!(BertOps::activate(input), activation)
}

/// Rotary position embedding of the heads in some columns: the halves of each turned against each other by the angle of its
/// place.
///
/// # Shapes
///
/// - input: `[batch, seq, columns.row]`
/// - output: `[batch, seq, columns.heads · head_size]`
pub fn rotate(input: Tensor<3>, angles: &RotaryAngles, columns: RotaryColumns) -> Tensor<3> {
    dispatch!(
        BertOps::rotate(input, angles.cos.clone(), angles.sin.clone()),
        columns
    )
}

/// Gated activation: one half of every row activated and multiplied by the other.
///
/// # Shapes
///
/// - input: `[..., any, 2 · width]`
/// - output: `[..., any, width]`
pub fn gate<const D: usize>(input: Tensor<D>, form: GateForm) -> Tensor<D> {
    dispatch!(BertOps::gate(input), form)
}

/// Gated activation of a gate that lies apart, `activation(gate) · other`.
///
/// # Shapes
///
/// - gate, other, output: `[..., any, width]`
pub fn gate_apart<const D: usize>(
    gate: Tensor<D>,
    other: Tensor<D>,
    activation: Activation,
) -> Tensor<D> {
    dispatch!(BertOps::gate_apart(gate, other), activation)
}
