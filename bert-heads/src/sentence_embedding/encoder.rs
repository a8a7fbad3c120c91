//! The encoder of texts as it is trained.

use std::path::Path;

use bert_core::batch::BertInput;
use bert_core::checkpoint::{Checkpoint, LoadReport, Loading, save};
use bert_core::config::BertConfig;
use bert_core::init::BertInit;
use bert_core::model::BertModel;
use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::Pooling;
use crate::error::Result;
use crate::labels::remove_labels;

/// The encoder with a pooling: one vector per text. It has no head of its own, and is saved as the
/// encoder alone.
#[derive(Module, Debug)]
pub struct SentenceEncoder {
    /// The encoder, with the pooler that its checkpoint may have.
    pub bert: BertModel,
    /// How token vectors become one.
    #[module(skip)]
    pub pooling: Pooling,
}

impl SentenceEncoder {
    /// An encoder with fresh weights.
    pub fn new(config: &BertConfig, pooling: Pooling, init: &BertInit) -> Self {
        Self {
            bert: BertModel::new(config, true, init),
            pooling,
        }
    }

    /// The encoder of any checkpoint, on the device of `init`; a head is left out, and listed as
    /// ignored.
    ///
    /// # Errors
    ///
    /// Those of [`Checkpoint::load_into`].
    pub fn from_encoder(
        checkpoint: &Checkpoint,
        pooling: Pooling,
        device: &Device,
    ) -> Result<(Self, LoadReport)> {
        let (bert, report) = checkpoint.load_model(Loading::Strict, device)?;
        Ok((Self { bert, pooling }, report))
    }

    /// Writes weights and configuration as transformers' `BertModel` loads them; labels in `config`,
    /// which belong to another task, are left out.
    ///
    /// # Errors
    ///
    /// [`Core`](crate::Error::Core) when the directory cannot be written.
    pub fn save(&self, dir: impl AsRef<Path>, config: &BertConfig) -> Result<()> {
        let mut config = config.clone();
        remove_labels(&mut config);
        Ok(save(dir, &self.bert, &config, "BertModel")?)
    }

    /// The vectors of texts, not normalised, in f32.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, seq]` ids, segments and padding
    /// - output: `[batch, hidden]`
    ///
    /// # Panics
    ///
    /// [`Pooling::Pooler`] without a pooler.
    pub fn forward(&self, input: BertInput) -> Tensor<2> {
        self.pooling.encode(&self.bert, input)
    }
}
