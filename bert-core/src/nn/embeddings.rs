//! Token, segment and position embeddings (BERT §3, figure 2).

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Embedding, LayerNorm, Linear};
use burn::tensor::{Int, Tensor};

use super::BertInit;
use super::positions::PositionIds;
use crate::config::BertConfig;
use crate::models::{EmbeddingProjection, Positions};
use crate::ops;

/// Sum of token, segment and position embeddings, normalised, and projected to the width of the blocks where that is another,
/// before or after the norm.
#[derive(Module, Debug)]
pub struct BertEmbeddings {
    /// Table over the vocabulary, `[vocab_size, embedding]`; the masked-LM head shares it.
    pub word_embeddings: Embedding,
    /// Table over positions, `[max_position, embedding]`, if positions have one.
    pub position_embeddings: Option<Embedding>,
    /// Table over segments, `[type_vocab_size, embedding]`, if there are segments.
    pub token_type_embeddings: Option<Embedding>,
    /// Normalisation of the sum.
    pub layer_norm: LayerNorm,
    /// Projection from the width of the embeddings to that of the blocks.
    pub projection: Option<Linear>,
    dropout: Dropout,
    layer_norm_eps: f64,
    #[module(skip)]
    place: EmbeddingProjection,
    #[module(skip)]
    positions: PositionIds,
}

impl BertEmbeddings {
    /// Tables and normalisation for `config`.
    pub fn new(config: &BertConfig, init: &BertInit) -> Self {
        let (width, hidden) = (config.embedding_width(), config.hidden_size);
        let table = |rows: usize| init.embedding(rows, width);
        let place = config.embedding_projection;
        let has_bias = place == EmbeddingProjection::AfterNorm;
        let normalised = match place {
            EmbeddingProjection::AfterNorm => width,
            EmbeddingProjection::BeforeNorm => hidden,
        };
        let has_positions = config.positions != Positions::None;
        Self {
            word_embeddings: table(config.vocab_size),
            position_embeddings: has_positions.then(|| table(config.max_position_embeddings)),
            token_type_embeddings: (config.type_vocab_size > 0)
                .then(|| table(config.type_vocab_size)),
            layer_norm: init.layer_norm(normalised),
            projection: (config.embedding_size).map(|_| init.linear_with(width, hidden, has_bias)),
            dropout: DropoutConfig::new(config.hidden_dropout_prob).init(),
            layer_norm_eps: config.layer_norm_eps,
            place,
            positions: PositionIds::new(config),
        }
    }

    /// Embeddings with the tables and the normalisation of these, which are shared and not copied, and another projection.
    pub fn sharing(&self, projection: Option<Linear>) -> Self {
        Self {
            projection,
            ..self.clone()
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
        let words = self.word_embeddings.weight.val();
        let position_ids = self.positions.of(input_ids.clone());
        if let (Some(segments), Some(positions), None) = (
            &self.token_type_embeddings,
            &self.position_embeddings,
            &position_ids,
        ) {
            return self.normalised(ops::embed(
                (words, input_ids),
                (segments.weight.val(), token_type_ids),
                positions.weight.val(),
                self.positions.first(),
            ));
        }
        let positions = match (&self.position_embeddings, position_ids) {
            (Some(table), Some(ids)) => Some(ops::lookup(table.weight.val(), ids)), // [batch, seq, embedding]
            _ => self.in_order(seq),
        };
        self.sum(ops::lookup(words, input_ids), token_type_ids, positions)
    }

    /// [`forward`](Self::forward) from vectors in place of the rows of the word table: to ask what
    /// each of them contributes. Positions are those of a batch without padding.
    ///
    /// # Shapes
    ///
    /// - words: `[batch, seq, embedding]`
    /// - token_type_ids: `[batch, seq]`
    /// - output: `[batch, seq, hidden]`
    pub fn forward_words(&self, words: Tensor<3>, token_type_ids: Tensor<2, Int>) -> Tensor<3> {
        let [_, seq, _] = words.dims();
        self.sum(words, token_type_ids, self.in_order(seq))
    }

    /// Position embeddings of a row without padding, `[1, seq, embedding]`.
    fn in_order(&self, seq: usize) -> Option<Tensor<3>> {
        let table = self.position_embeddings.as_ref()?.weight.val(); // [max_position, embedding]
        let rows = ops::rows_in_order(table, self.positions.first(), seq);
        Some(rows.unsqueeze_dim(0))
    }

    /// Adds, normalises and projects to the width of the blocks.
    ///
    /// # Shapes
    ///
    /// - words: `[batch, seq, embedding]`
    /// - token_type_ids: `[batch, seq]`
    /// - positions: `[batch, seq, embedding]` or `[1, seq, embedding]`
    /// - output: `[batch, seq, hidden]`
    fn sum(
        &self,
        words: Tensor<3>,
        token_type_ids: Tensor<2, Int>,
        positions: Option<Tensor<3>>,
    ) -> Tensor<3> {
        let mut sum = words;
        if let Some(table) = &self.token_type_embeddings {
            sum = sum + ops::lookup(table.weight.val(), token_type_ids);
        }
        if let Some(positions) = positions {
            sum = sum + positions;
        }
        self.normalised(sum)
    }

    /// Normalises and projects to the width of the blocks.
    ///
    /// # Shapes
    ///
    /// - sum: `[batch, seq, embedding]`
    /// - output: `[batch, seq, hidden]`
    fn normalised(&self, sum: Tensor<3>) -> Tensor<3> {
        let sum = self.projected(sum, EmbeddingProjection::BeforeNorm);
        let normal = ops::layer_norm(sum, &self.layer_norm, self.layer_norm_eps);
        let dropped = ops::dropout(normal, &self.dropout);
        self.projected(dropped, EmbeddingProjection::AfterNorm)
    }

    /// Projects to the width of the blocks, if that is to be done at `place`.
    fn projected(&self, vectors: Tensor<3>, place: EmbeddingProjection) -> Tensor<3> {
        match self.projection.as_ref().filter(|_| self.place == place) {
            Some(projection) => ops::linear(vectors, projection),
            None => vectors,
        }
    }
}
