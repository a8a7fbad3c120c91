//! The stack of transformer blocks (BERT §3, "BERT's model architecture").

use burn::module::Module;
use burn::nn::LayerNorm;
use burn::tensor::{Int, Tensor};

use super::block::rows_at;
use super::pre_norm::norm_before;
use super::{
    BertInit, BertLayer, RelativeBias, RelativeEmbeddings, RotaryTable, TokenConvolution,
    TokenDistances,
};
use crate::batch::TokenLayout;
use crate::config::BertConfig;
use crate::models::{NormPlace, RelativePositions};

/// The stack of [`BertLayer`]s.
#[derive(Module, Debug)]
pub struct BertEncoder {
    /// The blocks with parameters of their own, from the embeddings upwards; each runs in as many layers in turn as there are
    /// to a group.
    pub layer: Vec<BertLayer>,
    /// Normalisation of the last block's output, where blocks normalise before.
    pub layer_norm: Option<LayerNorm>,
    /// Relative position bias of all layers, if there is one.
    pub relative_attention_bias: Option<RelativeBias>,
    /// Embeddings of relative positions of all layers, if there are any.
    pub relative_embeddings: Option<RelativeEmbeddings>,
    /// Convolution of the embeddings beside the first layer, if there is one.
    pub convolution: Option<TokenConvolution>,
    /// Angles of rotary position embeddings, one table for each base.
    tables: Vec<RotaryTable>,
    num_layers: usize,
    layer_norm_eps: f64,
}

/// Output of the encoder.
#[derive(Clone, Debug)]
pub struct BertEncoderOutput {
    /// Output of the last block, normalised if blocks normalise before, `[batch, seq, hidden]`.
    pub sequence_output: Tensor<3>,
    /// The embeddings, then every block's output, the last being [`sequence_output`](Self::sequence_output), each
    /// `[batch, seq, hidden]`; empty unless asked for.
    pub hidden_states: Vec<Tensor<3>>,
    /// Every block's attention probabilities, each `[batch, heads, seq, seq]`; empty unless asked
    /// for.
    pub attentions: Vec<Tensor<4>>,
}

/// Outputs of a forward pass besides the last hidden states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputOptions {
    /// Returns the embeddings and every block's output.
    pub hidden_states: bool,
    /// Returns every block's attention probabilities, at the price of the fused attention kernels.
    pub attentions: bool,
}

impl BertEncoder {
    /// Blocks for `config`.
    pub fn new(config: &BertConfig, init: &BertInit) -> Self {
        let norm_before = config.block.norm == NormPlace::Before;
        let bases = config.rotary_bases().into_iter();
        let (bias, embeddings) = match config.relative {
            RelativePositions::None => (None, None),
            RelativePositions::Bias { buckets } => {
                (Some(RelativeBias::new(buckets, config, init)), None)
            }
            RelativePositions::Disentangled(shape) => {
                (None, Some(RelativeEmbeddings::new(shape, config, init)))
            }
        };
        let convolution = config.convolution;
        Self {
            layer: (0..config.num_blocks())
                .map(|number| BertLayer::new(number, config, init))
                .collect(),
            layer_norm: norm_before.then(|| init.layer_norm(config.hidden_size)),
            relative_attention_bias: bias,
            relative_embeddings: embeddings,
            convolution: convolution.map(|shape| TokenConvolution::new(shape, config, init)),
            tables: bases
                .map(|theta| RotaryTable::new(theta, config, init.device()))
                .collect(),
            num_layers: config.num_hidden_layers,
            layer_norm_eps: config.layer_norm_eps,
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
        options: OutputOptions,
    ) -> BertEncoderOutput {
        let distances = self.distances(&embeddings, layout);
        let convolved = self.convolution.as_ref().map(|_| embeddings.clone());
        let mut hidden = embeddings;
        let mut hidden_states = Vec::new();
        let mut attentions = Vec::new();
        for (number, layer) in self.layers().enumerate() {
            if options.hidden_states {
                hidden_states.push(hidden.clone());
            }
            let (output, probabilities) =
                layer.forward(hidden, layout, &distances, options.attentions);
            attentions.extend(probabilities);
            hidden = self.with_convolution(number, output, convolved.as_ref(), layout);
        }
        hidden = norm_before(hidden, self.layer_norm.as_ref(), self.layer_norm_eps);
        if options.hidden_states {
            hidden_states.push(hidden.clone());
        }
        BertEncoderOutput {
            sequence_output: hidden,
            hidden_states,
            attentions,
        }
    }

    /// Like [`forward`](Self::forward), but the last block computes outputs only at `positions`.
    ///
    /// That spares a model of 12 blocks up to a sixteenth of its work, and one of 6 an eighth, where few tokens are read.
    ///
    /// # Shapes
    ///
    /// - embeddings: as for [`forward`](Self::forward)
    /// - positions: `[n]`, rows of the embeddings, `row * seq + column` of a padded batch
    /// - output: `[1, n, hidden]`, the rows of `forward`'s output
    pub fn forward_at(
        &self,
        embeddings: Tensor<3>,
        layout: &TokenLayout,
        positions: Tensor<1, Int>,
    ) -> Tensor<3> {
        let Some(last) = self.layer.last() else {
            return rows_at(embeddings, positions);
        };
        let convolved = self.convolution.as_ref().map(|_| embeddings.clone());
        if convolved.is_some() && self.num_layers == 1 {
            let all = self.forward(embeddings, layout, OutputOptions::default());
            return rows_at(all.sequence_output, positions);
        }
        let distances = self.distances(&embeddings, layout);
        let before = self.layers().take(self.num_layers - 1).enumerate();
        let hidden = before.fold(embeddings, |hidden, (number, layer)| {
            let (output, _) = layer.forward(hidden, layout, &distances, false);
            self.with_convolution(number, output, convolved.as_ref(), layout)
        });
        let hidden = last.forward_at(hidden, layout, &distances, positions);
        norm_before(hidden, self.layer_norm.as_ref(), self.layer_norm_eps)
    }

    /// The output of the layer with this number, counted from 0, with the convolution of the embeddings added to the first.
    fn with_convolution(
        &self,
        number: usize,
        output: Tensor<3>,
        embeddings: Option<&Tensor<3>>,
        layout: &TokenLayout,
    ) -> Tensor<3> {
        match (&self.convolution, embeddings) {
            (Some(convolution), Some(embeddings)) if number == 0 => {
                convolution.forward(embeddings.clone(), output, layout)
            }
            _ => output,
        }
    }

    /// Distances between the tokens of a batch, as all layers take them.
    fn distances(&self, embeddings: &Tensor<3>, layout: &TokenLayout) -> TokenDistances {
        let [_, seq, _] = embeddings.dims();
        let longest = layout.longest(seq);
        let tables = self.tables.iter();
        let bias = self.relative_attention_bias.as_ref();
        let embeddings = self.relative_embeddings.as_ref();
        TokenDistances {
            angles: tables.map(|table| table.angles(layout, seq)).collect(),
            bias: bias.map(|table| table.forward(longest)),
            embeddings: embeddings.map(|table| table.rows(longest)),
        }
    }

    /// The block of every layer, from the embeddings upwards.
    fn layers(&self) -> impl Iterator<Item = &BertLayer> {
        let in_group = self.num_layers / self.layer.len().max(1);
        let layers = self.layer.iter();
        layers.flat_map(move |layer| std::iter::repeat_n(layer, in_group))
    }
}
