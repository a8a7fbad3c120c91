//! The encoder with embeddings and pooler: what every task head holds.

use burn::module::Module;
use burn::tensor::{Bool, Device, Int, Tensor};

use super::{BertEmbeddings, BertEncoder, BertEncoderOutput, BertInit, BertPooler, OutputOptions};
use crate::batch::{BertInput, Packing, TokenLayout};
use crate::config::BertConfig;
use crate::inference::with_threads_awake;

/// BERT without a task head (Devlin et al. 2019).
#[derive(Module, Debug)]
pub struct BertModel {
    /// Token, segment and position embeddings.
    pub embeddings: BertEmbeddings,
    /// The transformer blocks.
    pub encoder: BertEncoder,
    /// The pooler; task checkpoints that do not need one are saved without it.
    pub pooler: Option<BertPooler>,
}

/// Result of a forward pass.
#[derive(Clone, Debug)]
pub struct BertOutput {
    /// One vector per token, `[batch, seq, hidden]`.
    pub sequence_output: Tensor<3>,
    /// One vector per input, `[batch, hidden]`, where the model has a pooler.
    pub pooled_output: Option<Tensor<2>>,
    /// The embeddings, then every block's output, each `[batch, seq, hidden]`, when asked for.
    pub hidden_states: Option<Vec<Tensor<3>>>,
    /// Every block's attention probabilities, each `[batch, heads, seq, seq]`, when asked for.
    pub attentions: Option<Vec<Tensor<4>>>,
}

impl BertOutput {
    /// The mean of the last hidden states of every row's tokens, `[batch, hidden]`.
    ///
    /// # Shapes
    ///
    /// - mask_pad: `[batch, seq]`, true at padding, which plays no part
    pub fn mean_of_tokens(&self, mask_pad: Tensor<2, Bool>) -> Tensor<2> {
        let sequence = self.sequence_output.clone();
        let shape = sequence.dims();
        let padding = mask_pad.clone().unsqueeze_dim::<3>(2).expand(shape);
        let kept = mask_pad.bool_not().float().sum_dim(1); // [batch, 1]
        let sum = sequence
            .mask_fill(padding, 0.0)
            .sum_dim(1)
            .squeeze_dim::<2>(1); // [batch, hidden]
        sum / kept.clamp_min(1.0)
    }

    /// The last hidden state of every row's first token, `[batch, hidden]`.
    pub fn first_token(&self) -> Tensor<2> {
        self.sequence_output.clone().narrow(1, 0, 1).squeeze_dim(1)
    }
}

impl BertConfig {
    /// A model with fresh weights drawn from `seed`, with a pooler if the family has one.
    ///
    /// Equal seeds give equal weights on every backend.
    pub fn init(&self, seed: u64, device: &Device) -> BertModel {
        BertModel::new(self, true, &BertInit::new(self, seed, device))
    }
}

impl BertModel {
    /// A model with fresh weights, with a pooler if asked for and the family has one.
    pub fn new(config: &BertConfig, with_pooler: bool, init: &BertInit) -> Self {
        Self {
            embeddings: BertEmbeddings::new(config, init),
            encoder: BertEncoder::new(config, init),
            pooler: (with_pooler && config.family.pooler).then(|| BertPooler::new(config, init)),
        }
    }

    /// Encodes a batch.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, seq]` ids, segments and padding
    /// - output: see [`BertOutput`]
    ///
    /// # Panics
    ///
    /// When `seq` exceeds the position table or an id its table; the batcher and
    /// [`check`](crate::batch::BertBatcher) refuse such input beforehand.
    pub fn forward(&self, input: BertInput) -> BertOutput {
        self.forward_with(input, OutputOptions::default())
    }

    /// [`forward`](Self::forward) with hidden states or attention probabilities in its output.
    pub fn forward_with(&self, input: BertInput, options: OutputOptions) -> BertOutput {
        self.with_embeddings(input, |embeddings, mask_pad, packing| {
            // Probabilities have the shape of the padded batch.
            match packing.filter(|_| !options.attentions) {
                Some(packing) => self.encode_packed(embeddings, &packing, options),
                None => self.encode(embeddings, mask_pad, options),
            }
        })
    }

    /// Embeds a batch and goes on with its vectors, its padding and how to pack it.
    fn with_embeddings<R: Send>(
        &self,
        input: BertInput,
        encode: impl FnOnce(Tensor<3>, Tensor<2, Bool>, Option<Packing>) -> R + Send,
    ) -> R {
        let device = input.mask_pad.device();
        let tokens = input.input_ids.shape().num_elements();
        with_threads_awake(&device, tokens, move || {
            let embeddings = self
                .embeddings
                .forward(input.input_ids, input.token_type_ids);
            encode(embeddings, input.mask_pad, input.packing)
        })
    }

    /// Vectors of some of the tokens, the same that [`forward`](Self::forward) gives them, for less: the last block computes
    /// those alone.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, seq]` ids, segments and padding
    /// - positions: `[n]`, each `row * seq + column` of a token; padding may have the vector of any token
    /// - output: `[n, hidden]`
    ///
    /// # Panics
    ///
    /// Those of [`forward`](Self::forward), and on most devices a position outside the batch.
    pub fn forward_at(&self, input: BertInput, positions: Tensor<1, Int>) -> Tensor<2> {
        self.with_embeddings(input, |embeddings, mask_pad, packing| {
            let vectors = match packing {
                Some(packing) => {
                    let (packed, layout) = (packing.pack(embeddings), packing.layout());
                    let tokens = packing.tokens_at(positions);
                    self.encoder.forward_at(packed, &layout, tokens)
                }
                None => {
                    let layout = TokenLayout::Padded(mask_pad);
                    self.encoder.forward_at(embeddings, &layout, positions)
                }
            };
            vectors.squeeze_dim(0)
        })
    }

    /// The vector of every row's first token, `[CLS]`, as [`forward_at`](Self::forward_at) computes it, `[batch, hidden]`.
    pub fn forward_first(&self, input: BertInput) -> Tensor<2> {
        let positions = input.first_positions();
        self.forward_at(input, positions)
    }

    /// `pooled_output` of [`forward`](Self::forward) and nothing else, `[batch, hidden]`; none without a pooler.
    pub fn forward_pooled(&self, input: BertInput) -> Option<Tensor<2>> {
        let pooler = self.pooler.as_ref()?;
        Some(pooler.forward_first(self.forward_first(input)))
    }

    /// [`forward_with`](Self::forward_with) from word vectors in place of token ids, so that
    /// gradients with respect to them can be had.
    ///
    /// # Shapes
    ///
    /// - words: `[batch, seq, hidden]`, in place of rows of the word table
    /// - token_type_ids, mask_pad: `[batch, seq]`
    pub fn forward_words(
        &self,
        words: Tensor<3>,
        token_type_ids: Tensor<2, Int>,
        mask_pad: Tensor<2, Bool>,
        options: OutputOptions,
    ) -> BertOutput {
        let embeddings = self.embeddings.forward_words(words, token_type_ids);
        self.encode(embeddings, mask_pad, options)
    }

    fn encode(
        &self,
        embeddings: Tensor<3>,
        mask_pad: Tensor<2, Bool>,
        options: OutputOptions,
    ) -> BertOutput {
        let layout = TokenLayout::Padded(mask_pad);
        self.output(self.encoder.forward(embeddings, &layout, options), options)
    }

    fn encode_packed(
        &self,
        embeddings: Tensor<3>,
        packing: &Packing,
        options: OutputOptions,
    ) -> BertOutput {
        let packed = packing.pack(embeddings);
        let encoded = self.encoder.forward(packed, &packing.layout(), options);
        let states = encoded.hidden_states.into_iter();
        let encoded = BertEncoderOutput {
            sequence_output: packing.unpack(encoded.sequence_output),
            hidden_states: states.map(|state| packing.unpack(state)).collect(),
            attentions: encoded.attentions,
        };
        self.output(encoded, options)
    }

    fn output(&self, encoded: BertEncoderOutput, options: OutputOptions) -> BertOutput {
        let pooled_output = self
            .pooler
            .as_ref()
            .map(|pooler| pooler.forward(encoded.sequence_output.clone()));
        BertOutput {
            sequence_output: encoded.sequence_output,
            pooled_output,
            hidden_states: options.hidden_states.then_some(encoded.hidden_states),
            attentions: options.attentions.then_some(encoded.attentions),
        }
    }
}
