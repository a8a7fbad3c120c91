//! The encoder of texts as it is trained.

use std::path::Path;

use bert_core::batch::BertInput;
use bert_core::checkpoint::{Checkpoint, LoadReport, Loading, save};
use bert_core::config::BertConfig;
use bert_core::nn::{BertInit, BertModel};
use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::layout::{dense_dir, load_dense};
use super::{Dense, Poolings};
use crate::error::Result;
use crate::labels::remove_labels;

/// The encoder with a pooling and the Dense modules that may follow it: one vector per text. The
/// encoder is saved alone, the modules in directories of their own.
#[derive(Module, Debug)]
pub struct SentenceEncoder {
    /// The encoder, with the pooler that its checkpoint may have.
    pub bert: BertModel,
    /// Modules after the pooling, in their order.
    pub dense: Vec<Dense>,
    /// Pooling of token vectors.
    #[module(skip)]
    pub pooling: Poolings,
}

impl SentenceEncoder {
    /// An encoder with fresh weights and without Dense modules.
    pub fn new(config: &BertConfig, pooling: Poolings, init: &BertInit) -> Self {
        Self {
            bert: BertModel::new(config, true, init),
            dense: Vec::new(),
            pooling,
        }
    }

    /// The encoder of any checkpoint, with the Dense modules that its `modules.json` lists; a head is
    /// left out, and listed as ignored.
    ///
    /// # Errors
    ///
    /// Those of [`Checkpoint::load_into`], and [`Unsupported`](crate::Error::Unsupported) or
    /// [`ModuleWeights`](crate::Error::ModuleWeights) for files of sentence-transformers that cannot
    /// be read.
    pub fn from_encoder(
        checkpoint: &Checkpoint,
        pooling: Poolings,
        device: &Device,
    ) -> Result<(Self, LoadReport)> {
        let (bert, report) = checkpoint.load_model(Loading::Strict, device)?;
        let init = BertInit::new(checkpoint.config(), 0, device);
        let model = Self {
            bert,
            dense: load_dense(checkpoint.dir(), &init)?,
            pooling,
        };
        Ok((model, report))
    }

    /// Writes weights and configuration as transformers' `BertModel` loads them, and Dense modules
    /// beside them; labels in `config`, which belong to another task, are left out.
    ///
    /// # Errors
    ///
    /// [`Core`](crate::Error::Core) when the directory cannot be written.
    pub fn save(&self, dir: impl AsRef<Path>, config: &BertConfig) -> Result<()> {
        let mut config = config.clone();
        remove_labels(&mut config);
        let dir = dir.as_ref();
        for (index, dense) in self.dense.iter().enumerate() {
            dense.save(dir.join(dense_dir(index)))?;
        }
        Ok(save(
            dir,
            &self.bert,
            &config,
            &config.family.class("Model"),
        )?)
    }

    /// The vectors of texts, not normalised, in f32.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, seq]` ids, segments and padding
    /// - output: `[batch, dimension]`
    ///
    /// # Panics
    ///
    /// [`Pooling::Pooler`](super::Pooling::Pooler) without a pooler.
    pub fn forward(&self, input: BertInput) -> Tensor<2> {
        let pooled = self.pooling.encode(&self.bert, input); // [batch, poolings * hidden]
        let dense = self.dense.iter();
        dense.fold(pooled, |vectors, dense| dense.forward(vectors))
    }
}
