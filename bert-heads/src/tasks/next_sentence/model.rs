//! Next-sentence prediction (BERT §3.1, task 2).

use std::path::Path;

use bert_core::batch::BertInput;
use bert_core::checkpoint::{Checkpoint, LoadReport, Loading};
use bert_core::config::BertConfig;
use bert_core::models::ClassifierShape;
use bert_core::nn::{BertInit, BertModel};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

use crate::error::Result;
use crate::labels::remove_labels;
use crate::tasks::head::TaskHead;

pub(crate) const HEAD: TaskHead = TaskHead {
    class: "ForNextSentencePrediction",
    tensors: ["cls.seq_relationship.weight", "cls.seq_relationship.bias"],
    shape: |_| ClassifierShape::POOLED,
};

/// The label of a second text that follows the first; also its column in the logits.
pub const IS_NEXT: i64 = 0;
/// The label of a second text that is a random one; also its column in the logits.
pub const IS_RANDOM: i64 = 1;
/// Names of the labels, in the order of their ids.
pub const NEXT_SENTENCE_LABELS: [&str; 2] = ["next", "random"];

/// The encoder with the next-sentence head; `BertForNextSentencePrediction` in transformers.
///
/// The loss is [`cross_entropy`](crate::losses::cross_entropy).
#[derive(Module, Debug)]
pub struct BertForNextSentencePrediction {
    /// The encoder, with its pooler.
    pub bert: BertModel,
    /// The head.
    pub cls: BertNspHead,
}

/// The head under the name it has in checkpoints, `cls.seq_relationship`.
#[derive(Module, Debug)]
pub struct BertNspHead {
    /// Output [`IS_NEXT`] and output [`IS_RANDOM`].
    pub seq_relationship: Linear,
}

impl BertForNextSentencePrediction {
    /// A model with fresh weights.
    pub fn new(config: &BertConfig, init: &BertInit) -> Self {
        Self::with_encoder(BertModel::new(config, true, init), config, init)
    }

    fn with_encoder(bert: BertModel, config: &BertConfig, init: &BertInit) -> Self {
        Self {
            bert,
            cls: BertNspHead {
                seq_relationship: init.linear(config.hidden_size, 2),
            },
        }
    }

    /// Loads encoder and head on `device`, strictly, from a checkpoint of
    /// `BertForNextSentencePrediction` or `BertForPreTraining`.
    ///
    /// # Errors
    ///
    /// [`NoHead`](crate::Error::NoHead) if the checkpoint was saved without the head, and those of
    /// [`Checkpoint::load_into`].
    pub fn from_checkpoint(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let config = checkpoint.config();
        let fresh = Self::new(config, &BertInit::new(config, 0, device));
        HEAD.load(checkpoint, fresh)
    }

    /// A model for fine-tuning: the encoder of any checkpoint and the head that pretraining left
    /// there, or a fresh one, on the device of `init`. What is fresh stands in the report as missing:
    /// show it.
    ///
    /// # Errors
    ///
    /// Those of [`Checkpoint::load_into`]; only the head may be absent, and without it the pooler.
    /// [`NoClass`](crate::Error::NoClass) for a family without such a head.
    pub fn from_encoder(checkpoint: &Checkpoint, init: &BertInit) -> Result<(Self, LoadReport)> {
        HEAD.check_family(checkpoint.config().family)?;
        if HEAD.is_in(checkpoint) {
            let fresh = Self::new(checkpoint.config(), init);
            return Ok(checkpoint.load_into(fresh, Loading::Strict)?);
        }
        HEAD.begin(checkpoint, init, |bert| {
            Self::with_encoder(bert, checkpoint.config(), init)
        })
    }

    /// Writes a directory that transformers' class loads without missing or unexpected keys; labels
    /// in `config`, which belong to another task, are left out.
    ///
    /// # Errors
    ///
    /// [`Core`](crate::Error::Core) when the directory cannot be written.
    pub fn save(&self, dir: impl AsRef<Path>, config: &BertConfig) -> Result<()> {
        let mut config = config.clone();
        remove_labels(&mut config);
        HEAD.save(dir, self, &config)
    }

    /// Scores of both labels for each pair of texts.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, seq]` ids, segments and padding
    /// - output: `[batch, 2]` logits
    ///
    /// # Panics
    ///
    /// When the pooler has been taken out of `bert`.
    pub fn forward(&self, input: BertInput) -> Tensor<2> {
        let pooled = self.bert.forward_pooled(input);
        let pooled = pooled.expect("every constructor makes a pooler"); // [batch, hidden]
        self.cls.seq_relationship.forward(pooled)
    }
}
