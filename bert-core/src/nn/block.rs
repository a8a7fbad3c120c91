//! One transformer block (Vaswani et al. §3.1).

use burn::module::Module;
use burn::tensor::{Int, Tensor};

use super::{BertAttention, BertInit, BertIntermediate, BertResidual};
use crate::batch::TokenLayout;
use crate::config::BertConfig;
use crate::ops;

/// One block: self-attention, then the feed-forward layer, each with residual and LayerNorm after
/// it (post-LN).
#[derive(Module, Debug)]
pub struct BertLayer {
    /// Self-attention with its residual.
    pub attention: BertAttention,
    /// Widening half of the feed-forward layer.
    pub intermediate: BertIntermediate,
    /// Narrowing half with its residual.
    pub output: BertResidual,
}

impl BertLayer {
    /// A block for `config`.
    pub fn new(config: &BertConfig, init: &BertInit) -> Self {
        Self {
            attention: BertAttention::new(config, init),
            intermediate: BertIntermediate::new(config, init),
            output: BertResidual::new(
                config.intermediate_size,
                config.block_dropout.feed_forward,
                config,
                init,
            ),
        }
    }

    /// Applies the block.
    ///
    /// # Shapes
    ///
    /// - hidden, output: `[batch, seq, hidden]`, or `[1, tokens, hidden]` if `layout` is packed
    /// - probabilities, if asked for and `layout` is padded: `[batch, heads, seq, seq]`
    pub fn forward(
        &self,
        hidden: Tensor<3>,
        layout: &TokenLayout,
        with_probabilities: bool,
    ) -> (Tensor<3>, Option<Tensor<4>>) {
        let (attended, probabilities) = self.attention.forward(hidden, layout, with_probabilities);
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
        positions: Tensor<1, Int>,
    ) -> Tensor<3> {
        let attention = &self.attention;
        let (context, _) = attention
            .self_attention
            .forward(hidden.clone(), layout, false);
        let [context, hidden] = [context, hidden].map(|all| rows_at(all, positions.clone()));
        self.feed_forward(attention.output.forward(context, hidden)) // [1, n, hidden]
    }

    /// Applies the second half of the block.
    ///
    /// # Shapes
    ///
    /// - attended, output: `[batch, seq, hidden]`
    fn feed_forward(&self, attended: Tensor<3>) -> Tensor<3> {
        let widened = self.intermediate.forward(attended.clone()); // [batch, seq, intermediate]
        self.output.forward(widened, attended)
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
