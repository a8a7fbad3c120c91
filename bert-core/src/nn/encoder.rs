//! The stack of transformer blocks (BERT §3, "BERT's model architecture").

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Int, Tensor};

use crate::config::BertConfig;
use crate::nn::BertInit;
use crate::nn::HiddenAct;
use crate::nn::{BertAttention, BertResidual};
use crate::ops;
use crate::packing::TokenLayout;

/// The stack of [`BertLayer`]s.
#[derive(Module, Debug)]
pub struct BertEncoder {
    /// The blocks, from the embeddings upwards.
    pub layer: Vec<BertLayer>,
}

/// Output of the encoder.
#[derive(Clone, Debug)]
pub struct BertEncoderOutput {
    /// Output of the last block, `[batch, seq, hidden]`.
    pub sequence_output: Tensor<3>,
    /// The embeddings, then every block's output, each `[batch, seq, hidden]`; empty unless asked
    /// for.
    pub hidden_states: Vec<Tensor<3>>,
    /// Every block's attention probabilities, each `[batch, heads, seq, seq]`; empty unless asked
    /// for.
    pub attentions: Vec<Tensor<4>>,
}

/// Optional outputs of a forward pass, kept besides its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Keep the embeddings and every block's output.
    pub hidden_states: bool,
    /// Keep every block's attention probabilities; costs the fused attention kernels.
    pub attentions: bool,
}

impl BertEncoder {
    /// Blocks for `config`.
    pub fn new(config: &BertConfig, init: &BertInit) -> Self {
        Self {
            layer: (0..config.num_hidden_layers)
                .map(|_| BertLayer::new(config, init))
                .collect(),
        }
    }

    /// Runs the blocks in turn.
    ///
    /// # Shapes
    ///
    /// - embeddings: `[batch, seq, hidden]`, or `[1, tokens, hidden]` if `layout` is packed; so is what comes out
    pub fn forward(
        &self,
        embeddings: Tensor<3>,
        layout: &TokenLayout,
        keep: Keep,
    ) -> BertEncoderOutput {
        let mut hidden = embeddings;
        let mut hidden_states = Vec::new();
        let mut attentions = Vec::new();
        for layer in &self.layer {
            if keep.hidden_states {
                hidden_states.push(hidden.clone());
            }
            let (output, probabilities) = layer.forward(hidden, layout, keep.attentions);
            attentions.extend(probabilities);
            hidden = output;
        }
        if keep.hidden_states {
            hidden_states.push(hidden.clone());
        }
        BertEncoderOutput {
            sequence_output: hidden,
            hidden_states,
            attentions,
        }
    }

    /// Runs the blocks for the sake of some tokens: all that the last block does for others is to attend.
    ///
    /// That spares a model of 12 blocks up to a sixteenth of its work, and one of 6 an eighth, where few tokens are read.
    ///
    /// # Shapes
    ///
    /// - embeddings: as for [`forward`](Self::forward)
    /// - tokens: `[n]`, rows of the embeddings, `row * seq + column` of a padded batch
    /// - output: `[1, n, hidden]`, the rows of `forward`'s output
    pub fn forward_at(
        &self,
        embeddings: Tensor<3>,
        layout: &TokenLayout,
        tokens: Tensor<1, Int>,
    ) -> Tensor<3> {
        let Some((last, before)) = self.layer.split_last() else {
            return rows_of(embeddings, tokens);
        };
        let hidden = before.iter().fold(embeddings, |hidden, layer| {
            layer.forward(hidden, layout, false).0
        });
        last.forward_at(hidden, layout, tokens)
    }
}

/// The vectors of some tokens, `[1, n, hidden]`.
fn rows_of(hidden: Tensor<3>, tokens: Tensor<1, Int>) -> Tensor<3> {
    let [batch, seq, width] = hidden.dims();
    ops::lookup(hidden.reshape([batch * seq, width]), tokens.unsqueeze())
}

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
            output: BertResidual::new(config.intermediate_size, config, init),
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

    /// [`forward`](Self::forward) for the sake of some tokens; see [`BertEncoder::forward_at`].
    fn forward_at(
        &self,
        hidden: Tensor<3>,
        layout: &TokenLayout,
        tokens: Tensor<1, Int>,
    ) -> Tensor<3> {
        let attention = &self.attention;
        let (context, _) = attention
            .self_attention
            .forward(hidden.clone(), layout, false);
        let [context, hidden] = [context, hidden].map(|all| rows_of(all, tokens.clone()));
        self.feed_forward(attention.output.forward(context, hidden)) // [1, n, hidden]
    }

    /// The second half of the block.
    fn feed_forward(&self, attended: Tensor<3>) -> Tensor<3> {
        let widened = self.intermediate.forward(attended.clone()); // [batch, seq, intermediate]
        self.output.forward(widened, attended)
    }
}

/// Projection to the intermediate size and activation.
#[derive(Module, Debug)]
pub struct BertIntermediate {
    /// Projection to the intermediate size.
    pub dense: Linear,
    #[module(skip)]
    hidden_act: HiddenAct,
}

impl BertIntermediate {
    /// A projection for `config`.
    pub fn new(config: &BertConfig, init: &BertInit) -> Self {
        Self {
            dense: init.linear(config.hidden_size, config.intermediate_size),
            hidden_act: config.hidden_act,
        }
    }

    /// `hidden_act(dense(hidden))`.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch, seq, hidden]`
    /// - output: `[batch, seq, intermediate]`
    pub fn forward(&self, hidden: Tensor<3>) -> Tensor<3> {
        self.hidden_act.after_linear(hidden, &self.dense)
    }
}
