//! Options of prediction.

use bert_core::config::BertConfig;
use bert_core::inference::{Weights, prepare};
use burn::module::Module;

use super::LongTexts;
use crate::error::{Error, Result};
use crate::sentence_embedding::BATCH_TOKENS;

/// Options of a pass over texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PredictOptions {
    /// Most tokens of a row, special tokens included; by default as many as the model has positions.
    pub max_length: Option<usize>,
    /// Tokens that neighbouring windows of a long text share at least; by default a quarter of the
    /// maximal length.
    pub overlap: Option<usize>,
    /// Pooling of the outputs of a long text's windows.
    pub long_texts: LongTexts,
    /// Most tokens of a batch, padding included.
    pub batch_tokens: usize,
    /// Form of the encoder's weights in memory.
    pub weights: Weights,
}

impl Default for PredictOptions {
    fn default() -> Self {
        Self {
            max_length: None,
            overlap: None,
            long_texts: LongTexts::default(),
            batch_tokens: BATCH_TOKENS,
            weights: Weights::default(),
        }
    }
}

impl PredictOptions {
    /// The most tokens of a row for a model of `config`, special tokens included.
    ///
    /// # Errors
    ///
    /// [`Error::MaxLength`] if more are asked for than the model has positions.
    pub(crate) fn max_length_for(&self, config: &BertConfig) -> Result<usize> {
        let positions = config.max_input_length();
        match self.max_length {
            Some(requested) if requested > positions => Err(Error::MaxLength {
                requested,
                positions,
            }),
            requested => Ok(requested.unwrap_or(positions)),
        }
    }

    /// A loaded model with its weights in the form of these options.
    pub(crate) fn pack_weights<M: Module>(&self, model: M) -> Result<M> {
        Ok(prepare(model, self.weights)?)
    }
}
