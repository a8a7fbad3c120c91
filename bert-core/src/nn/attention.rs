//! Multi-head self-attention with its output projection (Vaswani et al. §3.2.2).

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, LayerNorm, Linear};
use burn::tensor::Tensor;

use super::attend::attend;
use super::disentangled::attend_by_positions;
use super::pre_norm::norm_before;
use super::{BertInit, BertResidual, PositionAttention, TokenDistances};
use crate::batch::TokenLayout;
use crate::config::BertConfig;
use crate::models::{NormPlace, RelativePositions};
use crate::ops::{self, AttentionForm, AttentionTerm, RotaryAngles, RotaryColumns};

/// Self-attention followed by projection, dropout and residual, with LayerNorm after or before them.
#[derive(Module, Debug)]
pub struct BertAttention {
    /// Normalisation before, in all blocks but the first of those that normalise before.
    pub layer_norm: Option<LayerNorm>,
    /// Projections to queries, keys and values; `attention.self` in checkpoints.
    pub self_attention: BertSelfAttention,
    /// Projection back and normalisation.
    pub output: BertResidual,
    layer_norm_eps: f64,
}

impl BertAttention {
    /// Attention of the block of `config` with this number, counted from 0.
    pub fn new(number: usize, config: &BertConfig, init: &BertInit) -> Self {
        // The embeddings are normalised already.
        let norm_before = config.block.norm == NormPlace::Before && number > 0;
        let (hidden, bias) = (config.hidden_size, config.block.attention_bias);
        Self {
            layer_norm: norm_before.then(|| init.layer_norm(hidden)),
            self_attention: BertSelfAttention::new(number, config, init),
            output: BertResidual::new(hidden, bias, config.attention_dropout_prob(), config, init),
            layer_norm_eps: config.layer_norm_eps,
        }
    }

    /// Attends and normalises; with `with_probabilities` also returns the attention probabilities
    /// before dropout, of padded tokens.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch, seq, hidden]`, or `[1, tokens, hidden]` if `layout` is packed
    /// - distances: those of the batch, from the encoder
    /// - output: that of `hidden` and `[batch, heads, seq, seq]`
    pub fn forward(
        &self,
        hidden: Tensor<3>,
        layout: &TokenLayout,
        distances: &TokenDistances,
        with_probabilities: bool,
    ) -> (Tensor<3>, Option<Tensor<4>>) {
        let (context, probabilities) =
            self.context(hidden.clone(), layout, distances, with_probabilities);
        (self.output.forward(context, hidden), probabilities)
    }

    /// Context of every token, before its projection; shapes are those of [`forward`](Self::forward).
    pub(super) fn context(
        &self,
        hidden: Tensor<3>,
        layout: &TokenLayout,
        distances: &TokenDistances,
        with_probabilities: bool,
    ) -> (Tensor<3>, Option<Tensor<4>>) {
        let normal = norm_before(hidden, self.layer_norm.as_ref(), self.layer_norm_eps);
        self.self_attention
            .forward(normal, layout, distances, with_probabilities)
    }
}

/// Queries, keys, values and the attention over them.
#[derive(Module, Debug)]
pub struct BertSelfAttention {
    /// Projection to queries; to queries, keys and values side by side where the others are none.
    pub query: Linear,
    /// Projection to keys.
    pub key: Option<Linear>,
    /// Projection to values.
    pub value: Option<Linear>,
    /// Comparison with relative positions, in disentangled attention.
    pub positions: Option<PositionAttention>,
    dropout: Dropout,
    num_heads: usize,
    /// Number of the encoder's table of rotary angles.
    table: Option<usize>,
    /// Tokens on either side that are attended to, if not all.
    reach: Option<usize>,
}

impl BertSelfAttention {
    /// Projections of the block of `config` with this number, counted from 0.
    pub fn new(number: usize, config: &BertConfig, init: &BertInit) -> Self {
        let hidden = config.hidden_size;
        let linear = |width| init.linear_with(hidden, width, config.block.attention_bias);
        let fused = config.block.fused_projections;
        let last_table = config.rotary_bases().len().checked_sub(1);
        Self {
            query: linear(if fused { 3 * hidden } else { hidden }),
            key: (!fused).then(|| linear(hidden)),
            value: (!fused).then(|| linear(hidden)),
            positions: match config.relative {
                RelativePositions::Disentangled(shape) if shape.comparisons() > 0 => {
                    Some(PositionAttention::new(shape, config, init))
                }
                _ => None,
            },
            dropout: DropoutConfig::new(config.attention_probs_dropout_prob).init(),
            num_heads: config.num_attention_heads,
            table: match config.reach_of(number) {
                Some(_) => last_table,
                None => last_table.map(|_| 0),
            },
            reach: config.reach_of(number),
        }
    }

    /// Context of every token; see [`BertAttention::forward`] for the shapes.
    pub fn forward(
        &self,
        hidden: Tensor<3>,
        layout: &TokenLayout,
        distances: &TokenDistances,
        with_probabilities: bool,
    ) -> (Tensor<3>, Option<Tensor<4>>) {
        let inputs = self.projections(hidden, &distances.angles);
        let [_, _, width] = inputs[0].dims();
        let form = AttentionForm {
            reach: self.reach,
            dropout: ops::dropout_probability(&inputs[0], &self.dropout),
            ..AttentionForm::new(self.num_heads, width / self.num_heads)
        };
        if let (Some(positions), Some(rows), Some(key)) =
            (&self.positions, &distances.embeddings, &self.key)
        {
            let projected = positions.project(rows, [&self.query, key]);
            return attend_by_positions(projected, inputs, layout, form, with_probabilities);
        }
        attend(
            inputs,
            distances.bias.clone().map(AttentionTerm::from),
            layout,
            form,
            with_probabilities,
        )
    }

    /// Queries, keys and values, the first two turned by their place if positions are rotary.
    ///
    /// # Shapes
    ///
    /// - hidden, outputs: `[batch, seq, hidden]`
    fn projections(&self, hidden: Tensor<3>, angles: &[RotaryAngles]) -> [Tensor<3>; 3] {
        let [_, _, width] = hidden.dims();
        let angles = self.table.map(|table| &angles[table]);
        let (Some(key), Some(value)) = (&self.key, &self.value) else {
            let fused = ops::linear(hidden, &self.query); // [batch, seq, 3 · hidden]
            let part = |number: usize| match angles.filter(|_| number < 2) {
                Some(angles) => ops::rotate(
                    fused.clone(),
                    angles,
                    self.columns(number * width, 3 * width),
                ),
                None => fused.clone().narrow(2, number * width, width),
            };
            return [part(0), part(1), part(2)];
        };
        let [query, key, value] = ops::linear_thrice(hidden, [&self.query, key, value]);
        let turned = |projected| match angles {
            Some(angles) => ops::rotate(projected, angles, self.columns(0, width)),
            None => projected,
        };
        [turned(query), turned(key), value]
    }

    /// All heads, from column `first` of rows of width `row` on.
    fn columns(&self, first: usize, row: usize) -> RotaryColumns {
        RotaryColumns {
            first,
            heads: self.num_heads,
            row,
        }
    }
}
