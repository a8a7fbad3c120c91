//! Multi-head self-attention with its output projection (Vaswani et al. §3.2.2).

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::Tensor;

use super::{BertInit, BertResidual};
use crate::batch::TokenLayout;
use crate::config::BertConfig;
use crate::ops;

/// Self-attention followed by projection, dropout, residual and LayerNorm.
#[derive(Module, Debug)]
pub struct BertAttention {
    /// Projections to queries, keys and values; `attention.self` in checkpoints.
    pub self_attention: BertSelfAttention,
    /// Projection back and normalisation.
    pub output: BertResidual,
}

impl BertAttention {
    /// Attention for `config`.
    pub fn new(config: &BertConfig, init: &BertInit) -> Self {
        Self {
            self_attention: BertSelfAttention::new(config, init),
            output: BertResidual::new(
                config.hidden_size,
                config.block_dropout.attention,
                config,
                init,
            ),
        }
    }

    /// Attends and normalises; with `with_probabilities` also returns the attention probabilities
    /// before dropout, of padded tokens.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch, seq, hidden]`, or `[1, tokens, hidden]` if `layout` is packed
    /// - output: that of `hidden` and `[batch, heads, seq, seq]`
    pub fn forward(
        &self,
        hidden: Tensor<3>,
        layout: &TokenLayout,
        with_probabilities: bool,
    ) -> (Tensor<3>, Option<Tensor<4>>) {
        let (context, probabilities) =
            self.self_attention
                .forward(hidden.clone(), layout, with_probabilities);
        (self.output.forward(context, hidden), probabilities)
    }
}

/// Queries, keys, values and the attention over them.
#[derive(Module, Debug)]
pub struct BertSelfAttention {
    /// Projection to queries.
    pub query: Linear,
    /// Projection to keys.
    pub key: Linear,
    /// Projection to values.
    pub value: Linear,
    dropout: Dropout,
    num_heads: usize,
}

impl BertSelfAttention {
    /// Projections for `config`.
    pub fn new(config: &BertConfig, init: &BertInit) -> Self {
        let hidden = config.hidden_size;
        Self {
            query: init.linear(hidden, hidden),
            key: init.linear(hidden, hidden),
            value: init.linear(hidden, hidden),
            dropout: DropoutConfig::new(config.attention_probs_dropout_prob).init(),
            num_heads: config.num_attention_heads,
        }
    }

    /// Context of every token; see [`BertAttention::forward`] for the shapes.
    pub fn forward(
        &self,
        hidden: Tensor<3>,
        layout: &TokenLayout,
        with_probabilities: bool,
    ) -> (Tensor<3>, Option<Tensor<4>>) {
        let [batch, seq, width] = hidden.dims();
        let query = ops::linear(hidden.clone(), &self.query);
        let key = ops::linear(hidden.clone(), &self.key);
        let value = ops::linear(hidden, &self.value);
        let (heads, dropout) = (
            self.num_heads,
            ops::dropout_probability(&query, &self.dropout),
        );
        match layout {
            TokenLayout::Packed(sequences) => {
                let context = ops::packed_attention(query, key, value, sequences, heads, dropout);
                (context, None)
            }
            TokenLayout::Padded(mask_pad) if !with_probabilities => {
                let mask_pad = mask_pad.clone();
                let context = ops::self_attention(query, key, value, mask_pad, heads, dropout);
                (context, None)
            }
            TokenLayout::Padded(mask_pad) => {
                let shape = [batch, heads, seq, seq];
                let keep = (dropout > 0.0).then(|| ops::dropout_mask(&query, shape, dropout));
                let [query, key, value] =
                    [query, key, value].map(|tensor| self.split_heads(tensor));
                let mask_pad = mask_pad.clone();
                let (context, probabilities) =
                    ops::attention_with_probabilities(query, key, value, mask_pad, keep);
                let context = context.swap_dims(1, 2).reshape([batch, seq, width]); // [batch, seq, hidden]
                (context, Some(probabilities))
            }
        }
    }

    /// `[batch, seq, hidden]` to `[batch, heads, seq, head_size]`.
    fn split_heads(&self, projected: Tensor<3>) -> Tensor<4> {
        let [batch, seq, width] = projected.dims();
        projected
            .reshape([batch, seq, self.num_heads, width / self.num_heads])
            .swap_dims(1, 2)
    }
}
