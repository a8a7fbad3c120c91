//! BERT's own operations, written once against Burn's generic [`Backend`] trait.
//!
//! [`BertOps`] gives every operation a default body in terms of `Self: Backend`, so that a backend
//! is added by an empty `impl` in the private module `backends`; overrides replace the default
//! where a backend has a better kernel. The default body is the reference that the overrides are tested against, and
//! [`backend_extension`] routes a call on a [`Tensor`](burn::tensor::Tensor) to the implementation of its device.
//! [`OptimizerOps`] and [`PackedWeightOps`] are routed likewise; [`GradientOps`] are what the nodes of the autodiff graph ask of
//! the backend below, without a route.
#![cfg_attr(
    any(feature = "ndarray", feature = "tch"),
    expect(
        deprecated,
        reason = "NdArray and LibTorch leave Burn after 0.22; they are supported while they are there"
    )
)]

#[expect(
    unused_imports,
    reason = "named by the code that `backend_extension` generates"
)]
use burn::backend::*;
use burn::backend::{
    Backend, backend_extension,
    ops::ModuleOps,
    tensor::{BoolTensor, FloatTensor, IntTensor},
};
use burn::tensor::Shape;

mod activation;
mod adam;
mod attention;
mod available;
mod backends;
mod cross_entropy;
mod dropout;
mod gate;
mod linear;
mod lookup;
mod node;
mod norm;
mod optimizer;
mod packed;
mod packed_param;
mod packed_weight;
mod products;
mod residual;
mod rotary;
mod scale;
mod softmax;
mod tensors;

pub use activation::Activation;
pub use adam::{AdamOutput, AdamStep, AdamTensors};
pub use attention::{
    AttentionBias, AttentionForm, AttentionGradients, AttentionInputs, AttentionLayout,
    AttentionOutput, AttentionRows, AttentionState, AttentionStatistics, AttentionTerm,
    AttentionWeights, PositionRows, ProjectedPositions, RelativeProjections, attention,
    attention_with_probabilities, biased_attention, packed_attention, packed_biased_attention,
    scores_by_key, self_attention,
};
pub(crate) use available::{
    bfloat16_instructions, int8_instructions, libtorch_kernels_are_own, packed_weights_pay,
};
pub use gate::{GateForm, GateHalf};
pub use optimizer::{EightTensors, OptimizerOps};
pub(crate) use optimizer::{
    adam_update, adam_update_of_four, clipping, sum_of_all_squares, sum_of_squares,
};
pub use packed::{PackedLayout, PackedTokens};
pub(crate) use packed_param::PackedParam;
pub(crate) use packed_weight::release_replaced_weights;
pub use packed_weight::{PackedWeight, PackedWeightOps};
pub use products::Products;
pub(crate) use products::with_products;
pub use residual::ResidualForm;
pub use rotary::{RotaryAngles, RotaryColumns};
pub use tensors::{
    CrossEntropy, activate, add_layer_norm, cross_entropy, dropout, dropout_mask,
    dropout_probability, embed, gate, gate_apart, layer_norm, linear, linear_activated,
    linear_add_layer_norm, linear_gated, linear_packed_table, linear_table, linear_thrice, lookup,
    packed_feed_forward, rotate, rows_in_order,
};

/// Operations of the encoder that go below the module API.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    LibTorch: cfg(feature = "tch"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda", feature = "rocm", feature = "cpu")),
    Remote: cfg(feature = "remote")
)]
pub trait BertOps: Backend {
    /// Scaled dot-product attention of heads, without dropout and without a need for its probabilities.
    ///
    /// # Shapes
    ///
    /// - query, key, value, output: `[batch, heads, seq, head_size]`
    /// - mask_pad: `[batch, 1, 1, seq]`, true at padding
    fn attend_by_head(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        mask_pad: BoolTensor<Self>,
    ) -> FloatTensor<Self> {
        attention::composed::by_head::<Self>(query, key, value, mask_pad)
    }

    /// Attention of all heads, from projections to context, with dropout on the probabilities.
    ///
    /// # Shapes
    ///
    /// - mask_pad: `[batch, 1, 1, seq]`, true at padding
    /// - output: `[batch, seq, heads · head_size]`
    fn self_attention(
        #[extension_type] inputs: AttentionInputs<Self>,
        mask_pad: BoolTensor<Self>,
        form: AttentionForm,
    ) -> FloatTensor<Self> {
        attention::composed::padded::<Self>(inputs, mask_pad, form)
    }

    /// [`self_attention`](BertOps::self_attention), with its probabilities before dropout.
    ///
    /// # Shapes
    ///
    /// - mask_pad: `[batch, 1, 1, seq]`, true at padding
    /// - first output: `[batch, seq, heads · head_size]`
    /// - second output: `[batch, heads, seq, seq]`; a row whose keys are all left out is all zero
    fn attention_with_probabilities(
        #[extension_type] inputs: AttentionInputs<Self>,
        mask_pad: BoolTensor<Self>,
        form: AttentionForm,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (context, weights) = attention::composed::with_weights::<Self>(inputs, mask_pad, form);
        (context, weights.probabilities)
    }

    /// [`self_attention`](BertOps::self_attention) within each of several sequences that lie side by side.
    ///
    /// The default body pads the groups of `tokens` and takes the padding out again.
    ///
    /// # Shapes
    ///
    /// - inputs, output: `[1, tokens, heads · head_size]`, the bias that of [`AttentionBias`] for one sequence
    fn packed_attention(
        #[extension_type] inputs: AttentionInputs<Self>,
        #[extension_type] tokens: PackedTokens<Self>,
        form: AttentionForm,
    ) -> FloatTensor<Self> {
        let layout = AttentionLayout::Packed(tokens);
        attention::composed::packed(inputs, &layout, form)
    }

    /// The rows of a table, by number.
    ///
    /// # Shapes
    ///
    /// - table: `[rows, width]`
    /// - ids: `[batch, seq]`, each in `0..rows`
    /// - output: `[batch, seq, width]`
    fn lookup(table: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::embedding(table, ids)
    }

    /// Sum of token, segment and position embeddings, positions in order from `first` on.
    ///
    /// # Shapes
    ///
    /// - words: `[vocabulary, width]`
    /// - ids: `[batch, seq]`, each a row of `words`
    /// - segments: `[segments, width]`
    /// - segment_ids: `[batch, seq]`, each a row of `segments`
    /// - positions: `[max_position, width]`
    /// - output: `[batch, seq, width]`
    fn embed(
        words: FloatTensor<Self>,
        ids: IntTensor<Self>,
        segments: FloatTensor<Self>,
        segment_ids: IntTensor<Self>,
        positions: FloatTensor<Self>,
        first: usize,
    ) -> FloatTensor<Self> {
        lookup::embed::<Self>(words, ids, segments, segment_ids, positions, first)
    }

    /// The rows of a table from `first` on, `count` of them.
    ///
    /// # Shapes
    ///
    /// - table: `[rows, width]`
    /// - output: `[count, width]`
    fn rows_in_order(table: FloatTensor<Self>, first: usize, count: usize) -> FloatTensor<Self> {
        lookup::in_order::<Self>(table, first, count)
    }

    /// `softmax(scale · scores)` over the keys that are not padding.
    ///
    /// # Shapes
    ///
    /// - scores, output: `[batch, heads, seq, seq]`; a row whose keys are all padding is all zero
    /// - mask_pad: `[batch, 1, 1 or seq, seq]`, true at padding and at other keys that are left out
    fn masked_softmax(
        scores: FloatTensor<Self>,
        mask_pad: BoolTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        softmax::masked::<Self>(scores, mask_pad, scale)
    }

    /// LayerNorm over the last dimension.
    ///
    /// # Shapes
    ///
    /// - input, output: `[..., any, width]`
    /// - gamma, beta: `[width]`
    fn normalize(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::layer_norm(input, gamma, Some(beta), epsilon)
    }

    /// [`normalize`](BertOps::normalize) of `input + residual`: the end of both halves of a block.
    ///
    /// # Shapes
    ///
    /// - input, residual, output: `[..., any, width]`
    /// - gamma, beta: `[width]`
    fn add_normalize(
        input: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        Self::normalize(Self::float_add(input, residual), gamma, beta, epsilon)
    }

    /// LayerNorm of `residual + dropout(input · weight + bias)`: the end of both halves of a block.
    ///
    /// # Shapes
    ///
    /// - input: `[..., any, d_input]`
    /// - weight: `[d_input, width]`
    /// - bias, gamma, beta: `[width]`
    /// - residual, output: `[..., any, width]`
    fn project_add_normalize(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        form: ResidualForm,
    ) -> FloatTensor<Self> {
        residual::composed::<Self>(input, weight, bias, residual, gamma, beta, form)
    }

    /// `input · weight + bias`; one node under autodiff, where Burn's `Linear` is five in 0.22.
    ///
    /// # Shapes
    ///
    /// - input: `[..., any, d_input]`
    /// - weight: `[d_input, d_output]`
    /// - bias: `[d_output]`
    /// - output: `[..., any, d_output]`
    fn project(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::linear(input, weight, Some(bias))
    }

    /// [`project`](BertOps::project) without a bias.
    fn project_unbiased(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::linear(input, weight, None)
    }

    /// Exact GELU of [`project`](BertOps::project): the widening half of the feed-forward layer.
    ///
    /// # Shapes
    ///
    /// Those of [`project`](BertOps::project).
    fn project_gelu(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        Self::activate(Self::project(input, weight, bias), Activation::Gelu)
    }

    /// `input · tableᵀ + bias`, a score for every row of a table: what the masked LM does with the word embeddings; one node
    /// under autodiff.
    ///
    /// # Shapes
    ///
    /// - input: `[n, width]`
    /// - table: `[rows, width]`
    /// - bias: `[rows]`
    /// - output: `[n, rows]`
    fn project_table(
        input: FloatTensor<Self>,
        table: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        linear::table::<Self>(input, table, bias)
    }

    /// Sum of the weighted cross-entropies of rows with their labels, in nats; then, without a gradient, that sum, the sum of the
    /// weights, the number of rows whose label has the highest logit, of several the first, and the number of rows that count.
    ///
    /// Rows with a negative label count nothing, whatever their logits are.
    ///
    /// # Shapes
    ///
    /// - logits: `[rows, classes]`
    /// - labels: `[rows]`, each below `classes`
    /// - weights: `[classes]`, the weight of a row by its label, or `[1]` for all; without a gradient
    /// - outputs: `[1]`, `[4]`
    fn cross_entropy(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        cross_entropy::totals::<Self>(logits, labels, weights)
    }

    /// Dropout: each element 0 with `probability`, else multiplied by `1 / (1 - probability)`.
    ///
    /// # Shapes
    ///
    /// - input, output: `[..., any]`
    fn dropout(input: FloatTensor<Self>, probability: f64) -> FloatTensor<Self> {
        let [output, _] = dropout::with_state::<Self>(input, probability);
        output
    }

    /// Dropout mask for a tensor of `shape`: 0 with `probability`, else
    /// `1 / (1 - probability)`, of the type and on the device of `like`.
    fn dropout_mask(like: FloatTensor<Self>, shape: Shape, probability: f64) -> FloatTensor<Self> {
        dropout::mask::<Self>(like, shape, probability)
    }

    /// Activation, element by element.
    fn activate(input: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        activation::forward::<Self>(input, activation)
    }

    /// Rotary position embedding of the heads in some columns (Su et al. 2021): the halves of each turned against each other,
    /// `[a·cos - b·sin, b·cos + a·sin]`; `cos` and `sin` have no gradient.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, seq, columns.row]`
    /// - cos, sin: `[seq, head_size / 2]`
    /// - output: `[batch, seq, columns.heads · head_size]`
    fn rotate(
        input: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        columns: RotaryColumns,
    ) -> FloatTensor<Self> {
        rotary::forward::<Self>(input, cos, sin, columns)
    }

    /// Gated activation: one half of every row activated and multiplied by the other (Shazeer 2020).
    ///
    /// # Shapes
    ///
    /// - input: `[..., any, 2 · width]`
    /// - output: `[..., any, width]`
    fn gate(input: FloatTensor<Self>, form: GateForm) -> FloatTensor<Self> {
        gate::forward::<Self>(input, form)
    }

    /// Gated activation of a gate that lies apart, `activation(gate) · other`.
    ///
    /// # Shapes
    ///
    /// - gate, other, output: `[..., any, width]`
    fn gate_apart(
        gate: FloatTensor<Self>,
        other: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        gate::apart::<Self>(gate, other, activation)
    }
}

/// Gradients of [`BertOps`], which the nodes of the autodiff graph ask of the backend below; they have none of their own.
pub trait GradientOps: BertOps {
    /// True for a backend with kernels for what follows a product: bias and GELU, and [`ResidualForm`]. Others add the bias with
    /// the product, which is quicker there.
    const FUSED_EPILOGUES: bool = false;

    /// `residual + dropout(projected + bias)`, its LayerNorm, and what chose the dropout: here its factors.
    ///
    /// # Shapes
    ///
    /// - projected, residual and the first two outputs: `[..., any, width]`
    /// - bias, gamma, beta: `[width]`
    fn drop_add_normalize(
        projected: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        form: ResidualForm,
    ) -> [FloatTensor<Self>; 3] {
        residual::drop_add_normalize::<Self>(projected, bias, residual, gamma, beta, form)
    }

    /// Gradients of [`drop_add_normalize`](GradientOps::drop_add_normalize), in the order of its operands, from the sum and
    /// what chose the dropout.
    fn drop_add_normalize_backward(
        sum: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        chosen: FloatTensor<Self>,
        form: ResidualForm,
    ) -> [FloatTensor<Self>; 5] {
        residual::drop_add_normalize_backward::<Self>(sum, gamma, grad, chosen, form)
    }

    /// Exact GELU of `product + bias`.
    ///
    /// # Shapes
    ///
    /// - product, output: `[..., any, width]`
    /// - bias: `[width]`
    fn bias_gelu(product: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::activate(linear::add_bias::<Self>(product, bias), Activation::Gelu)
    }

    /// Gradients of [`bias_gelu`](GradientOps::bias_gelu) with respect to its operands.
    fn bias_gelu_backward(
        product: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2] {
        let biased = linear::add_bias::<Self>(product, bias);
        let of_product = Self::activate_backward(biased, grad, Activation::Gelu);
        [of_product.clone(), Self::project_bias_backward(of_product)]
    }

    /// Attention within the rows or sequences of a layout, with what [`attention_backward`](GradientOps::attention_backward)
    /// wants of it.
    fn attention_with_state(
        inputs: AttentionInputs<Self>,
        layout: AttentionLayout<Self>,
        form: AttentionForm,
    ) -> AttentionOutput<Self> {
        attention::composed::tracked(inputs, &layout, form)
    }

    /// Gradients of attention with respect to queries, keys and values, and to the bias if it is there and `with_bias`: summed
    /// over the batch for one that all sequences share.
    ///
    /// # Shapes
    ///
    /// - grad: that of the queries
    fn attention_backward(
        inputs: AttentionInputs<Self>,
        state: AttentionState<Self>,
        layout: AttentionLayout<Self>,
        grad: FloatTensor<Self>,
        form: AttentionForm,
        with_bias: bool,
    ) -> AttentionGradients<Self> {
        match state {
            AttentionState::Probabilities(weights) => {
                attention::composed::backward(inputs, weights, &layout, grad, form, with_bias)
            }
            AttentionState::Statistics(_) | AttentionState::Rows(_) => {
                unreachable!("a backend that keeps statistics has an override")
            }
        }
    }

    /// [`dropout`](BertOps::dropout), and what chose its elements: here its factors.
    fn dropout_with_state(input: FloatTensor<Self>, probability: f64) -> [FloatTensor<Self>; 2] {
        dropout::with_state::<Self>(input, probability)
    }

    /// Gradient of [`dropout`](BertOps::dropout) with respect to its input, from what chose its elements.
    fn dropout_backward(
        grad: FloatTensor<Self>,
        chosen: FloatTensor<Self>,
        _probability: f64,
    ) -> FloatTensor<Self> {
        Self::float_mul(grad, chosen)
    }

    /// Gradient of [`lookup`](BertOps::lookup) with respect to the table, `[rows, width]`.
    fn lookup_backward(
        table: FloatTensor<Self>,
        ids: IntTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::embedding_backward(table, grad, ids)
    }

    /// Gradient of [`rows_in_order`](BertOps::rows_in_order) with respect to a table of `rows`, zero in the rows that it leaves
    /// out, and summed over a batch that shares them.
    ///
    /// # Shapes
    ///
    /// - grad: `[count, width]` or `[batch, count, width]`
    /// - output: `[rows, width]`
    fn rows_in_order_backward(
        grad: FloatTensor<Self>,
        rows: usize,
        first: usize,
    ) -> FloatTensor<Self> {
        lookup::in_order_backward::<Self>(grad, rows, first)
    }

    /// Gradient of [`masked_softmax`](BertOps::masked_softmax) with respect to the scores, from its output.
    ///
    /// # Shapes
    ///
    /// - probabilities, grad, output: `[..., any, seq]`
    fn softmax_backward(
        probabilities: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        softmax::backward::<Self>(probabilities, grad, scale)
    }

    /// Gradients of [`normalize`](BertOps::normalize) with respect to its input, `gamma` and `beta`.
    ///
    /// # Shapes
    ///
    /// - input, grad and the first output: `[..., any, width]`
    /// - gamma and the other outputs: `[width]`
    fn normalize_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        norm::backward::<Self>(input, gamma, grad, epsilon)
    }

    /// Gradient of [`project`](BertOps::project) with respect to its input.
    ///
    /// # Shapes
    ///
    /// - weight: `[d_input, d_output]`
    /// - grad: `[..., any, d_output]`
    /// - output: `[..., any, d_input]`
    fn project_input_backward(
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::linear_x_backward(weight, grad)
    }

    /// Gradient of [`project`](BertOps::project) with respect to its weight.
    ///
    /// # Shapes
    ///
    /// - input: `[..., any, d_input]`
    /// - grad: `[..., any, d_output]`
    /// - output: `[d_input, d_output]`
    fn project_weight_backward(
        input: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::linear_weight_backward(input, grad)
    }

    /// Gradient of [`project`](BertOps::project) with respect to its bias.
    ///
    /// # Shapes
    ///
    /// - grad: `[..., any, d_output]`
    /// - output: `[d_output]`
    fn project_bias_backward(grad: FloatTensor<Self>) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::linear_bias_backward(grad)
    }

    /// Gradient of [`project_table`](BertOps::project_table) with respect to its input; that of the table is a
    /// [`project_weight_backward`](GradientOps::project_weight_backward).
    ///
    /// # Shapes
    ///
    /// - table: `[rows, width]`
    /// - grad: `[n, rows]`
    /// - output: `[n, width]`
    fn project_table_backward(
        table: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        Self::float_matmul(grad, table)
    }

    /// Gradient of the sum of [`cross_entropy`](BertOps::cross_entropy) with respect to the logits, `[rows, classes]`; `grad` is
    /// `[1]`.
    fn cross_entropy_backward(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        weights: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        cross_entropy::backward::<Self>(logits, labels, weights, grad)
    }

    /// Gradient of [`activate`](BertOps::activate) with respect to its input.
    ///
    /// Burn's own default for exact GELU differentiates the tanh approximation with constants of six digits, which is off by up
    /// to 1e-3.
    fn activate_backward(
        input: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        activation::backward::<Self>(input, grad, activation)
    }

    /// Gradient of [`rotate`](BertOps::rotate) with respect to its input, zero in the other columns.
    ///
    /// # Shapes
    ///
    /// - grad: `[batch, seq, columns.heads · head_size]`
    /// - cos, sin: `[seq, head_size / 2]`
    /// - output: `[batch, seq, columns.row]`
    fn rotate_backward(
        grad: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        columns: RotaryColumns,
    ) -> FloatTensor<Self> {
        rotary::backward::<Self>(grad, cos, sin, columns)
    }

    /// Gradient of [`gate`](BertOps::gate) with respect to its input.
    ///
    /// # Shapes
    ///
    /// - input, output: `[..., any, 2 · width]`
    /// - grad: `[..., any, width]`
    fn gate_backward(
        input: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        form: GateForm,
    ) -> FloatTensor<Self> {
        gate::backward::<Self>(input, grad, form)
    }

    /// Gradients of [`gate_apart`](BertOps::gate_apart) with respect to both operands.
    fn gate_apart_backward(
        gate: FloatTensor<Self>,
        other: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        gate::apart_backward::<Self>(gate, other, grad, activation)
    }
}
