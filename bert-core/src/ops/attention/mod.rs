//! Attention (Vaswani et al. §3.2): its form, its operands and the functions on tensors that the model calls.

use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, ExtensionType};
use burn::tensor::{Bool, Tensor};

use super::{BertOps, PackedLayout};

pub(super) mod composed;
pub(super) mod heads;
mod layout;
pub(super) mod node;
mod relative;

pub use layout::AttentionLayout;

/// Form of an attention layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionForm {
    /// Attention heads.
    pub heads: usize,
    /// Factor of the products of queries and keys.
    pub scale: f64,
    /// Window: tokens on either side that are attended to, if not all.
    pub reach: Option<usize>,
    /// Probability to drop a probability.
    pub dropout: f64,
}

impl AttentionForm {
    /// Scaled dot-product attention, `softmax(q·kᵀ / √head_size)·v`, to all tokens and without dropout.
    pub fn new(heads: usize, head_size: usize) -> Self {
        Self {
            heads,
            scale: 1.0 / (head_size as f64).sqrt(),
            reach: None,
            dropout: 0.0,
        }
    }

    /// The form for sequences of at most `longest` tokens, without a window that covers them.
    fn for_sequences_of(self, longest: usize) -> Self {
        Self {
            reach: self.reach.filter(|reach| reach.saturating_add(1) < longest),
            ..self
        }
    }
}

/// Operands of attention.
///
/// # Shapes
///
/// - query, key, value: `[batch, seq, heads · head_size]`
#[derive(Clone, Debug, ExtensionType)]
pub struct AttentionInputs<B: Backend> {
    /// Queries.
    pub query: FloatTensor<B>,
    /// Keys.
    pub key: FloatTensor<B>,
    /// Values.
    pub value: FloatTensor<B>,
    /// Bias of the scores.
    #[extension_type]
    pub bias: AttentionBias<B>,
}

/// Bias of attention scores; an `Option`, which operations through [`Dispatch`] cannot take.
///
/// # Shapes
///
/// - present: `[1 or batch, heads, size, size]`; a sequence of n tokens takes the first n rows and columns
#[derive(Clone, Debug, ExtensionType)]
pub enum AttentionBias<B: Backend> {
    /// No bias.
    Absent,
    /// Numbers that are added to the scaled products of queries and keys.
    Present(FloatTensor<B>),
    /// Relative positions, products with which are added to those of queries and keys and scaled with them.
    Relative(#[extension_type] RelativeProjections<B>),
}

/// Projections of relative positions that contents are compared with (He et al. 2021 §3.1): a row for each distance between two
/// tokens, a token itself in the middle.
///
/// # Shapes
///
/// - keys, queries, if present: `[2 · longest - 1, heads · head_size]`
#[derive(Clone, Debug, ExtensionType)]
pub struct RelativeProjections<B: Backend> {
    /// Keys that the contents of queries are multiplied with, the key furthest before the query first.
    #[extension_type]
    pub keys: PositionRows<B>,
    /// Queries that the contents of keys are multiplied with, the query furthest before the key first.
    #[extension_type]
    pub queries: PositionRows<B>,
}

/// Rows of [`RelativeProjections`]; an `Option`, which operations through [`Dispatch`] cannot take.
#[derive(Clone, Debug, ExtensionType)]
pub enum PositionRows<B: Backend> {
    /// Contents are not compared with these positions.
    Absent,
    /// The rows.
    Present(FloatTensor<B>),
}

/// Term that is added to the products of queries and keys.
#[derive(Clone, Debug)]
pub enum AttentionTerm {
    /// Bias of the scaled products, `[1 or batch, heads, size, size]`; a sequence of n tokens takes the first n rows and columns.
    Bias(Box<Tensor<4>>),
    /// Products with relative positions, scaled likewise.
    Positions(Box<ProjectedPositions>),
}

/// Tensors of [`RelativeProjections`], `[2 · longest - 1, heads · head_size]` each.
#[derive(Clone, Debug)]
pub struct ProjectedPositions {
    /// Keys that the contents of queries are multiplied with, the key furthest before the query first.
    pub keys: Option<Tensor<2>>,
    /// Queries that the contents of keys are multiplied with, the query furthest before the key first.
    pub queries: Option<Tensor<2>>,
}

impl From<ProjectedPositions> for AttentionTerm {
    fn from(positions: ProjectedPositions) -> Self {
        Self::Positions(Box::new(positions))
    }
}

impl From<Tensor<4>> for AttentionTerm {
    fn from(bias: Tensor<4>) -> Self {
        Self::Bias(Box::new(bias))
    }
}

impl AttentionTerm {
    fn into_dispatch(self) -> AttentionBias<Dispatch> {
        let rows = |rows: Option<Tensor<2>>| match rows {
            Some(rows) => PositionRows::Present(rows.into_dispatch()),
            None => PositionRows::Absent,
        };
        match self {
            Self::Bias(bias) => AttentionBias::Present(bias.into_dispatch()),
            Self::Positions(positions) => AttentionBias::Relative(RelativeProjections {
                keys: rows(positions.keys),
                queries: rows(positions.queries),
            }),
        }
    }
}

/// Context of attention and what its gradients take of the forward pass.
#[derive(Clone, Debug)]
pub struct AttentionOutput<B: Backend> {
    /// Context, of the shape of the queries.
    pub context: FloatTensor<B>,
    /// State for the way back.
    pub state: AttentionState<B>,
}

/// State of attention for its gradients, for the backend that made it.
#[derive(Clone, Debug)]
pub enum AttentionState<B: Backend> {
    /// Probabilities of every group of rows of a layout.
    Probabilities(Vec<AttentionWeights<B>>),
    /// Statistics by which probabilities are computed again.
    Statistics(AttentionStatistics<B>),
    /// Statistics on the device of every group of rows of a layout.
    Rows(Vec<AttentionRows<B>>),
}

/// Statistics of the probabilities of attention on a device.
#[derive(Clone, Debug)]
pub struct AttentionRows<B: Backend> {
    /// Highest score and inverse of the sum of powers of every sequence, head and query: `[rows, 2]`.
    pub statistics: FloatTensor<B>,
    /// Numbers by which dropout chose, `[2]`, if there is any.
    pub seed: Option<FloatTensor<B>>,
}

/// Probabilities of attention and the factors of dropout.
#[derive(Clone, Debug)]
pub struct AttentionWeights<B: Backend> {
    /// Before dropout, `[batch, heads, seq, seq]`.
    pub probabilities: FloatTensor<B>,
    /// Factors of dropout, if there is any.
    pub keep: Option<FloatTensor<B>>,
}

/// Statistics of the probabilities of attention, and the seed of dropout.
#[derive(Clone, Debug)]
pub struct AttentionStatistics<B: Backend> {
    /// Context, of the shape of the queries.
    pub context: FloatTensor<B>,
    /// Highest score and inverse of the sum of powers of every query and head: `[tokens, heads]`.
    pub rows: Arc<[[f32; 2]]>,
    /// Seed of dropout, if there is any.
    pub seed: Option<u64>,
}

/// Gradients of attention.
#[derive(Clone, Debug)]
pub struct AttentionGradients<B: Backend> {
    /// Those of queries, keys and values, `[batch, seq, heads · head_size]` each.
    pub inputs: [FloatTensor<B>; 3],
    /// That of the bias, of its shape, if it was asked for.
    pub bias: Option<FloatTensor<B>>,
}

/// Attention over the keys that are neither padding nor out of reach, from projections to context.
///
/// # Shapes
///
/// - query, key, value, output: `[batch, seq, heads · head_size]`
/// - mask_pad: `[batch, seq]`, true at padding; a row without keys becomes zero
pub fn self_attention(
    inputs: [Tensor<3>; 3],
    mask_pad: Tensor<2, Bool>,
    form: AttentionForm,
) -> Tensor<3> {
    attend_padded(inputs, None, mask_pad, form)
}

/// [`self_attention`] with a bias or relative positions.
pub fn biased_attention(
    inputs: [Tensor<3>; 3],
    term: impl Into<AttentionTerm>,
    mask_pad: Tensor<2, Bool>,
    form: AttentionForm,
) -> Tensor<3> {
    attend_padded(inputs, Some(term.into()), mask_pad, form)
}

/// [`self_attention`] within each sequence of `layout`.
///
/// # Shapes
///
/// - query, key, value, output: `[1, tokens, heads · head_size]`
pub fn packed_attention(
    inputs: [Tensor<3>; 3],
    layout: &PackedLayout,
    form: AttentionForm,
) -> Tensor<3> {
    attend_packed(inputs, None, layout, form)
}

/// [`packed_attention`] with relative positions, or a bias that the sequences share.
///
/// # Panics
///
/// Panics if `bias` is one for each sequence.
pub fn packed_biased_attention(
    inputs: [Tensor<3>; 3],
    term: impl Into<AttentionTerm>,
    layout: &PackedLayout,
    form: AttentionForm,
) -> Tensor<3> {
    let term = term.into();
    if let AttentionTerm::Bias(bias) = &term {
        let [biases, _, _, _] = bias.dims();
        assert_eq!(biases, 1, "packed sequences share one bias");
    }
    attend_packed(inputs, Some(term), layout, form)
}

/// [`self_attention`], with a bias or relative positions if there are any, and its probabilities before dropout.
///
/// # Shapes
///
/// - query, key, value and the first output: `[batch, seq, heads · head_size]`
/// - mask_pad: `[batch, seq]`, true at padding
/// - second output: `[batch, heads, seq, seq]`, zero at keys that are left out
pub fn attention_with_probabilities(
    inputs: [Tensor<3>; 3],
    term: Option<AttentionTerm>,
    mask_pad: Tensor<2, Bool>,
    form: AttentionForm,
) -> (Tensor<3>, Tensor<4>) {
    let form = form.for_sequences_of(mask_pad.dims()[1]);
    let mask_pad = broadcastable(mask_pad).into_dispatch();
    let (context, probabilities) = <Dispatch as BertOps>::attention_with_probabilities(
        dispatched(inputs, term),
        mask_pad,
        form,
    );
    (
        Tensor::from_dispatch(context),
        Tensor::from_dispatch(probabilities),
    )
}

/// Scaled dot-product attention of heads over the keys that are not padding, through a fused kernel where the backend has a
/// right one and gradients are not wanted.
///
/// # Shapes
///
/// - query, key, value, output: `[batch, heads, seq, head_size]`
/// - mask_pad: `[batch, seq]`, true at padding
pub fn attention(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    mask_pad: Tensor<2, Bool>,
) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as BertOps>::attend_by_head(
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
        broadcastable(mask_pad).into_dispatch(),
    ))
}

/// Scores by distance as scores by key: every row moved one place further to the left than the row before it.
///
/// # Shapes
///
/// - scores: `[batch, heads, seq, 2 · seq - 1]`, from the key furthest before a query to the one furthest after it
/// - output: `[batch, heads, seq, seq]`
pub fn scores_by_key(scores: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(relative::by_key::<Dispatch>(scores.into_dispatch()))
}

fn attend_padded(
    inputs: [Tensor<3>; 3],
    term: Option<AttentionTerm>,
    mask_pad: Tensor<2, Bool>,
    form: AttentionForm,
) -> Tensor<3> {
    let form = form.for_sequences_of(mask_pad.dims()[1]);
    let mask_pad = broadcastable(mask_pad).into_dispatch();
    Tensor::from_dispatch(<Dispatch as BertOps>::self_attention(
        dispatched(inputs, term),
        mask_pad,
        form,
    ))
}

fn attend_packed(
    inputs: [Tensor<3>; 3],
    term: Option<AttentionTerm>,
    layout: &PackedLayout,
    form: AttentionForm,
) -> Tensor<3> {
    let longest = layout.lengths.iter().copied().max().unwrap_or(0);
    Tensor::from_dispatch(<Dispatch as BertOps>::packed_attention(
        dispatched(inputs, term),
        layout.dispatched(),
        form.for_sequences_of(longest),
    ))
}

fn dispatched(inputs: [Tensor<3>; 3], term: Option<AttentionTerm>) -> AttentionInputs<Dispatch> {
    let [query, key, value] = inputs.map(Tensor::into_dispatch);
    AttentionInputs {
        query,
        key,
        value,
        bias: term.map_or(AttentionBias::Absent, AttentionTerm::into_dispatch),
    }
}

/// `[batch, seq]` to `[batch, 1, 1, seq]`.
fn broadcastable(mask_pad: Tensor<2, Bool>) -> Tensor<4, Bool> {
    let [batch, seq] = mask_pad.dims();
    mask_pad.reshape([batch, 1, 1, seq])
}
