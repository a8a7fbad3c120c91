//! Token, segment and position embeddings (BERT §3, figure 2).

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Embedding, LayerNorm};
use burn::tensor::{Int, Tensor};

use super::BertInit;
use super::positions::PositionIds;
use crate::config::BertConfig;
use crate::ops;

/// Sum of token, segment and position embeddings, normalised.
#[derive(Module, Debug)]
pub struct BertEmbeddings {
    /// Table over the vocabulary, `[vocab_size, hidden]`; the masked-LM head shares it.
    pub word_embeddings: Embedding,
    /// Table over positions, `[max_position, hidden]`.
    pub position_embeddings: Embedding,
    /// Table over segments, `[type_vocab_size, hidden]`.
    pub token_type_embeddings: Embedding,
    /// Normalisation of the sum.
    pub layer_norm: LayerNorm,
    dropout: Dropout,
    layer_norm_eps: f64,
    #[module(skip)]
    positions: PositionIds,
}

impl BertEmbeddings {
    /// Tables and normalisation for `config`.
    pub fn new(config: &BertConfig, init: &BertInit) -> Self {
        let hidden = config.hidden_size;
        Self {
            word_embeddings: init.embedding(config.vocab_size, hidden),
            position_embeddings: init.embedding(config.max_position_embeddings, hidden),
            token_type_embeddings: init.embedding(config.type_vocab_size, hidden),
            layer_norm: init.layer_norm(hidden),
            dropout: DropoutConfig::new(config.hidden_dropout_prob).init(),
            layer_norm_eps: config.layer_norm_eps,
            positions: PositionIds::new(config),
        }
    }

    /// Embeds the tokens of a batch.
    ///
    /// # Shapes
    ///
    /// - input_ids, token_type_ids: `[batch, seq]`
    /// - output: `[batch, seq, hidden]`
    pub fn forward(&self, input_ids: Tensor<2, Int>, token_type_ids: Tensor<2, Int>) -> Tensor<3> {
        let [_, seq] = input_ids.dims();
        let words = ops::lookup(self.word_embeddings.weight.val(), input_ids.clone());
        let positions = match self.positions.of(input_ids) {
            Some(ids) => ops::lookup(self.position_embeddings.weight.val(), ids), // [batch, seq, hidden]
            None => self.in_order(seq),
        };
        self.sum(words, token_type_ids, positions)
    }

    /// [`forward`](Self::forward) from vectors in place of the rows of the word table: to ask what
    /// each of them contributes. Positions are those of a batch without padding.
    ///
    /// # Shapes
    ///
    /// - words, output: `[batch, seq, hidden]`
    /// - token_type_ids: `[batch, seq]`
    pub fn forward_words(&self, words: Tensor<3>, token_type_ids: Tensor<2, Int>) -> Tensor<3> {
        let [_, seq, _] = words.dims();
        self.sum(words, token_type_ids, self.in_order(seq))
    }

    /// Position embeddings of a row without padding, `[1, seq, hidden]`.
    fn in_order(&self, seq: usize) -> Tensor<3> {
        let table = self.position_embeddings.weight.val(); // [max_position, hidden]
        table
            .narrow(0, self.positions.first(), seq)
            .unsqueeze_dim(0)
    }

    /// Adds and normalises.
    ///
    /// # Shapes
    ///
    /// - words, output: `[batch, seq, hidden]`
    /// - token_type_ids: `[batch, seq]`
    /// - positions: `[batch, seq, hidden]` or `[1, seq, hidden]`
    fn sum(
        &self,
        words: Tensor<3>,
        token_type_ids: Tensor<2, Int>,
        positions: Tensor<3>,
    ) -> Tensor<3> {
        let types = ops::lookup(self.token_type_embeddings.weight.val(), token_type_ids);
        let sum = words + types + positions; // [batch, seq, hidden]
        let normal = ops::layer_norm(sum, &self.layer_norm, self.layer_norm_eps);
        ops::dropout(normal, &self.dropout)
    }
}
