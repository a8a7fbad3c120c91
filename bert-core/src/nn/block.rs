//! One transformer block (Vaswani et al. §3.1).

use burn::module::Module;
use burn::nn::LayerNorm;
use burn::tensor::{Int, Tensor};

use super::pre_norm::norm_before;
use super::{BertAttention, BertInit, BertIntermediate, BertResidual, TokenDistances};
use crate::batch::TokenLayout;
use crate::config::BertConfig;
use crate::models::NormPlace;
use crate::ops;

/// One block: self-attention, then the feed-forward layer, each with a residual, and with LayerNorm after it (post-LN) or before
/// it (pre-LN).
#[derive(Module, Debug)]
pub struct BertLayer {
    /// Self-attention with its residual.
    pub attention: BertAttention,
    /// Normalisation before the feed-forward layer, in blocks that normalise before.
    pub layer_norm: Option<LayerNorm>,
    /// Widening half of the feed-forward layer.
    pub intermediate: BertIntermediate,
    /// Narrowing half with its residual.
    pub output: BertResidual,
    layer_norm_eps: f64,
}

impl BertLayer {
    /// The block of `config` with this number, counted from 0.
    pub fn new(number: usize, config: &BertConfig, init: &BertInit) -> Self {
        let norm_before = config.block.norm == NormPlace::Before;
        let [_, bias] = config.block.feed_forward_bias;
        Self {
            attention: BertAttention::new(number, config, init),
            layer_norm: norm_before.then(|| init.layer_norm(config.hidden_size)),
            intermediate: BertIntermediate::new(config, init),
            output: BertResidual::new(
                config.intermediate_size,
                bias,
                config.feed_forward_dropout_prob(),
                config,
                init,
            ),
            layer_norm_eps: config.layer_norm_eps,
        }
    }

    /// Applies the block.
    ///
    /// # Shapes
    ///
    /// - hidden, output: `[batch, seq, hidden]`, or `[1, tokens, hidden]` if `layout` is packed
    /// - distances: those of the batch, from the encoder
    /// - probabilities, if asked for and `layout` is padded: `[batch, heads, seq, seq]`
    pub fn forward(
        &self,
        hidden: Tensor<3>,
        layout: &TokenLayout,
        distances: &TokenDistances,
        with_probabilities: bool,
    ) -> (Tensor<3>, Option<Tensor<4>>) {
        let attention = &self.attention;
        let (attended, probabilities) =
            attention.forward(hidden, layout, distances, with_probabilities);
        (self.feed_forward(attended), probabilities)
    }

    /// [`forward`](Self::forward) that computes outputs at `positions` only; see [`BertEncoder::forward_at`](super::BertEncoder::forward_at).
    ///
    /// # Shapes
    ///
    /// - hidden: as for [`forward`](Self::forward)
    /// - positions: `[n]`, rows of the flattened `hidden`
    /// - output: `[1, n, hidden]`
    pub(super) fn forward_at(
        &self,
        hidden: Tensor<3>,
        layout: &TokenLayout,
        distances: &TokenDistances,
        positions: Tensor<1, Int>,
    ) -> Tensor<3> {
        let attention = &self.attention;
        let (context, _) = attention.context(hidden.clone(), layout, distances, false);
        let [context, hidden] = [context, hidden].map(|all| rows_at(all, positions.clone()));
        self.feed_forward(attention.output.forward(context, hidden)) // [1, n, hidden]
    }

    /// Applies the second half of the block.
    ///
    /// # Shapes
    ///
    /// - attended, output: `[batch, seq, hidden]`
    fn feed_forward(&self, attended: Tensor<3>) -> Tensor<3> {
        let normal = norm_before(
            attended.clone(),
            self.layer_norm.as_ref(),
            self.layer_norm_eps,
        );
        let output = &self.output;
        if let Some(projected) = self.intermediate.forward_through(&normal, &output.dense) {
            return output.add(projected, attended);
        }
        let widened = self.intermediate.forward(normal); // [batch, seq, intermediate]
        output.forward(widened, attended)
    }
}

/// Gathers the vectors of some tokens.
///
/// # Shapes
///
/// - hidden: `[batch, seq, hidden]`
/// - positions: `[n]`, each `row * seq + column`
/// - output: `[1, n, hidden]`
pub(super) fn rows_at(hidden: Tensor<3>, positions: Tensor<1, Int>) -> Tensor<3> {
    let [batch, seq, width] = hidden.dims();
    ops::lookup(hidden.reshape([batch * seq, width]), positions.unsqueeze())
}
