//! Classes, sets of labels or numbers for whole texts (BERT §4.1).

use std::path::Path;

use bert_core::batch::BertInput;
use bert_core::checkpoint::{Checkpoint, LoadReport};
use bert_core::config::BertConfig;
use bert_core::models::{ClassifierShape, Reads};
use bert_core::nn::{BertInit, BertModel, BertOutput};
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Bool, Device, Tensor};
use serde_json::json;

use crate::error::Result;
use crate::labels::{Labels, ProblemType};
use crate::tasks::head::TaskHead;
use crate::tasks::hidden_layer::{HiddenLayer, outputs, vectors};

pub(crate) const HEAD: TaskHead = TaskHead {
    class: "ForSequenceClassification",
    tensors: ["classifier.weight", "classifier.bias"],
    shape: |config| config.heads.sequence,
};

/// The encoder with a classifier over the pooled output, or whatever else the
/// [shape](bert_core::models::HeadShapes::sequence) of the family's head says; `BertForSequenceClassification` in
/// transformers.
#[derive(Module, Debug)]
pub struct BertForSequenceClassification {
    /// The encoder, with its pooler if the classifier reads that.
    pub bert: BertModel,
    dropout: Dropout,
    #[module(skip)]
    shape: ClassifierShape,
    /// The hidden layer of the classifier, where the family has one.
    pub pre_classifier: Option<HiddenLayer>,
    /// One output per label.
    pub classifier: Linear,
}

impl BertForSequenceClassification {
    /// A model with fresh weights and `num_labels` outputs, at least one.
    pub fn new(config: &BertConfig, num_labels: usize, init: &BertInit) -> Self {
        let bert = BertModel::new(config, HEAD.has_pooler(config), init);
        Self::with_encoder(bert, config, num_labels, init)
    }

    fn with_encoder(
        bert: BertModel,
        config: &BertConfig,
        num_labels: usize,
        init: &BertInit,
    ) -> Self {
        let shape = config.heads.sequence;
        Self {
            bert,
            dropout: DropoutConfig::new(config.dropout_prob_of(shape)).init(),
            shape,
            pre_classifier: HiddenLayer::of(shape, config, init),
            classifier: init.head(config.hidden_size, num_labels),
        }
    }

    /// Loads encoder and classifier on `device`, strictly; [`Labels::of`] and [`ProblemType::of`]
    /// the configuration say what its outputs mean.
    ///
    /// # Errors
    ///
    /// [`NoHead`](crate::Error::NoHead) if the checkpoint was saved without a classifier, [`WrongHead`](crate::Error::WrongHead) if
    /// its classifier is one of tokens or choices, [`HeadLabels`](crate::Error::HeadLabels) if the labels of its
    /// configuration are not those of its classifier, and those of [`Checkpoint::load_into`].
    pub fn from_checkpoint(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        HEAD.check(checkpoint)?;
        Labels::of_head(checkpoint, HEAD.outputs(checkpoint)?)?;
        Self::from_weights(checkpoint, device)
    }

    /// Loads encoder and classifier on `device`, strictly, with as many outputs as the weights have,
    /// whatever the configuration says of class and labels.
    ///
    /// # Errors
    ///
    /// [`NoHead`](crate::Error::NoHead), and those of [`Checkpoint::load_into`].
    pub fn from_weights(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let config = checkpoint.config();
        let init = BertInit::new(config, 0, device);
        let fresh = Self::new(config, HEAD.outputs(checkpoint)?, &init);
        HEAD.load_tensors(checkpoint, fresh)
    }

    /// A model for fine-tuning: the encoder of any checkpoint and a fresh classifier, on the device
    /// of `init`. What is fresh stands in the report as missing: show it.
    ///
    /// # Errors
    ///
    /// [`Labels`](crate::Error::Labels) when `num_labels` is 0, and those of [`Checkpoint::load_into`] for the
    /// encoder; only its pooler may be absent.
    pub fn from_encoder(
        checkpoint: &Checkpoint,
        num_labels: usize,
        init: &BertInit,
    ) -> Result<(Self, LoadReport)> {
        // Refuses numbers that no classifier can have.
        Labels::numbered(num_labels)?;
        HEAD.begin(checkpoint, init, |bert| {
            Self::with_encoder(bert, checkpoint.config(), num_labels, init)
        })
    }

    /// Writes a directory that transformers' class loads without missing or unexpected keys;
    /// labels in `config` give way to `labels`.
    ///
    /// # Errors
    ///
    /// [`LabelNames`](crate::Error::LabelNames) when there is not one name per output, [`Core`](crate::Error::Core) when
    /// `problem_type` does not fit the number of labels or the directory cannot be written.
    pub fn save(
        &self,
        dir: impl AsRef<Path>,
        config: &BertConfig,
        labels: &Labels,
        problem_type: ProblemType,
    ) -> Result<()> {
        labels.check_outputs(&self.classifier)?;
        problem_type.check(labels.count())?;
        let mut config = config.clone();
        labels.write_into(&mut config);
        let field = "problem_type".to_owned();
        config.extra.insert(field, json!(problem_type.name()));
        HEAD.save(dir, self, &config)
    }

    /// Scores of every label for each text.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, seq]` ids, segments and padding
    /// - output: `[batch, num_labels]` logits
    ///
    /// # Panics
    ///
    /// When the pooler has been taken out of `bert`.
    pub fn forward(&self, input: BertInput) -> Tensor<2> {
        self.score(vectors(&self.bert, input, self.shape.reads))
    }

    /// Scores of every label from what the encoder made of the texts, `[batch, num_labels]`.
    ///
    /// # Shapes
    ///
    /// - mask_pad: `[batch, seq]`, true at padding
    ///
    /// # Panics
    ///
    /// When the pooler has been taken out of `bert`.
    pub fn classify(&self, encoded: BertOutput, mask_pad: Tensor<2, Bool>) -> Tensor<2> {
        let vectors = match self.shape.reads {
            Reads::Pooled => encoded.pooled_output,
            Reads::FirstToken | Reads::EveryToken => Some(encoded.first_token()),
            Reads::Mean => Some(encoded.mean_of_tokens(mask_pad)),
        };
        self.score(vectors.expect("every constructor makes a pooler"))
    }

    /// - vectors: `[batch, hidden]`
    /// - output: `[batch, num_labels]`
    fn score(&self, vectors: Tensor<2>) -> Tensor<2> {
        let hidden = self.pre_classifier.as_ref();
        outputs(vectors, hidden, &self.dropout, &self.classifier)
    }
}
